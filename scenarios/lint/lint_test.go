package lint_test

import (
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/lint"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

func planOf(t *testing.T, set map[string]string) *plan.Plan {
	t.Helper()
	s, err := library.Find("scale-partitions")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLibraryIsClean: a linter that complains about what is meant is not read.
func TestLibraryIsClean(t *testing.T) {
	t.Parallel()
	all, err := library.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		p, err := s.Plan(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range lint.Lint(p) {
			t.Errorf("%s: %v", s.Name, found)
		}
	}
}

// TestMistakes: each of the incident's own mistakes is named, and where.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for mistake, want := range map[string][]string{
		"retrievers": {"have no retrievers by then", "only 13 get retrievers: partitions 53 to 55 do not (53 of 56 in all)"},
		"progress":   {"have no progress by then", "only 13 get a row of progress: partitions 53 to 55 do not (53 of 56 in all)"},
		"topic":      {`knows a topic "event_s"`, `did you mean "events"?`, "only 0 get a row of progress"},
		"latest":     {"never counted", "only 0 get a row of progress"},
	} {
		p := planOf(t, map[string]string{"partitions": "40", "to": "56", "missing": "3", "mistake": mistake})
		var lines []string
		for _, found := range lint.Lint(p) {
			if !strings.HasSuffix(found.Pos.File, ".star") || found.Pos.Line == 0 || found.Hint == "" {
				t.Errorf("%s: without a place or a hint: %v", mistake, found)
			}
			lines = append(lines, found.String())
		}
		for _, text := range want {
			if !strings.Contains(strings.Join(lines, "\n"), text) {
				t.Errorf("%s: nothing says %q:\n%s", mistake, text, strings.Join(lines, "\n"))
			}
		}
	}
}

// TestRegisteredMistakes: whatever mistake `ratel bugs` runs, the linter names before the run.
func TestRegisteredMistakes(t *testing.T) {
	t.Parallel()
	for _, m := range library.Mistakes() {
		s, err := library.Find(m.Scenario)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Plan(m.Set, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(lint.Lint(p)) == 0 {
			t.Errorf("%s (%s): nothing is said", m.ID, m.Name)
		}
	}
}

// TestOrder plants what the library's script has no parameter for.
func TestOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(p *plan.Plan, steps []plan.Step) []plan.Step
		want string
	}{
		"too early": {func(_ *plan.Plan, s []plan.Step) []plan.Step { return []plan.Step{s[1], s[0], s[2], s[3]} }, "partitions 10 to 13 do not exist by then"},
		"never":     {func(_ *plan.Plan, s []plan.Step) []plan.Step { return s[1:] }, "never exist"},
		"shrinks":   {func(_ *plan.Plan, s []plan.Step) []plan.Step { s[0].To = 8; return s }, "does not grow to 8"},
		"twice":     {func(_ *plan.Plan, s []plan.Step) []plan.Step { s[2].First = 9; return s }, "those of partition 9 run already"},
		"unused":    {func(_ *plan.Plan, s []plan.Step) []plan.Step { return s[:3] }, "only 0 are ever used"},
		"one zone":  {func(p *plan.Plan, s []plan.Step) []plan.Step { p.System.Zones = 1; return s }, "both retrievers of each new partition"},
		"unjudged":  {func(p *plan.Plan, s []plan.Step) []plan.Step { p.Checks = nil; return s }, "s.check(progress())"},
		"at the end": {func(p *plan.Plan, s []plan.Step) []plan.Step {
			p.Phases = p.Phases[:len(p.Phases)-1]
			return s
		}, "the run ends with the phase"},
	} {
		p := planOf(t, nil)
		for i := range p.Phases {
			if len(p.Phases[i].Runbook) > 0 {
				p.Phases[i].Runbook = c.edit(p, p.Phases[i].Runbook)
				break
			}
		}
		var lines []string
		for _, found := range lint.Lint(p) {
			lines = append(lines, found.String())
		}
		if !strings.Contains(strings.Join(lines, "\n"), c.want) {
			t.Errorf("%s: nothing says %q:\n%s", name, c.want, strings.Join(lines, "\n"))
		}
	}
}
