package sched_test

import (
	"context"
	"testing"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/rt/rttest"
)

// TestSimulation runs the shared table in the simulation, each row under several schedules, each schedule twice.
func TestSimulation(t *testing.T) {
	t.Parallel()
	rttest.Run(t, func(t *testing.T, main func(context.Context, *rttest.Host)) {
		for seed := range uint64(5) {
			first, second := runRow(t, seed, main), runRow(t, seed, main)
			if first != second {
				t.Errorf("seed %d: hashes %x and %x of two runs differ", seed, first, second)
			}
		}
	})
}

func runRow(t *testing.T, seed uint64, main func(context.Context, *rttest.Host)) uint64 {
	t.Helper()
	s := sched.New(seed)
	defer s.Close()
	p := s.Process("row")
	spawn := func(name string) (rt.Runtime, func()) {
		q := s.Process(name)
		return q, q.Kill
	}
	ended := false
	p.Foreground("main", func(ctx context.Context) {
		main(ctx, &rttest.Host{Runtime: p, Spawn: spawn})
		ended = true
		s.Stop()
	})
	if err := s.Run(0); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	} else if !ended {
		t.Errorf("seed %d: the row did not end", seed)
	}
	return s.Hash()
}
