package event

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The chunk format, version 2. All of it is covered by one CRC32C, so that a chunk is either whole or refused:
//
//	byte 0      'R'
//	byte 1      version, 2
//	bytes 2-5   CRC32C (Castagnoli) of everything that follows, little endian
//	varint      the dataset's ID
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
	chunkVersion = 2
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
	tagInt    // zigzag varint
	tagFloat  // 8 bytes, IEEE 754, little endian
	tagString // uvarint length, bytes
	tagWide   // an int as 8 bytes, little endian: where a varint would be as long
)

// ErrDamaged marks a chunk that cannot be decoded: bytes were changed, cut off or never were a chunk.
var ErrDamaged = errors.New("damaged chunk")

// ErrVersion marks a chunk that a newer build has written.
var ErrVersion = errors.New("chunk of an unknown version")

// castagnoli selects the polynomial that CPUs have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendChunk appends the encoding of a chunk to dst. A sample rate below 1 is written as 1. Each event keeps its own ID.
func AppendChunk(dst []byte, dataset Dataset, events []Event) []byte {
	return appendChunk(dst, dataset, events, nil)
}

// AppendChunkFrom is AppendChunk for events that have no ID yet: they get first, and from it on consecutive Seqs. The
// events themselves are not changed.
func AppendChunkFrom(dst []byte, dataset Dataset, events []Event, first ID) []byte {
	return appendChunk(dst, dataset, events, &first)
}

func appendChunk(dst []byte, dataset Dataset, events []Event, first *ID) []byte {
	start := len(dst)
	dst = append(dst, chunkMagic, chunkVersion, 0, 0, 0, 0)
	dst = binary.AppendVarint(dst, dataset.ID)
	dst = binary.AppendUvarint(dst, uint64(len(dataset.Name)))
	dst = append(dst, dataset.Name...)
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
	id    ID
	sec   int64
	nsec  int64
	event *Event
}

func appendEvent(dst []byte, e *Event, id ID, before *previous) []byte {
	sec, nsec := e.Time.Unix(), int64(e.Time.Nanosecond())
	flags := byte(0)
	if before.event != nil {
		if id.Source == before.id.Source {
			flags |= flagSameSource
		}
		if id.Seq == before.id.Seq+1 {
			flags |= flagNextSeq
		}
		if sec == before.sec && nsec == before.nsec {
			flags |= flagSameTime
		}
		if e.Alike(before.event) || sameNames(e.Fields, before.event.Fields) {
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
			dst = appendUvarint(dst, uint64(len(f.Name)))
			dst = append(dst, f.Name...)
		}
		dst = f.Value.appendTo(dst)
	}
	*before = previous{id: id, sec: sec, nsec: nsec, event: e}
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

// appendUvarint is binary.AppendUvarint, inlined for what takes one byte.
func appendUvarint(dst []byte, n uint64) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, n)
}

func (v *Value) appendTo(dst []byte) []byte {
	switch v.kind {
	case Bool:
		return append(dst, tagFalse+byte(v.num&1))
	case Int:
		if n := v.num<<1 ^ uint64(int64(v.num)>>63); n < 1<<49 {
			return appendUvarint(append(dst, tagInt), n)
		}
		return binary.LittleEndian.AppendUint64(append(dst, tagWide), v.num)
	case Float:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), v.num)
	case String:
		dst = appendUvarint(append(dst, tagString), uint64(len(v.str)))
		return append(dst, v.str...)
	}
	return append(dst, tagNull)
}
