package retriever

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/wire"
)

// The local log is a row of files. Each begins with a header, then come frames:
//
//	bytes 0-1    "Rf"
//	byte  2      kind
//	byte  3      0
//	bytes 4-7    length of what follows the checksum, little endian
//	bytes 8-11   CRC32C of bytes 2-7 and of what follows
//	bytes 12-19  Kafka offset
//	bytes 20-23  number of events in the payload
//	bytes 24-27  number of events of the record that were dropped as duplicates
//	bytes 28-35  the record's CreateTime, Unix nanoseconds
//	then         the payload
//
// A position in the log counts the bytes of frames in all files before it, headers left out. A file's name is its
// first position, so positions mean the same after a restart.
const (
	fileHeader  = 32
	frameHeader = 36
	crcOffset   = 8
	bodyOffset  = 12
)

// Kinds of frames.
const (
	frameEvents = 1 // payload: a chunk
	frameEmpty  = 2 // every event of the record was a duplicate
	frameAside  = 3 // payload: a record's value that could not be decoded
	frameMissed = 4 // payload: 8 bytes, how many offsets from Offset on could not be read any more
	frameSome   = 5 // payload: for each event its place in the record (uvarint), then a chunk of the record's new events
)

const (
	fileMagic  = "RTLRLOG2"
	fileSuffix = ".log"
	badSuffix  = ".bad"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one decoded frame. payload points into the bytes it was read from.
type frame struct {
	kind    byte
	offset  int64
	events  int
	dropped int
	time    int64
	payload []byte
}

func (f *frame) size() int { return frameHeader + len(f.payload) }

// next is the Kafka offset to read after this frame.
func (f *frame) next() int64 {
	if f.kind == frameMissed {
		return f.offset + f.missed()
	}
	return f.offset + 1
}

func (f *frame) missed() int64 {
	if f.kind != frameMissed || len(f.payload) != 8 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(f.payload))
}

// holds says whether the frame has events.
func (f *frame) holds() bool { return f.kind == frameEvents || f.kind == frameSome }

// chunk is the chunk of a frame that holds events, and the events' places in their record, appended to places; none if
// they are 0, 1, 2 and so on. ok is false if the payload is not what a frame of its kind has.
func (f *frame) chunk(places []int32) (chunk []byte, at []int32, ok bool) {
	chunk = f.payload
	if f.kind != frameSome {
		return chunk, places, true
	}
	for range f.events {
		n, used := binary.Uvarint(chunk)
		if used <= 0 || n > math.MaxInt32 {
			return nil, places, false
		}
		places, chunk = append(places, int32(n)), chunk[used:]
	}
	return chunk, places, true
}

func appendFrame(dst []byte, f *frame) []byte {
	start := len(dst)
	dst = append(dst, 'R', 'f', f.kind, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(frameHeader-bodyOffset+len(f.payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.offset))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.events))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.dropped))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.time))
	dst = append(dst, f.payload...)
	binary.LittleEndian.PutUint32(dst[start+crcOffset:], frameSum(dst[start:]))
	return dst
}

func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[2:crcOffset], castagnoli), castagnoli, b[bodyOffset:])
}

// parseFrame reads the frame at the start of b. need is how many bytes a whole frame has, if its header can be read:
// more than len(b) means that b may be cut off.
func parseFrame(b []byte) (f frame, need int, ok bool) {
	if len(b) < frameHeader {
		return frame{}, frameHeader, false
	}
	length := int64(binary.LittleEndian.Uint32(b[4:]))
	if b[0] != 'R' || b[1] != 'f' || b[2] < frameEvents || b[2] > frameSome || b[3] != 0 || length < frameHeader-bodyOffset || length > maxFrame {
		return frame{}, 0, false
	}
	need = bodyOffset + int(length)
	if need > len(b) {
		return frame{}, need, false
	}
	b = b[:need]
	if frameSum(b) != binary.LittleEndian.Uint32(b[crcOffset:]) {
		return frame{}, need, false
	}
	f = frame{
		kind:    b[2],
		offset:  int64(binary.LittleEndian.Uint64(b[12:])),
		events:  int(binary.LittleEndian.Uint32(b[20:])),
		dropped: int(binary.LittleEndian.Uint32(b[24:])),
		time:    int64(binary.LittleEndian.Uint64(b[28:])),
		payload: b[frameHeader:],
	}
	return f, need, f.offset >= 0 && f.missed() >= 0 && f.next() >= 0
}

// maxFrame bounds a frame. A Kafka record is far smaller.
const maxFrame = 32 << 20

// findFrame says whether a whole, valid frame begins anywhere in b.
func findFrame(b []byte) bool {
	for {
		i := bytes.Index(b, []byte("Rf"))
		if i < 0 {
			return false
		}
		b = b[i:]
		if _, _, ok := parseFrame(b); ok {
			return true
		}
		b = b[1:]
	}
}

func appendFileHeader(dst []byte, partition int32, start int64) []byte {
	at := len(dst)
	dst = append(dst, fileMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(partition))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(start))
	return binary.LittleEndian.AppendUint32(wire.AppendSum(dst, at), 0)
}

// checkFileHeader says what is wrong with a file's beginning; empty if nothing is.
func checkFileHeader(b []byte, partition int32, start int64) string {
	if len(b) < fileHeader {
		return fmt.Sprintf("it has %d bytes, its header has %d", len(b), fileHeader)
	}
	if want := appendFileHeader(nil, partition, start); !bytes.Equal(b[:fileHeader], want) {
		return fmt.Sprintf("its header is not that of partition %d at position %d", partition, start)
	}
	return ""
}

func fileName(start int64) string { return fmt.Sprintf("%020d%s", start, fileSuffix) }

// parseFileName returns the first position of a log file; ok is false for other files.
func parseFileName(name string) (start int64, ok bool) {
	digits, ok := strings.CutSuffix(name, fileSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	start, err := strconv.ParseInt(digits, 10, 64)
	return start, err == nil && start >= 0
}
