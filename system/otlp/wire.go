package otlp

import "math"

// Wire types of protobuf.
const (
	typeVarint  = 0
	typeFixed64 = 1
	typeBytes   = 2
	typeGroup   = 3
	typeEnd     = 4
	typeFixed32 = 5
)

// wire reads one protobuf message from front to back. What is cut off or cannot be sets bad; everything read after that is
// zero. What is read refers to the message's memory.
type wire struct {
	s   string
	i   int
	tag uint32 // of the field that is next
	bad bool
}

// next reads the tag of the next field, (number << 3 | wire type). 0 is the end.
func (w *wire) next() uint32 {
	if w.bad || w.i >= len(w.s) {
		return 0
	}
	tag := w.varint()
	if tag>>3 == 0 || tag > 1<<32-1 {
		w.bad = true
		return 0
	}
	w.tag = uint32(tag)
	return w.tag
}

// varint reads a varint. Tags and lengths are mostly one byte long.
func (w *wire) varint() uint64 {
	if w.i < len(w.s) && w.s[w.i] < 0x80 {
		w.i++
		return uint64(w.s[w.i-1])
	}
	return w.longVarint()
}

func (w *wire) longVarint() uint64 {
	v := uint64(0)
	for shift := 0; shift < 70 && w.i < len(w.s); shift += 7 {
		c := w.s[w.i]
		w.i++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				break
			}
			return v | uint64(c)<<shift
		}
		v |= uint64(c&0x7f) << shift
	}
	w.bad = true
	return 0
}

func (w *wire) fixed64() uint64 {
	if len(w.s)-w.i < 8 {
		w.bad = true
		w.i = len(w.s)
		return 0
	}
	w.i += 8
	return word(w.s[w.i-8 : w.i])
}

// bytes reads what has its length in front: a string, bytes, a message, or packed numbers.
func (w *wire) bytes() string {
	n := w.varint()
	if n > uint64(len(w.s)-w.i) {
		w.bad = true
		w.i = len(w.s)
		return ""
	}
	start := w.i
	w.i += int(n)
	return w.s[start:w.i]
}

// short reads the next field if it is the one of that number, below 16, and short, and all of it is there. Else nothing is read.
func (w *wire) short(field uint32) (string, bool) {
	if w.bad || w.i+2 > len(w.s) || w.s[w.i] != byte(field<<3|typeBytes) {
		return "", false
	}
	at := w.i + 2
	end := at + int(w.s[at-1])
	if w.s[at-1] >= 0x80 || end > len(w.s) {
		return "", false
	}
	w.i = end
	return w.s[at:end], true
}

// inGroup reads the tag of the next field in a group, of which only the wire type counts. Its number may be one that no message
// has: Go's own decoder lets it pass there.
func (w *wire) inGroup() uint32 {
	tag := w.varint()
	if number := tag >> 3; number == 0 || number > math.MaxInt32 {
		w.bad = true
		return 0
	}
	return uint32(tag & 7)
}

// skip reads over the field whose tag was read.
func (w *wire) skip() {
	for open := 0; ; w.tag = w.inGroup() {
		switch w.tag & 7 {
		case typeVarint:
			w.varint()
		case typeFixed64:
			w.fixed64()
		case typeBytes:
			w.bytes()
		case typeGroup: // no message of OTLP has any, but an unknown field may
			open++
		case typeEnd:
			open--
		case typeFixed32:
			w.fixed32()
		default:
			w.bad = true
		}
		switch {
		case open < 0 || open > 0 && w.i >= len(w.s):
			w.bad = true
			return
		case w.bad || open == 0:
			return
		}
	}
}

func (w *wire) fixed32() uint32 {
	if len(w.s)-w.i < 4 {
		w.bad = true
		w.i = len(w.s)
		return 0
	}
	b := w.s[w.i : w.i+4]
	w.i += 4
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
