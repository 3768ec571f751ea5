package retriever

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/wire"
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
	return wire.AppendSum(append(page, last), 0)
}

// parsePage decodes a page. Memory is bounded by a multiple of len(b).
func parsePage(b []byte) (Page, error) {
	r, err := wire.Open(b, pageMagic)
	if err != nil {
		return Page{}, fmt.Errorf("%w: %w", errPage, err)
	}
	var page Page
	for {
		kind := r.Byte()
		if kind == pageEnd {
			break
		}
		if kind != pageRecord {
			r.Fail("byte %d where a record or the end is expected", kind)
		}
		offset := offsetOf(&r)
		chunk := r.Bytes(r.Uint())
		if r.Err() != nil {
			break
		}
		c, err := event.DecodeChunk(chunk)
		if err != nil {
			return Page{}, fmt.Errorf("%w: the record at offset %d: %w", errPage, offset, err)
		}
		for i := range c.Events {
			page.Held = append(page.Held, Held{Offset: offset, Dataset: c.Dataset, Event: c.Events[i]})
		}
	}
	page.Cursor, page.Done = offsetOf(&r), r.Bool()
	if err := r.End(); err != nil {
		return Page{}, fmt.Errorf("%w: %w", errPage, err)
	}
	return page, nil
}

func offsetOf(r *wire.Reader) int64 {
	n := r.Uint()
	if n > math.MaxInt64 {
		r.Fail("offset %d is none", n)
	}
	return int64(n)
}
