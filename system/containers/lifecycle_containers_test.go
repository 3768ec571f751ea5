//go:build containers

package containers

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// However a run ends, nothing of it stays.
func TestContainersLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	broken := errors.New("the run's own failure")
	interrupted, interrupt := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name string
		ctx  context.Context
		end  func() error
		want string // part of Drive's error; empty: none
	}{
		{"success", t.Context(), func() error { return nil }, ""},
		{"failure", t.Context(), func() error { return broken }, "the run's own failure"},
		{"panic", t.Context(), func() error { panic("out of thin air") }, "out of thin air"},
		{"interrupt", interrupted, func() error { interrupt(); <-interrupted.Done(); return nil }, "context canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			err := w.Drive(tt.ctx, func(ctx context.Context) error {
				if err := w.Start(ctx, small()); err != nil {
					return err
				}
				if left := leftOf(t, w.RunID()); len(left.Containers) != 9 || len(left.Volumes) != 5 || len(left.Networks) != 1 {
					t.Errorf("a running world shows as %s, want 9 containers, 5 volumes and a network", left)
				}
				return tt.end()
			})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Drive: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Drive: %v, want %q in it", err, tt.want)
			}
			if left := leftOf(t, w.RunID()); !left.Empty() {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// A run that is killed with SIGKILL cannot clean up; its reaper does, and only that.
func TestContainersReaperAfterKill9(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "victim")
	cmd.Stderr = t.Output()
	// A group of its own, so that the whole group can be killed as a terminal or a CI system would.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	run, err := bufio.NewReader(out).ReadString('\n')
	run = strings.TrimSpace(run)
	if err != nil {
		t.Fatalf("the run did not come up: %v", err)
	}
	if left := leftOf(t, run); len(left.Containers) != 9 {
		t.Errorf("before the kill there are %s, want 9 containers", left)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the reaper has removed everything of the killed run", func() (string, bool) {
		left := leftOf(t, run)
		return left.String(), left.Empty()
	})
}

// When the reaper dies too, the next run sweeps; a run that lives is left alone.
func TestContainersSweepOfDeadRuns(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	mine := func(o *Options) { o.CacheDir = cache }
	dead := newWorld(t, mine, func(o *Options) { o.Keep = true }) // leaves everything and has no reaper
	if err := dead.Drive(t.Context(), func(ctx context.Context) error { return dead.makeSomething(ctx) }); err != nil {
		t.Fatal(err)
	}
	if left := leftOf(t, dead.RunID()); left.Empty() {
		t.Fatal("nothing was left to sweep")
	}
	living := newWorld(t, mine)
	if err := living.Drive(t.Context(), func(ctx context.Context) error {
		if left := leftOf(t, dead.RunID()); !left.Empty() {
			t.Errorf("the next run has not swept: %s left", left)
		}
		if err := living.makeSomething(ctx); err != nil {
			return err
		}
		third := newWorld(t, mine)
		return third.Drive(ctx, func(context.Context) error {
			if left := leftOf(t, living.RunID()); left.Empty() {
				t.Error("a living run was swept")
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}

// makeSomething makes what is quickest to make.
func (w *World) makeSomething(ctx context.Context) error {
	_, err := w.makeNetwork(ctx)
	return err
}

// Two runs on one machine get ports and addresses of their own.
func TestContainersTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	var meet, wg sync.WaitGroup
	meet.Add(2)
	for range 2 {
		w := newWorld(t)
		wg.Go(func() {
			err := w.Drive(t.Context(), func(ctx context.Context) error {
				err := w.Start(ctx, small())
				meet.Done()
				meet.Wait() // both are up at the same time
				if err != nil {
					return err
				}
				for _, n := range w.order {
					if reach, detail := w.Probe(ctx, n.Name); reach != "answers" {
						t.Errorf("%s %s: %s", n.Name, reach, detail)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A run whose start fails says which node, why, and its last words, and still cleans up.
func TestContainersStartFailureIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	top := small()
	top.Kafka.MinISR = 0 // the broker refuses its configuration and exits
	err := w.Drive(t.Context(), func(ctx context.Context) error { return w.Start(ctx, top) })
	if err == nil || !strings.Contains(err.Error(), "node kafka1 exited with code") || !strings.Contains(err.Error(), "min.insync.replicas") {
		t.Errorf("got %v, want the node, its exit code and its last output", err)
	}
	if left := leftOf(t, w.RunID()); !left.Empty() {
		t.Errorf("left behind: %s", left)
	}
}
