package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// Guard is a service level that an experiment must not use up. Its error budget is 1 - Target of the events or queries that
// were decided; its burn rate over a stretch is the share of bad ones there over 1 - Target, so that 1 uses up the budget
// exactly and 10 ten times as fast (Google SRE Workbook, chapter 5). An event or query is good if it was answered as accepted,
// or completely, within Within of the moment at which it was to be sent; without an answer it is bad once that has passed.
type Guard struct {
	Level   string   `json:"level"`             // GuardIngest or GuardQuery
	Traffic string   `json:"traffic,omitempty"` // the load whose events or queries count; empty: all
	Target  float64  `json:"target"`            // the share that has to be good; above 0 and below 1
	Within  Duration `json:"within"`
	// Gate is the share of the steady state's budget that has to be left when the first fault would begin, 0 to 1. The steady
	// state is the phases of stage before. With less, the experiment is not started.
	Gate float64 `json:"gate"`
	// Burn is the burn rate beyond which the run stops and heals: both over Window and over its last twelfth, so that what is
	// over already stops nothing.
	Burn   float64  `json:"burn"`
	Window Duration `json:"window"`
	// AtLeast is how many events or queries a burn rate needs: fewer are no evidence. They keep the gate closed, and stop nothing.
	AtLeast int `json:"at_least"`
	Pos     Pos `json:"pos"`
}

// Levels that can guard an experiment: those that are known at once. Freshness and rightness are known after the run only.
const (
	GuardIngest = "ingest"
	GuardQuery  = "query"
)

// ShortWindow is the part of a guard's window in which the burn has to be too high as well.
const ShortWindow = 12

// Name is how reports call the guard.
func (g Guard) Name() string {
	name := fmt.Sprintf("guard(%s %s within %s", g.Level, percentage(g.Target), g.Within)
	if g.Traffic != "" {
		name += ", " + g.Traffic
	}
	return name + ")"
}

// percentage writes 0.999 as 99.9%.
func percentage(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", 100*v), "0"), ".") + "%"
}

// Short is the length of the short window.
func (g Guard) Short() time.Duration { return time.Duration(g.Window) / ShortWindow }

// Rate is the burn rate of so many good and bad ones; ok is false if they are too few to tell one.
func (g Guard) Rate(good, bad int64) (rate float64, ok bool) {
	if good+bad < max(1, int64(g.AtLeast)) {
		return 0, false
	}
	return g.burn(good, bad), true
}

func (g Guard) burn(good, bad int64) float64 {
	return float64(bad) / float64(good+bad) / (1 - g.Target)
}

// Stops says whether what was decided in the window and in its short last part stops the run.
func (g Guard) Stops(good, bad, shortGood, shortBad int64) bool {
	rate, ok := g.Rate(good, bad)
	return ok && rate > g.Burn && shortGood+shortBad > 0 && g.burn(shortGood, shortBad) > g.Burn
}

// Experiment is the first and the last phase with faults, by index; ok is false if there is none. Permanent says that some
// fault stays, so that the experiment lasts as long as the run does.
func (p *Plan) Experiment() (first, last int, permanent, ok bool) {
	first = -1
	for i := range p.Phases {
		if len(p.Phases[i].Faults) == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		permanent = permanent || slices.ContainsFunc(p.Phases[i].Faults, func(f Fault) bool { return f.Permanent })
	}
	return first, last, permanent, first >= 0
}

// AtOnce is the most nodes that the plan's faults have at one time, by what their targets select, and the phase in which they
// do. Experiments touch one node at a time unless their script means more.
func (p *Plan) AtOnce() (nodes int, phase string) {
	type hit struct {
		from, until time.Duration
		nodes       int
	}
	var hits []hit
	var start time.Duration
	for i := range p.Phases {
		ph := &p.Phases[i]
		end := start + time.Duration(ph.Length)
		first := len(hits)
		for k := range ph.Faults {
			ft := &ph.Faults[k]
			h := hit{start + time.Duration(ft.At), end, ft.Target.nodes(p.System)}
			switch {
			case ft.Permanent:
				h.until = math.MaxInt64
			case ft.For > 0:
				h.until = h.from + time.Duration(ft.For)
			}
			hits = append(hits, h)
		}
		for _, h := range hits[first:] { // the most are away when some fault begins
			sum := 0
			for _, o := range hits {
				if o.from <= h.from && h.from < o.until {
					sum += o.nodes
				}
			}
			if sum > nodes {
				nodes, phase = sum, ph.Name
			}
		}
		start = end
	}
	return nodes, phase
}

// nodes is how many nodes a selector selects, at the most.
func (s Selector) nodes(t system.Topology) int {
	switch s.Kind {
	case SelectAny:
		return s.N
	case SelectAll:
		return count(t, s.Role)
	case SelectPair:
		return len(t.Retrievers(s.Partition))
	case SelectZone, SelectAnyZone:
		most := map[string]int{}
		for _, n := range t.Nodes() {
			most[n.Zone]++
		}
		if s.Kind == SelectZone {
			return most[s.Zone]
		}
		largest := 0
		for _, zone := range t.ZoneNames() {
			largest = max(largest, most[zone])
		}
		return largest
	case SelectNode, SelectLeader, SelectZK, SelectSubject, SelectOneOf, SelectPeers:
	}
	return 1
}

// Problems says what is wrong with a guard, by itself.
func (g Guard) Problems() Problems {
	f := &found{pos: g.Pos, step: "guard"}
	switch g.Level {
	case GuardIngest, GuardQuery:
	case "freshness", "durability":
		f.add("level", fmt.Sprintf("write %q or %q, and s.check() what is judged after the run", GuardIngest, GuardQuery), "%s is not known while the run goes on", g.Level)
	default:
		f.add("level", oneOf(g.Level, []string{GuardIngest, GuardQuery}), "there is no service level %q", g.Level)
	}
	wellTarget := g.Target > 0 && g.Target < 1
	if !wellTarget {
		f.add("target", `write such as 0.999 or "99.9%"`, "target must be more than 0 and less than 1, not %v: without a budget there is nothing to experiment with", g.Target)
	}
	f.span("within", time.Duration(g.Within), 10*time.Millisecond, 10*time.Minute)
	f.span("window", time.Duration(g.Window), time.Second, 24*time.Hour)
	if math.IsNaN(g.Gate) || g.Gate < 0 || g.Gate > 1 {
		f.add("gate", `write such as 0.5 or "50%"`, "gate must be from 0 to 1, the share of the budget that has to be left, not %v", g.Gate)
	}
	switch most := 1 / (1 - g.Target); {
	case math.IsNaN(g.Burn) || g.Burn <= 0:
		f.add("burn", "write such as burn = 10: ten times as fast as the budget allows", "burn must be more than 0, not %v", g.Burn)
	case wellTarget && g.Burn >= most:
		f.add("burn", fmt.Sprintf("write less than %.4g, or a higher target", most), "burn %v can never be passed: with a target of %s nothing burns faster than %.4g", g.Burn, percentage(g.Target), most)
	}
	if g.AtLeast < 1 || g.AtLeast > MaxGuardEvents {
		f.add("at_least", "", "at_least must be from 1 to %d, not %d", MaxGuardEvents, g.AtLeast)
	}
	return f.list
}

// guards checks the guards against the rest of the plan.
func (p *Plan) guards(f *found) {
	if len(p.Guards) > MaxGuards {
		f.add("guards", "", "%d guards are more than %d", len(p.Guards), MaxGuards)
	}
	first, _, _, faults := p.Experiment()
	var steady time.Duration
	for i := range p.Phases {
		if i < first && p.Phases[i].Stage == Before {
			steady += time.Duration(p.Phases[i].Length)
		}
	}
	for i, g := range p.Guards {
		own := g.Problems()
		wrong := func(field, hint, format string, args ...any) {
			own = append(own, Problem{Pos: g.Pos, Field: field, What: "guard: " + fmt.Sprintf(format, args...), Hint: hint})
		}
		twin := g
		for _, o := range p.Guards[:i] {
			if twin.Pos = o.Pos; o == twin {
				wrong("", "delete one", "it is there twice")
			}
		}
		if !faults {
			wrong("", "leave the guard out", "there is no fault, so there is nothing to guard against")
		} else if steady == 0 {
			wrong("", `put such as s.phase("baseline", "15s") before it`, "no phase of stage before comes before the first with faults, so the steady state cannot be measured")
		}
		named := func(t Traffic) bool { return t.Name == g.Traffic }
		if g.Traffic != "" && !slices.ContainsFunc(p.Traffic, named) {
			names := make([]string, len(p.Traffic))
			for k := range p.Traffic {
				names[k] = p.Traffic[k].Name
			}
			wrong("traffic", oneOf(g.Traffic, names), "there is no traffic %q", g.Traffic)
		}
		rate := p.guarded(g)
		if len(own) == 0 && rate == 0 {
			wrong("level", `write s.readers("dashboards")`, "nobody asks queries of it")
		}
		for _, s := range []struct {
			what string
			long time.Duration
		}{{"its window", time.Duration(g.Window)}, {"the phases before the first fault", steady}} {
			if n := rate * s.long.Seconds(); len(own) == 0 && n < float64(g.AtLeast) {
				wrong("at_least", "make it longer, or at_least smaller", "in %s (%s) there are about %.0f %s by plan, and it wants at least %d to tell a burn rate",
					s.what, Duration(s.long), n, cond(g.Level == GuardQuery, "queries", "events"), g.AtLeast)
			}
		}
		f.list = append(f.list, own...)
	}
}

func cond(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// guarded is how many events or queries a second count for a guard by plan, at the least.
func (p *Plan) guarded(g Guard) float64 {
	rate := 0.0
	if g.Level == GuardQuery {
		for i := range p.Readers {
			if rd := &p.Readers[i]; rd.Every > 0 && (g.Traffic == "" || rd.Traffic == g.Traffic) {
				rate += 1 / time.Duration(rd.Every).Seconds()
			}
		}
		return rate
	}
	for i := range p.Traffic {
		t := &p.Traffic[i]
		switch {
		case g.Traffic != "" && t.Name != g.Traffic:
		case t.Shape == Ramp:
			rate += min(t.EventsPerSecond, t.ToPerSecond)
		case t.Shape == Wave:
			rate += t.EventsPerSecond / 2
		default:
			rate += t.EventsPerSecond
		}
	}
	return rate
}
