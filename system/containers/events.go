package containers

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/process"
)

// reader returns what recognises events in a node's output: a role prints its own as JSON, a line each; of Kafka and
// ZooKeeper the known lines of their logs are read.
func reader(n system.Node) func(line string) (port.Event, bool) {
	switch n.Role {
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		return func(line string) (port.Event, bool) { return roleEvent(n.Name, line) }
	case system.RoleKafka:
		return func(line string) (port.Event, bool) { return kafkaEvent(n.Name, line) }
	case system.RoleZooKeeper:
		return func(line string) (port.Event, bool) { return zooKeeperEvent(n.Name, line) }
	}
	return func(string) (port.Event, bool) { return port.Event{}, false } // MySQL, S3 and helpers announce nothing
}

// roleEvent reads an event that a role announced.
func roleEvent(node, line string) (port.Event, bool) {
	e, ok := process.ParseEvent([]byte(line))
	if e.Node == "" {
		e.Node = node
	}
	return e, ok
}

// The lines of Kafka 3.9's logs that tell of an event (kafka.cluster.Partition, kafka.log.UnifiedLog,
// kafka.controller.KafkaController, kafka.coordinator.group.GroupCoordinator).
var (
	isrLine       = regexp.MustCompile(`\[Partition (\S+)-(\d+) broker=\d+\] ISR updated to (\S+)`)
	leaderLine    = regexp.MustCompile(`Leader (\S+)-(\d+) with topic id \S+ starts at leader epoch (\d+) from offset (\d+)`)
	truncateLine  = regexp.MustCompile(`\[UnifiedLog partition=(\S+)-(\d+), dir=\S+\] Truncating to offset (\d+)`)
	electedLine   = regexp.MustCompile(`\[Controller id=(\d+)\] (\d+) successfully elected as the controller`)
	rebalanceLine = regexp.MustCompile(`\[GroupCoordinator \d+\]: Preparing to rebalance group (\S+) in state \S+ with old generation (\d+) \(\S+\) \(reason: (.*?); client reason`)
	evictedLine   = regexp.MustCompile(`\[GroupCoordinator \d+\]: Member (\S+) in group (\S+) has failed, removing it from the group`)
	// ZooKeeper 3.8: org.apache.zookeeper.server.ZooKeeperServer.
	expiredLine = regexp.MustCompile(`Expiring session (0x[0-9a-f]+), timeout of (\d+)ms exceeded`)
)

func kafkaEvent(node, line string) (port.Event, bool) {
	partition := func(kind, topic, number, detail string) (port.Event, bool) {
		p, err := strconv.ParseInt(number, 10, 32)
		if err != nil || topic != system.EventsTopic { // Kafka's own topics are of no interest
			return port.Event{}, false
		}
		return port.Event{Kind: kind, Node: node, Topic: topic, Part: int32(p), Detail: detail}, true
	}
	if m := isrLine.FindStringSubmatch(line); m != nil {
		return partition(port.EventISRChanged, m[1], m[2], "ISR "+m[3])
	}
	if m := leaderLine.FindStringSubmatch(line); m != nil {
		return partition(port.EventLeaderElected, m[1], m[2], fmt.Sprintf("epoch %s from offset %s", m[3], m[4]))
	}
	if m := truncateLine.FindStringSubmatch(line); m != nil {
		return partition(port.EventLogTruncated, m[1], m[2], "to offset "+m[3])
	}
	if m := rebalanceLine.FindStringSubmatch(line); m != nil {
		return port.Event{Kind: port.EventGroupRebalance, Node: node, Detail: fmt.Sprintf("group %s from generation %s: %s", m[1], m[2], m[3])}, true
	}
	if m := evictedLine.FindStringSubmatch(line); m != nil {
		return port.Event{Kind: port.EventGroupEvicted, Node: node, Detail: fmt.Sprintf("member %s of group %s", m[1], m[2])}, true
	}
	if m := electedLine.FindStringSubmatch(line); m != nil {
		return port.Event{Kind: port.EventControllerUp, Node: node, Detail: "broker " + m[2]}, true
	}
	return port.Event{}, false
}

func zooKeeperEvent(node, line string) (port.Event, bool) {
	if m := expiredLine.FindStringSubmatch(line); m != nil {
		return port.Event{Kind: port.EventSessionExpired, Node: node, Detail: fmt.Sprintf("session %s, silent for %s ms", m[1], m[2])}, true
	}
	return port.Event{}, false
}
