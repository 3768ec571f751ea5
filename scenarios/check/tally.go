package check

import (
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// outcome is how an event was answered, or not.
type outcome uint8

const (
	wasAccepted outcome = iota
	wasThrottled
	wasRefused
	wasMalformed
	wasUnknown
	wasNotSent
)

// outcomeOf reads a status code, of an event or of a whole request. Only what a shepherd certainly did not store counts as
// throttled, refused or malformed; every other code leaves it open.
func outcomeOf(code int, whole bool) outcome {
	switch {
	case code == shepherd.Accepted && !whole:
		return wasAccepted
	case code == shepherd.Throttled:
		return wasThrottled
	case code == shepherd.Refused:
		return wasRefused
	case code == shepherd.Malformed:
		return wasMalformed
	case whole && code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout:
		return wasRefused
	}
	return wasUnknown
}

func (c *Counts) add(o outcome, n int64) {
	c.Offered += n
	switch o {
	case wasAccepted:
		c.Accepted += n
	case wasThrottled:
		c.Throttled += n
	case wasRefused:
		c.Refused += n
	case wasMalformed:
		c.Malformed += n
	case wasNotSent:
		c.NotSent += n
	case wasUnknown:
		c.Unknown += n
	}
}

func (c *Counts) merge(o Counts) {
	c.Offered += o.Offered
	c.Accepted += o.Accepted
	c.Throttled += o.Throttled
	c.Refused += o.Refused
	c.Malformed += o.Malformed
	c.Unknown += o.Unknown
	c.NotSent += o.NotSent
}

// eachPart calls f with the consecutive events of an operation that fared alike. part is nil where no single answer speaks of them.
func eachPart(o *evidence.Op, f func(first, n uint64, out outcome, part *evidence.Part)) {
	seq, left := o.FirstSeq, uint64(o.Count)
	switch {
	case o.Code == http.StatusOK:
		for i := range o.Parts {
			p := &o.Parts[i]
			if p.Count <= 0 || left == 0 {
				continue
			}
			n := min(uint64(p.Count), left)
			f(seq, n, outcomeOf(p.Code, false), p)
			seq, left = seq+n, left-n
		}
		if left > 0 { // the answer does not cover the batch: the evidence check tells it
			f(seq, left, wasUnknown, nil)
		}
	case o.Code == 0 && o.NotSent:
		f(seq, left, wasNotSent, nil)
	case o.Code == 0:
		f(seq, left, wasUnknown, nil)
	default:
		f(seq, left, outcomeOf(o.Code, true), nil)
	}
}

// maxLedger is how many events a judgement follows at most; five sets of them take 2.5 GiB.
const maxLedger = 1 << 32

// producers numbers the producers densely.
type producers struct {
	direct []int32 // for small names: index+1
	sparse map[uint32]int32
	spans  []uint64 // each one's sequences are below this
	counts []uint64 // how many of its events there are
	ids    []uint32
}

const directProducers = 1 << 16

func (p *producers) find(id uint32) (int, bool) {
	if id < uint32(len(p.direct)) {
		i := p.direct[id]
		return int(i) - 1, i > 0
	}
	i, ok := p.sparse[id]
	return int(i), ok
}

func (p *producers) add(id uint32) int {
	if i, ok := p.find(id); ok {
		return i
	}
	i := len(p.ids)
	p.ids, p.spans, p.counts = append(p.ids, id), append(p.spans, 0), append(p.counts, 0)
	if id < directProducers {
		for uint32(len(p.direct)) <= id {
			p.direct = append(p.direct, 0)
		}
		p.direct[id] = int32(i) + 1
		return i
	}
	if p.sparse == nil {
		p.sparse = map[uint32]int32{}
	}
	p.sparse[id] = int32(i)
	return i
}

// stats is what the pass over the operations gave for people.
type stats struct {
	phases []PhaseStats
	stages []StageStats
	series Series
}

// usable says whether an operation can be counted, and notes why not.
func (r *run) usable(o *evidence.Op) bool {
	switch {
	case o.Count <= 0 || o.Count > plan.MaxBatchEvents:
		r.problem("operations", "producer %d, sequence %d: a batch of %d events, expected 1 to %d", o.Producer, o.FirstSeq, o.Count, plan.MaxBatchEvents)
		return false
	}
	return true
}

// sparsest: an operation whose sequence is higher than so many times what its producer sent, and some, is damaged, rather than
// that so many operations are missing. The sets of the ledger have a bit for each sequence below the highest.
const (
	sparsest    = 64
	sparseSlack = 1 << 16
)

// dense says whether the sequence of an operation of producer p can be true, and notes if not.
func (r *run) dense(p int, o *evidence.Op) bool {
	most := sparsest*r.prods.counts[p] + sparseSlack
	if o.FirstSeq <= most {
		return true
	}
	r.problem("operations", "producer %d: sequence %d, where %d events of it are known: sequences are dense, so it is damaged", o.Producer, o.FirstSeq, r.prods.counts[p])
	return false
}

// consistent notes what is wrong with a usable operation that is counted all the same.
func (r *run) consistent(o *evidence.Op) {
	if o.Code != 0 && o.Done < o.Intended {
		r.problem("operations", "producer %d, sequence %d: answered at %v, before it was to be sent at %v", o.Producer, o.FirstSeq, o.Done, o.Intended)
	}
	if o.Code != 0 && o.NotSent {
		r.problem("operations", "producer %d, sequence %d: never sent, and answered with %d", o.Producer, o.FirstSeq, o.Code)
	}
	if o.Code != http.StatusOK {
		return
	}
	covered, whole := 0, true
	for i := range o.Parts {
		p := &o.Parts[i]
		if p.Count <= 0 || p.Count > o.Count {
			whole = false
			continue
		}
		covered += p.Count
		if p.Code == shepherd.Accepted && (p.Offset < -1 || p.Offset >= 0 && (p.Partition < 0 || p.Partition >= r.plan.System.Kafka.Partitions)) {
			r.problem("receipts", "producer %d, sequence %d: a receipt of partition %d, offset %d, where there are %d partitions", o.Producer, o.FirstSeq, p.Partition, p.Offset, r.plan.System.Kafka.Partitions)
		}
	}
	if !whole || covered != o.Count {
		r.problem("operations", "producer %d, sequence %d: the answer covers %d of %d events", o.Producer, o.FirstSeq, covered, o.Count)
	}
}

// tally makes the pass over the operations: the ledger's sets, and counts and latencies by phase and moment.
func (r *run) tally() {
	ops := r.e.Ops
	skip := make([]bool, len(ops))
	events := uint64(0)
	r.opPhase = make([]int32, len(ops))
	for i := range ops {
		o := &ops[i]
		r.opPhase[i] = int32(r.phaseAt(o.Intended))
		if skip[i] = !r.usable(o); !skip[i] {
			r.prods.counts[r.prods.add(o.Producer)] += uint64(o.Count)
		}
	}
	for i := range ops {
		if skip[i] {
			continue
		}
		o := &ops[i]
		p, _ := r.prods.find(o.Producer)
		if skip[i] = !r.dense(p, o); !skip[i] {
			r.prods.spans[p] = max(r.prods.spans[p], o.FirstSeq+uint64(o.Count))
		}
	}
	for _, span := range r.prods.spans {
		events += span
	}
	if events > maxLedger {
		r.opsMissing = "the sequences go further than this build follows"
		r.problem("sequences", "producers' sequences reach %d events in all, more than the %d that are followed", events, uint64(maxLedger))
		r.stats = newCollector(r).stats()
		return
	}
	for p, span := range r.prods.spans {
		for _, l := range []*ledger.Ledger{&r.offered, &r.accepted, &r.denied} {
			l.Producer(p).Reserve(span)
		}
	}
	c := newCollector(r)
	for i := range ops {
		o := &ops[i]
		if skip[i] {
			continue
		}
		r.consistent(o)
		p, _ := r.prods.find(o.Producer)
		if twice := r.offered.Producer(p).MarkRange(o.FirstSeq, uint64(o.Count)); twice > 0 {
			r.problem("sequences", "producer %d: %d events from sequence %d on were sent twice", o.Producer, twice, o.FirstSeq)
		}
		c.begin(o, int(r.opPhase[i]))
		eachPart(o, func(first, n uint64, out outcome, _ *evidence.Part) {
			switch out {
			case wasAccepted:
				r.accepted.Producer(p).MarkRange(first, n)
			case wasThrottled, wasRefused, wasMalformed, wasNotSent:
				r.denied.Producer(p).MarkRange(first, n)
			case wasUnknown:
			}
			c.count(o, out, int64(n))
		})
	}
	for p, id := range r.prods.ids {
		if have := r.offered.Producer(p).Len(); have < r.prods.spans[p] {
			r.problem("sequences", "producer %d: %d of its %d sequences are not in the history", id, r.prods.spans[p]-have, r.prods.spans[p])
		}
	}
	r.allowed = r.offered.Without(&r.denied)
	r.total = c.total
	r.stats = c.stats()
}

// lateness is the bound on how late the load generator itself may send: above it, latencies say more about it than about the system.
const lateness = time.Second
