package exec

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// slot is a state that calculations share, and what it is of.
type slot struct {
	kind   uint8
	column int // in the block; -1 for counts
	where  int // index of its condition; -1: none of its own
}

// plan is how a query is calculated.
type plan struct {
	shape
	query    *spec.Query
	columns  []string
	filter   condition
	wheres   []condition // of calculations
	slots    []slot
	slotOf   []int // by calculation
	weighted bool  // sample rates matter
	first    int64 // Unix nanoseconds where the first interval begins
	step     int64
	stride   int // how many rows are added at once: what they may need is bounded by it
}

func newPlan(q *spec.Query) *plan {
	p := &plan{query: q}
	first, n := q.Intervals()
	p.first, p.step = first*int64(time.Second), int64(q.Granularity)
	if q.TableOnly && !slices.ContainsFunc(q.Calculations, func(c spec.Calculation) bool { _, rate := c.Op.Rate(); return rate }) {
		p.first, p.step, n = q.Start.UnixNano(), int64(q.End.Sub(q.Start)), 1
	}
	p.intervals, p.keys = n, len(q.Breakdowns)
	p.filter = p.condition(q.Filters, q.Or)
	same := map[string]int{}
	conditions := map[string]int{}
	for i := range q.Calculations {
		c := &q.Calculations[i]
		s := slot{kind: kindFor(c.Op), column: -1, where: -1}
		where := string(spec.Encode(&spec.Query{Filters: c.Filters, Or: c.Or}))
		key := fmt.Sprintf("%d %q %s", s.kind, c.Column, where)
		at, known := same[key]
		if !known {
			if c.Column != "" {
				s.column = p.column(c.Column)
			}
			if len(c.Filters) > 0 {
				w, there := conditions[where]
				if !there {
					w = len(p.wheres)
					conditions[where] = w
					p.wheres = append(p.wheres, p.condition(c.Filters, c.Or))
				}
				s.where = w
			}
			at = len(p.slots)
			same[key] = at
			p.slots = append(p.slots, s)
			p.shape.slots = append(p.shape.slots, s.kind)
		}
		p.weighted = p.weighted || s.kind == kindCount || s.kind == kindTotal || s.kind == kindSpread
		p.slotOf = append(p.slotOf, at)
	}
	worst := int64(0)
	for _, kind := range p.shape.slots {
		worst += worstRow[kind]
	}
	p.stride = int(max(MaxMemory/worst, 256))
	for _, b := range q.Breakdowns {
		p.column(b)
	}
	// How the table is ordered and cut does not change partial results.
	core := *q
	core.Orders, core.Havings, core.Limit = nil, nil, 1
	p.shape.query = hashText(string(spec.Encode(&core)))
	return p
}

// column is the place of a column in the blocks that are asked for.
func (p *plan) column(name string) int {
	if i := slices.Index(p.columns, name); i >= 0 {
		return i
	}
	p.columns = append(p.columns, name)
	return len(p.columns) - 1
}

func (p *plan) condition(filters []spec.Filter, or bool) condition {
	c := condition{filters: filters, or: or}
	for i := range filters {
		c.columns = append(c.columns, p.column(filters[i].Column))
	}
	return c
}

// Aggregator calculates a query over sources. It is for one task.
type Aggregator struct {
	plan  *plan
	table *table
	rows  int64

	grouper  grouper
	keep     []bool
	selected []int32
	groups   []int32
	cells    []int32
	sub      []int32 // of calculations with filters
	subCells []int32
	work     workspace
}

// New makes an aggregator for a checked query, whose memory is of a share; nil bounds it by [MaxMemory] alone.
func New(q *spec.Query, share *Share) *Aggregator {
	p := newPlan(q)
	a := &Aggregator{plan: p, table: newTable(p.shape)}
	a.table.share = share
	for _, b := range q.Breakdowns {
		a.grouper.columns = append(a.grouper.columns, p.column(b))
	}
	a.grouper.coders = make([]coder, p.keys)
	a.grouper.pairers = make([]pairer, max(p.keys-1, 0))
	return a
}

// Add calculates over a source, unless its statistics say that nothing in it can matter: then it is skipped without being
// read. After an error a part of the source may have been added: the aggregator must be thrown away. Errors match [ErrBusy] if the
// share has no room. A query that is too large is not an error here, because that is said of all of the data: see [Partial.Finish].
func (a *Aggregator) Add(ctx context.Context, src segment.Source) (skipped bool, err error) {
	info := src.Info()
	if Skips(a.plan.query, &info) {
		return true, nil
	}
	if a.table.bar == 0 {
		return false, nil // whatever is in it would be left out
	}
	// Heads of the rows that are not looked at need not be decoded.
	heads, within := segment.Heads(0), info.MinTime >= a.plan.query.Start.UnixNano() && info.MaxTime < a.plan.query.End.UnixNano()
	only := -1 // the interval of all rows that are in the time range
	switch {
	case a.plan.intervals == 1:
		only = 0
	case within && a.interval(info.MinTime) == a.interval(info.MaxTime):
		only = a.interval(info.MinTime)
	}
	if !within || only < 0 {
		heads |= segment.HeadTime
	}
	if a.plan.weighted {
		heads |= segment.HeadSampleRate
	}
	a.grouper.begin()
	return false, segment.ScanOnly(ctx, src, heads, a.plan.columns, func(b *segment.Block) error {
		if len(b.Columns) != len(a.plan.columns) {
			return fmt.Errorf("a block of %s has %d columns, asked for were %d", info.Key, len(b.Columns), len(a.plan.columns))
		}
		return a.block(b, within, only)
	})
}

// Rows is how many rows were scanned.
func (a *Aggregator) Rows() int64 { return a.rows }

// Partial is what was added so far. The aggregator must not be used afterwards.
func (a *Aggregator) Partial() *Partial {
	a.table.finish()
	return &Partial{a.table}
}

// Discard gives back the memory of an aggregator that is thrown away.
func (a *Aggregator) Discard() { a.table.discard() }

// block adds a block's rows. within says that all of them are in the query's time range; only is the interval of all that
// are, or -1.
func (a *Aggregator) block(b *segment.Block, within bool, only int) error {
	a.rows += int64(b.Rows)
	rows, n := a.choose(b, within)
	var weight []int64
	if n > 0 && a.plan.weighted && !b.Unsampled {
		weight = weights(b.SampleRate[:b.Rows])
	}
	for n > 0 && a.table.bar > 0 {
		in := input{n: min(n, a.plan.stride), rows: rows, weight: weight, work: &a.work}
		if rows != nil {
			in.rows = rows[:in.n]
		}
		done := a.add(b, in, only)
		a.table.settle(false)
		if err := a.table.hold(); err != nil {
			return err
		}
		if n -= done; n > 0 && rows == nil {
			rows = a.all(b.Rows)
		}
		rows = rows[min(done, len(rows)):]
	}
	return nil
}

// all is the rows of a block, each.
func (a *Aggregator) all(n int) []int32 {
	a.selected = resized(a.selected, n)
	for i := range a.selected {
		a.selected[i] = int32(i)
	}
	return a.selected
}

// add adds selected rows, or as many of the first of them as there is room for in the table, and returns how many.
func (a *Aggregator) add(b *segment.Block, in input, only int) (done int) {
	if a.plan.keys > 0 {
		a.groups = resized(a.groups, in.n)
		var leftOut bool
		in.n, leftOut = a.grouper.group(a.table, b, in.rows, in.n, only, a.groups)
		if in.rows != nil {
			in.rows = in.rows[:in.n]
		}
		done = in.n
		if leftOut {
			a.dropLeftOut(&in)
		}
	} else {
		done = in.n
	}
	if in.n == 0 {
		return done
	}
	a.place(b, &in, only)
	for i := range a.plan.slots {
		s := &a.plan.slots[i]
		with := &in
		if s.where >= 0 {
			part := a.part(b, &in, &a.plan.wheres[s.where])
			with = &part
		}
		if with.n == 0 {
			continue
		}
		var v *segment.Vector
		if s.column >= 0 {
			v = &b.Columns[s.column]
		}
		a.table.memory += a.table.states[i].update(with, v)
	}
	return done
}

// choose selects the rows that the query is about; nil is all.
func (a *Aggregator) choose(b *segment.Block, within bool) (rows []int32, n int) {
	q := a.plan.query
	if within && len(q.Filters) == 0 {
		return nil, b.Rows
	}
	a.keep = resized(a.keep, b.Rows)
	for i := range a.keep {
		a.keep[i] = true
	}
	if !within {
		start, end := q.Start.UnixNano(), q.End.UnixNano()
		for i, t := range b.Time[:b.Rows] {
			a.keep[i] = t >= start && t < end
		}
	}
	a.plan.filter.apply(b, a.keep)
	a.selected = resized(a.selected, b.Rows)
	for i, keep := range a.keep {
		a.selected[n] = int32(i)
		if keep {
			n++
		}
	}
	if n == b.Rows {
		return nil, n
	}
	return a.selected[:n], n
}

// weights is nil if all sample rates are 1.
func weights(rates []int64) []int64 {
	var other int64
	for _, r := range rates {
		other |= r ^ 1
	}
	if other == 0 {
		return nil
	}
	return rates
}

// dropLeftOut takes rows whose groups are left out from the selection.
func (a *Aggregator) dropLeftOut(in *input) {
	a.selected = resized(a.selected, max(in.n, len(in.rows)))
	kept := 0
	for k := range in.n {
		if a.groups[k] < 0 {
			continue
		}
		row := int32(k)
		if in.rows != nil {
			row = in.rows[k]
		}
		a.selected[kept], a.groups[kept] = row, a.groups[k]
		kept++
	}
	in.rows, in.n = a.selected[:kept], kept
}

// place finds the cells of the selected rows.
func (a *Aggregator) place(b *segment.Block, in *input, only int) {
	t := a.table
	if a.plan.keys == 0 {
		if len(t.groups) == 0 {
			t.addGroup("", 0)
		}
		if only < 0 {
			if low, high := span(b.Time[:b.Rows]); low >= a.plan.first && a.interval(low) == a.interval(high) {
				only = a.interval(low)
			}
		}
		if only >= 0 {
			in.cell = t.cell(0, only)
			return
		}
	}
	if only >= 0 {
		in.cells = a.groups[:in.n] // the grouper has found the cells
		return
	}
	a.cells = resized(a.cells, in.n)
	in.cells = a.cells
	var low, high int64 // of the interval looked up last
	interval := 0
	for k := range in.n {
		row := k
		if in.rows != nil {
			row = int(in.rows[k])
		}
		if at := b.Time[row]; at < low || at >= high {
			interval = a.interval(at)
			low = a.plan.first + int64(interval)*a.plan.step
			high = low + a.plan.step
		}
		g := int32(0)
		if a.plan.keys > 0 {
			g = a.groups[k]
		}
		c := t.places[int(g)*t.intervals+interval] - 1
		if c < 0 {
			c = t.cell(g, interval)
		}
		in.cells[k] = c
	}
}

func span(times []int64) (low, high int64) {
	low, high = times[0], times[0]
	for _, t := range times {
		low, high = min(low, t), max(high, t)
	}
	return low, high
}

// interval is the number of the interval that a time (Unix nanoseconds) is in.
func (a *Aggregator) interval(at int64) int { return int((at - a.plan.first) / a.plan.step) }

// part is the rows of a selection that match a calculation's own filters.
func (a *Aggregator) part(b *segment.Block, in *input, where *condition) input {
	a.keep = resized(a.keep, b.Rows)
	for i := range a.keep {
		a.keep[i] = true
	}
	where.apply(b, a.keep)
	part := *in
	a.sub, a.subCells = resized(a.sub, in.n), resized(a.subCells, in.n)
	n := 0
	for k := range in.n {
		row, cell, _ := in.at(k)
		a.sub[n], a.subCells[n] = int32(row), cell
		if a.keep[row] {
			n++
		}
	}
	part.n, part.rows = n, a.sub[:n]
	if in.cells != nil {
		part.cells = a.subCells[:n]
	}
	return part
}
