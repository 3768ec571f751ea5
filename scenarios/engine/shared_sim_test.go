package engine_test

import (
	"context"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/sim"
)

// TestStoredObjectsAreNotChanged: the simulated object store hands out its own memory, so whoever reads an object must leave it as it is. The scripts have
// retrievers that load and mend segments from it, query nodes that scan them, and faults in between.
func TestStoredObjectsAreNotChanged(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"broker-loss", "retriever-crash", "recreate", "s3-errors"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, err := library.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := script.Plan(nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			w := sim.New(sim.Options{Seed: 1})
			if _, err := engine.Run(context.Background(), w, p, engine.Options{Seed: 1}); err != nil {
				t.Fatal(err)
			}
			if changed := w.ChangedObjects(); len(changed) > 0 {
				t.Errorf("changed: %q", changed)
			}
		})
	}
}
