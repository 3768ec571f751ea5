package shepherd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Topic is the Kafka topic that shepherds write to.
const Topic = "events"

// maxRecordBytes is the largest chunk that is produced: with the record's own overhead it stays below Kafka's default
// max.message.bytes (1,048,588).
const maxRecordBytes = 1_040_000

// shedReportEvery is the shortest time between two announcements of shedding.
const shedReportEvery = time.Second

// Shepherd takes batches of events and puts them into Kafka. It keeps nothing: an event is in Kafka before it is called
// accepted. It is safe for concurrent use.
type Shepherd struct {
	r        rt.Runtime
	cfg      Config
	events   port.Events
	producer port.Producer
	name     string

	partialAsSuccess bool    // planted.PartialAsSuccess
	early            *buffer // planted.AcceptBeforeKafka; nil without it

	scratch sync.Pool // of *[]byte: memory for encoding

	mu         sync.Mutex // never held across a blocking call, a produce or an announcement
	rand       *rand.Rand
	next       event.ID // of the next event
	partitions []partition
	healthy    []int32 // scratch of pick
	inflight   load    // accepted for decoding or waiting for Kafka
	peak       load    // the most that was in flight
	requests   int64   // being answered
	draining   bool
	drained    *rt.Future[struct{}] // once draining: nothing is in flight and no request is being answered
	totals     Totals
	shedAt     time.Time // of the last announcement
	shedSince  int64     // events shed and not announced yet
}

// load is an amount of work, as the bounds of Config count it.
type load struct{ events, bytes int64 }

// Totals counts events by their answer since the start.
type Totals struct {
	Accepted  int64 `json:"accepted"`
	Malformed int64 `json:"malformed"`
	Throttled int64 `json:"throttled"`
	Refused   int64 `json:"refused"`
	Unknown   int64 `json:"unknown"`
}

// Health is what a shepherd says about itself.
type Health struct {
	Draining       bool  `json:"draining"`
	InFlightEvents int64 `json:"in_flight_events"`
	InFlightBytes  int64 `json:"in_flight_bytes"`
	// MaxInFlightEvents and MaxInFlightBytes are the bounds as configured; PeakEvents and PeakBytes the most since the start.
	MaxInFlightEvents int64 `json:"max_in_flight_events"`
	MaxInFlightBytes  int64 `json:"max_in_flight_bytes"`
	PeakEvents        int64 `json:"peak_events"`
	PeakBytes         int64 `json:"peak_bytes"`

	Requests int64    `json:"requests"`
	Totals   Totals   `json:"totals"`
	Sick     []int32  `json:"sick"` // partitions that are avoided
	Planted  []string `json:"planted,omitempty"`
}

// New makes a shepherd that writes to the given number of partitions of [Topic]. name is its node's. bugs is empty except when a run proves
// that the checks find planted bugs. Errors: a configuration that cannot work, or a producer that cannot be made.
func New(r rt.Runtime, ports port.Ports, cfg Config, partitions int32, name string, bugs planted.Set) (*Shepherd, error) {
	if err := cfg.check(partitions); err != nil {
		return nil, err
	}
	s := &Shepherd{r: r, cfg: cfg, events: ports.Events, name: name, partialAsSuccess: bugs.Has(planted.PartialAsSuccess)}
	if s.events == nil {
		s.events = port.Discard{}
	}
	pc := port.DefaultProducerConfig(s.name)
	pc.MaxBatchBytes = max(pc.MaxBatchBytes, maxRecordBytes)
	if bugs.Has(planted.AcksLeader) {
		pc.Acks = port.AcksLeader
	}
	var err error
	if s.producer, err = ports.Log.NewProducer(pc); err != nil {
		return nil, fmt.Errorf("shepherd: make a Kafka producer: %w", err)
	}
	seed := r.Rand()
	s.rand = rand.New(rand.NewPCG(seed.Uint64(), seed.Uint64()))
	// The clock keeps two incarnations apart even if their random sources were seeded alike: with equal IDs, retrievers
	// would take the second one's events for duplicates.
	s.next.Source = s.rand.Uint64() ^ uint64(r.Now().UnixNano())*0x9e3779b97f4a7c15
	s.partitions = make([]partition, partitions)
	s.healthy = make([]int32, 0, partitions)
	if bugs.Has(planted.AcceptBeforeKafka) {
		s.early = newBuffer(s)
	}
	return s, nil
}

func (c Config) check(partitions int32) error {
	var errs []error
	bad := func(what string, got any, want string) {
		errs = append(errs, fmt.Errorf("shepherd configuration: %s is %v, expected %s", what, got, want))
	}
	if partitions < 1 {
		bad("number of partitions", partitions, "at least 1")
	}
	if c.MaxInFlightBytes < 1 {
		bad("max_in_flight_bytes", c.MaxInFlightBytes, "at least 1")
	}
	if c.MaxInFlightEvents < 1 {
		bad("max_in_flight_events", c.MaxInFlightEvents, "at least 1")
	}
	if c.ChunkEvents < 1 {
		bad("chunk_events", c.ChunkEvents, "at least 1")
	}
	if c.AckTimeout <= 0 {
		bad("ack_timeout", c.AckTimeout, "more than 0")
	}
	if c.SickAfter <= 0 {
		bad("sick_after", c.SickAfter, "more than 0")
	}
	if c.SickFor <= 0 {
		bad("sick_for", c.SickFor, "more than 0")
	}
	return errors.Join(errs...)
}

// Run keeps the partitions' health up to date until ctx ends. Then it drains: new requests are answered Refused, and it
// returns when all others have been answered and Kafka has settled what was sent, at the latest AckTimeout later.
func (s *Shepherd) Run(ctx context.Context) error {
	if s.early != nil {
		s.r.Go("early flusher", s.early.run)
	}
	for s.r.Sleep(ctx, s.cfg.SickAfter/2) == nil {
		s.sweep()
	}
	return s.drain(context.WithoutCancel(ctx))
}

// drain is called with a context that does not end by itself.
func (s *Shepherd) drain(ctx context.Context) error {
	ctx, cancel := s.r.WithTimeout(ctx, s.cfg.AckTimeout)
	defer cancel()
	s.mu.Lock()
	s.draining = true
	s.drained = rt.NewFuture[struct{}](s.r)
	drained := s.drained
	done := s.idleLocked()
	s.mu.Unlock()
	if done {
		drained.Complete(struct{}{}, nil)
	}
	_, err := drained.Wait(ctx)
	left := s.Health()
	if closing := s.producer.Close(ctx); closing != nil && err == nil {
		err = fmt.Errorf("close the Kafka producer: %w", closing)
	}
	if err != nil {
		return fmt.Errorf("shepherd: drain: %w after %v; %d events were still waiting for Kafka, their outcome is unknown",
			err, s.cfg.AckTimeout, left.InFlightEvents)
	}
	return nil
}

func (s *Shepherd) idleLocked() bool { return s.requests == 0 && s.inflight.events == 0 }

// settle completes a drain that has nothing left to wait for. It is called without the lock.
func (s *Shepherd) settle() {
	s.mu.Lock()
	drained := s.drained
	if !s.draining || !s.idleLocked() {
		drained = nil
	}
	s.mu.Unlock()
	if drained != nil {
		drained.Complete(struct{}{}, nil)
	}
}

// Health says how the shepherd is.
func (s *Shepherd) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{
		Draining: s.draining, InFlightEvents: s.inflight.events, InFlightBytes: s.inflight.bytes,
		MaxInFlightEvents: s.cfg.MaxInFlightEvents, MaxInFlightBytes: s.cfg.MaxInFlightBytes, PeakEvents: s.peak.events, PeakBytes: s.peak.bytes,
		Requests: s.requests, Totals: s.totals, Sick: []int32{},
	}
	for i := range s.partitions {
		if s.partitions[i].sick {
			h.Sick = append(h.Sick, int32(i))
		}
	}
	return h
}

// reserve takes room for work, or none.
func (s *Shepherd) reserve(l load) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserveLocked(l)
}

func (s *Shepherd) reserveLocked(l load) bool {
	if s.inflight.events+l.events > s.cfg.MaxInFlightEvents || s.inflight.bytes+l.bytes > s.cfg.MaxInFlightBytes {
		return false
	}
	s.inflight.events += l.events
	s.inflight.bytes += l.bytes
	s.peak.events = max(s.peak.events, s.inflight.events)
	s.peak.bytes = max(s.peak.bytes, s.inflight.bytes)
	return true
}

func (s *Shepherd) release(l load) {
	s.mu.Lock()
	s.inflight.events -= l.events
	s.inflight.bytes -= l.bytes
	s.mu.Unlock()
}

// shed counts events that were turned away because a bound was reached, and announces it now and then.
func (s *Shepherd) shed(n int) {
	now := s.r.Now()
	s.mu.Lock()
	s.shedSince += int64(n)
	var since int64
	if s.shedAt.IsZero() || now.Sub(s.shedAt) >= shedReportEvery {
		since, s.shedSince, s.shedAt = s.shedSince, 0, now
	}
	full := s.inflight
	s.mu.Unlock()
	if since > 0 {
		s.events.Announce(port.Event{Kind: port.EventShed, Node: s.name,
			Detail: fmt.Sprintf("%d events shed; in flight: %d events, %d bytes", since, full.events, full.bytes)})
	}
}
