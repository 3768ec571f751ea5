package containers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/faultproxy"
	"github.com/ratel-sim/ratel/system/containers/hostports"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/process"
	"github.com/ratel-sim/ratel/system/rt"
)

// laidOut is a world whose topology is planned but not started.
func laidOut(t *testing.T, top system.Topology) *World {
	t.Helper()
	ports, err := hostports.Acquire()
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
	for _, n := range slices.Concat(w.order, w.helpers) {
		for _, a := range []string{n.ip.String(), n.host()} {
			if seen[a] != "" {
				t.Errorf("%s and %s share %s", seen[a], n.Name, a)
			}
			seen[a] = n.Name
		}
	}
	if len(w.order) != 23 || len(w.helpers) != 2 {
		t.Errorf("%d nodes and %d helpers, want 3 + 3 + 2 + 2 + 12 + 1 and 2", len(w.order), len(w.helpers))
	}
}

func TestATopologyTooLargeForItsNetworkIsRefused(t *testing.T) {
	t.Parallel()
	ports, err := hostports.Acquire()
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
	for _, n := range slices.Concat(w.of(system.RoleShepherd), w.of(system.RoleRetriever), w.of(system.RoleQuery), w.helpers) {
		c := w.roleConfig(n)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		if n.Role == system.RoleRetriever && (int(c.Partition) != (n.Number-1)/2 || c.Replica != (n.Number-1)%2 || c.Zone != n.Zone) {
			t.Errorf("%s is replica %d of partition %d in zone %q", n.Name, c.Replica, c.Partition, c.Zone)
		}
		if n.Role != process.RoleProxy && (!strings.Contains(c.MySQL, "tcp(mysql-proxy:3306)") || c.S3.Endpoint != "http://s3-proxy:9000") {
			t.Errorf("%s goes to %s and %s, past the proxies", n.Name, c.MySQL, c.S3.Endpoint)
		}
	}
	if c := w.roleConfig(w.nodes["mysql"].front).Proxy; c.Kind != faultproxy.KindMySQL || c.Listen != ":3306" || c.Target != "mysql:3306" {
		t.Errorf("the proxy in front of MySQL: %+v", c)
	}
	bugs, err := planted.Parse(planted.AcksLeader, planted.AcceptBeforeKafka)
	if err != nil {
		t.Fatal(err)
	}
	w.opt.Planted = bugs
	_, cmd, err := w.configure(w.nodes["shepherd1"])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(cmd, " "), "role --config env:RATEL_ROLE --planted K1 --planted P7"; got != want {
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
	f.From = []string{"mysql"}
	if cut, err := w.cut(f); err != nil || !slices.Equal(cut.Peers, []netip.Addr{w.nodes["mysql"].ip, w.nodes["mysql"].front.ip}) {
		t.Errorf("cut off from MySQL: %+v %v, want the server and the proxy in front of it", cut, err)
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

func TestFaultsOfAServerAddUp(t *testing.T) {
	t.Parallel()
	n := &node{degraded: map[string]degradation{}}
	for _, f := range []system.Fault{
		{Kind: system.FaultErrors, Node: "s3", Rate: 0.5}, {Kind: system.FaultErrors, Node: "s3", Rate: 0.2},
		{Kind: system.FaultSlow, Node: "s3", Delay: time.Second}, {Kind: system.FaultSlow, Node: "s3", Delay: 2 * time.Second},
	} {
		n.degraded[f.Key()] = degradation{fault: f}
	}
	if got := n.faults(); got.Delay != 3*time.Second || got.Errors < 0.599 || got.Errors > 0.601 {
		t.Errorf("got %+v", got)
	}
	now := faultproxy.Counts{Requests: 100, Refused: 7, Cut: 5, Delayed: 90}
	base := faultproxy.Counts{Refused: 2, Cut: 1, Delayed: 80}
	if got := (degradation{fault: system.Fault{Kind: system.FaultErrors}, base: base}).met(now); got != 9 {
		t.Errorf("errors met %d requests, want 9", got)
	}
	if got := (degradation{fault: system.Fault{Kind: system.FaultSlow}, base: base}).met(now); got != 10 {
		t.Errorf("slowness met %d requests, want 10", got)
	}
}

func TestWhatThisWorldCannotDo(t *testing.T) {
	t.Parallel()
	w := &World{}
	for _, tt := range []struct {
		kind  system.FaultKind
		role  system.Role
		aimed bool
		can   bool
	}{
		{system.FaultKill, system.RoleMySQL, false, true},
		{system.FaultKill, system.RoleMySQL, true, false},
		{system.FaultPause, system.RoleS3, false, true},
		{system.FaultReplace, system.RoleMySQL, false, false},
		{system.FaultReplace, system.RoleS3, false, false},
		{system.FaultReplace, system.RoleRetriever, false, true},
		{system.FaultErrors, system.RoleS3, false, true},
		{system.FaultErrors, system.RoleKafka, false, false},
		{system.FaultSlow, system.RoleMySQL, false, true},
		{system.FaultSlow, system.RoleShepherd, false, false},
		{system.FaultIsolate, system.RoleQuery, false, true},
		{system.FaultIsolate, system.RoleObserver, false, false},
		{system.FaultStarve, system.RoleObserver, false, false},
		{system.FaultStarve, system.RoleQuery, false, true},
		{system.FaultRecreate, system.RoleMySQL, false, true},
		{"melt", system.RoleKafka, false, false},
	} {
		if err := w.Can(tt.kind, tt.role, tt.aimed); (err == nil) != tt.can {
			t.Errorf("%s on %s (aimed: %v): %v", tt.kind, tt.role, tt.aimed, err)
		}
	}
}

// TestWhyARunEnds: what a panic has cut short was not interrupted.
func TestWhyARunEnds(t *testing.T) {
	t.Parallel()
	odd := &rt.PanicError{Task: "sampler", Value: "odd"}
	canceled := fmt.Errorf("ask kafka1: %w", context.Canceled)
	other := errors.New("no space left")
	for _, c := range []struct {
		cause, err  error
		interrupted bool
		panicked    bool
		says        error
	}{
		{context.Canceled, nil, true, false, context.Canceled}, {context.Canceled, canceled, true, false, canceled}, {context.Canceled, other, true, false, other},
		{odd, nil, false, true, odd}, {odd, odd, false, true, odd}, {odd, canceled, false, true, canceled}, {odd, other, false, true, other},
		{odd, errors.Join(odd, canceled), false, true, canceled},
	} {
		got := cutShort(c.cause, c.err)
		if errors.Is(got, context.Canceled) != c.interrupted || errors.Is(got, odd) != c.panicked || !strings.Contains(got.Error(), c.says.Error()) {
			t.Errorf("%v and %v: %v", c.cause, c.err, got)
		}
	}
}
