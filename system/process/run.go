package process

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/containers/faultproxy"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/localdisk"
	"github.com/ratel-sim/ratel/system/mysql"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/s3"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/telemetry/watch"
	"github.com/ratel-sim/ratel/system/trigger"
	"github.com/ratel-sim/ratel/system/zookeeper"
)

const (
	// lastRequests is how long requests that are being answered may take once the role has ended.
	lastRequests = 5 * time.Second
	// lastExport is how long the export of the last metrics may take.
	lastExport = time.Second
	// readHeader bounds how long a client may take to send its headers. It also ends connections that were made ahead and not
	// used yet, so it is longer than clients keep those: of the two the client has to be the first to let go, or a request that
	// it sends just then is lost, and nobody knows what became of it.
	readHeader = time.Minute
)

// node is the process's runtime: the wall clock, and the node's name for whoever asks.
type node struct {
	*rt.Wall
	name string
}

// Name is the node's name in the topology.
func (n node) Name() string { return n.name }

// Run runs one role until ctx ends, then ends it cleanly: a shepherd drains what is in flight, a retriever makes durable
// what it has. Events are announced on standard output, a line of JSON each. It returns nil after a clean end.
func Run(ctx context.Context, cfg Config, bugs planted.Set, log *slog.Logger) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	if cfg.Role == RoleProxy {
		return faultproxy.Run(ctx, cfg.Proxy, log)
	}
	var seed [8]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return fmt.Errorf("draw a seed: %w", err)
	}
	// A panic in a task ends the process, as it should: whoever started it sees it exit.
	n := node{Wall: rt.NewWall(binary.NativeEndian.Uint64(seed[:])), name: cfg.Node}
	defer n.Kill()
	if cfg.Role == system.RoleTrigger && bugs.Has(planted.FirstZooKeeperOnly) {
		cfg.ZooKeeper = cfg.ZooKeeper[:1]
	}
	ports, closePorts, err := connect(n, cfg, log)
	if err != nil {
		return err
	}
	defer closePorts()
	if err := schema(ctx, n, ports.Catalog, log); err != nil {
		return err
	}
	ports.Telemetry = recorder(n, cfg, ports.Observer)
	ports.Telemetry.Plant(bugs)
	run, faces, err := wire(n, cfg, watch.Ports(n, ports), bugs)
	if err != nil {
		return err
	}
	if cfg.OTLP.Endpoint != "" {
		stop, err := export(ctx, n, cfg.OTLP, ports.Telemetry)
		if err != nil {
			return err
		}
		defer endExport(n, stop, log)
	}
	ctx, stop := n.WithCancel(ctx)
	defer stop()
	served, err := serve(n, faces, stop, log)
	if err != nil {
		return err
	}
	ports.Telemetry.Start()
	log.Info("started", "role", cfg.Role)
	runErr := run(ctx)
	if ctx.Err() != nil && errors.Is(runErr, context.Canceled) {
		runErr = nil
	}
	// Requests are answered until here, so that a draining shepherd can still tell what became of their events.
	endCtx, cancel := n.WithTimeout(context.WithoutCancel(ctx), lastRequests)
	defer cancel()
	serveErr := served.end(endCtx)
	// A connection that was dialled ahead and never used can take all of that time: the last words have their own.
	ports.Telemetry.End(context.WithoutCancel(ctx))
	log.Info("ended", "error", errors.Join(runErr, serveErr))
	return errors.Join(runErr, serveErr)
}

// schemaPatience is how long the catalog may take to say which migrations it has had.
const schemaPatience = 2 * time.Second

// schema refuses to begin on a catalog that lacks a migration. One that does not answer is no reason: a role bears with
// servers that are away, and the catalog's client checks the schema again before its first write.
func schema(ctx context.Context, n node, c port.Catalog, log *slog.Logger) error {
	if c == nil {
		return nil
	}
	ctx, cancel := n.WithTimeout(ctx, schemaPatience)
	defer cancel()
	err := catalog.CheckSchema(ctx, c)
	if errors.Is(err, port.ErrSchema) {
		return fmt.Errorf("nothing was begun: %w", err)
	}
	if err != nil {
		log.Warn("the catalog's schema could not be checked yet", "error", err)
	}
	return nil
}

// connect makes the role's ports to the real servers. Nothing is waited for: a role bears with servers that are not up.
func connect(n node, cfg Config, log *slog.Logger) (ports port.Ports, closeAll func(), err error) {
	var closers []func() error
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			if err := c(); err != nil {
				log.Warn("an end was not clean", "error", err)
			}
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	kafkaLog, err := kafka.New(n, kafka.Options{Seeds: cfg.Kafka})
	if err != nil {
		return ports, nil, err
	}
	closers = append(closers, kafkaLog.Close)
	coordination, err := zookeeper.New(n, zookeeper.Config{Servers: cfg.ZooKeeper, Log: func(format string, args ...any) {
		log.Info(fmt.Sprintf(format, args...))
	}})
	if err != nil {
		return ports, nil, err
	}
	catalog, err := mysql.New(n, mysql.Options{DSN: cfg.MySQL})
	if err != nil {
		return ports, nil, err
	}
	closers = append(closers, catalog.Close)
	blobs, err := s3.New(s3.Options{Endpoint: cfg.S3.Endpoint, Bucket: cfg.S3.Bucket, AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey})
	if err != nil {
		return ports, nil, err
	}
	closers = append(closers, func() error { blobs.Close(); return nil })
	others := newPeers(n, cfg.Peers)
	closers = append(closers, func() error { others.close(); return nil })
	hooks := newWebhooks()
	closers = append(closers, func() error { hooks.close(); return nil })
	ports = port.Ports{
		Log: kafkaLog, Groups: kafkaLog.Groups(), Coordination: coordination, Blobs: blobs, Peers: others, Webhooks: hooks,
		Catalog: catalog, Definitions: catalog, Counts: catalog, Evaluations: catalog, Events: NewAnnouncer(os.Stdout),
	}
	if cfg.Telemetry.Enabled && cfg.Observe.URL != "" {
		o := newObserver(cfg.Observe)
		closers = append(closers, func() error { o.close(); return nil })
		ports.Observer = o
	}
	if cfg.Data != "" {
		disk, err := localdisk.Open(cfg.Data)
		if err != nil {
			return ports, nil, err
		}
		closers = append(closers, disk.Close)
		ports.Disk = disk
	}
	return ports, closeAll, nil
}

// recorder makes what the role says about itself: to the observer if there is one, and as metrics in any case.
func recorder(n node, cfg Config, to port.Observer) *telemetry.Recorder {
	how := cfg.Telemetry
	if !how.Enabled {
		how, to = telemetry.DefaultConfig(), nil
	}
	return telemetry.New(n, to, how, telemetry.Identity{Node: cfg.Node, Role: string(cfg.Role), Zone: cfg.Zone})
}

// endExport sends the last metrics, if somebody takes them soon.
func endExport(n node, stop func(context.Context) error, log *slog.Logger) {
	ctx, cancel := n.WithTimeout(context.Background(), lastExport)
	defer cancel()
	if err := stop(ctx); err != nil {
		log.Warn("the last metrics were not exported", "error", err)
	}
}

// wire makes the role itself and its interfaces.
func wire(n node, cfg Config, ports port.Ports, bugs planted.Set) (run func(context.Context) error, faces []face, err error) {
	overHTTP := func(h http.Handler) []face {
		return []face{{name: "HTTP", address: cfg.Listen, handler: withMetrics(ports.Telemetry, h)}}
	}
	withPeers := func(h http.Handler, server port.PeerServer) []face {
		return append(overHTTP(h), face{name: "peers", address: cfg.PeerListen, handler: servePeers(n, server)})
	}
	switch cfg.Role {
	case system.RoleShepherd:
		s, err := shepherd.New(n, ports, cfg.Shepherd, cfg.Partitions, cfg.Node, bugs)
		if err != nil {
			return nil, nil, err
		}
		faces := overHTTP(shepherd.Handler(s))
		if cfg.GRPCListen != "" {
			faces = append(faces, face{name: "gRPC", address: cfg.GRPCListen, handler: shepherd.GRPC(s), grpc: true})
		}
		return s.Run, faces, nil
	case system.RoleRetriever:
		re, err := retriever.New(n, ports, cfg.Retriever, retriever.Place{
			Topic: system.EventsTopic, Partition: cfg.Partition, Replica: cfg.Replica, Node: cfg.Node, Zone: cfg.Zone, Peers: cfg.pair(),
		}, bugs)
		if err != nil {
			return nil, nil, err
		}
		return re.Run, withPeers(retriever.Handler(re), re), nil
	case system.RoleQuery:
		q, err := query.New(n, ports, cfg.Query, query.Layout{
			Partitions: cfg.Partitions, Most: int32(len(cfg.Retrievers)), Topic: system.EventsTopic,
			Retrievers: func(partition int32) []string { return cfg.Retrievers[partition] },
		}, cfg.Node, bugs)
		if err != nil {
			return nil, nil, err
		}
		return q.Run, withPeers(query.Handler(q), q), nil
	case system.RoleBeagle:
		b, err := beagle.New(n, ports, cfg.Beagle, system.EventsTopic, cfg.Node, bugs)
		if err != nil {
			return nil, nil, err
		}
		return b.Run, overHTTP(beagle.Handler(b)), nil
	case system.RoleTrigger:
		t, err := trigger.New(n, ports, cfg.Trigger, cfg.Queries, cfg.Node, bugs, trigger.Counting(system.EventsTopic))
		if err != nil {
			return nil, nil, err
		}
		return t.Run, overHTTP(trigger.Handler(t)), nil
	case system.RoleKafka, system.RoleZooKeeper, system.RoleMySQL, system.RoleS3:
	}
	return nil, nil, fmt.Errorf("%q is not a role that this program runs", cfg.Role)
}
