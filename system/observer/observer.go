// Package observer is who takes what the pipeline's roles say about themselves: a collector with a capacity of its own. It
// stands outside of the pipeline, and whatever becomes of it must not touch the pipeline.
package observer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Config is how much a collector can take. The zero Config stands for no collector.
type Config struct {
	// EventsPerSecond is what it works off, and Queue how many events may wait for that. What comes beyond is refused.
	EventsPerSecond float64 `json:"events_per_second"`
	Queue           int     `json:"queue"`
}

// DefaultConfig takes several times of what a topology of twenty nodes says about itself.
func DefaultConfig() Config { return Config{EventsPerSecond: 2000, Queue: 2000} }

// Event is one event as it was handed over.
type Event struct {
	Time       time.Time       `json:"time"`
	SampleRate int             `json:"samplerate"`
	Data       json.RawMessage `json:"data"`
}

// Sink is told what a collector has taken and how many events it has refused. Calls may come from several tasks.
type Sink interface {
	Observed(dataset string, events []Event)
	Refused(events int)
}

// ErrFull: the queue is full, and nothing of the batch was taken.
var ErrFull = fmt.Errorf("the observer's queue is full: %w", port.ErrRefused)

// ErrMalformed: it is no batch, and nothing of it was taken.
var ErrMalformed = fmt.Errorf("not a batch of events: %w", port.ErrRefused)

// MaxBatch is the largest batch in bytes.
const MaxBatch = 5_000_000

// Collector takes batches one after the other, each event at the cost of its capacity. It implements [port.Observer].
type Collector struct {
	runtime rt.Runtime
	cfg     Config
	sink    Sink

	mu   sync.Mutex
	busy time.Time // until then it works off what it has
}

// New makes a collector with an empty queue.
func New(r rt.Runtime, cfg Config, sink Sink) *Collector {
	return &Collector{runtime: r, cfg: cfg, sink: sink}
}

// Observe implements [port.Observer]. It returns once the batch is worked off: a collector under load answers slowly, one
// whose queue is full refuses. Errors match [ErrFull], [ErrMalformed], or ctx's.
func (c *Collector) Observe(ctx context.Context, dataset string, batch []byte) error {
	events, err := decode(batch)
	if err != nil {
		return err
	}
	wait, err := c.admit(len(events))
	if err != nil {
		c.sink.Refused(len(events))
		return err
	}
	if err := c.runtime.Sleep(ctx, wait); err != nil {
		return err
	}
	c.sink.Observed(dataset, events)
	return nil
}

// admit queues n events and says when they are worked off.
func (c *Collector) admit(n int) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.runtime.Now()
	if c.busy.Before(now) {
		c.busy = now
	}
	waiting := c.busy.Sub(now).Seconds() * c.cfg.EventsPerSecond
	if waiting > 0 && waiting+float64(n) > float64(c.cfg.Queue) {
		return 0, ErrFull
	}
	c.busy = c.busy.Add(time.Duration(float64(n) / c.cfg.EventsPerSecond * float64(time.Second)))
	return c.busy.Sub(now), nil
}

func decode(batch []byte) ([]Event, error) {
	if len(batch) > MaxBatch {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", len(batch), MaxBatch, ErrMalformed)
	}
	var events []Event
	dec := json.NewDecoder(bytes.NewReader(batch))
	if err := dec.Decode(&events); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more after the batch: %w", ErrMalformed)
	}
	for i := range events {
		if len(events[i].Data) == 0 || events[i].Data[0] != '{' {
			return nil, fmt.Errorf("event %d has no data: %w", i, ErrMalformed)
		}
	}
	return events, nil
}
