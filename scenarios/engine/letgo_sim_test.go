package engine_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/soak"
)

// TestAFinishedWorldIsLetGo: what is left of a simulated run is its evidence. The first collection frees the rest: what only
// the second frees counts as live in the first, so that the next comes that much later, with that much more, and exploring
// takes gigabytes. It is not parallel, for it looks at the whole heap.
func TestAFinishedWorldIsLetGo(t *testing.T) {
	const much = 2 << 20 // what pools have kept that are no part of a world is below; a world is many times that
	for _, overHTTP := range []bool{false, true} {
		restore := debug.SetGCPercent(-1)
		ev := finished(t, overHTTP)
		debug.SetGCPercent(restore)
		first, second := soak.LiveHeap(), soak.LiveHeap()
		if first > second+much {
			t.Errorf("over HTTP %v: of %d bytes that the first collection after a run left, the second freed %d", overHTTP, first, first-second)
		}
		runtime.KeepAlive(ev)
	}
}

func finished(t *testing.T, overHTTP bool) *evidence.Evidence {
	t.Helper()
	p, err := find(t, "double-failover").Plan(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := engine.Run(context.Background(), sim.New(sim.Options{Seed: 1, OverHTTP: overHTTP}), p, engine.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}
