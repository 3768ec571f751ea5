package shepherd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manage"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// Topic is the Kafka topic that shepherds write to.
const Topic = "events"

// maxRecordBytes is the largest chunk that is produced: with the record's own overhead it stays below Kafka's default
// max.message.bytes (1,048,588).
const maxRecordBytes = 1_040_000

// Shepherd takes batches of events and puts them into Kafka. It keeps nothing: an event is in Kafka before it is called
// accepted. It is safe for concurrent use.
type Shepherd struct {
	r        rt.Runtime
	cfg      Config
	events   port.Events
	producer port.Producer
	name     string

	directory  directory
	admin      port.LogAdmin
	catalog    port.Catalog // behind the directory, for what is not cached
	management *manage.API  // of what teams define; nil without a store for it

	partialAsSuccess bool    // planted.PartialAsSuccess
	refusesAShare    bool    // planted.RefusesAShare
	early            *buffer // planted.AcceptBeforeKafka; nil without it
	stayInSet        bool    // planted.NoFailoverOffDeadSet
	byHeartbeat      bool    // planted.LivenessByHeartbeat
	oneBound         bool    // planted.ShedAllTenants
	unbounded        bool    // planted.UnboundedQueue

	telemetry *telemetry.Recorder // nil: off

	scratch *sync.Pool // of *[]byte: memory for encoding; not a part of this, see pools

	sending sync.Mutex // held while a record gets its number and is handed to the producer, never across anything that blocks
	sent    uint64     // records

	mu         sync.Mutex // never held across a blocking call, a produce or an announcement
	rand       *rand.Rand
	next       event.ID // of the next event
	partitions []partition
	healthy    []int32         // scratch of pick
	tenants    recent[tenant]  // by team
	datasets   recent[dataset] // by dataset
	inflight   load            // accepted for decoding or waiting for Kafka
	peak       load            // the most that was in flight
	requests   int64           // being answered
	begun      int64           // requests since the start
	draining   bool
	drained    *rt.Future[struct{}] // once draining: nothing is in flight and no request is being answered
	totals     Totals
	askAgain   time.Time // Kafka is not asked for its partitions before
	shedding   reporter  // of what met the bound for all
}

// dataset is what the shepherd keeps of a dataset that was written to lately, guarded by its lock.
type dataset struct{ bucket bucket }

// load is an amount of work, as the bounds of Config count it.
type load struct{ events, bytes int64 }

func (l *load) add(o load) {
	l.events += o.events
	l.bytes += o.bytes
}

func (l *load) sub(o load) {
	l.events -= o.events
	l.bytes -= o.bytes
}

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

	Requests int64   `json:"requests"`
	Totals   Totals  `json:"totals"`
	Sick     []int32 `json:"sick"` // partitions that are avoided
	// Teams are those with the most in flight, at most 20.
	Teams   []TeamHealth `json:"teams"`
	Planted []string     `json:"planted,omitempty"`
}

// New makes a shepherd that writes to the given number of partitions of [Topic]; name is its node's. bugs is empty
// except when a run proves that the checks find planted bugs. Errors: a configuration that cannot work, or a producer
// that cannot be made.
func New(r rt.Runtime, ports port.Ports, cfg Config, partitions int32, name string, bugs planted.Set) (*Shepherd, error) {
	if err := cfg.check(partitions); err != nil {
		return nil, err
	}
	events := ports.Events
	if events == nil {
		events = port.Discard{}
	}
	return newShepherd(r, ports, cfg, partitions, name, bugs, newDirectory(r, ports.Catalog, events, cfg, partitions, name, bugs))
}

// newShepherd makes a shepherd of a configuration that was checked.
func newShepherd(r rt.Runtime, ports port.Ports, cfg Config, partitions int32, name string, bugs planted.Set, d directory) (*Shepherd, error) {
	s := &Shepherd{
		r: r, cfg: cfg, events: ports.Events, name: name, directory: d, admin: ports.Log.Admin(), catalog: ports.Catalog, telemetry: ports.Telemetry, scratch: &sync.Pool{},
		partialAsSuccess: bugs.Has(planted.PartialAsSuccess), refusesAShare: bugs.Has(planted.RefusesAShare), stayInSet: bugs.Has(planted.NoFailoverOffDeadSet),
		byHeartbeat: bugs.Has(planted.LivenessByHeartbeat), oneBound: bugs.Has(planted.ShedAllTenants), unbounded: bugs.Has(planted.UnboundedQueue),
		tenants:  newRecent(cfg.CacheSize, (*tenant).busy),
		datasets: newRecent(cfg.CacheSize, func(*dataset) bool { return false }),
	}
	if s.events == nil {
		s.events = port.Discard{}
	}
	if ports.Definitions != nil {
		s.management = manage.New(ports.Catalog, ports.Definitions, ports.Evaluations, manage.Options{Now: r.Now})
	}
	pc := port.DefaultProducerConfig(s.name)
	pc.MaxBatchBytes = max(pc.MaxBatchBytes, maxRecordBytes)
	if cfg.Linger > 0 {
		pc.Linger = cfg.Linger
	}
	if bugs.Has(planted.AcksLeader) {
		pc.Acks, pc.Idempotent = port.AcksLeader, false
	}
	if bugs.Has(planted.RetriesUnnumbered) {
		pc.Idempotent = false
	}
	if bugs.Has(planted.RetriesOvertake) {
		pc.Idempotent, pc.InFlight = false, 5
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
	s.telemetry.OnTick(s.tick)
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
	if !(c.TeamShare > 0 && c.TeamShare <= 1) {
		bad("team_share", c.TeamShare, "above 0 and at most 1")
	}
	if c.Spread < 1 {
		bad("spread", c.Spread, "at least 1")
	}
	if c.CacheFor <= 0 {
		bad("cache_for", c.CacheFor, "more than 0")
	}
	if c.MissFor <= 0 {
		bad("miss_for", c.MissFor, "more than 0")
	}
	if c.StaleFor < 0 {
		bad("stale_for", c.StaleFor, "at least 0")
	}
	if c.CacheSize < 1 {
		bad("cache_size", c.CacheSize, "at least 1")
	}
	if c.MaxBodyBytes < 0 {
		bad("max_body_bytes", c.MaxBodyBytes, "at least 0")
	}
	if c.Linger < 0 || c.Linger > 0 && c.Linger >= c.SickAfter {
		bad("linger", c.Linger, "0 to less than sick_after")
	}
	return errors.Join(errs...)
}

// Run keeps the partitions' health up to date until ctx ends. Then it drains: new requests are answered Refused, and it
// returns when all others have been answered and Kafka has settled what was sent, at the latest AckTimeout later.
func (s *Shepherd) Run(ctx context.Context) error {
	if s.early != nil {
		s.r.Go("early flusher", s.early.run)
	}
	// Columns are still learnt while it drains.
	learning, stop := s.r.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.r.Go("catalog", func(context.Context) { _ = s.directory.Run(learning) })
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
		Teams:    s.teamsLocked(),
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
