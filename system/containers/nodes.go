package containers

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/netip"
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
	rolePort      = 8080
)

const (
	kafkaHeapMiB     = 256
	zooKeeperHeapMiB = 96
	// quickJVM compiles with the first tier only: a broker is up a second sooner, at the price of peak throughput.
	quickJVM = "-XX:TieredStopAtLevel=1"
)

// node is one node of the topology and the container that is it now.
type node struct {
	system.Node
	ip       netip.Addr
	port     int // inside
	hostPort int // on 127.0.0.1

	// mu guards what follows and makes operations on one node one at a time.
	mu          sync.Mutex
	ctr         *tc.DockerContainer // nil: none exists
	incarnation int                 // how many containers there have been
	down        map[string]bool     // faults by which it must not run
	frozen      map[string]bool     // faults by which it is paused
	cuts        map[string]*isolation
	sidecar     *tc.DockerContainer // helper in its network namespace, where one is needed
	sidecarOf   string              // the start of the node that it belongs to
}

func (n *node) inside() string { return fmt.Sprintf("%s:%d", n.Name, n.port) }
func (n *node) host() string   { return fmt.Sprintf("127.0.0.1:%d", n.hostPort) }

// plan lays the topology out: every node with its address inside and its port on the host.
func (w *World) plan(t system.Topology, subnet netip.Prefix) error {
	w.topology = t
	ip := subnet.Masked().Addr()
	for range 9 { // leave room for the gateway and for a person's own containers
		ip = ip.Next()
	}
	for _, tn := range t.Nodes() {
		ip = ip.Next()
		if !subnet.Contains(ip.Next()) {
			return &docker.Error{What: "the topology is too large", Why: fmt.Sprintf("the network %s has no address left for %s", subnet, tn.Name), Fix: "use fewer nodes"}
		}
		hostPort, err := w.ports.Take()
		if err != nil {
			return err
		}
		n := &node{Node: tn, ip: ip, hostPort: hostPort, down: map[string]bool{}, frozen: map[string]bool{}, cuts: map[string]*isolation{}}
		switch tn.Role {
		case system.RoleZooKeeper:
			n.port = zooKeeperPort
		case system.RoleKafka:
			n.port = kafkaExternal
		case system.RoleShepherd, system.RoleRetriever:
			n.port = rolePort
		}
		w.nodes[tn.Name] = n
		w.order = append(w.order, n)
	}
	return nil
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

// create makes a new container with an empty disk for a node, through testcontainers, and does not start it.
func (w *World) create(ctx context.Context, n *node) error {
	image, err := w.imageOf(n)
	if err != nil {
		return err
	}
	files, env, cmd, err := w.configure(n)
	if err != nil {
		return err
	}
	n.incarnation++
	volume := fmt.Sprintf("ratel-%s-%s-%d", w.run, n.Name, n.incarnation)
	var hosts []string
	for _, other := range w.order {
		hosts = append(hosts, fmt.Sprintf("%s:%s", other.Name, other.ip))
	}
	inner, err := network.ParsePort(strconv.Itoa(n.port) + "/tcp")
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	ctr, err := tc.Run(ctx, image,
		tc.WithNoStart(),
		tc.WithName(fmt.Sprintf("ratel-%s-%s", w.run, n.Name)),
		tc.WithLabels(w.labels()),
		tc.WithEnv(env), tc.WithCmd(cmd...), tc.WithFiles(files...),
		tc.WithExposedPorts(inner.String()),
		tc.WithMounts(tc.ContainerMount{Target: "/data", Source: tc.DockerVolumeMountSource{
			Name: volume, VolumeOptions: &mount.VolumeOptions{Labels: w.labels()}}}),
		tcnet.WithNetworkName([]string{n.Name}, w.network.Name),
		tc.CustomizeRequestOption(func(req *tc.GenericContainerRequest) error {
			req.EndpointSettingsModifier = func(s map[string]*network.EndpointSettings) {
				// A fixed address, so that a restart is found where it was, also by packet filters and cached names.
				s[w.network.Name].IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.ip}
			}
			return nil
		}),
		tc.WithConfigModifier(func(c *container.Config) { c.Hostname = n.Name }),
		tc.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.ExtraHosts = hosts
			hc.PortBindings = network.PortMap{inner: []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(n.hostPort)}}}
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
			w.announceNode(n, true)
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

func (w *World) imageOf(n *node) (string, error) {
	if n.Role == system.RoleKafka || n.Role == system.RoleZooKeeper {
		return w.images.kafka, nil
	}
	if w.images.role == "" {
		return "", &docker.Error{What: "no image for role " + string(n.Role), Why: "it was not built"}
	}
	return w.images.role, nil
}

// configure renders a node's files, environment and arguments.
func (w *World) configure(n *node) (files []tc.ContainerFile, env map[string]string, cmd []string, err error) {
	file := func(path string, data []byte) []tc.ContainerFile {
		return []tc.ContainerFile{{Reader: bytes.NewReader(data), ContainerFilePath: path, FileMode: 0o644}}
	}
	switch n.Role {
	case system.RoleZooKeeper:
		data, err := w.render("zoo.cfg.tmpl", n)
		return file("/etc/ratel/zoo.cfg", data), map[string]string{"ZK_ID": strconv.Itoa(n.Number), "JVM_HEAP": strconv.Itoa(zooKeeperHeapMiB), "JVM_OPTS": quickJVM}, []string{"zookeeper"}, err
	case system.RoleKafka:
		data, err := w.render("server.properties.tmpl", n)
		return file("/etc/ratel/server.properties", data), map[string]string{"JVM_HEAP": strconv.Itoa(kafkaHeapMiB), "JVM_OPTS": quickJVM}, []string{"kafka"}, err
	case system.RoleShepherd, system.RoleRetriever:
		data, err := json.MarshalIndent(w.roleConfig(n), "", "  ")
		cmd := []string{"role", "--config", "/etc/ratel/role.json"}
		for _, bug := range w.opt.Planted.IDs() {
			cmd = append(cmd, "--planted", bug)
		}
		return file("/etc/ratel/role.json", data), nil, cmd, err
	}
	return nil, nil, nil, fmt.Errorf("node %s: no such role as %q", n.Name, n.Role)
}

func (w *World) roleConfig(n *node) process.Config {
	c := process.Config{
		Node: n.Name, Role: n.Role, Listen: fmt.Sprintf(":%d", rolePort), Data: "/data",
		Partitions: w.topology.Kafka.Partitions, Shepherd: w.topology.Shepherd, Retriever: w.topology.Retriever,
	}
	if n.Role == system.RoleRetriever {
		c.Partition = int32(n.Number) - 1
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
	volume := fmt.Sprintf("ratel-%s-%s-%d", w.run, n.Name, n.incarnation)
	if err := w.engine.Destroy(ctx, n.ctr.GetContainerID(), volume); err != nil {
		return docker.Explain("destroy node "+n.Name, err)
	}
	n.ctr = nil
	return nil
}
