//go:build containers

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/system/planted"
)

// guardOf is the result of the run's guard.
func guardOf(t *testing.T, j *check.Judgement) *check.Result {
	t.Helper()
	i := slices.IndexFunc(j.Results, func(r check.Result) bool { return r.Check == check.CheckGuard })
	if i < 0 || len(j.Guards) != 1 {
		t.Fatalf("there is no guard: %+v", j.Guards)
	}
	return &j.Results[i]
}

// TestContainersGuardAborts isolates two of three real brokers: the run stops itself, heals, and never begins the second fault.
func TestContainersGuardAborts(t *testing.T) {
	j, code := runReal(t, "testdata/guard_abort.star")
	r := guardOf(t, j)
	if code != exitFail || len(r.Findings) != 1 || !strings.Contains(r.Summary, "the experiment was aborted") {
		t.Fatalf("exit %d: %+v", code, r)
	}
	stopped := j.Guards[0].StoppedAt
	for i := range j.Faults {
		f := &j.Faults[i]
		switch {
		case f.Phase == "second" && f.Injected != check.None:
			t.Errorf("injected after the abort: %+v", f)
		case f.Phase == "outage" && (f.Healed < stopped || f.Healed > stopped+35*time.Second || f.Back == check.None):
			t.Errorf("not healed by the abort at %v: %+v", stopped, f)
		}
	}
	for _, r := range j.Results {
		// What is accepted stays true of a run that stopped, and so does what follows a heal.
		if r.Check == check.CheckDurability && r.Verdict != check.Pass || r.Check == check.CheckRecovers && r.Verdict != check.Pass {
			t.Errorf("%v %s: %s", r.Verdict, r.Name, r.Summary)
		}
	}
}

// TestAtLengthGuardKeepsTheGateClosed plants a bug that uses up the error budget before any fault.
func TestAtLengthGuardKeepsTheGateClosed(t *testing.T) {
	j, code := runReal(t, "broker-loss", "--planted", planted.RefusesAShare)
	r := guardOf(t, j)
	if r.Verdict != check.Inconclusive || !strings.Contains(r.Summary, "the experiment was not started, because") || j.Guards[0].Opened {
		t.Errorf("%+v", r)
	}
	for i := range j.Faults {
		if j.Faults[i].Injected != check.None {
			t.Errorf("injected: %+v", j.Faults[i])
		}
	}
	// The steady state fails on its own, too.
	if code != exitFail || !slices.Contains(failed(j), check.CheckSLOIngest) {
		t.Errorf("exit %d, failed %v: %s", code, failed(j), j.Reason)
	}
}
