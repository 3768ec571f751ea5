package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system/port"
)

// world is a small cluster with one client process.
type world struct {
	s       *sched.Sim
	n       *simnet.Network
	zk      *zookeeper.Ensemble
	c       *Cluster
	p       *sched.Process
	node    *simnet.Node
	log     port.Log
	events  []port.Event
	onEvent func(port.Event)
}

func (w *world) Announce(e port.Event) {
	w.events = append(w.events, e)
	if w.onEvent != nil {
		w.onEvent(e)
	}
}

func (w *world) count(kind string) int {
	n := 0
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func newWorld(t testing.TB, seed uint64, change func(*Config)) *world {
	s := sched.New(seed)
	t.Cleanup(s.Close)
	return newWorldOn(s, change)
}

func newWorldOn(s *sched.Sim, change func(*Config)) *world {
	w := &world{s: s}
	w.n = simnet.New(s, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, BytesPerSecond: 1 << 30, RetransmitTimeout: 200 * time.Millisecond})
	w.zk = zookeeper.New(s, w.n, zookeeper.Config{Nodes: []string{"zk1", "zk2", "zk3"}})
	cfg := DefaultConfig()
	cfg.Events = w
	if change != nil {
		change(&cfg)
	}
	w.c = New(s, w.n, w.zk, cfg)
	w.node = w.n.AddNode("client", "")
	w.p = s.Process("client")
	w.node.Start(w.p)
	w.log = w.c.Client(w.node, w.p)
	for _, name := range w.zk.Nodes() {
		w.zk.StartNode(name)
	}
	for _, b := range w.c.brokers {
		if err := w.c.StartBroker(b.name); err != nil {
			panic(err)
		}
	}
	return w
}

// run runs f as a task until it returns, within ten virtual minutes.
func (w *world) run(t testing.TB, f func(ctx context.Context)) {
	t.Helper()
	if err := w.drive(f); err != nil {
		t.Fatal(err)
	}
}

func (w *world) drive(f func(ctx context.Context)) error {
	done := false
	w.p.Foreground("test", func(ctx context.Context) {
		f(ctx)
		done = true
		w.s.Stop()
	})
	if err := w.s.Run(w.s.Now() + 10*time.Minute); err != nil {
		return err
	}
	if !done {
		return fmt.Errorf("test task did not end within ten virtual minutes")
	}
	return nil
}

const topic = "events"

// ready waits for all brokers and creates the topic.
func (w *world) ready(ctx context.Context, spec port.TopicSpec) error {
	for {
		ids, err := w.log.Admin().Brokers(ctx)
		if err == nil && len(ids) == len(w.c.brokers) {
			break
		}
		if w.s.Now() > time.Minute {
			return fmt.Errorf("brokers after a minute: %v, %w", ids, err)
		}
		if err := w.p.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if spec.Name == "" {
		spec = port.TopicSpec{Name: topic, Partitions: 3, Replication: 3, MinISR: 2}
	}
	return w.log.Admin().CreateTopic(ctx, spec)
}

// until polls a condition for at most limit of virtual time.
func (w *world) until(ctx context.Context, t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := w.s.Now() + limit; !ok(); {
		if w.s.Now() >= end {
			t.Errorf("not within %v: %s", limit, what)
			return
		}
		if w.p.Sleep(ctx, 10*time.Millisecond) != nil {
			return
		}
	}
}

func (w *world) fullISR(partitions int) func() bool {
	return func() bool {
		for p := range partitions {
			st, ok := w.c.State(topic, int32(p))
			if !ok || st.Leader < 0 || len(st.ISR) < len(st.Replicas) {
				return false
			}
		}
		return true
	}
}

func record(i int) port.Record { return port.Record{Value: []byte(fmt.Sprintf("value-%08d", i))} }
