package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// field is where workers hold partitions; it notices when two hold the same.
type field struct {
	mu     sync.Mutex
	holder map[int32]string
	clash  []string
}

func (f *field) hold(who string, partitions []int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range partitions {
		if other := f.holder[p]; other != "" && other != who {
			f.clash = append(f.clash, fmt.Sprintf("%s got partition %d, which %s holds", who, p, other))
		}
		f.holder[p] = who
	}
}

func (f *field) drop(who string, keep []int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, holder := range f.holder {
		if holder == who && !slices.Contains(keep, p) {
			delete(f.holder, p)
		}
	}
}

func (f *field) held(who string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, holder := range f.holder {
		if holder == who {
			n++
		}
	}
	return n
}

func (f *field) all() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.holder)
}

// worker does what a consumer does with a member.
type worker struct {
	name   string
	m      *Member
	f      *field
	drain  time.Duration // how long it takes to give partitions up
	unsure bool          // it holds nothing for certain while it joins: another may have evicted it

	mu     sync.Mutex
	given  []Assignment
	ended  error
	cancel context.CancelFunc
	done   chan struct{}
}

func startWorker(t interface{ Fatal(...any) }, r rt.Runtime, g port.Groups, cfg Config, f *field, change ...func(*worker)) *worker {
	w := &worker{name: cfg.ClientID, m: newTestMember(t, r, g, cfg), f: f, done: make(chan struct{})}
	for _, c := range change {
		c(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		defer close(w.done)
		err := w.run(ctx, r)
		w.mu.Lock()
		w.ended = err
		w.mu.Unlock()
	}()
	return w
}

func (w *worker) run(ctx context.Context, r rt.Runtime) error {
	var owned []int32
	defer w.f.drop(w.name, nil)
	for {
		if w.unsure {
			w.f.drop(w.name, nil)
		}
		a, err := w.m.Join(ctx, owned)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.given = append(w.given, a)
		w.mu.Unlock()
		if a.Lost {
			w.f.drop(w.name, nil)
		}
		w.f.drop(w.name, a.Partitions)
		w.f.hold(w.name, a.Partitions)
		owned = a.Partitions
		if a.Rejoin {
			continue
		}
		why, err := a.Over.Wait(ctx)
		if err != nil {
			return err
		}
		if !errors.Is(why, port.ErrRebalanceInProgress) {
			owned = nil
			w.f.drop(w.name, nil)
			continue
		}
		if !w.m.Cooperative() {
			owned = nil
			if err := r.Sleep(ctx, w.drain); err != nil {
				return err
			}
			w.f.drop(w.name, nil)
		}
	}
}

// stop ends the worker as a crash does: without a word to the coordinator.
func (w *worker) stop() {
	w.cancel()
	<-w.done
	w.m.endHeartbeats(nil)
}

func (w *worker) last() Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.given) == 0 {
		return Assignment{}
	}
	return w.given[len(w.given)-1]
}

func (w *worker) joins() int { return len(w.all()) }

func (w *worker) all() []Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.given)
}

func newField() *field { return &field{holder: map[int32]string{}} }
