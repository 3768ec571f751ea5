package exec

import (
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// condition is the filters of a query or of a calculation, with the places of their columns in a block.
type condition struct {
	filters []spec.Filter
	columns []int
	or      bool
	verdict []uint8 // of a dictionary's entries: 0 not judged yet, 1 no, 2 yes
	one     []bool  // of the rows, by one filter
}

// apply clears keep where a row does not match.
func (c *condition) apply(b *segment.Block, keep []bool) {
	if len(c.filters) == 0 {
		return
	}
	if !c.or {
		for i := range c.filters {
			c.judge(&c.filters[i], &b.Columns[c.columns[i]], keep, false)
		}
		return
	}
	c.one = resized(c.one, len(keep))
	clear(c.one)
	for i := range c.filters {
		c.judge(&c.filters[i], &b.Columns[c.columns[i]], c.one, true)
	}
	for i, matched := range c.one {
		keep[i] = keep[i] && matched
	}
}

// judge sets rows that match (or), or clears those that do not.
func (c *condition) judge(f *spec.Filter, v *segment.Vector, rows []bool, or bool) {
	if v.Kinds == nil {
		switch v.Uniform {
		case event.Null:
			if matched := f.Match(event.Value{}); matched == or {
				for i := range rows {
					rows[i] = or
				}
			}
			return
		case event.String:
			c.begin(v)
			for i, code := range v.Codes[:len(rows)] {
				if rows[i] != or && c.text(f, v, code) == or {
					rows[i] = or
				}
			}
			return
		case event.Bool:
			judgeBools(f, v.Bools[:len(rows)], rows, or)
			return
		case event.Int:
			if judgeInts(f, v.Ints[:len(rows)], rows, or) {
				return
			}
		case event.Float:
			if judgeFloats(f, v.Floats[:len(rows)], rows, or) {
				return
			}
		}
	}
	c.begin(v)
	null := f.Match(event.Value{})
	for i := range rows {
		if rows[i] == or {
			continue
		}
		matched := null
		switch v.Kind(i) {
		case event.Null:
		case event.String:
			matched = c.text(f, v, v.Codes[i])
		default:
			matched = f.Match(v.Value(i))
		}
		if matched == or {
			rows[i] = or
		}
	}
}

func (c *condition) begin(v *segment.Vector) {
	c.verdict = resized(c.verdict, len(v.Dict))
	clear(c.verdict)
}

// text judges a string once for each block.
func (c *condition) text(f *spec.Filter, v *segment.Vector, code uint32) bool {
	if c.verdict[code] == 0 {
		c.verdict[code] = 1
		if f.Match(event.StringValue(v.Dict[code])) {
			c.verdict[code] = 2
		}
	}
	return c.verdict[code] == 2
}

// judgeBools asks the filter once for each of the two.
func judgeBools(f *spec.Filter, values, rows []bool, or bool) {
	ofTrue, ofFalse := f.Match(event.BoolValue(true)) == or, f.Match(event.BoolValue(false)) == or
	for i, v := range values {
		if v && ofTrue || !v && ofFalse {
			rows[i] = or
		}
	}
}

// judgeInts compares whole numbers with a whole number; false if that is not what the filter does.
func judgeInts(f *spec.Filter, values []int64, rows []bool, or bool) bool {
	if len(f.Values) != 1 {
		return false
	}
	w := spec.Canonical(f.Values[0])
	if w.Kind() != event.Int {
		return false
	}
	op, negated := spec.Positive(f.Op)
	return judgeOrdered(op, negated, values, w.Int(), rows, or)
}

// maxExact is up to where every whole number is a float64.
const maxExact = 1 << 53

func judgeFloats(f *spec.Filter, values []float64, rows []bool, or bool) bool {
	if len(f.Values) != 1 {
		return false
	}
	w := f.Values[0]
	if w.Kind() != event.Float && (w.Kind() != event.Int || w.Int() > maxExact || w.Int() < -maxExact) {
		return false
	}
	op, negated := spec.Positive(f.Op)
	return judgeOrdered(op, negated, values, w.Float(), rows, or)
}

// judgeOrdered compares numbers. A value that is not a number matches no positive operator.
func judgeOrdered[T int64 | float64](op string, negated bool, values []T, w T, rows []bool, or bool) bool {
	if w != w {
		return false
	}
	want := or != negated
	switch op {
	case "=":
		for i, v := range values {
			if rows[i] != or && (v == w) == want {
				rows[i] = or
			}
		}
	case ">":
		for i, v := range values {
			if rows[i] != or && (v > w) == want {
				rows[i] = or
			}
		}
	case ">=":
		for i, v := range values {
			if rows[i] != or && (v >= w) == want {
				rows[i] = or
			}
		}
	case "<":
		for i, v := range values {
			if rows[i] != or && (v < w) == want {
				rows[i] = or
			}
		}
	case "<=":
		for i, v := range values {
			if rows[i] != or && (v <= w) == want {
				rows[i] = or
			}
		}
	default:
		return false
	}
	return true
}
