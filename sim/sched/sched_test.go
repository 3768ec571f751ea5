package sched_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// run runs a simulation to its end and closes it.
func run(t *testing.T, seed uint64, setup func(s *sched.Sim)) error {
	t.Helper()
	s := sched.New(seed)
	defer s.Close()
	setup(s)
	return s.Run(0)
}

func TestTimersFireInOrderBeforeTasks(t *testing.T) {
	t.Parallel()
	var log []string
	note := func(what string) func() { return func() { log = append(log, what) } }
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		s.After(2*time.Second, note("late"))
		p.Go("task", func(ctx context.Context) {
			_ = p.Sleep(ctx, time.Second)
			note("task")()
		})
		s.After(time.Second, func() { note("a")(); s.After(0, note("a, then")) })
		s.After(time.Second, note("b"))
		s.After(time.Second, note("stopped")).Stop()
		pending := s.After(time.Second, note("c"))
		if !pending.Pending() {
			t.Error("a timer is not pending")
		}
		s.After(3*time.Second, func() {
			if pending.Pending() || pending.Stop() {
				t.Error("a timer that has fired is pending")
			}
		})
	})
	if want := []string{"a", "b", "c", "a, then", "task", "late"}; err != nil || !slices.Equal(log, want) {
		t.Errorf("%q, %v; expected %q", log, err, want)
	}
}

func TestStoppedTimersDoNotPileUp(t *testing.T) {
	t.Parallel()
	fired := 0
	var last time.Duration
	err := run(t, 1, func(s *sched.Sim) {
		var timers []sched.Timer
		for i := range 100_000 {
			timers = append(timers, s.After(time.Duration((i*7919)%100_003)*time.Microsecond, func() {
				if s.Now() < last {
					t.Error("out of order")
				}
				last = s.Now()
				fired++
			}))
		}
		for i, timer := range timers {
			if i%100 != 0 && !timer.Stop() {
				t.Error("Stop of a pending timer")
			}
		}
	})
	if err != nil || fired != 1000 {
		t.Errorf("%d of 1000 timers fired, %v", fired, err)
	}
}

func TestPicksDependOnTheSeed(t *testing.T) {
	t.Parallel()
	orders := map[string]bool{}
	for seed := range uint64(20) {
		var order []string
		if err := run(t, seed, func(s *sched.Sim) {
			p := s.Process("p")
			for i := range 4 {
				p.Go("task", func(context.Context) { order = append(order, fmt.Sprint(i)) })
			}
		}); err != nil {
			t.Error(err)
		}
		orders[strings.Join(order, "")] = true
	}
	if len(orders) < 8 {
		t.Errorf("20 seeds gave %d orders of 4 tasks", len(orders))
	}
}

// TestKillHasNoEffectAfterwards: deferred code of a killed task runs, but whatever it tries comes to nothing.
func TestKillHasNoEffectAfterwards(t *testing.T) {
	t.Parallel()
	var deferred []string
	s := sched.New(1)
	defer s.Close()
	victim, other := s.Process("victim"), s.Process("other")
	mail := rt.NewQueue[string](other, 0)
	answer := rt.NewFuture[int](other)
	lock := rt.NewMutex(other)
	units := rt.NewSemaphore(other, 1)
	parker := other.NewParker()
	otherCtx, cancelOther := context.Background(), context.CancelFunc(nil)
	other.Go("setup", func(ctx context.Context) {
		otherCtx, cancelOther = other.WithCancel(ctx)
		_ = units.Acquire(ctx, 1)
		_ = lock.Lock(ctx)
	})
	if err := s.Run(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	try := func(what string, f func()) {
		deferred = append(deferred, what)
		f()
		deferred = append(deferred, what+" returned")
	}
	victim.Go("task", func(ctx context.Context) {
		defer func() { _ = recover(); deferred = append(deferred, "end") }()
		defer try("push", func() { mail.TryPush("from the dead") })
		defer try("complete", func() { answer.Complete(1, nil) })
		defer try("unlock", lock.Unlock)
		defer try("release", func() { units.Release(1) })
		defer try("close", mail.Close)
		defer try("go", func() { victim.Go("child", func(context.Context) { t.Error("a dead process started a task") }) })
		defer try("go elsewhere", func() { other.Go("child", func(context.Context) { t.Error("a dead task started a task elsewhere") }) })
		defer try("sleep", func() { _ = victim.Sleep(ctx, time.Second) })
		defer try("wake", parker.Wake)
		defer cancelOther()
		defer other.Kill()
		defer s.After(0, func() { t.Error("a dead task set a timer") })
		_ = victim.Sleep(ctx, time.Hour)
		t.Error("a killed task went on")
	})
	s.After(time.Second, func() {
		victim.Kill()
		s.After(0, func() {
			if victim.Alive() || !other.Alive() {
				t.Error("the wrong process is dead")
			}
		})
	})
	victim.After(2*time.Second, func() { t.Error("a dead process's callback fired") })
	if err := s.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if mail.Len() != 0 || !mail.TryPush("alive") || answer.Done() || units.TryAcquire(1) || otherCtx.Err() != nil {
		t.Errorf("a dead task had an effect: %d in the queue, answered %v, context %v", mail.Len(), answer.Done(), otherCtx.Err())
	}
	want := []string{"wake", "sleep", "go elsewhere", "go", "close", "release", "unlock", "complete", "push", "end"}
	if !slices.Equal(deferred, want) {
		t.Errorf("deferred calls: %q, expected %q", deferred, want)
	}
}

func TestKillOfOneself(t *testing.T) {
	t.Parallel()
	reached := false
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		q := rt.NewQueue[int](p, 0)
		p.Go("task", func(ctx context.Context) {
			p.Kill()
			if p.Alive() {
				t.Error("alive after Kill")
			}
			reached = true
			q.TryPush(1)
			t.Error("a dead task went on after a primitive")
		})
		s.After(time.Second, func() {
			if q.Len() != 0 {
				t.Error("a dead task had an effect")
			}
		})
	})
	if err != nil || !reached {
		t.Errorf("reached %v, %v", reached, err)
	}
}

func TestWakeUpIsNotSpentOnTheDead(t *testing.T) {
	t.Parallel()
	got := 0
	err := run(t, 1, func(s *sched.Sim) {
		p, victim := s.Process("p"), s.Process("victim")
		q := rt.NewQueue[int](p, 0)
		victim.Go("popper", func(ctx context.Context) { _, _ = q.Pop(ctx); t.Error("the dead got it") })
		p.Go("main", func(ctx context.Context) {
			_ = p.Sleep(ctx, time.Second)
			p.Go("popper", func(ctx context.Context) { got, _ = q.Pop(ctx) })
			_ = p.Sleep(ctx, time.Second)
			victim.Kill()
			q.TryPush(7)
		})
	})
	if err != nil || got != 7 {
		t.Errorf("got %d, %v", got, err)
	}
}

// TestWakeUpAndCancelInOneInstant: the wake-up is consumed, whichever came first.
func TestWakeUpAndCancelInOneInstant(t *testing.T) {
	t.Parallel()
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		for _, wakeFirst := range []bool{true, false} {
			p.Go("task", func(ctx context.Context) {
				ctx, cancel := p.WithCancel(ctx)
				k := p.NewParker()
				s.After(time.Second, func() {
					if wakeFirst {
						k.Wake()
					}
					cancel()
					if !wakeFirst {
						k.Wake()
					}
				})
				if err := k.Park(ctx); err != nil {
					t.Errorf("wake first %v: Park returned %v", wakeFirst, err)
				}
				if err := k.Park(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("wake first %v: the second Park returned %v", wakeFirst, err)
				}
			})
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOnKill(t *testing.T) {
	t.Parallel()
	s := sched.New(1)
	defer s.Close()
	p := s.Process("p")
	calls := 0
	p.OnKill(func() { calls++ })
	p.Kill()
	p.Kill()
	p.OnKill(func() { calls++ })
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestPauseDelaysTasksAndCallbacks(t *testing.T) {
	t.Parallel()
	var log []string
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		note := func(what string) { log = append(log, fmt.Sprintf("%s at %v", what, s.Now())) }
		p.Go("task", func(ctx context.Context) {
			_ = p.Sleep(ctx, 2*time.Second)
			note("task")
		})
		p.Go("late deadline", func(ctx context.Context) {
			ctx, cancel := p.WithTimeout(ctx, 4*time.Second)
			defer cancel()
			note(p.NewParker().Park(ctx).Error())
		})
		p.After(2*time.Second, func() { note("callback") })
		stopped := p.After(3*time.Second, func() { note("stopped") })
		p.After(20*time.Second, func() { note("unaffected") })
		s.After(time.Second, p.Pause)
		s.After(5*time.Second, func() { stopped.Stop() })
		s.After(9*time.Second, p.Resume)
	})
	slices.Sort(log)
	if want := []string{"callback at 9s", "context deadline exceeded at 9s", "task at 9s", "unaffected at 20s"}; err != nil || !slices.Equal(log, want) {
		t.Errorf("%q, %v; expected %q", log, err, want)
	}
}

func TestKillWhilePaused(t *testing.T) {
	t.Parallel()
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		p.Go("task", func(ctx context.Context) { _ = p.Sleep(ctx, 2*time.Second); t.Error("the dead ran") })
		p.After(2*time.Second, func() { t.Error("the dead's callback ran") })
		s.After(time.Second, p.Pause)
		s.After(3*time.Second, p.Kill)
		s.After(4*time.Second, p.Resume)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	err := run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		p.SetClockOffset(-time.Hour)
		p.Go("task", func(ctx context.Context) {
			ctx, cancel := p.WithTimeout(ctx, time.Minute)
			defer cancel()
			tick := rt.NewTicker(p, time.Second)
			_ = tick.Next(ctx)
			p.SetClockOffset(-2 * time.Hour) // the ticker must not wait for an hour
			for range 3 {
				_ = tick.Next(ctx)
			}
			if got := p.Now().Sub(sched.Epoch); got != 4*time.Second-2*time.Hour || s.Now() != 4*time.Second {
				t.Errorf("the skewed clock is at %v, virtual time %v", got, s.Now())
			}
			if d, _ := ctx.Deadline(); d.Sub(p.Now()) != 56*time.Second {
				t.Errorf("%v left of a minute after 4 s", d.Sub(p.Now()))
			}
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRandStreamsAreIndependent(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64, names ...string) []uint64 {
		s := sched.New(seed)
		defer s.Close()
		var out []uint64
		for _, name := range names {
			out = append(out, s.Rand(name).Uint64())
		}
		return out
	}
	if a, b := draw(1, "a", "b", "a"), draw(1, "b", "c", "a", "a"); a[0] != b[2] || a[1] != b[0] || a[2] != b[3] || a[0] == a[1] {
		t.Errorf("streams depend on one another: %v %v", a, b)
	}
	if draw(1, "a")[0] == draw(2, "a")[0] {
		t.Error("two seeds give one stream")
	}
	s := sched.New(1)
	defer s.Close()
	if s.Process("p").Rand().Uint64() == s.Process("p").Rand().Uint64() {
		t.Error("two incarnations draw the same")
	}
}

func TestLimitAndStop(t *testing.T) {
	t.Parallel()
	s := sched.New(1)
	defer s.Close()
	var at []time.Duration
	for _, d := range []time.Duration{1, 2, 3} {
		s.After(d*time.Second, func() { at = append(at, s.Now()) })
	}
	s.After(2*time.Second, s.Stop)
	for _, step := range []struct{ limit, now time.Duration }{
		{1500 * time.Millisecond, 1500 * time.Millisecond}, {time.Minute, 2 * time.Second}, {time.Minute, time.Minute}, {time.Second, time.Minute},
	} {
		if err := s.Run(step.limit); err != nil || s.Now() != step.now {
			t.Errorf("Run(%v) ended at %v, %v; expected %v", step.limit, s.Now(), err, step.now)
		}
	}
	if len(at) != 3 {
		t.Errorf("fired at %v", at)
	}
}

func TestCloseLeavesNothing(t *testing.T) { //nolint:paralleltest // counts goroutines
	before := runtime.NumGoroutine()
	unwound := 0
	s := sched.New(1)
	p := s.Process("p")
	for range 100 {
		p.Go("blocked", func(ctx context.Context) {
			defer func() { unwound++ }()
			_ = p.Sleep(ctx, time.Hour)
			_ = p.NewParker().Park(ctx)
		})
		p.Go("short", func(context.Context) {})
	}
	if err := s.Run(90 * time.Minute); err != nil {
		t.Fatal(err)
	}
	p.Go("never started", func(context.Context) { t.Error("started") })
	s.Close()
	s.Close()
	if err := s.Run(0); err == nil {
		t.Error("Run after Close")
	}
	if unwound != 100 {
		t.Errorf("%d of 100 tasks were unwound", unwound)
	}
	for range 10_000 { // a stopped coroutine's goroutine ends a moment later
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestOnStepNamesEveryStep(t *testing.T) {
	t.Parallel()
	var steps []string
	err := run(t, 1, func(s *sched.Sim) {
		s.OnStep(func(n uint64, desc string) { steps = append(steps, fmt.Sprintf("%d %s", n, desc)) })
		p := s.Process("p")
		p.Go("task", func(ctx context.Context) { _ = p.Sleep(ctx, time.Second) })
		p.After(time.Second, func() {})
	})
	want := []string{"1 t=0 run p/task#1", "2 t=1000000000 callback p seq 1", "3 t=1000000000 run p/task#1"}
	if err != nil || !slices.Equal(steps, want) {
		t.Errorf("%q, %v; expected %q", steps, err, want)
	}
}

func guiltyFrame() { panic(errGuilty) }

var errGuilty = errors.New("guilty")
