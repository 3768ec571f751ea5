package loadgen

import (
	"time"

	"github.com/ratel-sim/ratel/system/shepherd"
)

// Op is one request of a client: a batch of events with dense sequence numbers FirstSeq … FirstSeq+Count-1 of Producer.
// Times are since Options.Epoch.
type Op struct {
	Traffic  int
	Producer uint32 // from 0, over all traffics
	FirstSeq uint64 // the first event's sequence is 0
	Count    int
	Dataset  string
	Target   string // the shepherd's node
	Intended time.Duration
	Sent     time.Duration // -1 if it was never handed to the target
	Done     time.Duration // when the answer came or was given up; -1 while neither
	Code     int           // HTTP status; 0 when no answer came
	Error    string
	// NotSent: no answer came and the request certainly never reached a shepherd. Else, without an answer, every event's
	// outcome is unknown.
	NotSent bool
	Parts   []Part // covers the batch in order when Code is 200
}

// Part is a run of consecutive events of a batch that were answered alike.
type Part struct {
	Count     int
	Code      int // a shepherd status code
	Error     string
	Partition int32 // with Offset, the receipt; -1 when there is none
	Offset    int64
}

// opsPerBlock keeps ops in place as the history grows.
const opsPerBlock = 256

// history is the ops in the order in which they were intended. Its methods are called under the load's lock.
type history struct {
	blocks [][]Op
	parts  []Part // slab for ops of one part, which are nearly all
	merged []Part // scratch
}

func (h *history) add() *Op {
	if n := len(h.blocks); n == 0 || len(h.blocks[n-1]) == opsPerBlock {
		h.blocks = append(h.blocks, make([]Op, 0, opsPerBlock))
	}
	last := &h.blocks[len(h.blocks)-1]
	*last = append(*last, Op{Sent: -1, Done: -1})
	return &(*last)[len(*last)-1]
}

func (h *history) all() []Op {
	n := 0
	for _, b := range h.blocks {
		n += len(b)
	}
	ops := make([]Op, 0, n)
	for _, b := range h.blocks {
		ops = append(ops, b...)
	}
	return ops
}

// at is the op of a number, counted from 0 in the order in which they were intended.
func (h *history) at(number int) *Op {
	return &h.blocks[number/opsPerBlock][number%opsPerBlock]
}

func (h *history) length() int {
	n := len(h.blocks)
	if n == 0 {
		return 0
	}
	return (n-1)*opsPerBlock + len(h.blocks[n-1])
}

// partsOf joins consecutive statuses that are alike.
func (h *history) partsOf(statuses []shepherd.Status) []Part {
	m := h.merged[:0]
	for i := range statuses {
		s := &statuses[i]
		if n := len(m); n > 0 && m[n-1].Code == s.Code && m[n-1].Offset == s.Offset && m[n-1].Partition == s.Partition && m[n-1].Error == s.Error {
			m[n-1].Count++
			continue
		}
		m = append(m, Part{Count: 1, Code: s.Code, Error: s.Error, Partition: s.Partition, Offset: s.Offset})
	}
	h.merged = m
	if len(h.parts) < len(m) {
		h.parts = make([]Part, max(opsPerBlock, len(m)))
	}
	own := h.parts[:len(m):len(m)]
	h.parts = h.parts[len(m):]
	copy(own, m)
	return own
}
