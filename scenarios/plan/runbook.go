package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// StepKind is what a step of a runbook does.
type StepKind string

// Kinds of steps.
const (
	// StepAddPartitions gives the topic more partitions, To in all.
	StepAddPartitions StepKind = "add_partitions"
	// StepProvisionProgress makes the rows of progress that beagle workers go on from.
	StepProvisionProgress StepKind = "provision_progress"
	// StepStartRetrievers starts the retrievers of partitions.
	StepStartRetrievers StepKind = "start_retrievers"
	// StepOpenPartitions lets every dataset's events go to the partitions too.
	StepOpenPartitions StepKind = "open_partitions"
)

// StepKinds lists all kinds of steps.
func StepKinds() []StepKind {
	return []StepKind{StepAddPartitions, StepProvisionProgress, StepStartRetrievers, StepOpenPartitions}
}

// Step is one step of a phase's runbook. Steps are done one after the other, in the order of the script.
type Step struct {
	Kind  StepKind `json:"kind"`
	Topic string   `json:"topic,omitempty"` // add_partitions, provision_progress
	// The partitions First to To-1; add_partitions has To alone.
	First int32    `json:"first,omitempty"`
	To    int32    `json:"to"`
	At    Duration `json:"at"` // not before this, after the phase's start
	Pos   Pos      `json:"pos"`
}

// String is the step as a script has it.
func (s Step) String() string {
	switch s.Kind {
	case StepAddPartitions:
		return fmt.Sprintf("%s(%d, topic = %q)", s.Kind, s.To, s.Topic)
	case StepProvisionProgress:
		return fmt.Sprintf("%s(%d, %d, topic = %q)", s.Kind, s.First, s.To, s.Topic)
	case StepStartRetrievers, StepOpenPartitions:
	}
	return fmt.Sprintf("%s(%d, %d)", s.Kind, s.First, s.To)
}

// Problems says what is wrong with a step, by itself. Whether a runbook is wise is for package lint to say.
func (s Step) Problems() Problems {
	f := &found{pos: s.Pos, step: string(s.Kind)}
	if !slices.Contains(StepKinds(), s.Kind) {
		f.add("kind", oneOf(string(s.Kind), texts(StepKinds())), "there is no step %q", s.Kind)
		return f.list
	}
	f.between("to", int(s.To), 1, MaxPartitions)
	if s.Kind == StepAddPartitions && s.First != 0 {
		f.add("first", "leave first out", "a topic's partitions are added at its end")
	}
	if s.First < 0 || s.Kind != StepAddPartitions && s.To > 0 && s.First >= s.To {
		f.add("first", "write such as "+string(s.Kind)+"(40, 56) for the partitions 40 to 55", "there are no partitions from %d to %d", s.First, s.To-1)
	}
	switch s.Kind {
	case StepAddPartitions, StepProvisionProgress:
		if s.Topic == "" || len(s.Topic) > maxTopicName {
			f.add("topic", fmt.Sprintf("write topic = %q", system.EventsTopic), "a topic's name has 1 to %d characters", maxTopicName)
		}
	case StepStartRetrievers, StepOpenPartitions:
		if s.Topic != "" {
			f.add("topic", "leave topic out", "it names no topic")
		}
	}
	if s.At < 0 {
		f.add("at", "", "at must not be negative, not %s", s.At)
	}
	return f.list
}

// maxTopicName is Kafka's bound.
const maxTopicName = 249

// steps says what of a phase's runbook is wrong.
func (ph Phase) steps(f *found) {
	if len(ph.Runbook) > MaxSteps {
		f.add("runbook", "", "%d steps are more than %d", len(ph.Runbook), MaxSteps)
	}
	var last Duration
	for _, s := range ph.Runbook {
		list := s.Problems()
		switch {
		case s.At >= ph.Length:
			list = append(list, Problem{Pos: s.Pos, Field: "at", What: fmt.Sprintf("%s: it begins %s after the start of a phase of %s", s.Kind, s.At, ph.Length), Hint: "write an earlier moment"})
		case s.At < last:
			list = append(list, Problem{Pos: s.Pos, Field: "at", What: fmt.Sprintf("%s: it is to begin at %s, before the step above it at %s", s.Kind, s.At, last), Hint: "steps are done in the order of the script"})
		}
		last = max(last, s.At)
		f.list = append(f.list, list...)
	}
}

// GrowsTo is how many partitions any step of the plan speaks of, if those are more than there are at the start; else 0.
func (p *Plan) GrowsTo() int32 {
	var most int32
	for _, ph := range p.Phases {
		for _, s := range ph.Runbook {
			most = max(most, s.To)
		}
	}
	if most <= p.System.Kafka.Partitions {
		return 0
	}
	return most
}

// TimedStep is a step with when it begins at the earliest, counted from the run's start.
type TimedStep struct {
	Step

	Phase string
	Index int // in its phase
	After time.Duration
}

// ID names the step: its phase and its place there.
func (s TimedStep) ID() string { return FaultID(s.Phase, s.Index) }

// Steps lists the steps of all phases in order.
func (p *Plan) Steps() []TimedStep {
	var list []TimedStep
	var start time.Duration
	for _, ph := range p.Phases {
		for i, s := range ph.Runbook {
			list = append(list, TimedStep{Step: s, Phase: ph.Name, Index: i, After: start + time.Duration(s.At)})
		}
		start += time.Duration(ph.Length)
	}
	return list
}
