// Package lint reads a plan as a reviewer does: it names what is possible, and almost certainly not meant. It needs no run.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/nearest"
)

// Lint lists what is probably a mistake in a valid plan, in order of place: in its runbook, and in the names of columns that its
// objectives and alerts read.
func Lint(p *plan.Plan) []plan.Problem {
	steps := p.Steps()
	l := &linter{p: p, t: &p.System, have: p.System.Kafka.Partitions, rows: map[int32]bool{}, served: map[int32]bool{}, opened: map[int32]bool{}}
	l.columns()
	for part := range l.have {
		l.rows[part], l.served[part], l.opened[part] = true, true, true
	}
	for i := range steps {
		l.step(steps, i)
	}
	if l.added != nil {
		l.coverage()
		l.system()
		l.judged(steps)
	}
	slices.SortStableFunc(l.found, func(a, b plan.Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return l.found
}

// linter follows a runbook as it would be done.
type linter struct {
	p     *plan.Plan
	t     *system.Topology
	found []plan.Problem

	have                 int32      // partitions of the events topic
	added                *plan.Step // that made them more, the last
	rows, served, opened map[int32]bool
	started              *plan.Step // retrievers, the last
	provisioned          *plan.Step // progress, the last
}

func (l *linter) add(pos plan.Pos, hint, format string, args ...any) {
	l.found = append(l.found, plan.Problem{Pos: pos, What: fmt.Sprintf(format, args...), Hint: hint})
}

// counts says whether anybody counts the partitions.
func (l *linter) counts() bool { return l.t.Beagles > 0 }

func (l *linter) step(steps []plan.TimedStep, i int) {
	s := &steps[i].Step
	if s.Topic != "" && s.Topic != system.EventsTopic {
		what := fmt.Sprintf("%s: nothing else in the plan knows a topic %q", s.Kind, s.Topic)
		if s.Kind == plan.StepProvisionProgress {
			what += ", so nobody will look for these rows"
		}
		l.add(s.Pos, nearest.Suggest(s.Topic, []string{system.EventsTopic}), "%s", what)
		return
	}
	if s.Kind == plan.StepAddPartitions {
		if s.To <= l.have {
			l.add(s.Pos, "partitions cannot be taken away", "add_partitions: the topic has %d partitions by then, so it does not grow to %d", l.have, s.To)
			return
		}
		l.have, l.added = s.To, s
		return
	}
	l.exist(steps, i)
	switch s.Kind {
	case plan.StepProvisionProgress:
		l.provisioned = s
		mark(l.rows, s)
	case plan.StepStartRetrievers:
		if again := listed(s.First, s.To, func(p int32) bool { return l.served[p] }); again != "" {
			l.add(s.Pos, "leave them out", "start_retrievers: those of %s run already", again)
		}
		l.started = s
		mark(l.served, s)
	case plan.StepOpenPartitions:
		if bare := listed(s.First, s.To, func(p int32) bool { return !l.served[p] }); bare != "" {
			l.add(s.Pos, "start their retrievers before", "open_partitions: %s have no retrievers by then, so what is sent there is visible to nobody", bare)
		}
		if bare := listed(s.First, s.To, func(p int32) bool { return !l.rows[p] }); bare != "" && l.counts() && l.t.Beagle.MissingProgress == beagle.MissingWait {
			l.add(s.Pos, "provision it before", "open_partitions: %s have no progress by then, so what is sent there is not counted", bare)
		}
		mark(l.opened, s)
	case plan.StepAddPartitions:
	}
}

// exist tells steps about partitions that the topic does not have then.
func (l *linter) exist(steps []plan.TimedStep, i int) {
	s := &steps[i].Step
	none := listed(s.First, s.To, func(p int32) bool { return p >= l.have })
	if none == "" {
		return
	}
	for _, later := range steps[i+1:] {
		if later.Kind == plan.StepAddPartitions && later.To >= s.To {
			l.add(s.Pos, fmt.Sprintf("do it after the step at line %d, which adds them", later.Pos.Line), "%s: %s do not exist by then", s.Kind, none)
			return
		}
	}
	l.add(s.Pos, "write add_partitions before, or smaller numbers", "%s: %s never exist: the topic has %d partitions", s.Kind, none, l.have)
}

// coverage tells what was added and forgotten.
func (l *linter) coverage() {
	first, total := l.t.Kafka.Partitions, l.have-l.t.Kafka.Partitions
	forgotten := func(have map[int32]bool, by *plan.Step, step plan.StepKind, what string) {
		var n int32
		for p := first; p < l.have; p++ {
			if !have[p] {
				n++
			}
		}
		if n == 0 {
			return
		}
		pos := l.added.Pos
		if by != nil {
			pos = by.Pos
		}
		l.add(pos, fmt.Sprintf("write %s(%d, %d)", step, first, l.have), "of the %d partitions that are added, only %d %s: %s do not (%d of %d in all)", total, total-n, what,
			listed(first, l.have, func(p int32) bool { return !have[p] }), l.have-n, l.have)
	}
	forgotten(l.served, l.started, plan.StepStartRetrievers, "get retrievers")
	forgotten(l.opened, nil, plan.StepOpenPartitions, "are ever used")
	if l.counts() && l.t.Beagle.MissingProgress != "" {
		forgotten(l.rows, l.provisioned, plan.StepProvisionProgress, "get a row of progress")
	}
}

// system tells what of the set-up does not bear a growing topic.
func (l *linter) system() {
	if l.counts() && l.t.Beagle.MissingProgress == beagle.MissingLatest {
		l.add(l.added.Pos, `write beagle(missing_progress = "wait"), or leave it out`,
			"add_partitions: workers begin to count a partition without progress at its end, so what is sent before they notice it is never counted")
	}
	if l.t.Replicas > 1 && l.t.Zones < 2 {
		l.add(l.added.Pos, "write zones = 2 or more", "add_partitions: there is one zone, so both retrievers of each new partition are in it")
	}
	if l.t.Replicas < 2 {
		l.add(l.added.Pos, "write replicas = 2", "add_partitions: each new partition has one retriever alone")
	}
}

// judged tells what would go wrong without anybody noticing.
func (l *linter) judged(steps []plan.TimedStep) {
	asked := func(name string) bool {
		return slices.ContainsFunc(l.p.Checks, func(c plan.Check) bool { return c.Name == name })
	}
	miss := func(name, why string) {
		if !asked(name) {
			l.add(l.added.Pos, fmt.Sprintf("write s.check(%s())", name), "add_partitions: nothing judges whether %s", why)
		}
	}
	miss(plan.CheckCoverage, "each new partition has its retrievers and is used")
	miss(plan.CheckDurability, "what is sent to the new partitions is stored")
	if l.counts() {
		miss(plan.CheckProgress, "the new partitions are counted, also empty ones and those without objectives")
	}
	if len(l.p.Objectives) > 0 {
		miss(plan.CheckSLOCounts, "what is sent to the new partitions is counted")
	}
	last := steps[len(steps)-1]
	if l.p.Phases[len(l.p.Phases)-1].Name == last.Phase {
		l.add(last.Pos, "add a phase after it", "%s: the run ends with the phase of the runbook's last step, so how the larger topic does is hardly seen", last.Kind)
	}
}

func mark(set map[int32]bool, s *plan.Step) {
	for p := s.First; p < s.To; p++ {
		set[p] = true
	}
}

// listed names the partitions of a range for which is holds, runs of them in one; "" if there are none.
func listed(first, to int32, is func(int32) bool) string {
	var parts []string
	n := 0
	for p := first; p < to; p++ {
		if !is(p) {
			continue
		}
		end := p
		for end+1 < to && is(end+1) {
			end++
		}
		n += int(end-p) + 1
		if end == p {
			parts = append(parts, fmt.Sprint(p))
		} else {
			parts = append(parts, fmt.Sprintf("%d to %d", p, end))
		}
		p = end
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "partition " + parts[0]
	}
	return "partitions " + strings.Join(parts, ", ")
}
