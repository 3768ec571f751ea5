package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

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

// Bounds of latency histograms: 1 µs to 1 h with 3 significant digits.
const (
	latencyMin    = int64(1)
	latencyMax    = int64(time.Hour / time.Microsecond)
	latencyDigits = 3
)

// Latency is the latencies of some requests, from the intended time of sending to the answer.
type Latency struct {
	// Answered holds microseconds of the requests that were answered, whatever the answer.
	Answered *hdrhistogram.Histogram
	// Unanswered were given up or not sent; they have no latency, and a percentile that ignores them flatters.
	Unanswered int64
}

// Interval is the latencies of requests that were intended in [From, To).
type Interval struct {
	From, To time.Duration
	Latency
}

// Latencies sorts the ops into intervals by their intended time, beginning with 0, and makes a histogram of each.
// Intervals without requests are left out. Ops that are still open count as unanswered.
func Latencies(ops []Op, every time.Duration) []Interval {
	var out []Interval
	at := map[int64]int{} // interval -> index in out
	for i := range ops {
		op := &ops[i]
		k := int64(op.Intended / every)
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			from := time.Duration(k) * every
			out = append(out, Interval{From: from, To: from + every, Latency: Latency{Answered: hdrhistogram.New(latencyMin, latencyMax, latencyDigits)}})
		}
		out[j].record(op)
	}
	return out
}

func (l *Latency) record(op *Op) {
	if op.Code == 0 {
		l.Unanswered++
		return
	}
	us := int64((op.Done - op.Intended) / time.Microsecond)
	// Within the bounds, recording cannot fail.
	_ = l.Answered.RecordValue(min(max(us, latencyMin), latencyMax))
}
