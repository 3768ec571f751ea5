package exec

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// TestWindowsAreExact: floats that are added through windows, by cell, make the same totals bit for bit as floats added one by one.
func TestWindowsAreExact(t *testing.T) {
	t.Parallel()
	number := rapid.OneOf(
		rapid.Float64Range(-1e3, 1e3), rapid.Map(rapid.Uint64(), math.Float64frombits),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 0x1p-1022, 0x1p20, 0x1p-19, 0x1p21}),
	)
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.IntRange(1, 4).Draw(t, "cells")
		var s, one totals
		s.resize(cells)
		one.resize(cells)
		for range rapid.IntRange(1, 3).Draw(t, "blocks") {
			floats := rapid.SliceOfN(number, 4*cells, 200).Draw(t, "floats")
			in := input{n: len(floats), cell: int32(rapid.IntRange(0, cells-1).Draw(t, "cell"))}
			if rapid.Bool().Draw(t, "some") {
				in.rows = rapid.SliceOfN(rapid.Int32Range(0, int32(len(floats)-1)), 4*cells, 100).Draw(t, "rows")
				in.n = len(in.rows)
			}
			if rapid.Bool().Draw(t, "grouped") {
				in.cells = rapid.SliceOfN(rapid.Int32Range(0, int32(cells-1)), in.n, in.n).Draw(t, "cells of rows")
			}
			v := segment.Vector{Uniform: event.Float, Floats: floats}
			s.update(&in, &v)
			for k := range in.n {
				if row, c, w := in.at(k); finite(floats[row]) {
					one.cells[c].addFloat(floats[row], w)
				}
			}
		}
		for c := range cells {
			if got, want := s.append(nil, c), one.append(nil, c); !bytes.Equal(got, want) {
				t.Fatalf("cell %d: %v (%x) through windows, %v (%x) one by one", c, s.cells[c].value(), got, one.cells[c].value(), want)
			}
		}
	})
}
