package engine_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system"
)

// hosted is a world on a machine of two processors, of which a quarter is taken since the run began and an eighth is stolen.
type hosted struct {
	*sim.World
	began time.Time
}

func (w *hosted) Machine(context.Context) (system.MachineUse, bool) {
	now := w.Runtime().Now()
	if w.began.IsZero() {
		w.began = now
	}
	const before = time.Hour // in which nothing was to do
	all := 2 * now.Sub(w.began)
	return system.MachineUse{All: before + all, Idle: before + all*3/4, Stolen: all / 8, Memory: 1 << 30, Available: 3 << 28}, true
}

// TestTheMachineIsSampled: samples say what the machine did since the one before, and a simulated run has none.
func TestTheMachineIsSampled(t *testing.T) {
	t.Parallel()
	p := planOf(t, `s.phase("calm", "5s")`)
	for _, w := range []engine.World{&hosted{World: sim.New(sim.Options{Seed: 5})}, sim.New(sim.Options{Seed: 5})} {
		ev, err := engine.Run(context.Background(), w, p, engine.Options{Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		_, measured := w.(*hosted)
		shares := 0
		for _, s := range ev.Samples {
			memory, ok := s.Values[evidence.MachineMemory]
			if ok != measured || ok && memory != 0.25 {
				t.Errorf("at %v: %v of the memory in use (%v)", s.At, memory, ok)
			}
			cpu, ok := s.Values[evidence.MachineCPU]
			if !ok {
				continue
			}
			shares++
			if stolen := s.Values[evidence.MachineStolen]; math.Abs(cpu-0.25) > 1e-6 || math.Abs(stolen-0.125) > 1e-6 {
				t.Errorf("at %v: cpu %v, stolen %v", s.At, cpu, stolen)
			}
		}
		if want := len(ev.Samples) - 1; measured && shares != want || !measured && shares != 0 {
			t.Errorf("%T: %d of %d samples have the processors' time", w, shares, len(ev.Samples))
		}
	}
}
