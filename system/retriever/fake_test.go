package retriever

import (
	"context"
	"fmt"
	"io"
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

// memDisk is a disk whose files know what of them was synced.
type memDisk struct {
	mu       sync.Mutex
	files    map[string]*memFile
	capacity int   // 0: no bound
	syncErr  error // returned by the next sync
	syncs    int
}

type memFile struct {
	d      *memDisk
	data   []byte
	synced int
	bad    map[int]bool // pages that cannot be read
}

func newMemDisk() *memDisk { return &memDisk{files: map[string]*memFile{}} }

func (d *memDisk) Create(_ context.Context, name string) (port.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &memFile{d: d}
	d.files[name] = f
	return f, nil
}

func (d *memDisk) Open(_ context.Context, name string) (port.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%s: %w", name, port.ErrNotExist)
}

func (d *memDisk) Rename(_ context.Context, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *memDisk) Remove(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

func (d *memDisk) List(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (d *memDisk) SyncDir(context.Context) error { return nil }

// powerLoss cuts every file at its synced end, or a little behind it: the last write is torn.
func (d *memDisk) powerLoss(torn int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		f.data = f.data[:min(f.synced+torn, len(f.data))]
	}
}

func (d *memDisk) used() int {
	n := 0
	for _, f := range d.files {
		n += len(f.data)
	}
	return n
}

func (d *memDisk) setCapacity(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = n
}

// logs returns the names of the log's files.
func (d *memDisk) logs() []string {
	names, _ := d.List(context.Background())
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, fileSuffix) })
}

func (f *memFile) Append(_ context.Context, p []byte) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.capacity > 0 && f.d.used()+len(p) > f.d.capacity {
		f.data = append(f.data, p[:max(f.d.capacity-f.d.used(), 0)]...)
		return port.ErrDiskFull
	}
	f.data = append(f.data, p...)
	return nil
}

func (f *memFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	for page := range f.bad {
		if int64(page*4096) < off+int64(len(p)) && int64((page+1)*4096) > off {
			return 0, port.ErrCorrupt
		}
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Size(context.Context) (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *memFile) Truncate(_ context.Context, size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.data = f.data[:size]
	f.synced = min(f.synced, int(size))
	return nil
}

func (f *memFile) Sync(context.Context) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	if err := f.d.syncErr; err != nil {
		f.d.syncErr = nil
		return err
	}
	f.synced = len(f.data)
	return nil
}

func (f *memFile) Close() error { return nil }

// memLog is one partition.
type memLog struct {
	mu sync.Mutex

	start   int64
	records []port.Fetched // from start on
	stall   bool           // fetches hang until their ctx ends
	fetches int
}

// memLogClient is a process's client of it.
type memLogClient struct {
	*memLog
	r rt.Runtime
}

func (l memLogClient) NewProducer(port.ProducerConfig) (port.Producer, error) {
	return memProducer(l), nil
}

// memProducer appends at once.
type memProducer memLogClient

func (p memProducer) Produce(_ string, _ int32, rec port.Record) *rt.Future[int64] {
	p.mu.Lock()
	offset := p.start + int64(len(p.records))
	p.records = append(p.records, port.Fetched{Offset: offset, Record: rec})
	p.mu.Unlock()
	done := rt.NewFuture[int64](p.r)
	done.Complete(offset, nil)
	return done
}
func (p memProducer) Close(context.Context) error { return nil }

func (l memLogClient) Admin() port.LogAdmin { return (*memAdmin)(l.memLog) }
func (l memLogClient) NewReader(_ port.ReaderConfig, _ string, _ int32, offset int64) (port.Reader, error) {
	return &memReader{l: l.memLog, r: l.r, offset: offset}, nil
}

func (l *memLog) add(values ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		l.records = append(l.records, port.Fetched{Offset: l.start + int64(len(l.records)), Record: port.Record{Value: v}})
	}
}

// at adds records with a CreateTime.
func (l *memLog) at(t time.Time, values ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		l.records = append(l.records, port.Fetched{Offset: l.start + int64(len(l.records)), Record: port.Record{Value: v, Time: t}})
	}
}

func (l *memLog) end() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start + int64(len(l.records))
}

type memReader struct {
	l      *memLog
	r      rt.Runtime
	offset int64
}

func (r *memReader) Fetch(ctx context.Context) (port.Batch, error) {
	for {
		r.l.mu.Lock()
		r.l.fetches++
		end := r.l.start + int64(len(r.l.records))
		b := port.Batch{HighWatermark: end}
		outside := r.offset < r.l.start || r.offset > end
		if !outside {
			b.Records = slices.Clone(r.l.records[r.offset-r.l.start:])
		}
		stalled := r.l.stall
		r.l.mu.Unlock()
		switch {
		case stalled:
			if err := r.r.Sleep(ctx, time.Hour); err != nil {
				return port.Batch{}, err
			}
		case outside:
			return port.Batch{}, fmt.Errorf("offset %d: %w", r.offset, port.ErrOffsetOutOfRange)
		case len(b.Records) > 0:
			if len(b.Records) > 3 {
				b.Records = b.Records[:3]
			}
			r.offset += int64(len(b.Records))
			return b, nil
		default:
			return b, r.r.Sleep(ctx, time.Millisecond)
		}
	}
}

func (r *memReader) Offset() int64 { return r.offset }
func (r *memReader) Close()        {}

type memAdmin memLog

func (a *memAdmin) GrowTopic(context.Context, string, int32) error    { return nil }
func (a *memAdmin) CreateTopic(context.Context, port.TopicSpec) error { return nil }
func (a *memAdmin) Describe(context.Context, string) ([]port.PartitionState, error) {
	return nil, nil
}
func (a *memAdmin) Brokers(context.Context) ([]int32, error) { return nil, nil }
func (a *memAdmin) Offsets(context.Context, string, int32) (int64, int64, error) {
	l := (*memLog)(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.start + int64(len(l.records)), nil
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

// of returns the details of announcements of one kind.
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

// chunk encodes events with the given sequences.
func chunk(source uint64, seqs ...uint64) []byte {
	events := make([]event.Event, len(seqs))
	for i, seq := range seqs {
		events[i] = event.Event{ID: event.ID{Source: source, Seq: seq}, Time: time.Unix(int64(seq), 0), SampleRate: 1,
			Fields: []event.Field{{Name: "seq", Value: event.IntValue(int64(seq))}}}
	}
	return event.AppendChunk(nil, event.Dataset{ID: 1, Name: "data"}, events)
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

// rig is a retriever that can be killed and started again over the same disk, log and ensemble.
type rig struct {
	t      testing.TB
	disk   *memDisk
	log    *memLog
	zk     *memZK
	blobs  *memBlobs
	peers  *memPeers
	place  Place
	bugs   planted.Set
	seen   *sink
	cfg    Config
	wall   *rt.Wall
	re     *Retriever
	cancel context.CancelFunc
	ran    chan error
}

func newRig(t testing.TB) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SyncEvery = 5 * time.Millisecond
	cfg.SnapshotEvery = 20 * time.Millisecond
	return &rig{t: t, disk: newMemDisk(), log: &memLog{}, zk: newMemZK(), blobs: newMemBlobs(), peers: &memPeers{nodes: map[string]port.PeerServer{}}, seen: &sink{}, cfg: cfg,
		place: Place{Topic: "events", Node: "retriever1", Zone: "a"}}
}

// other makes the other of the pair, over a disk of its own.
func (g *rig) other() *rig {
	o := *g
	o.disk, o.seen = newMemDisk(), &sink{}
	o.place = Place{Topic: "events", Replica: 1, Node: "retriever2", Zone: "b", Peers: []string{"retriever1"}}
	g.place.Peers = []string{"retriever2"}
	return &o
}

func (g *rig) start() {
	g.t.Helper()
	g.wall = rt.NewWall(uint64(time.Now().UnixNano()))
	var err error
	g.re, err = New(g.wall, port.Ports{
		Log: memLogClient{g.log, g.wall}, Coordination: g.zk.client(g.wall), Disk: g.disk, Blobs: g.blobs, Peers: g.peers, Events: g.seen,
	}, g.cfg, g.place, g.bugs)
	if err != nil {
		g.t.Fatal(err)
	}
	g.peers.set(g.place.Node, g.re)
	re, wall, ran, cancel := g.re, g.wall, make(chan error, 1), make(chan context.CancelFunc, 1)
	wall.Go("retriever", func(ctx context.Context) {
		ctx, stop := wall.WithCancel(ctx)
		cancel <- stop
		ran <- re.Run(ctx)
	})
	g.cancel, g.ran = <-cancel, ran
	g.t.Cleanup(func() { wall.Kill(); wall.Wait() })
}

// stop ends the retriever cleanly.
func (g *rig) stop() {
	g.t.Helper()
	g.cancel()
	if err := <-g.ran; err != nil {
		g.t.Fatal(err)
	}
	g.wall.Wait()
	g.peers.set(g.place.Node, nil)
}

// kill ends it at once; its ZooKeeper session stays until it expires.
func (g *rig) kill() {
	g.wall.Kill()
	g.wall.Wait()
	g.peers.set(g.place.Node, nil)
}

func (g *rig) status() Status {
	st, _ := g.re.Status(context.Background())
	return st
}

func (g *rig) caughtUp() {
	g.t.Helper()
	eventually(g.t, "everything is durable", func() bool { return g.status().Durable == g.log.end() })
}

// held reads all holdings, in pages.
func (g *rig) held(limit int) []Held {
	g.t.Helper()
	return allHoldings(g.t, g.re, limit)
}

func allHoldings(t testing.TB, h Holder, limit int) []Held {
	t.Helper()
	var all []Held
	for cursor := int64(0); ; {
		page, err := h.Holdings(context.Background(), cursor, limit)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Held...)
		if page.Done {
			return all
		}
		if page.Cursor <= cursor {
			t.Fatalf("the cursor does not advance from %d", cursor)
		}
		cursor = page.Cursor
	}
}

func seqs(held []Held) []uint64 {
	var out []uint64
	for _, h := range held {
		out = append(out, h.Event.ID.Seq)
	}
	return out
}
