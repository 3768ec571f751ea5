package parquet

import "encoding/binary"

// appendPacked appends values of w bits each, least significant bit first. len(values)*w must be whole bytes.
func appendPacked[T uint32 | uint64](dst []byte, values []T, w uint) []byte {
	acc, bits := uint64(0), uint(0)
	for _, v := range values {
		acc |= uint64(v) << bits
		bits += w
		if bits >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			bits -= 64
			acc = uint64(v) >> (w - bits)
		}
	}
	for ; bits >= 8; bits -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// unpack32 fills dst from values of w <= 32 bits; src holds them all.
func unpack32(dst []uint32, src []byte, w uint) {
	mask, i := uint64(1)<<w-1, 0
	if w <= 8 {
		// Eight values lie in one word.
		for ; i+8 <= len(dst) && len(src) >= 8; i += 8 {
			v, d := binary.LittleEndian.Uint64(src), dst[i:i+8:i+8]
			d[0] = uint32(v & mask)
			v >>= w
			d[1] = uint32(v & mask)
			v >>= w
			d[2] = uint32(v & mask)
			v >>= w
			d[3] = uint32(v & mask)
			v >>= w
			d[4] = uint32(v & mask)
			v >>= w
			d[5] = uint32(v & mask)
			v >>= w
			d[6] = uint32(v & mask)
			v >>= w
			d[7] = uint32(v & mask)
			src = src[w:]
		}
		dst = dst[i:]
	}
	at, i := uint(0), 0
	if w <= 14 {
		for ; i+4 <= len(dst) && int(at>>3)+8 <= len(src); i += 4 {
			v, d := binary.LittleEndian.Uint64(src[at>>3:])>>(at&7), dst[i:i+4:i+4]
			d[0] = uint32(v & mask)
			v >>= w
			d[1] = uint32(v & mask)
			v >>= w
			d[2] = uint32(v & mask)
			v >>= w
			d[3] = uint32(v & mask)
			at += 4 * w
		}
	}
	for ; i < len(dst) && int(at>>3)+8 <= len(src); i++ {
		dst[i] = uint32(binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7) & mask)
		at += w
	}
	for ; i < len(dst); i++ {
		dst[i] = uint32(tail(src, at) & mask)
		at += w
	}
}

// unpack64 fills dst from values of w <= 64 bits; src holds them all.
func unpack64(dst []uint64, src []byte, w uint) {
	mask, at, i := ^uint64(0)>>(64-w), uint(0), 0
	if w == 0 {
		clear(dst)
		return
	}
	if w <= 14 { // four lie in one word, with up to 7 bits before them
		for ; i+4 <= len(dst) && int(at>>3)+8 <= len(src); i += 4 {
			v, d := binary.LittleEndian.Uint64(src[at>>3:])>>(at&7), dst[i:i+4:i+4]
			d[0] = v & mask
			v >>= w
			d[1] = v & mask
			v >>= w
			d[2] = v & mask
			v >>= w
			d[3] = v & mask
			at += 4 * w
		}
	}
	if w > 14 && w <= 28 { // two
		for ; i+2 <= len(dst) && int(at>>3)+8 <= len(src); i += 2 {
			v := binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7)
			dst[i], dst[i+1] = v&mask, v>>w&mask
			at += 2 * w
		}
	}
	if w <= 57 { // with up to 7 bits before it, a value lies in one word
		for ; i < len(dst) && int(at>>3)+8 <= len(src); i++ {
			dst[i] = binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7) & mask
			at += w
		}
	}
	for ; i < len(dst) && int(at>>3)+9 <= len(src); i++ { // in nine bytes
		low, high := binary.LittleEndian.Uint64(src[at>>3:]), uint64(src[at>>3+8])
		dst[i] = (low>>(at&7) | high<<(64-at&7)) & mask
		at += w
	}
	for ; i < len(dst); i++ {
		v := tail(src, at)
		if int(at>>3)+8 < len(src) {
			v |= uint64(src[at>>3+8]) << (64 - at&7)
		}
		dst[i] = v & mask
		at += w
	}
}

// tail is the word at a bit, with zeros for what lies beyond the end.
func tail(src []byte, at uint) uint64 {
	v := uint64(0)
	for j, b := range src[at>>3 : min(int(at>>3)+8, len(src))] {
		v |= uint64(b) << (8 * j)
	}
	return v >> (at & 7)
}
