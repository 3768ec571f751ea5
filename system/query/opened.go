package query

import (
	"sync"

	"github.com/ratel-sim/ratel/system/segment"
)

// maxOpened bounds the bytes of segments that are kept open.
const maxOpened = 64 << 20

// opened keeps the latest segments that were read, checked and open. Dashboards read the same ones again and again, and
// checking a small segment and parsing its footer takes longer than scanning it. What was read is still compared byte by byte:
// an object that is damaged now is found, whatever it was before.
type opened struct {
	mu    sync.Mutex // never held across a blocking call
	byKey map[string]*segment.Segment
	order []string // of byKey, the oldest first
	bytes int64
}

// open is [segment.Open].
func (o *opened) open(info segment.Info, data []byte) (*segment.Segment, error) {
	o.mu.Lock()
	s := o.byKey[info.Key]
	o.mu.Unlock()
	if s != nil && s.Is(&info, data) {
		return s, nil
	}
	s, err := segment.Open(info, data)
	if err != nil || info.Bytes > maxOpened/8 {
		return s, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byKey[info.Key] != nil {
		return s, nil
	}
	o.byKey[info.Key], o.order = s, append(o.order, info.Key)
	for o.bytes += info.Bytes; o.bytes > maxOpened; o.order = o.order[1:] {
		oldest := o.byKey[o.order[0]].Info()
		o.bytes -= oldest.Bytes
		delete(o.byKey, o.order[0])
	}
	return s, nil
}
