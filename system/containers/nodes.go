package containers

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"text/template"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	tc "github.com/testcontainers/testcontainers-go"
	tcnet "github.com/testcontainers/testcontainers-go/network"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/process"
)

//go:embed assets
var assets embed.FS

// Ports inside the containers.
const (
	zooKeeperPort = 2181
	kafkaInternal = 9092
	kafkaExternal = 9094
	mysqlPort     = 3306
	s3Port        = 9000
	rolePort      = 8080
	proxyControl  = 8081
	peerPort      = 8082 // what roles ask of one another; reached from the run's network only
	grpcPort      = 4317
)

const (
	// reservedAddresses of a network, below those of the nodes, are for the shepherds of a world that observes this one and for a
	// person's own containers.
	reservedAddresses = 8
	kafkaHeapMiB      = 256
	zooKeeperHeapMiB  = 96
	// quickJVM compiles with the first tier only: a broker is up a second sooner, at the price of peak throughput.
	quickJVM = "-XX:TieredStopAtLevel=1"
	// A role is given more memory than its own bounds add up to, and is killed above it: a bound that does not hold shows.
	roleMemoryMiB  = 1024
	roleGoalMiB    = 768 // the garbage collector's goal
	proxyMemoryMiB = 256
)

// node is one node of the topology and the container that is it now.
type node struct {
	system.Node
	ip       netip.Addr
	port     int // inside
	hostPort int // on 127.0.0.1
	hostGRPC int // on 127.0.0.1, of a shepherd's gRPC server; 0 for other roles

	// mu guards what follows and makes operations on one node one at a time.
	mu          sync.Mutex
	ctr         *tc.DockerContainer // nil: none exists
	incarnation int                 // how many containers there have been
	down        map[string]bool     // faults by which it must not run
	paused      map[string]bool     // pauses that are to be healed
	frozen      map[string]bool     // faults by which its process is frozen now
	starved     map[string]*starvation
	cuts        map[string]*isolation
	front       *node // the proxy through which roles reach MySQL and S3; nil for other nodes
	degraded    map[string]degradation
	sidecar     *tc.DockerContainer // helper in its network namespace, where one is needed
	sidecarOf   string              // the start of the node that it belongs to
}

func (n *node) inside() string { return fmt.Sprintf("%s:%d", n.Name, n.port) }
func (n *node) host() string   { return fmt.Sprintf("127.0.0.1:%d", n.hostPort) }
func (n *node) url() string    { return "http://" + n.host() }
func (n *node) peer() string   { return fmt.Sprintf("%s:%d", n.Name, peerPort) }

// grpc is where a shepherd's gRPC server is on this machine; empty for other roles.
func (n *node) grpc() string {
	if n.hostGRPC == 0 {
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", n.hostGRPC)
}

// published lists a container's ports that this machine reaches, with where they are here.
func (n *node) published() (exposed []string, bindings network.PortMap, err error) {
	bindings = network.PortMap{}
	for _, p := range [...]struct{ inner, host int }{{n.port, n.hostPort}, {grpcPort, n.hostGRPC}} {
		if p.host == 0 {
			continue
		}
		inner, err := network.ParsePort(strconv.Itoa(p.inner) + "/tcp")
		if err != nil {
			return nil, nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
		exposed = append(exposed, inner.String())
		bindings[inner] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(p.host)}}
	}
	return exposed, bindings, nil
}

// plan lays the topology out: every node and helper with its address inside and its port on the host.
func (w *World) plan(t system.Topology, subnet netip.Prefix) error {
	w.topology = t
	ip := subnet.Masked().Addr()
	w.gateway = gatewayOf(subnet)
	if t.Triggers > 0 {
		var err error
		if w.hookPort, err = w.ports.Take(); err != nil {
			return err
		}
	}
	for range 1 + reservedAddresses { // the gateway is the first
		ip = ip.Next()
	}
	place := func(n *node) (err error) {
		ip = ip.Next()
		if !subnet.Contains(ip.Next()) {
			return &docker.Error{What: "the topology is too large", Why: fmt.Sprintf("the network %s has no address left for %s", subnet, n.Name), Fix: "use fewer nodes"}
		}
		n.ip = ip
		n.down, n.frozen, n.cuts, n.degraded = map[string]bool{}, map[string]bool{}, map[string]*isolation{}, map[string]degradation{}
		n.starved, n.paused = map[string]*starvation{}, map[string]bool{}
		if n.hostPort, err = w.ports.Take(); err == nil && n.Role == system.RoleShepherd {
			n.hostGRPC, err = w.ports.Take()
		}
		return err
	}
	for _, tn := range t.Whole().Place(w.opt.Planted) {
		if tn.Role == system.RoleObserver { // no container: see collector
			continue
		}
		n := &node{Node: tn, port: innerPort(tn.Role)}
		if err := place(n); err != nil {
			return err
		}
		w.nodes[tn.Name] = n
		w.order = append(w.order, n)
		if tn.Role == system.RoleMySQL || tn.Role == system.RoleS3 {
			n.front = proxyOf(n)
			if err := place(n.front); err != nil {
				return err
			}
			w.helpers = append(w.helpers, n.front)
		}
	}
	return nil
}

// innerPort is the port that a role's container publishes.
func innerPort(r system.Role) int {
	switch r {
	case system.RoleZooKeeper:
		return zooKeeperPort
	case system.RoleKafka:
		return kafkaExternal
	case system.RoleMySQL:
		return mysqlPort
	case system.RoleS3:
		return s3Port
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	}
	return rolePort
}

// of lists the nodes of a role in order.
func (w *World) of(r system.Role) []*node {
	var nodes []*node
	for _, n := range w.order {
		if n.Role == r {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// containerName is the name of a node's container.
func containerName(run, node string) string { return fmt.Sprintf("ratel-%s-%s", run, node) }

// create makes a new container with an empty disk for a node, through testcontainers, and does not start it.
func (w *World) create(ctx context.Context, n *node) error {
	image, err := w.imageOf(n)
	if err != nil {
		return err
	}
	env, cmd, err := w.configure(n)
	if err != nil {
		return err
	}
	n.incarnation++
	var hosts []string
	for _, other := range slices.Concat(w.order, w.helpers) {
		hosts = append(hosts, fmt.Sprintf("%s:%s", other.Name, other.ip))
	}
	exposed, bindings, err := n.published()
	if err != nil {
		return err
	}
	ctr, err := tc.Run(ctx, image,
		tc.WithNoStart(),
		tc.WithName(containerName(w.run, n.Name)),
		tc.WithLabels(w.labels()),
		tc.WithEnv(env), tc.WithCmd(cmd...),
		tc.WithExposedPorts(exposed...),
		tc.WithMounts(w.disk(n)...),
		tcnet.WithNetworkName([]string{n.Name}, w.network),
		tc.CustomizeRequestOption(func(req *tc.GenericContainerRequest) error {
			req.EndpointSettingsModifier = func(s map[string]*network.EndpointSettings) {
				// A fixed address, so that a restart is found where it was, also by packet filters and cached names.
				s[w.network].IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.ip}
			}
			return nil
		}),
		tc.WithConfigModifier(func(c *container.Config) { c.Hostname = n.Name }),
		tc.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.ExtraHosts = hosts
			hc.Memory = memoryOf(n.Role) << 20
			hc.PortBindings = bindings
			if w.stands { // for weeks; the output of a run is a part of what it shows, and whole
				hc.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "32m", "max-file": "2"}}
			}
		}),
	)
	n.ctr = ctr // also with an error: what was made is removed with the run
	return docker.Explain("create node "+n.Name, err)
}

// start starts a node's container. A port that somebody else has taken meanwhile may come free again, so that is tried
// for a while.
func (w *World) start(ctx context.Context, n *node) error {
	began := time.Now()
	for {
		at := time.Now()
		err := n.ctr.Start(ctx)
		if err == nil {
			w.follow(n, at)
			if n.Role != process.RoleProxy { // a helper is nobody's business
				w.announceNode(n, true)
			}
			return w.recut(ctx, n)
		}
		if !docker.PortInUse(err) || time.Since(began) > portPatience {
			return docker.Explain(fmt.Sprintf("start node %s (port %s)", n.Name, n.host()), err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// volume names a node's disk.
func (w *World) volume(n *node) string {
	return fmt.Sprintf("ratel-%s-%s-%d", w.run, n.Name, n.incarnation)
}

// disk is what a node keeps over a restart; nothing for those that keep nothing.
func (w *World) disk(n *node) []tc.ContainerMount {
	switch n.Role {
	case system.RoleShepherd, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, process.RoleProxy:
		return nil
	case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, system.RoleS3, system.RoleRetriever:
	}
	return []tc.ContainerMount{{Target: "/data", Source: tc.DockerVolumeMountSource{
		Name: w.volume(n), VolumeOptions: &mount.VolumeOptions{Labels: w.labels()}}}}
}

// memoryOf bounds a container's memory, in MiB; 0 is no bound, for servers that bound themselves.
func memoryOf(r system.Role) int64 {
	switch r {
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		return roleMemoryMiB
	case process.RoleProxy:
		return proxyMemoryMiB
	case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, system.RoleS3:
	}
	return 0
}

func (w *World) imageOf(n *node) (string, error) {
	ref := w.images.role
	switch n.Role {
	case system.RoleKafka, system.RoleZooKeeper:
		ref = w.images.kafka
	case system.RoleMySQL:
		ref = w.images.mysql
	case system.RoleS3:
		ref = w.images.s3
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	}
	if ref == "" {
		return "", &docker.Error{What: "no image for role " + string(n.Role), Why: "it was not built"}
	}
	return ref, nil
}

// roleConfigEnv carries a role's configuration.
const roleConfigEnv = "RATEL_ROLE"

// configure renders a node's environment and arguments. Its configuration travels in the environment: to copy a file into
// a container takes the engine longer than to make the container.
func (w *World) configure(n *node) (env map[string]string, cmd []string, err error) {
	switch n.Role {
	case system.RoleZooKeeper:
		data, err := w.render("zoo.cfg.tmpl", n)
		return map[string]string{"ZK_ID": strconv.Itoa(n.Number), "JVM_HEAP": strconv.Itoa(zooKeeperHeapMiB), "JVM_OPTS": quickJVM, "SERVER_CONFIG": string(data)}, []string{"zookeeper"}, err
	case system.RoleKafka:
		data, err := w.render("server.properties.tmpl", n)
		return map[string]string{"JVM_HEAP": strconv.Itoa(kafkaHeapMiB), "JVM_OPTS": quickJVM, "SERVER_CONFIG": string(data)}, []string{"kafka"}, err
	case system.RoleMySQL:
		return mysqlEnv(), mysqlCommand(), nil
	case system.RoleS3:
		return s3Env(), []string{"server", "/data"}, nil
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, process.RoleProxy:
		data, err := json.Marshal(w.roleConfig(n))
		cmd := []string{"role", "--config", process.EnvPrefix + roleConfigEnv}
		if n.Role != process.RoleProxy {
			for _, bug := range w.opt.Planted.IDs() {
				cmd = append(cmd, "--planted", bug)
			}
		}
		// Many roles share the machine: more threads each would only take turns.
		env := map[string]string{"GOMAXPROCS": "1", "GOMEMLIMIT": strconv.Itoa(roleGoalMiB) + "MiB", roleConfigEnv: string(data)}
		return env, cmd, err
	}
	return nil, nil, fmt.Errorf("node %s: no such role as %q", n.Name, n.Role)
}

func (w *World) roleConfig(n *node) process.Config {
	if n.Role == process.RoleProxy {
		return process.Config{Node: n.Name, Role: n.Role, Proxy: w.proxyConfig(n)}
	}
	c := process.Config{
		Node: n.Name, Role: n.Role, Zone: n.Zone, Listen: fmt.Sprintf(":%d", rolePort),
		Partitions: w.topology.Kafka.Partitions, Shepherd: w.topology.Shepherd, Retriever: w.topology.Retriever, Query: w.topology.Query,
		Beagle: w.topology.Beagle, Trigger: w.topology.Trigger,
		MySQL: dsn(throughProxy(w.nodes[system.NodeName(system.RoleMySQL, 1)])),
		S3:    process.S3{Endpoint: "http://" + throughProxy(w.nodes[system.NodeName(system.RoleS3, 1)]), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey},
		Peers: map[string]string{}, Telemetry: w.topology.Telemetry, Observe: w.observe(n),
	}
	if n.Role == system.RoleRetriever {
		c.Partition, c.Replica, c.Data = n.Partition, n.Replica, "/data"
	}
	switch n.Role {
	case system.RoleShepherd:
		c.GRPCListen = fmt.Sprintf(":%d", grpcPort)
	case system.RoleRetriever, system.RoleQuery:
		c.PeerListen = fmt.Sprintf(":%d", peerPort)
	case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, system.RoleS3, system.RoleBeagle, system.RoleTrigger:
	}
	for p := range w.topology.Whole().Kafka.Partitions {
		c.Retrievers = append(c.Retrievers, w.topology.Retrievers(p))
	}
	for _, re := range w.of(system.RoleRetriever) {
		if re != n {
			c.Peers[re.Name] = re.peer()
		}
	}
	if n.Role == system.RoleTrigger {
		for _, q := range w.of(system.RoleQuery) {
			c.Queries = append(c.Queries, q.Name)
			c.Peers[q.Name] = q.peer()
		}
	}
	for _, k := range w.of(system.RoleKafka) {
		c.Kafka = append(c.Kafka, fmt.Sprintf("%s:%d", k.Name, kafkaInternal))
	}
	for _, z := range w.of(system.RoleZooKeeper) {
		c.ZooKeeper = append(c.ZooKeeper, z.inside())
	}
	return c
}

func (w *World) render(name string, n *node) ([]byte, error) {
	tmpl, err := template.ParseFS(assets, "assets/"+name)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]any{
		"Name": n.Name, "Number": n.Number, "HostPort": n.hostPort,
		"ZooKeepers": w.of(system.RoleZooKeeper), "Kafka": w.topology.Kafka,
		// A follower must fetch more often than the lag after which it falls out of the ISR.
		"FetchWait": min(250*time.Millisecond, w.topology.Kafka.ReplicaLagTimeMax/2),
	})
	if err != nil {
		return nil, fmt.Errorf("template %s for %s: %w", name, n.Name, err)
	}
	return out.Bytes(), nil
}

// remove destroys a node's container and its disk.
func (w *World) remove(ctx context.Context, n *node) error {
	if n.ctr == nil {
		return nil
	}
	volume := ""
	if len(w.disk(n)) > 0 {
		volume = w.volume(n)
	}
	if err := w.engine.Destroy(ctx, n.ctr.GetContainerID(), volume); err != nil {
		return docker.Explain("destroy node "+n.Name, err)
	}
	n.ctr = nil
	return nil
}
