package retriever

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/ratel-sim/ratel/system/port"
)

// AskRequest asks a retriever for its part of a query: over everything that it has of some datasets.
type AskRequest struct {
	Datasets []int64
	Query    []byte // spec.Encode
}

// AskReply is what it found. It covers the Kafka offsets from Floor to Next-1; what is below is in S3 alone, and the
// manifest that Committed and Generation were read from, or any later one, names it in seals that end at or before Floor.
type AskReply struct {
	Floor, Next           int64
	Committed, Generation int64
	// Before: every row of the datasets below Floor has an earlier event time, Unix nanoseconds, so a query of later times
	// needs nothing from S3. 0: not known.
	Before int64
	// FreshTo (Unix ns, by the retriever's clock) is when the last fetch was sent that returned everything up to the
	// partition's high watermark: all records that Kafka had acknowledged by then are counted. 0: not known.
	//
	// It takes the high watermark for what is acknowledged, and that can be less: a leader that was just elected has yet to
	// learn how far its predecessor was, and with fewer replicas in sync than min.insync.replicas it cannot advance at all
	// (KAFKA-15583, Kafka 3.7 and later), so records that were acknowledged just before may become readable only when
	// replicas are back. A high watermark that is lower than one that was seen here before renews nothing. A leader that was
	// deposed and cut off, but still answers, gives away nothing of what its successor has acknowledged either.
	FreshTo           int64
	Partial           []byte // exec.Partial.Encode
	RowsScanned       int64
	Segments, Skipped int64 // sources that were read, and that could not match
	// Damaged are the keys of local segments that were left out, because their bytes are damaged.
	Damaged []string
}

// The encoding of requests, version 1, and of replies, version 2 (1 had no FreshTo): "RAQ1" or "RAR2", numbers as varints, lists and bytes after their
// length, and the CRC32C of all of it, little endian.
const (
	askMagic   = "RAQ1"
	replyMagic = "RAR2"
	// maxAsk bounds a request and a reply.
	maxAsk = 64 << 20
)

// EncodeAsk encodes a request.
func EncodeAsk(q AskRequest) []byte {
	b := binary.AppendVarint([]byte(askMagic), int64(len(q.Datasets)))
	for _, d := range q.Datasets {
		b = binary.AppendVarint(b, d)
	}
	b = appendBytes(b, q.Query)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// DecodeAsk reads what EncodeAsk writes. Errors match port.ErrCorrupt.
func DecodeAsk(data []byte) (AskRequest, error) {
	r, err := openAsk(data, askMagic)
	if err != nil {
		return AskRequest{}, err
	}
	var q AskRequest
	for range r.count() {
		q.Datasets = append(q.Datasets, r.int())
	}
	q.Query = r.bytes()
	return q, r.end(askMagic)
}

// EncodeAskReply encodes a reply.
func EncodeAskReply(a AskReply) []byte {
	b := []byte(replyMagic)
	for _, v := range []int64{a.Floor, a.Next, a.Committed, a.Generation, a.Before, a.FreshTo, a.RowsScanned, a.Segments, a.Skipped, int64(len(a.Damaged))} {
		b = binary.AppendVarint(b, v)
	}
	for _, key := range a.Damaged {
		b = appendBytes(b, []byte(key))
	}
	b = appendBytes(b, a.Partial)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// DecodeAskReply reads what EncodeAskReply writes. Errors match port.ErrCorrupt.
func DecodeAskReply(data []byte) (AskReply, error) {
	r, err := openAsk(data, replyMagic)
	if err != nil {
		return AskReply{}, err
	}
	a := AskReply{Floor: r.int(), Next: r.int(), Committed: r.int(), Generation: r.int(), Before: r.int(), FreshTo: r.int(), RowsScanned: r.int(), Segments: r.int(), Skipped: r.int()}
	for range r.count() {
		a.Damaged = append(a.Damaged, string(r.bytes()))
	}
	a.Partial = r.bytes()
	return a, r.end(replyMagic)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// askReader reads numbers and bytes; after something that cannot be read it gives zeroes, and end says so.
type askReader struct {
	b   []byte
	bad bool
}

func openAsk(data []byte, magic string) (*askReader, error) {
	if len(data) < len(magic)+4 || len(data) > maxAsk || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: %d bytes, expected up to %d that begin with %s", port.ErrCorrupt, len(data), maxAsk, magic)
	}
	body := data[:len(data)-4]
	if want, got := binary.LittleEndian.Uint32(data[len(body):]), crc32.Checksum(body, castagnoli); want != got {
		return nil, fmt.Errorf("%w: %s with CRC32C %08x, its end says %08x", port.ErrCorrupt, magic, got, want)
	}
	return &askReader{b: body[len(magic):]}, nil
}

func (r *askReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many of something follow, each of which takes a byte at least.
func (r *askReader) count() int64 {
	n := r.int()
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *askReader) bytes() []byte {
	n := r.count()
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *askReader) end(magic string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: %s whose parts do not fit its length", port.ErrCorrupt, magic)
	}
	return nil
}
