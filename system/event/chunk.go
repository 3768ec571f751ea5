package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// The chunk format, version 1. All of it is covered by one CRC32C, so that a chunk is either whole or refused:
//
//	byte 0      'R'
//	byte 1      version, 1
//	bytes 2-5   CRC32C (Castagnoli) of everything that follows, little endian
//	uvarint     length of the dataset's name, then the name
//	uvarint     number of events
//	uvarint     number of fields of all events together
//	events      each: flags, then what the flags do not say is as in the event before
//
// An event is: a byte of flags; 8 bytes of ID.Source unless flagSameSource; uvarint ID.Seq unless flagNextSeq; varint
// seconds and uvarint nanoseconds of the Unix time unless flagSameTime; uvarint sample rate unless flagUnsampled; uvarint
// number of fields unless flagSameNames; then the fields: name (uvarint length, bytes; absent under flagSameNames), a tag, and the value.
const (
	chunkMagic   = 'R'
	chunkVersion = 1
	chunkHeader  = 6
)

// MaxChunkBytes is the largest chunk that is decoded. It lies above any Kafka record of a sound configuration.
const MaxChunkBytes = 16 << 20

// Flags of an event: what is left out because it follows from the event before.
const (
	flagSameSource = 1 << iota // ID.Source as before
	flagNextSeq                // ID.Seq is one above the one before
	flagSameTime               // Time as before
	flagUnsampled              // SampleRate is 1
	flagSameNames              // the same field names in the same order as before
	flagsKnown     = 1<<iota - 1
)

// Tags of a value.
const (
	tagNull = iota
	tagFalse
	tagTrue
	tagInt   // zigzag varint
	tagFloat // 8 bytes, IEEE 754, little endian
	tagString
)

// ErrDamaged marks a chunk that cannot be decoded: bytes were changed, cut off or never were a chunk.
var ErrDamaged = errors.New("damaged chunk")

// ErrVersion marks a chunk that a newer build has written.
var ErrVersion = errors.New("chunk of an unknown version")

// castagnoli selects the polynomial that CPUs have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendChunk appends the encoding of a chunk to dst. A sample rate below 1 is written as 1. Each event keeps its own ID.
func AppendChunk(dst []byte, dataset string, events []Event) []byte {
	return appendChunk(dst, dataset, events, nil)
}

// AppendChunkFrom is AppendChunk for events that have no ID yet: they get first, and from it on consecutive Seqs. The
// events themselves are not changed.
func AppendChunkFrom(dst []byte, dataset string, events []Event, first ID) []byte {
	return appendChunk(dst, dataset, events, &first)
}

func appendChunk(dst []byte, dataset string, events []Event, first *ID) []byte {
	start := len(dst)
	dst = append(dst, chunkMagic, chunkVersion, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, uint64(len(dataset)))
	dst = append(dst, dataset...)
	dst = binary.AppendUvarint(dst, uint64(len(events)))
	fields := 0
	for i := range events {
		fields += len(events[i].Fields)
	}
	dst = binary.AppendUvarint(dst, uint64(fields))
	var before previous
	for i := range events {
		e := &events[i]
		id := e.ID
		if first != nil {
			id = ID{Source: first.Source, Seq: first.Seq + uint64(i)}
		}
		dst = appendEvent(dst, e, id, &before)
	}
	binary.LittleEndian.PutUint32(dst[start+2:], crc32.Checksum(dst[start+chunkHeader:], castagnoli))
	return dst
}

// previous is what an event's encoding may refer to: the event before it. The zero previous comes before the first.
type previous struct {
	id     ID
	sec    int64
	nsec   int64
	fields []Field
	any    bool
}

func appendEvent(dst []byte, e *Event, id ID, before *previous) []byte {
	sec, nsec := e.Time.Unix(), int64(e.Time.Nanosecond())
	flags := byte(0)
	if before.any {
		if id.Source == before.id.Source {
			flags |= flagSameSource
		}
		if id.Seq == before.id.Seq+1 {
			flags |= flagNextSeq
		}
		if sec == before.sec && nsec == before.nsec {
			flags |= flagSameTime
		}
		if sameNames(e.Fields, before.fields) {
			flags |= flagSameNames
		}
	}
	if e.SampleRate <= 1 {
		flags |= flagUnsampled
	}
	dst = append(dst, flags)
	if flags&flagSameSource == 0 {
		dst = binary.LittleEndian.AppendUint64(dst, id.Source)
	}
	if flags&flagNextSeq == 0 {
		dst = binary.AppendUvarint(dst, id.Seq)
	}
	if flags&flagSameTime == 0 {
		dst = binary.AppendVarint(dst, sec)
		dst = binary.AppendUvarint(dst, uint64(nsec))
	}
	if flags&flagUnsampled == 0 {
		dst = binary.AppendUvarint(dst, uint64(e.SampleRate))
	}
	names := flags&flagSameNames == 0
	if names {
		dst = binary.AppendUvarint(dst, uint64(len(e.Fields)))
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		if names {
			dst = binary.AppendUvarint(dst, uint64(len(f.Name)))
			dst = append(dst, f.Name...)
		}
		dst = appendValue(dst, &f.Value)
	}
	*before = previous{id: id, sec: sec, nsec: nsec, fields: e.Fields, any: true}
	return dst
}

func sameNames(a, b []Field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name {
			return false
		}
	}
	return true
}

func appendValue(dst []byte, v *Value) []byte {
	switch v.kind {
	case Bool:
		return append(dst, tagFalse+byte(v.num&1))
	case Int:
		return binary.AppendVarint(append(dst, tagInt), int64(v.num))
	case Float:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), v.num)
	case String:
		dst = binary.AppendUvarint(append(dst, tagString), uint64(len(v.str)))
		return append(dst, v.str...)
	}
	return append(dst, tagNull)
}

// openChunk checks a chunk's frame and returns what the checksum covers.
func openChunk(data []byte) ([]byte, error) {
	if len(data) < chunkHeader {
		return nil, fmt.Errorf("%w: %d bytes, shorter than its header of %d", ErrDamaged, len(data), chunkHeader)
	}
	if len(data) > MaxChunkBytes {
		return nil, fmt.Errorf("%w: %d bytes, more than the %d that a chunk may have", ErrDamaged, len(data), MaxChunkBytes)
	}
	if data[0] != chunkMagic {
		return nil, fmt.Errorf("%w: begins with byte %#02x, expected %#02x", ErrDamaged, data[0], chunkMagic)
	}
	body := data[chunkHeader:]
	want, got := binary.LittleEndian.Uint32(data[2:]), crc32.Checksum(body, castagnoli)
	if want != got {
		return nil, fmt.Errorf("%w: CRC32C is %08x, its header says %08x", ErrDamaged, got, want)
	}
	if data[1] != chunkVersion {
		return nil, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, data[1], chunkVersion)
	}
	return body, nil
}

// DecodeChunk decodes a chunk. Its strings share one copy of data; data itself is not kept. Memory is bounded by about
// 50 times len(data), whatever the bytes say. Errors match [ErrDamaged] or [ErrVersion].
func DecodeChunk(data []byte) (Chunk, error) {
	var d Decoder
	return d.Decode(data)
}

// Decoder decodes chunks one after another into the same memory.
type Decoder struct {
	events []Event
	fields []Field
}

// Decode is [DecodeChunk], but the chunk it returns is overwritten by the next call. Its strings stay valid.
func (r *Decoder) Decode(data []byte) (Chunk, error) {
	body, err := openChunk(data)
	if err != nil {
		return Chunk{}, err
	}
	d := chunkReader{b: body, text: string(body)}
	var c Chunk
	count, fields, ok := d.head(&c.Dataset)
	if !ok {
		return Chunk{}, d.damage("header")
	}
	r.events = slices.Grow(r.events[:0], count)[:count]
	r.fields = slices.Grow(r.fields[:0], fields)[:fields]
	clear(r.events)
	c.Events = r.events
	slab := r.fields
	var before previous
	for i := range c.Events {
		e := &c.Events[i]
		n, same, ok := d.eventHead(e, &before)
		if !ok || n > len(slab) {
			return Chunk{}, d.damage("event")
		}
		e.Fields, slab = slab[:n:n], slab[n:]
		for j := range e.Fields {
			if same {
				e.Fields[j].Name = before.fields[j].Name
			} else if !d.str(&e.Fields[j].Name) {
				return Chunk{}, d.damage("field name")
			}
			if !d.value(&e.Fields[j].Value) {
				return Chunk{}, d.damage("value")
			}
		}
		before.fields = e.Fields
	}
	if len(slab) != 0 || d.i != len(d.b) {
		return Chunk{}, d.damage("end")
	}
	return c, nil
}

// ChunkIDs appends the IDs of a chunk's events to dst and checks everything that [DecodeChunk] checks, without decoding
// the fields: it allocates nothing if dst has room. On error dst is returned as it came.
func ChunkIDs(dst []ID, data []byte) ([]ID, error) {
	body, err := openChunk(data)
	if err != nil {
		return dst, err
	}
	ids := dst
	d := chunkReader{b: body}
	count, fields, ok := d.head(nil)
	if !ok {
		return dst, d.damage("header")
	}
	var before previous
	var e Event
	width := 0 // fields of the event before
	for range count {
		n, same, ok := d.eventHead(&e, &before)
		if same {
			n = width
		}
		if !ok || n > fields {
			return dst, d.damage("event")
		}
		fields -= n
		for range n {
			if !same && !d.str(nil) {
				return dst, d.damage("field name")
			}
			if !d.value(nil) {
				return dst, d.damage("value")
			}
		}
		width = n
		ids = append(ids, e.ID)
	}
	if fields != 0 || d.i != len(d.b) {
		return dst, d.damage("end")
	}
	return ids, nil
}

// chunkReader walks the bytes of a chunk. Its methods return false where the bytes cannot be a chunk's. text is a copy
// of b that decoded strings point into; it is empty when only walking.
type chunkReader struct {
	b    []byte
	text string
	i    int
}

func (d *chunkReader) damage(what string) error {
	return fmt.Errorf("%w: %s unreadable near byte %d of %d", ErrDamaged, what, d.i+chunkHeader, len(d.b)+chunkHeader)
}

// head reads the header. Every event takes at least a byte and so does every field, which bounds what may be allocated.
func (d *chunkReader) head(dataset *string) (events, fields int, ok bool) {
	if !d.str(dataset) {
		return 0, 0, false
	}
	n, ok1 := d.uvarint()
	m, ok2 := d.uvarint()
	left := uint64(len(d.b) - d.i)
	if !ok1 || !ok2 || n > left || m > left {
		return 0, 0, false
	}
	return int(n), int(m), true
}

// eventHead reads what comes before an event's fields, and how many there are. same says that names are those of the event before.
func (d *chunkReader) eventHead(e *Event, before *previous) (fields int, same, ok bool) {
	if d.i >= len(d.b) {
		return 0, false, false
	}
	flags := d.b[d.i]
	d.i++
	if flags&^flagsKnown != 0 || !before.any && flags&^flagUnsampled != 0 {
		return 0, false, false
	}
	ok = true
	e.ID = ID{Source: before.id.Source, Seq: before.id.Seq + 1}
	if flags&flagSameSource == 0 {
		e.ID.Source, ok = d.fixed64()
	}
	if ok && flags&flagNextSeq == 0 {
		e.ID.Seq, ok = d.uvarint()
	}
	sec, nsec := before.sec, before.nsec
	if ok && flags&flagSameTime == 0 {
		var ns uint64
		if sec, ok = d.varint(); ok {
			ns, ok = d.uvarint()
			ok = ok && ns < uint64(time.Second)
			nsec = int64(ns)
		}
	}
	e.SampleRate = 1
	if ok && flags&flagUnsampled == 0 {
		var rate uint64
		rate, ok = d.uvarint()
		ok = ok && rate >= 1 && rate <= math.MaxInt64
		e.SampleRate = int64(rate)
	}
	same = flags&flagSameNames != 0
	fields = len(before.fields)
	if ok && !same {
		var n uint64
		n, ok = d.uvarint()
		ok = ok && n <= uint64(len(d.b)-d.i)
		fields = int(n)
	}
	if !ok {
		return 0, false, false
	}
	e.Time = time.Unix(sec, nsec).UTC()
	before.id, before.sec, before.nsec, before.any = e.ID, sec, nsec, true
	return fields, same, true
}

// value reads a value, into v unless it is nil.
func (d *chunkReader) value(v *Value) bool {
	if d.i >= len(d.b) {
		return false
	}
	tag := d.b[d.i]
	d.i++
	var got Value
	ok := true
	switch tag {
	case tagNull:
	case tagFalse, tagTrue:
		got = BoolValue(tag == tagTrue)
	case tagInt:
		var n int64
		n, ok = d.varint()
		got = IntValue(n)
	case tagFloat:
		got.kind = Float
		got.num, ok = d.fixed64()
	case tagString:
		if v == nil {
			return d.str(nil)
		}
		got.kind = String
		ok = d.str(&got.str)
	default:
		return false
	}
	if v != nil {
		*v = got
	}
	return ok
}

// str reads a length and that many bytes, into s unless it is nil.
func (d *chunkReader) str(s *string) bool {
	n, ok := d.uvarint()
	if !ok || n > uint64(len(d.b)-d.i) {
		return false
	}
	if s != nil {
		*s = d.text[d.i : d.i+int(n)]
	}
	d.i += int(n)
	return true
}

func (d *chunkReader) uvarint() (uint64, bool) {
	// One byte is by far the most frequent case.
	if d.i < len(d.b) && d.b[d.i] < 0x80 {
		d.i++
		return uint64(d.b[d.i-1]), true
	}
	v, n := binary.Uvarint(d.b[d.i:])
	if n <= 0 {
		return 0, false
	}
	d.i += n
	return v, true
}

func (d *chunkReader) varint() (int64, bool) {
	v, n := binary.Varint(d.b[d.i:])
	if n <= 0 {
		return 0, false
	}
	d.i += n
	return v, true
}

func (d *chunkReader) fixed64() (uint64, bool) {
	if len(d.b)-d.i < 8 {
		return 0, false
	}
	v := binary.LittleEndian.Uint64(d.b[d.i:])
	d.i += 8
	return v, true
}
