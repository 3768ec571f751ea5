package lang

import (
	"math"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"go.starlark.net/starlark"
)

func parts() []*Builtin {
	k, sh, re := system.Default().Kafka, shepherd.DefaultConfig(), retriever.DefaultConfig()
	return []*Builtin{
		{
			Name: "kafka", Group: groupParts, run: kafkaPart,
			Doc: "The Kafka cluster and its topic `events`.",
			Args: []Arg{
				{"brokers", "whole number", integer(int64(k.Brokers)), "from 1 to 50; they are named kafka1, kafka2, …"},
				{"partitions", "whole number", integer(int64(k.Partitions)), "of the topic, from 1 to 200; each has a retriever"},
				{"replication", "whole number", none, "replicas of each partition, at most as many as brokers. Left out: 3, or as many as brokers if those are fewer"},
				{"min_insync", "whole number", none, "`min.insync.replicas`, at most the replication. Left out: one less than the replication, at least 1"},
				{"replica_lag_time_max", "duration", str(plan.Duration(k.ReplicaLagTimeMax).String()), "`replica.lag.time.max.ms`: how long a follower may lag before it leaves the ISR; from 500ms to 1h"},
				{"session_timeout", "duration", str(plan.Duration(k.SessionTimeout).String()), "`zookeeper.session.timeout.ms`: a dead broker is noticed after about that long; from 1s to 1h"},
			},
		},
		{
			Name: "zookeeper", Group: groupParts, run: zookeeperPart,
			Doc:  "The ZooKeeper ensemble.",
			Args: []Arg{{"nodes", "whole number", integer(int64(system.Default().ZooKeeper.Nodes)), "1, 3, 5, 7 or 9; they are named zk1, zk2, …. An even number is refused: it survives no more losses than one node fewer"}},
		},
		{
			Name: "shepherd", Group: groupParts, run: shepherdPart,
			Doc: "How shepherds, the ingest workers, are set up. They are named shepherd1, shepherd2, ….",
			Args: []Arg{
				{"max_in_flight_bytes", "whole number", integer(sh.MaxInFlightBytes), "bytes accepted for decoding and waiting for Kafka; above it, events are answered 429. At least 1024"},
				{"max_in_flight_events", "whole number", integer(sh.MaxInFlightEvents), "the same, in events"},
				{"chunk_events", "whole number", integer(int64(sh.ChunkEvents)), "events of a batch in one Kafka record, on one partition"},
				{"ack_timeout", "duration", str(plan.Duration(sh.AckTimeout).String()), "how long a request waits for Kafka before its events are answered as unknown"},
				{"sick_after", "duration", str(plan.Duration(sh.SickAfter).String()), "how long a partition's oldest record may wait for Kafka before new events avoid the partition"},
				{"sick_for", "duration", str(plan.Duration(sh.SickFor).String()), "how long a partition that failed is avoided before it is tried again"},
			},
		},
		{
			Name: "retriever", Group: groupParts, run: retrieverPart,
			Doc: "How retrievers, the storage workers, are set up. retriever1 reads partition 0, and so on.",
			Args: []Arg{
				{"sync_every", "duration", str(plan.Duration(re.SyncEvery).String()), "longest time between a record's arrival and its fsync"},
				{"dedup_window", "whole number", integer(int64(re.DedupWindow)), "how many of the latest events' IDs are remembered to drop duplicates"},
				{"session_timeout", "duration", str(plan.Duration(re.SessionTimeout).String()), "of its ZooKeeper session; from 1s to 1h"},
			},
		},
	}
}

func kafkaPart(c *call) (starlark.Value, error) {
	k := system.Kafka{
		Brokers: c.integer("brokers"), Partitions: int32(c.small("partitions", math.MaxInt32)),
		ReplicaLagTimeMax: c.span("replica_lag_time_max"), SessionTimeout: c.span("session_timeout"),
	}
	k.Replication = int16(max(1, min(3, k.Brokers)))
	if c.values["replication"] != starlark.None {
		k.Replication = int16(c.small("replication", math.MaxInt16))
	}
	k.MinISR = max(1, int(k.Replication)-1)
	if c.values["min_insync"] != starlark.None {
		k.MinISR = c.integer("min_insync")
	}
	return made(c, k, plan.KafkaProblems(k)), nil
}

// made is a part of the system, with what it has against itself noted.
func made[T any](c *call, v T, list plan.Problems) starlark.Value {
	if len(c.wrong) == 0 {
		c.problems(list)
	}
	return &opaque{c.b.Name + "()", v}
}

func zookeeperPart(c *call) (starlark.Value, error) {
	z := system.ZooKeeper{Nodes: c.integer("nodes")}
	return made(c, z, plan.ZooKeeperProblems(z)), nil
}

func shepherdPart(c *call) (starlark.Value, error) {
	s := shepherd.Config{
		MaxInFlightBytes: int64(c.integer("max_in_flight_bytes")), MaxInFlightEvents: int64(c.integer("max_in_flight_events")),
		ChunkEvents: c.integer("chunk_events"), AckTimeout: c.span("ack_timeout"),
		SickAfter: c.span("sick_after"), SickFor: c.span("sick_for"),
	}
	return made(c, s, plan.ShepherdProblems(s)), nil
}

func retrieverPart(c *call) (starlark.Value, error) {
	r := retriever.Config{SyncEvery: c.span("sync_every"), DedupWindow: c.integer("dedup_window"), SessionTimeout: c.span("session_timeout")}
	return made(c, r, plan.RetrieverProblems(r)), nil
}
