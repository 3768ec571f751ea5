// Package segment is the columnar storage of events: a builder that can be scanned while it grows, and immutable Parquet
// files with statistics and a checksum.
package segment

import (
	"context"

	"github.com/ratel-sim/ratel/system/event"
)

// Row is one event and the Kafka record that brought it.
type Row struct {
	Offset int64
	Index  int32 // of the event in its record, duplicates counted
	Event  event.Event
}

// Info describes a segment. It is all that a reader needs to decide whether to open it, and to know that it is whole.
type Info struct {
	Key         string // its name: the object's key and the local file's name
	Partition   int32
	Dataset     int64
	Hour        int64 // of event time: Unix seconds / 3600
	First, Next int64 // Kafka offsets of the seal it is part of
	Rows        int64
	Bytes       int64
	CRC         uint32 // CRC32C of the whole file
	// MinTime and MaxTime are the smallest and largest event time, Unix nanoseconds.
	MinTime, MaxTime int64
	Columns          []ColumnStats // by name
}

// ColumnStats bounds one column's values.
type ColumnStats struct {
	Name  string
	Kinds uint8 // bit k is set if values of event.Kind k are there
	Nulls int64 // rows without a value
	// Min and Max bound the numbers, if there are any; NaN counts for nothing.
	Min, Max float64
	// MinText and MaxText bound the strings, if there are any: MinText is a prefix of the smallest, MaxText is not below the largest.
	MinText, MaxText string
}

// Source is columnar data that can be scanned: a segment, or a view of rows that are not in one yet.
type Source interface {
	Info() Info
	// Scan visits the rows in blocks, in order, with the columns asked for. A block is good until visit returns. Errors: of
	// visit, of reading; port.ErrCorrupt names what does not match its checksum.
	Scan(ctx context.Context, columns []string, visit func(*Block) error) error
}

// Heads are what a block has of every row beside columns.
type Heads uint8

// Heads that a scan can leave out.
const (
	HeadOffset Heads = 1 << iota // Block.Offset and Block.Index
	HeadTime
	HeadSampleRate
	allHeads = HeadOffset | HeadTime | HeadSampleRate
)

// ScanOnly is s.Scan for who does not look at all of a block: slices of heads that are not asked for may be nil. Decoding them
// takes longer than decoding two columns.
func ScanOnly(ctx context.Context, s Source, heads Heads, columns []string, visit func(*Block) error) error {
	if n, ok := s.(wideScanner); ok {
		return n.scan(ctx, columns, heads, false, func(w *wideBlock) error { return visit(&w.Block) })
	}
	return s.Scan(ctx, columns, visit)
}

// Block is some rows, by columns.
type Block struct {
	Rows       int
	Offset     []int64
	Index      []int32
	Time       []int64 // Unix nanoseconds
	SampleRate []int64
	Unsampled  bool     // every sample rate is 1; false also where nobody has looked
	Columns    []Vector // as asked for, in that order
}

// Vector is one column of a block. A column holds values of several kinds where clients sent them so.
type Vector struct {
	// Kinds has each row's kind; nil if all rows are of kind Uniform.
	Kinds   []event.Kind
	Uniform event.Kind
	// Row i's value is at i in the slice of its kind; what a slice has of rows of other kinds means nothing, but codes are in Dict. A
	// slice is nil if no row has its kind.
	Bools  []bool
	Ints   []int64
	Floats []float64
	Codes  []uint32 // strings: indices into Dict, which belongs to this block
	// Dict is shared by the blocks of a scan where it can be: &Dict[0] and its length being as before says that it is the same. It may
	// be longer than the block, and it may have a string twice where strings hardly repeat.
	Dict []string
}

// Kind is the kind of row i.
func (v *Vector) Kind(i int) event.Kind {
	if v.Kinds == nil {
		return v.Uniform
	}
	return v.Kinds[i]
}

// Value is row i's value.
func (v *Vector) Value(i int) event.Value {
	switch v.Kind(i) {
	case event.Bool:
		return event.BoolValue(v.Bools[i])
	case event.Int:
		return event.IntValue(v.Ints[i])
	case event.Float:
		return event.FloatValue(v.Floats[i])
	case event.String:
		return event.StringValue(v.Dict[v.Codes[i]])
	case event.Null:
	}
	return event.Value{}
}
