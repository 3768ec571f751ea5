package loadgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// Load is a running load.
type Load struct {
	r       rt.Runtime
	ctx     context.Context // of the requests
	stop    context.CancelFunc
	opts    Options
	targets []Target
	pacing  *rt.Group
	base    time.Duration // from the epoch to the start
	zero    time.Time     // the epoch as events' times have it: without a reading of the monotonic clock

	extended atomic.Bool

	mu       sync.Mutex // never held across a blocking call
	traffics []traffic
	hist     history
	stopping bool
	inflight int
	counters Counters
	quiet    *rt.Future[struct{}] // once stopping: done when nothing is in flight
}

// Counters count events by what became of them, and requests in flight.
type Counters struct {
	Offered   int64 // intended so far
	Accepted  int64
	Malformed int64
	Throttled int64
	Refused   int64
	Unknown   int64 // answered so, or not answered in time
	NotSent   int64
	InFlight  int64 // requests
}

// traffic is one Spec at work.
type traffic struct {
	spec     Spec
	index    int
	pacer    vegeta.Pacer
	datasets []string
	clients  []client
	turn     int // the client whose turn it is
	team     string
	make     maker
	idle     []*worker // a worker's memory is laid out for the traffic's events
}

// client is one producer.
type client struct {
	producer uint32
	seq      uint64 // of its next event
	batches  int    // sent so far: says which target and dataset are next
}

// keptBuffers is how many idle workers of a traffic keep their memory. After a stall there may be thousands.
const keptBuffers = 256

// worker sends one request at a time, in a task of its own.
type worker struct {
	l      *Load
	t      *traffic
	parker rt.Parker
	buf    *batch
	job    job
}

type job struct {
	op     *Op
	target *Target
	first  uint64
	count  int
}

// Start begins the load. ctx bounds the requests: when it ends, they are given up. Producers are numbered from 0 over
// all traffics in order. Errors: a spec that cannot be carried out, or no targets.
func Start(ctx context.Context, r rt.Runtime, opts Options, specs []Spec, targets []Target) (*Load, error) {
	var errs []error
	if len(targets) == 0 {
		errs = append(errs, errors.New("load: there is no shepherd to send to"))
	}
	for i := range specs {
		errs = append(errs, specs[i].check(i))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	now := r.Now()
	opts = opts.withDefaults(now, defaultMaxInFlight)
	l := &Load{r: r, ctx: ctx, opts: opts, targets: targets, base: now.Sub(opts.Epoch), zero: opts.Epoch.Round(0).UTC()}
	l.quiet = rt.NewFuture[struct{}](r)
	producer := uint32(0)
	l.traffics = make([]traffic, len(specs))
	for i, spec := range specs {
		t := traffic{spec: spec, index: i, pacer: spec.pacer(), team: cmp.Or(spec.Team, opts.Team), datasets: DatasetNames(i, spec.Datasets), make: spec.maker()}
		for range spec.Clients {
			// Clients begin with different shepherds and datasets.
			t.clients = append(t.clients, client{producer: producer, batches: int(producer)})
			producer++
		}
		l.traffics[i] = t
	}
	pacing, stop := r.WithCancel(ctx)
	l.stop = stop
	l.pacing, _ = rt.NewGroup(r, pacing)
	for i := range l.traffics {
		t := &l.traffics[i]
		l.pacing.Go("load pacer", func(ctx context.Context) error { l.pace(ctx, t); return nil })
	}
	return l, nil
}

// pace intends batches when the pacer says, a pure function of the time since the start.
func (l *Load) pace(ctx context.Context, t *traffic) {
	var at time.Duration // since the start
	for hits := uint64(0); ; hits++ {
		wait, stop := t.pacer.Pace(at, hits)
		if stop {
			return
		}
		at += max(wait, 0)
		if t.spec.Length > 0 && at >= t.spec.Length && !l.extended.Load() {
			return
		}
		if left := l.base + at - l.now(); left > 0 {
			if l.r.Sleep(ctx, left) != nil {
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		l.intend(t, l.base+at)
	}
}

func (l *Load) now() time.Duration { return l.r.Now().Sub(l.opts.Epoch) }

// intend enters a request into the history and gives it to a worker.
func (l *Load) intend(t *traffic, at time.Duration) {
	l.mu.Lock()
	c := &t.clients[t.turn]
	if t.turn++; t.turn == len(t.clients) {
		t.turn = 0
	}
	target := &l.targets[c.batches%len(l.targets)]
	op := l.hist.add()
	op.Traffic, op.Producer, op.FirstSeq, op.Count = t.index, c.producer, c.seq, t.spec.EventsPerBatch
	op.Dataset, op.Target, op.Intended = t.datasets[c.batches%len(t.datasets)], target.Name, at
	c.batches++
	c.seq += uint64(op.Count)
	l.counters.Offered += int64(op.Count)
	if l.inflight >= l.opts.MaxInFlight {
		op.Done, op.NotSent = l.now(), true
		op.Error = fmt.Sprintf("not sent: %d requests are waiting for an answer already, the load's own bound", l.inflight)
		l.counters.NotSent += int64(op.Count)
		l.mu.Unlock()
		return
	}
	l.inflight++
	j := job{op: op, target: target, first: op.FirstSeq, count: op.Count}
	var w *worker
	if n := len(t.idle); n > 0 {
		w, t.idle = t.idle[n-1], t.idle[:n-1]
		w.job = j
	}
	l.mu.Unlock()
	if w != nil {
		w.parker.Wake()
		return
	}
	w = &worker{l: l, t: t, parker: l.r.NewParker(), buf: &batch{}, job: j}
	l.r.Go("load client", w.run)
}

// run sends requests until the load has stopped.
func (w *worker) run(context.Context) {
	for {
		w.send(&w.job)
		l := w.l
		l.mu.Lock()
		stopping, quiet := l.stopping, l.stopping && l.inflight == 0
		if !stopping {
			// The last to be idle is the first to work again, so those that have waited longest let go of theirs.
			if n := len(w.t.idle); n >= keptBuffers {
				*w.t.idle[n-keptBuffers].buf = batch{}
			}
			w.t.idle = append(w.t.idle, w)
		}
		l.mu.Unlock()
		if quiet {
			l.quiet.Complete(struct{}{}, nil)
		}
		if stopping || w.parker.Park(l.ctx) != nil {
			return
		}
		l.mu.Lock()
		given := w.job.op != nil
		l.mu.Unlock()
		if !given {
			return // woken to end
		}
	}
}

// send carries one request out and enters its outcome into the history.
func (w *worker) send(j *job) {
	l, t := w.l, w.t
	sent := l.now()
	events := t.make.fill(w.buf, j.op.Producer, j.first, j.count, EventTime(l.zero, sent, 0))
	ctx, cancel := l.r.WithTimeout(l.ctx, t.spec.Timeout)
	answer, err := j.target.Ingest.Send(ctx, shepherd.Request{Team: t.team, Dataset: j.op.Dataset, Events: events, Receipts: l.opts.Receipts})
	late := ctx.Err() != nil
	cancel()
	done := l.now()
	if err != nil {
		w.buf = &batch{} // a request without an answer may still be read by the other side
	}
	l.mu.Lock()
	op := j.op
	op.Sent, op.Done = sent, done
	switch {
	case err != nil && errors.Is(err, port.ErrRefused):
		op.NotSent, op.Error = true, err.Error()
	case err != nil && late && errors.Is(err, context.DeadlineExceeded):
		op.Error = fmt.Sprintf("no answer within %v", t.spec.Timeout)
	case err != nil:
		op.Error = err.Error()
	case answer.Code == 200 && len(answer.Statuses) != j.count:
		op.Error = fmt.Sprintf("answered with %d statuses for %d events", len(answer.Statuses), j.count)
	default:
		op.Code, op.Error = answer.Code, answer.Error
		op.Parts = l.hist.partsOf(answer.Statuses)
	}
	l.counters.add(op)
	l.inflight--
	w.job.op = nil
	l.mu.Unlock()
}

// add counts a finished op.
func (c *Counters) add(op *Op) {
	if op.Code == 200 {
		for i := range op.Parts {
			p := &op.Parts[i]
			c.event(p.Code, int64(p.Count))
		}
		return
	}
	n := int64(op.Count)
	switch {
	case op.NotSent:
		c.NotSent += n
	case op.Code == 0:
		c.Unknown += n
	default:
		c.event(op.Code, n)
	}
}

func (c *Counters) event(code int, n int64) {
	switch code {
	case shepherd.Accepted:
		c.Accepted += n
	case shepherd.Throttled:
		c.Throttled += n
	case shepherd.Refused:
		c.Refused += n
	case shepherd.Unknown:
		c.Unknown += n
	default:
		c.Malformed += n
	}
}

// Extend has the load go on beyond its length, by its shape, until Stop.
func (l *Load) Extend() { l.extended.Store(true) }

// Stop ends the load: nothing more is intended, and it returns when every request has its outcome, or when ctx ends.
// Requests end by their timeout at the latest.
func (l *Load) Stop(ctx context.Context) {
	l.stop()
	if l.pacing.Wait(ctx) != nil {
		return
	}
	l.mu.Lock()
	l.stopping = true
	var idle []*worker
	for i := range l.traffics {
		idle = append(idle, l.traffics[i].idle...)
		l.traffics[i].idle = nil
	}
	quiet := l.inflight == 0
	l.mu.Unlock()
	for _, w := range idle {
		w.parker.Wake()
	}
	if quiet {
		l.quiet.Complete(struct{}{}, nil)
	}
	// Nobody is told whether it became quiet: the history says which requests are open.
	_, _ = l.quiet.Wait(ctx)
}

// InFlight is how many requests wait for an answer.
func (l *Load) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inflight
}

// Counters is a snapshot of all counters.
func (l *Load) Counters() Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counters
	c.InFlight = int64(l.inflight)
	return c
}

// Counts sums the counters up for progress lines: events offered, accepted, and answered otherwise or not at all, and
// requests in flight.
func (l *Load) Counts() (offered, accepted, failed, inFlight int64) {
	c := l.Counters()
	return c.Offered, c.Accepted, c.Malformed + c.Throttled + c.Refused + c.Unknown + c.NotSent, c.InFlight
}

// Look shows the requests of the given numbers and all from number first on to f, and returns the number of the next one
// that will be intended. Numbers count from 0 in the order of [Load.Ops]. f must not keep the op, nor call the load.
func (l *Load) Look(open []int, first int, f func(number int, op *Op)) (next int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, number := range open {
		f(number, l.hist.at(number))
	}
	n := l.hist.length()
	for number := first; number < n; number++ {
		f(number, l.hist.at(number))
	}
	return n
}

// Ops is the history so far, in the order in which the requests were intended within each traffic. Requests without an
// outcome yet have Done -1.
func (l *Load) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hist.all()
}
