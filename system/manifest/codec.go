package manifest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// The encoding, version 1: "RMF1"; partition, generation, next and sealing time as varints; the writer; the number of
// seals, then each; at last the CRC32C of all of it, little endian. Texts are a number: 0 and then length and bytes, or n
// for the n-th text that was spelt out before. A segment's key is left out where it follows from the rest.
const magic = "RMF1"

// MaxBytes is the largest encoding that is decoded.
const MaxBytes = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode is the manifest's encoding, with a checksum. Equal manifests have equal encodings.
func (m Manifest) Encode() []byte {
	return m.AppendEncoded(make([]byte, 0, m.Room()))
}

// Room is about how many bytes the encoding has: more than enough, unless texts are long and many.
func (m Manifest) Room() int {
	room := 256
	for i := range m.Seals {
		room += 256
		for j := range m.Seals[i].Segments {
			room += 64 + 40*len(m.Seals[i].Segments[j].Columns)
		}
	}
	return room
}

// AppendEncoded appends the encoding to b.
func (m Manifest) AppendEncoded(b []byte) []byte {
	from := len(b)
	w := writer{b: append(b, magic...), known: map[string]uint64{}}
	w.int(int64(m.Partition), m.Generation, m.Next, m.SealedAt)
	w.text(m.Writer)
	w.int(int64(len(m.Seals)))
	for i := range m.Seals {
		s := &m.Seals[i]
		w.int(s.First, s.Next, s.At, s.Records, s.Missed)
		w.text(s.IDs)
		w.int(int64(len(s.Segments)))
		for j := range s.Segments {
			w.segment(&s.Segments[j])
		}
	}
	return appendSum(w.b, from)
}

// appendSum appends the checksum of what begins at a byte.
func appendSum(b []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

type writer struct {
	b      []byte
	known  map[string]uint64
	before []spelt // the texts of the columns of the segment before, which are mostly those of the next one, too
	key    []byte  // scratch
}

// spelt is a text and its number.
type spelt struct {
	text string
	n    uint64
}

func (w *writer) int(values ...int64) {
	for _, v := range values {
		w.b = binary.AppendVarint(w.b, v)
	}
}

// text appends a text and returns its number.
func (w *writer) text(s string) uint64 {
	if n := w.known[s]; n > 0 {
		w.b = binary.AppendUvarint(w.b, n)
		return n
	}
	n := uint64(len(w.known) + 1)
	w.known[s] = n
	w.b = binary.AppendUvarint(append(w.b, 0), uint64(len(s)))
	w.b = append(w.b, s...)
	return n
}

// again is text for number i of the texts of a segment's columns.
func (w *writer) again(i int, s string) {
	if i == len(w.before) {
		w.before = append(w.before, spelt{})
	}
	if was := &w.before[i]; was.n > 0 && was.text == s {
		w.b = binary.AppendUvarint(w.b, was.n)
	} else {
		*was = spelt{s, w.text(s)}
	}
}

func (w *writer) segment(i *segment.Info) {
	w.int(int64(i.Partition), i.Dataset, i.Hour, i.First, i.Next, i.Rows, i.Bytes, int64(i.CRC), i.MinTime, i.MaxTime)
	if w.key = appendSegmentKey(w.key[:0], i); string(w.key) == i.Key {
		w.int(0)
	} else {
		w.int(1)
		w.text(i.Key)
	}
	w.int(int64(len(i.Columns)))
	for j := range i.Columns {
		c := &i.Columns[j]
		w.again(3*j, c.Name)
		w.int(int64(c.Kinds), c.Nulls)
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(c.Min))
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(c.Max))
		w.again(3*j+1, c.MinText)
		w.again(3*j+2, c.MaxText)
	}
}

// Decode reads what Encode writes. Memory is bounded by a multiple of len(data). Errors match [port.ErrCorrupt].
func Decode(data []byte) (Manifest, error) {
	bad := func(why string) (Manifest, error) {
		return Manifest{}, fmt.Errorf("%w: not a manifest: %s", port.ErrCorrupt, why)
	}
	if len(data) > MaxBytes {
		return bad(fmt.Sprintf("%d bytes, more than the %d that one may have", len(data), MaxBytes))
	}
	if len(data) < len(magic)+4 || string(data[:len(magic)]) != magic {
		return bad(fmt.Sprintf("%d bytes that do not begin with %s", len(data), magic))
	}
	if !intact(data) {
		return bad(fmt.Sprintf("its CRC32C is %08x, its end says %08x; it was cut off or changed", crc32.Checksum(data[:len(data)-4], castagnoli), sumOf(data)))
	}
	r := reader{b: data[:len(data)-4], at: len(magic)}
	var m Manifest
	m.Partition = r.int32()
	m.Generation, m.Next, m.SealedAt = r.int(), r.int(), r.int()
	m.Writer = r.text()
	m.Seals = make([]Seal, r.count(7))
	for i := range m.Seals {
		s := &m.Seals[i]
		*s = Seal{First: r.int(), Next: r.int(), At: r.int(), Records: r.int(), Missed: r.int(), IDs: r.text()}
		s.Segments = make([]segment.Info, r.count(12))
		for j := range s.Segments {
			if r.segment(&s.Segments[j]); r.bad {
				return bad("a segment in it is cut off")
			}
		}
		if r.bad {
			return bad("a seal in it is cut off")
		}
	}
	if r.bad || r.at != len(r.b) {
		return bad("its end cannot be read")
	}
	if err := m.check(); err != nil {
		return bad(err.Error())
	}
	return m, nil
}

// sumOf is the checksum at the end of an encoding, which is right if the encoding is intact.
func sumOf(data []byte) uint32 { return binary.LittleEndian.Uint32(data[len(data)-4:]) }

func intact(data []byte) bool {
	return len(data) >= 4 && crc32.Checksum(data[:len(data)-4], castagnoli) == sumOf(data)
}

type reader struct {
	b     []byte
	at    int // how far b is read
	known []string
	key   []byte // scratch
	bad   bool
}

func (r *reader) fail() int64 {
	r.bad, r.at = true, len(r.b)
	return 0
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		return r.fail()
	}
	r.at += n
	return v
}

func (r *reader) int32() int32 {
	v := r.int()
	if int64(int32(v)) != v {
		r.fail()
	}
	return int32(v)
}

// count reads how many of something follow that takes at least size bytes each, which bounds what is allocated.
func (r *reader) count(size int64) int64 {
	n := r.int()
	if n < 0 || n > int64(len(r.b)-r.at)/size {
		return r.fail()
	}
	return n
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		return uint64(r.fail())
	}
	r.at += n
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.known)) {
		r.fail()
	}
	if r.bad {
		return ""
	}
	if n > 0 {
		return r.known[n-1]
	}
	length := r.uvarint()
	if length > uint64(len(r.b)-r.at) {
		r.fail()
		return ""
	}
	s := string(r.b[r.at : r.at+int(length)])
	r.at += len(s)
	r.known = append(r.known, s)
	return s
}

func (r *reader) float() float64 {
	if len(r.b)-r.at < 8 {
		r.fail()
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(r.b[r.at:]))
	r.at += 8
	return f
}

func (r *reader) segment(i *segment.Info) {
	*i = segment.Info{Partition: r.int32(), Dataset: r.int(), Hour: r.int(), First: r.int(), Next: r.int(), Rows: r.int(), Bytes: r.int()}
	crc := r.int()
	if crc < 0 || crc > math.MaxUint32 {
		r.fail()
	}
	i.CRC = uint32(crc)
	i.MinTime, i.MaxTime = r.int(), r.int()
	switch r.int() {
	case 0:
		r.key = appendSegmentKey(r.key[:0], i)
		i.Key = string(r.key)
	case 1:
		i.Key = r.text()
	default:
		r.fail()
	}
	i.Columns = make([]segment.ColumnStats, r.count(21))
	for j := range i.Columns {
		c := &i.Columns[j]
		c.Name = r.text()
		kinds := r.int()
		if kinds < 0 || kinds > math.MaxUint8 {
			r.fail()
		}
		c.Kinds, c.Nulls = uint8(kinds), r.int()
		c.Min, c.Max = r.float(), r.float()
		c.MinText, c.MaxText = r.text(), r.text()
		if r.bad {
			return
		}
	}
}
