package exec

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// Finish makes the result of a query from a partial result of it (of another query it panics): the table with its havings,
// orders and limit, and the series of the groups that are in the table. p can still be merged into afterwards. The error matches
// [ErrTooLarge], and says what may help, if not even one group could be kept, or if the table alone, or the series of its first group,
// is larger than [MaxAnswer].
func (p *Partial) Finish(q *spec.Query) (*Result, error) {
	plan := newPlan(q)
	if !p.table.equal(&plan.shape) {
		panic("exec: Partial.Finish: the partial result is of another query")
	}
	if p.table.bar != noBar && len(p.table.groups) == 0 {
		return nil, plan.tooLarge("the result of a single group", MaxMemory)
	}
	f := finisher{plan: plan, table: p.table}
	r := &Result{Columns: q.Columns(), Truncated: p.table.bar != noBar}
	rows, left := f.rows(), int64(MaxAnswer)
	for i := range rows {
		f.heatmaps(&rows[i])
		if left -= r.sizeOf(&rows[i].Row); left < 0 {
			return nil, plan.tooLarge("the table", MaxAnswer)
		}
		r.Rows = append(r.Rows, rows[i].Row)
	}
	if !q.TableOnly {
		most := f.mostInSeries(r, rows, left)
		if most == 0 && len(rows) > 0 {
			return nil, plan.tooLarge("the series of a single group", MaxAnswer)
		}
		r.Truncated = r.Truncated || most < len(rows)
		r.Series = f.series(rows[:most])
	}
	return r, nil
}

// tooLarge says what is too large, and what to change.
func (p *plan) tooLarge(what string, most int) error {
	said := fmt.Sprintf("%d calculations", len(p.query.Calculations))
	do := "ask for fewer calculations (COUNT_DISTINCT, percentiles and HEATMAP need most)"
	if p.intervals > 1 {
		said += fmt.Sprintf(" in %d intervals", p.intervals)
		do += ", a coarser granularity, a shorter time range or no series"
	}
	if n := len(p.query.Breakdowns); n > 0 {
		said += fmt.Sprintf(" by %d breakdowns", n)
		do += ", fewer breakdowns or a lower limit"
	}
	return fmt.Errorf("%w: %s, %s, needs more than %d MiB: %s", ErrTooLarge, what, said, most>>20, do)
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

// rows is the table, without heatmaps.
func (f *finisher) rows() []groupRow {
	var rows []groupRow
	best := func() {
		if len(f.query.Orders) > 0 {
			slices.SortStableFunc(rows, func(a, b groupRow) int { return f.compare(&a, &b) })
		}
		kept := min(len(rows), f.query.Limit)
		clear(rows[kept:])
		rows = rows[:kept]
	}
	for _, g := range f.table.sorted() {
		row := groupRow{Row{f.table.groups[g].values, f.sum(g)}, g}
		if f.passes(row.Values) {
			rows = append(rows, row)
		}
		if len(rows) >= 2*f.query.Limit {
			best()
		}
	}
	if f.keys == 0 && len(f.table.groups) == 0 {
		empty := newTable(f.shape)
		for _, s := range empty.states {
			s.resize(1)
		}
		if row := (groupRow{Row{nil, f.cells(empty.states, 0, false)}, -1}); f.passes(row.Values) {
			rows = append(rows, row)
		}
	}
	best()
	return rows
}

// heatmaps fills in the heatmaps of a row of the table.
func (f *finisher) heatmaps(row *groupRow) {
	for i := range row.Values {
		if f.query.Calculations[i].Op != spec.Heatmap || row.group < 0 {
			continue
		}
		g, sum := int(row.group), &spreads{cells: make([]spread, 1)}
		for _, c := range f.table.places[g*f.intervals : (g+1)*f.intervals] {
			if c != 0 {
				sum.merge(0, f.table.states[f.slotOf[i]], int(c)-1)
			}
		}
		row.Values[i].Heatmap = sum.cells[0].heatmap()
	}
}

// sum merges a group's intervals.
func (f *finisher) sum(g int32) []Cell {
	places := f.table.places[int(g)*f.intervals : (int(g)+1)*f.intervals]
	if f.intervals == 1 && places[0] != 0 {
		return f.cells(f.table.states, int(places[0])-1, false)
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
	cells := f.cells(whole.states, 0, false)
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

// cells is all calculations of one cell; changes over time are null, and so are heatmaps where they are not asked for.
func (f *finisher) cells(s []states, cell int, heatmaps bool) []Cell {
	list := make([]Cell, len(f.query.Calculations))
	for i := range list {
		op := f.query.Calculations[i].Op
		if _, rate := op.Rate(); rate {
			continue
		}
		if op == spec.Heatmap {
			if heatmaps {
				list[i].Heatmap = s[f.slotOf[i]].(*spreads).cells[cell].heatmap()
			}
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

// mostInSeries is how many groups' series are not too many points, and not more bytes than are left.
func (f *finisher) mostInSeries(r *Result, rows []groupRow, left int64) int {
	points := 0
	for i := range rows {
		g := int(rows[i].group)
		if g < 0 {
			continue
		}
		each := r.sizeOf(&Row{rows[i].Group, make([]Cell, len(f.query.Calculations))})
		for _, c := range f.table.places[g*f.intervals : (g+1)*f.intervals] {
			if c == 0 {
				continue
			}
			points++
			left -= each
			for k := range f.query.Calculations {
				if f.query.Calculations[k].Op == spec.Heatmap {
					left -= bucketSize * int64(f.table.states[f.slotOf[k]].(*spreads).cells[c-1].mostBuckets())
				}
			}
		}
		if points*max(1, len(f.query.Calculations)/4) > MaxPoints || left < 0 {
			return i
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
			cells := f.cells(f.table.states, int(c)-1, true)
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
			points = append(points, Point{start, Row{rows[r].Group, cells}})
		}
	}
	return points
}
