package check

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// TestTheMachineIsToldByPhase: what was measured of the machine is summed up for each phase, and changes no verdict.
func TestTheMachineIsToldByPhase(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	want := Judge(e).Verdict
	for _, p := range Judge(e).Phases {
		if p.Machine != nil {
			t.Fatalf("phase %s: %+v of a machine that nobody measured", p.Name, p.Machine)
		}
	}
	phases := Judge(e).Phases
	quiet, busy := phases[0], phases[1]
	setSamples(e, 0, e.Run.Length, evidence.MachineCPU, 0.5)
	setSamples(e, 0, e.Run.Length, evidence.MachineStolen, 0)
	setSamples(e, 0, e.Run.Length, evidence.MachineMemory, 0.25)
	setSamples(e, busy.Begin+1, busy.End, evidence.MachineCPU, 0.97)
	setSamples(e, busy.Begin+1, busy.End, evidence.MachineStolen, 0.12)
	setSamples(e, busy.End, busy.End, evidence.MachineMemory, 0.96)
	j := Judge(e)
	if j.Verdict != want {
		t.Errorf("verdict %s, and %s where nobody measured the machine", j.Verdict, want)
	}
	calm, full := j.Phases[0].Machine, j.Phases[1].Machine
	if calm == nil || full == nil {
		t.Fatalf("%+v and %+v", calm, full)
	}
	if calm.TooMuch != "" || calm.Full != 0 || math.Abs(calm.CPU-0.5) > 1e-9 || calm.Samples != int64((quiet.End-quiet.Begin)/sec) {
		t.Errorf("a machine with half of its processors idle: %+v", calm)
	}
	const much = "its processors had nothing left in 100% of the seconds, 12% of its processor time went to other machines, 96% of its memory was in use"
	if full.TooMuch != much || full.Full != 1 {
		t.Errorf("a full machine: %+v, expected %q", full, much)
	}
	for _, name := range []string{evidence.MachineCPU, evidence.MachineStolen, evidence.MachineMemory} {
		found := false
		for _, c := range j.Series.Columns {
			found = found || c.Name == name
		}
		if !found {
			t.Errorf("no series of %s", name)
		}
	}
}

// TestFewSecondsSayNothingOfAMachine: what two samples show may be the start of a process.
func TestFewSecondsSayNothingOfAMachine(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	setSamples(e, sec, 2*sec, evidence.MachineCPU, 1)
	if m := Judge(e).Phases[0].Machine; m == nil || m.Samples != 2 || m.TooMuch != "" {
		t.Errorf("%+v of two samples", m)
	}
}

// TestDamagedMachineSamples: whatever numbers saved samples have, the judgement can be written.
func TestDamagedMachineSamples(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1e308, 1e308} {
		e := defaultShape().history()
		for _, name := range []string{evidence.MachineCPU, evidence.MachineStolen, evidence.MachineMemory} {
			setSamples(e, 0, e.Run.Length, name, v)
		}
		j := Judge(e)
		for _, p := range j.Phases {
			if m := p.Machine; m != nil && !(m.CPU >= 0 && m.CPU <= 1 && m.Stolen >= 0 && m.Stolen <= 1 && m.Memory >= 0 && m.Memory <= 1) {
				t.Errorf("%v: %+v", v, m)
			}
		}
		if _, err := json.Marshal(j.Phases); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
}
