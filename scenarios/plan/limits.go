package plan

import "time"

// Limits of a plan. They are far above what is of use, and there to tell a slip of the hand from an experiment.
const (
	MaxPhases      = 200
	MaxFaults      = 100 // in one phase
	MaxExpects     = 50  // in one phase
	MaxSteps       = 50  // of the runbook, in one phase
	MaxTraffic     = 16
	MaxChecks      = 50
	MaxZooKeepers  = 9
	MaxBrokers     = 50
	MaxPartitions  = 200
	MaxShepherds   = 50
	MaxZones       = 26
	MaxQueries     = 50
	MaxTeams       = 100
	MaxReaders     = 16
	MaxBeagles     = 50
	MaxTriggers    = 10
	MaxObjectives  = 50
	MaxAlerts      = 50
	MaxGuards      = 8
	MaxGuardEvents = 1_000_000
	MaxReplayBytes = 256 << 10  // of one load
	MaxRate        = 10_000_000 // events per second of one load
	MaxBatchEvents = 10_000
	MaxEventBytes  = 60_000 // a wide event: 2,000 columns of 30 bytes
	MaxDatasets    = 10_000
	MaxClients     = 10_000
	MaxLength      = 30 * 24 * time.Hour // of the whole run

	slowestBatch = 1000 * time.Second
)
