package exec

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// ExactDistinct is up to how many values COUNT_DISTINCT is exact.
const ExactDistinct = 1024

const (
	registerBits = 13
	registers    = 1 << registerBits
	maxRank      = 64 - registerBits + 1
)

// distinct counts different hashes, none of which is 0: a set of them, then a HyperLogLog. Both forms, and when the one
// becomes the other, depend on the set of hashes alone.
type distinct struct {
	set  []uint64 // open addressing; the length is a power of two
	n    int      // in set
	regs []uint8  // once there are too many for the set
}

// add adds a hash and returns by how many bytes the memory grew.
func (d *distinct) add(h uint64) (grown int64) {
	if d.regs != nil {
		d.register(h)
		return 0
	}
	if 4*(d.n+1) > 3*len(d.set) {
		grown = d.grow()
	}
	mask := uint64(len(d.set) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch d.set[i] {
		case h:
			return grown
		case 0:
			if d.n == ExactDistinct {
				return grown + d.overflow(h)
			}
			d.set[i] = h
			d.n++
			return grown
		}
	}
}

// size is what it counts for in bytes. More hashes never count for less: a set of more than 768, which takes twice as much for
// a while, counts as the registers that it is about to become.
func (d *distinct) size() int64 {
	if d.regs != nil {
		return registers
	}
	return min(int64(8*len(d.set)), registers)
}

func (d *distinct) grow() int64 {
	old, before := d.set, d.size()
	d.set = make([]uint64, max(8, 2*len(old)))
	mask := uint64(len(d.set) - 1)
	for _, h := range old {
		if h == 0 {
			continue
		}
		i := h & mask
		for d.set[i] != 0 {
			i = (i + 1) & mask
		}
		d.set[i] = h
	}
	return d.size() - before
}

func (d *distinct) overflow(h uint64) int64 {
	grown := registers - d.size()
	d.regs = make([]uint8, registers)
	for _, known := range d.set {
		if known != 0 {
			d.register(known)
		}
	}
	d.register(h)
	d.set, d.n = nil, 0
	return grown
}

func (d *distinct) register(h uint64) {
	i := h >> (64 - registerBits)
	rank := uint8(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1)) + 1)
	if rank > d.regs[i] {
		d.regs[i] = rank
	}
}

func (d *distinct) merge(o *distinct) (grown int64) {
	if o.regs == nil {
		for _, h := range o.set {
			if h != 0 {
				grown += d.add(h)
			}
		}
		return grown
	}
	if d.regs == nil {
		known := d.set
		grown = registers - d.size()
		*d = distinct{regs: make([]uint8, registers)}
		for _, h := range known {
			if h != 0 {
				d.register(h)
			}
		}
	}
	for i, r := range o.regs {
		d.regs[i] = max(d.regs[i], r)
	}
	return grown
}

// count is the number of different hashes, estimated beyond ExactDistinct.
func (d *distinct) count() int64 {
	if d.regs == nil {
		return int64(d.n)
	}
	// The maximum likelihood form of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017): it
	// needs no table of corrections and holds from the first value on.
	var histogram [maxRank + 1]float64
	for _, r := range d.regs {
		histogram[r]++
	}
	const m = float64(registers)
	z := m * tau(1-histogram[maxRank]/m)
	for k := maxRank - 1; k >= 1; k-- {
		z = 0.5 * (z + histogram[k])
	}
	z += m * sigma(histogram[0]/m)
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := math.Inf(1); z != before; {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := math.Inf(1); z != before; {
		x = math.Sqrt(x)
		before = z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}

func (d *distinct) append(b []byte) []byte {
	if d.regs != nil {
		b = binary.AppendUvarint(b, ExactDistinct+1)
		return append(b, d.regs...)
	}
	b = binary.AppendUvarint(b, uint64(d.n))
	hashes := make([]uint64, 0, d.n)
	for _, h := range d.set {
		if h != 0 {
			hashes = append(hashes, h)
		}
	}
	slices.Sort(hashes)
	for _, h := range hashes {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

func (d *distinct) read(r *decoder) {
	n := r.Uint()
	if n > ExactDistinct {
		regs := r.Bytes(registers)
		for _, rank := range regs {
			if rank > maxRank {
				r.Fail("a register of a count of distinct values is %d", rank)
				return
			}
		}
		if regs != nil {
			d.regs = slices.Clone(regs)
			r.memory += registers
		}
		return
	}
	before := uint64(0)
	for range n {
		p := r.Bytes(8)
		if p == nil {
			return
		}
		h := binary.LittleEndian.Uint64(p)
		if h <= before {
			r.Fail("hashes of distinct values are not ascending")
			return
		}
		r.memory += d.add(h)
		before = h
	}
}
