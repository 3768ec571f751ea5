package containers

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/hostports"
	"github.com/ratel-sim/ratel/system/planted"
)

// laidOut is a world whose topology is planned but not started.
func laidOut(t *testing.T, top system.Topology) *World {
	t.Helper()
	ports, err := hostports.Acquire(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ports.Release)
	w := &World{run: "test", ports: ports, nodes: map[string]*node{}}
	if err := w.plan(top, netip.MustParsePrefix("10.9.0.0/24")); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestServersAreConfiguredFromTheTopology(t *testing.T) {
	t.Parallel()
	top := system.Default()
	top.Kafka.SessionTimeout, top.Kafka.ReplicaLagTimeMax = 2500*time.Millisecond, 400*time.Millisecond
	w := laidOut(t, top)
	kafka2 := w.nodes["kafka2"]
	text, err := w.render("server.properties.tmpl", kafka2)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"broker.id=2\n", "zookeeper.connect=zk1:2181,zk2:2181,zk3:2181/kafka\n", "min.insync.replicas=2\n",
		"zookeeper.session.timeout.ms=2500\n", "replica.lag.time.max.ms=400\n",
		"replica.fetch.wait.max.ms=200\n", // must not exceed the lag
		"advertised.listeners=INTERNAL://kafka2:9092,EXTERNAL://" + kafka2.host() + "\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("server.properties lacks %q", want)
		}
	}
	text, err = w.render("zoo.cfg.tmpl", w.nodes["zk1"])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "server.3=zk3:2888:3888;2181\n") || strings.Contains(string(text), "\nclientPort") {
		t.Errorf("zoo.cfg of an ensemble:\n%s", text)
	}
	top.ZooKeeper.Nodes = 1
	text, err = laidOut(t, top).render("zoo.cfg.tmpl", w.nodes["zk1"])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "server.1") || !strings.Contains(string(text), "\nclientPort=2181\n") {
		t.Errorf("zoo.cfg of a single node:\n%s", text)
	}
}

func TestEveryNodeHasItsOwnAddresses(t *testing.T) {
	t.Parallel()
	w := laidOut(t, system.Default())
	seen := map[string]string{}
	for _, n := range w.order {
		for _, a := range []string{n.ip.String(), n.host()} {
			if seen[a] != "" {
				t.Errorf("%s and %s share %s", seen[a], n.Name, a)
			}
			seen[a] = n.Name
		}
	}
	if len(w.order) != 14 {
		t.Errorf("%d nodes, want 14", len(w.order))
	}
}

func TestATopologyTooLargeForItsNetworkIsRefused(t *testing.T) {
	t.Parallel()
	ports, err := hostports.Acquire(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer ports.Release()
	w := &World{ports: ports, nodes: map[string]*node{}}
	if err := w.plan(system.Default(), netip.MustParsePrefix("10.9.0.0/28")); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

func TestRolesAreToldWhereTheServersAre(t *testing.T) {
	t.Parallel()
	w := laidOut(t, system.Default())
	for _, n := range append(w.of(system.RoleShepherd), w.of(system.RoleRetriever)...) {
		c := w.roleConfig(n)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		if n.Role == system.RoleRetriever && int(c.Partition) != n.Number-1 {
			t.Errorf("%s reads partition %d", n.Name, c.Partition)
		}
	}
	bugs, err := planted.Parse(planted.AcksLeader, planted.AcceptBeforeKafka)
	if err != nil {
		t.Fatal(err)
	}
	w.opt.Planted = bugs
	_, _, cmd, err := w.configure(w.nodes["shepherd1"])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(cmd, " "), "role --config /etc/ratel/role.json --planted K1 --planted P7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCutsAreResolved(t *testing.T) {
	t.Parallel()
	w := laidOut(t, system.Default())
	f := system.Fault{Kind: system.FaultIsolate, Node: "kafka1", From: []string{"kafka1", "kafka2", "zk1"}, Direction: system.Inbound}
	cut, err := w.cut(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(cut.Peers) != 2 || !cut.In || cut.Out || len(cut.Name) > 16 {
		t.Errorf("got %+v", cut)
	}
	other := f
	other.Direction = system.Outbound
	if second, err := w.cut(other); err != nil || second.Name == cut.Name {
		t.Errorf("two cuts of one node share the name %q (%v)", cut.Name, err)
	}
	for _, bad := range []system.Fault{
		{Kind: system.FaultIsolate, Node: "kafka1", Direction: system.Both},
		{Kind: system.FaultIsolate, Node: "kafka1", From: []string{"kafka1"}},
		{Kind: system.FaultIsolate, Node: "kafka1", From: []string{"kafka9"}},
		{Kind: system.FaultIsolate, Node: "kafka1", From: []string{"kafka2"}, Direction: "sideways"},
	} {
		if _, err := w.cut(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
