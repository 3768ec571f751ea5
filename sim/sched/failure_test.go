package sched_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestFailuresAreNamed: whatever goes wrong in a run comes out of Run as an error that says where.
func TestFailuresAreNamed(t *testing.T) {
	t.Parallel()
	type env struct {
		s *sched.Sim
		p *sched.Process
	}
	inTask := func(f func(ctx context.Context, e env)) func(env) {
		return func(e env) { e.p.Go("culprit", func(ctx context.Context) { f(ctx, e) }) }
	}
	for name, c := range map[string]struct {
		setup func(e env)
		want  []string
	}{
		"panic in a task": {
			inTask(func(ctx context.Context, e env) { _ = e.p.Sleep(ctx, time.Second); guiltyFrame() }),
			[]string{"p/culprit#1", "guilty", "guiltyFrame"},
		},
		"panic in a callback": {
			func(e env) { e.s.After(time.Second, guiltyFrame) },
			[]string{"callback", "guilty", "guiltyFrame"},
		},
		"Goexit in a task": {
			inTask(func(context.Context, env) { runtime.Goexit() }),
			[]string{"p/culprit#1", "Goexit"},
		},
		"Goexit in a callback": {
			func(e env) { e.s.After(time.Second, runtime.Goexit) },
			[]string{"callback", "Goexit"},
		},
		"a callback that blocks": {
			func(e env) { e.s.After(time.Second, func() { _ = e.p.Sleep(context.Background(), 1) }) },
			[]string{"must not block"},
		},
		"waiting on Done": {
			inTask(func(ctx context.Context, _ env) { <-ctx.Done() }),
			[]string{"p/culprit#1", "Done called on a simulated context"},
		},
		"a timeout of package context": {
			inTask(func(ctx context.Context, _ env) {
				_, cancel := context.WithCancel(context.WithValue(ctx, env{}, 1))
				cancel()
			}),
			[]string{"p/culprit#1", "Done called on a simulated context"},
		},
		"waiting with a real context": {
			inTask(func(_ context.Context, e env) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				_ = e.p.NewParker().Park(ctx)
			}),
			[]string{"p/culprit#1", "real cancellable context"},
		},
		"deadlock": {
			func(e env) {
				e.p.Go("server", func(ctx context.Context) { _ = e.p.NewParker().Park(ctx) })
				e.p.Foreground("culprit", func(ctx context.Context) { _ = e.p.NewParker().Park(ctx) })
			},
			[]string{"p/culprit#2", "deadlock"},
		},
		"livelock": {
			inTask(func(ctx context.Context, e env) {
				for e.p.Sleep(ctx, 0) == nil { //nolint:revive // spinning is the point
				}
			}),
			[]string{"p/culprit#1", "virtual time stands still"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t, 7, func(s *sched.Sim) { c.setup(env{s, s.Process("p")}) })
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
		})
	}
}

func TestFailureKinds(t *testing.T) {
	t.Parallel()
	err := run(t, 1, func(s *sched.Sim) { s.Process("p").Go("task", func(context.Context) { guiltyFrame() }) })
	var crash *rt.PanicError
	if !errors.Is(err, errGuilty) || !errors.As(err, &crash) || crash.Task != "p/task#1" {
		t.Errorf("panic: %v", err)
	}
	err = run(t, 1, func(s *sched.Sim) {
		p := s.Process("p")
		p.Foreground("task", func(ctx context.Context) { _ = p.NewParker().Park(ctx) })
	})
	if !errors.Is(err, sched.ErrDeadlock) {
		t.Errorf("deadlock: %v", err)
	}
	err = run(t, 1, func(s *sched.Sim) { // a killed foreground task waits for nothing
		p := s.Process("p")
		p.Foreground("task", func(ctx context.Context) { _ = p.NewParker().Park(ctx) })
		s.After(time.Second, p.Kill)
	})
	if err != nil {
		t.Errorf("killed: %v", err)
	}
}

// TestWatchdogNamesTheHungTask: a task that waits outside of virtual time stops everything; Run says which it is.
func TestWatchdogNamesTheHungTask(t *testing.T) {
	t.Parallel()
	s := sched.New(3)
	defer s.Close()
	s.SetWatchdog(2 * time.Second) // a busy machine may take a thread away for a while, too
	p := s.Process("p")
	release := make(chan struct{})
	defer close(release)
	p.Go("innocent", func(ctx context.Context) { _ = p.Sleep(ctx, time.Hour) })
	p.Go("stuck", func(ctx context.Context) {
		_ = p.Sleep(ctx, time.Second)
		waitsForReal(release)
	})
	err := s.Run(0)
	if !errors.Is(err, sched.ErrHang) || !strings.Contains(err.Error(), "p/stuck#2") || !strings.Contains(err.Error(), "waitsForReal") {
		t.Errorf("Run returned %v", err)
	}
	if strings.Contains(err.Error(), "innocent") {
		t.Errorf("an innocent task is blamed: %v", err)
	}
}

func waitsForReal(c chan struct{}) { <-c }
