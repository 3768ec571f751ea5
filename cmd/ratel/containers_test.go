//go:build containers

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

// runReal runs a scenario on real servers and returns its judgement and exit code.
func runReal(t *testing.T, args ...string) (*check.Judgement, int) {
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
		t.Fatalf("no verdict was written: %v", err)
	}
	var j check.Judgement
	if err := json.Unmarshal(text, &j); err != nil {
		t.Fatal(err)
	}
	return &j, code
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

// TestContainersBrokerLoss is the slice: the library's script on real Kafka and ZooKeeper, judged by the same checks.
func TestContainersBrokerLoss(t *testing.T) {
	j, code := runReal(t, "broker-loss")
	if code != exitPass || j.Verdict != check.Pass {
		t.Errorf("exit %d, verdict %v: %s", code, j.Verdict, j.Reason)
	}
	if j.Ledger.Lost != 0 || j.Ledger.Held < j.Ledger.Accepted || j.Ledger.Accepted == 0 {
		t.Errorf("ledger %+v", j.Ledger)
	}
	if len(j.Faults) != 1 || j.Faults[0].Observed < 0 || j.Faults[0].Back < 0 {
		t.Errorf("faults %+v", j.Faults)
	}
}

// restartScript kills a retriever between two snapshots: what the library's retriever-crash aims at a moment, which only the
// simulation can, this has to show without aiming.
const restartScript = "testdata/retriever_restart.star"

// TestContainersScenarios runs the library's other scripts on real servers, one at a time and as they are, as a user does.
func TestContainersScenarios(t *testing.T) {
	for _, name := range []string{
		"retriever-loss", "retriever-pair-loss", "zone-loss", "mysql-loss", "s3-errors", "rolling-restart", "heavy-tenant", "protection-spiral", "recreate",
		"shepherd-loss", "leader-isolated", restartScript,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			j, code := runReal(t, name)
			if code != exitPass || j.Verdict != check.Pass {
				t.Errorf("exit %d, verdict %v: %s", code, j.Verdict, j.Reason)
			}
			if j.Ledger.Lost != 0 || j.Ledger.Accepted == 0 {
				t.Errorf("ledger %+v", j.Ledger)
			}
			t.Logf("%s: %v in %v", name, j.Verdict, time.Since(began).Round(time.Second))
		})
	}
}

// worldsAtOnce is how many of the runs with a planted bug go on at once: what they have to show does not depend on how quick
// the machine is.
const worldsAtOnce = 2

// TestContainersPlantedBugs shows on real servers that the checks can fail. Not here are the bugs that real servers show by
// luck only, and the simulation, which can strike at the moment that matters, always: C1 needs a retriever to die in the
// milliseconds between reading records and storing them, P11 a batch of which Kafka takes one part and not the other, P8 a
// dataset whose partitions are all led and followed by the two brokers that are drawn.
func TestContainersPlantedBugs(t *testing.T) {
	room := make(chan struct{}, worldsAtOnce)
	for _, c := range []struct {
		bug    string
		args   []string
		checks []string // one of them has to fail
	}{
		{planted.AcksLeader, []string{"leader-isolated"}, []string{check.CheckDurability}},
		// Small batches: at the moment of each kill a shepherd then has answered for some that are still in its buffer.
		{planted.AcceptBeforeKafka, []string{"shepherd-loss", "--set", "batch=5"}, []string{check.CheckDurability}},
		{planted.SameZonePair, []string{"zone-loss", "--set", "outage=5s"}, []string{check.CheckZones}},
		{planted.BootstrapFromPeer, []string{"retriever-pair-loss"}, []string{check.CheckDurability}},
		{planted.OldDataDropped, []string{"retriever-loss", "--set", "outage=5s"}, []string{check.CheckQueries}},
		{planted.CommitBeforeDurable, []string{"s3-errors", "--set", "outage=8s"}, []string{check.CheckDurability, check.CheckCommitted}},
		{planted.ManifestBeforeData, []string{"s3-errors", "--set", "outage=8s"}, []string{check.CheckDurability, check.CheckCommitted}},
		{planted.TwoSnapshotWriters, []string{"s3-errors", "--set", "outage=8s"}, []string{check.CheckCommitted}},
		{planted.RetentionTooEager, []string{"s3-errors", "--set", "outage=8s"}, []string{check.CheckDurability, check.CheckCommitted}},
		{planted.NoDedup, []string{restartScript}, []string{check.CheckDuplicates}},
		{planted.StaleDatasetCache, []string{"recreate"}, []string{check.CheckQueries}},
		{planted.UnboundedQueue, []string{"protection-spiral"}, []string{check.CheckMemory}},
		{planted.ShedAllTenants, []string{"protection-spiral"}, []string{check.CheckSLOIngest}},
	} {
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
