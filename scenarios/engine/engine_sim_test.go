package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/sim"
)

func TestQuiet(t *testing.T) {
	s, err := library.Find("broker-loss")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ev, err := engine.Run(context.Background(), sim.New(sim.Options{Seed: 1}), p, engine.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(began), ev.Run, len(ev.Ops), len(ev.Log), len(ev.Held), len(ev.Samples), ev.Gaps)
	for _, e := range ev.Timeline {
		if e.Kind != evidence.Announced {
			t.Log(e.At, e.Kind, e.Node, e.Detail)
		}
	}
	for _, s := range ev.Samples {
		t.Log(s.At, s.Values)
	}
}
