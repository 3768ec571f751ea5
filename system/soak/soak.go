// Package soak has what the soak tests of several roles need, and other tests that look at memory: how long they take, how much
// lives on the heap, and a partition that grows at a rate and keeps nothing.
package soak

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// For is how long a soak takes: the environment's RATEL_SOAK, a duration such as 30s, or 10 minutes.
func For() (time.Duration, error) {
	text := os.Getenv("RATEL_SOAK")
	if text == "" {
		return 10 * time.Minute, nil
	}
	length, err := time.ParseDuration(text)
	if err != nil || length <= 0 {
		return 0, fmt.Errorf("RATEL_SOAK is %q, expected a duration above 0, such as 30s or 10m", text)
	}
	return length, nil
}

// LiveHeap collects garbage and returns how many bytes are left on the heap.
func LiveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Partition is a partition to which records are appended at a steady rate from the moment that it is made. It keeps nothing:
// every record can be made again from its offset. It implements [port.Log] as far as readers need it.
type Partition struct {
	port.Log // what is not needed
	r        rt.Runtime
	began    time.Time
	rate     float64
	chunks   [][]event.Event

	mu   sync.Mutex
	stop int64 // the log's end, once nothing is appended any more; 0 before
}

// NewPartition returns a partition that grows by rate records a second, with chunks of events in turn: equally many in each.
func NewPartition(r rt.Runtime, rate float64, chunks [][]event.Event) *Partition {
	return &Partition{r: r, began: r.Now(), rate: rate, chunks: chunks}
}

// AtOnce is how many records a fetch brings at most.
const AtOnce = 100

// Began is when the partition was made.
func (p *Partition) Began() time.Time { return p.began }

// Admin implements [port.Log].
func (p *Partition) Admin() port.LogAdmin { return admin{p: p} }

// NewReader implements [port.Log].
func (p *Partition) NewReader(_ port.ReaderConfig, _ string, _ int32, offset int64) (port.Reader, error) {
	return &reader{p: p, offset: offset}, nil
}

// End is the log's end.
func (p *Partition) End() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end()
}

func (p *Partition) end() int64 {
	if p.stop > 0 {
		return p.stop
	}
	return int64(p.r.Now().Sub(p.began).Seconds() * p.rate)
}

// Close ends appending, and returns the log's end.
func (p *Partition) Close() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = p.end()
	return p.stop
}

// Record is the record at an offset.
func (p *Partition) Record(offset int64) port.Fetched {
	events := p.chunks[offset%int64(len(p.chunks))]
	at := p.began.Add(time.Duration(float64(offset) / p.rate * float64(time.Second)))
	value := event.AppendChunkFrom(nil, event.Dataset{ID: 1, Name: "soak"}, events, event.ID{Source: 1, Seq: uint64(offset) * uint64(len(events))})
	return port.Fetched{Offset: offset, Record: port.Record{Value: value, Time: at}}
}

type admin struct {
	port.LogAdmin // what is not needed
	p             *Partition
}

func (a admin) Offsets(context.Context, string, int32) (start, high int64, err error) {
	return 0, a.p.End(), nil
}

type reader struct {
	p      *Partition
	offset int64
}

func (r *reader) Fetch(ctx context.Context) (port.Batch, error) {
	const wait = 100 * time.Millisecond
	b := port.Batch{HighWatermark: r.p.End()}
	if r.offset >= b.HighWatermark {
		return b, r.p.r.Sleep(ctx, wait)
	}
	for ; r.offset < b.HighWatermark && len(b.Records) < AtOnce; r.offset++ {
		b.Records = append(b.Records, r.p.Record(r.offset))
	}
	return b, nil
}
func (r *reader) Offset() int64 { return r.offset }
func (r *reader) Close()        {}
