package beagle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const topic = "events"

// memLog is a topic.
type memLog struct {
	mu         sync.Mutex
	partitions map[int32]*memPartition
	fetches    int
}

type memPartition struct {
	start   int64
	records [][]byte // from start on
	stall   bool     // fetches hang until their ctx ends
}

func newMemLog(partitions int) *memLog {
	l := &memLog{partitions: map[int32]*memPartition{}}
	for id := range partitions {
		l.partitions[int32(id)] = &memPartition{}
	}
	return l
}

func (l *memLog) change(partition int32, f func(p *memPartition)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.partitions[partition])
}

func (l *memLog) add(partition int32, values ...[]byte) {
	l.change(partition, func(p *memPartition) { p.records = append(p.records, values...) })
}

func (l *memLog) end(partition int32) (end int64) {
	l.change(partition, func(p *memPartition) { end = p.start + int64(len(p.records)) })
	return end
}

// memClient is a process's client of the log.
type memClient struct {
	*memLog
	r rt.Runtime
}

func (c memClient) NewProducer(port.ProducerConfig) (port.Producer, error) {
	return nil, errors.New("a beagle does not produce")
}
func (c memClient) Admin() port.LogAdmin { return memAdmin{c.memLog} }
func (c memClient) NewReader(cfg port.ReaderConfig, _ string, partition int32, offset int64) (port.Reader, error) {
	if !cfg.Shared {
		return nil, errors.New("expected a shared reader")
	}
	return &memReader{memClient: c, partition: partition, offset: offset}, nil
}

type memReader struct {
	memClient
	partition int32
	offset    int64
}

func (r *memReader) Fetch(ctx context.Context) (b port.Batch, err error) {
	stall := false
	r.change(r.partition, func(p *memPartition) {
		r.fetches++
		end := p.start + int64(len(p.records))
		b.HighWatermark = end
		stall = p.stall
		if r.offset < p.start || r.offset > end {
			err = fmt.Errorf("offset %d: %w", r.offset, port.ErrOffsetOutOfRange)
			return
		}
		for i := r.offset - p.start; i < int64(len(p.records)) && len(b.Records) < 3; i++ {
			b.Records = append(b.Records, port.Fetched{Offset: p.start + i, Record: port.Record{Value: p.records[i]}})
		}
	})
	if stall {
		return port.Batch{}, r.r.Sleep(ctx, time.Hour)
	}
	r.offset += int64(len(b.Records))
	if err == nil && len(b.Records) == 0 {
		return b, r.r.Sleep(ctx, 10*time.Millisecond)
	}
	return b, err
}
func (r *memReader) Offset() int64 { return r.offset }
func (r *memReader) Close()        {}

type memAdmin struct{ *memLog }

func (a memAdmin) GrowTopic(context.Context, string, int32) error    { return nil }
func (a memAdmin) CreateTopic(context.Context, port.TopicSpec) error { return nil }
func (a memAdmin) Describe(context.Context, string) ([]port.PartitionState, error) {
	return nil, nil
}
func (a memAdmin) Brokers(context.Context) ([]int32, error) { return nil, nil }
func (a memAdmin) Offsets(_ context.Context, _ string, partition int32) (start, high int64, err error) {
	a.change(partition, func(p *memPartition) { start, high = p.start, p.start+int64(len(p.records)) })
	return start, high, nil
}

// memCounts keeps counts and progress, and fails as it is told.
type memCounts struct {
	mu     sync.Mutex
	rows   map[int32]port.Progress
	counts map[place]port.SLOCount
	fail   func(a port.Advance) (err error, happens bool) // of each Advance; nil: none fails
	lists  int
	from   []port.Advance // that happened
}

func newMemCounts() *memCounts {
	return &memCounts{rows: map[int32]port.Progress{}, counts: map[place]port.SLOCount{}}
}

func (c *memCounts) Advance(_ context.Context, a port.Advance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed error
	happens := true
	if c.fail != nil {
		failed, happens = c.fail(a)
	}
	if !happens {
		return failed
	}
	if c.rows[a.Partition].Next != a.From || a.To < a.From || a.Consumer != Consumer || a.Topic != topic {
		return cmp.Or(failed, port.ErrNotThere)
	}
	c.rows[a.Partition] = port.Progress{Consumer: a.Consumer, Topic: a.Topic, Partition: a.Partition, Next: a.To, At: time.Now(), By: a.By}
	for _, n := range a.Counts {
		at := place{n.SLO, n.Minute}
		have := c.counts[at]
		have.SLO, have.Minute = n.SLO, n.Minute
		have.Add(n)
		c.counts[at] = have
	}
	c.from = append(c.from, a)
	return failed
}

func (c *memCounts) ProgressOf(context.Context, string, string) ([]port.Progress, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	var rows []port.Progress
	for _, row := range c.rows {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b port.Progress) int { return cmp.Compare(a.Partition, b.Partition) })
	return rows, nil
}

func (c *memCounts) SLOCounts(_ context.Context, slo, from, to int64) ([]port.SLOCount, error) {
	return nil, errors.New("a beagle does not read counts")
}

// of are an SLO's counts by minute.
func (c *memCounts) of(slo int64) map[int64][2]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[int64][2]int64{}
	for at, n := range c.counts {
		if at.slo == slo {
			counts[at.minute] = [2]int64{n.Good, n.Total}
		}
	}
	return counts
}

func (c *memCounts) next(partition int32) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, there := c.rows[partition]
	return row.Next, there
}

func (c *memCounts) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// memDefs keeps definitions.
type memDefs struct {
	port.Definitions
	mu      sync.Mutex
	of      map[int64][]port.Definition // by dataset; a dataset without an entry is not there
	away    error
	lookUps map[int64]int
}

func newMemDefs() *memDefs {
	return &memDefs{of: map[int64][]port.Definition{}, lookUps: map[int64]int{}}
}

func (d *memDefs) DefinitionsOf(_ context.Context, dataset int64, kinds ...port.DefinitionKind) ([]port.Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookUps[dataset]++
	if d.away != nil {
		return nil, d.away
	}
	defs, there := d.of[dataset]
	if !there && dataset != port.OfTeams {
		return nil, fmt.Errorf("dataset %d: %w", dataset, port.ErrNotFound)
	}
	var out []port.Definition
	for _, def := range defs {
		if slices.Contains(kinds, def.Kind) {
			out = append(out, def)
		}
	}
	return out, nil
}

func (d *memDefs) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *memDefs) asked(dataset int64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lookUps[dataset]
}

func column(dataset int64, name, expression string) port.Definition {
	body, _ := json.Marshal(definition.DerivedColumn{Alias: name, Expression: expression})
	return port.Definition{Team: 1, Dataset: dataset, Kind: port.KindDerivedColumn, Name: name, Body: body}
}

func objective(id, dataset int64, name, sli string) port.Definition {
	body, _ := json.Marshal(definition.SLO{Name: name, SLI: definition.SLI{Alias: sli}, TargetPerMillion: 999_000, TimePeriodDays: 30})
	return port.Definition{ID: id, Team: 1, Dataset: dataset, Kind: port.KindSLO, Name: name, Body: body}
}

// fakeMember is a membership whose assignments a test gives.
type fakeMember struct {
	r           rt.Runtime
	cooperative bool
	given       *rt.Queue[group.Assignment]
	refused     error // of every Join

	mu    sync.Mutex
	owned [][]int32 // what Join was told
	left  bool
	over  *rt.Future[error] // of the last assignment
}

func (m *fakeMember) Join(ctx context.Context, owned []int32) (group.Assignment, error) {
	m.mu.Lock()
	m.owned = append(m.owned, owned)
	refused := m.refused
	m.mu.Unlock()
	if refused != nil {
		return group.Assignment{}, refused
	}
	a, err := m.given.Pop(ctx)
	if err != nil {
		return group.Assignment{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a.Member, a.Over = "m", rt.NewFuture[error](m.r)
	m.over = a.Over
	return a, nil
}

func (m *fakeMember) Leave(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = true
	return nil
}

func (m *fakeMember) Cooperative() bool { return m.cooperative }

func (m *fakeMember) Trouble() string { return "" }

func (m *fakeMember) rebalance(why error) {
	m.mu.Lock()
	over := m.over
	m.mu.Unlock()
	over.Complete(why, nil)
}

// sink keeps announcements.
type sink struct {
	mu     sync.Mutex
	events []port.Event
}

func (s *sink) Announce(e port.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) of(kind string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var details []string
	for _, e := range s.events {
		if e.Kind == kind {
			details = append(details, e.Detail)
		}
	}
	return details
}

// world is what workers share.
type world struct {
	t      *testing.T
	log    *memLog
	counts *memCounts
	defs   *memDefs
	events *sink
	cfg    Config
}

// play runs a test in a bubble in which time passes only while all tasks wait.
func play(t *testing.T, partitions int, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, log: newMemLog(partitions), counts: newMemCounts(), defs: newMemDefs(), events: &sink{}, cfg: DefaultConfig()}
		w.defs.of[1] = []port.Definition{column(1, "fast", `LT($ms, 100)`), objective(10, 1, "fast", "fast")}
		f(w)
	})
}

// worker is one process.
type worker struct {
	*Beagle
	w      *world
	wall   *rt.Wall
	member *fakeMember
	cancel context.CancelFunc
	ran    *rt.Future[error]
}

// build makes a worker that does not run yet.
func (w *world) build(name string, bugs ...string) *worker {
	set, err := planted.Parse(bugs...)
	if err != nil {
		w.t.Fatal(err)
	}
	wall := rt.NewWall(1)
	m := &fakeMember{r: wall, cooperative: true, given: rt.NewQueue[group.Assignment](wall, 0)}
	ports := port.Ports{Log: memClient{w.log, wall}, Definitions: w.defs, Counts: w.counts, Events: w.events}
	return &worker{w: w, wall: wall, member: m, ran: rt.NewFuture[error](wall), Beagle: newWith(wall, ports, w.cfg, topic, name, set, m)}
}

func (w *world) start(name string, bugs ...string) *worker {
	k := w.build(name, bugs...)
	ctx, cancel := k.wall.WithCancel(context.Background())
	k.cancel = cancel
	k.wall.Go(name, func(context.Context) { k.ran.Complete(k.Run(ctx), nil) })
	w.t.Cleanup(func() { cancel(); k.wall.Kill(); k.wall.Wait() })
	return k
}

func (k *worker) give(partitions ...int32) {
	k.member.given.TryPush(group.Assignment{Generation: 1, Partitions: partitions})
}

// rebalance gives other partitions in a new generation.
func (k *worker) rebalance(why error, partitions ...int32) {
	k.member.rebalance(why)
	k.give(partitions...)
}

// justCommitted returns shortly after a commit, so that what comes next is gathered for a while.
func (k *worker) justCommitted() {
	for before := k.Status().Totals.Commits; k.Status().Totals.Commits == before; {
		k.w.sleep(time.Millisecond)
	}
}

// stop ends the worker cleanly.
func (k *worker) stop() {
	k.w.t.Helper()
	k.cancel()
	err, waiting := k.ran.Wait(context.Background())
	if err != nil || waiting != nil {
		k.w.t.Fatalf("Run: %v", err)
	}
}

// kill ends it at once.
func (k *worker) kill() { k.wall.Kill(); k.wall.Wait() }

// sleep lets time pass, then waits until all tasks wait.
func (w *world) sleep(d time.Duration) { time.Sleep(d); synctest.Wait() }

// expect compares an SLO's counts, as good and total by minute.
func (w *world) expect(slo int64, want map[int64][2]int64) {
	w.t.Helper()
	got := w.counts.of(slo)
	if len(got) != len(want) {
		w.t.Errorf("SLO %d has %v, want %v", slo, got, want)
		return
	}
	for minute, n := range want {
		if got[minute] != n {
			w.t.Errorf("SLO %d has %v, want %v", slo, got, want)
			return
		}
	}
}

func (w *world) progress(partition int32, want int64) {
	w.t.Helper()
	if next, there := w.counts.next(partition); !there || next != want {
		w.t.Errorf("progress of partition %d is %d (%v), want %d", partition, next, there, want)
	}
}

// request is an event of dataset 1 that took some milliseconds; seconds is its time.
type request struct {
	seq     uint64
	seconds int64
	ms      int64
}

// sampled is a request and its sample rate.
type sampled struct {
	request
	rate int64
}

// chunk encodes requests of a dataset.
func chunk(dataset int64, requests ...request) []byte {
	all := make([]sampled, len(requests))
	for i, q := range requests {
		all[i] = sampled{q, 1}
	}
	return sampledChunk(dataset, all...)
}

func sampledChunk(dataset int64, requests ...sampled) []byte {
	events := make([]event.Event, len(requests))
	for i, q := range requests {
		events[i] = event.Event{ID: event.ID{Source: 7, Seq: q.seq}, Time: time.Unix(q.seconds, 0), SampleRate: q.rate,
			Fields: []event.Field{{Name: "ms", Value: event.IntValue(q.ms)}}}
	}
	return event.AppendChunk(nil, event.Dataset{ID: dataset, Name: "data"}, events)
}
