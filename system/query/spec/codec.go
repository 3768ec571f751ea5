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
	d := decoder{b: data}
	q := d.query()
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes are left over", len(d.b))
	}
	if d.err == nil {
		d.check(q)
	}
	if d.err != nil {
		return nil, d.err
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

// ReadValue reads what AppendValue wrote and returns the rest of b.
func ReadValue(b []byte) (event.Value, []byte, error) {
	d := decoder{b: b}
	v := d.value()
	return v, d.b, d.err
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail("it ends too early")
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	switch d.byte() {
	case 0:
		return false
	case 1:
		return true
	}
	d.fail("a boolean is neither 0 nor 1")
	return false
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail("a number is cut off or too long")
		return 0
	}
	d.b = d.b[size:]
	return n
}

// count reads a number of elements, each of which has at least one byte.
func (d *decoder) count(most int) int {
	n := d.uint()
	if n > uint64(most) || n > uint64(len(d.b)) {
		d.fail("%d elements where at most %d are allowed and %d bytes are left", n, most, len(d.b))
		return 0
	}
	return int(n)
}

func (d *decoder) str() string { return string(d.take(d.uint())) }

func (d *decoder) float() float64 {
	if p := d.take(8); p != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(p))
	}
	return 0
}

func (d *decoder) value() event.Value {
	switch kind := event.Kind(d.byte()); kind {
	case event.Null:
		return event.Value{}
	case event.Bool:
		return event.BoolValue(d.bool())
	case event.Int:
		n, size := binary.Varint(d.b)
		if size <= 0 {
			d.fail("a number is cut off or too long")
			return event.Value{}
		}
		d.b = d.b[size:]
		return event.IntValue(n)
	case event.Float:
		return event.FloatValue(d.float())
	case event.String:
		return event.StringValue(d.str())
	default:
		d.fail("there is no kind of value %d", kind)
	}
	return event.Value{}
}

func (d *decoder) filters() []Filter {
	n := d.count(MaxFilters)
	var list []Filter
	for range n {
		f := Filter{Column: d.str(), Op: d.str()}
		for range d.count(MaxValues) {
			f.Values = append(f.Values, d.value())
		}
		list = append(list, f)
	}
	return list
}

func (d *decoder) query() *Query {
	if v := d.byte(); v != version {
		d.fail("version %d, expected %d", v, version)
		return nil
	}
	q := &Query{}
	for range d.count(MaxCalculations) {
		c := Calculation{Op: Op(d.str()), Column: d.str(), Name: d.str()}
		c.Filters, c.Or = d.filters(), d.bool()
		q.Calculations = append(q.Calculations, c)
	}
	q.Filters, q.Or = d.filters(), d.bool()
	for range d.count(MaxBreakdowns) {
		q.Breakdowns = append(q.Breakdowns, d.str())
	}
	for range d.count(MaxBreakdowns + MaxCalculations) {
		q.Orders = append(q.Orders, Order{Op: Op(d.str()), Column: d.str(), Descending: d.bool()})
	}
	for range d.count(MaxFilters) {
		q.Havings = append(q.Havings, Having{Op: Op(d.str()), Column: d.str(), Cmp: d.str(), Value: d.float()})
	}
	limit, start, end, step := d.uint(), d.uint(), d.uint(), d.uint()
	q.TableOnly = d.bool()
	if limit > MaxTableLimit || start > maxUnix || end > 2*maxUnix || step > uint64(MaxRange/time.Second) {
		d.fail("limit %d, start %d, end %d or granularity %d is out of bounds", limit, start, end, step)
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
		d.fail("there is nothing to calculate")
	}
	if !q.Start.Before(q.End) || q.End.Sub(q.Start) > MaxRange || q.Granularity <= 0 {
		d.fail("the time range %d to %d or its granularity %v is out of bounds", q.Start.Unix(), q.End.Unix(), q.Granularity)
		return
	}
	if _, n := q.Intervals(); n > MaxIntervals {
		d.fail("%d intervals, at most %d are allowed", n, MaxIntervals)
	}
	for i := range q.Calculations {
		c := &q.Calculations[i]
		if !containsOp(c.Op) || (c.Op == Count) != (c.Column == "") {
			d.fail("there is no calculation %s of column %q", document.Short(string(c.Op)), document.Short(c.Column))
		}
		d.checkFilters(c.Filters)
	}
	d.checkFilters(q.Filters)
	for _, o := range q.Orders {
		if o.Op == "" && !slices.Contains(q.Breakdowns, o.Column) || o.Op != "" && (o.Op == Heatmap || q.Calculation(o.Op, o.Column) < 0) {
			d.fail("the order by %s %q is of nothing that is there", document.Short(string(o.Op)), document.Short(o.Column))
		}
	}
	for _, h := range q.Havings {
		if h.Op == Heatmap || q.Calculation(h.Op, h.Column) < 0 || !slices.Contains(comparisons, h.Cmp) || math.IsNaN(h.Value) {
			d.fail("the having of %s %q is of nothing that is there", document.Short(string(h.Op)), document.Short(h.Column))
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
			d.fail("the filter %q of column %q with %d values is none", document.Short(f.Op), document.Short(f.Column), len(f.Values))
		}
	}
}
