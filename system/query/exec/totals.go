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

func (s *totals) update(in *input, v *segment.Vector) int64 {
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
	if floats != nil && (in.n < cells*rowsPerCell || !s.addFloats(in, floats, v.Kinds)) {
		for k := range in.n {
			if row, c, w := in.at(k); v.Kind(row) == event.Float {
				s.cells[c].addFloat(floats[row], w)
			}
		}
	}
	if ints != nil && (in.n < cells*rowsPerCell || !s.addInts(in, ints, v.Kinds)) {
		for k := range in.n {
			if row, c, w := in.at(k); v.Kind(row) == event.Int {
				s.cells[c].addInt(ints[row], w)
			}
		}
	}
	return 0
}

func (s *totals) merge(i int, o states, j int) int64 {
	s.cells[i].merge(&o.(*totals).cells[j])
	return 0
}
func (s *totals) take(i int, o states, j int) { s.cells[i] = o.(*totals).cells[j] }
func (s *totals) grown() int64                { return 0 }

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
