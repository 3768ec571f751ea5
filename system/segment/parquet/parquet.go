// Package parquet is the part of the Parquet file format that segments use: flat columns in one row group, version 1 data
// pages, plain, dictionary (RLE/bit-packed) and delta encodings. What it writes any Parquet reader reads; what it reads is only
// what it writes, checked strictly, with memory bounded by the input's size.
//
// It works on typed slices and knows nothing of rows, so a page costs little more than copying its values, a footer needs no
// reflection, and the bytes depend on the values alone, not on a library's version.
//
// Source: Apache Parquet, parquet-format 2.11: README.md, Encodings.md, parquet.thrift.
package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Magic begins and ends a file.
const Magic = "PAR1"

// Type is how values are laid out.
type Type int32

// Physical types, numbered as in the format.
const (
	Boolean   Type = 0
	Int64     Type = 2
	Double    Type = 5
	ByteArray Type = 6
)

// Logical says what the values mean beyond their physical type.
type Logical uint8

// Logical types.
const (
	Plain     Logical = iota
	Text              // ByteArray in UTF-8
	Nanos             // Int64: Unix nanoseconds, UTC
	Unsigned          // Int64 whose bits are a uint64
	nLogicals         // how many there are
)

// Encoding is how a page's values are written.
type Encoding int32

// Encodings, numbered as in the format.
const (
	EncodingPlain Encoding = 0
	EncodingRLE   Encoding = 3
	EncodingDelta Encoding = 5 // DELTA_BINARY_PACKED
	EncodingDict  Encoding = 8 // RLE_DICTIONARY
)

// Codec is how a page is compressed.
type Codec int32

// Codecs, numbered as in the format.
const (
	Uncompressed Codec = 0
	Zstd         Codec = 6
)

// ErrFormat marks bytes that are not a file that this package writes.
var ErrFormat = errors.New("not a Parquet file as segments are written")

// File is what a footer says.
type File struct {
	Rows    int64
	Columns []Column
	Meta    []KeyValue
}

// KeyValue is an entry of a file's metadata.
type KeyValue struct{ Key, Value string }

// Column is one column and where its only chunk lies in the file.
type Column struct {
	Name     string
	Type     Type
	Logical  Logical
	Optional bool
	Codec    Codec
	// Encodings of the chunk's pages, EncodingRLE for levels included.
	Encodings []Encoding
	// Dictionary and Data are the offsets of the dictionary page (0: none) and of the first data page.
	Dictionary, Data int64
	// Size is the chunk's length in the file, page headers included; Raw is the same before compression.
	Size, Raw int64
}

// Start is where the chunk begins.
func (c *Column) Start() int64 {
	if c.Dictionary != 0 {
		return c.Dictionary
	}
	return c.Data
}

// converted is the older notation of a logical type, for readers that know no other.
func (l Logical) converted() (code int32, ok bool) {
	switch l {
	case Text:
		return 0, true // UTF8
	case Unsigned:
		return 14, true // UINT_64
	}
	return 0, false
}

// logicalID is the field of the format's LogicalType union.
func (l Logical) logicalID() int16 {
	return [nLogicals]int16{Plain: 0, Text: 1, Nanos: 8, Unsigned: 10}[l]
}

// AppendFooter appends the footer, its length and the closing magic.
func AppendFooter(dst []byte, f *File) []byte {
	start := len(dst)
	w := thriftWriter{b: dst}
	w.i32(1, 2) // the format's version
	w.list(2, wireStruct, len(f.Columns)+1)
	outer := w.begin()
	w.text(4, "segment")
	w.i32(5, int32(len(f.Columns)))
	w.end(outer)
	for i := range f.Columns {
		w.schema(&f.Columns[i])
	}
	w.i64(3, f.Rows)
	w.list(4, wireStruct, 1)
	outer = w.begin()
	w.list(1, wireStruct, len(f.Columns))
	raw, size := int64(0), int64(0)
	for i := range f.Columns {
		w.chunk(&f.Columns[i], f.Rows)
		raw += f.Columns[i].Raw
		size += f.Columns[i].Size
	}
	w.i64(2, raw)
	w.i64(3, f.Rows)
	w.i64(6, size)
	w.end(outer)
	w.list(5, wireStruct, len(f.Meta))
	for _, kv := range f.Meta {
		outer := w.begin()
		w.text(1, kv.Key)
		w.text(2, kv.Value)
		w.end(outer)
	}
	w.text(6, "ratel")
	w.b = append(w.b, 0)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(w.b)-start))
	return append(w.b, Magic...)
}

func (w *thriftWriter) schema(c *Column) {
	outer := w.begin()
	w.i32(1, int32(c.Type))
	repetition := int32(0)
	if c.Optional {
		repetition = 1
	}
	w.i32(3, repetition)
	w.text(4, c.Name)
	if code, ok := c.Logical.converted(); ok {
		w.i32(6, code)
	}
	if c.Logical != Plain {
		w.field(10, wireStruct)
		union := w.begin()
		w.field(c.Logical.logicalID(), wireStruct)
		inner := w.begin()
		switch c.Logical {
		case Nanos:
			w.bool(1, true) // adjusted to UTC
			w.field(2, wireStruct)
			unit := w.begin()
			w.field(3, wireStruct) // NANOS
			w.b = append(w.b, 0)
			w.end(unit)
		case Unsigned:
			w.field(1, wireByte)
			w.b = append(w.b, 64)
			w.bool(2, false) // signed
		}
		w.end(inner)
		w.end(union)
	}
	w.end(outer)
}

func (w *thriftWriter) chunk(c *Column, rows int64) {
	outer := w.begin()
	w.i64(2, c.Start())
	w.field(3, wireStruct)
	inner := w.begin()
	w.i32(1, int32(c.Type))
	w.list(2, wireI32, len(c.Encodings))
	for _, e := range c.Encodings {
		w.b = binary.AppendVarint(w.b, int64(e))
	}
	w.list(3, wireBinary, 1)
	w.string(c.Name)
	w.i32(4, int32(c.Codec))
	w.i64(5, rows)
	w.i64(6, c.Raw)
	w.i64(7, c.Size)
	w.i64(9, c.Data)
	if c.Dictionary != 0 {
		w.i64(11, c.Dictionary)
	}
	w.end(inner)
	w.end(outer)
}

// ParseFooter reads the footer of a whole file. Every chunk it names lies inside the file. Errors: ErrFormat.
func ParseFooter(data []byte) (*File, error) {
	if len(data) < 12 || string(data[:4]) != Magic || string(data[len(data)-4:]) != Magic {
		return nil, fmt.Errorf("%w: it does not begin and end with %q", ErrFormat, Magic)
	}
	n := int64(binary.LittleEndian.Uint32(data[len(data)-8:]))
	end := int64(len(data) - 8)
	if n > end-4 {
		return nil, fmt.Errorf("%w: a footer of %d bytes is announced in a file of %d", ErrFormat, n, len(data))
	}
	r := thriftReader{b: data[end-n : end]}
	f, places := r.file()
	if r.bad || r.i != len(r.b) || len(f.Columns) != len(places) {
		return nil, fmt.Errorf("%w: the footer cannot be read", ErrFormat)
	}
	for i := range f.Columns {
		c, p := &f.Columns[i], &places[i]
		if p.Name != c.Name || p.Type != c.Type || p.rows != f.Rows {
			return nil, fmt.Errorf("%w: column %q: its chunk is described as of another", ErrFormat, c.Name)
		}
		c.Codec, c.Dictionary, c.Data, c.Size, c.Raw = p.Codec, p.Dictionary, p.Data, p.Size, p.Raw
		if c.Start() < 4 || c.Size < 0 || c.Size > end-n-4 || c.Start() > end-n-c.Size || c.Data < c.Start() || c.Data > c.Start()+c.Size {
			return nil, fmt.Errorf("%w: column %q lies outside of the file", ErrFormat, c.Name)
		}
		if c.Codec != Uncompressed && c.Codec != Zstd {
			return nil, fmt.Errorf("%w: column %q: codec %d", ErrFormat, c.Name, c.Codec)
		}
	}
	return f, nil
}

// place is a column as its chunk describes it.
type place struct {
	Column
	rows int64
}

func (r *thriftReader) file() (*File, []place) {
	f, places := &File{}, []place(nil)
	r.structure(func(id int16, wire byte) {
		switch id {
		case 2:
			n := r.list(wire, wireStruct)
			f.Columns = make([]Column, 0, min(n, 64)) // n is not believed before it is read
			for i := range n {
				c := r.schema()
				if i > 0 && !r.bad { // the first is the root
					f.Columns = append(f.Columns, c)
				}
			}
		case 3:
			f.Rows = r.i64(wire)
		case 4:
			if r.list(wire, wireStruct) != 1 {
				r.fail()
				return
			}
			r.structure(func(id int16, wire byte) {
				if id != 1 {
					r.skip(wire, 0)
					return
				}
				n := r.list(wire, wireStruct)
				places = make([]place, 0, min(n, 64))
				for ; n > 0 && !r.bad; n-- {
					places = append(places, r.chunk())
				}
			})
		case 5:
			n := r.list(wire, wireStruct)
			for ; n > 0 && !r.bad; n-- {
				var kv KeyValue
				r.structure(func(id int16, wire byte) {
					switch id {
					case 1:
						kv.Key = r.text(wire)
					case 2:
						kv.Value = r.text(wire)
					default:
						r.skip(wire, 0)
					}
				})
				f.Meta = append(f.Meta, kv)
			}
		default:
			r.skip(wire, 0)
		}
	})
	return f, places
}

func (r *thriftReader) schema() (c Column) {
	r.structure(func(id int16, wire byte) {
		switch id {
		case 1:
			c.Type = Type(r.i32(wire))
		case 3:
			c.Optional = r.i32(wire) == 1
		case 4:
			c.Name = r.text(wire)
		case 10:
			r.structure(func(id int16, wire byte) {
				for l := Plain + 1; l < nLogicals; l++ {
					if l.logicalID() == id {
						c.Logical = l
					}
				}
				r.skip(wire, 0)
			})
		default:
			r.skip(wire, 0)
		}
	})
	return c
}

func (r *thriftReader) chunk() (p place) {
	r.structure(func(id int16, wire byte) {
		if id != 3 || wire != wireStruct {
			r.skip(wire, 0)
			return
		}
		r.structure(func(id int16, wire byte) {
			switch id {
			case 1:
				p.Type = Type(r.i32(wire))
			case 3:
				if r.list(wire, wireBinary) != 1 {
					r.fail()
					return
				}
				p.Name = r.text(wireBinary)
			case 4:
				p.Codec = Codec(r.i32(wire))
			case 5:
				p.rows = r.i64(wire)
			case 6:
				p.Raw = r.i64(wire)
			case 7:
				p.Size = r.i64(wire)
			case 9:
				p.Data = r.i64(wire)
			case 11:
				p.Dictionary = r.i64(wire)
			default:
				r.skip(wire, 0)
			}
		})
	})
	return p
}
