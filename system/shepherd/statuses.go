package shepherd

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// isMsgpack says whether a request's body is in MessagePack. No Content-Type means JSON.
func isMsgpack(r *http.Request) (bool, error) {
	switch media := mediaOf(r); {
	case media == "" || media == typeJSON:
		return false, nil
	case event.IsMsgpack(media):
		return true, nil
	}
	return false, &problem{http.StatusUnsupportedMediaType, "Content-Type " + strconv.Quote(shorten(r.Header.Get("Content-Type"))) +
		" is not supported: send application/json or application/msgpack"}
}

// wantsMsgpack says in what a batch is answered: what the request accepts, or else as it was sent itself.
func wantsMsgpack(r *http.Request, sent bool) bool {
	accept := strings.ToLower(r.Header.Get("Accept"))
	switch {
	case strings.Contains(accept, "msgpack"):
		return true
	case strings.Contains(accept, typeJSON):
		return false
	}
	return sent
}

// appendStatuses appends a batch's answer as JSON.
func appendStatuses(dst []byte, statuses []Status) []byte {
	dst = append(dst, '[')
	for i := range statuses {
		s := &statuses[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"status":`...), int64(s.Code), 10)
		if s.Error != "" {
			dst = event.AppendJSONString(append(dst, `,"error":`...), s.Error)
		}
		if s.Partition >= 0 {
			dst = strconv.AppendInt(append(dst, `,"partition":`...), int64(s.Partition), 10)
			dst = strconv.AppendInt(append(dst, `,"offset":`...), s.Offset, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]\n"...)
}

// appendStatusesMsgpack is appendStatuses in MessagePack.
func appendStatusesMsgpack(dst []byte, statuses []Status) []byte {
	dst = event.AppendMsgpackArray(dst, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		members := 1
		if s.Error != "" {
			members++
		}
		if s.Partition >= 0 {
			members += 2
		}
		dst = event.AppendMsgpackMap(dst, members)
		dst = event.AppendMsgpackInt(event.AppendMsgpackString(dst, "status"), int64(s.Code))
		if s.Error != "" {
			dst = event.AppendMsgpackString(event.AppendMsgpackString(dst, "error"), s.Error)
		}
		if s.Partition >= 0 {
			dst = event.AppendMsgpackInt(event.AppendMsgpackString(dst, "partition"), int64(s.Partition))
			dst = event.AppendMsgpackInt(event.AppendMsgpackString(dst, "offset"), s.Offset)
		}
	}
	return dst
}
