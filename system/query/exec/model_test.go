package exec

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// finished is a result that is not too large.
func finished(p *Partial, q *spec.Query) *Result {
	r, err := p.Finish(q)
	if err != nil {
		panic(err)
	}
	return r
}

// brute calculates a query row by row, as simply as can be.
func brute(q *spec.Query, rows []event.Event) *Result {
	kept := map[string][]event.Event{}
	var keys [][]event.Value
	for _, e := range rows {
		if e.Time.Before(q.Start) || !e.Time.Before(q.End) || !matches(q.Filters, q.Or, &e) {
			continue
		}
		var group []event.Value
		for _, b := range q.Breakdowns {
			v, _ := e.Get(b)
			group = append(group, spec.Canonical(v))
		}
		key := fmt.Sprintf("%#v", group)
		if kept[key] == nil {
			keys = append(keys, group)
		}
		kept[key] = append(kept[key], e)
	}
	if len(q.Breakdowns) == 0 && len(keys) == 0 {
		keys = append(keys, nil)
	}
	r := &Result{Columns: q.Columns()}
	slices.SortFunc(keys, compareGroups)
	for _, g := range keys {
		row := Row{Group: g}
		ofGroup := kept[fmt.Sprintf("%#v", g)]
		for i := range q.Calculations {
			row.Values = append(row.Values, bruteCell(q, &q.Calculations[i], ofGroup))
		}
		passes := true
		for _, h := range q.Havings {
			v := row.Values[q.Calculation(h.Op, h.Column)].Value
			passes = passes && v.Kind() != event.Null && spec.Holds(h.Cmp, spec.Compare(v, event.FloatValue(h.Value)))
		}
		if passes {
			r.Rows = append(r.Rows, row)
		}
	}
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		for _, o := range q.Orders {
			var c int
			if o.Op == "" {
				i := slices.Index(q.Breakdowns, o.Column)
				c = spec.Compare(a.Group[i], b.Group[i])
			} else {
				i := q.Calculation(o.Op, o.Column)
				c = spec.Compare(a.Values[i].Value, b.Values[i].Value)
			}
			if o.Descending {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	r.Rows = r.Rows[:min(len(r.Rows), q.Limit)]
	first, n := q.Intervals()
	step := int64(q.Granularity / time.Second)
	for i := range n {
		if q.TableOnly {
			break
		}
		start := first + int64(i)*step
		for _, row := range r.Rows {
			at := slices.DeleteFunc(slices.Clone(kept[fmt.Sprintf("%#v", row.Group)]), func(e event.Event) bool { return e.Time.Unix() < start || e.Time.Unix() >= start+step })
			if len(at) == 0 {
				continue
			}
			p := Point{start, Row{Group: row.Group}}
			for i := range q.Calculations {
				c := &q.Calculations[i]
				if of, rate := c.Op.Rate(); rate {
					values := intervalValues(q, c, of, slices.DeleteFunc(slices.Clone(kept[fmt.Sprintf("%#v", row.Group)]), func(e event.Event) bool { return e.Time.Unix() >= start+step }))
					cell := Cell{}
					if now := intervalValues(q, c, of, at); len(now) == 1 && len(values) > 1 {
						cell.Value = difference(values[len(values)-2], now[0])
					}
					p.Values = append(p.Values, cell)
					continue
				}
				p.Values = append(p.Values, bruteCell(q, c, at))
			}
			r.Series = append(r.Series, p)
		}
	}
	return r
}

// intervalValues is a calculation of each interval that has a value.
func intervalValues(q *spec.Query, c *spec.Calculation, of spec.Op, rows []event.Event) (values []event.Value) {
	plain := *c
	plain.Op = of
	first, n := q.Intervals()
	step := int64(q.Granularity / time.Second)
	for i := range n {
		start := first + int64(i)*step
		at := slices.DeleteFunc(slices.Clone(rows), func(e event.Event) bool { return e.Time.Unix() < start || e.Time.Unix() >= start+step })
		if v := bruteCell(q, &plain, at).Value; v.Kind() != event.Null {
			values = append(values, v)
		}
	}
	return values
}

func matches(filters []spec.Filter, or bool, e *event.Event) bool {
	if len(filters) == 0 {
		return true
	}
	for i := range filters {
		v, _ := e.Get(filters[i].Column)
		if filters[i].Match(v) == or {
			return or
		}
	}
	return !or
}

func bruteCell(q *spec.Query, c *spec.Calculation, rows []event.Event) Cell {
	if of, rate := c.Op.Rate(); rate {
		values := intervalValues(q, c, of, rows)
		if len(values) < 2 {
			return Cell{}
		}
		return Cell{Value: difference(values[0], values[len(values)-1])}
	}
	var weight int64
	sum, floats := new(big.Rat), false
	var list []weighed
	var best event.Value
	seen := map[event.Value]bool{}
	for i := range rows {
		e := &rows[i]
		if !matches(c.Filters, c.Or, e) {
			continue
		}
		v, _ := e.Get(c.Column)
		if v.Kind() != event.Null {
			seen[spec.Canonical(v)] = true
		}
		if c.Op == spec.Count {
			weight += e.SampleRate
			continue
		}
		if v.Kind() != event.Int && (v.Kind() != event.Float || !finite(v.Float())) {
			continue
		}
		weight += e.SampleRate
		floats = floats || v.Kind() == event.Float
		x := new(big.Rat).SetInt64(v.Int())
		if v.Kind() == event.Float {
			x.SetFloat64(v.Float())
		}
		sum.Add(sum, x.Mul(x, new(big.Rat).SetInt64(e.SampleRate)))
		list = append(list, weighed{v.Float() + 0, uint64(e.SampleRate)})
		order := spec.Compare(v, best)
		if c.Op == spec.Min {
			order = -order
		}
		if best.Kind() == event.Null || order > 0 || order == 0 && v.Kind() == event.Int {
			best = v
		}
	}
	switch c.Op {
	case spec.Count:
		return Cell{Value: event.IntValue(weight)}
	case spec.CountDistinct:
		return Cell{Value: event.IntValue(int64(len(seen)))}
	case spec.Heatmap:
		return Cell{Heatmap: bruteHeatmap(list)}
	}
	if len(list) == 0 {
		return Cell{}
	}
	rounded, _ := sum.Float64()
	switch c.Op {
	case spec.Sum:
		if !floats && sum.Num().IsInt64() {
			return Cell{Value: event.IntValue(sum.Num().Int64())}
		}
		return Cell{Value: number(rounded)}
	case spec.Avg:
		return Cell{Value: number(rounded / float64(weight))}
	case spec.Min, spec.Max:
		if best.Kind() == event.Float && best.Float() == 0 {
			best = event.FloatValue(0)
		}
		return Cell{Value: best}
	}
	perMille, _ := c.Op.Quantile()
	slices.SortFunc(list, func(a, b weighed) int { return cmp.Compare(a.v, b.v) })
	target := int64(math.Ceil(float64(weight) * float64(perMille) / 1000))
	for _, x := range list {
		if target -= int64(x.w); target <= 0 {
			return Cell{Value: event.FloatValue(x.v)}
		}
	}
	panic("no percentile")
}

func bruteHeatmap(list []weighed) []Bucket {
	counts := map[[2]float64]float64{}
	for _, x := range list {
		m := math.Abs(x.v)
		low, high := 0.0, math.Ldexp(1, -1025)
		if m >= math.Ldexp(1, -1022) {
			fraction, exp := math.Frexp(m)
			i := math.Floor((fraction - 0.5) * 16)
			low, high = math.Ldexp(0.5+i/16, exp), math.Ldexp(0.5+(i+1)/16, exp)
		}
		if x.v < 0 {
			low, high = -high, -low+0
		}
		counts[[2]float64{low, high}] += float64(x.w)
	}
	var buckets []Bucket
	for k, n := range counts {
		buckets = append(buckets, Bucket{k[0], k[1], n})
	}
	slices.SortFunc(buckets, func(a, b Bucket) int { return cmp.Compare(a.From, b.From) })
	return buckets
}

var (
	names  = []string{"a", "b", "c", "missing"}
	began  = time.Unix(1_800_000_000, 0).UTC()
	values = rapid.OneOf(
		rapid.Just(event.Value{}), rapid.Map(rapid.Bool(), event.BoolValue), rapid.Map(rapid.IntRange(-3, 3), func(i int) event.Value { return event.IntValue(int64(i)) }),
		rapid.Map(rapid.IntRange(-6, 6), func(i int) event.Value { return event.FloatValue(float64(i) / 2) }), rapid.Map(rapid.SampledFrom([]string{"", "x", "xy", "yx", "z"}), event.StringValue),
		rapid.Map(rapid.SampledFrom([]float64{0.1, 0.2, 1e300, -1e300, 1e-300, math.Copysign(0, -1), math.NaN()}), event.FloatValue),
		rapid.Map(rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1<<53 + 1}), event.IntValue),
	)
	texts  = rapid.Map(rapid.SampledFrom([]string{"", "x", "xy", "yx", "z"}), event.StringValue)
	floats = rapid.Map(rapid.IntRange(-6, 6), func(i int) event.Value { return event.FloatValue(float64(i) / 10) })
)

func drawRows(t *rapid.T) []event.Event {
	var kinds []*rapid.Generator[event.Value]
	for range 3 {
		kinds = append(kinds, rapid.SampledFrom([]*rapid.Generator[event.Value]{values, values, texts, floats}).Draw(t, "kind"))
	}
	sampled := rapid.Bool().Draw(t, "sampled")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.Event {
		e := event.Event{Time: began.Add(time.Duration(rapid.Int64Range(-2, 40).Draw(t, "s"))*time.Second + time.Duration(rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))), SampleRate: 1}
		if sampled {
			e.SampleRate = rapid.SampledFrom([]int64{1, 2, 10, 1000}).Draw(t, "rate")
		}
		for i, g := range kinds {
			if rapid.IntRange(0, 4).Draw(t, "there") > 0 {
				e.Fields = append(e.Fields, event.Field{Name: names[i], Value: g.Draw(t, "value")})
			}
		}
		return e
	}), 0, 60).Draw(t, "rows")
}

func drawFilters(t *rapid.T) (list []spec.Filter) {
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "filters") {
		f := spec.Filter{Column: rapid.SampledFrom(names).Draw(t, "column"), Op: rapid.SampledFrom(spec.FilterOps()).Draw(t, "op")}
		constant := values.Filter(func(v event.Value) bool { return v.Kind() != event.Null && v != event.FloatValue(math.NaN()) })
		switch op, _ := spec.Positive(f.Op); op {
		case "exists":
		case "in":
			f.Values = rapid.SliceOfN(constant, 1, 3).Draw(t, "values")
		case "starts-with", "ends-with", "contains":
			f.Values = []event.Value{texts.Draw(t, "text")}
		default:
			f.Values = []event.Value{constant.Draw(t, "value")}
		}
		list = append(list, f)
	}
	return list
}

func drawQuery(t *rapid.T) *spec.Query {
	q := &spec.Query{Limit: rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "limit"), TableOnly: rapid.Bool().Draw(t, "table only")}
	for i := range rapid.IntRange(1, 4).Draw(t, "calculations") {
		c := spec.Calculation{Op: rapid.SampledFrom(spec.Ops()).Draw(t, "op"), Name: fmt.Sprint("c", i)}
		if c.Op != spec.Count {
			c.Column = rapid.SampledFrom(names).Draw(t, "column")
		}
		c.Filters, c.Or = drawFilters(t), rapid.Bool().Draw(t, "or")
		q.Calculations = append(q.Calculations, c)
	}
	q.Filters, q.Or = drawFilters(t), rapid.Bool().Draw(t, "or")
	q.Breakdowns = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, func(s string) string { return s }).Draw(t, "breakdowns")
	for range rapid.IntRange(0, 2).Draw(t, "orders") {
		o := spec.Order{Descending: rapid.Bool().Draw(t, "descending")}
		if c := rapid.SampledFrom(q.Calculations).Draw(t, "by"); c.Op != spec.Heatmap {
			o.Op, o.Column = c.Op, c.Column
		} else if len(q.Breakdowns) > 0 {
			o.Column = rapid.SampledFrom(q.Breakdowns).Draw(t, "by")
		} else {
			continue
		}
		q.Orders = append(q.Orders, o)
	}
	if c := rapid.SampledFrom(q.Calculations).Draw(t, "having"); c.Op != spec.Heatmap && rapid.IntRange(0, 3).Draw(t, "havings") == 0 {
		q.Havings = []spec.Having{{Op: c.Op, Column: c.Column, Cmp: rapid.SampledFrom([]string{"=", "!=", ">", ">=", "<", "<="}).Draw(t, "cmp"), Value: float64(rapid.IntRange(-2, 5).Draw(t, "value"))}}
	}
	start := rapid.Int64Range(-1, 5).Draw(t, "start")
	length := rapid.Int64Range(1, 40).Draw(t, "length")
	q.Start, q.End = began.Add(time.Duration(start)*time.Second), began.Add(time.Duration(start+length)*time.Second)
	q.Granularity = time.Duration(rapid.Int64Range(1, max(length/10, 1)).Draw(t, "granularity")) * time.Second
	return q
}

// TestModel: whatever the query, the data, how they are split and in which order they are merged, the result is the
// model's and the partial results' bytes are the same.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, rows := drawQuery(t), drawRows(t)
		q, err := spec.Decode(spec.Encode(q))
		if err != nil {
			t.Fatal(err)
		}
		want := brute(q, rows)
		var encoded []byte
		for range 2 {
			p := mergedAtRandom(t, q, rows)
			if got := finished(p, q); !same(got, want) {
				t.Fatalf("query %+v\ngot  %+v\nwant %+v", q, got, want)
			}
			again := p.Encode()
			if encoded != nil && !bytes.Equal(encoded, again) {
				t.Fatalf("query %+v: another split gave other bytes", q)
			}
			encoded = again
			rows = rapid.Permutation(rows).Draw(t, "order")
		}
	})
}

// TestGroupsOfOneDictionary: groups are the model's where blocks, also of several scans, share dictionaries, and differ in what else is
// in the column.
func TestGroupsOfOneDictionary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.OneOf(texts, texts, texts, rapid.SampledFrom([]event.Value{{}, event.IntValue(1), event.IntValue(7), event.FloatValue(0.5), event.BoolValue(true)}))
		from := rapid.Int64Range(0, 9).Draw(t, "from")
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.Event {
			return event.Event{Time: began.Add(time.Duration(rapid.Int64Range(from, 9).Draw(t, "s")) * time.Second), SampleRate: 1,
				Fields: []event.Field{{Name: "a", Value: few.Draw(t, "a")}, {Name: "b", Value: texts.Draw(t, "b")}}}
		}), 1, 40).Draw(t, "rows")
		q, err := spec.Decode(spec.Encode(&spec.Query{Limit: 1000, Start: began, End: began.Add(10 * time.Second), Granularity: time.Second, TableOnly: rapid.Bool().Draw(t, "table only"),
			Breakdowns: rapid.SampledFrom([][]string{{"a"}, {"a"}, {"b"}, {"a", "b"}}).Draw(t, "breakdowns"), Calculations: []spec.Calculation{{Op: spec.Count, Name: "c"}}}))
		if err != nil {
			t.Fatal(err)
		}
		a, dicts := New(q, nil), dictionaries(rows)
		for _, s := range split(t, rows) {
			s.dicts, s.plain, s.block = dicts, false, rapid.IntRange(1, 6).Draw(t, "block")
			if _, err := a.Add(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := finished(a.Partial(), q), brute(q, rows); !same(got, want) {
			t.Fatalf("query %+v\ngot  %+v\nwant %+v", q, got, want)
		}
	})
}

func mergedAtRandom(t *rapid.T, q *spec.Query, rows []event.Event) *Partial {
	partials := []*Partial{New(q, nil).Partial()}
	a := New(q, nil)
	for _, s := range split(t, rows) {
		if _, err := a.Add(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "on") {
			partials = append(partials, a.Partial())
			a = New(q, nil)
		}
	}
	partials = append(partials, a.Partial())
	for len(partials) > 1 {
		i := rapid.IntRange(0, len(partials)-2).Draw(t, "merge")
		other := partials[i+1]
		if rapid.Bool().Draw(t, "send") {
			b := other.Encode()
			var err error
			if other, err = Decode(b, nil); err != nil {
				t.Fatalf("decode: %v", err)
			}
			if !bytes.Equal(other.Encode(), b) {
				t.Fatal("decoding and encoding changed the bytes")
			}
		}
		if err := partials[i].Merge(other); err != nil {
			t.Fatal(err)
		}
		partials = slices.Delete(partials, i+1, i+2)
	}
	return partials[0]
}

// same compares results; the model's percentiles are exact, so few enough values are drawn for that.
func same(a, b *Result) bool {
	return reflect.DeepEqual(a.Columns, b.Columns) && a.Truncated == b.Truncated && slices.EqualFunc(a.Rows, b.Rows, sameRow) &&
		slices.EqualFunc(a.Series, b.Series, func(p, q Point) bool { return p.Start == q.Start && sameRow(p.Row, q.Row) })
}

func sameRow(a, b Row) bool {
	return slices.Equal(a.Group, b.Group) && slices.EqualFunc(a.Values, b.Values, func(c, d Cell) bool {
		return c.Value == d.Value && slices.Equal(c.Heatmap, d.Heatmap)
	})
}
