package loadgen

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
)

// ReaderSpec is one reader: it asks about a team's datasets all through the run, whatever it is answered.
type ReaderSpec struct {
	Name     string
	Team     string // API key; empty means Options.Team
	Datasets []string
	Every    time.Duration
	Shapes   []string      // in turn: each shape for the first dataset, then each for the next
	Timeout  time.Duration // how long it waits for an answer
}

// QueryTarget is one query node and its name.
type QueryTarget struct {
	Name    string
	Querier query.Querier
}

// defaultMaxQueries bounds the queries in flight if the options do not.
const defaultMaxQueries = 200

// QueryOp is one query and what it was answered. Times are since Options.Epoch.
type QueryOp struct {
	Reader   int // index in the specs
	Shape    string
	Team     string // API key
	Dataset  string
	Spec     json.RawMessage
	Target   string        // the query node
	Intended time.Duration // latency counts from here
	Sent     time.Duration // -1 if it was never handed to the target
	Done     time.Duration // when the answer came or was given up; -1 while neither
	Code     int           // HTTP status; 0 when no answer came: Error says why
	Error    string
	// Of an answer with a result.
	Complete bool
	Missing  []query.Missing
	Result   *exec.Result
}

// Readers are running readers.
type Readers struct {
	r       rt.Runtime
	ctx     context.Context // of the queries
	opts    Options
	specs   []ReaderSpec
	targets []QueryTarget
	base    time.Duration // from the epoch to the start
	stop    context.CancelFunc
	pacing  *rt.Group

	mu       sync.Mutex // never held across a blocking call
	ops      []*QueryOp
	stopping bool
	inflight int
	counts   QueryCounts
	quiet    *rt.Future[struct{}] // once stopping: done when nothing is in flight
}

// QueryCounts count queries by what became of them.
type QueryCounts struct {
	Asked    int64 // intended so far
	Complete int64 // answered in full
	Partial  int64 // answered with something missing
	Failed   int64 // answered with an error
	NoAnswer int64 // not answered in time, not at all, or not sent
	InFlight int64
}

// StartReaders begins the readers. The run is taken to have begun at opts.Epoch: no event is older. ctx bounds the queries: when it ends, they are given up. Errors: a spec that cannot be
// carried out, or readers without targets.
func StartReaders(ctx context.Context, r rt.Runtime, opts Options, specs []ReaderSpec, targets []QueryTarget) (*Readers, error) {
	var errs []error
	if len(targets) == 0 && len(specs) > 0 {
		errs = append(errs, errors.New("readers: there is no query node to ask"))
	}
	for i := range specs {
		errs = append(errs, specs[i].check(i))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	now := r.Now()
	opts = opts.withDefaults(now, defaultMaxQueries)
	a := &Readers{r: r, ctx: ctx, opts: opts, specs: specs, targets: targets, base: now.Sub(opts.Epoch), quiet: rt.NewFuture[struct{}](r)}
	pacing, stop := r.WithCancel(ctx)
	a.stop = stop
	a.pacing, _ = rt.NewGroup(r, pacing)
	for i := range specs {
		a.pacing.Go("reader", func(ctx context.Context) error { a.pace(ctx, i); return nil })
	}
	return a, nil
}

// check says everything that is wrong with the spec.
func (s *ReaderSpec) check(index int) error {
	var errs []error
	who := "reader " + strconv.Itoa(index)
	if s.Name != "" {
		who += " (" + s.Name + ")"
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(who+": "+format, args...)) }
	if len(s.Datasets) == 0 {
		bad("it has no datasets, expected at least 1")
	}
	if len(s.Shapes) == 0 {
		bad("it has no shapes, expected some of %q", QueryShapes())
	}
	for _, shape := range s.Shapes {
		if !slices.Contains(QueryShapes(), shape) {
			bad("there is no shape %q, expected one of %q", shape, QueryShapes())
		}
	}
	if s.Every < time.Millisecond {
		bad("it asks every %v, expected at least 1ms", s.Every)
	}
	if s.Timeout <= 0 {
		bad("its timeout is %v, expected more than 0", s.Timeout)
	}
	return errors.Join(errs...)
}

func (a *Readers) now() time.Duration { return a.r.Now().Sub(a.opts.Epoch) }

// intendedAt is when a reader's n-th query is intended, since the start: readers are spread over their interval.
func (a *Readers) intendedAt(reader, n int) time.Duration {
	every := a.specs[reader].Every
	return time.Duration(n)*every + every*time.Duration(reader+1)/time.Duration(len(a.specs))
}

// pace intends queries on an absolute schedule.
func (a *Readers) pace(ctx context.Context, reader int) {
	for n := 0; ; n++ {
		at := a.base + a.intendedAt(reader, n)
		if left := at - a.now(); left > 0 {
			if a.r.Sleep(ctx, left) != nil {
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		a.intend(reader, n, at)
	}
}

// intend enters a query into the history and sends it in a task of its own.
func (a *Readers) intend(reader, n int, at time.Duration) {
	s := &a.specs[reader]
	shape, round := s.Shapes[n%len(s.Shapes)], n/len(s.Shapes)
	// Rounds begin with different nodes, so that each shape comes to each.
	target := &a.targets[(reader+n+round)%len(a.targets)]
	op := &QueryOp{
		Reader: reader, Shape: shape, Team: cmp.Or(s.Team, a.opts.Team), Dataset: s.Datasets[round%len(s.Datasets)],
		Target: target.Name, Intended: at, Sent: -1, Done: -1,
	}
	a.mu.Lock()
	a.ops = append(a.ops, op)
	a.counts.Asked++
	if a.inflight >= a.opts.MaxInFlight {
		op.Done = a.now()
		op.Error = fmt.Sprintf("not sent: %d queries are waiting for an answer already, the readers' own bound", a.inflight)
		a.counts.NoAnswer++
		a.mu.Unlock()
		return
	}
	a.inflight++
	a.mu.Unlock()
	a.r.Go("reader's query", func(context.Context) {
		a.ask(op, s.Timeout, target)
		a.mu.Lock()
		a.inflight--
		quiet := a.stopping && a.inflight == 0
		a.mu.Unlock()
		if quiet {
			a.quiet.Complete(struct{}{}, nil)
		}
	})
}

// ask sends one query and enters its outcome into the history.
func (a *Readers) ask(op *QueryOp, timeout time.Duration, target *QueryTarget) {
	sent := a.now()
	// As events' times do, the window follows from the epoch and the history, whatever happens to the wall clock.
	spec := SpecFor(op.Shape, a.opts.Epoch.Add(sent), a.opts.Epoch)
	ctx, cancel := a.r.WithTimeout(a.ctx, timeout)
	answer, err := target.Querier.Query(ctx, query.Request{Team: op.Team, Dataset: op.Dataset, Spec: spec, DisableSeries: !WantsSeries(op.Shape)})
	late := ctx.Err() != nil
	cancel()
	done := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	op.Spec, op.Sent, op.Done = spec, sent, done
	switch {
	case err != nil && late && errors.Is(err, context.DeadlineExceeded):
		op.Error = fmt.Sprintf("no answer within %v", timeout)
	case err != nil:
		op.Error = err.Error()
	case answer.Code == 200 && answer.Result == nil:
		op.Error = "answered with code 200 but without a result"
	case answer.Code == 0:
		op.Error = "answered without a code: " + answer.Error
	default:
		op.Code, op.Error = answer.Code, answer.Error
		op.Complete, op.Missing, op.Result = answer.Complete, answer.Missing, answer.Result
	}
	switch {
	case op.Code == 0:
		a.counts.NoAnswer++
	case op.Code != 200:
		a.counts.Failed++
	case op.Complete:
		a.counts.Complete++
	default:
		a.counts.Partial++
	}
}

// Stop ends the readers: nothing more is intended, and it returns when every query has its outcome, or when ctx ends.
// Queries end by their timeout at the latest.
func (a *Readers) Stop(ctx context.Context) {
	a.stop()
	if a.pacing.Wait(ctx) != nil {
		return
	}
	a.mu.Lock()
	a.stopping = true
	quiet := a.inflight == 0
	a.mu.Unlock()
	if quiet {
		a.quiet.Complete(struct{}{}, nil)
	}
	// Nobody is told whether it became quiet: the history says which queries are open.
	_, _ = a.quiet.Wait(ctx)
}

// Counts is a snapshot of all counters, for progress lines.
func (a *Readers) Counts() QueryCounts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts
	c.InFlight = int64(a.inflight)
	return c
}

// Look shows the queries of the given numbers and all from number first on to f, as [Load.Look] does.
func (a *Readers) Look(open []int, first int, f func(number int, op *QueryOp)) (next int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, number := range open {
		f(number, a.ops[number])
	}
	for number := first; number < len(a.ops); number++ {
		f(number, a.ops[number])
	}
	return len(a.ops)
}

// Ops is the history so far, in the order in which the queries were intended. Queries without an outcome yet have Done -1.
func (a *Readers) Ops() []QueryOp {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]QueryOp, len(a.ops))
	for i, op := range a.ops {
		out[i] = *op
	}
	return out
}
