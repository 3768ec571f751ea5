package explore

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/planted"
)

// Scenario is a named source of plans.
type Scenario struct {
	Name string
	Plan func(seed uint64) (*plan.Plan, error)
}

// Hunt is a planted bug, or a mistake of the plan itself, under one scenario: whether a check caught it, and after how much.
type Hunt struct {
	Bug      planted.Bug // the zero Bug for a mistake of the plan
	Scenario string
	// Caught says that a check failed. Check, Seed and Reason tell which, in which seed and why.
	Caught bool
	Check  string
	Seed   uint64
	Reason string
	// Seeds is how many seeds were run, Virtual their virtual time, Wall the real time they took together.
	Seeds   int
	Virtual time.Duration
	Wall    time.Duration
	// Err is set when the scenario could not be run with this bug.
	Err error
}

// Find plants one bug and runs seeds from 1 on until a check fails or count seeds have passed.
func Find(ctx context.Context, bug planted.Bug, s Scenario, count int, build string) Hunt {
	set, err := planted.Parse(bug.ID)
	if err != nil {
		return Hunt{Bug: bug, Scenario: s.Name, Err: err}
	}
	h := find(ctx, set, s, count, build)
	h.Bug = bug
	return h
}

// FindMistake runs seeds of a scenario whose plan is wrong from 1 on until a check fails or count seeds have passed.
func FindMistake(ctx context.Context, s Scenario, count int, build string) Hunt {
	return find(ctx, planted.Set{}, s, count, build)
}

func find(ctx context.Context, set planted.Set, s Scenario, count int, build string) Hunt {
	h := Hunt{Scenario: s.Name}
	began := time.Now()
	// One worker: "seeds until caught" must not depend on how many cores there are.
	Seeds(ctx, Options{Plan: s.Plan, From: 1, Count: count, Workers: 1, Planted: set, Build: build, Each: func(o Outcome) bool {
		h.Seeds++
		h.Virtual += o.Virtual
		if o.Err != nil {
			h.Err = o.Err
			return false
		}
		if o.Verdict != check.Fail {
			return true
		}
		h.Caught, h.Check, h.Seed, h.Reason = true, o.Caught[0], o.Seed, o.Reason
		return false
	}})
	h.Wall = time.Since(began)
	return h
}

// Alarms is how often the system as it should be was called anything but a pass.
type Alarms struct {
	Scenario string
	Seeds    int
	False    []Outcome // the seeds that did not pass
	Virtual  time.Duration
	Wall     time.Duration
}

// FalseAlarms runs clean seeds and keeps those that did not pass.
func FalseAlarms(ctx context.Context, s Scenario, count int, build string) Alarms {
	a := Alarms{Scenario: s.Name}
	began := time.Now()
	for _, o := range Seeds(ctx, Options{Plan: s.Plan, From: 1, Count: count, Build: build}) {
		a.Seeds++
		a.Virtual += o.Virtual
		if o.Verdict != check.Pass {
			a.False = append(a.False, o)
		}
	}
	a.Wall = time.Since(began)
	return a
}
