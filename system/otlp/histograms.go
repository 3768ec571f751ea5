package otlp

import (
	"math"
	"strconv"
	"strings"
)

// quantiles are those that a histogram's buckets are asked for, in ascending order.
var quantiles = [...]struct {
	name string
	q    float64
}{
	{"p001", 0.001}, {"p01", 0.01}, {"p05", 0.05}, {"p10", 0.1}, {"p25", 0.25}, {"p50", 0.5},
	{"p75", 0.75}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999},
}

// quantileName is the suffix of a summary's quantile: 0.5 is p50, 0.999 is p999, 0 is min and 1 is max.
func quantileName(q float64) string {
	switch q {
	case 0:
		return "min"
	case 1:
		return "max"
	}
	digits := strings.TrimRight(strconv.FormatFloat(q, 'f', 6, 64)[2:], "0")
	for len(digits) < 2 {
		digits += "0"
	}
	return "p" + digits
}

// ranks tells, bucket by bucket from the lowest, in which of them each quantile lies.
type ranks struct {
	d     *decoder
	p     *point
	t     *totals
	total uint64 // observations in all buckets
	seen  uint64
	next  int // of quantiles
}

// bucket says that n observations lie at upper or below it, and above the last bucket's.
func (r *ranks) bucket(n uint64, upper float64) {
	if n == 0 || r.total == 0 {
		return
	}
	r.seen += n
	if r.t.hasHigh && upper > r.t.high {
		upper = r.t.high
	}
	for r.next < len(quantiles) && float64(r.seen) >= quantiles[r.next].q*float64(r.total) {
		r.d.column(r.p, quantiles[r.next].name, float(upper))
		r.next++
	}
}

func (d *decoder) histogram(p *point, bad *bool) {
	var t totals
	d.counts, d.bounds = d.counts[:0], d.bounds[:0]
	w := wire{s: p.raw}
	for tag := w.next(); tag != 0 && !d.NoRoom(); tag = w.next() {
		switch {
		case t.read(&w, tag):
		case tag == 6<<3|typeBytes:
			for packed := (wire{s: w.bytes()}); packed.i < len(packed.s) && !w.bad && d.roomFor(len(d.counts), cap(d.counts)); w.bad = packed.bad {
				d.counts = append(d.counts, packed.fixed64())
			}
		case tag == 6<<3|typeFixed64:
			if d.roomFor(len(d.counts), cap(d.counts)) {
				d.counts = append(d.counts, w.fixed64())
			}
		case tag == 7<<3|typeBytes:
			for packed := (wire{s: w.bytes()}); packed.i < len(packed.s) && !w.bad && d.roomFor(len(d.bounds), cap(d.bounds)); w.bad = packed.bad {
				d.bounds = append(d.bounds, math.Float64frombits(packed.fixed64()))
			}
		case tag == 7<<3|typeFixed64:
			if d.roomFor(len(d.bounds), cap(d.bounds)) {
				d.bounds = append(d.bounds, math.Float64frombits(w.fixed64()))
			}
		case tag == 10<<3|typeVarint:
			t.none = w.varint()&noRecordedValue != 0
		case tag == 11<<3|typeFixed64:
			t.low, t.hasLow = math.Float64frombits(w.fixed64()), true
		case tag == 12<<3|typeFixed64:
			t.high, t.hasHigh = math.Float64frombits(w.fixed64()), true
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	d.totals(p, &t)
	if t.none || len(d.bounds) == 0 {
		return
	}
	if len(d.counts) != len(d.bounds)+1 {
		if len(d.counts) > 0 {
			d.Fail("a histogram has %d buckets and %d bounds: expected one bucket more than bounds", len(d.counts), len(d.bounds))
		}
		return
	}
	r := ranks{d: d, p: p, t: &t}
	for _, n := range d.counts {
		r.total += n
	}
	for i, n := range d.counts {
		r.bucket(n, d.bounds[min(i, len(d.bounds)-1)])
	}
}

// roomFor has the growth of a slice of 8-byte elements granted.
func (d *decoder) roomFor(length, capacity int) bool {
	return length < capacity || d.Need(8*max(2*capacity, 16))
}

func (d *decoder) exponential(p *point, bad *bool) {
	var t totals
	w := wire{s: p.raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch {
		case t.read(&w, tag):
		case tag == 6<<3|typeVarint:
			t.scale = zigzag(w.varint())
		case tag == 7<<3|typeFixed64:
			t.zeros = w.fixed64()
		case tag == 8<<3|typeBytes:
			t.positive = w.bytes()
		case tag == 9<<3|typeBytes:
			t.reverse = w.bytes()
		case tag == 10<<3|typeVarint:
			t.none = w.varint()&noRecordedValue != 0
		case tag == 12<<3|typeFixed64:
			t.low, t.hasLow = math.Float64frombits(w.fixed64()), true
		case tag == 13<<3|typeFixed64:
			t.high, t.hasHigh = math.Float64frombits(w.fixed64()), true
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	d.totals(p, &t)
	if t.none {
		return
	}
	r := ranks{d: d, p: p, t: &t, total: t.zeros}
	below := d.exponentialBuckets(t.reverse, bad)
	for _, n := range d.counts {
		r.total += n
	}
	// The positive ones are read again below: their number is not needed for their total.
	positive := wire{s: t.positive}
	eachCount(&positive, func(n uint64) { r.total += n })
	for i := len(d.counts) - 1; i >= 0; i-- {
		// Of a negative bucket, what lies nearest to zero is the upper bound.
		r.bucket(d.counts[i], -bucketBound(t.scale, float64(below)+float64(i)))
	}
	r.bucket(t.zeros, 0)
	above := d.exponentialBuckets(t.positive, bad)
	for i, n := range d.counts {
		r.bucket(n, bucketBound(t.scale, float64(above)+float64(i)+1))
	}
}

// bucketBound is base to the power of index, where base is 2 to the power of 2^-scale.
func bucketBound(scale int32, index float64) float64 {
	return math.Exp2(index * math.Exp2(-float64(scale)))
}

func zigzag(n uint64) int32 { return int32(uint32(n)>>1) ^ -int32(n&1) }

// eachCount calls f with each bucket's count.
func eachCount(w *wire, f func(uint64)) {
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 2<<3 | typeBytes:
			packed := wire{s: w.bytes()}
			for packed.i < len(packed.s) && !packed.bad {
				f(packed.varint())
			}
			w.bad = w.bad || packed.bad
		case 2<<3 | typeVarint:
			f(w.varint())
		default:
			w.skip()
		}
	}
}

// exponentialBuckets reads Buckets into counts.
func (d *decoder) exponentialBuckets(raw string, bad *bool) (offset int32) {
	d.counts = d.counts[:0]
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag == 1<<3|typeVarint {
			offset = zigzag(w.varint())
		} else {
			w.skip()
		}
	}
	w = wire{s: raw}
	eachCount(&w, func(n uint64) {
		if d.roomFor(len(d.counts), cap(d.counts)) {
			d.counts = append(d.counts, n)
		}
	})
	*bad = *bad || w.bad
	return offset
}
