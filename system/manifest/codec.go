package manifest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
	"github.com/ratel-sim/ratel/system/wire"
)

// The encoding, version 1: "RMF1"; partition, generation, next and sealing time as varints; the writer; the number of
// seals, then each; at last the CRC32C of all of it, little endian. Texts are a number: 0 and then length and bytes, or n
// for the n-th text that was spelt out before. A segment's key is left out where it follows from the rest.
const magic = "RMF1"

// MaxBytes is the largest encoding that is decoded.
const MaxBytes = 256 << 20

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
	return wire.AppendSum(w.b, from)
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
	body, err := wire.Open(data, magic)
	if err != nil {
		return bad(err.Error())
	}
	r := reader{Reader: body}
	var m Manifest
	m.Partition = r.Int32()
	m.Generation, m.Next, m.SealedAt = r.Int(), r.Int(), r.Int()
	m.Writer = r.text()
	m.Seals = make([]Seal, r.Count(7))
	for i := range m.Seals {
		s := &m.Seals[i]
		*s = Seal{First: r.Int(), Next: r.Int(), At: r.Int(), Records: r.Int(), Missed: r.Int(), IDs: r.text()}
		s.Segments = make([]segment.Info, r.Count(12))
		for j := range s.Segments {
			if r.segment(&s.Segments[j]); r.Err() != nil {
				return bad(fmt.Sprintf("segment %d of seal %d: %v", j, i, r.Err()))
			}
		}
		if r.Err() != nil {
			return bad(fmt.Sprintf("seal %d: %v", i, r.Err()))
		}
	}
	if err := r.End(); err != nil {
		return bad(err.Error())
	}
	if err := m.check(); err != nil {
		return bad(err.Error())
	}
	return m, nil
}

type reader struct {
	wire.Reader
	known []string
	key   []byte // scratch
}

func (r *reader) text() string {
	n := r.Uint()
	if n > uint64(len(r.known)) {
		r.Fail("text %d where %d are known", n, len(r.known))
		return ""
	}
	if n > 0 {
		return r.known[n-1]
	}
	s := string(r.Bytes(r.Uint()))
	if r.Err() == nil {
		r.known = append(r.known, s)
	}
	return s
}

func (r *reader) segment(i *segment.Info) {
	*i = segment.Info{Partition: r.Int32(), Dataset: r.Int(), Hour: r.Int(), First: r.Int(), Next: r.Int(), Rows: r.Int(), Bytes: r.Int()}
	crc := r.Int()
	if crc < 0 || crc > math.MaxUint32 {
		r.Fail("CRC32C %d has more than 32 bits", crc)
	}
	i.CRC = uint32(crc)
	i.MinTime, i.MaxTime = r.Int(), r.Int()
	switch spelt := r.Int(); spelt {
	case 0:
		r.key = appendSegmentKey(r.key[:0], i)
		i.Key = string(r.key)
	case 1:
		i.Key = r.text()
	default:
		r.Fail("%d where 1 says that a key is spelt out, and 0 that it follows", spelt)
	}
	i.Columns = make([]segment.ColumnStats, r.Count(21))
	for j := range i.Columns {
		c := &i.Columns[j]
		c.Name = r.text()
		kinds := r.Int()
		if kinds < 0 || kinds > math.MaxUint8 {
			r.Fail("kinds %d have more than 8 bits", kinds)
		}
		c.Kinds, c.Nulls = uint8(kinds), r.Int()
		c.Min, c.Max = r.Float(), r.Float()
		c.MinText, c.MaxText = r.text(), r.text()
		if r.Err() != nil {
			return
		}
	}
}
