//go:build containers

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/system/planted"
)

// binary is the static program under test: it runs the engine here and the roles in their containers.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("RATEL_BINARY")
	if path == "" {
		t.Fatal("RATEL_BINARY is not set: run these tests with `make test-containers`, which builds the program first")
	}
	return path
}

// runReal runs a scenario on real servers and returns its judgement and exit code. A run that did not come about is said and
// tried once more.
func runReal(t *testing.T, args ...string) (*check.Judgement, int) {
	t.Helper()
	j, code, err := tryReal(t, args...)
	if err != nil {
		t.Logf("%s is tried once more: %v", args[0], err)
		ensureEngine(t)
		if j, code, err = tryReal(t, args...); err != nil {
			t.Fatal(err)
		}
	}
	return j, code
}

// ensureEngine has an engine that has locked up started again: Docker Engine 20.10 has such defects.
func ensureEngine(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("../../.ci/engine.sh").CombinedOutput(); err != nil {
		t.Fatalf("no Docker engine: %v\n%s", err, out)
	}
}

func tryReal(t *testing.T, args ...string) (*check.Judgement, int, error) {
	t.Helper()
	runs := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append([]string{"run", "--world", "containers", "--runs", runs}, args...)...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	code := 0
	if err != nil {
		code = exitCode(err)
	}
	t.Logf("ratel run %s: exit %d\n%s%s", strings.Join(args, " "), code, talk.Bytes(), out)
	text, err := os.ReadFile(filepath.Join(runs, "latest", "verdict.json"))
	if err != nil {
		return nil, code, fmt.Errorf("exit %d, and no verdict was written: %w", code, err)
	}
	var j check.Judgement
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, code, fmt.Errorf("exit %d: verdict.json: %w", code, err)
	}
	return &j, code, nil
}

// failed lists the checks that failed.
func failed(j *check.Judgement) []string {
	var names []string
	for _, r := range j.Results {
		if r.Verdict == check.Fail && !slices.Contains(names, r.Check) {
			names = append(names, r.Check)
		}
	}
	return names
}

// hurried are the checks of how soon and how many: they are for a machine that has the time. A busy one with two cores may
// miss such a bound without any defect, and a test must not depend on that.
func hurried(name string) bool {
	return slices.Contains([]string{check.CheckSLOIngest, check.CheckSLOFresh, check.CheckSLOQuery, check.CheckExpect, check.CheckRecovers, check.CheckFreshness}, name)
}

// conditional are the checks that a machine which stood still for some seconds can fail, too: what is due within a bound was
// late, a guard stopped the experiment, a fault's effect was not seen in time. All others never may.
func conditional(name string) bool {
	return slices.Contains([]string{check.CheckEvidence, check.CheckTraffic, check.CheckFaults, check.CheckGuard, check.CheckAlerts, check.CheckProgress, check.CheckTelemetry}, name)
}

// sound runs a script as it is and fails the test where a result is not a pass, but for the bounds of hurried checks. A run that
// did not come about, or that only conditional checks or missing evidence speak against, is said and done once more: that one
// counts. What was lost, invented or counted wrong is never put down to the machine.
func sound(t *testing.T, script string) *check.Judgement {
	t.Helper()
	j, against := runSound(t, script)
	if len(against) == 0 {
		return j
	}
	if j != nil && slices.ContainsFunc(against, func(r check.Result) bool { return r.Verdict == check.Fail && !conditional(r.Check) }) {
		t.FailNow()
	}
	t.Logf("%s is run once more: nothing says that the pipeline did wrong, and a machine that stood still could explain it", script)
	ensureEngine(t)
	if j, against = runSound(t, script); len(against) > 0 {
		t.FailNow()
	}
	return j
}

// runSound returns the judgement of one run, or nil if there is none, and the results that speak against it.
func runSound(t *testing.T, script string) (*check.Judgement, []check.Result) {
	t.Helper()
	began := time.Now()
	j, code, err := tryReal(t, script)
	if err != nil {
		t.Logf("AGAINST %s: %v", script, err)
		return nil, []check.Result{{}}
	}
	var against []check.Result
	missed := 0
	for _, r := range j.Results {
		switch {
		case r.Verdict == check.Pass:
		case hurried(r.Check):
			missed++
			t.Logf("missed on this machine: %s: %s", r.Name, r.Summary)
		default:
			against = append(against, r)
			t.Logf("AGAINST %s: %v %s: %s", script, r.Verdict, r.Name, r.Summary)
		}
	}
	if len(against) == 0 && (missed == 0 && code != exitPass || j.Ledger.Lost != 0 || j.Ledger.Accepted == 0) {
		t.Fatalf("%s: every check passes, the exit code is %d, the ledger %+v", script, code, j.Ledger)
	}
	t.Logf("%s: %v in %v", script, j.Verdict, time.Since(began).Round(time.Second))
	return j, against
}

// TestContainersBrokerLoss is the slice: the library's script on real Kafka and ZooKeeper, judged by the same checks.
func TestContainersBrokerLoss(t *testing.T) {
	j := sound(t, "broker-loss")
	if j.Ledger.Held < j.Ledger.Accepted {
		t.Errorf("ledger %+v", j.Ledger)
	}
	if len(j.Faults) != 1 || j.Faults[0].Observed < 0 || j.Faults[0].Back < 0 {
		t.Errorf("faults %+v", j.Faults)
	}
}

// restartScript kills a retriever between two snapshots: what the library's retriever-crash aims at a moment, which only the
// simulation can, this has to show without aiming.
const restartScript = "testdata/retriever_restart.star"

// TestContainersScenarios runs the scripts about storage and queries on real servers, one at a time and as they are.
func TestContainersScenarios(t *testing.T) {
	for _, name := range []string{
		"retriever-loss", "retriever-pair-loss", "zone-loss", "mysql-loss", "s3-errors", "rolling-restart", "heavy-tenant", "protection-spiral",
		"rebalance-storm", "zk-each-node",
	} {
		t.Run(name, func(t *testing.T) { sound(t, name) })
	}
}

// TestAtLengthScenarios runs the scripts that the ordinary test of real servers has no time for.
func TestAtLengthScenarios(t *testing.T) {
	for _, name := range []string{"quiet", "recreate", "shepherd-loss", "leader-isolated", restartScript, "shepherd-spot", "blinking", "cold-counters", "dataset-churn", "schema-explosion", "poison-record", "trigger-pause", "trigger-isolated",
		"broker-gray", "leader-pairs", "tail-idle", "partition-skew", "scale-partitions", "dogfood-overload", "ack-loss", "sampled-counts"} {
		t.Run(name, func(t *testing.T) { sound(t, name) })
	}
}

// saturatedScript kills a shepherd that is given more than it takes, five times.
const saturatedScript = "testdata/shepherd_saturated.star"

// TestAtLengthSaturatedShepherd: of what a saturated shepherd has answered as accepted nothing is lost when it is killed; where it
// answers before Kafka has, the same run loses what was on its way.
func TestAtLengthSaturatedShepherd(t *testing.T) {
	j, _ := runReal(t, saturatedScript)
	if j.Ledger.Lost != 0 || !j.Ledger.Judged || j.Verdict == check.Fail {
		t.Errorf("%v: ledger %+v", j.Verdict, j.Ledger)
	}
	if j.Ledger.Throttled == 0 || len(j.Faults) != 5 {
		t.Errorf("it was not saturated or not killed five times: ledger %+v, faults %+v", j.Ledger, j.Faults)
	}
	for i, f := range j.Faults {
		if f.Observed < 0 || f.Back < 0 {
			t.Errorf("kill %d was not seen: %+v", i+1, f)
		}
	}
	t.Logf("%d of %d accepted events lost over %d kills; %d throttled, %d unknown", j.Ledger.Lost, j.Ledger.Accepted, len(j.Faults), j.Ledger.Throttled, j.Ledger.Unknown)
	j, code := runReal(t, saturatedScript, "--planted", planted.AcceptBeforeKafka)
	if code != exitFail || j.Ledger.Lost == 0 {
		t.Errorf("with %s: exit %d, %v: ledger %+v", planted.AcceptBeforeKafka, code, j.Verdict, j.Ledger)
	}
	t.Logf("with %s: %d of %d lost", planted.AcceptBeforeKafka, j.Ledger.Lost, j.Ledger.Accepted)
}

// worldsAtOnce is how many of the runs with a planted bug go on at once: what they have to show does not depend on how quick
// the machine is.
const worldsAtOnce = 2

// plantedRun is a bug, what is run to show it, and the checks of which one has to fail.
type plantedRun struct {
	bug    string
	args   []string
	checks []string
}

// TestContainersPlantedBugs shows on real servers that the checks can fail. Nowhere here are the bugs that real servers show
// by luck only, and the simulation, which can strike at the moment that matters, always: C1 needs a retriever to die in the
// milliseconds between reading records and storing them, P11 a batch of which Kafka takes one part and not the other, P8 a
// dataset whose partitions are all led and followed by the two brokers that are drawn.
func TestContainersPlantedBugs(t *testing.T) {
	plantAll(t, []plantedRun{
		{planted.AcksLeader, []string{"leader-isolated"}, []string{check.CheckDurability}},
		// Small batches: at the moment of each kill a shepherd then has answered for some that are still in its buffer.
		{planted.AcceptBeforeKafka, []string{"shepherd-loss", "--set", "batch=5"}, []string{check.CheckDurability}},
		{planted.SameZonePair, []string{"zone-loss", "--set", "outage=5s"}, []string{check.CheckZones}},
		// Which of them sees it depends on which of the two comes back first.
		{planted.BootstrapFromPeer, []string{"retriever-pair-loss"}, []string{check.CheckDurability, check.CheckCommitted, check.CheckPairs, check.CheckQueries}},
		{planted.OldDataDropped, []string{"retriever-loss", "--set", "outage=5s"}, []string{check.CheckQueries}},
		{planted.CommitBeforeDurable, []string{"s3-errors"}, []string{check.CheckDurability, check.CheckCommitted}},
	})
}

// TestAtLengthPlantedBugs plants the others that real servers can show. P3 is not among them: Sarama, since its version 1.48,
// has one batch of a partition on its way whatever it is told, and sends it again before any other.
func TestAtLengthPlantedBugs(t *testing.T) {
	plantAll(t, []plantedRun{
		{planted.RetriesUnnumbered, []string{"ack-loss"}, []string{check.CheckLogOnce}},
		{planted.ManifestBeforeData, []string{"s3-errors"}, []string{check.CheckDurability, check.CheckCommitted}},
		{planted.TwoSnapshotWriters, []string{"s3-errors"}, []string{check.CheckCommitted}},
		{planted.RetentionTooEager, []string{"s3-errors"}, []string{check.CheckDurability, check.CheckCommitted}},
		{planted.NoDedup, []string{restartScript}, []string{check.CheckDuplicates}},
		{planted.StaleDatasetCache, []string{"recreate"}, []string{check.CheckQueries}},
		{planted.UnboundedQueue, []string{"protection-spiral"}, []string{check.CheckMemory}},
		{planted.ShedAllTenants, []string{"protection-spiral"}, []string{check.CheckSLOIngest}},
		{planted.SchemaWhileWaiting, []string{"schema-explosion"}, []string{"expect slow: ack.p99 < 1s"}},
		{planted.FirstZooKeeperOnly, []string{"zk-each-node"}, []string{check.CheckAlerts}},
		{planted.ZombieCommits, []string{"rebalance-storm"}, []string{check.CheckSLOCounts}},
		{planted.ProgressOnlyWithSLOs, []string{"cold-counters"}, []string{check.CheckProgress}},
		{planted.SeriesAssignment, []string{"tail-idle"}, []string{"expect steady: beagle.idle == 0"}},
		{planted.LivenessByHeartbeat, []string{"broker-gray"}, []string{check.CheckSLOIngest}},
		{planted.RangeAssignment, []string{"leader-pairs"}, []string{check.CheckProgress, "expect steady: beagle.lag < 200"}},
		{planted.PoisonRecord, []string{"poison-record"}, []string{check.CheckProgress, check.CheckRecovers}},
		{planted.SessionLossUnnoticed, []string{"trigger-isolated"}, []string{check.CheckFencing}},
		{planted.LeaderWithoutZnode, []string{"trigger-isolated"}, []string{check.CheckFencing}},
		{planted.LockWithoutFencing, []string{"trigger-pause"}, []string{check.CheckFencing}},
		{planted.NeverWidens, []string{"partition-skew"}, []string{"expect widened: kafka.busiest_share < 33% within 15s"}},
		{planted.NoNegativeCache, []string{"dataset-churn"}, []string{"expect catch-up: beagle.lag < 500 within 15s"}},
		{planted.SLOByProcessingTime, []string{"cold-counters"}, []string{check.CheckSLOCounts}},
		{planted.SampleRatesIgnored, []string{"sampled-counts"}, []string{check.CheckSLOCounts}},
		{planted.IdleNeverSealed, []string{"tail-idle"}, []string{check.CheckCommitted}},
		{planted.SkipsInSilence, []string{"poison-record"}, []string{check.CheckSkips}},
		{planted.UndrainedRebalance, []string{"rebalance-storm"}, []string{check.CheckSLOCounts}},
		{planted.TelemetryBlocks, []string{"dogfood-overload"}, []string{"expect slow: ack.p99 < 800ms", check.CheckTelemetry}},
	})
}

func plantAll(t *testing.T, list []plantedRun) {
	t.Helper()
	room := make(chan struct{}, worldsAtOnce)
	for _, c := range list {
		t.Run(c.bug, func(t *testing.T) {
			t.Parallel()
			room <- struct{}{}
			defer func() { <-room }()
			began := time.Now()
			j, code := runReal(t, append(c.args, "--planted", c.bug)...)
			caught := failed(j)
			if code != exitFail || !slices.ContainsFunc(c.checks, func(name string) bool { return slices.Contains(caught, name) }) {
				t.Errorf("%s under %s was not caught by any of %v: exit %d, failed %v: %s", c.bug, c.args[0], c.checks, code, caught, j.Reason)
			}
			t.Logf("%s under %s in %v: failed %v: %s", c.bug, c.args[0], time.Since(began).Round(time.Second), caught, j.Reason)
		})
	}
}

// TestContainersInterrupt ends a run as Ctrl-C does: the exit code says so, what was gathered is saved, nothing is left behind.
func TestContainersInterrupt(t *testing.T) {
	runs := t.TempDir()
	cmd := exec.Command(binary(t), "run", "quiet", "--world", "containers", "--runs", runs)
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(talk)
	began := false
	for lines.Scan() {
		t.Log(lines.Text())
		if !began && strings.Contains(lines.Text(), "phase steady began") {
			began = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); !began || exitCode(err) != exitInterrupted {
		t.Errorf("began %v, exit %v", began, err)
	}
	if _, err := os.Stat(filepath.Join(runs, "latest", "history.jsonl.zst")); err != nil {
		t.Errorf("what was gathered before the interrupt was not saved: %v", err)
	}
	left, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", "label=ratel.run").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(left)) > 0 {
		t.Errorf("left behind: %s %v", left, err)
	}
}
