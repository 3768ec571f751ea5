package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// op is one operation of a task in a property test.
type op struct {
	Kind    int           // what the test makes of it
	N       int64         // units
	Pause   time.Duration // before it
	Timeout time.Duration // 0: none
}

func drawTasks(t *rapid.T, kinds int, units int64) [][]op {
	ms := func(lo, hi int, label string) time.Duration {
		return time.Duration(rapid.IntRange(lo, hi).Draw(t, label)) * time.Millisecond
	}
	one := rapid.Custom(func(t *rapid.T) op {
		return op{
			Kind: rapid.IntRange(0, kinds-1).Draw(t, "kind"), N: rapid.Int64Range(1, max(units, 1)).Draw(t, "n"),
			Pause: ms(0, 3, "pause"), Timeout: ms(0, 4, "timeout"),
		}
	})
	return rapid.SliceOfN(rapid.SliceOfN(one, 1, 12), 1, 6).Draw(t, "tasks")
}

// play runs every task's operations in one process under a drawn schedule, twice, and compares the hashes.
func play(t *rapid.T, tasks [][]op, setup func(s *sched.Sim, p *sched.Process) (do func(ctx context.Context, task int, o op), end func(ctx context.Context))) {
	seed := rapid.Uint64().Draw(t, "seed")
	var hashes [2]uint64
	for i := range hashes {
		s := sched.New(seed)
		p := s.Process("p")
		do, end := setup(s, p)
		g, _ := rt.NewGroup(p, context.Background())
		for task, ops := range tasks {
			g.Go("task", func(ctx context.Context) error {
				for _, o := range ops {
					_ = p.Sleep(ctx, o.Pause)
					one, cancel := ctx, context.CancelFunc(func() {})
					if o.Timeout > 0 {
						one, cancel = p.WithTimeout(ctx, o.Timeout)
					}
					do(one, task, o)
					cancel()
				}
				return nil
			})
		}
		p.Go("end", func(ctx context.Context) {
			_ = p.Sleep(ctx, time.Hour)
			end(ctx)
			if err := g.Wait(ctx); err != nil {
				t.Errorf("group: %v", err)
			}
			s.Stop()
		})
		if err := s.Run(2 * time.Hour); err != nil {
			t.Errorf("run: %v", err)
		}
		if s.Now() > time.Hour+time.Second {
			t.Errorf("tasks still wait although all was released: a wake-up was lost")
		}
		hashes[i] = s.Hash()
		s.Close()
	}
	if hashes[0] != hashes[1] {
		t.Errorf("two runs of seed %d differ", seed)
	}
}

// TestQueueModel: under any schedule a queue behaves like a slice, and a timeout is right to have happened.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(0, 3).Draw(t, "capacity")
		tasks := drawTasks(t, 4, 1)
		play(t, tasks, func(s *sched.Sim, p *sched.Process) (func(context.Context, int, op), func(context.Context)) {
			q := rt.NewQueue[int](p, capacity)
			var model []int
			next := 0
			hadNone, hadNoRoom := time.Duration(0), time.Duration(-1) // when the model was last empty, last full
			note := func() {
				if len(model) == 0 {
					hadNone = s.Now()
				}
				if capacity > 0 && len(model) == capacity {
					hadNoRoom = s.Now()
				}
				if capacity > 0 && len(model) > capacity || len(model) != q.Len() {
					t.Errorf("%d elements in the queue, %d in the model, capacity %d", q.Len(), len(model), capacity)
				}
			}
			popped := func(v int) {
				if capacity > 0 && len(model) == capacity {
					hadNoRoom = s.Now()
				}
				if len(model) == 0 || model[0] != v {
					t.Errorf("popped %d, the model holds %v", v, model)
					return
				}
				model = model[1:]
				note()
			}
			pushed := func(v int) {
				if len(model) == 0 {
					hadNone = s.Now()
				}
				model = append(model, v)
				note()
			}
			note()
			do := func(ctx context.Context, _ int, o op) {
				v := next
				next++
				switch o.Kind {
				case 0:
					if err := q.Push(ctx, v); err == nil {
						pushed(v)
					} else if full := len(model) == capacity || hadNoRoom == s.Now(); !errors.Is(err, rt.ErrClosed) && (capacity == 0 || !full) {
						t.Errorf("Push at %v: %v, although there has been room since %v", s.Now(), err, hadNoRoom)
					}
				case 1:
					if v, err := q.Pop(ctx); err == nil {
						popped(v)
					} else if empty := len(model) == 0 || hadNone == s.Now(); s.Now() < time.Hour && !empty {
						t.Errorf("Pop at %v: %v, although there have been elements since %v", s.Now(), err, hadNone)
					}
				case 2:
					if q.TryPush(v) {
						pushed(v)
					}
				case 3:
					if v, ok := q.TryPop(); ok {
						popped(v)
					} else if len(model) > 0 {
						t.Errorf("TryPop failed with %v in the model", model)
					}
				}
			}
			return do, func(ctx context.Context) {
				for q.Len() > 0 || capacity > 0 { // let pushers finish, then poppers
					v, ok := q.TryPop()
					if !ok {
						break
					}
					popped(v)
					_ = p.Sleep(ctx, 0)
					for range 20 {
						_ = p.Sleep(ctx, 0)
					}
				}
				q.Close()
				hadNone, hadNoRoom = s.Now(), s.Now()
				for range 1000 {
					_ = p.Sleep(ctx, 0)
				}
			}
		})
	})
}

// TestSemaphoreModel: never more units out than there are, all back in the end, nobody forgotten.
func TestSemaphoreModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 4).Draw(t, "size")
		tasks := drawTasks(t, 2, size)
		play(t, tasks, func(_ *sched.Sim, p *sched.Process) (func(context.Context, int, op), func(context.Context)) {
			sem := rt.NewSemaphore(p, size)
			var out int64
			hold := func(n int64) {
				if out += n; out > size {
					t.Errorf("%d of %d units are out", out, size)
				}
				_ = p.Sleep(context.Background(), time.Duration(n)*time.Millisecond)
				out -= n
				sem.Release(n)
			}
			do := func(ctx context.Context, _ int, o op) {
				if o.Kind == 0 && sem.Acquire(ctx, o.N) == nil || o.Kind == 1 && sem.TryAcquire(o.N) {
					hold(o.N)
				}
			}
			return do, func(context.Context) {
				if out != 0 || !sem.TryAcquire(size) {
					t.Errorf("%d units are out in the end, or lost", out)
				}
			}
		})
	})
}

// TestMutexModel: one holder at a time, nobody forgotten, free in the end.
func TestMutexModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tasks := drawTasks(t, 1, 3)
		play(t, tasks, func(_ *sched.Sim, p *sched.Process) (func(context.Context, int, op), func(context.Context)) {
			m := rt.NewMutex(p)
			holder := -1
			do := func(ctx context.Context, task int, o op) {
				if m.Lock(ctx) != nil {
					return
				}
				if holder >= 0 {
					t.Errorf("tasks %d and %d hold the mutex", holder, task)
				}
				holder = task
				_ = p.Sleep(context.Background(), time.Duration(o.N)*time.Millisecond)
				holder = -1
				m.Unlock()
			}
			return do, func(ctx context.Context) {
				if holder >= 0 || m.Lock(ctx) != nil {
					t.Errorf("the mutex is held in the end")
				}
				m.Unlock()
			}
		})
	})
}
