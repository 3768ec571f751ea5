package lang

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"go.starlark.net/starlark"
)

// build is a plan while its script builds it.
type build struct {
	seed   uint64
	plan   plan.Plan
	system plan.Pos // where s.system was called
	stages []bool   // for each phase, whether the script gave its stage
	drawn  map[string]drawn
}

type drawn struct {
	options string
	value   starlark.Value
}

func newBuild(s *Script, seed uint64) *build {
	return &build{
		seed:  seed,
		plan:  plan.Plan{Version: plan.Version, Scenario: s.Name, Doc: s.Doc, System: system.Default(), Pos: s.pos},
		drawn: map[string]drawn{},
	}
}

// finish fills in what depends on the whole and validates it.
func (b *build) finish() (*plan.Plan, error) {
	p := &b.plan
	first, faults := len(p.Phases), false
	for i, ph := range p.Phases {
		if len(ph.Faults)+len(ph.Runbook) > 0 && !faults {
			first, faults = i, true
		}
	}
	for i := range p.Phases {
		switch {
		case b.stages[i]:
		case len(p.Phases[i].Faults)+len(p.Phases[i].Runbook) > 0:
			p.Phases[i].Stage = plan.During
		case i < first:
			p.Phases[i].Stage = plan.Before
		default:
			p.Phases[i].Stage = plan.After
		}
	}
	p.System.Kafka.PartitionsLater = p.GrowsTo()
	p.Worlds = p.PossibleWorlds()
	var list plan.Problems
	if err := p.Validate(); errors.As(err, &list) {
		told := make(mistakes, len(list))
		for i, problem := range list {
			told[i] = mistake{pos: problem.Pos, what: problem.What, hint: problem.Hint}
		}
		return nil, told
	}
	if _, err := p.Encode(); err != nil {
		return nil, mistakes{{pos: p.Pos, what: err.Error(), hint: "are steps made in a loop that is too long?"}}
	}
	return p, nil
}

// draw picks from options by the seed and the name alone, so that adding one choice does not shift others.
func (b *build) draw(name string, options []starlark.Value) starlark.Value {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], b.seed)
	h := sha256.New()
	h.Write(seed[:])
	h.Write([]byte("choose\x00" + name))
	n := binary.LittleEndian.Uint64(h.Sum(nil))
	return options[n%uint64(len(options))]
}

// inScenario is the build, or notes that the builtin was called elsewhere.
func (c *call) inScenario() *build {
	if c.build == nil {
		c.fail("", "move it into def scenario(s)", "%s can only be called while scenario runs", c.b.Name)
		return nil
	}
	return c.build
}

// room notes that there is one too many of something.
func (c *call) room(n, limit int, what string) bool {
	if n >= limit {
		c.fail("", "are steps made in a loop that is too long?", "a plan can have %d %s, and this is one more", limit, what)
		return false
	}
	return true
}

// describe is a value as the script would write it, cut if it is long.
func describe(v starlark.Value) string {
	const most = 60
	s := []rune(v.String())
	if len(s) > most {
		return string(s[:most]) + "…"
	}
	return string(s)
}
