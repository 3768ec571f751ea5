//go:build containers

package containers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// TestMain also serves as the programs that a world starts: the reaper, a stand-in for the roles, and a run to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reaper":
			if err := RunReaper(context.Background(), os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "role":
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			srv := &http.Server{Addr: ":8080"}
			go func() { <-ctx.Done(); srv.Close() }()
			fmt.Println(`{"Kind":"partition.claimed"}`)
			fmt.Fprintln(os.Stderr, srv.ListenAndServe())
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func testWorld(t *testing.T) *World {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(Options{RoleBinary: self, Log: t.Output(), LogDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type printer struct {
	t     *testing.T
	start time.Time
}

func (p printer) Announce(e port.Event) {
	p.t.Logf("%8.3f event %+v", time.Since(p.start).Seconds(), e)
}

func TestContainersTry(t *testing.T) {
	began := time.Now()
	lap := func(what string) {
		t.Logf("%8.3f %s", time.Since(began).Seconds(), what)
	}
	w := testWorld(t)
	w.Subscribe(printer{t, began})
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		lap("drive")
		if err := w.Start(ctx, system.Default()); err != nil {
			return err
		}
		lap("started")
		for _, n := range w.order {
			r, d := w.Probe(ctx, n.Name)
			t.Log(n.Name, r, d)
		}
		l, err := w.ZooKeeperLeader(ctx)
		t.Log("zk leader", l, err)
		poll := func(node string, want system.Reach) {
			for range 300 {
				r, d := w.Probe(ctx, node)
				if r == want {
					lap(node + " " + string(r) + " " + d)
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			r, d := w.Probe(ctx, node)
			t.Error("never", node, want, r, d)
		}
		do := func(f system.Fault, reach system.Reach, hold time.Duration) {
			if err := w.Inject(ctx, f); err != nil {
				t.Error(err)
			}
			lap("injected " + f.String())
			if f.Kind != system.FaultIsolate {
				poll(f.Node, reach)
			}
			time.Sleep(hold)
			if f.Kind == system.FaultIsolate {
				d, err := w.Dropped(ctx, f)
				t.Log("dropped", d, err)
			}
			if err := w.Heal(ctx, f); err != nil {
				t.Error(err)
			}
			lap("healed " + f.String())
			poll(f.Node, system.Answers)
		}
		do(system.Fault{Kind: system.FaultKill, Node: "kafka1"}, system.Refuses, time.Second)
		do(system.Fault{Kind: system.FaultReplace, Node: "kafka2"}, system.Refuses, time.Second)
		do(system.Fault{Kind: system.FaultPause, Node: "kafka3"}, system.Silent, time.Second)
		do(system.Fault{Kind: system.FaultStop, Node: "kafka3"}, system.Refuses, time.Second)
		do(system.Fault{Kind: system.FaultIsolate, Node: "kafka3", From: []string{"kafka1", "kafka2", "zk1", "zk2", "zk3"}, Direction: system.Both}, system.Refuses, 6*time.Second)
		do(system.Fault{Kind: system.FaultKill, Node: "zk1"}, system.Refuses, time.Second)
		do(system.Fault{Kind: system.FaultReplace, Node: "retriever1"}, system.Refuses, time.Second)
		do(system.Fault{Kind: system.FaultPause, Node: "shepherd1"}, system.Silent, time.Second)
		time.Sleep(5 * time.Second)
		st, err := w.clients.admin.Describe(ctx, "events")
		t.Log(st, err)
		return nil
	})
	lap("drive done")
	if err != nil {
		t.Fatal(err)
	}
}
