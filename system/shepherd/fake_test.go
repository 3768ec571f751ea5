package shepherd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// fakeLog is a Kafka client whose produces end as the test says.
type fakeLog struct {
	r rt.Runtime
	// decide returns the outcome of a produce: nil error accepts it; errHang leaves it open until settle.
	mu       sync.Mutex
	decide   func(partition int32) error
	cfg      port.ProducerConfig
	stored   [][]port.Record // by partition
	produced []int32         // partitions in order
	hanging  []hung
	closed   bool
}

type hung struct {
	partition int32
	rec       port.Record
	future    *rt.Future[int64]
}

var errHang = fmt.Errorf("no outcome yet")

// errAnswerLost: it is stored, but nobody is told.
var errAnswerLost = fmt.Errorf("answer lost: %w", port.ErrUnknown)

func newFakeLog(r rt.Runtime, partitions int) *fakeLog {
	return &fakeLog{r: r, stored: make([][]port.Record, partitions), decide: func(int32) error { return nil }}
}

func (f *fakeLog) NewProducer(cfg port.ProducerConfig) (port.Producer, error) {
	f.cfg = cfg
	return f, nil
}
func (f *fakeLog) NewReader(port.ReaderConfig, string, int32, int64) (port.Reader, error) {
	return nil, fmt.Errorf("a shepherd does not read")
}
func (f *fakeLog) Admin() port.LogAdmin { return fakeAdmin{f: f} }

func (f *fakeLog) grow(partitions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored = append(f.stored, make([][]port.Record, partitions-len(f.stored))...)
}

// fakeAdmin knows how many partitions there are, and nothing else.
type fakeAdmin struct {
	port.LogAdmin
	f *fakeLog
}

func (a fakeAdmin) Describe(context.Context, string) ([]port.PartitionState, error) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return make([]port.PartitionState, len(a.f.stored)), nil
}

func (f *fakeLog) Produce(_ string, partition int32, rec port.Record) *rt.Future[int64] {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.produced = append(f.produced, partition)
	err := f.decide(partition)
	switch {
	case err == nil:
		return rt.Resolved(f.r, f.store(partition, rec), nil)
	case errors.Is(err, errHang):
		h := hung{partition, rec, rt.NewFuture[int64](f.r)}
		f.hanging = append(f.hanging, h)
		return h.future
	}
	if errors.Is(err, errAnswerLost) {
		f.store(partition, rec)
	}
	return rt.Resolved(f.r, int64(-1), err)
}

func (f *fakeLog) store(partition int32, rec port.Record) int64 {
	f.stored[partition] = append(f.stored[partition], rec)
	return int64(len(f.stored[partition]) - 1)
}

func (f *fakeLog) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fakeLog) on(decide func(partition int32) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide = decide
}

// settle ends all hanging produces.
func (f *fakeLog) settle(err error) {
	f.mu.Lock()
	hanging := f.hanging
	f.hanging = nil
	offsets := make([]int64, len(hanging))
	for i, h := range hanging {
		if err == nil {
			offsets[i] = f.store(h.partition, h.rec)
		}
	}
	f.mu.Unlock()
	for i, h := range hanging {
		h.future.Complete(offsets[i], err)
	}
}

func (f *fakeLog) attempts() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.produced)
}

// storedEvents decodes everything that is in the log.
func (f *fakeLog) storedEvents(t testing.TB) []event.Event {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []event.Event
	for _, records := range f.stored {
		for _, rec := range records {
			c, err := event.DecodeChunk(rec.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c.Events...)
		}
	}
	return all
}

// recorder keeps announcements.
type recorder struct {
	mu     sync.Mutex
	events []port.Event
}

func (r *recorder) Announce(e port.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) count(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// fakeDirectory is a catalog that answers at once: each key in teams is known, and each dataset is there once it is asked for.
type fakeDirectory struct {
	mu       sync.Mutex
	err      error // of everything
	teams    map[string]port.Team
	set      []int32 // partitions of each dataset
	limits   port.Limits
	datasets map[string]port.Dataset
	learnt   map[int64][]string
}

func newFakeDirectory(partitions int) *fakeDirectory {
	d := &fakeDirectory{datasets: map[string]port.Dataset{}, learnt: map[int64][]string{}, teams: map[string]port.Team{
		"key": {ID: 1, Name: "one"}, "key2": {ID: 2, Name: "two"}, "key3": {ID: 3, Name: "three"},
	}}
	for i := range partitions {
		d.set = append(d.set, int32(i))
	}
	return d
}

// on changes how it answers.
func (d *fakeDirectory) on(change func(*fakeDirectory)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *fakeDirectory) Team(_ context.Context, key string) (port.Team, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	team, ok := d.teams[key]
	switch {
	case d.err != nil:
		return port.Team{}, d.err
	case !ok:
		return port.Team{}, fmt.Errorf("team of a key: %w", port.ErrNotFound)
	}
	return team, nil
}

func (d *fakeDirectory) DatasetForWrite(_ context.Context, team int64, name string) (port.Dataset, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ds, ok := d.datasets[strings.ToLower(name)]
	switch {
	case ok:
		return ds, nil
	case d.err != nil:
		return port.Dataset{}, d.err
	}
	ds = port.Dataset{ID: int64(len(d.datasets) + 100), Team: team, Name: name, Partitions: d.set, Limits: d.limits}
	d.datasets[strings.ToLower(name)] = ds
	return ds, nil
}

func (d *fakeDirectory) Partitions() int32 { return 8 }

func (d *fakeDirectory) LearnEvents(dataset int64, events []event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		for _, f := range e.Fields {
			if !slices.Contains(d.learnt[dataset], f.Name) {
				d.learnt[dataset] = append(d.learnt[dataset], f.Name)
			}
		}
	}
}

func (d *fakeDirectory) Run(context.Context) error { return nil }

// bench is a shepherd over a fake log and a fake catalog.
type bench struct {
	*Shepherd
	log  *fakeLog
	dir  *fakeDirectory
	seen *recorder
	r    *rt.Wall
}

func newBench(t testing.TB, partitions int, change func(*Config), bugs ...string) *bench {
	t.Helper()
	r := rt.NewWall(uint64(partitions) + 7)
	t.Cleanup(func() { r.Kill(); r.Wait() })
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	set, err := planted.Parse(bugs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.check(int32(partitions)); err != nil {
		t.Fatal(err)
	}
	b := &bench{log: newFakeLog(r, partitions), dir: newFakeDirectory(partitions), seen: &recorder{}, r: r}
	b.Shepherd, err = newShepherd(r, port.Ports{Log: b.log, Events: b.seen}, cfg, int32(partitions), "shepherd1", set, b.dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func batchOf(n int) Request {
	req := Request{Team: "key", Dataset: "data", Receipts: true}
	for i := range n {
		req.Events = append(req.Events, event.Event{
			Time: time.Unix(1_700_000_000, int64(i)), SampleRate: 1,
			Fields: []event.Field{{Name: "n", Value: event.IntValue(int64(i))}, {Name: "text", Value: event.StringValue("hello")}},
		})
	}
	return req
}

func codes(a Answer) []int {
	var out []int
	for _, s := range a.Statuses {
		out = append(out, s.Code)
	}
	return out
}

// eventually waits for a condition, not for a time.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

var noBugs planted.Set
