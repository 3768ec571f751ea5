package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

func TestCoordinationOnTheModel(t *testing.T) {
	t.Parallel()
	for _, row := range Coordination() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				if err := onModel(seed, row); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// onModel runs one row on a fresh ensemble.
func onModel(seed uint64, row Row) error {
	s := sched.New(seed)
	defer s.Close()
	n := simnet.New(s, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 300 * time.Microsecond})
	zk := zookeeper.New(s, n, zookeeper.Config{Nodes: []string{"zk1", "zk2", "zk3"}})
	for _, name := range zk.Nodes() {
		zk.StartNode(name)
	}
	client := func(name string) (*sched.Process, port.Coordination) {
		node, p := n.AddNode(name, ""), s.Process(name)
		node.Start(p)
		return p, zk.Client(node, p)
	}
	p, a := client("a")
	_, b := client("b")
	both := func(do func(from, to string)) func() {
		return func() {
			for _, server := range zk.Nodes() {
				do("a", server)
				do(server, "a")
			}
		}
	}
	killed := ""
	env := &Env{
		Runtime: p, A: a, B: b, Root: "/row", SessionTimeout: 4 * time.Second,
		CutA: both(n.Cut), HealA: both(n.Heal),
		KillLeader: func(context.Context) error {
			killed = zk.Leader()
			zk.KillNode(killed)
			return nil
		},
	}
	env.RestartKilled = func(ctx context.Context) error {
		zk.StartNode(killed)
		return env.eventually(ctx, 10*time.Second, "follower again", func() (bool, error) { return zk.Serving(killed), nil })
	}
	failed := errors.New("the row did not finish within 5 minutes of virtual time")
	p.Foreground("row", func(ctx context.Context) {
		defer s.Stop()
		set, err := env.open(ctx, b)
		if err == nil {
			_, err = set.Create(ctx, env.Root, nil, port.Persistent)
		}
		if failed = err; err == nil {
			failed = row.Check(ctx, env)
		}
	})
	if err := s.Run(5 * time.Minute); err != nil {
		return err
	}
	return failed
}
