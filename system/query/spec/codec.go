package spec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/wire"
)

// ErrEncoding marks bytes that are not an encoded query.
var ErrEncoding = errors.New("not an encoded query")

// version of the encoding.
const version = 1

// Encode writes a query for another node. Decode reads it back exactly.
func Encode(q *Query) []byte {
	e := encoder{[]byte{version}}
	e.uint(uint64(len(q.Calculations)))
	for i := range q.Calculations {
		c := &q.Calculations[i]
		e.str(string(c.Op))
		e.str(c.Column)
		e.str(c.Name)
		e.filters(c.Filters)
		e.bool(c.Or)
	}
	e.filters(q.Filters)
	e.bool(q.Or)
	e.uint(uint64(len(q.Breakdowns)))
	for _, b := range q.Breakdowns {
		e.str(b)
	}
	e.uint(uint64(len(q.Orders)))
	for _, o := range q.Orders {
		e.str(string(o.Op))
		e.str(o.Column)
		e.bool(o.Descending)
	}
	e.uint(uint64(len(q.Havings)))
	for _, h := range q.Havings {
		e.str(string(h.Op))
		e.str(h.Column)
		e.str(h.Cmp)
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(h.Value))
	}
	e.uint(uint64(q.Limit))
	e.uint(uint64(q.Start.Unix()))
	e.uint(uint64(q.End.Unix()))
	e.uint(uint64(q.Granularity / time.Second))
	e.bool(q.TableOnly)
	return e.b
}

// Decode reads what Encode wrote and checks it as Parse does, so that what it gives back can be calculated in bounded
// memory. Errors match ErrEncoding.
func Decode(data []byte) (*Query, error) {
	d := decoder{wire.NewReader(data)}
	q := d.query()
	if d.End() == nil {
		d.check(q)
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return q, nil
}

type encoder struct{ b []byte }

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) str(s string) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) filters(list []Filter) {
	e.uint(uint64(len(list)))
	for i := range list {
		e.str(list[i].Column)
		e.str(list[i].Op)
		e.uint(uint64(len(list[i].Values)))
		for _, v := range list[i].Values {
			e.b = AppendValue(e.b, v)
		}
	}
}

// AppendValue appends a value's exact encoding.
func AppendValue(b []byte, v event.Value) []byte {
	b = append(b, byte(v.Kind()))
	switch v.Kind() {
	case event.Bool:
		b = append(b, byte(truth(v)))
	case event.Int:
		b = binary.AppendVarint(b, v.Int())
	case event.Float:
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case event.String:
		b = binary.AppendUvarint(b, uint64(len(v.Str())))
		b = append(b, v.Str()...)
	}
	return b
}

// ReadValue reads what AppendValue wrote.
func ReadValue(r *wire.Reader) event.Value {
	switch kind := event.Kind(r.Byte()); kind {
	case event.Null:
		return event.Value{}
	case event.Bool:
		return event.BoolValue(r.Bool())
	case event.Int:
		return event.IntValue(r.Int())
	case event.Float:
		return event.FloatValue(r.Float())
	case event.String:
		return event.StringValue(string(r.Bytes(r.Uint())))
	default:
		r.Fail("there is no kind of value %d", kind)
	}
	return event.Value{}
}

type decoder struct{ wire.Reader }

func (d *decoder) str() string { return string(d.Bytes(d.Uint())) }

func (d *decoder) filters() []Filter {
	n := d.CountUpTo(MaxFilters)
	var list []Filter
	for range n {
		f := Filter{Column: d.str(), Op: d.str()}
		for range d.CountUpTo(MaxValues) {
			f.Values = append(f.Values, ReadValue(&d.Reader))
		}
		list = append(list, f)
	}
	return list
}

func (d *decoder) query() *Query {
	if v := d.Byte(); v != version {
		d.Fail("version %d, expected %d", v, version)
		return nil
	}
	q := &Query{}
	for range d.CountUpTo(MaxCalculations) {
		c := Calculation{Op: Op(d.str()), Column: d.str(), Name: d.str()}
		c.Filters, c.Or = d.filters(), d.Bool()
		q.Calculations = append(q.Calculations, c)
	}
	q.Filters, q.Or = d.filters(), d.Bool()
	for range d.CountUpTo(MaxBreakdowns) {
		q.Breakdowns = append(q.Breakdowns, d.str())
	}
	for range d.CountUpTo(MaxBreakdowns + MaxCalculations) {
		q.Orders = append(q.Orders, Order{Op: Op(d.str()), Column: d.str(), Descending: d.Bool()})
	}
	for range d.CountUpTo(MaxFilters) {
		q.Havings = append(q.Havings, Having{Op: Op(d.str()), Column: d.str(), Cmp: d.str(), Value: d.Float()})
	}
	limit, start, end, step := d.Uint(), d.Uint(), d.Uint(), d.Uint()
	q.TableOnly = d.Bool()
	if limit > MaxTableLimit || start > maxUnix || end > 2*maxUnix || step > uint64(MaxRange/time.Second) {
		d.Fail("limit %d, start %d, end %d or granularity %d is out of bounds", limit, start, end, step)
		return nil
	}
	q.Limit = int(limit)
	q.Start, q.End = time.Unix(int64(start), 0).UTC(), time.Unix(int64(end), 0).UTC()
	q.Granularity = time.Duration(step) * time.Second
	return q
}

// check holds what calculating relies on.
func (d *decoder) check(q *Query) {
	if len(q.Calculations) == 0 || q.Limit < 1 {
		d.Fail("there is nothing to calculate")
	}
	if !q.Start.Before(q.End) || q.End.Sub(q.Start) > MaxRange || q.Granularity <= 0 {
		d.Fail("the time range %d to %d or its granularity %v is out of bounds", q.Start.Unix(), q.End.Unix(), q.Granularity)
		return
	}
	if _, n := q.Intervals(); n > MaxIntervals {
		d.Fail("%d intervals, at most %d are allowed", n, MaxIntervals)
	}
	for i := range q.Calculations {
		c := &q.Calculations[i]
		if !containsOp(c.Op) || (c.Op == Count) != (c.Column == "") {
			d.Fail("there is no calculation %s of column %q", document.Short(string(c.Op)), document.Short(c.Column))
		}
		d.checkFilters(c.Filters)
	}
	d.checkFilters(q.Filters)
	for _, o := range q.Orders {
		if o.Op == "" && !slices.Contains(q.Breakdowns, o.Column) || o.Op != "" && (o.Op == Heatmap || q.Calculation(o.Op, o.Column) < 0) {
			d.Fail("the order by %s %q is of nothing that is there", document.Short(string(o.Op)), document.Short(o.Column))
		}
	}
	for _, h := range q.Havings {
		if h.Op == Heatmap || q.Calculation(h.Op, h.Column) < 0 || !slices.Contains(comparisons, h.Cmp) || math.IsNaN(h.Value) {
			d.Fail("the having of %s %q is of nothing that is there", document.Short(string(h.Op)), document.Short(h.Column))
		}
	}
}

func containsOp(op Op) bool {
	for _, o := range Ops() {
		if o == op {
			return true
		}
	}
	return false
}

func (d *decoder) checkFilters(list []Filter) {
	for i := range list {
		f := &list[i]
		positive, _ := Positive(f.Op)
		enough := len(f.Values) == 1
		switch positive {
		case opExists:
			enough = len(f.Values) == 0
		case opIn:
			enough = len(f.Values) > 0
		}
		if !slices.Contains(FilterOps(), f.Op) || !enough {
			d.Fail("the filter %q of column %q with %d values is none", document.Short(f.Op), document.Short(f.Column), len(f.Values))
		}
	}
}
