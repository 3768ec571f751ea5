package segment

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"
)

// decodeWords reads numbers of eight bytes, least first.
func decodeWords[T int64 | float64](dst []T, body []byte) error {
	if len(body) != 8*len(dst) {
		return fmt.Errorf("%d values in %d bytes", len(dst), len(body))
	}
	if len(dst) == 0 {
		return nil
	}
	// Nearly every machine has them in memory as they are in the file, and copies them faster than a loop would.
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), len(body)), body)
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		words := unsafe.Slice((*uint64)(unsafe.Pointer(&dst[0])), len(dst))
		for i, w := range words {
			words[i] = bits.ReverseBytes64(w)
		}
	}
	return nil
}
