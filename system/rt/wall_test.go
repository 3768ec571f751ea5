package rt_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/rt/rttest"
)

// TestWall runs the shared table on the wall-clock runtime, in a bubble whose time moves only when every goroutine is
// blocked. The race detector sees the same rows.
func TestWall(t *testing.T) {
	t.Parallel()
	rttest.Run(t, func(t *testing.T, main func(context.Context, *rttest.Host)) {
		synctest.Test(t, func(*testing.T) {
			w := rt.NewWall(1)
			processes := []*rt.Wall{w}
			var mu sync.Mutex
			spawn := func(string) (rt.Runtime, func()) {
				p := rt.NewWall(2)
				mu.Lock()
				processes = append(processes, p)
				mu.Unlock()
				return p, p.Kill
			}
			ended := make(chan struct{})
			w.Go("main", func(ctx context.Context) {
				defer close(ended)
				main(ctx, &rttest.Host{Runtime: w, Spawn: spawn})
			})
			<-ended
			for _, p := range processes {
				p.Kill()
				p.Wait()
			}
		})
	})
}

// TestWallKilled: every blocking call of a killed process says so, now and later.
func TestWallKilled(t *testing.T) {
	t.Parallel()
	w := rt.NewWall(1)
	q := rt.NewQueue[int](w, 0)
	popped := make(chan error, 1)
	w.Go("popper", func(ctx context.Context) {
		_, err := q.Pop(ctx)
		popped <- err
	})
	w.Kill()
	w.Wait()
	select {
	case err := <-popped:
		if !errors.Is(err, rt.ErrKilled) && !errors.Is(err, context.Canceled) {
			t.Errorf("Pop returned %v", err)
		}
	default: // killed before it started
	}
	if err := w.Sleep(context.Background(), 0); !errors.Is(err, rt.ErrKilled) {
		t.Errorf("Sleep returned %v", err)
	}
	if err := w.NewParker().Park(context.Background()); !errors.Is(err, rt.ErrKilled) {
		t.Errorf("Park returned %v", err)
	}
}

func TestWallPanicHandler(t *testing.T) {
	t.Parallel()
	got := make(chan *rt.PanicError, 1)
	w := rt.NewWall(1, rt.OnPanic(func(p *rt.PanicError) { got <- p }))
	cause := errors.New("cause")
	w.Go("guilty", func(context.Context) { guiltyFrame(cause) })
	w.Wait()
	p := <-got
	if p.Task != "guilty" || !errors.Is(p, cause) || !strings.Contains(string(p.Stack), "guiltyFrame") {
		t.Errorf("the panic was reported as %v", p)
	}
}

func guiltyFrame(err error) { panic(err) }
