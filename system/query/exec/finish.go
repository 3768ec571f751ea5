package exec

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// Finish makes the result of a query from a partial result of it (of another query it panics): the table with its havings,
// orders and limit, and the series of the groups that are in the table. p can still be merged into afterwards.
func (p *Partial) Finish(q *spec.Query) *Result {
	plan := newPlan(q)
	if !p.table.equal(&plan.shape) {
		panic("exec: Partial.Finish: the partial result is of another query")
	}
	f := finisher{plan: plan, table: p.table}
	r := &Result{Columns: q.Columns(), Truncated: p.table.bar != noBar}
	rows := f.rows()
	for _, row := range rows {
		r.Rows = append(r.Rows, row.Row)
	}
	if !q.TableOnly {
		most := f.mostInSeries(rows)
		r.Truncated = r.Truncated || most < len(rows)
		r.Series = f.series(rows[:most])
	}
	return r
}

type finisher struct {
	*plan
	table *table
}

// groupRow is a row of the table and the group that it is of; -1 for the row over no data.
type groupRow struct {
	Row
	group int32
}

// rows is the table.
func (f *finisher) rows() []groupRow {
	var rows []groupRow
	for _, g := range f.table.sorted() {
		row := groupRow{Row{slices.Clone(f.table.groups[g].values), f.sum(g)}, g}
		if f.passes(row.Values) {
			rows = append(rows, row)
		}
	}
	if f.keys == 0 && len(f.table.groups) == 0 {
		empty := newTable(f.shape)
		for _, s := range empty.states {
			s.resize(1)
		}
		if row := (groupRow{Row{nil, f.cells(empty.states, 0)}, -1}); f.passes(row.Values) {
			rows = append(rows, row)
		}
	}
	if len(f.query.Orders) > 0 {
		slices.SortStableFunc(rows, func(a, b groupRow) int { return f.compare(&a, &b) })
	}
	return rows[:min(len(rows), f.query.Limit)]
}

// sum merges a group's intervals.
func (f *finisher) sum(g int32) []Cell {
	places := f.table.places[int(g)*f.intervals : (int(g)+1)*f.intervals]
	if f.intervals == 1 && places[0] != 0 {
		return f.cells(f.table.states, int(places[0])-1)
	}
	whole := newTable(f.shape)
	for i, s := range whole.states {
		s.resize(1)
		for _, c := range places {
			if c != 0 {
				s.merge(0, f.table.states[i], int(c)-1)
			}
		}
	}
	cells := f.cells(whole.states, 0)
	for i := range f.query.Calculations {
		of, rate := f.query.Calculations[i].Op.Rate()
		if !rate {
			continue
		}
		var first, last event.Value
		for _, c := range places {
			if c == 0 {
				continue
			}
			if v := f.value(of, f.table.states[f.slotOf[i]], int(c)-1); v.Kind() != event.Null {
				if first.Kind() == event.Null {
					first = v
				} else {
					last = v
				}
			}
		}
		cells[i] = Cell{Value: difference(first, last)}
	}
	return cells
}

// difference is null unless both are there.
func difference(from, to event.Value) event.Value {
	if from.Kind() == event.Null || to.Kind() == event.Null {
		return event.Value{}
	}
	if from.Kind() == event.Int && to.Kind() == event.Int {
		a, b := from.Int(), to.Int()
		if d := b - a; (b^a)&(b^d) >= 0 {
			return event.IntValue(d)
		}
	}
	return number(to.Float() - from.Float())
}

// cells is all calculations of one cell; changes over time are null.
func (f *finisher) cells(s []states, cell int) []Cell {
	list := make([]Cell, len(f.query.Calculations))
	for i := range list {
		op := f.query.Calculations[i].Op
		if _, rate := op.Rate(); rate {
			continue
		}
		if op == spec.Heatmap {
			list[i].Heatmap = s[f.slotOf[i]].(*spreads).cells[cell].heatmap()
			continue
		}
		list[i].Value = f.value(op, s[f.slotOf[i]], cell)
	}
	return list
}

// value is one calculation of one cell.
func (f *finisher) value(op spec.Op, s states, cell int) event.Value {
	switch s := s.(type) {
	case *counts:
		return event.IntValue(int64(s.cells[cell]))
	case *totals:
		if op == spec.Avg {
			return s.cells[cell].average()
		}
		return s.cells[cell].value()
	case *extremes:
		return s.cells[cell].value()
	case *distincts:
		return event.IntValue(s.cells[cell].count())
	case *spreads:
		if perMille, ok := op.Quantile(); ok && s.cells[cell].weight > 0 {
			return event.FloatValue(s.cells[cell].quantile(perMille))
		}
	}
	return event.Value{}
}

// passes says whether a row keeps all havings. A null keeps none.
func (f *finisher) passes(cells []Cell) bool {
	for _, h := range f.query.Havings {
		v := cells[f.query.Calculation(h.Op, h.Column)].Value
		if v.Kind() == event.Null || !spec.Holds(h.Cmp, spec.Compare(v, event.FloatValue(h.Value))) {
			return false
		}
	}
	return true
}

func (f *finisher) compare(a, b *groupRow) int {
	for _, o := range f.query.Orders {
		var c int
		if o.Op == "" {
			i := slices.Index(f.query.Breakdowns, o.Column)
			c = spec.Compare(a.Group[i], b.Group[i])
		} else {
			i := f.query.Calculation(o.Op, o.Column)
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
}

// mostInSeries is how many groups' series are not too many points.
func (f *finisher) mostInSeries(rows []groupRow) int {
	points := 0
	for r := range rows {
		if g := int(rows[r].group); g >= 0 {
			for _, c := range f.table.places[g*f.intervals : (g+1)*f.intervals] {
				if c != 0 {
					points++
				}
			}
		}
		if points*max(1, len(f.query.Calculations)/4) > MaxPoints {
			return r
		}
	}
	return len(rows)
}

// series is the table's groups by interval.
func (f *finisher) series(rows []groupRow) []Point {
	var points []Point
	before := make([][]event.Value, len(rows)) // each group's last value of each calculation that is a change over time
	for interval := range f.intervals {
		start := (f.first + int64(interval)*f.step) / int64(time.Second)
		for r := range rows {
			if rows[r].group < 0 {
				continue
			}
			c := f.table.places[int(rows[r].group)*f.intervals+interval]
			if c == 0 {
				continue
			}
			cells := f.cells(f.table.states, int(c)-1)
			for i := range cells {
				of, rate := f.query.Calculations[i].Op.Rate()
				if !rate {
					continue
				}
				if before[r] == nil {
					before[r] = make([]event.Value, len(cells))
				}
				if v := f.value(of, f.table.states[f.slotOf[i]], int(c)-1); v.Kind() != event.Null {
					cells[i].Value = difference(before[r][i], v)
					before[r][i] = v
				}
			}
			points = append(points, Point{start, Row{slices.Clone(rows[r].Group), cells}})
		}
	}
	return points
}
