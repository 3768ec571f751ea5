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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
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

func verdictOf(t *testing.T, j *check.Judgement, name string) check.Verdict {
	t.Helper()
	for _, r := range j.Results {
		if r.Check == name {
			return r.Verdict
		}
	}
	t.Fatalf("the judgement has no %s", name)
	return check.Inconclusive
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

// TestContainersScenarios runs the library's scripts about storage and queries on real servers, as a user does.
func TestContainersScenarios(t *testing.T) {
	for _, name := range []string{
		"retriever-loss", "retriever-pair-loss", "zone-loss", "mysql-loss", "s3-errors", "rolling-restart", "heavy-tenant", "protection-spiral", "recreate",
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

// TestContainersPlantedBugs shows on real servers that the checks can fail: acks=1 loses what an isolated leader took, and an
// answer given before Kafka's is lost with the shepherd that gave it.
func TestContainersPlantedBugs(t *testing.T) {
	for _, c := range []struct {
		bug  string
		args []string
	}{
		{"K1", []string{"leader-isolated"}},
		// Small batches: at the moment of each kill a shepherd then has answered for some that are still in its buffer.
		{"P7", []string{"shepherd-loss", "--set", "batch=5"}},
	} {
		t.Run(c.bug, func(t *testing.T) {
			j, code := runReal(t, append(c.args, "--planted", c.bug)...)
			if code != exitFail || verdictOf(t, j, check.CheckDurability) != check.Fail || j.Ledger.Lost == 0 {
				t.Errorf("%s under %s was not caught: exit %d, %s, ledger %+v", c.bug, c.args[0], code, j.Reason, j.Ledger)
			}
		})
	}
	for _, c := range []struct{ bug, scenario string }{
		{"A7", "zone-loss"}, {"A6", "retriever-pair-loss"}, {"D7", "retriever-loss"}, {"C2", "s3-errors"}, {"P10", "recreate"}, {"A1", "protection-spiral"},
	} {
		t.Run(c.bug, func(t *testing.T) {
			j, code := runReal(t, c.scenario, "--planted", c.bug)
			if code != exitFail || j.Verdict != check.Fail {
				t.Errorf("%s under %s was not caught: exit %d, %v: %s", c.bug, c.scenario, code, j.Verdict, j.Reason)
			}
			t.Logf("%s under %s: %s", c.bug, c.scenario, j.Reason)
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
