package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// TopologyProblems says what is wrong with a topology. Fields are named as the arguments of kafka(), zookeeper() and so on.
func TopologyProblems(t system.Topology) Problems {
	list := ZooKeeperProblems(t.ZooKeeper)
	list = append(list, KafkaProblems(t.Kafka)...)
	list = append(list, ShepherdProblems(t.Shepherd)...)
	list = append(list, RetrieverProblems(t.Retriever)...)
	list = append(list, QueryProblems(t.Query)...)
	list = append(list, BeagleProblems(t.Beagle)...)
	list = append(list, TriggerProblems(t.Trigger)...)
	list = append(list, TelemetryProblems(t.Telemetry)...)
	if t.Observer != (observer.Config{}) {
		list = append(list, ObserverProblems(t.Observer)...)
		if !t.Telemetry.Enabled {
			list = append(list, Problem{Field: "observer", What: "system: there is an observer, and no role says anything", Hint: "write telemetry = telemetry()"})
		}
	}
	f := &found{step: "system"}
	f.between("zones", t.Zones, 1, MaxZones)
	f.between("shepherds", t.Shepherds, 1, MaxShepherds)
	f.between("replicas", t.Replicas, 1, 2)
	f.between("queries", t.Queries, 1, MaxQueries)
	f.between("beagles", t.Beagles, 0, MaxBeagles)
	f.between("triggers", t.Triggers, 0, MaxTriggers)
	f.list = append(f.list, teamProblems(t)...)
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
	if k.LeadersInRow != 0 {
		f.between("leaders_in_row", k.LeadersInRow, 1, MaxPartitions)
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
	f.share("team_share", c.TeamShare)
	f.between("spread", c.Spread, 1, MaxPartitions)
	f.span("cache_for", c.CacheFor, 10*time.Millisecond, time.Hour)
	f.span("miss_for", c.MissFor, 10*time.Millisecond, time.Hour)
	f.span("stale_for", c.StaleFor, 0, 24*time.Hour)
	f.between("cache_size", c.CacheSize, 1, 1<<24)
	if c.MaxBodyBytes != 0 {
		f.atLeast("max_body_bytes", c.MaxBodyBytes, 1<<10)
	}
	if c.Linger < 0 || c.Linger > 0 && c.Linger >= c.SickAfter {
		f.add("linger", "", "linger must be from 0s to less than sick_after, which is %s, not %s", Duration(c.SickAfter), Duration(c.Linger))
	}
	return f.list
}

// RetrieverProblems says what is wrong with the set-up of retrievers.
func RetrieverProblems(c retriever.Config) Problems {
	f := &found{step: "retriever"}
	f.span("sync_every", c.SyncEvery, time.Millisecond, time.Hour)
	f.between("dedup_window", c.DedupWindow, 1, 1<<26)
	f.span("session_timeout", c.SessionTimeout, time.Second, time.Hour)
	f.span("seal_every", c.SealEvery, time.Second, 24*time.Hour)
	if c.SealIdle != 0 {
		f.span("seal_idle", c.SealIdle, c.SealEvery, 24*time.Hour)
	}
	f.span("snapshot_every", c.SnapshotEvery, time.Second, 24*time.Hour)
	f.span("keep_local", c.KeepLocal, 0, 30*24*time.Hour)
	f.atLeast("max_local_bytes", c.MaxLocalBytes, 1<<20)
	f.atLeast("max_memory_bytes", c.MaxMemoryBytes, 1<<20)
	f.span("retention", c.Retention, 0, 365*24*time.Hour)
	if c.Retention > 0 && c.Retention < c.KeepLocal {
		f.add("retention", "write 0s to keep everything", "retention must not be less than keep_local, which is %s, but is %s", Duration(c.KeepLocal), Duration(c.Retention))
	}
	return f.list
}

// QueryProblems says what is wrong with the set-up of query nodes.
func QueryProblems(c query.Config) Problems {
	f := &found{step: "query"}
	f.span("deadline", c.Deadline, 100*time.Millisecond, 10*time.Minute)
	f.span("hedge_after", c.HedgeAfter, time.Millisecond, c.Deadline)
	f.between("workers", c.Workers, 1, 10_000)
	f.span("cold_start", c.ColdStart, 0, time.Minute)
	f.span("keep_warm", c.KeepWarm, 0, time.Hour)
	if c.Reissue < 0 || c.Reissue > 1 || math.IsNaN(c.Reissue) {
		f.add("reissue", "", "reissue must be from 0 to 1, not %v", c.Reissue)
	}
	f.between("max_stored", c.MaxStored, 1, 1<<20)
	return f.list
}

// TelemetryProblems says what is wrong with how roles describe themselves.
func TelemetryProblems(c telemetry.Config) Problems {
	if c == (telemetry.Config{}) { // off, and nothing said
		return nil
	}
	f := &found{step: "telemetry"}
	f.span("every", c.Every, 100*time.Millisecond, time.Hour)
	f.between("produce_sample", c.ProduceSample, 1, 1<<20)
	f.between("batch_sample", c.BatchSample, 1, 1<<20)
	f.between("queue", c.Queue, 1, 1<<20)
	f.between("max_bytes", c.MaxBytes, 1<<14, 1<<28)
	f.span("timeout", c.Timeout, 10*time.Millisecond, time.Hour)
	return f.list
}

// ObserverProblems says what is wrong with an observer's capacity.
func ObserverProblems(c observer.Config) Problems {
	f := &found{step: "observer"}
	if math.IsNaN(c.EventsPerSecond) || c.EventsPerSecond <= 0 || c.EventsPerSecond > MaxRate {
		f.add("events_per_second", "", "events_per_second must be more than 0 and at most %d, not %v", MaxRate, c.EventsPerSecond)
	}
	f.between("queue", c.Queue, 1, 1<<20)
	return f.list
}

// share wants a part of a whole.
func (f *found) share(field string, v float64) {
	if math.IsNaN(v) || v <= 0 || v > 1 {
		f.add(field, "write such as 0.5", "%s must be more than 0 and at most 1, not %v", field, v)
	}
}

func (f *found) atLeast(field string, n, low int64) {
	if n < low {
		f.add(field, "", "%s must be at least %d, not %d", field, low, n)
	}
}

// TeamProblems says what is wrong with a team, by itself.
func TeamProblems(t system.Team) Problems {
	f := &found{step: fmt.Sprintf("team %q", t.Name)}
	if !namePattern.MatchString(t.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	for _, l := range []struct {
		field string
		v     float64
	}{{"events_per_second", t.EventsPerSecond}, {"burst", t.Burst}, {"dataset_events_per_second", t.DatasetEventsPerSecond}} {
		if math.IsNaN(l.v) || l.v < 0 || l.v > MaxRate {
			f.add(l.field, "leave it out for no limit", "%s must be from 0 to %d, not %v", l.field, MaxRate, l.v)
		}
	}
	if t.Burst > 0 && t.EventsPerSecond == 0 {
		f.add("burst", "write events_per_second too", "a burst without a rate limits nothing")
	}
	return f.list
}

func teamProblems(t system.Topology) Problems {
	f := &found{step: "system"}
	if len(t.Teams) == 0 {
		f.add("teams", `write teams = [team("load")]`, "there is no team, so nobody could send")
	}
	if len(t.Teams) > MaxTeams {
		f.add("teams", "", "%d teams are more than %d", len(t.Teams), MaxTeams)
	}
	seen := map[string]bool{}
	for _, team := range t.Teams {
		f.list = append(f.list, TeamProblems(team)...)
		if seen[team.Name] {
			f.add("teams", "give each its own name", "team %q is there twice", team.Name)
		}
		seen[team.Name] = true
	}
	return f.list
}

// DecodeTopology reads a topology from JSON and checks it; what it does not say is as in t. file is named in errors,
// which are [Problems]. Unknown and repeated keys are errors that name the nearest one there is.
func DecodeTopology(file string, data []byte, t system.Topology) (system.Topology, error) {
	if len(data) > MaxBytes {
		return t, Problems{{Pos: Pos{File: file, Line: 1, Col: 1}, What: fmt.Sprintf("the topology has %d bytes, more than %d", len(data), MaxBytes)}}
	}
	if err := readStrict(file, "the topology", data, &t); err != nil {
		return t, err
	}
	if list := TopologyProblems(t); len(list) > 0 {
		return t, at(Pos{File: file, Line: 1, Col: 1}, list)
	}
	return t, nil
}
