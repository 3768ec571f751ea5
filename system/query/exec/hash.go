package exec

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Odd constants with as many ones as zeros, for mixing.
const (
	mixA = 0x9e3779b97f4a7c15
	mixB = 0xd6e8feb86659fd93
	mixC = 0xa0761d6478bd642f
)

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix spreads every bit of x over all of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>32) * mixB
	x = (x ^ x>>32) * mixB
	return x ^ x>>32
}

// hashText is the same on every machine and in every run.
func hashText(s string) uint64 {
	h := uint64(len(s)) * mixA
	for len(s) >= 8 {
		h = fold(h^word(s)^mixA, mixC)
		s = s[8:]
	}
	if len(s) > 0 {
		var tail [8]byte
		copy(tail[:], s)
		h = fold(h^binary.LittleEndian.Uint64(tail[:])^mixB, mixC)
	}
	return mix(h)
}

func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// hashInt and hashFloat are of canonical values: a float that is a whole number is hashed as an int.
func hashInt(i int64) uint64 { return mix(uint64(i)*mixA ^ mixC) }

func hashFloat(f float64) uint64 {
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return hashInt(int64(f))
	}
	if f != f {
		f = math.NaN()
	}
	return mix(math.Float64bits(f)*mixA ^ mixB)
}

func hashBool(b bool) uint64 {
	if b {
		return mix(mixA)
	}
	return mix(mixB)
}
