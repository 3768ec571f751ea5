package exec

import (
	"testing"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// TestBarsMeet: where one side has left out more groups than the other (memory ran short), only groups that both have kept
// remain, with all their rows.
func TestBarsMeet(t *testing.T) {
	t.Parallel()
	q, err := spec.Parse([]byte(`{"start_time":1800000000,"time_range":600,"breakdowns":["k"]}`), began)
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []int{0, 1} {
		var tables [2]*table
		for i := range tables {
			a := New(q, nil)
			if _, err := a.Add(t.Context(), manyGroups(900)[i]); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Add(t.Context(), manyGroups(900)[1-i]); err != nil {
				t.Fatal(err)
			}
			tables[i] = a.table
		}
		tables[first].lower(1 << 62)
		left := len(tables[first].groups)
		p := Partial{tables[0]}
		if err := p.Merge(&Partial{tables[1]}); err != nil {
			t.Fatal(err)
		}
		r := finished(&p, q)
		if !r.Truncated || p.Groups() != left || left == 0 || left > 400 {
			t.Errorf("%d groups are left of %d, truncated %v", p.Groups(), left, r.Truncated)
		}
		for _, row := range r.Rows {
			if row.Values[0].Value != event.IntValue(2) {
				t.Errorf("group %v has %v", row.Group, row.Values[0].Value)
			}
		}
		if got, want := tables[0].memory, tables[0].measure(); got < want/2 || got > 2*want {
			t.Errorf("memory is told as %d, is %d", got, want)
		}
	}
}

// TestExtremesPreferWhole: of numbers that are equal the whole one is the extreme, whatever the order.
func TestExtremesPreferWhole(t *testing.T) {
	t.Parallel()
	for _, sign := range []int{1, -1} {
		for _, order := range []string{"if", "fi", "fif", "iff"} {
			var e extreme
			for _, c := range order {
				if c == 'i' {
					e.addInt(7, sign)
				} else {
					e.addFloat(7, sign)
				}
			}
			e.addFloat(7-float64(sign), sign)
			e.addInt(7-int64(sign), sign)
			if e.value() != event.IntValue(7) {
				t.Errorf("%s: %v", order, e.value())
			}
		}
	}
}
