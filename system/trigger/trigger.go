package trigger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/lock"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	// lockName is the lock that the leading worker holds.
	lockName = "trigger"
	// leadPause is between two terms of one worker, so that one that is fenced at once does not spin.
	leadPause = 500 * time.Millisecond
	// retryPause is after an operation of the metadata store that failed, doubled up to retryLast.
	retryPause = 200 * time.Millisecond
	retryLast  = 5 * time.Second
	// storeTimeout bounds one operation of the metadata store.
	storeTimeout = 5 * time.Second
)

// Worker is one of those of which one leads.
type Worker struct {
	r       rt.Runtime
	ports   port.Ports
	cfg     Config
	queries []string
	name    string
	bugs    planted.Set
	topic   string // whose counts burn alerts wait for; empty: they do not wait
	lock    *lock.Lock

	mu     sync.Mutex // never held across a blocking call
	turn   int        // which query node is asked first
	term   *term      // nil unless it leads
	totals Totals
}

// Option configures [New].
type Option func(*Worker)

// Counting makes burn alerts wait until everything that the log's topic had at the window's end is counted. Without it,
// they are judged by what is counted when they are looked at.
func Counting(topic string) Option { return func(w *Worker) { w.topic = topic } }

// New makes a worker. queries are the query nodes that it asks, name is its own node. Errors: a setup that cannot work.
func New(r rt.Runtime, ports port.Ports, cfg Config, queries []string, name string, bugs planted.Set, opts ...Option) (*Worker, error) {
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"refresh_every", cfg.RefreshEvery}, {"patience", cfg.Patience}, {"deliver_every", cfg.DeliverEvery}} {
		if d.is <= 0 {
			return nil, fmt.Errorf("trigger: %s is %v: expected more than 0", d.name, d.is)
		}
	}
	switch {
	case cfg.Settle < 0:
		return nil, fmt.Errorf("trigger: settle is %v: expected 0 or more", cfg.Settle)
	case cfg.Parallel < 1:
		return nil, fmt.Errorf("trigger: parallel is %d: expected at least 1", cfg.Parallel)
	case len(queries) == 0:
		return nil, errors.New("trigger: there is no query node to ask")
	case ports.Definitions == nil || ports.Evaluations == nil || ports.Peers == nil || ports.Webhooks == nil:
		return nil, errors.New("trigger: definitions, evaluations, peers and webhooks are needed")
	}
	if ports.Events == nil {
		ports.Events = port.Discard{}
	}
	l, err := lock.New(r, ports.Coordination, lockName, name, cfg.SessionTimeout, bugs)
	if err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	w := &Worker{r: r, ports: ports, cfg: cfg, queries: queries, name: name, bugs: bugs, lock: l}
	for _, opt := range opts {
		opt(w)
	}
	ports.Telemetry.OnTick(w.tick)
	return w, nil
}

func (w *Worker) announce(kind, format string, args ...any) {
	w.ports.Events.Announce(port.Event{Kind: kind, Node: w.name, Part: -1, Detail: fmt.Sprintf(format, args...)})
}

// Run waits for the lock and leads while it is held, again and again, until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	for {
		held, err := w.lock.Acquire(ctx)
		if err != nil {
			return nil //nolint:nilerr // it tries until ctx ends, which is not an error of this worker
		}
		w.lead(ctx, held)
		held.Release(ctx)
		if w.r.Sleep(ctx, leadPause) != nil {
			return nil //nolint:nilerr // the term, or the worker, is over
		}
	}
}

// lead is one term: from the lock's acquisition until it is lost, somebody else turns out to lead, or ctx ends. Whatever
// belongs to the term has ended when it returns.
func (w *Worker) lead(ctx context.Context, held *lock.Held) {
	group, _ := rt.NewGroup(w.r, ctx)
	t := newTerm(w, held)
	w.mu.Lock()
	w.term = t
	w.totals.Terms++
	w.mu.Unlock()
	w.announce(port.EventLeaderUp, "epoch %d", held.Epoch)
	// It is over as soon as the lock is, not only once all tasks have come to their ends.
	held.Lost.OnDone(func(why error, _ error) { t.depose(why.Error()) })
	group.Go("mind the lock", func(ctx context.Context) error {
		why, err := held.Lost.Wait(ctx)
		if err != nil {
			return nil //nolint:nilerr // the term is over
		}
		if t.unfenced() {
			_ = w.r.Sleep(ctx, w.cfg.RefreshEvery) // planted bug: a leader looks at its lock now and then, and works on meanwhile
		}
		return why
	})
	group.Go("lead", t.run)
	err := group.Wait(context.WithoutCancel(ctx))
	switch {
	case ctx.Err() != nil:
		t.depose("it was stopped")
	case err != nil:
		t.depose(err.Error())
	default:
		t.depose("it came to its end")
	}
	w.mu.Lock()
	w.term = nil
	w.mu.Unlock()
}

// store does an operation of the metadata store until its outcome is certain, the worker is fenced, or ctx ends. What
// certain errors mean is for the caller.
func (w *Worker) store(ctx context.Context, do func(ctx context.Context) error) error {
	for pause := retryPause; ; pause = min(2*pause, retryLast) {
		limited, cancel := w.r.WithTimeout(ctx, storeTimeout)
		err := do(limited)
		cancel()
		if err == nil || errors.Is(err, port.ErrFenced) || errors.Is(err, port.ErrNotFound) || ctx.Err() != nil {
			return err
		}
		w.trouble(err)
		if again := w.r.Sleep(ctx, pause); again != nil {
			return again
		}
	}
}

// trouble remembers what does not work, for whoever looks at the status.
func (w *Worker) trouble(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.totals.Troubles++
	w.totals.Trouble = brief(err.Error())
}
