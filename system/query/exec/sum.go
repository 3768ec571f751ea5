package exec

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// exactSum adds float64s and products of them with whole numbers without rounding, so that the order does not matter. It is
// a fixed-point number in limbs of 32 bits, each with room for carries: limb i counts multiples of 2^(32·i-1074). Only the
// limbs in use are there.
type exactSum struct {
	limbs []int64
	base  int32  // number of the first limb
	adds  uint32 // since carries were last moved up
}

const (
	limbBits = 32
	limbMask = 1<<limbBits - 1
	// maxLimbs covers the largest float64 times 2^64, added 2^60 times.
	maxLimbs = 72
	maxAdds  = 1 << 30 // each adds less than 2^32 to a limb
	unitBit  = 1074    // the position of 2^0
)

// fewLimbs is how many limbs do for numbers of about one magnitude: they are part of what any sum costs.
const fewLimbs = 7

// size is what the limbs take in bytes, beyond the first few.
func (s *exactSum) size() int64 { return limbsSize(len(s.limbs)) }

func limbsSize(n int) int64 { return 8 * int64(max(n-fewLimbs, 0)) }

// add adds f·w. f is finite.
func (s *exactSum) add(f float64, w uint64) {
	b := math.Float64bits(f)
	exp := int32(b>>52) & 0x7ff
	mant := b & (1<<52 - 1)
	if exp == 0 {
		exp = 1 // subnormal, or zero
	} else {
		mant |= 1 << 52
	}
	sign := int64(b) >> 63
	pos := exp - 1
	if w == 1 {
		shift := uint(pos & (limbBits - 1))
		at := pos/limbBits - s.base
		if at < 0 || int(at)+3 > len(s.limbs) {
			at = s.cover(pos/limbBits, 3)
		}
		low := mant << shift
		l := s.limbs[at : at+3 : at+3]
		l[0] += (int64(low&limbMask) ^ sign) - sign
		l[1] += (int64(low>>limbBits) ^ sign) - sign
		l[2] += (int64(mant>>(64-shift)) ^ sign) - sign
	} else {
		hi, lo := bits.Mul64(mant, w)
		s.addWide(hi, lo, pos, sign)
	}
	if s.adds++; s.adds >= maxAdds {
		s.carry()
	}
}

// addInt adds i·w.
func (s *exactSum) addInt(i int64, w uint64) {
	sign := i >> 63
	hi, lo := bits.Mul64(uint64((i^sign)-sign), w)
	s.addWide(hi, lo, unitBit, sign)
	if s.adds++; s.adds >= maxAdds {
		s.carry()
	}
}

// addWide adds a number of 128 bits at a position, negated if sign is -1.
func (s *exactSum) addWide(hi, lo uint64, pos int32, sign int64) {
	shift := uint(pos & (limbBits - 1))
	at := pos/limbBits - s.base
	if at < 0 || int(at)+5 > len(s.limbs) {
		at = s.cover(pos/limbBits, 5)
	}
	a, b, c := lo<<shift, hi<<shift|lo>>(64-shift), hi>>(64-shift)
	l := s.limbs[at : at+5 : at+5]
	l[0] += (int64(a&limbMask) ^ sign) - sign
	l[1] += (int64(a>>limbBits) ^ sign) - sign
	l[2] += (int64(b&limbMask) ^ sign) - sign
	l[3] += (int64(b>>limbBits) ^ sign) - sign
	l[4] += (int64(c) ^ sign) - sign
}

// cover makes room for n limbs from a number on, and returns where they are.
func (s *exactSum) cover(from int32, n int) int32 {
	if len(s.limbs) == 0 {
		s.base, s.limbs = from, make([]int64, n)
		return 0
	}
	low, high := min(from, s.base), max(from+int32(n), s.base+int32(len(s.limbs)))
	grown := make([]int64, high-low)
	copy(grown[s.base-low:], s.limbs)
	s.base, s.limbs = low, grown
	return from - low
}

// carry moves carries up, so that all limbs but the last are in [0, 2^32), without limbs of zero at either end.
func (s *exactSum) carry() {
	if len(s.limbs) == 0 {
		s.adds = 0
		return
	}
	for i := 0; i < len(s.limbs); i++ {
		up := s.limbs[i] >> limbBits
		if i == len(s.limbs)-1 {
			if up == 0 || up == -1 {
				break
			}
			s.limbs = append(s.limbs, 0)
		}
		s.limbs[i] &= limbMask
		s.limbs[i+1] += up
	}
	// The last limb holds the sign: what it does not need is folded into the one before.
	for n := len(s.limbs); n > 1; n-- {
		last := s.limbs[n-1]
		if last != 0 && last != -1 {
			break
		}
		s.limbs[n-2] += last << limbBits
		s.limbs = s.limbs[:n-1]
	}
	first := 0
	for first < len(s.limbs) && s.limbs[first] == 0 {
		first++
	}
	s.limbs, s.base, s.adds = s.limbs[first:], s.base+int32(first), 1
	if len(s.limbs) == 0 {
		s.limbs, s.base, s.adds = nil, 0, 0
	}
}

// merge adds o, which may have its carries moved.
func (s *exactSum) merge(o *exactSum) {
	if len(o.limbs) == 0 {
		return
	}
	o.carry()
	s.carry()
	if len(o.limbs) == 0 {
		return
	}
	at := s.cover(o.base, len(o.limbs))
	for i, l := range o.limbs {
		s.limbs[int(at)+i] += l
	}
	s.carry()
}

// units is the sum as a big integer of multiples of 2^-1074.
func (s *exactSum) units() *big.Int {
	sum := new(big.Int)
	for i := len(s.limbs) - 1; i >= 0; i-- {
		sum.Lsh(sum, limbBits)
		sum.Add(sum, big.NewInt(s.limbs[i]))
	}
	return sum.Lsh(sum, uint(s.base)*limbBits)
}

// round is units·2^-1074 as the nearest float64. Sums beyond the largest float64 are infinite.
func round(units *big.Int) float64 {
	if units.Sign() == 0 {
		return 0
	}
	f := new(big.Float).SetPrec(uint(max(units.BitLen(), 53))).SetInt(units)
	v, _ := f.SetMantExp(f, -unitBit).Float64()
	return v
}

func (s *exactSum) append(b []byte) []byte {
	s.carry()
	b = binary.AppendUvarint(b, uint64(len(s.limbs)))
	if len(s.limbs) > 0 {
		b = binary.AppendUvarint(b, uint64(s.base))
	}
	for _, l := range s.limbs {
		b = binary.AppendVarint(b, l)
	}
	return b
}

func (s *exactSum) read(d *decoder) {
	n := d.CountUpTo(maxLimbs)
	if n == 0 {
		return
	}
	base := d.Uint()
	if base+uint64(n) > maxLimbs {
		d.Fail("a sum has %d digits from %d on", n, base)
		return
	}
	s.base, s.limbs, s.adds = int32(base), make([]int64, n), 1
	for i := range s.limbs {
		s.limbs[i] = d.Int()
		if i < n-1 && s.limbs[i]>>limbBits != 0 || s.limbs[i]>>(limbBits+1) != 0 && s.limbs[i]>>(limbBits+1) != -1 {
			d.Fail("a digit of a sum is out of bounds")
			return
		}
	}
	d.memory += s.size()
}
