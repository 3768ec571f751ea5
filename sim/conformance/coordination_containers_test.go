//go:build containers

package conformance

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/zookeeper"
)

// TestMain lets the test binary be the reaper of its own runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "reaper" {
		if err := containers.RunReaper(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestCoordinationOnRealServers(t *testing.T) {
	t.Parallel()
	w, err := containers.New(containers.Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	err = w.Drive(ctx, func(ctx context.Context) error {
		if err := w.Start(ctx, system.Topology{ZooKeeper: system.ZooKeeper{Nodes: 3}}); err != nil {
			return err
		}
		for i, row := range Coordination() {
			t.Run(row.Name, func(t *testing.T) {
				began := time.Now()
				if err := onRealServers(ctx, t, w, fmt.Sprintf("/conformance-%d", i), row); err != nil {
					t.Error(err)
				}
				t.Logf("took %v", time.Since(began).Round(time.Millisecond))
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onRealServers runs one row; the ensemble is whole before and after it.
func onRealServers(ctx context.Context, t *testing.T, w *containers.World, root string, row Row) error {
	servers := w.ZooKeeperServers()
	p := newProxies(t, servers)
	client := func(servers []string) (port.Coordination, error) {
		return zookeeper.New(w.Runtime(), zookeeper.Config{Servers: servers})
	}
	a, err := client(p.addrs)
	if err != nil {
		return err
	}
	b, err := client(servers)
	if err != nil {
		return err
	}
	var killed system.Fault
	env := &Env{
		Runtime: w.Runtime(), A: a, B: b, Root: root, SessionTimeout: 4 * time.Second,
		CutA: func() { p.set(true) }, HealA: func() { p.set(false) },
		KillLeader: func(ctx context.Context) error {
			leader, err := w.ZooKeeperLeader(ctx)
			if err != nil {
				return err
			}
			killed = system.Fault{Kind: system.FaultKill, Node: leader}
			return w.Inject(ctx, killed)
		},
	}
	env.RestartKilled = func(ctx context.Context) error {
		if err := w.Heal(ctx, killed); err != nil {
			return err
		}
		return env.eventually(ctx, 20*time.Second, "follower again", func() (bool, error) {
			reach, detail := w.Probe(ctx, killed.Node)
			return reach == system.Answers, fmt.Errorf("%s", detail)
		})
	}
	s, err := env.open(ctx, b)
	if err != nil {
		return err
	}
	if _, err := s.Create(ctx, root, nil, port.Persistent); err != nil {
		return err
	}
	if err := s.Close(ctx); err != nil {
		return err
	}
	return row.Check(ctx, env)
}
