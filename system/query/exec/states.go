package exec

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// Kinds of states. Several calculations share one: all percentiles and the heatmap of a column, its sum and its average.
const (
	kindCount = iota
	kindTotal
	kindLow
	kindHigh
	kindSpread
	kindDistinct
	kinds
)

// kindFor is the state that an operation is calculated from.
func kindFor(op spec.Op) uint8 {
	if of, ok := op.Rate(); ok {
		op = of
	}
	switch op {
	case spec.Count:
		return kindCount
	case spec.Sum, spec.Avg:
		return kindTotal
	case spec.Min:
		return kindLow
	case spec.Max:
		return kindHigh
	case spec.CountDistinct:
		return kindDistinct
	}
	return kindSpread
}

// input is the selected rows of a block and the cells that they belong to.
type input struct {
	n      int
	rows   []int32 // nil: the first n
	cells  []int32 // by place in rows; nil: all in cell
	cell   int32
	weight []int64 // sample rates by row; nil if all are 1
	work   *workspace
}

// at is the k-th row, its cell and its weight.
func (in *input) at(k int) (row int, cell int32, w uint64) {
	row, cell, w = k, in.cell, 1
	if in.rows != nil {
		row = int(in.rows[k])
	}
	if in.cells != nil {
		cell = in.cells[k]
	}
	if in.weight != nil {
		w = clampRate(in.weight[row])
	}
	return row, cell, w
}

func clampRate(r int64) uint64 { return uint64(event.Weight(r)) }

// states holds one state for each cell.
type states interface {
	resize(cells int)
	// update adds rows of a column. It returns by how many bytes the memory grew, beside what resize made.
	update(in *input, v *segment.Vector) (grown int64)
	// merge adds cell j of o, which is of the same kind, to cell i.
	merge(i int, o states, j int) (grown int64)
	// take makes cell i what cell j of o is; o is not used any more.
	take(i int, o states, j int)
	append(b []byte, i int) []byte
	read(d *decoder, i int)
	// cost is about how many bytes each cell takes from the start.
	cost() int64
	// size is how many bytes cell i counts for beside that: what all that made it grow has returned.
	size(i int) int64
}

// worstRow is by how many bytes a row makes a state of each kind grow at most, on average over the rows of a cell.
var worstRow = [kinds]int64{
	kindCount: 8, kindTotal: 120 + 8*(maxLimbs-fewLimbs), kindLow: 24, kindHigh: 24, kindDistinct: 64 + 64,
	// With the first row beyond sparseBuckets buckets, each has a page of its own, and there are pages from the least to the largest.
	kindSpread: 96 + pageBytes + 8*2*(exponents+1)/sparseBuckets,
}

func newStates(kind uint8) states {
	switch kind {
	case kindCount:
		return &counts{}
	case kindTotal:
		return &totals{}
	case kindLow:
		return &extremes{sign: -1}
	case kindHigh:
		return &extremes{sign: 1}
	case kindSpread:
		return &spreads{}
	}
	return &distincts{}
}

// resized makes a slice n long and keeps what is in it. Elements that were never set are zero.
func resized[T any](s []T, n int) []T {
	if n > cap(s) {
		s = slices.Grow(s, n-len(s))
	}
	return s[:n]
}

type counts struct{ cells []uint64 }

func (s *counts) resize(n int) { s.cells = resized(s.cells, n) }
func (s *counts) cost() int64  { return 8 }

func (s *counts) update(in *input, _ *segment.Vector) int64 {
	switch {
	case in.weight == nil && in.cells == nil:
		s.cells[in.cell] += uint64(in.n)
	case in.weight == nil:
		for _, c := range in.cells[:in.n] {
			s.cells[c]++
		}
	case in.cells == nil:
		sum := uint64(0)
		if in.rows == nil {
			for _, r := range in.weight[:in.n] {
				sum += clampRate(r)
			}
		}
		for _, row := range in.rows {
			sum += clampRate(in.weight[row])
		}
		s.cells[in.cell] += sum
	case in.rows == nil:
		cells := in.cells[:in.n]
		for k, r := range in.weight[:in.n] {
			s.cells[cells[k]] += clampRate(r)
		}
	default:
		for k, row := range in.rows[:in.n] {
			s.cells[in.cells[k]] += clampRate(in.weight[row])
		}
	}
	return 0
}

func (s *counts) merge(i int, o states, j int) int64 {
	s.cells[i] += o.(*counts).cells[j]
	return 0
}
func (s *counts) take(i int, o states, j int)   { s.cells[i] = o.(*counts).cells[j] }
func (s *counts) size(int) int64                { return 0 }
func (s *counts) append(b []byte, i int) []byte { return binary.AppendUvarint(b, s.cells[i]) }
func (s *counts) read(d *decoder, i int)        { s.cells[i] = d.Uint() }

// extreme is the smallest or largest number of a cell. Of numbers that are equal, the whole one is kept.
type extreme struct {
	kind event.Kind // Null: none yet
	i    int64
	f    float64
}

func (e *extreme) value() event.Value {
	switch e.kind {
	case event.Int:
		return event.IntValue(e.i)
	case event.Float:
		return event.FloatValue(e.f)
	}
	return event.Value{}
}

func (e *extreme) addFloat(f float64, sign int) {
	switch e.kind {
	case event.Float:
		if sign > 0 && f > e.f || sign < 0 && f < e.f {
			e.f = f
		}
	case event.Int:
		if spec.Compare(event.FloatValue(f), event.IntValue(e.i))*sign > 0 {
			*e = extreme{kind: event.Float, f: f}
		}
	default:
		*e = extreme{kind: event.Float, f: f}
	}
	if e.f == 0 {
		e.f = 0 // -0 is 0
	}
}

func (e *extreme) addInt(i int64, sign int) {
	switch e.kind {
	case event.Int:
		if sign > 0 && i > e.i || sign < 0 && i < e.i {
			e.i = i
		}
	case event.Float:
		if spec.Compare(event.IntValue(i), event.FloatValue(e.f))*sign >= 0 {
			*e = extreme{kind: event.Int, i: i}
		}
	default:
		*e = extreme{kind: event.Int, i: i}
	}
}

type extremes struct {
	cells []extreme
	sign  int // 1 for the largest, -1 for the smallest
}

func (s *extremes) resize(n int) { s.cells = resized(s.cells, n) }
func (s *extremes) cost() int64  { return 24 }

func (s *extremes) update(in *input, v *segment.Vector) int64 {
	for k := range in.n {
		row, c, _ := in.at(k)
		switch v.Kind(row) {
		case event.Float:
			if f := v.Floats[row]; finite(f) {
				s.cells[c].addFloat(f, s.sign)
			}
		case event.Int:
			s.cells[c].addInt(v.Ints[row], s.sign)
		}
	}
	return 0
}

func (s *extremes) merge(i int, o states, j int) int64 {
	switch e := &o.(*extremes).cells[j]; e.kind {
	case event.Int:
		s.cells[i].addInt(e.i, s.sign)
	case event.Float:
		s.cells[i].addFloat(e.f, s.sign)
	}
	return 0
}
func (s *extremes) take(i int, o states, j int) { s.cells[i] = o.(*extremes).cells[j] }
func (s *extremes) size(int) int64              { return 0 }

func (s *extremes) append(b []byte, i int) []byte {
	return spec.AppendValue(b, s.cells[i].value())
}

func (s *extremes) read(d *decoder, i int) {
	switch v := spec.ReadValue(&d.Reader); {
	case v.Kind() == event.Int:
		s.cells[i] = extreme{kind: event.Int, i: v.Int()}
	case v.Kind() == event.Float && finite(v.Float()):
		s.cells[i] = extreme{kind: event.Float, f: v.Float()}
	case v.Kind() != event.Null:
		d.Fail("an extreme is not a number")
	}
}

type spreads struct{ cells []spread }

func (s *spreads) resize(n int) { s.cells = resized(s.cells, n) }
func (s *spreads) cost() int64  { return 96 }

func (s *spreads) update(in *input, v *segment.Vector) (grown int64) {
	for k := range in.n {
		row, c, w := in.at(k)
		switch v.Kind(row) {
		case event.Float:
			if f := v.Floats[row]; finite(f) {
				grown += s.cells[c].add(f, w)
			}
		case event.Int:
			grown += s.cells[c].add(float64(v.Ints[row]), w)
		}
	}
	return grown
}

func (s *spreads) merge(i int, o states, j int) int64 {
	return s.cells[i].merge(&o.(*spreads).cells[j])
}
func (s *spreads) take(i int, o states, j int)   { s.cells[i] = o.(*spreads).cells[j] }
func (s *spreads) size(i int) int64              { return s.cells[i].size() }
func (s *spreads) append(b []byte, i int) []byte { return s.cells[i].append(b) }
func (s *spreads) read(d *decoder, i int)        { s.cells[i].read(d) }

type distincts struct {
	cells []distinct
	codes []uint64 // hashes of the block's dictionary, 0 where not hashed yet
}

func (s *distincts) resize(n int) { s.cells = resized(s.cells, n) }
func (s *distincts) cost() int64  { return 64 }

func (s *distincts) update(in *input, v *segment.Vector) (grown int64) {
	s.codes = resized(s.codes, len(v.Dict))
	clear(s.codes)
	for k := range in.n {
		row, c, _ := in.at(k)
		var h uint64
		switch v.Kind(row) {
		case event.Null:
			continue
		case event.String:
			code := v.Codes[row]
			if h = s.codes[code]; h == 0 {
				h = max(hashText(v.Dict[code]), 1)
				s.codes[code] = h
			}
		case event.Int:
			h = max(hashInt(v.Ints[row]), 1)
		case event.Float:
			h = max(hashFloat(v.Floats[row]), 1)
		case event.Bool:
			h = max(hashBool(v.Bools[row]), 1)
		}
		grown += s.cells[c].add(h)
	}
	return grown
}

func (s *distincts) merge(i int, o states, j int) int64 {
	return s.cells[i].merge(&o.(*distincts).cells[j])
}
func (s *distincts) take(i int, o states, j int)   { s.cells[i] = o.(*distincts).cells[j] }
func (s *distincts) size(i int) int64              { return s.cells[i].size() }
func (s *distincts) append(b []byte, i int) []byte { return s.cells[i].append(b) }
func (s *distincts) read(d *decoder, i int)        { s.cells[i].read(d) }

// number is a float as a value; null where it is beyond all numbers.
func number(f float64) event.Value {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return event.Value{}
	}
	return event.FloatValue(f)
}
