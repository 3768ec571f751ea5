package shepherd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/ratel-sim/ratel/system/event"
)

// Names of the API.
const (
	pathBatch      = "/1/batch/"
	pathHealthz    = "/healthz"
	pathStatus     = "/status"
	headerTeam     = "X-Honeycomb-Team"
	headerTeamOld  = "X-Hny-Team" // as libhoney-js sends it
	headerReceipts = "X-Ratel-Receipts"
	receiptsKafka  = "kafka"
	typeJSON       = "application/json"
)

// handler is the HTTP face of a shepherd.
type handler struct {
	s            *Shepherd
	small, large sync.Pool // of *zstd.Decoder, by their window
}

// Handler serves POST /1/batch/{dataset} as Honeycomb's API documents it, GET /healthz (200, or 503 while draining) and
// GET /status (JSON, [Health]). A request header "X-Ratel-Receipts: kafka" asks for receipts: the status of each
// accepted event then has "partition" and "offset".
func Handler(s *Shepherd) http.Handler { return &handler{s: s} }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, pathBatch):
		if allow(w, r, http.MethodPost) {
			h.batch(w, r, path[len(pathBatch):])
		}
	case path == pathHealthz:
		if allow(w, r, http.MethodGet) {
			h.healthz(w)
		}
	case path == pathStatus:
		if allow(w, r, http.MethodGet) {
			w.Header().Set("Content-Type", typeJSON)
			// The client has gone if this fails.
			_ = json.NewEncoder(w).Encode(h.s.Health())
		}
	default:
		fail(w, http.StatusNotFound, "unknown path: there are POST /1/batch/{dataset}, GET /healthz and GET /status")
	}
}

func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", method)
	fail(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed here: use "+method)
	return false
}

func (h *handler) healthz(w http.ResponseWriter) {
	if h.s.Health().Draining {
		fail(w, http.StatusServiceUnavailable, "draining")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// problem is an error with its HTTP status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	body := append([]byte(`{"status":`), strconv.Itoa(status)...)
	body = event.AppendJSONString(append(body, `,"error":`...), text)
	_, _ = w.Write(append(body, "}\n"...))
}

func (h *handler) batch(w http.ResponseWriter, r *http.Request, rawDataset string) {
	team := r.Header.Get(headerTeam)
	if team == "" {
		team = r.Header.Get(headerTeamOld)
	}
	if text := checkTeam(team); text != "" {
		fail(w, http.StatusUnauthorized, text)
		return
	}
	dataset, err := url.PathUnescape(rawDataset)
	if err != nil {
		fail(w, http.StatusBadRequest, "the dataset's name is not escaped as a URL demands: "+err.Error())
		return
	}
	if text := checkDataset(dataset); text != "" {
		fail(w, http.StatusBadRequest, text)
		return
	}
	items, room, err := h.decode(r)
	defer func() { h.s.release(room) }()
	if err != nil {
		var p *problem
		switch {
		case errors.As(err, &p):
			if p.status == http.StatusTooManyRequests {
				h.s.shed(1)
			}
			fail(w, p.status, p.text)
		default: // event's own errors are texts for clients
			fail(w, http.StatusBadRequest, err.Error())
		}
		return
	}
	answer := h.accept(r, team, dataset, items)
	if answer.Code != http.StatusOK {
		fail(w, answer.Code, answer.Error)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(appendStatuses(make([]byte, 0, 32*len(answer.Statuses)), answer.Statuses))
}

// accept passes on the events that could be decoded and merges the answers with those for the others.
func (h *handler) accept(r *http.Request, team, dataset string, items []event.Item) Answer {
	events := make([]event.Event, 0, len(items))
	for i := range items {
		if items[i].Problem == "" {
			events = append(events, items[i].Event)
		}
	}
	var answer Answer
	if len(events) > 0 {
		answer = h.s.Accept(r.Context(), Request{Team: team, Dataset: dataset, Events: events, Receipts: r.Header.Get(headerReceipts) == receiptsKafka})
		if answer.Code != http.StatusOK || len(events) == len(items) {
			return answer
		}
	}
	merged := Answer{Code: http.StatusOK, Statuses: make([]Status, len(items))}
	bad := Totals{}
	for i, next := 0, 0; i < len(items); i++ {
		if items[i].Problem == "" {
			merged.Statuses[i] = answer.Statuses[next]
			next++
			continue
		}
		merged.Statuses[i] = Status{Code: Malformed, Error: items[i].Problem, Partition: -1, Offset: -1}
		bad.Malformed++
	}
	h.s.add(bad)
	return merged
}

// decode reads and decodes a request's body. The room it took is returned also with an error.
func (h *handler) decode(r *http.Request) ([]event.Item, load, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != typeJSON {
			return nil, load{}, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type %q is not supported: send application/json", kind)}
		}
	}
	if r.ContentLength > maxBody {
		return nil, load{}, tooLarge()
	}
	source, done, err := h.decompress(r)
	if err != nil {
		return nil, load{}, err
	}
	defer done()
	expect := r.ContentLength
	if r.Header.Get("Content-Encoding") != "" || expect < 0 {
		expect = readStep
	}
	body, room, err := h.read(source, expect)
	if err != nil {
		return nil, room, err
	}
	items, err := event.DecodeBatchJSON(body, h.s.r.Now())
	return items, room, err
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
