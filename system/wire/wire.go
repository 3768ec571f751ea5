// Package wire is what Ratel's own encodings have in common: numbers as varints, texts and bytes behind their length, floats
// in eight bytes; and around what is stored or sent, a word before that names the encoding and a CRC32C behind.
package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// sumBytes is how long a checksum is.
const sumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSum appends the CRC32C of what begins at a byte of b, little endian.
func AppendSum(b []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// Open returns a reader of what is between the word and the checksum, or an error that says how data differs from what
// has both.
func Open(data []byte, word string) (Reader, error) {
	if len(data) < len(word)+sumBytes || string(data[:len(word)]) != word {
		return Reader{}, fmt.Errorf("%d bytes that do not begin with %s", len(data), word)
	}
	if !Intact(data) {
		return Reader{}, fmt.Errorf("its CRC32C is %08x, its end says %08x; it was cut off or changed", crc32.Checksum(data[:len(data)-sumBytes], castagnoli), Sum(data))
	}
	return Reader{b: data[:len(data)-sumBytes], at: len(word)}, nil
}

// Sum is the checksum at the end of data, which has one; it is right if the data is intact.
func Sum(data []byte) uint32 { return binary.LittleEndian.Uint32(data[len(data)-sumBytes:]) }

// Intact says whether data ends with its checksum.
func Intact(data []byte) bool {
	return len(data) >= sumBytes && crc32.Checksum(data[:len(data)-sumBytes], castagnoli) == Sum(data)
}

// AppendBytes appends a length (signed, as [Reader.Sized] reads it) and the bytes.
func AppendBytes[T string | []byte](b []byte, p T) []byte {
	return append(binary.AppendVarint(b, int64(len(p))), p...)
}

// Reader reads an encoding from its beginning. What cannot be read is zero, and so is all that is read after it; Err is what
// was wrong first. So a decoder may read on and ask once.
type Reader struct {
	b   []byte
	at  int // how far b is read
	err error
}

// NewReader makes a reader. What it returns may be a part of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Fail makes what was read wrong, unless it was before.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.at = len(r.b)
}

// Err is what was wrong first; nil if nothing was.
func (r *Reader) Err() error { return r.err }

// Left is how many bytes are not read yet.
func (r *Reader) Left() int { return len(r.b) - r.at }

// End is Err, or an error if there is more to read.
func (r *Reader) End() error {
	if left := r.Left(); left > 0 {
		r.Fail("%d bytes are left over", left)
	}
	return r.err
}

// Int reads a signed number.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		return r.cutOff()
	}
	r.at += n
	return v
}

// Uint reads an unsigned number.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		return uint64(r.cutOff())
	}
	r.at += n
	return v
}

func (r *Reader) cutOff() int64 {
	r.Fail("a number is cut off or too long")
	return 0
}

// Int32 reads a signed number of 32 bits.
func (r *Reader) Int32() int32 {
	v := r.Int()
	if int64(int32(v)) != v {
		r.Fail("%d where 32 bits are expected", v)
		return 0
	}
	return int32(v)
}

// Count reads how many of something follow (a signed number), each of which has at least size bytes. More than there can be
// are an error, so what is made for them has a bound.
func (r *Reader) Count(size int) int { return r.room(r.Int(), size) }

// Sized reads a length (a signed number) and returns that many bytes. They are a part of what is read.
func (r *Reader) Sized() []byte { return r.Bytes(uint64(r.Count(1))) }

// CountUpTo reads how many of something follow (an unsigned number), each of which has a byte at least; more than most are an
// error, too.
func (r *Reader) CountUpTo(most int) int {
	n := r.Uint()
	if n > uint64(most) {
		r.Fail("%d elements where at most %d are allowed", n, most)
		return 0
	}
	return r.room(int64(n), 1)
}

func (r *Reader) room(n int64, size int) int {
	if left := r.Left(); n < 0 || n > int64(left/size) {
		r.Fail("%d elements where %d bytes are left", n, left)
		return 0
	}
	return int(n)
}

// Bytes are the next n, a part of what is read; nil if there are fewer.
func (r *Reader) Bytes(n uint64) []byte {
	if r.err != nil || n > uint64(r.Left()) {
		r.Fail("it ends too early")
		return nil
	}
	p := r.b[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return p
}

// Byte reads one.
func (r *Reader) Byte() byte {
	if p := r.Bytes(1); p != nil {
		return p[0]
	}
	return 0
}

// Bool reads a byte that is 0 or 1.
func (r *Reader) Bool() bool {
	b := r.Byte()
	if b > 1 {
		r.Fail("a boolean is neither 0 nor 1")
	}
	return b == 1
}

// Fixed reads eight bytes, little endian.
func (r *Reader) Fixed() uint64 {
	if r.Left() < 8 {
		r.Fail("it ends too early")
		return 0
	}
	r.at += 8
	return binary.LittleEndian.Uint64(r.b[r.at-8:])
}

// Float reads the eight bytes of a float.
func (r *Reader) Float() float64 { return math.Float64frombits(r.Fixed()) }
