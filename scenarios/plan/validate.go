package plan

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/nearest"
)

// Worlds in which a plan may run.
const (
	WorldSim        = "sim"
	WorldContainers = "containers"
)

// namePattern is for names that become parts of fault IDs, file names and test names.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

const nameHint = "use lower-case letters, digits, - and _"

// Validate checks everything that can be known before the run. Its error is [Problems] and lists all that was found.
func (p *Plan) Validate() error {
	f := &found{pos: p.Pos}
	if p.Version != Version {
		f.add("version", "", "plan format version %d is not %d", p.Version, Version)
	}
	if !namePattern.MatchString(p.Scenario) {
		f.add("scenario", nameHint, "the scenario's name %q is not usable", p.Scenario)
	}
	topology := TopologyProblems(p.System)
	f.list = append(f.list, at(p.Pos, topology)...)
	p.traffic(f)
	p.readers(f)
	p.alerting(f)
	p.phases(f, len(topology) == 0)
	p.guards(f)
	p.checks(f)
	p.retention(f)
	p.worlds(f)
	if len(f.list) > 0 {
		return f.list
	}
	return nil
}

// at gives problems a place if they have none.
func at(pos Pos, list Problems) Problems {
	for i := range list {
		if list[i].Pos == (Pos{}) {
			list[i].Pos = pos
		}
	}
	return list
}

func (p *Plan) traffic(f *found) {
	if len(p.Traffic) == 0 {
		f.add("traffic", `write s.traffic("steady", events_per_second = 1000)`, "there is no traffic, so nothing could be lost or late")
	}
	if len(p.Traffic) > MaxTraffic {
		f.add("traffic", "", "%d loads are more than %d", len(p.Traffic), MaxTraffic)
	}
	seen := map[string]bool{}
	for _, t := range p.Traffic {
		f.list = append(f.list, t.Problems()...)
		if seen[t.Name] {
			f.list = append(f.list, Problem{Pos: t.Pos, Field: "name", What: fmt.Sprintf("traffic %q is there twice", t.Name), Hint: "give each its own name"})
		}
		seen[t.Name] = true
		if !slices.ContainsFunc(p.System.Teams, func(team system.Team) bool { return team.Name == t.Team }) {
			f.list = append(f.list, Problem{Pos: t.Pos, Field: "team", What: fmt.Sprintf("traffic %q: there is no team %q", t.Name, t.Team), Hint: oneOf(t.Team, p.teamNames())})
		}
	}
}

func (p *Plan) teamNames() []string {
	names := make([]string, len(p.System.Teams))
	for i := range p.System.Teams {
		names[i] = p.System.Teams[i].Name
	}
	return names
}

func (p *Plan) readers(f *found) {
	if len(p.Readers) > MaxReaders {
		f.add("readers", "", "%d readers are more than %d", len(p.Readers), MaxReaders)
	}
	loads := make([]string, len(p.Traffic))
	for i := range p.Traffic {
		loads[i] = p.Traffic[i].Name
	}
	seen := map[string]bool{}
	for _, r := range p.Readers {
		f.list = append(f.list, r.Problems()...)
		if seen[r.Name] {
			f.list = append(f.list, Problem{Pos: r.Pos, Field: "name", What: fmt.Sprintf("readers %q are there twice", r.Name), Hint: "give each their own name"})
		}
		seen[r.Name] = true
		if !slices.Contains(loads, r.Traffic) {
			f.list = append(f.list, Problem{Pos: r.Pos, Field: "traffic", What: fmt.Sprintf("readers %q: there is no traffic %q", r.Name, r.Traffic), Hint: oneOf(r.Traffic, loads)})
		}
	}
}

// phases checks targets only against a topology that is well: else every number of nodes is possible.
func (p *Plan) phases(f *found, targets bool) {
	if len(p.Phases) == 0 {
		f.add("phases", `write s.phase("steady", "30s")`, "there is no phase, so the run would have no length")
	}
	if len(p.Phases) > MaxPhases {
		f.add("phases", "", "%d phases are more than %d", len(p.Phases), MaxPhases)
	}
	if p.Length() > MaxLength {
		f.add("phases", "", "all phases together last %s, longer than %s", Duration(p.Length()), Duration(MaxLength))
	}
	seen := map[string]bool{}
	for _, ph := range p.Phases {
		f.list = append(f.list, ph.Problems()...)
		for i, ft := range ph.Faults {
			if !targets {
				break
			}
			f.list = append(f.list, ft.targets(p.System, fmt.Sprintf("fault %s", FaultID(ph.Name, i)))...)
		}
		if seen[ph.Name] {
			f.list = append(f.list, Problem{Pos: ph.Pos, Field: "name", What: fmt.Sprintf("phase %q is there twice", ph.Name), Hint: "give each its own name"})
		}
		seen[ph.Name] = true
	}
	if later := p.GrowsTo(); p.System.Kafka.PartitionsLater != later {
		f.add("partitions_later", "", "kafka: partitions_later is %d, and the runbook's steps speak of up to %d partitions", p.System.Kafka.PartitionsLater, later)
	}
	p.gone(f)
}

// gone finds faults on a named node that an earlier fault has taken away for good or for that time.
func (p *Plan) gone(f *found) {
	type away struct {
		pos         Pos
		from, until time.Duration
	}
	taken := map[string][]away{}
	var start time.Duration
	for _, ph := range p.Phases {
		end := start + time.Duration(ph.Length)
		for _, ft := range ph.Faults {
			if ft.Target.Kind != SelectNode || ft.Kind == system.FaultIsolate || ft.Kind == system.FaultRecreate || ft.Aim != nil {
				continue
			}
			a := away{ft.Pos, start + time.Duration(ft.At), end}
			if ft.For > 0 {
				a.until = a.from + time.Duration(ft.For)
			}
			if ft.Permanent {
				a.until = math.MaxInt64
			}
			for _, b := range taken[ft.Target.Node] {
				if a.from < b.until && b.from < a.until {
					f.list = append(f.list, Problem{
						Pos: ft.Pos, Field: "target", What: fmt.Sprintf("%s cannot be hit: the fault at line %d has it at that time", ft.Target.Node, b.pos.Line),
						Hint: "let that one heal before (for_), or choose another node",
					})
				}
			}
			taken[ft.Target.Node] = append(taken[ft.Target.Node], a)
		}
		start = end
	}
}

func (p *Plan) checks(f *found) {
	expects := false
	for _, ph := range p.Phases {
		expects = expects || len(ph.Expect) > 0
	}
	if len(p.Checks) == 0 && !expects {
		f.add("checks", "write s.check(durability())", "there is no check and no expectation, so the run could not fail")
	}
	if len(p.Checks) > MaxChecks {
		f.add("checks", "", "%d checks are more than %d", len(p.Checks), MaxChecks)
	}
	for i, c := range p.Checks {
		f.list = append(f.list, c.Problems()...)
		if slices.ContainsFunc(p.Checks[:i], func(o Check) bool { return o.Name == c.Name && o.Args == c.Args }) {
			f.list = append(f.list, Problem{Pos: c.Pos, What: fmt.Sprintf("check %q is there twice", c.Name), Hint: "delete one"})
		}
		if c.Args.Reader != "" && !slices.ContainsFunc(p.Readers, func(r Reader) bool { return r.Name == c.Args.Reader }) {
			f.list = append(f.list, Problem{Pos: c.Pos, Field: "reader", What: fmt.Sprintf("check %q: there are no readers %q", c.Name, c.Args.Reader)})
		}
		if c.Args.Traffic != "" && !slices.ContainsFunc(p.Traffic, func(t Traffic) bool { return t.Name == c.Args.Traffic }) {
			f.list = append(f.list, Problem{Pos: c.Pos, Field: "traffic", What: fmt.Sprintf("check %q: there is no traffic %q", c.Name, c.Args.Traffic)})
		}
		if c.Args.Stage != "" && !slices.ContainsFunc(p.Phases, func(ph Phase) bool { return ph.Stage == c.Args.Stage }) {
			f.list = append(f.list, Problem{Pos: c.Pos, Field: "stage", What: fmt.Sprintf("check %q judges stage %q, and no phase is in it", c.Name, c.Args.Stage)})
		}
	}
	p.alertingChecks(f)
	for _, c := range p.Checks {
		if c.Name == CheckCoverage && p.GrowsTo() == 0 {
			f.list = append(f.list, Problem{Pos: c.Pos, What: fmt.Sprintf("check %q needs a runbook that adds partitions, and there is none", c.Name), Hint: "write runbook = [add_partitions(…)] in a phase"})
		}
	}
	for _, c := range p.Checks {
		if slices.Contains([]string{CheckQueries, CheckFreshness, CheckSLOFresh, CheckSLOQuery}, c.Name) && len(p.Readers) == 0 {
			f.list = append(f.list, Problem{Pos: c.Pos, What: fmt.Sprintf("check %q needs somebody who queries, and there is nobody", c.Name), Hint: `write s.readers("dashboards", traffic = "…")`})
		}
	}
	recovers := slices.IndexFunc(p.Checks, func(c Check) bool { return c.Name == CheckRecovers })
	if recovers < 0 {
		return
	}
	for _, ph := range p.Phases {
		if slices.ContainsFunc(ph.Faults, func(ft Fault) bool { return !ft.Permanent }) {
			return
		}
	}
	f.list = append(f.list, Problem{Pos: p.Checks[recovers].Pos, What: fmt.Sprintf("check %q needs a fault that heals, and there is none", CheckRecovers), Hint: `write faults = [kill(leader_of("events", 0))] in a phase`})
}

// retention wants what is sent to be there when it is compared with what was sent.
func (p *Plan) retention(f *found) {
	c := p.System.Retriever
	if c.Retention <= 0 {
		return
	}
	// The engine waits for idle marks after the load, and the log's time goes on with them.
	need := p.Length() + time.Minute
	if c.SealIdle > 0 {
		need += 3*c.SealIdle + 2*c.SnapshotEvery
	}
	if c.Retention < need {
		f.add("system", fmt.Sprintf("keep it for %s at least, or for ever with 0s", Duration(need)),
			"with a retention of %s a part of what is sent is deleted before it is compared with what is there", Duration(c.Retention))
	}
}

func (p *Plan) worlds(f *found) {
	possible := p.PossibleWorlds()
	if len(p.Worlds) == 0 {
		f.add("worlds", fmt.Sprintf("possible are %s", strings.Join(possible, ", ")), "no world is named to run it in")
	}
	for i, w := range p.Worlds {
		switch {
		case slices.Contains(p.Worlds[:i], w):
			f.add("worlds", "", "world %q is there twice", w)
		case slices.Contains(possible, w):
		case w == WorldContainers:
			f.add("worlds", `leave "sim" alone`, "a fault is aimed at a protocol event, which only the simulation announces in time")
		default:
			f.add("worlds", oneOf(w, possible), "there is no world %q", w)
		}
	}
}

// PossibleWorlds are the worlds that can run what the plan asks for: an aimed fault needs the simulation.
func (p *Plan) PossibleWorlds() []string {
	for _, ph := range p.Phases {
		for _, f := range ph.Faults {
			if f.Aim != nil {
				return []string{WorldSim}
			}
		}
	}
	return []string{WorldSim, WorldContainers}
}

// Length is how long all phases last.
func (p *Plan) Length() time.Duration {
	var sum time.Duration
	for _, ph := range p.Phases {
		sum += time.Duration(ph.Length)
		if sum < 0 { // more than 292 years
			return math.MaxInt64
		}
	}
	return sum
}

// FaultID names a fault of a phase in evidence and reports, such as outage/0.
func FaultID(phase string, index int) string { return fmt.Sprintf("%s/%d", phase, index) }

// oneOf is a hint: the nearest of the known names, or all of them.
func oneOf(given string, known []string) string {
	if name, ok := nearest.Name(given, known); ok {
		return fmt.Sprintf("did you mean %q?", name)
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = fmt.Sprintf("%q", k)
	}
	return "write one of " + strings.Join(quoted, ", ")
}
