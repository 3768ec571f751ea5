package exec

import (
	"encoding/binary"
	"math/big"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// totals are the sums of a column by cell.
type totals struct{ cells []total }

func (s *totals) resize(n int) { s.cells = resized(s.cells, n) }
func (s *totals) cost() int64  { return 120 }

// rowsPerCell is from how many rows a cell on it is worth while to add a block's rows up before they go to the cell.
const rowsPerCell = 4

func (s *totals) update(in *input, v *segment.Vector) (grown int64) {
	floats, ints := v.Floats, v.Ints
	if v.Kinds == nil && v.Uniform != event.Float {
		floats = nil
	}
	if v.Kinds == nil && v.Uniform != event.Int {
		ints = nil
	}
	cells := 1
	if in.cells != nil {
		cells = len(s.cells)
	}
	together := in.n >= cells*rowsPerCell
	if together {
		grown = -s.wide(in)
	}
	if floats != nil && (!together || !s.addFloats(in, floats, v.Kinds)) {
		for k := range in.n {
			if row, c, w := in.at(k); v.Kind(row) == event.Float {
				t := &s.cells[c]
				before := len(t.exact.limbs)
				if t.addFloat(floats[row], w); len(t.exact.limbs) != before && !together {
					grown += t.exact.size() - limbsSize(before)
				}
			}
		}
	}
	if ints != nil && (!together || !s.addInts(in, ints, v.Kinds)) {
		for k := range in.n {
			if row, c, w := in.at(k); v.Kind(row) == event.Int {
				t := &s.cells[c]
				before := len(t.exact.limbs)
				if t.addInt(ints[row], w); len(t.exact.limbs) != before && !together {
					grown += t.exact.size() - limbsSize(before)
				}
			}
		}
	}
	if together {
		grown += s.wide(in)
	}
	return grown
}

// wide is what the cells of a block count for beside their cost; there are fewer of them than rows.
func (s *totals) wide(in *input) (n int64) {
	if in.cells == nil {
		return s.size(int(in.cell))
	}
	for i := range s.cells {
		n += s.cells[i].exact.size()
	}
	return n
}

// settle gives equal sums one form.
func (s *totals) settle() {
	for i := range s.cells {
		s.cells[i].settle()
	}
}

func (s *totals) merge(i int, o states, j int) int64 {
	before := s.size(i)
	s.cells[i].merge(&o.(*totals).cells[j])
	return s.size(i) - before
}
func (s *totals) take(i int, o states, j int) { s.cells[i] = o.(*totals).cells[j] }
func (s *totals) size(i int) int64            { return s.cells[i].exact.size() }

func (s *totals) append(b []byte, i int) []byte {
	t := &s.cells[i]
	t.settle()
	b = binary.AppendUvarint(b, t.weight<<1|flag(t.anyFloat))
	return t.exact.append(b)
}

func (s *totals) read(d *decoder, i int) {
	w := d.Uint()
	s.cells[i].weight, s.cells[i].anyFloat = w>>1, w&1 != 0
	s.cells[i].exact.read(d)
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// total is the sum of the numbers of one cell.
type total struct {
	weight   uint64 // of the numbers
	ints     int64  // of the whole numbers, as far as it fits; the rest is in exact
	anyFloat bool
	exact    exactSum
}

// addFloat adds f·w; what is not finite is passed over.
func (t *total) addFloat(f float64, w uint64) {
	if !finite(f) {
		return
	}
	t.weight += w
	t.anyFloat = true
	if f != 0 {
		t.exact.add(f, w)
	}
}

func (t *total) addInt(i int64, w uint64) {
	t.weight += w
	switch {
	case w == 1:
		t.addWhole(i)
	case w <= event.MaxWeight && i > -1<<30 && i < 1<<30:
		t.addWhole(i * int64(w))
	default:
		t.exact.addInt(i, w)
	}
}

// addWhole adds to the sum alone.
func (t *total) addWhole(i int64) {
	if s := t.ints + i; (t.ints^s)&(i^s) >= 0 {
		t.ints = s
		return
	}
	t.exact.addInt(i, 1)
}

func (t *total) merge(o *total) {
	t.weight += o.weight
	t.anyFloat = t.anyFloat || o.anyFloat
	t.exact.merge(&o.exact)
	t.addWhole(o.ints)
}

// settle moves the whole numbers into the exact sum, so that equal sums have one form.
func (t *total) settle() {
	t.exact.addInt(t.ints, 1)
	t.ints = 0
	t.exact.carry()
}

// units is everything together, in multiples of 2^-1074.
func (t *total) units() *big.Int {
	sum := big.NewInt(t.ints)
	return sum.Add(sum.Lsh(sum, unitBit), t.exact.units())
}

// value is the sum.
func (t *total) value() event.Value {
	if t.weight == 0 {
		return event.Value{}
	}
	units := t.units()
	if !t.anyFloat {
		if whole := units.Rsh(units, unitBit); whole.IsInt64() {
			return event.IntValue(whole.Int64())
		}
		units.Lsh(units, unitBit)
	}
	return number(round(units))
}

func (t *total) average() event.Value {
	if t.weight == 0 {
		return event.Value{}
	}
	return number(round(t.units()) / float64(t.weight))
}
