//go:build containers

package containers

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// bench is a running world with a test around it.
type bench struct {
	*World
	ctx  context.Context
	seen *recorder
	sent int64
}

// TestContainersFaults starts the default topology once and injects every fault into it, one after the other: what an
// asker sees, what the servers say, and that healing restores what was there.
func TestContainersFaults(t *testing.T) {
	w := newWorld(t)
	seen := &recorder{}
	w.Subscribe(seen)
	began := time.Now()
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		top := system.Default()
		// What is counted below is what retrievers have locally. One that is replaced takes from Kafka only what no snapshot has,
		// so there must be none, however long this takes.
		top.Retriever.SnapshotEvery = 24 * time.Hour
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		b := &bench{World: w, ctx: ctx, seen: seen}
		for _, tt := range []struct {
			name string
			run  func(t *testing.T, b *bench)
		}{
			{"kill a leader", killLeader},
			{"restart before the old session has expired", restartAtOnce},
			{"replace a broker", replaceBroker},
			{"replace a retriever", replaceRetriever},
			{"stop a broker", stopBroker},
			{"pause", pauseNodes},
			{"kill the ZooKeeper leader", killZooKeeperLeader},
			{"isolate from this machine", func(t *testing.T, b *bench) { isolateBroker(t, b, false) }},
			{"isolate through a helper container", func(t *testing.T, b *bench) { isolateBroker(t, b, true) }},
			{"an isolation outlives a restart", isolateAcrossRestart},
			{"a zone at once", loseZone},
			{"overlapping faults", overlap},
			{"a port taken meanwhile", portTaken},
			{"what cannot be done", refusals},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b.send(t)
				tt.run(t, b)
				b.settled(t)
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := leftOf(t, w.RunID()); !left.Empty() {
		t.Errorf("left behind: %s", left)
	}
}

// send has one batch accepted, trying again while a fault of before is being recovered from.
func (b *bench) send(t *testing.T) {
	t.Helper()
	req := shepherd.Request{Team: system.TeamKey(system.DefaultTeam), Dataset: "d", Events: []event.Event{{SampleRate: 1, Time: time.Now(), Fields: []event.Field{{Name: "n", Value: event.IntValue(b.sent)}}}}}
	eventually(t, "an event is accepted", func() (string, bool) {
		ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
		defer cancel()
		a, err := b.Ingests()[0].Send(ctx, req)
		return fmt.Sprintf("%+v, %v", a, err), err == nil && a.Code == 200 && len(a.Statuses) == 1 && a.Statuses[0].Code == shepherd.Accepted
	})
	b.sent++
}

// settled waits until everything is as it was: every node answers, ISRs are full, and the retrievers hold all that was sent.
func (b *bench) settled(t *testing.T) {
	t.Helper()
	for _, n := range b.order {
		b.reaches(t, n.Name, system.Answers)
	}
	eventually(t, "ISRs are full", func() (string, bool) {
		parts, err := b.Log().Admin().Describe(b.ctx, system.EventsTopic)
		full := err == nil
		for _, p := range parts {
			full = full && p.Leader > 0 && len(p.ISR) == 3
		}
		return fmt.Sprint(parts, err), full
	})
	eventually(t, "all that was sent is held", func() (string, bool) {
		var held int64
		for _, n := range b.of(system.RoleRetriever) {
			st, err := b.Holder(n.Name).Status(b.ctx)
			if err != nil || !st.Claimed || st.Durable < st.HighWater {
				return fmt.Sprintf("%s: %+v, %v", n.Name, st, err), false
			}
			if n.Replica == 0 {
				held += st.Held
			}
		}
		// An event whose outcome was unknown and that was sent again may be there twice.
		return fmt.Sprintf("%d of %d", held, b.sent), held >= b.sent
	})
}

func (b *bench) reaches(t *testing.T, node string, want system.Reach) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s %s", node, want), func() (string, bool) {
		reach, detail := b.Probe(b.ctx, node)
		return string(reach) + ": " + detail, reach == want
	})
}

func (b *bench) inject(t *testing.T, f system.Fault) {
	t.Helper()
	if err := b.Inject(b.ctx, f); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) heal(t *testing.T, f system.Fault) {
	t.Helper()
	if err := b.Heal(b.ctx, f); err != nil {
		t.Fatal(err)
	}
}

// leader returns the broker that leads partition 0.
func (b *bench) leader(t *testing.T) string {
	t.Helper()
	parts, err := b.Log().Admin().Describe(b.ctx, system.EventsTopic)
	if err != nil || len(parts) == 0 {
		t.Fatalf("describe: %v, %v", parts, err)
	}
	return system.NodeName(system.RoleKafka, int(parts[0].Leader))
}

// leaves waits until a broker leads nothing.
func (b *bench) leaves(t *testing.T, node string) {
	t.Helper()
	eventually(t, node+" leads nothing any more", func() (string, bool) {
		parts, err := b.Log().Admin().Describe(b.ctx, system.EventsTopic)
		gone := err == nil && len(parts) > 0
		for _, p := range parts {
			gone = gone && p.Leader > 0 && system.NodeName(system.RoleKafka, int(p.Leader)) != node
		}
		return fmt.Sprint(parts, err), gone
	})
}

func killLeader(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultKill, Node: b.leader(t)}
	b.inject(t, f)
	if reach, detail := b.Probe(b.ctx, f.Node); reach != system.Refuses {
		t.Errorf("right after the kill: %s %s", reach, detail)
	}
	b.leaves(t, f.Node)
	if !b.seen.saw(func(e port.Event) bool { return e.Kind == port.EventSessionExpired }) {
		t.Error("the end of the broker's session was not announced")
	}
	if !b.seen.saw(func(e port.Event) bool { return e.Kind == port.EventLeaderElected && e.Detail > "epoch 1" }) {
		t.Error("no election was announced")
	}
	id := b.nodes[f.Node].ctr.GetContainerID()
	b.heal(t, f)
	if now := b.nodes[f.Node].ctr.GetContainerID(); now != id {
		t.Error("a killed node was replaced, not restarted: its disk is another")
	}
}

func restartAtOnce(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultKill, Node: "kafka2"}
	b.inject(t, f)
	started := b.startsOf(f.Node)
	b.heal(t, f)
	b.reaches(t, f.Node, system.Answers)
	if n := b.startsOf(f.Node) - started; n != 1 {
		t.Errorf("the broker was started %d times: it did not wait for its old registration to go", n)
	}
}

// startsOf counts how often a node was started.
func (b *bench) startsOf(node string) int {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	n := 0
	for _, e := range b.seen.events {
		if e.Kind == port.EventNodeStarted && e.Node == node {
			n++
		}
	}
	return n
}

func replaceBroker(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultReplace, Node: b.leader(t)}
	n := b.nodes[f.Node]
	id, host, ip := n.ctr.GetContainerID(), n.host(), n.ip
	volume := fmt.Sprintf("ratel-%s-%s-%d", b.run, n.Name, n.incarnation)
	b.inject(t, f)
	b.reaches(t, f.Node, system.Refuses)
	if _, err := b.engine.ContainerInspect(b.ctx, id, client.ContainerInspectOptions{}); !cerrdefs.IsNotFound(err) {
		t.Errorf("the old container is still there (%v)", err)
	}
	if _, err := b.engine.VolumeInspect(b.ctx, volume, client.VolumeInspectOptions{}); !cerrdefs.IsNotFound(err) {
		t.Errorf("the old disk is still there (%v)", err)
	}
	b.send(t)
	b.heal(t, f)
	if n.ctr.GetContainerID() == id || n.host() != host || n.ip != ip {
		t.Errorf("want another container at %s and %s, got %s at %s and %s", host, ip, n.ctr.GetContainerID(), n.host(), n.ip)
	}
}

func replaceRetriever(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultReplace, Node: "retriever1"}
	b.inject(t, f)
	b.reaches(t, f.Node, system.Refuses)
	b.heal(t, f) // settled then asks it for everything again, which it has to read back from Kafka
}

func stopBroker(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultStop, Node: "kafka3"}
	b.inject(t, f)
	// A broker that ends cleanly closes its session; a killed one would be registered for three more seconds.
	if held, err := b.ephemeral(b.ctx, "/kafka/brokers/ids/3"); err != nil || held {
		t.Errorf("after a clean stop the broker is still registered: %v, %v", held, err)
	}
	b.reaches(t, f.Node, system.Refuses)
	b.heal(t, f)
}

func pauseNodes(t *testing.T, b *bench) {
	for _, name := range []string{"kafka1", "zk1", "shepherd2", "retriever2"} {
		f := system.Fault{Kind: system.FaultPause, Node: name}
		b.inject(t, f)
		b.reaches(t, name, system.Silent)
		b.heal(t, f)
		b.reaches(t, name, system.Answers)
	}
	// A kill ends a pause; healing the pause then has nothing to do.
	p, k := system.Fault{Kind: system.FaultPause, Node: "shepherd2"}, system.Fault{Kind: system.FaultKill, Node: "shepherd2"}
	b.inject(t, p)
	b.inject(t, k)
	b.reaches(t, "shepherd2", system.Refuses)
	b.heal(t, p)
	b.heal(t, k)
}

func killZooKeeperLeader(t *testing.T, b *bench) {
	old, err := b.ZooKeeperLeader(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := system.Fault{Kind: system.FaultKill, Node: old}
	b.inject(t, f)
	eventually(t, "another ZooKeeper node leads", func() (string, bool) {
		now, err := b.ZooKeeperLeader(b.ctx)
		return fmt.Sprint(now, err), err == nil && now != old
	})
	b.heal(t, f)
}

// rules are all packet filter rules of a node.
func (b *bench) rules(t *testing.T, node string) string {
	t.Helper()
	text, err := b.filter(b.nodes[node]).Rules(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b *bench) others(node string) []string {
	var names []string
	for _, n := range b.order {
		if n.Name != node && (n.Role == system.RoleKafka || n.Role == system.RoleZooKeeper) {
			names = append(names, n.Name)
		}
	}
	return names
}

func isolateBroker(t *testing.T, b *bench, sidecar bool) {
	b.opt.ForceSidecar = sidecar
	defer func() { b.opt.ForceSidecar = false }()
	node := b.leader(t)
	before := b.rules(t, node)
	directions := []system.Direction{system.Inbound, system.Outbound}
	for _, d := range directions {
		f := system.Fault{Kind: system.FaultIsolate, Node: node, From: b.others(node), Direction: d}
		b.inject(t, f)
		if rules := b.rules(t, node); strings.Contains(rules, "-A INPUT") == (d == system.Outbound) || strings.Contains(rules, "-A OUTPUT") == (d == system.Inbound) {
			t.Errorf("a cut %s has the rules\n%s", d, rules)
		}
		eventually(t, "packets are dropped, direction "+string(d), func() (string, bool) {
			n, err := b.Dropped(b.ctx, f)
			return fmt.Sprint(n, err), err == nil && n > 0
		})
		b.heal(t, f)
		if n, err := b.Dropped(b.ctx, f); err != nil || n == 0 {
			t.Errorf("after healing %d packets count as dropped (%v)", n, err)
		}
		if after := b.rules(t, node); after != before {
			t.Errorf("healing has not restored the rules:\n%s\nwant\n%s", after, before)
		}
	}
	f := system.Fault{Kind: system.FaultIsolate, Node: node, From: b.others(node), Direction: system.Both}
	b.inject(t, f)
	b.leaves(t, node)
	if reach, detail := b.Probe(b.ctx, node); reach != system.Answers {
		t.Errorf("this machine must still reach an isolated node: %s %s", reach, detail)
	}
	b.heal(t, f)
	if after := b.rules(t, node); after != before {
		t.Errorf("healing has not restored the rules:\n%s\nwant\n%s", after, before)
	}
}

func isolateAcrossRestart(t *testing.T, b *bench) {
	cut := system.Fault{Kind: system.FaultIsolate, Node: "zk2", From: []string{"zk1", "zk3"}, Direction: system.Both}
	kill := system.Fault{Kind: system.FaultKill, Node: "zk2"}
	before := b.rules(t, "zk2")
	b.inject(t, cut)
	b.inject(t, kill)
	b.heal(t, kill)
	if rules := b.rules(t, "zk2"); strings.Count(rules, "-j DROP") != 4 {
		t.Errorf("after the restart the cut is not in force:\n%s", rules)
	}
	b.reaches(t, "zk2", system.Silent) // it runs, without a quorum
	b.heal(t, cut)
	if after := b.rules(t, "zk2"); after != before {
		t.Errorf("healing has not restored the rules:\n%s\nwant\n%s", after, before)
	}
}

func overlap(t *testing.T, b *bench) {
	kill, stop := system.Fault{Kind: system.FaultKill, Node: "shepherd2"}, system.Fault{Kind: system.FaultStop, Node: "shepherd2"}
	b.inject(t, kill)
	b.inject(t, stop)
	b.heal(t, kill)
	if reach, detail := b.Probe(b.ctx, "shepherd2"); reach != system.Refuses {
		t.Errorf("it runs although another fault keeps it down: %s %s", reach, detail)
	}
	b.heal(t, stop)
	b.reaches(t, "shepherd2", system.Answers)
	// Two of a plan that do the same are each healed for themselves.
	for kind, down := range map[system.FaultKind]system.Reach{system.FaultKill: system.Refuses, system.FaultPause: system.Silent} {
		one, two := system.Fault{ID: "one", Kind: kind, Node: "shepherd2"}, system.Fault{ID: "two", Kind: kind, Node: "shepherd2"}
		b.inject(t, one)
		b.inject(t, two)
		b.heal(t, one)
		if reach, detail := b.Probe(b.ctx, "shepherd2"); reach != down {
			t.Errorf("after one %s of two is healed: %s %s", kind, reach, detail)
		}
		b.heal(t, two)
		b.reaches(t, "shepherd2", system.Answers)
	}
	// A pause ends with its process, whoever starts it again.
	pause := system.Fault{Kind: system.FaultPause, Node: "shepherd2"}
	b.inject(t, pause)
	b.inject(t, kill)
	b.heal(t, kill)
	b.heal(t, pause)
}

// loseZone kills and starts again everything in a zone at the same time.
func loseZone(t *testing.T, b *bench) {
	var nodes []system.Fault
	for _, n := range b.order {
		if n.Zone == "b" {
			nodes = append(nodes, system.Fault{Kind: system.FaultKill, Node: n.Name})
		}
	}
	if len(nodes) < 6 {
		t.Fatalf("zone b has %v", nodes)
	}
	all := func(do func(ctx context.Context, f system.Fault) error) {
		var wg sync.WaitGroup
		for _, f := range nodes {
			wg.Go(func() {
				if err := do(b.ctx, f); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	began := time.Now()
	all(b.Inject)
	t.Logf("%d nodes were killed in %v", len(nodes), time.Since(began).Round(time.Millisecond))
	for _, f := range nodes {
		b.reaches(t, f.Node, system.Refuses)
	}
	b.send(t) // two zones carry on
	all(b.Heal)
}

func portTaken(t *testing.T, b *bench) {
	f := system.Fault{Kind: system.FaultKill, Node: "shepherd2"}
	b.inject(t, f)
	l, err := net.Listen("tcp4", b.nodes["shepherd2"].host())
	if err != nil {
		t.Fatal(err)
	}
	healed := make(chan error, 1)
	go func() { healed <- b.Heal(b.ctx, f) }()
	select {
	case err := <-healed:
		t.Fatalf("healed on a port that somebody else has: %v", err)
	case <-time.After(2 * time.Second):
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-healed; err != nil {
		t.Errorf("the port is free again, and still: %v", err)
	}
}

func refusals(t *testing.T, b *bench) {
	for _, f := range []system.Fault{
		{Kind: system.FaultKill, Node: "kafka9"},
		{Kind: "melt", Node: "kafka1"},
		{Kind: system.FaultIsolate, Node: "kafka1", From: []string{"nobody"}, Direction: system.Both},
	} {
		if err := b.Inject(b.ctx, f); err == nil {
			t.Errorf("%s was injected", f)
		}
	}
	for _, kind := range []system.FaultKind{system.FaultKill, system.FaultPause, system.FaultIsolate} {
		f := system.Fault{Kind: kind, Node: "kafka1", From: []string{"kafka2"}}
		if err := b.Heal(b.ctx, f); err == nil || !strings.Contains(err.Error(), "not injected") {
			t.Errorf("%s was healed without having been injected: %v", f, err)
		}
	}
	all := []system.FaultKind{system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPause, system.FaultIsolate}
	for _, kind := range append(slices.Clone(all), "melt") {
		if err := b.Can(kind, system.RoleKafka, false); (err == nil) != slices.Contains(all, kind) {
			t.Errorf("Can(%s): %v", kind, err)
		}
		if b.Can(kind, system.RoleKafka, true) == nil {
			t.Errorf("Can(%s, aimed) does not say that real servers cannot be aimed at", kind)
		}
	}
}
