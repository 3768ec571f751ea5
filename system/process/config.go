// Package process runs one role of the pipeline as an operating system process of its own: it wires the role to the real
// servers and the local disk, and serves its HTTP interface.
package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/containers/faultproxy"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/trigger"
)

// RoleProxy is the helper that stands in front of MySQL or S3 and makes requests fail. It is no node of a topology.
const RoleProxy system.Role = "proxy"

// Config is what a role's process needs to know. Planted bugs are not part of it, by design: see system/planted.
type Config struct {
	Node string      `json:"node"` // its name in the topology, such as "retriever3"
	Role system.Role `json:"role"` // shepherd, retriever, query, beagle, trigger or proxy
	Zone string      `json:"zone,omitempty"`
	// Listen is the address of its HTTP server, such as ":8080".
	Listen string `json:"listen,omitempty"`
	// GRPCListen is the address of a shepherd's gRPC server for OTLP, such as ":4317"; it has none if this is empty.
	GRPCListen string `json:"grpc_listen,omitempty"`
	// PeerListen is the address at which a retriever or query node serves its peers, such as ":8082". Whoever reaches it may
	// read every team's data, and is asked for no key: it is for the pipeline's own network.
	PeerListen string `json:"peer_listen,omitempty"`
	// Kafka and ZooKeeper are the servers' addresses, host:port.
	Kafka     []string `json:"kafka,omitempty"`
	ZooKeeper []string `json:"zookeeper,omitempty"`
	// MySQL is the catalog's database, as user:password@tcp(host:port)/name, see the driver's documentation.
	MySQL string `json:"mysql,omitempty"`
	S3    S3     `json:"s3,omitzero"`
	// Peers are the addresses (host:port) of the nodes that this one may call, by name.
	Peers map[string]string `json:"peers,omitempty"`
	// Retrievers are the names of the retrievers of each partition, by replica, of those that there will be later, too.
	Retrievers [][]string `json:"retrievers,omitempty"`
	// Partitions is how many partitions the events topic has; Partition and Replica are what a retriever follows.
	Partitions int32 `json:"partitions,omitempty"`
	Partition  int32 `json:"partition,omitempty"`
	Replica    int   `json:"replica,omitempty"`
	// Queries are the names of the query nodes that a trigger worker asks.
	Queries []string `json:"queries,omitempty"`
	// Data is the folder of its local disk.
	Data string `json:"data,omitempty"`
	// One of these is used, by Role.
	Shepherd  shepherd.Config   `json:"shepherd"`
	Retriever retriever.Config  `json:"retriever"`
	Query     query.Config      `json:"query"`
	Beagle    beagle.Config     `json:"beagle"`
	Trigger   trigger.Config    `json:"trigger"`
	Proxy     faultproxy.Config `json:"proxy,omitzero"`
	// Telemetry says what the role tells about itself, Observe whom. Every role has metrics at /metrics in any case.
	Telemetry telemetry.Config `json:"telemetry,omitzero"`
	Observe   Observe          `json:"observe,omitzero"`
	// OTLP exports the metrics over OTLP too.
	OTLP OTLP `json:"otlp,omitzero"`
}

// S3 is the object store.
type S3 struct {
	// Endpoint is its address as a URL, Bucket what everything is kept in.
	Endpoint  string `json:"endpoint"`
	Bucket    string `json:"bucket"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// Name is the node's name.
func (c Config) Name() string { return c.Node }

// EnvPrefix before a name makes [Load] read the environment variable of that name instead of a file.
const EnvPrefix = "env:"

// Load reads a Config from a file, or from an environment variable, and checks it. What it does not say of a role's own
// configuration is as its default.
func Load(path string) (Config, error) {
	var data []byte
	if name, ok := strings.CutPrefix(path, EnvPrefix); ok {
		data = []byte(os.Getenv(name))
	} else {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return Config{}, fmt.Errorf("read the role's configuration: %w", err)
		}
	}
	c := Config{Shepherd: shepherd.DefaultConfig(), Retriever: retriever.DefaultConfig(), Query: query.DefaultConfig(), Beagle: beagle.DefaultConfig(), Trigger: trigger.DefaultConfig()}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: not a role's configuration: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: there is more after the role's configuration", path)
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// checker gathers what is wrong with a configuration.
type checker struct{ errs []error }

func (k *checker) bad(format string, args ...any) {
	k.errs = append(k.errs, fmt.Errorf(format, args...))
}

func (k *checker) addresses(what string, list []string) {
	if len(list) == 0 {
		k.bad("%s: no address, expected the host:port of every server", what)
	}
	for _, a := range list {
		k.address(what, a)
	}
}

func (k *checker) address(what, a string) {
	if _, _, err := net.SplitHostPort(a); err != nil {
		k.bad("%s: %q, expected host:port", what, a)
	}
}

// Check says everything that is wrong with c.
func (c Config) Check() error {
	var k checker
	if c.Node == "" {
		k.bad("node: missing, expected the node's name")
	}
	switch c.Role {
	case RoleProxy:
		if err := c.Proxy.Check(); err != nil {
			k.bad("proxy: %w", err)
		}
		return errors.Join(k.errs...)
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	default:
		k.bad("role: %q, expected %q, %q, %q, %q, %q or %q", c.Role, system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, RoleProxy)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		k.bad("listen: %q, expected an address such as \":8080\"", c.Listen)
	}
	if c.GRPCListen != "" {
		if _, _, err := net.SplitHostPort(c.GRPCListen); err != nil {
			k.bad("grpc_listen: %q, expected an address such as \":4317\", or none", c.GRPCListen)
		}
		if c.Role != system.RoleShepherd {
			k.bad("grpc_listen: a %s has no gRPC interface", c.Role)
		}
	}
	switch serves := c.Role == system.RoleRetriever || c.Role == system.RoleQuery; {
	case !serves && c.PeerListen != "":
		k.bad("peer_listen: a %s serves no peers", c.Role)
	case serves:
		if _, _, err := net.SplitHostPort(c.PeerListen); err != nil {
			k.bad("peer_listen: %q, expected an address such as \":8082\"", c.PeerListen)
		} else if c.PeerListen == c.Listen {
			k.bad("peer_listen: %q is that of listen, which is for everybody", c.PeerListen)
		}
	}
	for _, err := range []error{c.Telemetry.Check(), c.Observe.Check(), c.OTLP.Check()} {
		if err != nil {
			k.bad("%w", err)
		}
	}
	k.addresses("kafka", c.Kafka)
	k.addresses("zookeeper", c.ZooKeeper)
	if c.MySQL == "" {
		k.bad("mysql: missing, expected user:password@tcp(host:port)/name")
	}
	if c.S3.Endpoint == "" || c.S3.Bucket == "" {
		k.bad("s3: missing, expected its endpoint and bucket")
	}
	if c.Partitions < 1 {
		k.bad("partitions: %d, expected 1 or more", c.Partitions)
	}
	if c.Role == system.RoleRetriever || c.Role == system.RoleQuery {
		c.checkRetrievers(&k)
	}
	if c.Role == system.RoleTrigger {
		c.checkQueries(&k)
	}
	if c.Role == system.RoleRetriever {
		if most := max(c.Partitions, int32(len(c.Retrievers))); c.Partition < 0 || c.Partition >= most {
			k.bad("partition: %d, expected 0 to %d", c.Partition, most-1)
		} else if int(c.Partition) < len(c.Retrievers) && !slices.Contains(c.Retrievers[c.Partition], c.Node) {
			k.bad("retrievers: %s is not among those of its partition %d", c.Node, c.Partition)
		}
		if c.Data == "" {
			k.bad("data: missing, expected a folder to keep events in")
		}
	}
	return errors.Join(k.errs...)
}

// checkRetrievers checks that every retriever is known and can be called.
func (c Config) checkRetrievers(k *checker) {
	if len(c.Retrievers) < int(c.Partitions) { // of those that there will be later, too
		k.bad("retrievers: of %d partitions, expected %d or more", len(c.Retrievers), c.Partitions)
	}
	for p, names := range c.Retrievers {
		if len(names) == 0 {
			k.bad("retrievers: none of partition %d", p)
		}
		for _, name := range names {
			if a, ok := c.Peers[name]; ok {
				k.address("peers", a)
			} else if name != c.Node {
				k.bad("peers: no address of %s", name)
			}
		}
	}
}

// checkQueries checks that there are query nodes and that they can be called.
func (c Config) checkQueries(k *checker) {
	if len(c.Queries) == 0 {
		k.bad("queries: none, expected the names of the query nodes")
	}
	for _, name := range c.Queries {
		if a, ok := c.Peers[name]; ok {
			k.address("peers", a)
		} else {
			k.bad("peers: no address of %s", name)
		}
	}
}

// pair names the other retrievers of a retriever's partition.
func (c Config) pair() []string {
	return slices.DeleteFunc(slices.Clone(c.Retrievers[c.Partition]), func(name string) bool { return name == c.Node })
}
