package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/check"
)

// trigger is a stderr that calls f when something that holds mark is written to it.
type trigger struct {
	mu   sync.Mutex
	text bytes.Buffer
	mark string
	f    func()
}

func (w *trigger) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(p), w.mark) {
		w.f()
	}
	return w.text.Write(p)
}

// interrupted runs a command whose context ends as with Ctrl-C when mark is told.
func interrupted(t *testing.T, mark string, args ...string) (code int, out, talk string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout bytes.Buffer
	stderr := &trigger{mark: mark, f: cancel}
	c := &cli{out: &sink{w: &stdout}, talk: stderr, build: "abc1234"}
	code = c.main(ctx, args)
	return code, stdout.String(), stderr.text.String()
}

func TestAnInterruptedRunIsSavedAndInconclusive(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	code, out, talk := interrupted(t, "phase outage began", "run", "broker-loss", "--set", "rate=200", "--runs", runs)
	if code != exitInterrupted || !strings.HasPrefix(out, "INCONCLUSIVE") || !strings.Contains(out, "CUT SHORT") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	if !strings.Contains(talk, "interrupted: the run was cut short") || strings.Contains(talk+out, "context canceled") {
		t.Errorf("stderr %s", talk)
	}
	latest := filepath.Join(runs, "latest")
	if _, err := os.Stat(filepath.Join(latest, "report.html")); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitInconclusive, "INCONCLUSIVE", []string{"check", latest}},
		{exitData, "nothing to compare it with", []string{"replay", latest, "--quiet"}},
	} {
		code, out, talk := interrupted(t, "\x00", c.args...)
		if code != c.code || !strings.Contains(out+talk, c.says) || strings.Contains(talk, "defect") {
			t.Errorf("%v: exit %d\n%s%s", c.args, code, out, talk)
		}
	}
}

func TestAnInterruptSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	code, out, talk := interrupted(t, "in the sim world", "run", "quiet", "--set", "rate=50", "--runs", runs)
	if code != exitInterrupted || out != "" || !strings.Contains(talk, "interrupted: before the load began, so there is nothing to save or to judge\n") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	if left, err := os.ReadDir(runs); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
	if code, out, talk := interrupted(t, "\x00", "run", "quiet", "--set", "rate=50", "--runs", runs, "--quiet"); code != exitPass {
		t.Fatal(code, out, talk)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	c := &cli{out: &sink{w: &stdout}, talk: &stderr, build: "abc1234"}
	if code := c.main(ctx, []string{"replay", filepath.Join(runs, "latest"), "--quiet"}); code != exitInterrupted || !strings.Contains(stderr.String(), "interrupted: before there was anything to compare\n") {
		t.Errorf("exit %d\n%s%s", code, stdout.Bytes(), stderr.Bytes())
	}
}

func TestAnInterruptedHuntPrintsWhatItFound(t *testing.T) {
	t.Parallel()
	code, out, talk := interrupted(t, "clean seeds of", "bugs", "--only", "K1", "--scenario", "leader-isolated", "--seeds", "3")
	if code != exitInterrupted || !strings.Contains(out, "K1 acks=1") || !strings.Contains(talk, "interrupted: 1 pairs") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

func TestAnInterruptedExplorationIsNoPass(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	c := &cli{out: &sink{w: &stdout}, talk: &stderr, build: "abc1234"}
	code := c.main(ctx, []string{"explore", "quiet", "--seeds", "50", "--format", "json", "--quiet"})
	var res exploration
	if err := json.Unmarshal(stdout.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if code != exitInterrupted || !res.Interrupted || res.Verdict != check.Inconclusive.String() || res.Asked != 50 || res.Seeds == 50 {
		t.Errorf("exit %d, %+v\n%s", code, res, stderr.Bytes())
	}
}

func TestAReplayByAnotherBuildSaysSo(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	run := func(build string, args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		c := &cli{out: &sink{w: &stdout}, talk: &stderr, build: build}
		return c.main(context.Background(), args), stdout.String() + stderr.String()
	}
	if code, out := run("abc1234", "run", "quiet", "--set", "rate=50", "--runs", runs, "--quiet"); code != exitPass {
		t.Fatal(code, out)
	}
	latest := filepath.Join(runs, "latest")
	if code, out := run("def5678", "replay", latest, "--quiet"); code != exitPass || !strings.Contains(out, "made by build abc1234, and this is build def5678") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := run("abc1234", "replay", latest, "--quiet"); code != exitPass || strings.Contains(out, "although") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestACommandThatIsPrintedCanBePasted(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"outage=5s": "outage=5s", "./my scenario.star": "'./my scenario.star'", "": "''", "a'b": `'a'\''b'`, "$(x)": "'$(x)'", "ü": "'ü'",
	} {
		if got := quoted(arg); got != want {
			t.Errorf("%q is written %s, want %s", arg, got, want)
		}
	}
}
