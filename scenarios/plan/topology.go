package plan

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// TopologyProblems says what is wrong with a topology. Fields are named as the arguments of kafka(), zookeeper() and so on.
func TopologyProblems(t system.Topology) Problems {
	list := ZooKeeperProblems(t.ZooKeeper)
	list = append(list, KafkaProblems(t.Kafka)...)
	list = append(list, ShepherdProblems(t.Shepherd)...)
	list = append(list, RetrieverProblems(t.Retriever)...)
	f := &found{step: "system"}
	f.between("shepherds", t.Shepherds, 1, MaxShepherds)
	return append(list, f.list...)
}

// between wants a whole number in a range.
func (f *found) between(field string, n, low, high int) {
	if n < low || n > high {
		f.add(field, "", "%s must be from %d to %d, not %d", field, low, high, n)
	}
}

// span wants a duration in a range.
func (f *found) span(field string, d, low, high time.Duration) {
	if d < low || d > high {
		f.add(field, "", "%s must be from %s to %s, not %s", field, Duration(low), Duration(high), Duration(d))
	}
}

// ZooKeeperProblems says what is wrong with an ensemble.
func ZooKeeperProblems(z system.ZooKeeper) Problems {
	f := &found{step: "zookeeper"}
	f.between("nodes", z.Nodes, 1, MaxZooKeepers)
	if z.Nodes > 1 && z.Nodes%2 == 0 && z.Nodes <= MaxZooKeepers {
		f.add("nodes", fmt.Sprintf("write %d or %d", z.Nodes-1, z.Nodes+1),
			"%d nodes need %d for a quorum, so they survive the loss of no more nodes than %d would", z.Nodes, z.Nodes/2+1, z.Nodes-1)
	}
	return f.list
}

// KafkaProblems says what is wrong with a cluster.
func KafkaProblems(k system.Kafka) Problems {
	f := &found{step: "kafka"}
	f.between("brokers", k.Brokers, 1, MaxBrokers)
	f.between("partitions", int(k.Partitions), 1, MaxPartitions)
	switch {
	case k.Replication < 1:
		f.add("replication", "", "replication must be at least 1, not %d", k.Replication)
	case int(k.Replication) > k.Brokers:
		f.add("replication", fmt.Sprintf("write at most %d, or more brokers", k.Brokers),
			"replication %d needs as many brokers, and there are %d", k.Replication, k.Brokers)
	}
	switch {
	case k.MinISR < 1:
		f.add("min_insync", "", "min_insync must be at least 1, not %d", k.MinISR)
	case k.MinISR > int(k.Replication):
		f.add("min_insync", fmt.Sprintf("write at most %d", k.Replication),
			"min_insync %d is more than the replication of %d, so nothing could ever be produced", k.MinISR, k.Replication)
	}
	f.span("replica_lag_time_max", k.ReplicaLagTimeMax, 500*time.Millisecond, time.Hour) // fetch.wait.max is 500 ms at most and must not be longer
	f.span("session_timeout", k.SessionTimeout, time.Second, time.Hour)
	return f.list
}

// ShepherdProblems says what is wrong with the set-up of shepherds.
func ShepherdProblems(c shepherd.Config) Problems {
	f := &found{step: "shepherd"}
	if c.MaxInFlightBytes < 1<<10 {
		f.add("max_in_flight_bytes", "", "max_in_flight_bytes must be at least 1024, not %d", c.MaxInFlightBytes)
	}
	if c.MaxInFlightEvents < 1 {
		f.add("max_in_flight_events", "", "max_in_flight_events must be at least 1, not %d", c.MaxInFlightEvents)
	}
	f.between("chunk_events", c.ChunkEvents, 1, MaxBatchEvents)
	f.span("ack_timeout", c.AckTimeout, 10*time.Millisecond, time.Hour)
	f.span("sick_after", c.SickAfter, time.Millisecond, time.Hour)
	f.span("sick_for", c.SickFor, time.Millisecond, time.Hour)
	return f.list
}

// RetrieverProblems says what is wrong with the set-up of retrievers.
func RetrieverProblems(c retriever.Config) Problems {
	f := &found{step: "retriever"}
	f.span("sync_every", c.SyncEvery, time.Millisecond, time.Hour)
	f.between("dedup_window", c.DedupWindow, 1, 1<<26)
	f.span("session_timeout", c.SessionTimeout, time.Second, time.Hour)
	return f.list
}
