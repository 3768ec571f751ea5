package telemetry

import (
	"encoding/hex"

	"github.com/ratel-sim/ratel/system/event"
)

// Trace is the way of one chunk of events through the pipeline. It is a function of the chunk's identity, the ID of its
// first event, so every role that meets the chunk knows it, and nothing needs to travel with it.
type Trace struct{ high, low uint64 }

// Spans of a trace.
const (
	SpanBatch   = "batch"
	SpanProduce = "produce"
)

// TraceOf is the trace of the chunk that begins with an event.
func TraceOf(first event.ID) Trace {
	high := mix(first.Source ^ mix(first.Seq+0x9e3779b97f4a7c15))
	return Trace{high, mix(high + first.Seq)}
}

// mix is SplitMix64's finalizer.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Sampled says whether a chunk is among one in n.
func (c Trace) Sampled(n int) bool { return n <= 1 || c.low%uint64(n) == 0 }

// ID is the trace's ID: 32 hexadecimal digits.
func (c Trace) ID() string {
	var b [16]byte
	put(b[:8], c.high)
	put(b[8:], c.low)
	return hex.EncodeToString(b[:])
}

// Span is the ID of a span of the trace: 16 hexadecimal digits. where tells apart spans of one name, such as the nodes
// that index a chunk; it is empty where there is one.
func (c Trace) Span(name, where string) string {
	h := c.high ^ c.low
	for _, s := range [...]string{name, "/", where} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 0x100000001b3
		}
	}
	var b [8]byte
	put(b[:], mix(h))
	return hex.EncodeToString(b[:])
}

func put(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v >> (56 - 8*i))
	}
}

// Chunks says which chunks' ways are told.
func (t *Recorder) Chunks(c Trace) bool { return t.On() && c.Sampled(t.cfg.ProduceSample) }

// ChunkRate is the n of "one in n" chunks.
func (t *Recorder) ChunkRate() int { return t.cfg.ProduceSample }

// Batches says which ingest requests are told of those that went well; each with the trace of its first chunk.
func (t *Recorder) Batches(c Trace) bool { return t.On() && c.Sampled(t.cfg.BatchSample) }

// BatchRate is the n of "one in n" requests.
func (t *Recorder) BatchRate() int { return t.cfg.BatchSample }
