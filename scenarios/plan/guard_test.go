package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"pgregory.net/rapid"
)

func wellGuard() plan.Guard {
	return plan.Guard{Level: plan.GuardIngest, Target: 0.99, Within: plan.Duration(time.Second), Gate: 0.5, Burn: 10, Window: plan.Duration(12 * time.Second), AtLeast: 10}
}

func TestGuardProblems(t *testing.T) {
	t.Parallel()
	if list := wellGuard().Problems(); len(list) > 0 {
		t.Errorf("a guard that is well: %v", list)
	}
	for field, edit := range map[string]func(*plan.Guard){
		"level":    func(g *plan.Guard) { g.Level = "ingst" },
		"target":   func(g *plan.Guard) { g.Target = 1 },
		"within":   func(g *plan.Guard) { g.Within = 0 },
		"gate":     func(g *plan.Guard) { g.Gate = 1.1 },
		"burn":     func(g *plan.Guard) { g.Burn = 100 },
		"window":   func(g *plan.Guard) { g.Window = plan.Duration(time.Millisecond) },
		"at_least": func(g *plan.Guard) { g.AtLeast = 0 },
	} {
		g := wellGuard()
		edit(&g)
		if list := g.Problems(); len(list) != 1 || list[0].Field != field {
			t.Errorf("%s: %v", field, list)
		}
	}
}

// TestGuardStops: both windows have to burn too fast, with enough to tell, whatever the figures.
func TestGuardStops(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := wellGuard()
		n := rapid.Int64Range(0, 1000)
		shortGood, shortBad := n.Draw(t, "shortGood"), n.Draw(t, "shortBad")
		good, bad := shortGood+n.Draw(t, "good"), shortBad+n.Draw(t, "bad")
		want := good+bad >= 10 && shortGood+shortBad > 0 && 10*bad > good+bad && 10*shortBad > shortGood+shortBad
		if 10*bad == good+bad || 10*shortBad == shortGood+shortBad {
			return // on the limit, where 0.1/(1-0.99) is not quite 10
		}
		if got := g.Stops(good, bad, shortGood, shortBad); got != want {
			t.Fatalf("%d good, %d bad, of which in the short window %d and %d: %v", good, bad, shortGood, shortBad, got)
		}
	})
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	node := func(name string) plan.Selector { return plan.Selector{Kind: plan.SelectNode, Node: name} }
	base := func(faults ...plan.Fault) *plan.Plan {
		p := rapid.Custom(drawPlan).Example(3)
		p.Phases = []plan.Phase{{Name: "calm", Length: plan.Duration(time.Second)}, {Name: "outage", Length: plan.Duration(10 * time.Second), Faults: faults}, {Name: "later", Length: plan.Duration(10 * time.Second)}}
		return p
	}
	kill := func(s plan.Selector, at, length time.Duration) plan.Fault {
		return plan.Fault{Kind: "kill", Target: s, At: plan.Duration(at), For: plan.Duration(length)}
	}
	for _, c := range []struct {
		p    *plan.Plan
		want int
	}{
		{base(), 0},
		{base(kill(node("kafka1"), 0, 0)), 1},
		{base(kill(node("kafka1"), 0, time.Second), kill(node("zk1"), 2*time.Second, time.Second)), 1},
		{base(kill(node("kafka1"), 0, 3*time.Second), kill(node("zk1"), 2*time.Second, time.Second)), 2},
		{base(kill(plan.Selector{Kind: plan.SelectAny, Role: "kafka", N: 2}, 0, 0), kill(node("zk1"), time.Second, 0)), 3},
	} {
		if n, _ := c.p.AtOnce(); n != c.want {
			t.Errorf("%d at once, expected %d: %+v", n, c.want, c.p.Phases[1].Faults)
		}
	}
	stays := base(plan.Fault{Kind: "kill", Target: node("kafka1"), Permanent: true})
	stays.Phases[2].Faults = []plan.Fault{kill(node("zk1"), 0, 0)}
	if n, phase := stays.AtOnce(); n != 2 || phase != "later" {
		t.Errorf("%d at once in %s", n, phase)
	}
}

func TestGuardsPositionIsNotHashed(t *testing.T) {
	t.Parallel()
	p := rapid.Custom(drawPlan).Example(3)
	p.Guards = []plan.Guard{wellGuard()}
	hash, q := p.Hash(), p.Clone()
	q.Guards[0].Pos.Line++
	if q.Hash() != hash {
		t.Error("another position is another hash")
	}
	q.Guards[0].Burn++
	if q.Hash() == hash || p.Guards[0].Burn == q.Guards[0].Burn {
		t.Error("another limit is the same hash, or a clone shares it")
	}
	if name := wellGuard().Name(); !strings.Contains(name, "99% within 1s") || slices.Contains(plan.CheckNames(), plan.CheckGuard) {
		t.Errorf("name %q", name)
	}
}
