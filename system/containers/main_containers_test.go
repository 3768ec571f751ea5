//go:build containers

package containers

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/reaper"
	"github.com/ratel-sim/ratel/system/port"
)

// TestMain also serves as the programs that a world starts: the reaper, and a run to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reaper":
			if err := RunReaper(context.Background(), os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "victim":
			victim()
		case "up":
			if _, err := Up(context.Background(), DefaultName, small(), Options{RoleBinary: os.Getenv("RATEL_BINARY"), CacheDir: os.Args[2]}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// victim runs a small world, says its run's id when it is up, and waits to be killed.
func victim() {
	w, err := New(Options{RoleBinary: os.Getenv("RATEL_BINARY")})
	if err != nil {
		panic(err)
	}
	err = w.Drive(context.Background(), func(ctx context.Context) error {
		if err := w.Start(ctx, small()); err != nil {
			return err
		}
		fmt.Println(w.RunID())
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// small is the quickest topology to start.
func small() system.Topology {
	t := system.Default()
	t.ZooKeeper.Nodes, t.Kafka.Brokers, t.Shepherds, t.Replicas = 1, 1, 1, 1
	t.Kafka.Partitions, t.Kafka.Replication, t.Kafka.MinISR = 1, 1, 1
	return t
}

// newWorld makes a world, and fails the test where Docker is absent. The roles run from the binary that RATEL_BINARY
// names, else from one that is built from source.
func newWorld(t *testing.T, change ...func(*Options)) *World {
	t.Helper()
	opt := Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output(), LogDir: t.TempDir()}
	for _, c := range change {
		c(&opt)
	}
	w, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sweepOf lists what dead runs of a world's owner have left.
func sweepOf(w *World) ([]string, error) {
	dead, _, err := reaper.Survey(context.Background(), w.engine, w.cache)
	return dead, err
}

// leftOf fails the test unless a run has nothing on the engine any more.
func leftOf(t *testing.T, run string) reaper.Left {
	t.Helper()
	engine, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	left, err := reaper.List(context.Background(), engine, run)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// recorder keeps what was announced.
type recorder struct {
	mu     sync.Mutex
	events []port.Event
}

// Announce implements port.Events.
func (r *recorder) Announce(e port.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// saw tells whether an event was announced that the condition holds for.
func (r *recorder) saw(is func(e port.Event) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if is(e) {
			return true
		}
	}
	return false
}

// eventually waits for a condition, for as long as slow machines may need.
func eventually(t *testing.T, what string, holds func() (detail string, ok bool)) {
	t.Helper()
	began := time.Now()
	detail := ""
	for time.Since(began) < time.Minute {
		var ok bool
		if detail, ok = holds(); ok {
			if took := time.Since(began); took > 200*time.Millisecond { // what held at once is not worth a line
				t.Logf("%s after %v (%s)", what, took.Round(time.Millisecond), detail)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("not within a minute: %s (%s)", what, detail)
}
