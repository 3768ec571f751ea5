// Package system is the pipeline's topology and the vocabulary of what can be done to its nodes: which roles run, how
// many, in which zones, how they are named, and what a fault on one of them is.
package system

import (
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/trigger"
)

// EventsTopic is the Kafka topic that carries events from shepherds to retrievers.
const EventsTopic = "events"

// Topology is which nodes run and how they are set up.
type Topology struct {
	// Zones is how many availability zones the nodes are spread over. MySQL and S3 are regional: in none.
	Zones     int              `json:"zones"`
	ZooKeeper ZooKeeper        `json:"zookeeper"`
	Kafka     Kafka            `json:"kafka"`
	Shepherds int              `json:"shepherds"`
	Shepherd  shepherd.Config  `json:"shepherd"`
	Retriever retriever.Config `json:"retriever"`
	// Replicas is how many retrievers follow each partition: 2, each in a zone of its own, or 1.
	Replicas int          `json:"replicas"`
	Queries  int          `json:"queries"`
	Query    query.Config `json:"query"`
	// Beagles count SLOs and Triggers evaluate alerts; a topology may have none of them.
	Beagles  int            `json:"beagles"`
	Beagle   beagle.Config  `json:"beagle"`
	Triggers int            `json:"triggers"`
	Trigger  trigger.Config `json:"trigger"`
	Teams    []Team         `json:"teams"`
	// Telemetry is how roles describe themselves; the zero Config is not at all.
	Telemetry telemetry.Config `json:"telemetry,omitzero"`
	// Observer is who takes what the roles say about themselves; the zero Config stands for nobody.
	Observer observer.Config `json:"observer,omitzero"`
}

// Observed says whether there is a node that takes what the roles say about themselves.
func (t Topology) Observed() bool { return t.Telemetry.Enabled && t.Observer.EventsPerSecond > 0 }

// ZooKeeper is the ensemble.
type ZooKeeper struct {
	Nodes int `json:"nodes"`
}

// Kafka is the cluster and its events topic.
type Kafka struct {
	Brokers     int   `json:"brokers"`
	Partitions  int32 `json:"partitions"`
	Replication int16 `json:"replication"`
	MinISR      int   `json:"min_insync"`
	// PartitionsLater is how many partitions the topic grows to while the run goes on; 0 if it does not. There are addresses
	// for the retrievers of all of them from the start, but nothing runs before it is started.
	PartitionsLater int32 `json:"partitions_later,omitempty"`
	// ReplicaLagTimeMax is replica.lag.time.max.ms; SessionTimeout is zookeeper.session.timeout.ms.
	ReplicaLagTimeMax time.Duration `json:"replica_lag_time_max"`
	SessionTimeout    time.Duration `json:"session_timeout"`
	// LeadersInRow is how many partitions in a row are led by one broker before the next one's turn comes. 0 leaves it to
	// the controller, which takes another broker for each, from a random one on.
	LeadersInRow int `json:"leaders_in_row,omitempty"`
}

// TopicSpec is the events topic as the cluster has to make it.
func (k Kafka) TopicSpec() port.TopicSpec {
	spec := port.TopicSpec{Name: EventsTopic, Partitions: k.Partitions, Replication: k.Replication, MinISR: k.MinISR}
	if k.LeadersInRow == 0 {
		return spec
	}
	for p := range int(k.Partitions) {
		replicas := make([]int32, k.Replication)
		for i := range replicas {
			replicas[i] = int32((p/k.LeadersInRow+i)%k.Brokers) + 1
		}
		spec.Assignment = append(spec.Assignment, replicas)
	}
	return spec
}

// Team is a tenant that exists from the start, with its key. Limits of zero are no limits.
type Team struct {
	Name string `json:"name"`
	// EventsPerSecond and Burst are its token bucket over all its datasets; DatasetEventsPerSecond is that of each dataset.
	EventsPerSecond        float64 `json:"events_per_second,omitempty"`
	Burst                  float64 `json:"burst,omitempty"`
	DatasetEventsPerSecond float64 `json:"dataset_events_per_second,omitempty"`
}

// DefaultTeam is the team that exists where a topology names none.
const DefaultTeam = "load"

// Default is the smallest topology that survives the loss of a zone.
func Default() Topology {
	return Topology{
		Zones:     3,
		ZooKeeper: ZooKeeper{Nodes: 3},
		Kafka:     Kafka{Brokers: 3, Partitions: 6, Replication: 3, MinISR: 2, ReplicaLagTimeMax: 4 * time.Second, SessionTimeout: 3 * time.Second},
		Shepherds: 2,
		Shepherd:  shepherd.DefaultConfig(),
		Replicas:  2,
		Retriever: retriever.DefaultConfig(),
		Queries:   1,
		Query:     query.DefaultConfig(),
		Beagle:    beagle.DefaultConfig(),
		Trigger:   trigger.DefaultConfig(),
		Teams:     []Team{{Name: DefaultTeam}},
	}
}

// Role is a kind of node.
type Role string

// Roles. A node is named by its role and a number from 1: kafka2 is the broker with id 2. MySQL, S3 and the observer are one
// node each, named as their role.
const (
	RoleZooKeeper Role = "zk"
	RoleKafka     Role = "kafka"
	RoleMySQL     Role = "mysql"
	RoleS3        Role = "s3"
	RoleShepherd  Role = "shepherd"
	RoleRetriever Role = "retriever"
	RoleQuery     Role = "query"
	RoleBeagle    Role = "beagle"
	RoleTrigger   Role = "trigger"
	RoleObserver  Role = "observer"
)

// Node is one node of a topology.
type Node struct {
	Name   string
	Role   Role
	Number int    // from 1
	Zone   string // "a", "b", …; empty for a regional service
	// Partition and Replica (from 0) are what a retriever follows; -1 for other roles.
	Partition int32
	Replica   int
}

// Nodes lists all nodes in a stable order: the order in which they may be started.
func (t Topology) Nodes() []Node { return t.Place(planted.Set{}) }

// Place lists all nodes as Nodes does; the bug SameZonePair puts both retrievers of a partition into one zone.
func (t Topology) Place(bugs planted.Set) []Node {
	var nodes []Node
	add := func(role Role, n int) {
		for i := 1; i <= n; i++ {
			nodes = append(nodes, Node{Name: NodeName(role, i), Role: role, Number: i, Zone: t.zone(i - 1), Partition: -1, Replica: -1})
		}
	}
	add(RoleZooKeeper, t.ZooKeeper.Nodes)
	add(RoleKafka, t.Kafka.Brokers)
	nodes = append(nodes,
		Node{Name: NodeName(RoleMySQL, 1), Role: RoleMySQL, Number: 1, Partition: -1, Replica: -1},
		Node{Name: NodeName(RoleS3, 1), Role: RoleS3, Number: 1, Partition: -1, Replica: -1})
	add(RoleShepherd, t.Shepherds)
	for p := range t.Kafka.Partitions {
		for r := range t.Replicas {
			n := int(p)*t.Replicas + r + 1
			place := int(p) + r
			if bugs.Has(planted.SameZonePair) {
				place = int(p)
			}
			nodes = append(nodes, Node{Name: NodeName(RoleRetriever, n), Role: RoleRetriever, Number: n, Zone: t.zone(place), Partition: p, Replica: r})
		}
	}
	add(RoleQuery, t.Queries)
	add(RoleBeagle, t.Beagles)
	add(RoleTrigger, t.Triggers)
	if t.Observed() {
		nodes = append(nodes, Node{Name: NodeName(RoleObserver, 1), Role: RoleObserver, Number: 1, Partition: -1, Replica: -1})
	}
	return nodes
}

// zone names the zone of the i-th of something that is spread over all.
func (t Topology) zone(i int) string { return string(rune('a' + i%max(t.Zones, 1))) }

// ZoneNames lists the zones.
func (t Topology) ZoneNames() []string {
	names := make([]string, max(t.Zones, 1))
	for i := range names {
		names[i] = t.zone(i)
	}
	return names
}

// Node finds a node by name.
func (t Topology) Node(name string) (Node, bool) {
	for _, n := range t.Nodes() {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Retrievers names the retrievers of a partition, by replica.
func (t Topology) Retrievers(partition int32) []string {
	names := make([]string, t.Replicas)
	for r := range names {
		names[r] = NodeName(RoleRetriever, int(partition)*t.Replicas+r+1)
	}
	return names
}

// NodeName names the n-th node (from 1) of a role.
func NodeName(role Role, n int) string {
	if role == RoleMySQL || role == RoleS3 || role == RoleObserver {
		return string(role)
	}
	return string(role) + strconv.Itoa(n)
}
