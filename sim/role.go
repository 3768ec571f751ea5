package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/disk"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/telemetry/watch"
	"github.com/ratel-sim/ratel/system/trigger"
)

// stopGrace is how long a role may take to end cleanly before it is killed, as a container engine does.
const stopGrace = 15 * time.Second

// role is one node that runs the pipeline's own code: a shepherd, a retriever or a query node.
type role struct {
	w    *World
	node system.Node
	net  *simnet.Node
	disk *disk.Disk

	process *sched.Process
	cancel  context.CancelFunc // ends the role cleanly
	running bool
	begin   func(p *sched.Process, ports port.Ports) (run func(ctx context.Context) error, err error)
}

// start runs a new incarnation of the role. A role that ends by itself leaves its node refusing connections, as an exited
// container does.
func (r *role) start() error {
	p := r.w.sched.Process(r.node.Name)
	r.process = p
	r.net.Start(p)
	log, metadata := r.w.kafka.Client(r.net, p), r.w.mysql.Client(r.net, p)
	ports := port.Ports{
		Log:          log,
		Groups:       log.Groups(),
		Coordination: r.w.zookeeper.ClientOf(r.zooKeepers(), r.net, p),
		Catalog:      metadata,
		Definitions:  metadata,
		Counts:       metadata,
		Evaluations:  metadata,
		Webhooks:     &webhooks{p: p, from: r.net},
		Blobs:        r.w.s3.Client(r.net, p),
		Peers:        &peers{p: p, from: r.net},
		Disk:         r.disk.Mount(p),
		Observer:     r.observer(p),
		Events:       &r.w.sink,
	}
	recorder := telemetry.New(p, ports.Observer, r.w.topology.Telemetry, telemetry.Identity{Node: r.node.Name, Role: string(r.node.Role), Zone: r.node.Zone})
	recorder.Plant(r.w.opts.Planted)
	ports.Telemetry = recorder
	run, err := r.begin(p, watch.Ports(p, ports))
	if err != nil {
		r.net.Stop()
		return fmt.Errorf("start %s: %w", r.node.Name, err)
	}
	r.running = true
	recorder.Start()
	p.Go(r.node.Name, func(ctx context.Context) {
		ctx, r.cancel = p.WithCancel(ctx)
		r.w.sink.Announce(port.Event{Kind: port.EventNodeStarted, Node: r.node.Name})
		detail := "ended cleanly"
		if err := run(ctx); err != nil && ctx.Err() == nil {
			detail = "ended by itself: " + err.Error()
		}
		recorder.End(context.WithoutCancel(ctx))
		r.running = false
		r.w.sink.Announce(port.Event{Kind: port.EventNodeStopped, Node: r.node.Name, Detail: detail})
		r.net.Stop()
		// The kernel ends what a process leaves behind. Not from this task: it is one of those.
		r.w.sched.After(0, p.Kill)
	})
	return nil
}

// zooKeepers are the servers that the role's client knows.
func (r *role) zooKeepers() []string {
	all := r.w.zookeeper.Nodes()
	if r.node.Role == system.RoleTrigger && r.w.opts.Planted.Has(planted.FirstZooKeeperOnly) {
		return all[:1]
	}
	return all
}

// end ends the process: at once, or as it does itself when it is asked to, which it may take its time for. Its disk keeps
// what was written.
func (r *role) end(ctx context.Context, inOrder bool) error {
	if !inOrder {
		r.kill()
		return nil
	}
	if r.cancel != nil {
		r.cancel()
	}
	for waited := time.Duration(0); r.running && waited < stopGrace; waited += drainPoll {
		if r.w.harness.Sleep(ctx, drainPoll) != nil {
			break
		}
	}
	if r.running {
		r.kill()
	}
	return nil
}

func (r *role) kill() {
	r.running = false
	r.net.Stop()
	r.process.Kill()
	r.disk.Crash(disk.ProcessCrash)
	r.w.sink.Announce(port.Event{Kind: port.EventNodeStopped, Node: r.node.Name, Detail: "killed"})
}

func (r *role) wipe() error   { r.disk.Wipe(); return nil }
func (r *role) freeze() error { r.process.Pause(); return nil }
func (r *role) goOn() error   { r.process.Resume(); return nil }

const drainPoll = 50 * time.Millisecond

// Services that roles listen on.
const (
	serviceIngest   = "ingest"
	serviceHealth   = "health"
	serviceHoldings = "holdings"
	servicePeer     = "peer"
	serviceQuery    = "query"
	serviceProbe    = "probe"
	serviceWebhook  = "webhook"
)

// serve answers each message of a service in a task of its own, as an HTTP server does.
func serve(p *sched.Process, n *simnet.Node, service string, answer func(ctx context.Context, m simnet.Message) simnet.Message) {
	n.Listen(service, func(c *simnet.Conn) {
		c.OnMessage(func(m simnet.Message) {
			p.Go(service, func(ctx context.Context) { c.Send(answer(ctx, m)) })
		})
	})
}

// serveProbe answers probes as long as the process runs: a paused one accepts and stays silent.
func serveProbe(n *simnet.Node) {
	n.Listen(serviceProbe, func(c *simnet.Conn) {
		c.OnMessage(func(m simnet.Message) { c.Send(m) })
	})
}

func (w *World) newRole(n system.Node) *role {
	return &role{w: w, node: n, net: w.net.AddNode(n.Name, n.Zone), disk: disk.New(w.sched, localSSD())}
}

func (w *World) newShepherd(n system.Node) *role {
	r := w.newRole(n)
	r.begin = func(p *sched.Process, ports port.Ports) (func(ctx context.Context) error, error) {
		s, err := shepherd.New(p, ports, w.topology.Shepherd, w.topology.Kafka.Partitions, n.Name, w.opts.Planted)
		if err != nil {
			return nil, err
		}
		serveProbe(r.net)
		w.serveIngest(p, r.net, s)
		return s.Run, nil
	}
	return r
}

func (w *World) newRetriever(n system.Node) *role {
	r := w.newRole(n)
	place := retriever.Place{
		Topic: system.EventsTopic, Partition: n.Partition, Replica: n.Replica, Node: n.Name, Zone: n.Zone,
		Peers: slices.DeleteFunc(w.topology.Retrievers(n.Partition), func(name string) bool { return name == n.Name }),
	}
	r.begin = func(p *sched.Process, ports port.Ports) (func(ctx context.Context) error, error) {
		re, err := retriever.New(p, ports, w.topology.Retriever, place, w.opts.Planted)
		if err != nil {
			return nil, err
		}
		serveProbe(r.net)
		serveHoldings(p, r.net, re)
		servePeers(p, r.net, re)
		return re.Run, nil
	}
	return r
}

func (w *World) newQuery(n system.Node) *role {
	r := w.newRole(n)
	layout := query.Layout{Partitions: w.topology.Kafka.Partitions, Most: w.topology.Whole().Kafka.Partitions, Topic: system.EventsTopic, Retrievers: w.topology.Retrievers}
	r.begin = func(p *sched.Process, ports port.Ports) (func(ctx context.Context) error, error) {
		q, err := query.New(p, ports, w.topology.Query, layout, n.Name, w.opts.Planted)
		if err != nil {
			return nil, err
		}
		serveProbe(r.net)
		w.serveQueries(p, r.net, q)
		servePeers(p, r.net, q)
		return q.Run, nil
	}
	return r
}

func (w *World) newBeagle(n system.Node) *role {
	r := w.newRole(n)
	r.begin = func(p *sched.Process, ports port.Ports) (func(ctx context.Context) error, error) {
		b, err := beagle.New(p, ports, w.topology.Beagle, system.EventsTopic, n.Name, w.opts.Planted)
		if err != nil {
			return nil, err
		}
		serveProbe(r.net)
		return b.Run, nil
	}
	return r
}

func (w *World) newTrigger(n system.Node) *role {
	r := w.newRole(n)
	queries := make([]string, w.topology.Queries)
	for i := range queries {
		queries[i] = system.NodeName(system.RoleQuery, i+1)
	}
	r.begin = func(p *sched.Process, ports port.Ports) (func(ctx context.Context) error, error) {
		t, err := trigger.New(p, ports, w.topology.Trigger, queries, n.Name, w.opts.Planted, trigger.Counting(system.EventsTopic))
		if err != nil {
			return nil, err
		}
		serveProbe(r.net)
		return t.Run, nil
	}
	return r
}

// localSSD is a disk of the order of a small cloud instance's.
func localSSD() disk.Config {
	return disk.Config{SyncLatency: 500 * time.Microsecond, BytesPerSecond: 200 << 20, Capacity: 64 << 30}
}
