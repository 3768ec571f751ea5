package retriever

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ratel-sim/ratel/system/event"
)

// A page of holdings on the wire, version 1: "RHP1"; for each Kafka record a byte 1, its offset (uvarint), the length of
// its chunk (uvarint) and the chunk; then a byte 0, the next cursor (uvarint), a byte that is 1 when nothing more was
// held, and the CRC32C of all of it, little endian. Chunks go out as they are on disk: nothing is encoded again.
const (
	pageMagic  = "RHP1"
	pageRecord = 1
	pageEnd    = 0
)

// errPage is matched by the error for bytes that are not a page.
var errPage = errors.New("not a page of holdings")

func appendPageRecord(dst []byte, r HeldRecord) []byte {
	dst = append(dst, pageRecord)
	dst = binary.AppendUvarint(dst, uint64(r.Offset))
	dst = binary.AppendUvarint(dst, uint64(len(r.Chunk)))
	return append(dst, r.Chunk...)
}

func appendPageEnd(page []byte, cursor int64, done bool) []byte {
	page = binary.AppendUvarint(append(page, pageEnd), uint64(cursor))
	last := byte(0)
	if done {
		last = 1
	}
	page = append(page, last)
	return binary.LittleEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
}

// parsePage decodes a page. Memory is bounded by a multiple of len(b).
func parsePage(b []byte) (Page, error) {
	bad := func(why string) (Page, error) { return Page{}, fmt.Errorf("%w: %s", errPage, why) }
	if len(b) < len(pageMagic)+4 || string(b[:len(pageMagic)]) != pageMagic {
		return bad("it does not begin with " + pageMagic)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return bad("its checksum does not match; it was cut off or changed")
	}
	rest := body[len(pageMagic):]
	number := func() (uint64, bool) {
		n, used := binary.Uvarint(rest)
		if used <= 0 {
			return 0, false
		}
		rest = rest[used:]
		return n, true
	}
	var page Page
	for len(rest) > 0 && rest[0] == pageRecord {
		rest = rest[1:]
		offset, ok1 := number()
		length, ok2 := number()
		if !ok1 || !ok2 || length > uint64(len(rest)) || int64(offset) < 0 {
			return bad("a record in it is cut off")
		}
		c, err := event.DecodeChunk(rest[:length])
		if err != nil {
			return Page{}, fmt.Errorf("%w: the record at offset %d: %w", errPage, offset, err)
		}
		rest = rest[length:]
		for i := range c.Events {
			page.Held = append(page.Held, Held{Offset: int64(offset), Dataset: c.Dataset, Event: c.Events[i]})
		}
	}
	if len(rest) == 0 || rest[0] != pageEnd {
		return bad("its end is missing")
	}
	rest = rest[1:]
	cursor, ok := number()
	if !ok || int64(cursor) < 0 || len(rest) != 1 || rest[0] > 1 {
		return bad("its end cannot be read")
	}
	page.Cursor, page.Done = int64(cursor), rest[0] == 1
	return page, nil
}
