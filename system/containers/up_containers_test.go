//go:build containers

package containers

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system"
)

// A world that is up outlives the process that has started it, is not swept by other runs, refuses a second one, and goes
// without a trace.
func TestContainersUpAndDown(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	opt := Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output(), CacheDir: cache}
	if _, err := Down(t.Context(), DefaultName, opt); !errors.Is(err, ErrNotUp) {
		t.Errorf("down with nothing up: %v", err)
	}
	// Another process starts it and ends.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "up", cache)
	cmd.Stderr = t.Output()
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("up: %v %s", err, out)
	}
	s, err := IsUp(t.Context(), DefaultName, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = Down(context.Background(), DefaultName, opt) })
	if len(s.Nodes) != len(small().Nodes()) || len(s.Teams) != 1 || s.Teams[0].Key != system.TeamKey(system.DefaultTeam) {
		t.Errorf("it says of itself: %+v", s)
	}
	if _, err := Up(t.Context(), DefaultName, small(), opt); !errors.Is(err, ErrUp) || !strings.Contains(err.Error(), "ratel down") {
		t.Errorf("a second one: %v", err)
	}
	// A run of the same owner sweeps what is dead, and not this.
	other := newWorld(t, func(o *Options) { o.CacheDir = cache })
	if err := other.Drive(t.Context(), func(ctx context.Context) error { return other.makeSomething(ctx) }); err != nil {
		t.Fatal(err)
	}
	for _, n := range append(s.Of(system.RoleShepherd), s.Of(system.RoleQuery)...) {
		res, err := http.Get(n.URL + "/healthz")
		if err != nil {
			t.Errorf("%s: %v", n.Name, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", n.Name, res.Status)
		}
	}
	if down, err := Down(t.Context(), DefaultName, opt); err != nil || down.Run != s.Run {
		t.Errorf("down: %+v %v", down, err)
	}
	if left := leftOf(t, s.Run); !left.Empty() {
		t.Errorf("left behind: %s", left)
	}
	if _, err := IsUp(t.Context(), DefaultName, opt); !errors.Is(err, ErrNotUp) {
		t.Errorf("after down: %v", err)
	}
}

// When bringing it up fails, or is interrupted, nothing is left.
func TestContainersUpThatFails(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	opt := Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output(), CacheDir: cache}
	top := small()
	top.Kafka.MinISR = 0 // the broker refuses its configuration and exits
	if _, err := Up(t.Context(), DefaultName, top, opt); err == nil {
		t.Error("it came up")
	}
	ctx, cancel := context.WithCancel(t.Context())
	opt.Log = writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "starting") {
			cancel()
		}
		return len(p), nil
	})
	if _, err := Up(ctx, DefaultName, small(), opt); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := IsUp(t.Context(), DefaultName, opt); !errors.Is(err, ErrNotUp) {
		t.Errorf("after failures: %v", err)
	}
	w := newWorld(t, func(o *Options) { o.CacheDir = cache })
	defer w.Close()
	if swept, err := sweepOf(w); err != nil || len(swept) > 0 {
		t.Errorf("failures have left behind the runs %v (%v)", swept, err)
	}
}

type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
