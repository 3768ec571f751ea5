package parquet

import (
	"encoding/binary"
	"math"
)

// Thrift's compact protocol, as far as Parquet's metadata needs it.
// Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
const (
	wireTrue   = 1
	wireFalse  = 2
	wireByte   = 3
	wireI16    = 4
	wireI32    = 5
	wireI64    = 6
	wireDouble = 7
	wireBinary = 8
	wireList   = 9
	wireSet    = 10
	wireMap    = 11
	wireStruct = 12
)

// maxDepth bounds how deeply structures that are skipped may nest.
const maxDepth = 16

// thriftWriter appends structures.
type thriftWriter struct {
	b    []byte
	last int16 // ID of the field before in the structure being written
}

func (w *thriftWriter) field(id int16, wire byte) {
	if delta := id - w.last; delta > 0 && delta < 16 {
		w.b = append(w.b, byte(delta)<<4|wire)
	} else {
		w.b = binary.AppendVarint(append(w.b, wire), int64(id))
	}
	w.last = id
}

func (w *thriftWriter) i32(id int16, v int32) {
	w.field(id, wireI32)
	w.b = binary.AppendVarint(w.b, int64(v))
}

func (w *thriftWriter) i64(id int16, v int64) {
	w.field(id, wireI64)
	w.b = binary.AppendVarint(w.b, v)
}

func (w *thriftWriter) bool(id int16, v bool) {
	if v {
		w.field(id, wireTrue)
	} else {
		w.field(id, wireFalse)
	}
}

func (w *thriftWriter) text(id int16, v string) {
	w.field(id, wireBinary)
	w.string(v)
}

// string is a list's element; text is a field.
func (w *thriftWriter) string(v string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(v)))
	w.b = append(w.b, v...)
}

// begin starts a structure inside a field or a list; end restores what it returns.
func (w *thriftWriter) begin() (outer int16) {
	outer, w.last = w.last, 0
	return outer
}

func (w *thriftWriter) end(outer int16) {
	w.b, w.last = append(w.b, 0), outer
}

func (w *thriftWriter) list(id int16, wire byte, n int) {
	w.field(id, wireList)
	if n < 15 {
		w.b = append(w.b, byte(n)<<4|wire)
		return
	}
	w.b = binary.AppendUvarint(append(w.b, 0xf0|wire), uint64(n))
}

// thriftReader reads structures. The first thing that does not fit sets bad, and everything after reads as zero.
type thriftReader struct {
	b    []byte
	i    int
	bad  bool
	copy string // of b, which texts are parts of; made for the first
}

func (r *thriftReader) fail() { r.bad, r.i = true, len(r.b) }

func (r *thriftReader) byte() byte {
	if r.i >= len(r.b) {
		r.fail()
		return 0
	}
	r.i++
	return r.b[r.i-1]
}

func (r *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.i:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.i += n
	return v
}

func (r *thriftReader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *thriftReader) i32(wire byte) int32 {
	v := r.varint()
	if wire != wireI32 || v < math.MinInt32 || v > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int32(v)
}

func (r *thriftReader) i64(wire byte) int64 {
	v := r.varint()
	if wire != wireI64 {
		r.fail()
		return 0
	}
	return v
}

func (r *thriftReader) text(wire byte) string {
	if wire != wireBinary {
		r.fail()
	}
	n := r.uvarint()
	if n > uint64(len(r.b)-r.i) {
		r.fail()
		return ""
	}
	if r.copy == "" {
		r.copy = string(r.b)
	}
	r.i += int(n)
	return r.copy[r.i-int(n) : r.i]
}

// list reads a list's head. Each element takes at least one byte, so n is bounded by what is there.
func (r *thriftReader) list(wire, want byte) (n int) {
	head := r.byte()
	size := uint64(head >> 4)
	if size == 15 {
		size = r.uvarint()
	}
	if wire != wireList || head&0xf != want || size > uint64(len(r.b)-r.i) {
		r.fail()
		return 0
	}
	return int(size)
}

// structure calls field for each field until the structure ends. field must read the value.
func (r *thriftReader) structure(field func(id int16, wire byte)) {
	id := int64(0)
	for !r.bad {
		head := r.byte()
		if head == 0 {
			return
		}
		if delta := head >> 4; delta != 0 {
			id += int64(delta)
		} else {
			id = r.varint()
		}
		if id <= 0 || id > math.MaxInt16 {
			r.fail()
			return
		}
		field(int16(id), head&0xf)
	}
}

// skip reads over a value that nobody asked for.
func (r *thriftReader) skip(wire byte, depth int) {
	if depth > maxDepth {
		r.fail()
		return
	}
	switch wire {
	case wireTrue, wireFalse:
	case wireByte:
		r.byte()
	case wireI16, wireI32, wireI64:
		r.uvarint()
	case wireDouble:
		r.advance(8)
	case wireBinary:
		r.advance(r.uvarint())
	case wireList, wireSet:
		head := r.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = r.uvarint()
		}
		for ; n > 0 && !r.bad; n-- {
			if elem := head & 0xf; elem == wireTrue || elem == wireFalse {
				r.byte() // in a list a boolean takes a byte
			} else {
				r.skip(elem, depth+1)
			}
		}
	case wireStruct:
		r.structure(func(_ int16, wire byte) { r.skip(wire, depth+1) })
	default: // maps are not used by Parquet
		r.fail()
	}
}

func (r *thriftReader) advance(n uint64) {
	if n > uint64(len(r.b)-r.i) {
		r.fail()
		return
	}
	r.i += int(n)
}
