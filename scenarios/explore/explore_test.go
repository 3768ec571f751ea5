package explore_test

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/planted"
)

func planOf(t testing.TB, name string, set map[string]string) func(seed uint64) (*plan.Plan, error) {
	t.Helper()
	s, err := library.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return func(seed uint64) (*plan.Plan, error) { return s.Plan(set, seed) }
}

// seedsPerScript keeps the ordinary test run short; `ratel explore` and `ratel bugs` go much further.
const seedsPerScript = 4

func TestCleanSeedsPass(t *testing.T) {
	t.Parallel()
	for _, name := range library.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, o := range explore.Seeds(context.Background(), explore.Options{Plan: planOf(t, name, nil), From: 1, Count: seedsPerScript}) {
				if o.Err != nil || o.Verdict != check.Pass {
					t.Errorf("seed %d: %v %v %s %v", o.Seed, o.Verdict, o.Caught, o.Reason, o.Err)
				}
			}
		})
	}
}

// TestSameSeedSameBytes runs seeds alone, and again in a batch on other goroutines: the traces must not know the difference.
func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"broker-loss", "double-failover", "retriever-loss", "s3-errors"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := explore.Options{Plan: planOf(t, name, nil), From: 41, Count: 4, Workers: 4}
			for _, batch := range explore.Seeds(context.Background(), o) {
				alone := explore.One(context.Background(), o, batch.Seed)
				if batch.Err != nil || alone.Err != nil {
					t.Fatalf("seed %d: %v %v", batch.Seed, batch.Err, alone.Err)
				}
				if batch.TraceHash != alone.TraceHash || batch.Steps != alone.Steps {
					t.Errorf("seed %d: in a batch %s (%d steps), alone %s (%d steps)", batch.Seed, batch.TraceHash, batch.Steps, alone.TraceHash, alone.Steps)
				}
			}
		})
	}
}

// TestSeedOverHTTP makes sure that the share of seeds which goes through the real HTTP path is not empty, and passes.
func TestSeedOverHTTP(t *testing.T) {
	t.Parallel()
	o := explore.Options{Plan: planOf(t, "broker-loss", map[string]string{"rate": "200"})}
	found := 0
	for seed := uint64(1); seed < 400 && found < 2; seed++ {
		if !sim.TravelsOverHTTP(seed) {
			continue
		}
		found++
		out := explore.One(context.Background(), o, seed)
		if out.Err != nil || out.Verdict != check.Pass {
			t.Errorf("seed %d over HTTP: %v %s %v", seed, out.Verdict, out.Reason, out.Err)
		}
	}
	if found == 0 {
		t.Error("no seed below 400 goes over HTTP")
	}
}

// TestPlantedBugsAreCaught plants every bug and expects a check to fail in the scenario that is there for it.
func TestPlantedBugsAreCaught(t *testing.T) {
	t.Parallel()
	// The check that must be among those that catch each bug, in the scenario that is there for it.
	where := map[string][]string{
		planted.AcksLeader:        {check.CheckDurability},
		planted.RetriesUnnumbered: {check.CheckLogOnce},
		planted.RetriesOvertake:   {check.CheckLogOrder},
		planted.AcceptBeforeKafka: {check.CheckDurability},
		planted.PartialAsSuccess:  {check.CheckDurability},
		planted.RefusesAShare:     {check.CheckSLOIngest},
		// Retrievers may have read an acknowledged record before Kafka lost it: then it is held, but no longer in the log.
		planted.TruncateToHighWatermark: {check.CheckDurability, check.CheckAgreement},
		planted.NoFailoverOffDeadSet:    {check.CheckSLOIngest},
		planted.ShedAllTenants:          {check.CheckSLOIngest},
		planted.UnboundedQueue:          {check.CheckMemory},
		planted.StaleDatasetCache:       {check.CheckQueries},
		planted.AutoCommitEarly:         {check.CheckDurability},
		planted.NoDedup:                 {check.CheckDuplicates, check.CheckPairs},
		planted.CommitBeforeDurable:     {check.CheckDurability, check.CheckCommitted},
		planted.ManifestBeforeData:      {check.CheckDurability, check.CheckCommitted},
		planted.TwoSnapshotWriters:      {check.CheckCommitted},
		planted.RetentionTooEager:       {check.CheckDurability, check.CheckCommitted},
		planted.IdleNeverSealed:         {check.CheckCommitted},
		planted.BootstrapFromPeer:       {check.CheckDurability, check.CheckCommitted, check.CheckPairs, check.CheckQueries},
		planted.SameZonePair:            {check.CheckZones},
		planted.OldDataDropped:          {check.CheckQueries},
		planted.FirstZooKeeperOnly:      {check.CheckAlerts},
		planted.OrphanEphemeral:         {check.CheckAlerts},
		planted.SessionLossUnnoticed:    {check.CheckFencing},
		planted.LeaderWithoutZnode:      {check.CheckFencing},
		planted.UndrainedRebalance:      {check.CheckSLOCounts},
		planted.ZombieCommits:           {check.CheckSLOCounts},
		planted.ResetToLatest:           {check.CheckSLOCounts},
		planted.SLOByProcessingTime:     {check.CheckSLOCounts},
		planted.SampleRatesIgnored:      {check.CheckSLOCounts},
		planted.ProgressOnlyWithSLOs:    {check.CheckProgress},
		planted.EmptyPartitionCrashes:   {check.CheckProgress},
		planted.NoNegativeCache:         {"expect catch-up: beagle.lag < 500 within 15s"},
		planted.TelemetryBlocks:         {"expect overloaded: ack.p99 < 800ms"},
		planted.TelemetryKept:           {check.CheckTelemetry},
		planted.SampledTwice:            {check.CheckTelemetry},
		planted.DependenciesUnwatched:   {check.CheckTelemetry},
		planted.NeverWidens:             {"expect widened: kafka.busiest_share < 33% within 15s"},
		planted.SchemaWhileWaiting:      {"expect slow: ack.p99 < 1s"},
		planted.PoisonRecord:            {check.CheckProgress, check.CheckFreshness, check.CheckRecovers},
		planted.SkipsInSilence:          {check.CheckSkips},
		planted.LockWithoutFencing:      {check.CheckFencing},
		planted.LivenessByHeartbeat:     {check.CheckSLOIngest},
		planted.SeriesAssignment:        {"expect steady: beagle.idle == 0"},
		planted.RangeAssignment:         {check.CheckProgress, "expect steady: beagle.lag < 200"},
	}
	for _, bug := range planted.All() {
		t.Run(bug.ID, func(t *testing.T) {
			t.Parallel()
			hunts, checks := library.Hunts(bug.ID), where[bug.ID]
			if len(hunts) == 0 || len(checks) == 0 {
				t.Fatalf("no scenario or no check is named that catches %s", bug.ID)
			}
			h := explore.Find(context.Background(), bug, explore.Scenario{Name: hunts[0], Plan: planOf(t, hunts[0], nil)}, 30, "test")
			if h.Err != nil {
				t.Fatal(h.Err)
			}
			// A result is named after its check, with what tells it from others of that check.
			named := func(check string) bool { return h.Check == check || strings.HasPrefix(h.Check, check+"(") }
			if !h.Caught || !slices.ContainsFunc(checks, named) {
				t.Fatalf("%s under %s in %d seeds: caught %v by %q: %s", bug.ID, hunts[0], h.Seeds, h.Caught, h.Check, h.Reason)
			}
			t.Logf("%s caught by %s in seed %s after %v of virtual time: %s", bug.ID, h.Check, strconv.FormatUint(h.Seed, 10), h.Virtual, h.Reason)
		})
	}
}

// TestMistakesOfPlansAreCaught: a mistake of the runbook is told by the check that is there for it. `ratel bugs` runs them at the incident's own size, the linter's tests name them before the run.
func TestMistakesOfPlansAreCaught(t *testing.T) {
	t.Parallel()
	where := map[string]string{"D1c": check.CheckProgress, "D1d": plan.CheckCoverage, "D1e": check.CheckProgress, "D1f": check.CheckSLOCounts}
	for _, m := range library.Mistakes() {
		t.Run(m.ID, func(t *testing.T) {
			t.Parallel()
			set := maps.Clone(m.Set)
			set["partitions"], set["to"], set["missing"] = "10", "14", "1"
			h := explore.FindMistake(context.Background(), explore.Scenario{Name: m.Scenario, Plan: planOf(t, m.Scenario, set)}, 1, "test")
			if h.Err != nil {
				t.Fatal(h.Err)
			}
			if !h.Caught || where[m.ID] == "" || !strings.HasPrefix(h.Check, where[m.ID]) {
				t.Fatalf("%s (%s): caught %v by %q: %s", m.ID, m.Name, h.Caught, h.Check, h.Reason)
			}
		})
	}
}

// TestIncidentsOwnSize: the plan without a mistake passes at that size too, so it is the mistakes that are caught.
func TestIncidentsOwnSize(t *testing.T) {
	t.Parallel()
	o := explore.Options{Plan: planOf(t, "scale-partitions", map[string]string{"partitions": "40", "to": "56"})}
	if out := explore.One(context.Background(), o, 1); out.Err != nil || out.Verdict != check.Pass {
		t.Errorf("%v by %v: %s %v", out.Verdict, out.Caught, out.Reason, out.Err)
	}
}

func TestInterruptedExplorationKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	out := explore.Seeds(ctx, explore.Options{Plan: planOf(t, "quiet", nil), From: 1, Count: 1000, Workers: 1, Each: func(explore.Outcome) bool {
		seen++
		if seen == 2 {
			cancel()
		}
		return true
	}})
	if len(out) < 2 || len(out) > 2+runtime.GOMAXPROCS(0) {
		t.Errorf("%d outcomes after an interrupt at the second", len(out))
	}
}
