package catalog

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
)

// TestLimits: what is within the limits passes, and each thing beyond one is refused for certain.
func TestLimits(t *testing.T) {
	t.Parallel()
	def := port.Definition{Kind: port.KindSLO, Name: "n", Body: []byte("{}")}
	adv := port.Advance{Consumer: "c", Topic: "t", From: 1, To: 2, Counts: []port.SLOCount{{SLO: 1, Minute: 60, Good: 1, Total: 2}, {SLO: 1, Minute: 120}, {SLO: 2, Minute: 60}}}
	eval := port.Evaluation{Alert: 1, Value: -1e300}
	if err := errors.Join(CheckDefinition(def), CheckAdvance(adv), CheckEvaluation(eval), CheckEpoch(0, "")); err != nil {
		t.Fatal(err)
	}
	definition := func(change func(*port.Definition)) error { d := def; change(&d); return CheckDefinition(d) }
	advance := func(change func(*port.Advance)) error {
		a := adv
		a.Counts = slices.Clone(a.Counts)
		change(&a)
		return CheckAdvance(a)
	}
	for what, err := range map[string]error{
		"no name":          definition(func(d *port.Definition) { d.Name = "" }),
		"long name":        definition(func(d *port.Definition) { d.Name = strings.Repeat("x", MaxNameBytes+1) }),
		"not UTF-8":        definition(func(d *port.Definition) { d.Name = "\xff" }),
		"no kind":          definition(func(d *port.Definition) { d.Kind = "" }),
		"long kind":        definition(func(d *port.Definition) { d.Kind = port.DefinitionKind(strings.Repeat("x", maxKindBytes+1)) }),
		"big body":         definition(func(d *port.Definition) { d.Body = make([]byte, port.MaxBodyBytes+1) }),
		"no consumer":      advance(func(a *port.Advance) { a.Consumer = "" }),
		"long consumer":    advance(func(a *port.Advance) { a.Consumer = strings.Repeat("x", maxConsumerBytes+1) }),
		"no topic":         advance(func(a *port.Advance) { a.Topic = "" }),
		"long topic":       advance(func(a *port.Advance) { a.Topic = strings.Repeat("x", maxTopicBytes+1) }),
		"long node":        advance(func(a *port.Advance) { a.By = strings.Repeat("x", maxNodeBytes+1) }),
		"partition":        advance(func(a *port.Advance) { a.Partition = -1 }),
		"from":             advance(func(a *port.Advance) { a.From = -1 }),
		"backwards":        advance(func(a *port.Advance) { a.To = 0 }),
		"no minute":        advance(func(a *port.Advance) { a.Counts[0].Minute = 59 }),
		"below zero":       advance(func(a *port.Advance) { a.Counts[0].Good = -1 }),
		"total below zero": advance(func(a *port.Advance) { a.Counts[0].Total = -1 }),
		"more good":        advance(func(a *port.Advance) { a.Counts[0].Good = 3 }),
		"too many":         advance(func(a *port.Advance) { a.Counts[0].Total = port.MaxCount + 1 }),
		"twice":            advance(func(a *port.Advance) { a.Counts = append(a.Counts, a.Counts[0]) }),
		"NaN":              CheckEvaluation(port.Evaluation{Value: math.NaN()}),
		"infinite":         CheckEvaluation(port.Evaluation{Value: math.Inf(-1)}),
		"big notice":       CheckEvaluation(port.Evaluation{Notice: make([]byte, port.MaxBodyBytes+1)}),
		"epoch":            CheckEvaluation(port.Evaluation{Epoch: -1}),
		"leader":           CheckEpoch(1, strings.Repeat("x", maxNodeBytes+1)),
	} {
		if !errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrUnknown) {
			t.Errorf("%s: %v, expected it to be refused", what, err)
		}
	}
}

// TestSortCounts: the same counts in order, and the caller's are left alone.
func TestSortCounts(t *testing.T) {
	t.Parallel()
	one := rapid.Custom(func(t *rapid.T) port.SLOCount {
		return port.SLOCount{SLO: rapid.Int64Range(0, 3).Draw(t, "slo"), Minute: 60 * rapid.Int64Range(-2, 2).Draw(t, "minute"), Good: rapid.Int64().Draw(t, "good")}
	})
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOf(one).Draw(t, "counts")
		before := slices.Clone(given)
		sorted := SortCounts(given)
		if !slices.Equal(given, before) || len(sorted) != len(given) {
			t.Fatalf("%v became %v", before, given)
		}
		for i, n := range sorted {
			if !slices.Contains(given, n) || i > 0 && (sorted[i-1].SLO > n.SLO || sorted[i-1].SLO == n.SLO && sorted[i-1].Minute > n.Minute) {
				t.Fatalf("%v became %v", given, sorted)
			}
		}
	})
}

// TestRecorded: recording what was recorded changes nothing, and what comes back has no part in what was given.
func TestRecorded(t *testing.T) {
	t.Parallel()
	given := port.Evaluation{Value: math.Copysign(0, -1), At: time.Unix(5, 7).In(time.FixedZone("x", 3600)), Notice: []byte("n")}
	once := Recorded(given)
	again := Recorded(once)
	if math.Signbit(once.Value) || once.At != time.Unix(5, 7).UTC() || !once.Delivered.IsZero() || again.At != once.At {
		t.Errorf("%+v, %+v", once, again)
	}
	once.Notice[0] = 'm'
	if string(given.Notice) != "n" || string(again.Notice) != "n" {
		t.Error("a notice is shared")
	}
}
