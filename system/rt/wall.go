package rt

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Wall is a [Runtime] on the wall clock: tasks are goroutines, sleeps are timers. This file is the only one of the
// package that may use either.
type Wall struct {
	ctx     context.Context // of all tasks
	kill    context.CancelCauseFunc
	dead    chan struct{}
	once    sync.Once
	rand    *rand.Rand
	onPanic func(*PanicError)
	mu      sync.Mutex // orders Go against Kill, so that Wait misses no task
	killed  bool
	tasks   sync.WaitGroup
	parkers sync.Pool
}

var (
	_ Runtime = (*Wall)(nil)
	_ Checker = (*Wall)(nil)
)

// WallOption configures [NewWall].
type WallOption func(*Wall)

// OnPanic gives panics of tasks to f, on the panicking goroutine, instead of crashing the whole program.
func OnPanic(f func(*PanicError)) WallOption {
	return func(w *Wall) { w.onPanic = f }
}

// NewWall returns a runtime for one process on the wall clock. seed seeds Rand. By default a panic in a task crashes
// the program, as it does in any Go program.
func NewWall(seed uint64, opts ...WallOption) *Wall {
	ctx, kill := context.WithCancelCause(context.Background())
	w := &Wall{ctx: ctx, kill: kill, dead: make(chan struct{}), rand: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
	for _, opt := range opts {
		opt(w)
	}
	return w
}

// Now implements [Runtime].
func (w *Wall) Now() time.Time { return time.Now() }

// Sleep implements [Runtime].
func (w *Wall) Sleep(ctx context.Context, d time.Duration) error {
	if err := w.ended(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.dead:
		return ErrKilled
	}
}

// Go implements [Runtime]. After Kill it does nothing.
func (w *Wall) Go(name string, f func(ctx context.Context)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.killed {
		return
	}
	w.tasks.Add(1)
	go func() {
		defer w.tasks.Done()
		if w.onPanic != nil {
			defer func() {
				if v := recover(); v != nil {
					w.onPanic(&PanicError{Task: name, Value: v, Stack: debug.Stack()})
				}
			}()
		}
		f(w.ctx)
	}()
}

// WithTimeout implements [Runtime].
func (w *Wall) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// WithCancel implements [Runtime].
func (w *Wall) WithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// Rand implements [Runtime].
func (w *Wall) Rand() *rand.Rand { return w.rand }

// Check implements [Checker]. Goroutines cannot be killed, so it has nothing to stop.
func (w *Wall) Check() {}

// Kill ends the process: its tasks' context is cancelled and every blocking call, now or later, returns [ErrKilled].
// Unlike a simulated kill it cannot stop a task that does not block.
func (w *Wall) Kill() {
	w.once.Do(func() {
		w.mu.Lock()
		w.killed = true
		w.mu.Unlock()
		close(w.dead)
		w.kill(ErrKilled)
	})
}

// Wait returns when all tasks have returned.
func (w *Wall) Wait() { w.tasks.Wait() }

func (w *Wall) ended(ctx context.Context) error {
	select {
	case <-w.dead:
		return ErrKilled
	default:
		return ctx.Err()
	}
}

// NewParker implements [Runtime].
func (w *Wall) NewParker() Parker {
	if p, ok := w.parkers.Get().(*wallParker); ok {
		return p
	}
	return &wallParker{w: w, woken: make(chan struct{}, 1)}
}

// ReuseParker takes back a parker on which nobody parks and which nobody will wake.
func (w *Wall) ReuseParker(p Parker) {
	if p, ok := p.(*wallParker); ok && len(p.woken) == 0 {
		w.parkers.Put(p)
	}
}

type wallParker struct {
	w     *Wall
	woken chan struct{} // holds at most one wake-up
}

func (p *wallParker) Park(ctx context.Context) error {
	select {
	case <-p.woken: // a wake-up that came first wins over an ended ctx
		return nil
	default:
	}
	var err error
	select {
	case <-p.woken:
		return nil
	case <-p.w.dead:
		return ErrKilled
	case <-ctx.Done():
		err = ctx.Err()
	}
	select {
	case <-p.woken:
		return nil
	default:
	}
	if killed := p.w.ended(context.Background()); killed != nil {
		return killed
	}
	return err
}

func (p *wallParker) Wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}
