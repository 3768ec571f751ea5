package parquet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// shortestRun is how many equal values are worth a run of their own.
const shortestRun = 16

// Width is how many bits values below n take, at least 1: some readers do not expect 0.
func Width(n int) uint { return uint(max(1, bits.Len(uint(max(n, 1)-1)))) }

// AppendHybrid appends values in the RLE/bit-packed hybrid, w bits each.
func AppendHybrid(dst []byte, values []uint32, w uint) []byte {
	from, i := 0, 0 // values[from:i] wait to be packed, a multiple of 8
	for i < len(values) {
		run := 1
		for i+run < len(values) && values[i+run] == values[i] {
			run++
		}
		if run < shortestRun {
			i += 8
			continue
		}
		dst = appendGroups(dst, values[from:i], w)
		dst = binary.AppendUvarint(dst, uint64(run)<<1)
		for n := uint(0); n < w; n += 8 {
			dst = append(dst, byte(values[i]>>n))
		}
		i += run
		from = i
	}
	return appendGroups(dst, values[from:], w)
}

// appendGroups packs values in groups of 8, the last filled up with zeros.
func appendGroups(dst []byte, values []uint32, w uint) []byte {
	if len(values) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64((len(values)+7)/8)<<1|1)
	whole := len(values) &^ 7
	dst = appendPacked(dst, values[:whole], w)
	if whole < len(values) {
		var last [8]uint32
		copy(last[:], values[whole:])
		dst = appendPacked(dst, last[:], w)
	}
	return dst
}

// run is a part of the hybrid: n values that are all equal, or packed.
type run struct {
	n      int
	value  uint32
	packed []byte // nil: a run of value
}

// nextRun reads a run of at most left values.
func nextRun(src []byte, w uint, left int) (r run, rest []byte, err error) {
	head, n := binary.Uvarint(src)
	if n <= 0 || head>>1 == 0 {
		return run{}, nil, fmt.Errorf("%w: a run's head", ErrFormat)
	}
	src = src[n:]
	if head&1 == 0 {
		size := int(w+7) / 8
		if head>>1 > uint64(left) || len(src) < size {
			return run{}, nil, fmt.Errorf("%w: a run of %d values, %d expected", ErrFormat, head>>1, left)
		}
		r.n = int(head >> 1)
		for i := range size {
			r.value |= uint32(src[i]) << (8 * i)
		}
		return r, src[size:], nil
	}
	groups := head >> 1
	if groups > uint64(left+7)/8 || groups*uint64(w) > uint64(len(src)) {
		return run{}, nil, fmt.Errorf("%w: %d packed groups, %d values expected in %d bytes", ErrFormat, groups, left, len(src))
	}
	size := int(groups) * int(w)
	return run{n: min(int(groups)*8, left), packed: src[:size:size]}, src[size:], nil
}

// DecodeHybrid fills dst from the hybrid of w bits (1 to 32). src must hold exactly that many, each below limit.
func DecodeHybrid(dst []uint32, src []byte, w uint, limit uint32) error {
	if w < 1 || w > 32 {
		return fmt.Errorf("%w: values of %d bits", ErrFormat, w)
	}
	for len(dst) > 0 {
		r, rest, err := nextRun(src, w, len(dst))
		if err != nil {
			return err
		}
		part := dst[:r.n]
		if r.packed == nil {
			if r.value >= limit {
				return fmt.Errorf("%w: index %d in a dictionary of %d", ErrFormat, r.value, limit)
			}
			fill(part, r.value)
		} else {
			unpack32(part, r.packed, w)
			below := uint64(0) // of every value: negative if it is not below the limit
			for _, v := range part {
				below |= uint64(limit) - 1 - uint64(v)
			}
			if int64(below) < 0 {
				return fmt.Errorf("%w: index %d in a dictionary of %d", ErrFormat, slices.Max(part), limit)
			}
		}
		dst, src = dst[r.n:], rest
	}
	if len(src) != 0 {
		return fmt.Errorf("%w: %d bytes after the last value", ErrFormat, len(src))
	}
	return nil
}

func fill[T any](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}

// DecodeLevels fills dst with definition levels, 0 or 1, and counts the ones.
func DecodeLevels(dst []uint8, src []byte) (ones int, err error) {
	for len(dst) > 0 {
		r, rest, err := nextRun(src, 1, len(dst))
		if err != nil {
			return 0, err
		}
		part := dst[:r.n]
		if r.packed == nil {
			if r.value > 1 {
				return 0, fmt.Errorf("%w: definition level %d", ErrFormat, r.value)
			}
			fill(part, uint8(r.value))
			ones += int(r.value) * r.n
		} else {
			ones += unpackLevels(part, r.packed)
		}
		dst, src = dst[r.n:], rest
	}
	if len(src) != 0 {
		return 0, fmt.Errorf("%w: %d bytes after the last level", ErrFormat, len(src))
	}
	return ones, nil
}

// unpackLevels fills dst from single bits, and counts the ones.
func unpackLevels(dst []uint8, packed []byte) (ones int) {
	const each = 0x0101010101010101 // a bit in each byte
	for ; len(dst) >= 8; dst, packed = dst[8:], packed[1:] {
		// Byte i of the word keeps bit i, and adding carries it to the byte's upper bit.
		bit := uint64(packed[0]) * each & 0x8040201008040201
		binary.LittleEndian.PutUint64(dst, (bit+0x7f*each)>>7&each)
		ones += bits.OnesCount8(packed[0])
	}
	for i := range dst {
		dst[i] = packed[0] >> i & 1
		ones += int(dst[i])
	}
	return ones
}
