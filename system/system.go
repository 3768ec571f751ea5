// Package system is the pipeline's topology and the vocabulary of what can be done to its nodes: which roles run, how
// many, how they are named, and what a fault on one of them is.
package system

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// EventsTopic is the Kafka topic that carries events from shepherds to retrievers.
const EventsTopic = "events"

// Topology is which nodes run and how they are set up.
type Topology struct {
	ZooKeeper ZooKeeper        `json:"zookeeper"`
	Kafka     Kafka            `json:"kafka"`
	Shepherds int              `json:"shepherds"`
	Shepherd  shepherd.Config  `json:"shepherd"`
	Retriever retriever.Config `json:"retriever"`
}

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
	// ReplicaLagTimeMax is replica.lag.time.max.ms; SessionTimeout is zookeeper.session.timeout.ms.
	ReplicaLagTimeMax time.Duration `json:"replica_lag_time_max"`
	SessionTimeout    time.Duration `json:"session_timeout"`
}

// Default is the smallest topology that survives the loss of one node of any kind but a retriever.
func Default() Topology {
	return Topology{
		ZooKeeper: ZooKeeper{Nodes: 3},
		Kafka:     Kafka{Brokers: 3, Partitions: 6, Replication: 3, MinISR: 2, ReplicaLagTimeMax: 4 * time.Second, SessionTimeout: 3 * time.Second},
		Shepherds: 2,
		Shepherd:  shepherd.DefaultConfig(),
		Retriever: retriever.DefaultConfig(),
	}
}

// Role is a kind of node.
type Role string

// Roles. A node is named by its role and a number from 1: kafka2 is the broker with id 2, retriever1 reads partition 0.
const (
	RoleZooKeeper Role = "zk"
	RoleKafka     Role = "kafka"
	RoleShepherd  Role = "shepherd"
	RoleRetriever Role = "retriever"
)

// Node is one node of a topology.
type Node struct {
	Name   string
	Role   Role
	Number int // from 1
}

// Nodes lists all nodes in a stable order: the order in which they may be started.
func (t Topology) Nodes() []Node {
	var nodes []Node
	add := func(role Role, n int) {
		for i := 1; i <= n; i++ {
			nodes = append(nodes, Node{Name: NodeName(role, i), Role: role, Number: i})
		}
	}
	add(RoleZooKeeper, t.ZooKeeper.Nodes)
	add(RoleKafka, t.Kafka.Brokers)
	add(RoleShepherd, t.Shepherds)
	add(RoleRetriever, int(t.Kafka.Partitions))
	return nodes
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

// NodeName names the n-th node (from 1) of a role.
func NodeName(role Role, n int) string { return fmt.Sprintf("%s%d", role, n) }

// FaultKind is what is done to a node.
type FaultKind string

// Kinds of faults, and what healing does.
const (
	// FaultKill ends the process at once (SIGKILL); its disk stays. Healing starts it again.
	FaultKill FaultKind = "kill"
	// FaultStop ends the process cleanly (SIGTERM). Healing starts it again.
	FaultStop FaultKind = "stop"
	// FaultReplace kills the node and destroys its disk. Healing starts a fresh, empty one of the same name and address.
	FaultReplace FaultKind = "replace"
	// FaultPause freezes the process (SIGSTOP). Healing lets it go on.
	FaultPause FaultKind = "pause"
	// FaultIsolate drops packets between the node and the nodes in From. Healing lets them through again.
	FaultIsolate FaultKind = "isolate"
)

// Direction says which packets an isolation drops, as seen from the target.
type Direction string

// Directions.
const (
	Both     Direction = "both"
	Inbound  Direction = "in"  // packets from the others to the target are lost
	Outbound Direction = "out" // packets from the target to the others are lost
)

// Fault is one fault on one resolved node.
type Fault struct {
	Kind      FaultKind `json:"kind"`
	Node      string    `json:"node"`
	From      []string  `json:"from,omitempty"`      // isolate: the nodes it is cut off from
	Direction Direction `json:"direction,omitempty"` // isolate
}

// String says what the fault is, for timelines.
func (f Fault) String() string {
	if f.Kind == FaultIsolate {
		return fmt.Sprintf("isolate %s from %v (%s)", f.Node, f.From, f.Direction)
	}
	return fmt.Sprintf("%s %s", f.Kind, f.Node)
}

// Reach is what somebody who asks a node sees.
type Reach string

// What a probe can see.
const (
	Answers Reach = "answers"
	Refuses Reach = "refuses connections" // nothing listens: the process is gone
	Silent  Reach = "does not answer"     // connects or hangs, but no reply within the probe's deadline
)
