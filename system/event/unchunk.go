package event

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

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
	return r.decode(body, string(body))
}

// Borrow is Decode without the copy: the chunk's strings are data's own bytes, which must not be changed as long as one of
// them is used. Whoever keeps a string clones it, or all of data is kept with it.
func (r *Decoder) Borrow(data []byte) (Chunk, error) {
	body, err := openChunk(data)
	if err != nil {
		return Chunk{}, err
	}
	return r.decode(body, textOf(body))
}

// decode decodes a chunk's body; text is the same bytes.
func (r *Decoder) decode(body []byte, text string) (Chunk, error) {
	d := chunkReader{b: body}
	id, name, ok := d.dataset()
	count, fields, counted := d.counts()
	if !ok || !counted {
		return Chunk{}, d.damage("header")
	}
	c := Chunk{Dataset: Dataset{ID: id, Name: name.of(text)}}
	r.events = slices.Grow(r.events[:0], count)[:count]
	r.fields = slices.Grow(r.fields[:0], fields)[:fields]
	c.Events = r.events
	slab := r.fields
	var before []Field
	for i := range c.Events {
		e := &c.Events[i]
		if !d.event() || d.fields > len(slab) {
			return Chunk{}, d.damage("event")
		}
		e.ID, e.SampleRate = d.id, d.rate
		if d.sameTime {
			e.Time = c.Events[i-1].Time
		} else {
			e.Time = time.Unix(d.sec, d.nsec).UTC()
		}
		e.Fields, slab = slab[:d.fields:d.fields], slab[d.fields:]
		for j := range e.Fields {
			f := &e.Fields[j]
			if d.sameNames {
				f.Name = before[j].Name
			} else {
				name, ok := d.str()
				if !ok {
					return Chunk{}, d.damage("field name")
				}
				f.Name = name.of(text)
			}
			if !d.value(&f.Value, text) {
				return Chunk{}, d.damage("value")
			}
		}
		before = e.Fields
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
	_, _, ok := d.dataset()
	count, fields, counted := d.counts()
	if !ok || !counted {
		return dst, d.damage("header")
	}
	for range count {
		if !d.event() || d.fields > fields {
			return dst, d.damage("event")
		}
		fields -= d.fields
		if !d.skip() {
			return dst, d.damage("field")
		}
		ids = append(ids, d.id)
	}
	if fields != 0 || d.i != len(d.b) {
		return dst, d.damage("end")
	}
	return ids, nil
}

// chunkReader walks the bytes of a chunk. Its methods return false where the bytes cannot be a chunk's.
type chunkReader struct {
	b []byte
	i int

	// The event whose head was read last.
	id                  ID
	sec, nsec           int64
	rate                int64
	fields              int
	sameNames, sameTime bool
	any                 bool
}

func (d *chunkReader) damage(what string) error {
	return fmt.Errorf("%w: %s unreadable near byte %d of %d", ErrDamaged, what, d.i+chunkHeader, len(d.b)+chunkHeader)
}

// counts reads how many events and fields there are. Each takes at least a byte, which bounds what may be allocated.
func (d *chunkReader) counts() (events, fields int, ok bool) {
	n, ok1 := d.uvarint()
	m, ok2 := d.uvarint()
	left := uint64(len(d.b) - d.i)
	if !ok1 || !ok2 || n > left || m > left {
		return 0, 0, false
	}
	return int(n), int(m), true
}

// event reads what comes before an event's fields.
func (d *chunkReader) event() bool {
	if d.i >= len(d.b) {
		return false
	}
	flags := d.b[d.i]
	d.i++
	if flags&^flagsKnown != 0 || !d.any && flags&^flagUnsampled != 0 {
		return false
	}
	d.any = true
	ok := true
	if flags&flagSameSource == 0 {
		d.id.Source, ok = d.fixed64()
	}
	d.id.Seq++
	if ok && flags&flagNextSeq == 0 {
		d.id.Seq, ok = d.uvarint()
	}
	d.sameTime = flags&flagSameTime != 0
	if ok && !d.sameTime {
		ok = d.time()
	}
	d.rate = 1
	if ok && flags&flagUnsampled == 0 {
		var rate uint64
		rate, ok = d.uvarint()
		ok = ok && rate >= 1 && rate <= math.MaxInt64
		d.rate = int64(rate)
	}
	d.sameNames = flags&flagSameNames != 0
	if ok && !d.sameNames {
		var n uint64
		n, ok = d.uvarint()
		ok = ok && n <= uint64(len(d.b)-d.i)
		d.fields = int(n)
	}
	return ok
}

func (d *chunkReader) time() bool {
	sec, n := binary.Varint(d.b[d.i:])
	if n <= 0 {
		return false
	}
	d.i += n
	nsec, ok := d.uvarint()
	d.sec, d.nsec = sec, int64(nsec)
	return ok && nsec < uint64(time.Second)
}

// value reads a value.
func (d *chunkReader) value(v *Value, text string) bool {
	if d.i >= len(d.b) {
		return false
	}
	tag := d.b[d.i]
	d.i++
	switch tag {
	case tagNull:
		*v = Value{}
	case tagFalse, tagTrue:
		*v = Value{kind: Bool, num: uint64(tag - tagFalse)}
	case tagInt:
		n, ok := d.uvarint()
		*v = Value{kind: Int, num: n>>1 ^ -(n & 1)}
		return ok
	case tagWide:
		n, ok := d.fixed64()
		*v = Value{kind: Int, num: n}
		return ok
	case tagFloat:
		n, ok := d.fixed64()
		*v = Value{kind: Float, num: n}
		return ok
	case tagString:
		s, ok := d.str()
		if !ok {
			return false
		}
		*v = Value{kind: String, str: s.of(text)}
	default:
		return false
	}
	return true
}

// dataset reads which dataset the chunk is of.
func (d *chunkReader) dataset() (id int64, name span, ok bool) {
	id, n := binary.Varint(d.b[d.i:])
	if n <= 0 {
		return 0, span{}, false
	}
	d.i += n
	name, ok = d.str()
	return id, name, ok
}

// skip walks over the fields of the event whose head was read last. It accepts exactly what reading them would.
func (d *chunkReader) skip() bool {
	b, i := d.b, d.i
	for n := d.fields; n > 0; n-- {
		if !d.sameNames {
			d.i = i
			if _, ok := d.str(); !ok {
				return false
			}
			i = d.i
		}
		if i >= len(b) {
			return false
		}
		tag := b[i]
		i++
		switch {
		case tag == tagString && i < len(b) && b[i] < 0x80: // the short string, which is the most frequent
			i += 1 + int(b[i])
		case tag <= tagTrue:
		case tag == tagFloat || tag == tagWide:
			i += 8
		case tag == tagInt && i < len(b) && b[i] < 0x80:
			i++
		case tag == tagInt || tag == tagString:
			d.i = i
			v, ok := d.uvarint()
			if !ok {
				return false
			}
			i = d.i
			if tag == tagString {
				if v > uint64(len(b)-i) {
					return false
				}
				i += int(v)
			}
		default:
			return false
		}
		if i > len(b) {
			return false
		}
	}
	d.i = i
	return true
}

// span is where a string is in the chunk.
type span struct{ from, to int }

func (s span) of(text string) string { return text[s.from:s.to] }

// str reads a length and that many bytes.
func (d *chunkReader) str() (span, bool) {
	n, ok := d.uvarint()
	if !ok || n > uint64(len(d.b)-d.i) {
		return span{}, false
	}
	from := d.i
	d.i += int(n)
	return span{from, d.i}, true
}

func (d *chunkReader) uvarint() (uint64, bool) {
	// One byte is by far the most frequent case.
	if d.i < len(d.b) && d.b[d.i] < 0x80 {
		d.i++
		return uint64(d.b[d.i-1]), true
	}
	return d.longUvarint()
}

func (d *chunkReader) longUvarint() (uint64, bool) {
	v, n := binary.Uvarint(d.b[d.i:])
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
