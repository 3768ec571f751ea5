package main

import (
	"os"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

// The topology that docs/telemetry.md has a user start as an observer is one, and a small one.
func TestTheObserversTopology(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/observer.json")
	if err != nil {
		t.Fatal(err)
	}
	top, err := plan.DecodeTopology("observer.json", data, upDefault())
	if err != nil {
		t.Fatal(err)
	}
	roles := map[system.Role]int{}
	for _, n := range top.Nodes() {
		roles[n.Role]++
	}
	if len(roles) != 7 || len(top.Nodes()) != 7 {
		t.Errorf("it has %v, want 7 nodes of a role each", roles)
	}
	if top.Retriever.Retention == 0 {
		t.Error("it keeps telemetry for ever")
	}
}
