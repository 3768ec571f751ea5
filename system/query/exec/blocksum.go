package exec

import (
	"math"
	"math/bits"

	"github.com/ratel-sim/ratel/system/event"
)

// A block's numbers are added up in words, by cell, before they go to the cells' exact sums: a word is added faster than limbs are.
// It rounds nothing. Floats of a block are mostly of about one magnitude: a frame of exponents is chosen, and a number in the frame is
// split into two whose sum it is, so that neither half's sum ever has more digits than a float64 has. The numbers outside of the frame
// are added one by one.

// frame is the exponents whose floats are split.
type frame struct {
	// pin is added to a float and subtracted again: its upper digits remain, rounded to a multiple of pin's last digit.
	pin  float64
	base uint64 // the least exponent
	span uint64 // how many there are
}

const (
	exponents = 0x7ff // that of what is not finite; also all bits of an exponent
	// framed is how many numbers are looked at to choose a frame, spread over the block, and frameAbove how many exponents the frame has
	// above the largest of them.
	framed, frameAbove = 16, 4
	// leastSpan is how many exponents a frame has at least. Sums of more weight are added one by one.
	leastSpan = 12
)

func exponent(f float64) uint64 { return math.Float64bits(f) << 1 >> 53 }

// frameOf is a frame for numbers whose weights add up to weight. ok is false if that is too much.
//
// Let weight be at most 2^L, top the frame's largest exponent E, and pin 1.5·2^(E+L), exponents without their bias. Its last digit is
// u = 2^(E+L-52). A number of the frame is below 2^(E+1), so the upper parts are multiples of u that add up to no more than
// 2^(E+1+L) = 2^53·u. A lower part is at most u/2, and a multiple of the last digit of the frame's least numbers, g = 2^(base-52), so
// lower parts add up to no more than 2^(E+2L-53), which is at most 2^53·g if E-base is at most 54-2L. A float64 holds every such
// multiple, so none of the sums is rounded.
func frameOf(values, weights []float64, weight uint64) (f frame, ok bool) {
	l := uint64(max(bits.Len64(weight-1), 2))
	if weight == 0 || 55-2*l < leastSpan || l > 27 {
		return f, false
	}
	f.span = 55 - 2*l
	top := uint64(0)
	for i := range framed {
		k := i * len(values) / framed
		if e := exponent(values[k]); e != exponents && (weights == nil || weights[k] != 0) {
			top = max(top, e)
		}
	}
	// The least exponent is that of a number whose first digit is not stored, and pin is not infinite.
	top = max(min(top+frameAbove, exponents-2-l), f.span)
	f.base = top + 1 - f.span
	f.pin = math.Float64frombits((top+l)<<52 | 1<<51)
	return f, true
}

// pair is the sums of upper and lower parts, and the weight of the numbers.
type pair struct{ high, low, weight float64 }

// flush moves what was added up to a cell.
func (p *pair) flush(t *total) {
	if p.weight == 0 {
		return
	}
	t.weight += uint64(p.weight)
	t.anyFloat = true
	for _, part := range [...]float64{p.high, p.low} {
		if part != 0 {
			t.exact.add(part, 1)
		}
	}
}

// all adds up numbers of weight 1. Those that cannot be split go to the cell.
func (f frame) all(values []float64, t *total) (p pair) {
	var high0, high1, low0, low1 float64
	pin, base, span, left := f.pin, f.base, f.span, 0
	rest := values
	for len(rest) >= 4 { // so that bounds are checked once for four
		v := rest[:4:4]
		rest = rest[4:]
		a, b, c, d := v[0], v[1], v[2], v[3]
		if exponent(a)-base >= span || exponent(b)-base >= span || exponent(c)-base >= span || exponent(d)-base >= span {
			for _, v := range v {
				t.addFloat(v, 1)
			}
			left += 4
			continue
		}
		x, y := a+pin-pin, b+pin-pin
		high0 += x
		high1 += y
		low0 += a - x
		low1 += b - y
		x, y = c+pin-pin, d+pin-pin
		high0 += x
		high1 += y
		low0 += c - x
		low1 += d - y
	}
	for _, v := range rest {
		t.addFloat(v, 1)
	}
	return pair{high0 + high1, low0 + low1, float64(len(values) - len(rest) - left)}
}

// weighed adds up numbers with weights.
func (f frame) weighed(values, weights []float64, t *total) (p pair) {
	pin, base, span := f.pin, f.base, f.span
	weights = weights[:len(values)]
	for k, v := range values {
		w := weights[k]
		if exponent(v)-base >= span {
			t.addFloat(v, uint64(w))
			continue
		}
		x := v + pin - pin
		p.high += x * w
		p.low += (v - x) * w
		p.weight += w
	}
	return p
}

// byCell adds up numbers of weight 1 by cell.
func (f frame) byCell(values []float64, cells []int32, pairs []pair, totals []total) {
	pin, base, span := f.pin, f.base, f.span
	cells = cells[:len(values)]
	for k, v := range values {
		if exponent(v)-base >= span {
			totals[cells[k]].addFloat(v, 1)
			continue
		}
		p, x := &pairs[cells[k]], v+pin-pin
		p.high += x
		p.low += v - x
		p.weight++
	}
}

func (f frame) weighedByCell(values, weights []float64, cells []int32, pairs []pair, totals []total) {
	pin, base, span := f.pin, f.base, f.span
	cells, weights = cells[:len(values)], weights[:len(values)]
	for k, v := range values {
		w := weights[k]
		if exponent(v)-base >= span {
			totals[cells[k]].addFloat(v, uint64(w))
			continue
		}
		p, x := &pairs[cells[k]], v+pin-pin
		p.high += x * w
		p.low += (v - x) * w
		p.weight += w
	}
}

// addFloats adds the floats of a block, if their weight permits.
func (s *totals) addFloats(in *input, floats []float64, kinds []event.Kind) bool {
	work, weight := in.work, uint64(in.n)
	var weights []float64
	if in.weight != nil || kinds != nil {
		weights, weight = work.weigh(in, kinds, event.Float)
	}
	values := pick(&work.floats, floats, in)
	f, ok := frameOf(values, weights, weight)
	if !ok {
		return weight == 0
	}
	if kinds != nil {
		values = work.cover(values, weights, f)
	}
	switch {
	case in.cells == nil && weights == nil:
		p := f.all(values, &s.cells[in.cell])
		p.flush(&s.cells[in.cell])
		return true
	case in.cells == nil:
		p := f.weighed(values, weights, &s.cells[in.cell])
		p.flush(&s.cells[in.cell])
		return true
	}
	work.pairs = resized(work.pairs, len(s.cells))
	clear(work.pairs)
	if weights == nil {
		f.byCell(values, in.cells, work.pairs, s.cells)
	} else {
		f.weighedByCell(values, weights, in.cells, work.pairs, s.cells)
	}
	for i := range work.pairs {
		work.pairs[i].flush(&s.cells[i])
	}
	return true
}

// workspace is memory for the numbers of a block, which calculations share.
type workspace struct {
	floats, weights []float64
	ints            []int64
	pairs           []pair
	wholes          []whole
}

// pick is the selected rows' values.
func pick[T any](room *[]T, values []T, in *input) []T {
	if in.rows == nil {
		return values[:in.n]
	}
	*room = resized(*room, in.n)
	picked := *room
	for k, row := range in.rows[:in.n] {
		picked[k] = values[row]
	}
	return picked
}

// weigh is the selected rows' weights, 0 for those that are not of a kind, and their sum.
func (w *workspace) weigh(in *input, kinds []event.Kind, of event.Kind) (weights []float64, sum uint64) {
	w.weights = resized(w.weights, in.n)
	weights = w.weights
	for k := range weights {
		row := k
		if in.rows != nil {
			row = int(in.rows[k])
		}
		rate := uint64(1)
		if in.weight != nil {
			rate = clampRate(in.weight[row])
		}
		if kinds != nil {
			there := uint64(0)
			if kinds[row] == of {
				there = 1
			}
			rate &= -there
		}
		weights[k] = float64(int64(rate))
		sum += rate
	}
	return weights, sum
}

// cover puts a number of the frame where the weight is 0, so that it is not looked at one by one.
func (w *workspace) cover(values, weights []float64, f frame) []float64 {
	w.floats = resized(w.floats, len(values))
	covered, instead := w.floats, f.base<<52
	weights = weights[:len(values)]
	for k, v := range values {
		there := uint64(0)
		if weights[k] != 0 {
			there = 1
		}
		covered[k] = math.Float64frombits(instead ^ (instead^math.Float64bits(v))&-there)
	}
	return covered
}

// whole is the sums of ints' upper and lower 32 bits, and their weight.
type whole struct {
	high        int64
	low, weight uint64
}

// maxWhole is the most weight of which neither half's sum overflows.
const maxWhole = 1 << 31

func (p *whole) flush(t *total) {
	if p.weight == 0 {
		return
	}
	t.weight += p.weight
	if p.high>>30 == p.high>>63 && p.low>>62 == 0 {
		t.addWhole(p.high<<32 + int64(p.low))
		return
	}
	t.exact.addInt(p.high, 1<<32)
	t.exact.addInt(int64(p.low), 1)
}

// addInts adds the ints of a block, if their weight permits.
func (s *totals) addInts(in *input, ints []int64, kinds []event.Kind) bool {
	work, weight := in.work, uint64(in.n)
	var weights []float64
	if in.weight != nil || kinds != nil {
		weights, weight = work.weigh(in, kinds, event.Int)
	}
	if weight == 0 || weight > maxWhole {
		return weight == 0
	}
	values := pick(&work.ints, ints, in)
	if in.cells == nil {
		p := whole{weight: weight}
		for k, i := range values {
			w := int64(1)
			if weights != nil {
				w = int64(weights[k])
			}
			p.high += i >> 32 * w
			p.low += uint64(uint32(i)) * uint64(w)
		}
		p.flush(&s.cells[in.cell])
		return true
	}
	work.wholes = resized(work.wholes, len(s.cells))
	clear(work.wholes)
	cells := in.cells[:len(values)]
	if weights == nil {
		for k, i := range values {
			p := &work.wholes[cells[k]]
			p.high += i >> 32
			p.low += uint64(uint32(i))
			p.weight++
		}
	} else {
		weights = weights[:len(values)]
		for k, i := range values {
			p, w := &work.wholes[cells[k]], int64(weights[k])
			p.high += i >> 32 * w
			p.low += uint64(uint32(i)) * uint64(w)
			p.weight += uint64(w)
		}
	}
	for i := range work.wholes {
		work.wholes[i].flush(&s.cells[i])
	}
	return true
}
