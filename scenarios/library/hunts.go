package library

import "github.com/ratel-sim/ratel/system/planted"

// Hunts names the scenarios that are there to catch a planted bug, the likeliest first. Others may catch it too.
func Hunts(bug string) []string {
	switch bug {
	case planted.AcksLeader:
		return []string{"leader-isolated"}
	case planted.TruncateToHighWatermark:
		return []string{"double-failover"}
	case planted.PartialAsSuccess:
		return []string{"protection-spiral", "double-failover"}
	case planted.AcceptBeforeKafka:
		return []string{"shepherd-loss"}
	case planted.NoFailoverOffDeadSet, planted.ShedAllTenants, planted.UnboundedQueue:
		return []string{"protection-spiral", "heavy-tenant"}
	case planted.StaleDatasetCache:
		return []string{"recreate"}
	case planted.AutoCommitEarly, planted.NoDedup:
		return []string{"retriever-crash", "retriever-loss"}
	case planted.CommitBeforeDurable, planted.ManifestBeforeData, planted.TwoSnapshotWriters, planted.RetentionTooEager:
		return []string{"s3-errors"}
	case planted.BootstrapFromPeer:
		return []string{"retriever-pair-loss"}
	case planted.SameZonePair:
		return []string{"zone-loss"}
	case planted.OldDataDropped:
		return []string{"retriever-loss"}
	}
	return nil
}
