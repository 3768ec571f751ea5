package lang

import (
	"math"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/trigger"
	"go.starlark.net/starlark"
)

func parts() []*Builtin {
	k, sh, re, q := system.Default().Kafka, shepherd.DefaultConfig(), retriever.DefaultConfig(), query.DefaultConfig()
	be, tr, te := beagle.DefaultConfig(), trigger.DefaultConfig(), telemetry.DefaultConfig()
	return []*Builtin{
		{
			Name: "kafka", Group: groupParts, run: kafkaPart,
			Doc: "The Kafka cluster and its topic `events`.",
			Args: []Arg{
				{"brokers", "whole number", integer(int64(k.Brokers)), "from 1 to 50; they are named kafka1, kafka2, …"},
				{"partitions", "whole number", integer(int64(k.Partitions)), "of the topic, from 1 to 200; each has its own retrievers"},
				{"replication", "whole number", none, "replicas of each partition, at most as many as brokers. Left out: 3, or as many as brokers if those are fewer"},
				{"min_insync", "whole number", none, "`min.insync.replicas`, at most the replication. Left out: one less than the replication, at least 1"},
				{"replica_lag_time_max", "duration", str(plan.Duration(k.ReplicaLagTimeMax).String()), "`replica.lag.time.max.ms`: how long a follower may lag before it leaves the ISR; from 500ms to 1h"},
				{"session_timeout", "duration", str(plan.Duration(k.SessionTimeout).String()), "`zookeeper.session.timeout.ms`: a dead broker is noticed after about that long; from 1s to 1h"},
				{"leaders_in_row", "whole number", integer(0), "how many partitions in a row one broker leads before the next one's turn comes. 0: the controller chooses, another for each"},
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
				{"team_share", "number", starlark.Float(sh.TeamShare), "the largest share of the in-flight bounds that one team may hold, above 0 and up to 1"},
				{"spread", "whole number", integer(int64(sh.Spread)), "partitions of a dataset that is created on first use; at most all"},
				{"cache_for", "duration", str(plan.Duration(sh.CacheFor).String()), "how long a team or dataset is taken from the cache before the catalog is asked again"},
				{"miss_for", "duration", str(plan.Duration(sh.MissFor).String()), "the same for what is not there"},
				{"stale_for", "duration", str(plan.Duration(sh.StaleFor).String()), "how long what is cached is used while the catalog is away"},
				{"cache_size", "whole number", integer(int64(sh.CacheSize)), "entries of each cache"},
				{"max_body_bytes", "whole number", integer(0), "bound of a request's body, as it is sent and decompressed; at least 1024. 0: 5000000"},
				{"linger", "duration", str("0s"), "`linger.ms`: how long records are gathered into one request to a broker, which every answer waits for; less than sick_after. 0s: 2ms"},
			},
		},
		{
			Name: "retriever", Group: groupParts, run: retrieverPart,
			Doc: "How retrievers, the storage workers, are set up. retriever1 and retriever2 are the pair of partition 0, and so on.",
			Args: []Arg{
				{"sync_every", "duration", str(plan.Duration(re.SyncEvery).String()), "longest time between a record's arrival and its fsync"},
				{"dedup_window", "whole number", integer(int64(re.DedupWindow)), "how many of the latest events' IDs are remembered to drop duplicates"},
				{"session_timeout", "duration", str(plan.Duration(re.SessionTimeout).String()), "of its ZooKeeper session; from 1s to 1h"},
				{"seal_every", "duration", str(plan.Duration(re.SealEvery).String()), "after how much of the log's own time rows become columnar segments; at least 1s"},
				{"seal_idle", "duration", str(plan.Duration(re.SealIdle).String()), "after how long without a new record rows become segments all the same, so that they reach S3 though their partition idles; 0s: never, else seal_every or more"},
				{"snapshot_every", "duration", str(plan.Duration(re.SnapshotEvery).String()), "how often sealed segments go to S3 and the manifest is written"},
				{"keep_local", "duration", str(plan.Duration(re.KeepLocal).String()), "how long a segment that S3 has stays on local disk too, by the log's time"},
				{"max_local_bytes", "whole number", integer(re.MaxLocalBytes), "bound of local disk use; at least 1048576"},
				{"max_memory_bytes", "whole number", integer(re.MaxMemoryBytes), "bound of rows that are in no segment yet; at least 1048576"},
				{"retention", "duration", str(plan.Duration(re.Retention).String()), "how long S3 keeps a segment, by the log's time; 0s keeps everything. Not less than keep_local, and longer than the run with a minute and what it waits for `seal_idle`, or what was sent is gone before it is compared"},
				{"compress", "True or False", starlark.Bool(re.Compress), "write segments with zstd"},
			},
		},
		{
			Name: "query", Group: groupParts, run: queryPart,
			Doc: "How query nodes are set up. They are named query1, query2, ….",
			Args: []Arg{
				{"deadline", "duration", str(plan.Duration(q.Deadline).String()), "of a query; what is not there by then is named as missing"},
				{"hedge_after", "duration", str(plan.Duration(q.HedgeAfter).String()), "how long one retriever of a pair may take before the other is asked too"},
				{"workers", "whole number", integer(int64(q.Workers)), "short-lived workers that read S3 at once, on each node"},
				{"cold_start", "duration", str(plan.Duration(q.ColdStart).String()), "how long a worker takes to start"},
				{"keep_warm", "duration", str(plan.Duration(q.KeepWarm).String()), "how long a worker that has ended starts again at once"},
				{"reissue", "number", starlark.Float(q.Reissue), "the share of a query's slowest segment reads that are issued a second time, from 0 to 1"},
				{"max_stored", "whole number", integer(int64(q.MaxStored)), "queries and results that are kept for clients that poll"},
			},
		},
		{
			Name: "beagle", Group: groupParts, run: beaglePart,
			Doc: "How beagle workers, a Kafka consumer group that counts SLOs, are set up. They are named beagle1, beagle2, ….",
			Args: []Arg{
				{"assignor", "string", str(be.Assignor), "how partitions are assigned: `range`, `roundrobin`, `sticky` or `cooperative-sticky`"},
				{"static", "True or False", starlark.Bool(be.Static), "each worker is a static member (KIP-345): a restart within the session's timeout moves nothing"},
				{"session_timeout", "duration", str(plan.Duration(be.SessionTimeout).String()), "without a heartbeat for so long a worker is evicted; from 1s to 1h"},
				{"heartbeat_every", "duration", str(plan.Duration(be.HeartbeatEvery).String()), "at most half the session's timeout"},
				{"rebalance_timeout", "duration", str(plan.Duration(be.RebalanceTimeout).String()), "a worker that does not join a rebalance within it is evicted"},
				{"commit_every", "duration", str(plan.Duration(be.CommitEvery).String()), "how long counts are gathered before they are committed; progress is marked as often"},
				{"commit_events", "whole number", integer(int64(be.CommitEvents)), "how many events are gathered at most"},
				{"refresh_every", "duration", str(plan.Duration(be.RefreshEvery).String()), "how long a dataset's SLOs are taken from the cache"},
				{"miss_for", "duration", str(plan.Duration(be.MissFor).String()), "the same for datasets that are not there"},
				{"cache_size", "whole number", integer(int64(be.CacheSize)), "datasets in the cache"},
				{"dedup_records", "whole number", integer(int64(be.DedupRecords)), "how many of a partition's latest records are remembered to drop events that a producer's retry appended twice"},
				{"fetch_wait", "duration", str("20ms"), "`fetch.max.wait.ms`: how long a fetch that finds nothing waits at the broker, and all others that share its connection with it; from 1ms to 2s"},
				{"fetch_bytes", "whole number", integer(1 << 20), "`max.partition.fetch.bytes`: what a fetch brings at most; at least 1024"},
				{"missing_progress", "string", str(beagle.MissingEarliest), "what is done with a partition that has no row of progress: `earliest` counts it from the log's start, `latest` from its end, `wait` not before the row is provisioned"},
			},
		},
		{
			Name: "trigger", Group: groupParts, run: triggerPart,
			Doc: "How trigger workers, which evaluate alerts, are set up. They are named trigger1, trigger2, …; one of them leads.",
			Args: []Arg{
				{"session_timeout", "duration", str(plan.Duration(tr.SessionTimeout).String()), "of the lock's ZooKeeper session; from 1s to 1h"},
				{"refresh_every", "duration", str(plan.Duration(tr.RefreshEvery).String()), "how often definitions are read again"},
				{"settle", "duration", str(plan.Duration(tr.Settle).String()), "how long after a window's end its evaluation begins"},
				{"patience", "duration", str(plan.Duration(tr.Patience).String()), "how long it then waits for data that are fresh enough, before the window is recorded as stale"},
				{"deliver_every", "duration", str(plan.Duration(tr.DeliverEvery).String()), "how often an alert that nobody has taken is sent again"},
				{"parallel", "whole number", integer(int64(tr.Parallel)), "evaluations at once"},
			},
		},
		{
			Name: "telemetry", Group: groupParts, run: telemetryPart,
			Doc: "Makes every role describe itself in wide events, which an observer outside of the pipeline gathers. See telemetry.md.",
			Args: []Arg{
				{"enabled", "True or False", starlark.True, "whether roles say anything"},
				{"every", "duration", str(plan.Duration(te.Every).String()), "between two ticks of a role, and between two batches to the observer; from 100ms to 1h"},
				{"produce_sample", "whole number", integer(int64(te.ProduceSample)), "the n of one in n chunks of which produce, index and count are told"},
				{"batch_sample", "whole number", integer(int64(te.BatchSample)), "the n of one in n ingest requests that are told; those that did not go well are told always"},
				{"queue", "whole number", integer(int64(te.Queue)), "events that may wait for the observer in each role; others are dropped and counted"},
				{"max_bytes", "whole number", integer(int64(te.MaxBytes)), "the same in bytes; at least 16384"},
				{"timeout", "duration", str(plan.Duration(te.Timeout).String()), "how long the observer may take for a batch before it is given up; from 10ms to 1h"},
			},
		},
		{
			Name: "observer", Group: groupParts, run: observerPart,
			Doc: "How much the observer, the node `observer`, can take of what roles say about themselves.",
			Args: []Arg{
				{"events_per_second", "number", starlark.Float(observer.DefaultConfig().EventsPerSecond), "what it works off; more than 0"},
				{"queue", "whole number", integer(int64(observer.DefaultConfig().Queue)), "events that may wait for that; beyond it, batches are refused"},
			},
		},
		{
			Name: "team", Group: groupParts, Positional: 1, run: teamPart,
			Doc: "A tenant with a key of its own.",
			Args: []Arg{
				{"name", "string", nil, "its name"},
				{"events_per_second", "number", integer(0), "its token bucket's refill, over all its datasets. 0: no limit"},
				{"burst", "number", integer(0), "the bucket's size in events. 0: one second's refill"},
				{"dataset_events_per_second", "number", integer(0), "the limit of each of its datasets. 0: none"},
			},
		},
	}
}

func kafkaPart(c *call) (starlark.Value, error) {
	k := system.Kafka{
		Brokers: c.integer("brokers"), Partitions: int32(c.small("partitions", math.MaxInt32)),
		ReplicaLagTimeMax: c.span("replica_lag_time_max"), SessionTimeout: c.span("session_timeout"), LeadersInRow: c.integer("leaders_in_row"),
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
		TeamShare: c.number("team_share"), Spread: c.integer("spread"), CacheFor: c.span("cache_for"), MissFor: c.span("miss_for"),
		StaleFor: c.span("stale_for"), CacheSize: c.integer("cache_size"), MaxBodyBytes: int64(c.integer("max_body_bytes")), Linger: c.span("linger"),
	}
	return made(c, s, plan.ShepherdProblems(s)), nil
}

func retrieverPart(c *call) (starlark.Value, error) {
	r := retriever.Config{
		SyncEvery: c.span("sync_every"), DedupWindow: c.integer("dedup_window"), SessionTimeout: c.span("session_timeout"),
		SealEvery: c.span("seal_every"), SealIdle: c.span("seal_idle"), SnapshotEvery: c.span("snapshot_every"), KeepLocal: c.span("keep_local"),
		MaxLocalBytes: int64(c.integer("max_local_bytes")), MaxMemoryBytes: int64(c.integer("max_memory_bytes")),
		Retention: c.span("retention"), Compress: c.boolean("compress"),
	}
	return made(c, r, plan.RetrieverProblems(r)), nil
}

func queryPart(c *call) (starlark.Value, error) {
	q := query.Config{
		Deadline: c.span("deadline"), HedgeAfter: c.span("hedge_after"), Workers: c.integer("workers"), ColdStart: c.span("cold_start"),
		KeepWarm: c.span("keep_warm"), Reissue: c.number("reissue"), MaxStored: c.integer("max_stored"),
	}
	return made(c, q, plan.QueryProblems(q)), nil
}

func beaglePart(c *call) (starlark.Value, error) {
	b := beagle.Config{
		Assignor: c.str("assignor"), Static: c.boolean("static"), SessionTimeout: c.span("session_timeout"), HeartbeatEvery: c.span("heartbeat_every"),
		RebalanceTimeout: c.span("rebalance_timeout"), CommitEvery: c.span("commit_every"), CommitEvents: c.integer("commit_events"),
		RefreshEvery: c.span("refresh_every"), MissFor: c.span("miss_for"), CacheSize: c.integer("cache_size"), DedupRecords: c.integer("dedup_records"),
		FetchWait: c.span("fetch_wait"), FetchBytes: c.integer("fetch_bytes"),
	}
	if missing := c.str("missing_progress"); missing != beagle.MissingEarliest {
		b.MissingProgress = missing
	}
	return made(c, b, plan.BeagleProblems(b)), nil
}

func triggerPart(c *call) (starlark.Value, error) {
	t := trigger.Config{
		SessionTimeout: c.span("session_timeout"), RefreshEvery: c.span("refresh_every"), Settle: c.span("settle"),
		Patience: c.span("patience"), DeliverEvery: c.span("deliver_every"), Parallel: c.integer("parallel"),
	}
	return made(c, t, plan.TriggerProblems(t)), nil
}

func telemetryPart(c *call) (starlark.Value, error) {
	t := telemetry.Config{
		Enabled: c.boolean("enabled"), Every: c.span("every"), ProduceSample: c.integer("produce_sample"), BatchSample: c.integer("batch_sample"),
		Queue: c.integer("queue"), MaxBytes: c.integer("max_bytes"), Timeout: c.span("timeout"),
	}
	return made(c, t, plan.TelemetryProblems(t)), nil
}

func observerPart(c *call) (starlark.Value, error) {
	o := observer.Config{EventsPerSecond: c.number("events_per_second"), Queue: c.integer("queue")}
	return made(c, o, plan.ObserverProblems(o)), nil
}

func teamPart(c *call) (starlark.Value, error) {
	t := system.Team{
		Name: c.str("name"), EventsPerSecond: c.number("events_per_second"), Burst: c.number("burst"),
		DatasetEventsPerSecond: c.number("dataset_events_per_second"),
	}
	return made(c, t, plan.TeamProblems(t)), nil
}
