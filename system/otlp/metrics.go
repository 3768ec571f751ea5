package otlp

import (
	"encoding/binary"
	"math"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	// maxPoints bounds the data points of one scope: a body of empty ones cannot ask for hundreds of megabytes.
	maxPoints = 200_000
	// sizeOfPoint and sizeOfGroup are what reading them takes, in bytes.
	sizeOfPoint = 48
	sizeOfGroup = 96
	// widestPoint is more than the columns that one data point without many quantiles has.
	widestPoint = 32
)

// pointKind is what a metric's data points are.
type pointKind uint8

// Kinds of data points.
const (
	numberPoint pointKind = iota
	histogramPoint
	exponentialPoint
	summaryPoint
)

// attributesAt is the field of each kind in which attributes are.
func (k pointKind) attributesAt() uint32 {
	switch k {
	case histogramPoint:
		return 9
	case exponentialPoint:
		return 1
	}
	return 7
}

// point is a data point that waits for the others of its event.
type point struct {
	name, raw string // the metric's name, and the point's message
	next      int32  // of its group; -1 at the end
	kind      pointKind
	bad       bool
}

// group is what becomes one event.
type group struct {
	second      uint64
	first, last int32 // in points
}

// pointSet is the data points of a scope.
type pointSet struct {
	points []point
	groups []group
	byKey  map[string]int32
	key    []byte
}

// metric reads a Metric and puts its points where they belong.
func (d *decoder) metric(raw string) {
	name := ""
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag == 1<<3|typeBytes {
			name = w.bytes()
		} else {
			w.skip()
		}
	}
	bad := w.bad
	name = d.clean(name) // also where the rest cannot be read: points before it can
	w = wire{s: raw}
	for tag := w.next(); tag != 0 && !d.tooMany && !d.NoRoom(); tag = w.next() {
		kind, ok := pointsAt(tag)
		if !ok {
			w.skip()
			continue
		}
		data := wire{s: w.bytes()}
		for tag := data.next(); tag != 0 && !d.tooMany && !d.NoRoom(); tag = data.next() {
			if tag == 1<<3|typeBytes {
				d.point(point{name: name, raw: data.bytes(), kind: kind})
			} else {
				data.skip()
			}
		}
		bad = bad || data.bad
	}
	if bad && !d.tooMany {
		d.point(point{bad: true}) // what could not be read counts as one
	}
}

// pointsAt says which kind of data points a field of a Metric holds; false if it holds none.
func pointsAt(tag uint32) (pointKind, bool) {
	switch tag {
	case 5<<3 | typeBytes, 7<<3 | typeBytes:
		return numberPoint, true
	case 9<<3 | typeBytes:
		return histogramPoint, true
	case 10<<3 | typeBytes:
		return exponentialPoint, true
	case 11<<3 | typeBytes:
		return summaryPoint, true
	}
	return 0, false
}

// hasPoints says whether a Metric has data points or cannot be read.
func hasPoints(raw string) bool {
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if _, ok := pointsAt(tag); !ok {
			w.skip()
			continue
		}
		data := wire{s: w.bytes()}
		for tag := data.next(); tag != 0; tag = data.next() {
			if tag == 1<<3|typeBytes {
				return true
			}
			data.skip()
		}
		w.bad = w.bad || data.bad
	}
	return w.bad
}

// point puts a point to the others of its second and attributes.
func (d *decoder) point(p point) {
	s := &d.points
	if len(s.points) == maxPoints {
		d.tooMany = true
		return
	}
	var nanos uint64
	s.key = append(s.key[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	w := wire{s: p.raw}
	attributes := p.kind.attributesAt()
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 3<<3 | typeFixed64:
			nanos = w.fixed64()
		case attributes<<3 | typeBytes:
			a := w.bytes()
			s.key = append(binary.AppendUvarint(s.key, uint64(len(a))), a...)
		default:
			w.skip()
		}
	}
	p.bad = p.bad || w.bad || p.name == ""
	p.next = -1
	second := nanos / 1e9
	binary.LittleEndian.PutUint64(s.key, second)
	if !d.Need(sizeOfPoint) {
		return
	}
	at := int32(len(s.points))
	s.points = append(s.points, p)
	if g, ok := s.byKey[string(s.key)]; ok && !p.bad {
		s.points[s.groups[g].last].next = at
		s.groups[g].last = at
		return
	}
	if !d.Need(sizeOfGroup + len(s.key)) {
		return
	}
	if s.byKey == nil {
		s.byKey = map[string]int32{}
	}
	if !p.bad {
		s.byKey[string(s.key)] = int32(len(s.groups))
	}
	s.groups = append(s.groups, group{second: second, first: at, last: at})
}

// endPoints makes events of the scope's points.
func (d *decoder) endPoints() {
	s := &d.points
	for i := range s.groups {
		if d.tooMany || d.NoRoom() {
			return
		}
		d.pointEvents(&s.groups[i])
	}
	s.points, s.groups = s.points[:0], s.groups[:0]
	clear(s.byKey)
}

// pointEvents makes a group of points one event, or several if they would be too many columns, set one of them twice or have a
// point among them that cannot be stored.
func (d *decoder) pointEvents(g *group) {
	for at := g.first; at >= 0; {
		next, spoilt, ok := d.pointEvent(g, at, -1)
		if spoilt >= 0 { // those before it are an event without it
			next, _, ok = d.pointEvent(g, at, spoilt)
		}
		if !ok {
			return
		}
		at = next
	}
}

// pointEvent makes an event of the group's points from one on, before another if that is not negative. next is the first
// that does not belong to it. If a point that does not begin the event cannot be a part of it, since it is bad or since others have
// set one of its columns, there is no event but spoilt is that point.
func (d *decoder) pointEvent(g *group, at, before int32) (next, spoilt int32, ok bool) {
	s := &d.points
	p := &s.points[at]
	if !d.begin(len(p.raw) * 2) {
		return -1, -1, false
	}
	e := d.new(g.second * 1e9)
	d.Set("meta.signal_type", event.StringValue("metric"))
	d.Set("meta.annotation_type", event.StringValue("metric_event"))
	d.shared()
	ofScope := d.rate
	bad := p.bad
	if d.attributes(p.raw, p.kind.attributesAt(), &bad); bad {
		d.Fail("the data point cannot be parsed, or its metric has no name")
	}
	e.SampleRate = max(d.rate, 1)
	d.rate = ofScope
	refused := d.Failed()
	n := int32(0)
	d.earlier, d.clashes = 0, false
	for at >= 0 && at != before {
		p = &s.points[at]
		if n > 0 {
			if d.earlier = d.Len(); d.earlier > event.MaxFields-widestPoint {
				break
			}
		}
		if bad := false; !p.bad {
			if d.columns(p, &bad); bad {
				d.Fail("a data point cannot be parsed")
			}
		}
		alone := !refused && d.Problem() != "" // what is wrong is this point
		if n > 0 && (alone || d.clashes) {
			return -1, at, true
		}
		at = p.next
		n++
		if alone {
			break
		}
	}
	if !d.Need(4) {
		return -1, -1, false
	}
	d.request.weights = append(d.request.weights, n)
	d.end(&e)
	d.owner++
	return at, -1, true
}

// columns sets what a point says.
func (d *decoder) columns(p *point, bad *bool) {
	switch p.kind {
	case numberPoint:
		d.number(p, bad)
	case histogramPoint:
		d.histogram(p, bad)
	case exponentialPoint:
		d.exponential(p, bad)
	case summaryPoint:
		d.summary(p, bad)
	}
}

// noRecordedValue is the flag of a point that has no value.
const noRecordedValue = 1

func (d *decoder) number(p *point, bad *bool) {
	var v event.Value
	none := false
	w := wire{s: p.raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 4<<3 | typeFixed64:
			v = float(math.Float64frombits(w.fixed64()))
		case 6<<3 | typeFixed64:
			v = event.IntValue(int64(w.fixed64()))
		case 8<<3 | typeVarint:
			none = w.varint()&noRecordedValue != 0
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	if none {
		v = event.Value{}
	}
	d.put(p.name, v)
}

// column sets one of the columns of a metric that has several.
func (d *decoder) column(p *point, suffix string, v event.Value) {
	if name, ok := d.Join(p.name, suffix); ok {
		d.put(name, v)
	}
}

// put sets a column, unless the event has it from before the point: a histogram h and a gauge h.max both say what h.max is, and
// neither may be lost. Where it is an attribute, nothing worse happens than another event.
func (d *decoder) put(name string, v event.Value) {
	if d.Has(name, d.earlier) {
		d.clashes = true
		return
	}
	d.Set(name, v)
}

// totals is what histograms and summaries have in common.
type totals struct {
	count             uint64
	sum, low, high    float64
	hasSum            bool
	hasLow, hasHigh   bool
	none              bool
	scale             int32
	zeros             uint64
	positive, reverse string // an exponential histogram's buckets
}

// read reads a field that the kinds share; false means that it is none of them.
func (t *totals) read(w *wire, tag uint32) bool {
	switch tag {
	case 4<<3 | typeFixed64:
		t.count = w.fixed64()
	case 5<<3 | typeFixed64:
		t.sum, t.hasSum = math.Float64frombits(w.fixed64()), true
	default:
		return false
	}
	return true
}

// common sets a histogram's or summary's count, sum and average.
func (d *decoder) totals(p *point, t *totals) {
	if t.none {
		d.column(p, "count", event.Value{})
		return
	}
	count := event.FloatValue(float64(t.count))
	if t.count <= math.MaxInt64 {
		count = event.IntValue(int64(t.count))
	}
	d.column(p, "count", count)
	if t.hasSum {
		d.column(p, "sum", float(t.sum))
		if t.count > 0 {
			d.column(p, "avg", float(t.sum/float64(t.count)))
		}
	}
	if t.hasLow {
		d.column(p, "min", float(t.low))
	}
	if t.hasHigh {
		d.column(p, "max", float(t.high))
	}
}

func (d *decoder) summary(p *point, bad *bool) {
	t := totals{hasSum: true}
	w := wire{s: p.raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch {
		case t.read(&w, tag):
		case tag == 8<<3|typeVarint:
			t.none = w.varint()&noRecordedValue != 0
		default:
			w.skip()
		}
	}
	d.totals(p, &t)
	w = wire{s: p.raw}
	for tag := w.next(); tag != 0 && !d.Failed() && !t.none; tag = w.next() {
		if tag != 6<<3|typeBytes {
			w.skip()
			continue
		}
		var q, v float64
		at := wire{s: w.bytes()}
		for tag := at.next(); tag != 0; tag = at.next() {
			switch tag {
			case 1<<3 | typeFixed64:
				q = math.Float64frombits(at.fixed64())
			case 2<<3 | typeFixed64:
				v = math.Float64frombits(at.fixed64())
			default:
				at.skip()
			}
		}
		if w.bad = w.bad || at.bad; q >= 0 && q <= 1 {
			d.column(p, quantileName(q), float(v))
		}
	}
	*bad = *bad || w.bad
}
