package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/duration"
	"github.com/ratel-sim/ratel/system/trigger"
)

// MaxBytes is the largest plan that is written or read.
const MaxBytes = 1 << 20

// String is such as "1m30s".
func (d Duration) String() string { return duration.Format(time.Duration(d)) }

// MarshalJSON writes a string.
func (d Duration) MarshalJSON() ([]byte, error) { return duration.Text(d).MarshalJSON() }

// UnmarshalJSON reads a string.
func (d *Duration) UnmarshalJSON(data []byte) error { return (*duration.Text)(d).UnmarshalJSON(data) }

// MarshalJSON writes empty lists as [] and never as null, so that equal plans have equal bytes.
func (p Plan) MarshalJSON() ([]byte, error) {
	type plain Plan
	q := plain(p)
	q.Params, q.Worlds, q.Traffic = orEmpty(q.Params), orEmpty(q.Worlds), orEmpty(q.Traffic)
	q.Phases, q.Checks = orEmpty(q.Phases), orEmpty(q.Checks)
	return marshal(q)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// marshal is json.Marshal that leaves <, > and & as they are: expectations are read by people.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Encode writes the plan as it is stored: indented JSON with a newline at the end. Equal plans give equal bytes.
func (p *Plan) Encode() ([]byte, error) {
	data, err := marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write plan %s: %w", p.Scenario, err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return nil, fmt.Errorf("write plan %s: %w", p.Scenario, err)
	}
	b.WriteByte('\n')
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("write plan %s: it has %d bytes, more than %d", p.Scenario, b.Len(), MaxBytes)
	}
	return b.Bytes(), nil
}

// Hash names what the plan does: 64 hexadecimal digits of SHA-256 over its canonical bytes without positions in the
// script, docstring and notes. A comment or a reworded hypothesis does not make another experiment; anything else does.
func (p *Plan) Hash() string {
	q := p.withoutPositions()
	q.Doc, q.Notes = "", nil
	data, err := marshal(q)
	if err != nil {
		// Only a number that JSON cannot hold gets here; Validate refuses such a plan. Its Go form still tells it apart.
		data = fmt.Appendf(nil, "%#v", q)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// withoutPositions is a deep copy in which nothing says where it was written.
func (p *Plan) withoutPositions() *Plan {
	q := *p
	q.Pos = Pos{}
	q.Choices = cloned(p.Choices, func(c *Choice) { c.Pos = Pos{} })
	q.Traffic = cloned(p.Traffic, func(t *Traffic) { t.Pos = Pos{} })
	q.Readers = cloned(p.Readers, func(r *Reader) { r.Pos = Pos{} })
	q.Checks = cloned(p.Checks, func(c *Check) { c.Pos = Pos{} })
	q.Objectives = cloned(p.Objectives, func(o *Objective) { o.Pos = Pos{} })
	q.Alerts = cloned(p.Alerts, func(a *Alert) { a.Pos = Pos{} })
	q.Guards = cloned(p.Guards, func(g *Guard) { g.Pos = Pos{} })
	q.Phases = cloned(p.Phases, func(ph *Phase) {
		ph.Pos = Pos{}
		ph.Runbook = cloned(ph.Runbook, func(s *Step) { s.Pos = Pos{} })
		ph.Expect = cloned(ph.Expect, func(e *Expectation) { e.Pos = Pos{} })
		ph.Faults = cloned(ph.Faults, func(f *Fault) {
			f.Pos, f.Target.Pos = Pos{}, Pos{}
			f.From = cloned(f.From, func(s *Selector) { s.Pos = Pos{} })
		})
	})
	return &q
}

func cloned[T any](list []T, edit func(*T)) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	copy(out, list)
	for i := range out {
		edit(&out[i])
	}
	return out
}

// Clone is a deep copy: changing one of the two does not change the other.
func (p *Plan) Clone() *Plan {
	q := *p
	same := func(*Selector) {}
	q.Params, q.Worlds, q.Notes = cloned(p.Params, func(*Param) {}), cloned(p.Worlds, func(*string) {}), cloned(p.Notes, func(*string) {})
	q.Choices, q.Traffic, q.Checks = cloned(p.Choices, func(*Choice) {}), cloned(p.Traffic, func(*Traffic) {}), cloned(p.Checks, func(*Check) {})
	q.System.Teams = slices.Clone(p.System.Teams)
	q.Objectives, q.Guards = slices.Clone(p.Objectives), slices.Clone(p.Guards)
	q.Alerts = cloned(p.Alerts, func(a *Alert) { a.Query = slices.Clone(a.Query) })
	q.Readers = cloned(p.Readers, func(r *Reader) { r.Shapes = slices.Clone(r.Shapes) })
	q.Phases = cloned(p.Phases, func(ph *Phase) {
		ph.Expect = cloned(ph.Expect, func(*Expectation) {})
		ph.Runbook = cloned(ph.Runbook, func(*Step) {})
		ph.Faults = cloned(ph.Faults, func(f *Fault) {
			f.From = cloned(f.From, same)
			if f.Aim != nil {
				aim := *f.Aim
				f.Aim = &aim
			}
		})
	})
	return &q
}

// Decode reads a stored plan and validates it. file is named in errors, which are [Problems] with the place in the file
// for what is wrong as JSON, and in the script that made the plan for what is wrong in meaning. Unknown and repeated keys are errors.
func Decode(file string, data []byte) (*Plan, error) {
	if len(data) > MaxBytes {
		return nil, Problems{{Pos: Pos{File: file, Line: 1, Col: 1}, What: fmt.Sprintf("the plan has %d bytes, more than %d", len(data), MaxBytes)}}
	}
	var head struct {
		Version *int `json:"version"`
	}
	// What is wrong as JSON is told by readStrict below, with its place.
	if err := json.Unmarshal(data, &head); err == nil && head.Version != nil && (*head.Version < 1 || *head.Version > Version) {
		return nil, Problems{{
			Pos: Pos{File: file, Line: 1, Col: 1}, What: fmt.Sprintf("plan format version %d is not known: this build reads 1 to %d", *head.Version, Version),
			Hint: "run it with the build that wrote it",
		}}
	}
	var p Plan
	first := head.Version != nil && *head.Version == 1
	if head.Version != nil && *head.Version == 2 {
		// Version 2 knew of neither counting nor alerting.
		p.System.Beagle, p.System.Trigger = beagle.DefaultConfig(), trigger.DefaultConfig()
	}
	if first {
		// Version 1 knew of one retriever for each partition, of one team, and of neither MySQL, S3 nor queries.
		p.System = system.Default()
		p.System.Replicas = 1
	}
	if err := readStrict(file, "the plan", data, &p); err != nil {
		return nil, err
	}
	p.Version = Version
	if first {
		for i := range p.Traffic {
			p.Traffic[i].Team, p.Traffic[i].Events = system.DefaultTeam, EventsSmall
		}
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &p, nil
}
