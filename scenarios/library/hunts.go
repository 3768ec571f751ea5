package library

import "github.com/ratel-sim/ratel/system/planted"

// Hunts names the scenarios that are there to catch a planted bug, the likeliest first. Others may catch it too.
func Hunts(bug string) []string {
	switch bug {
	case planted.AcksLeader:
		return []string{"leader-isolated"}
	case planted.TruncateToHighWatermark:
		return []string{"double-failover"}
	case planted.RetriesUnnumbered:
		return []string{"ack-loss"}
	case planted.RetriesOvertake:
		return []string{"leader-isolated", "broker-loss"}
	case planted.AcceptBeforeKafka:
		return []string{"shepherd-loss"}
	case planted.NoFailoverOffDeadSet, planted.ShedAllTenants, planted.UnboundedQueue, planted.PartialAsSuccess:
		return []string{"protection-spiral"}
	case planted.LivenessByHeartbeat:
		return []string{"broker-gray"}
	case planted.RangeAssignment:
		return []string{"leader-pairs"}
	case planted.SeriesAssignment, planted.IdleNeverSealed:
		return []string{"tail-idle"}
	case planted.RefusesAShare:
		return []string{"broker-loss"}
	case planted.StaleDatasetCache:
		return []string{"recreate"}
	case planted.AutoCommitEarly, planted.NoDedup:
		return []string{"retriever-crash"}
	case planted.CommitBeforeDurable, planted.ManifestBeforeData, planted.TwoSnapshotWriters, planted.RetentionTooEager:
		return []string{"s3-errors"}
	case planted.BootstrapFromPeer:
		return []string{"retriever-pair-loss"}
	case planted.SameZonePair:
		return []string{"zone-loss"}
	case planted.FirstZooKeeperOnly:
		return []string{"zk-each-node"}
	case planted.OrphanEphemeral:
		return []string{"lock-churn"}
	case planted.SessionLossUnnoticed, planted.LeaderWithoutZnode:
		return []string{"trigger-isolated"}
	case planted.UndrainedRebalance, planted.ZombieCommits:
		return []string{"rebalance-storm"}
	case planted.LockWithoutFencing:
		return []string{"trigger-pause"}
	case planted.NoNegativeCache:
		return []string{"dataset-churn"}
	case planted.ResetToLatest, planted.SLOByProcessingTime, planted.ProgressOnlyWithSLOs, planted.EmptyPartitionCrashes:
		return []string{"cold-counters"}
	case planted.SampleRatesIgnored:
		return []string{"sampled-counts"}
	case planted.TelemetryBlocks, planted.TelemetryKept, planted.SampledTwice, planted.DependenciesUnwatched:
		return []string{"dogfood-overload"}
	case planted.NeverWidens:
		return []string{"partition-skew"}
	case planted.SchemaWhileWaiting:
		return []string{"schema-explosion"}
	case planted.PoisonRecord, planted.SkipsInSilence:
		return []string{"poison-record"}
	case planted.OldDataDropped:
		return []string{"retriever-loss"}
	}
	return nil
}

// Mistake is a defect of a plan, not of the pipeline: a parameter of a scenario makes it, a check has to fail because of it, and the linter has to name it before the run.
type Mistake struct {
	ID, Name  string
	Mechanism string // what follows from it
	Scenario  string
	Set       map[string]string // parameters of the scenario
}

// Mistakes lists those of the runbook of incident D1, at the size that it had.
func Mistakes() []Mistake {
	of := func(id, kind, name, mechanism string) Mistake {
		return Mistake{ID: id, Name: name, Mechanism: mechanism, Scenario: "scale-partitions", Set: map[string]string{
			"partitions": "40", "to": "56", "missing": "3", "mistake": kind,
		}}
	}
	return []Mistake{
		of("D1c", "topic", "progress rows of another topic", "the runbook writes _ into the topic's name, so the new partitions have no progress and are not counted"),
		of("D1d", "retrievers", "retrievers for 53 of 56 partitions", "nobody stores what is sent to the last three, and no query sees it"),
		of("D1e", "progress", "progress rows for 53 of 56 partitions", "nobody counts the last three"),
		of("D1f", "latest", "new partitions are counted from their end", "what is sent to them before the workers notice them is never counted"),
	}
}
