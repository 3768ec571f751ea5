package event

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// packed reads MessagePack (the specification of 2017) from front to back. A body that is cut off, or has a byte that
// begins nothing, sets bad; everything read after that is empty. No length is believed before as many bytes are there.
type packed struct {
	s   string
	i   int
	bad bool
}

// packedKind is a family of MessagePack's formats.
type packedKind uint8

const (
	packedNone packedKind = iota // 0xc1, which is never used
	packedNil
	packedBool
	packedInt
	packedFloat
	packedStr
	packedBin
	packedArray
	packedMap
	packedExt
)

// kindOf tells what a value whose first byte is c is.
func kindOf(c byte) packedKind {
	switch {
	case c < 0x80 || c >= 0xe0:
		return packedInt
	case c < 0x90:
		return packedMap
	case c < 0xa0:
		return packedArray
	case c < 0xc0:
		return packedStr
	}
	const kinds = "\x01\x00\x02\x02" + "\x06\x06\x06" + "\x09\x09\x09" + "\x04\x04" + "\x03\x03\x03\x03\x03\x03\x03\x03" +
		"\x09\x09\x09\x09\x09" + "\x05\x05\x05" + "\x07\x07" + "\x08\x08"
	return packedKind(kinds[c-0xc0])
}

// peek returns the next byte; at the end, one that begins nothing.
func (p *packed) peek() byte {
	if p.bad || p.i >= len(p.s) {
		p.bad = true
		return 0xc1
	}
	return p.s[p.i]
}

// take reads n bytes.
func (p *packed) take(n int) string {
	if p.bad || n < 0 || n > len(p.s)-p.i {
		p.bad = true
		return ""
	}
	p.i += n
	return p.s[p.i-n : p.i]
}

// big reads an unsigned number of n bytes, most significant first.
func (p *packed) big(n int) uint64 {
	v := uint64(0)
	for _, c := range []byte(p.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

// length reads a length of n bytes.
func (p *packed) length(n int) int { return int(p.big(n)) }

// null reads a nil, if one is next.
func (p *packed) null() bool {
	if p.peek() != 0xc0 {
		return false
	}
	p.i++
	return true
}

// str reads a string, if one is next.
func (p *packed) str() (string, bool) {
	c := p.peek()
	if kindOf(c) != packedStr {
		return "", false
	}
	p.i++
	switch c {
	case 0xd9, 0xda, 0xdb:
		return p.take(p.length(1 << (c - 0xd9))), true
	}
	return p.take(int(c & 0x1f)), true
}

// bytes reads binary, which must be next.
func (p *packed) bytes() string {
	c := p.peek()
	p.i++
	return p.take(p.length(1 << (c - 0xc4)))
}

// arrayHead reads the head of an array, if one is next, and returns the number of its elements.
func (p *packed) arrayHead() (int, bool) {
	c := p.peek()
	if kindOf(c) != packedArray {
		return 0, false
	}
	p.i++
	n := int(c & 0x0f)
	if c >= 0xdc {
		n = p.length(2 << (c - 0xdc))
	}
	return p.count(n, 1), true
}

// mapHead reads the head of a map, if one is next, and returns the number of its members.
func (p *packed) mapHead() (int, bool) {
	c := p.peek()
	if kindOf(c) != packedMap {
		return 0, false
	}
	p.i++
	n := int(c & 0x0f)
	if c >= 0xde {
		n = p.length(2 << (c - 0xde))
	}
	return p.count(n, 2), true
}

// count believes that n things of so many bytes at least follow only if that many bytes do.
func (p *packed) count(n, least int) int {
	if n*least > len(p.s)-p.i {
		p.bad = true
		return 0
	}
	return n
}

// number reads an integer or a float, which must be next. What is above the largest int64 becomes a Float.
func (p *packed) number() Value {
	c := p.peek()
	p.i++
	switch {
	case c < 0x80 || c >= 0xe0:
		return IntValue(int64(int8(c)))
	case c == 0xca:
		return FloatValue(float64(math.Float32frombits(uint32(p.big(4)))))
	case c == 0xcb:
		return FloatValue(math.Float64frombits(p.big(8)))
	case c < 0xd0: // unsigned
		n := p.big(1 << (c - 0xcc))
		if n > math.MaxInt64 {
			return FloatValue(float64(n))
		}
		return IntValue(int64(n))
	}
	size := 1 << (c - 0xd0)
	shift := 64 - 8*size
	return IntValue(int64(p.big(size)<<shift) >> shift)
}

// ext reads an extension, which must be next.
func (p *packed) ext() (kind int8, data string) {
	c := p.peek()
	p.i++
	size := 1 << (c - 0xd4)
	if c < 0xd0 { // with a length
		size = p.length(1 << (c - 0xc7))
	}
	kind = int8(p.big(1))
	return kind, p.take(size)
}

// timestamp reads an extension, which must be next; ok says whether it is a timestamp: type -1 of 4, 8 or 12 bytes.
func (p *packed) timestamp() (at time.Time, ok bool) {
	kind, data := p.ext()
	if p.bad || kind != -1 {
		return time.Time{}, false
	}
	var sec int64
	var nsec uint32
	switch b := []byte(data); len(b) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case 8:
		n := binary.BigEndian.Uint64(b)
		sec, nsec = int64(n&(1<<34-1)), uint32(n>>34)
	case 12:
		nsec, sec = binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint64(b[4:]))
	default:
		return time.Time{}, false
	}
	// Years beyond 9999 have no RFC 3339 text.
	return time.Unix(sec, int64(nsec)), nsec < 1e9 && sec >= firstSecond && sec <= lastSecond
}

// skip reads any value and forgets it, however deep it nests, in constant memory.
func (p *packed) skip() {
	for open := 1; open > 0 && !p.bad; open-- {
		switch kindOf(p.peek()) {
		case packedNil, packedBool:
			p.i++
		case packedInt, packedFloat:
			p.number()
		case packedStr:
			p.str()
		case packedBin:
			p.bytes()
		case packedExt:
			p.ext()
		case packedArray:
			n, _ := p.arrayHead()
			open += n
		case packedMap:
			n, _ := p.mapHead()
			open += 2 * n
		default:
			p.bad = true
		}
	}
}

// IsMsgpack says whether a Content-Type, without its parameters, names MessagePack.
func IsMsgpack(media string) bool {
	return strings.EqualFold(media, "application/msgpack") || strings.EqualFold(media, "application/x-msgpack")
}

// AppendMsgpackString appends s as a MessagePack string.
func AppendMsgpackString(dst []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n < 1<<8:
		dst = append(dst, 0xd9, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

// AppendMsgpackInt appends a number as MessagePack, in 8 bytes unless it is small.
func AppendMsgpackInt(dst []byte, n int64) []byte {
	if n >= 0 && n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}

// AppendMsgpackArray appends the head of an array of n elements, AppendMsgpackMap that of a map of n members.
func AppendMsgpackArray(dst []byte, n int) []byte { return appendHead(dst, 0x90, 0xdc, n) }

// AppendMsgpackMap is explained at [AppendMsgpackArray].
func AppendMsgpackMap(dst []byte, n int) []byte { return appendHead(dst, 0x80, 0xde, n) }

func appendHead(dst []byte, short, long byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, short|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, long+1), uint32(n))
}
