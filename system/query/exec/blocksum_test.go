package exec

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// drawNumbers makes floats of about one magnitude, at times with others among them.
func drawNumbers(t *rapid.T, least, most int) []float64 {
	middle := rapid.OneOf(rapid.Just(0), rapid.IntRange(-1074, 1023)).Draw(t, "exponent")
	around := rapid.IntRange(0, 40).Draw(t, "exponents around it")
	near := rapid.Custom(func(t *rapid.T) float64 {
		mant := rapid.OneOf(rapid.Just(uint64(1<<53-1)), rapid.Just(uint64(1<<52)), rapid.Uint64Range(1<<52, 1<<53-1)).Draw(t, "mantissa")
		f := math.Ldexp(float64(mant), middle-52+rapid.IntRange(-around, around).Draw(t, "off"))
		if rapid.Bool().Draw(t, "negative") {
			return -f
		}
		return f
	})
	if rapid.Bool().Draw(t, "of one magnitude") {
		return rapid.SliceOfN(near, least, most).Draw(t, "floats")
	}
	return rapid.SliceOfN(rapid.OneOf(near, near, rapid.Map(rapid.Uint64(), math.Float64frombits), rapid.Float64Range(-1e3, 1e3),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 0x1p-1022})),
		least, most).Draw(t, "floats")
}

// oneByOne is totals.update by definition.
func oneByOne(s *totals, in *input, v *segment.Vector) {
	for k := range in.n {
		switch row, c, w := in.at(k); v.Kind(row) {
		case event.Float:
			s.cells[c].addFloat(v.Floats[row], w)
		case event.Int:
			s.cells[c].addInt(v.Ints[row], w)
		}
	}
}

func sameTotals(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, got, want *totals,
) {
	t.Helper()
	for c := range want.cells {
		if a, b := got.append(nil, c), want.append(nil, c); !bytes.Equal(a, b) {
			t.Fatalf("cell %d: %v (%x) by blocks, %v (%x) one by one", c, got.cells[c].value(), a, want.cells[c].value(), b)
		}
	}
}

// TestBlockSumsAreExact: numbers that are added by blocks make the same totals bit for bit as numbers added one by one, whatever is
// selected, grouped, weighted or missing.
func TestBlockSumsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.IntRange(1, 4).Draw(t, "cells")
		var s, one totals
		s.resize(cells)
		one.resize(cells)
		work := &workspace{}
		for range rapid.IntRange(1, 3).Draw(t, "blocks") {
			v := segment.Vector{Uniform: event.Float, Floats: drawNumbers(t, 4*cells, 200)}
			rows := len(v.Floats)
			if rapid.Bool().Draw(t, "has ints") {
				v.Uniform, v.Ints = event.Int, rapid.SliceOfN(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000),
					rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64})), rows, rows).Draw(t, "ints")
			}
			if rapid.Bool().Draw(t, "several kinds") {
				v.Kinds = rapid.SliceOfN(rapid.SampledFrom([]event.Kind{event.Null, event.Float, event.Int, event.Float, event.Bool}), rows, rows).Draw(t, "kinds")
				if v.Ints == nil {
					for i, k := range v.Kinds {
						if k == event.Int {
							v.Kinds[i] = event.Null
						}
					}
				}
				if !slices.Contains(v.Kinds, event.Float) {
					v.Floats = nil
				}
			}
			in := input{n: rows, work: work, cell: int32(rapid.IntRange(0, cells-1).Draw(t, "cell"))}
			if rapid.Bool().Draw(t, "some") {
				in.rows = rapid.SliceOfN(rapid.Int32Range(0, int32(rows-1)), 1, 100).Draw(t, "rows")
				in.n = len(in.rows)
			}
			if rapid.Bool().Draw(t, "grouped") {
				in.cells = rapid.SliceOfN(rapid.Int32Range(0, int32(cells-1)), in.n, in.n).Draw(t, "cells of rows")
			}
			if most := rapid.SampledFrom([]int64{0, 2, 30, 5000, 1 << 33}).Draw(t, "most weight"); most > 0 {
				in.weight = rapid.SliceOfN(rapid.Int64Range(-1, most), rows, rows).Draw(t, "weights")
			}
			s.update(&in, &v)
			oneByOne(&one, &in, &v)
		}
		sameTotals(t, &s, &one)
	})
}

// TestBlockSumsAtTheirBounds: as many numbers as a block has, each with as many digits as there can be, at both ends of the frame, with
// weights that use up what it permits.
func TestBlockSumsAtTheirBounds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 1 << 10, 1 << 13, 1 << 16} {
		for _, rate := range []uint64{1, 2, 7, 32, 256, 1 << 20} {
			for _, top := range []uint64{0, 40, 1023, 2046} {
				f, ok := frameOf([]float64{math.Float64frombits(top << 52)}, nil, uint64(n)*rate)
				if !ok {
					continue
				}
				last := exponent(f.pin) - 52 // of the upper parts' last digit
				for _, mixed := range []int{1, 2, 3, 1 << 20} {
					floats, weights, cells := make([]float64, n), make([]float64, n), make([]int32, n)
					for i := range floats {
						e := f.base
						if i%mixed == 0 {
							e += f.span - 1
						}
						// All ones, but the lower part is as large as it can be: it is rounded down.
						mantissa := uint64(1<<52 - 1)
						if half := last - 1 + 52 - e; half < 52 && i%7 > 0 {
							mantissa &^= 1 << half
						}
						floats[i], weights[i] = math.Float64frombits(e<<52|mantissa), float64(rate)
					}
					for range 2 {
						boundsHold(t, f, floats, weights, cells)
						for i := range floats {
							floats[i] = -floats[i]
						}
					}
				}
			}
		}
	}
}

func boundsHold(t *testing.T, f frame, floats, weights []float64, cells []int32) {
	t.Helper()
	var want, got totals
	want.resize(1)
	for i, v := range floats {
		want.cells[0].addFloat(v, uint64(weights[i]))
	}
	check := func(sum pair) {
		t.Helper()
		sum.flush(&got.cells[0])
		sameTotals(t, &got, &want)
	}
	again := func() *total {
		got = totals{cells: make([]total, 1)}
		return &got.cells[0]
	}
	p := f.weighed(floats, weights, again())
	check(p)
	pairs := make([]pair, 1)
	again()
	f.weighedByCell(floats, weights, cells, pairs, got.cells)
	check(pairs[0])
	if weights[0] == 1 {
		p = f.all(floats, again())
		check(p)
		clear(pairs)
		again()
		f.byCell(floats, cells, pairs, got.cells)
		check(pairs[0])
	}
}

// TestIntSumsAtTheirBounds: the largest ints, with as much weight as is added by blocks.
func TestIntSumsAtTheirBounds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 1 << 13} {
		for _, rate := range []int64{1, 3, maxWhole / int64(n), maxWhole/int64(n) + 1, event.MaxWeight} {
			for _, i := range []int64{math.MaxInt64, math.MinInt64, math.MaxUint32, -1, 1 << 30, 1 << 62} {
				v := segment.Vector{Uniform: event.Int, Ints: slices.Repeat([]int64{i}, n)}
				for _, cells := range [][]int32{nil, make([]int32, n)} {
					for k := range n / 4 {
						v.Ints[4*k] ^= 1 << 32
					}
					in := input{n: n, work: &workspace{}, cells: cells, weight: slices.Repeat([]int64{rate}, n)}
					if rate == 1 {
						in.weight = nil
					}
					got, want := totals{cells: make([]total, 1)}, totals{cells: make([]total, 1)}
					got.update(&in, &v)
					oneByOne(&want, &in, &v)
					sameTotals(t, &got, &want)
				}
			}
		}
	}
}
