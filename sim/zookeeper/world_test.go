package zookeeper

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// world is a simulation with an ensemble and client nodes.
type world struct {
	t      testing.TB
	sim    *sched.Sim
	net    *simnet.Network
	zk     *Ensemble
	events []port.Event
	nodes  map[string]*simnet.Node
	procs  map[string]*sched.Process
}

// Announce implements port.Events.
func (w *world) Announce(e port.Event) { w.events = append(w.events, e) }

func (w *world) count(kind string) int {
	n := 0
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("zk%d", i+1)
	}
	return out
}

func newWorld(t testing.TB, seed uint64, cfg Config, clients ...string) *world {
	s := sched.New(seed)
	t.Cleanup(s.Close)
	w := &world{t: t, sim: s, nodes: map[string]*simnet.Node{}, procs: map[string]*sched.Process{}}
	w.net = simnet.New(s, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 300 * time.Microsecond})
	if cfg.Nodes == nil {
		cfg.Nodes = names(3)
	}
	cfg.Events = w
	w.zk = New(s, w.net, cfg)
	for _, n := range w.zk.Nodes() {
		w.zk.StartNode(n)
	}
	for _, c := range clients {
		w.nodes[c] = w.net.AddNode(c, "")
		w.boot(c)
	}
	return w
}

// boot starts a new process on a client node.
func (w *world) boot(client string) {
	p := w.sim.Process(client)
	w.procs[client] = p
	w.nodes[client].Start(p)
}

// run runs f as a foreground task of the first client and the simulation until f returns.
func (w *world) run(limit time.Duration, client string, f func(ctx context.Context)) {
	w.t.Helper()
	finished := false
	w.procs[client].Foreground("test", func(ctx context.Context) {
		f(ctx)
		finished = true
		w.sim.Stop()
	})
	if err := w.sim.Run(limit); err != nil {
		w.t.Fatalf("run: %v", err)
	}
	if !finished && !w.t.Failed() {
		w.t.Fatalf("not finished after %v of virtual time", limit)
	}
}

func (w *world) client(name string) port.Coordination {
	return w.zk.Client(w.nodes[name], w.procs[name])
}

func (w *world) connect(ctx context.Context, name string, timeout time.Duration) port.Session {
	w.t.Helper()
	s, err := w.client(name).Connect(ctx, timeout)
	if err != nil {
		w.t.Errorf("connect: %v", err)
	}
	return s
}

func (w *world) sleep(ctx context.Context, d time.Duration) {
	for _, p := range w.procs {
		if p.Alive() {
			_ = p.Sleep(ctx, d)
			return
		}
	}
}

// until polls cond each 5 ms and returns how long it took.
func (w *world) until(ctx context.Context, client string, limit time.Duration, what string, cond func() bool) time.Duration {
	w.t.Helper()
	start := w.sim.Now()
	for !cond() {
		if w.sim.Now()-start > limit {
			w.t.Errorf("%s: not within %v", what, limit)
			break
		}
		_ = w.procs[client].Sleep(ctx, 5*time.Millisecond)
	}
	return w.sim.Now() - start
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}
