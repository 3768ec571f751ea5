package parquet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Geometry of DELTA_BINARY_PACKED: 128 values in a block, 32 in a miniblock, as most writers have it.
const (
	deltaBlock = 128
	deltaMini  = 32
	deltaMinis = deltaBlock / deltaMini
)

// AppendDelta appends values as DELTA_BINARY_PACKED. Differences wrap around, so any values do.
func AppendDelta(dst []byte, values []int64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaMinis)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	if len(values) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, values[0])
	last := values[0]
	var deltas [deltaBlock]uint64
	for values = values[1:]; len(values) > 0; {
		n := min(deltaBlock, len(values))
		least := values[0] - last
		for i, v := range values[:n] {
			delta := v - last
			deltas[i] = uint64(delta)
			least, last = min(least, delta), v
		}
		values = values[n:]
		dst = binary.AppendVarint(dst, least)
		var widths [deltaMinis]byte
		for i := range deltas[:n] {
			deltas[i] -= uint64(least)
			widths[i/deltaMini] = max(widths[i/deltaMini], byte(bits.Len64(deltas[i])))
		}
		clear(deltas[n:])
		dst = append(dst, widths[:]...)
		for m := 0; m*deltaMini < n; m++ {
			dst = appendPacked(dst, deltas[m*deltaMini:(m+1)*deltaMini], uint(widths[m]))
		}
	}
	return dst
}

// DecodeDelta fills dst. src must hold exactly that many values.
func DecodeDelta(dst []int64, src []byte) error {
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			return fmt.Errorf("%w: the head of delta encoded values", ErrFormat)
		}
		head[i], src = v, src[n:]
	}
	first, n := binary.Varint(src)
	if n <= 0 || head != [3]uint64{deltaBlock, deltaMinis, uint64(len(dst))} {
		return fmt.Errorf("%w: the head of delta encoded values, %v; %d values are expected", ErrFormat, head, len(dst))
	}
	src = src[n:]
	if len(dst) > 0 {
		dst[0], dst = first, dst[1:]
	}
	last := first
	var deltas [deltaMini]uint64
	for len(dst) > 0 {
		least, n := binary.Varint(src)
		if n <= 0 || len(src)-n < deltaMinis {
			return fmt.Errorf("%w: a block of delta encoded values", ErrFormat)
		}
		widths := src[n : n+deltaMinis]
		src = src[n+deltaMinis:]
		for _, w := range widths {
			if len(dst) == 0 {
				break
			}
			if w > 64 || len(src) < deltaMini/8*int(w) {
				return fmt.Errorf("%w: delta encoded values of %d bits in %d bytes", ErrFormat, w, len(src))
			}
			part := dst[:min(deltaMini, len(dst))]
			switch {
			case w == 0:
				for i := range part {
					last += least
					part[i] = last
				}
			case w <= 14 && len(part) == deltaMini && len(src) >= deltaMini/8*int(w)+8:
				last = addPacked(part, src, uint(w), least, last)
			default:
				unpack64(deltas[:], src, uint(w))
				for i := range part {
					last += least + int64(deltas[i])
					part[i] = last
				}
			}
			dst, src = dst[len(part):], src[deltaMini/8*int(w):]
		}
	}
	if len(src) != 0 {
		return fmt.Errorf("%w: %d bytes after the last delta encoded value", ErrFormat, len(src))
	}
	return nil
}

// addPacked is unpack64 and summing up at once, of a whole miniblock of at most 14 bits a value. src goes on 8 bytes after it.
func addPacked(dst []int64, src []byte, w uint, least, last int64) int64 {
	mask, at := uint64(1)<<w-1, uint(0)
	for ; len(dst) >= 4; dst = dst[4:] {
		v, d := binary.LittleEndian.Uint64(src[at>>3:])>>(at&7), dst[:4:4]
		at += 4 * w
		last += least + int64(v&mask)
		d[0] = last
		v >>= w
		last += least + int64(v&mask)
		d[1] = last
		v >>= w
		last += least + int64(v&mask)
		d[2] = last
		v >>= w
		last += least + int64(v&mask)
		d[3] = last
	}
	return last
}
