package retriever

import (
	"encoding/binary"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/wire"
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
	return wire.AppendSum(wire.AppendBytes(b, q.Query), 0)
}

// DecodeAsk reads what EncodeAsk writes. Errors match port.ErrCorrupt.
func DecodeAsk(data []byte) (AskRequest, error) {
	r, err := openAsk(data, askMagic)
	if err != nil {
		return AskRequest{}, err
	}
	var q AskRequest
	for range r.Count(1) {
		q.Datasets = append(q.Datasets, r.Int())
	}
	q.Query = r.Sized()
	return q, endAsk(&r, askMagic)
}

// EncodeAskReply encodes a reply.
func EncodeAskReply(a AskReply) []byte {
	b := []byte(replyMagic)
	for _, v := range []int64{a.Floor, a.Next, a.Committed, a.Generation, a.Before, a.FreshTo, a.RowsScanned, a.Segments, a.Skipped, int64(len(a.Damaged))} {
		b = binary.AppendVarint(b, v)
	}
	for _, key := range a.Damaged {
		b = wire.AppendBytes(b, key)
	}
	return wire.AppendSum(wire.AppendBytes(b, a.Partial), 0)
}

// DecodeAskReply reads what EncodeAskReply writes. Errors match port.ErrCorrupt.
func DecodeAskReply(data []byte) (AskReply, error) {
	r, err := openAsk(data, replyMagic)
	if err != nil {
		return AskReply{}, err
	}
	a := AskReply{Floor: r.Int(), Next: r.Int(), Committed: r.Int(), Generation: r.Int(), Before: r.Int(), FreshTo: r.Int(), RowsScanned: r.Int(), Segments: r.Int(), Skipped: r.Int()}
	for range r.Count(1) {
		a.Damaged = append(a.Damaged, string(r.Sized()))
	}
	a.Partial = r.Sized()
	return a, endAsk(&r, replyMagic)
}

func openAsk(data []byte, magic string) (wire.Reader, error) {
	if len(data) > maxAsk {
		return wire.Reader{}, fmt.Errorf("%w: %d bytes of %s, expected up to %d", port.ErrCorrupt, len(data), magic, maxAsk)
	}
	r, err := wire.Open(data, magic)
	if err != nil {
		return r, fmt.Errorf("%w: %w", port.ErrCorrupt, err)
	}
	return r, nil
}

func endAsk(r *wire.Reader, magic string) error {
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: %s: %w", port.ErrCorrupt, magic, err)
	}
	return nil
}
