package retriever

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// handRuntime is a wall clock on which sleeping takes no time.
type handRuntime struct {
	*rt.Wall
	slept time.Duration
}

func (r *handRuntime) Now() time.Time { return time.Unix(1000, 0).Add(r.slept) }

func (r *handRuntime) Sleep(ctx context.Context, d time.Duration) error {
	r.slept += d
	return ctx.Err()
}

// hand is a retriever whose tasks do not run: a test takes their steps one by one.
type hand struct {
	t     testing.TB
	cfg   Config
	place Place
	bugs  planted.Set
	disk  *memDisk
	log   *memLog
	blobs *memBlobs
	peers *memPeers
	seen  *sink
	re    *Retriever
	st    *state
}

func handConfig() Config {
	cfg := DefaultConfig()
	cfg.SealEvery, cfg.KeepLocal = time.Second, 3*time.Second
	return cfg
}

func newHand(t testing.TB, cfg Config, log *memLog, blobs *memBlobs, peers *memPeers, replica int, bugs ...string) *hand {
	t.Helper()
	set, err := planted.Parse(bugs...)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"retriever1", "retriever2"}
	return &hand{t: t, cfg: cfg, log: log, blobs: blobs, peers: peers, disk: newMemDisk(), seen: &sink{}, bugs: set,
		place: Place{Topic: "events", Replica: replica, Node: names[replica], Zone: string(rune('a' + replica)), Peers: names[1-replica : 2-replica]}}
}

// start makes a new incarnation over what its disk holds.
func (h *hand) start() {
	h.t.Helper()
	r := &handRuntime{Wall: rt.NewWall(1)}
	var err error
	h.re, err = New(r, port.Ports{Log: memLogClient{h.log, r}, Disk: h.disk, Blobs: h.blobs, Peers: h.peers, Events: h.seen}, h.cfg, h.place, h.bugs)
	if err != nil {
		h.t.Fatal(err)
	}
	h.re.claim.won()
	h.peers.set(h.place.Node, h.re)
	h.reopen(-1)
}

func (h *hand) reopen(limit int64) {
	h.t.Helper()
	var err error
	if h.st, err = h.re.open(context.Background(), limit); err != nil {
		h.t.Fatal(err)
	}
}

// read fetches and keeps at most n records.
func (h *hand) read(n int) {
	h.t.Helper()
	ctx := context.Background()
	h.log.mu.Lock()
	from := max(h.st.store.staged.next-h.log.start, 0)
	to := min(from+int64(n), int64(len(h.log.records)))
	b := port.Batch{Records: slices.Clone(h.log.records[min(from, to):to]), HighWatermark: h.log.start + int64(len(h.log.records))}
	h.log.mu.Unlock()
	if err := h.re.keep(ctx, h.st, b, h.re.r.Now()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) sync() {
	h.t.Helper()
	if err := h.re.settle(context.Background(), h.st.store); err != nil {
		h.t.Fatal(err)
	}
}

// keep is a turn of the keeper. It returns its error, and starts over if the manifest demands that.
func (h *hand) keep() error {
	h.t.Helper()
	ctx := context.Background()
	h.re.repair(ctx, h.st)
	err := h.re.snapshot(ctx, h.st)
	if err == nil {
		err = h.re.age(ctx, h.st)
	}
	if errors.Is(h.re.await(ctx, h.st), errStartOver) {
		h.reopen(-1)
	}
	return err
}

// crash ends the process, with the machine or without.
func (h *hand) crash(power bool, torn int) {
	h.peers.set(h.place.Node, nil)
	if power {
		h.disk.powerLoss(torn)
	}
}

func (h *hand) wipe() {
	h.peers.set(h.place.Node, nil)
	h.disk = newMemDisk()
}

// rows gives all IDs that a query would see, those in S3 alone included, in the order of their offsets.
func (h *hand) rows() []string {
	h.t.Helper()
	return slices.Concat(archived(h.t, h.blobs, h.st.floor()), h.local())
}

// local gives what is held and durable here.
func (h *hand) local() []string {
	h.t.Helper()
	var out []string
	for _, held := range allHoldings(h.t, h.re, 100) {
		out = append(out, fmt.Sprintf("%d/%d.%d", held.Offset, held.Event.ID.Source, held.Event.ID.Seq))
	}
	return out
}

// archived reads the rows of all segments in S3 that end at or before an offset, as a query does.
func archived(t testing.TB, blobs *memBlobs, floor int64) []string {
	t.Helper()
	m := stored(t, blobs)
	var out []string
	for _, s := range m.Seals {
		if s.Next > floor {
			break
		}
		var rows []datasetRow
		for i := range s.Segments {
			data, ok := blobs.objects[s.Segments[i].Key]
			if !ok {
				out = append(out, "missing "+s.Segments[i].Key)
				continue
			}
			var err error
			if rows, err = appendRows(context.Background(), rows, &s.Segments[i], data); err != nil {
				out = append(out, err.Error())
			}
		}
		sortRows(rows)
		for _, r := range rows {
			out = append(out, fmt.Sprintf("%d/%d.%d", r.Offset, r.Event.ID.Source, r.Event.ID.Seq))
		}
	}
	return out
}

// stored is the manifest in S3.
func stored(t testing.TB, blobs *memBlobs) manifest.Manifest {
	t.Helper()
	data, ok := blobs.objects[manifest.Key(0)]
	if !ok {
		return manifest.Manifest{}
	}
	m, err := manifest.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// durableInS3 checks that everything that the manifest names is there, byte for byte.
func durableInS3(t testing.TB, blobs *memBlobs) error {
	t.Helper()
	m := stored(t, blobs)
	for _, s := range m.Seals {
		for i := range s.Segments {
			if _, err := segment.Open(s.Segments[i], blobs.objects[s.Segments[i].Key]); err != nil {
				return err
			}
		}
		if s.IDs != "" {
			if _, err := decodeIDs(blobs.objects[s.IDs]); err != nil {
				return fmt.Errorf("%s: %w", s.IDs, err)
			}
		}
	}
	return nil
}

// sample is one event at a time, in seconds, of a dataset.
func sample(dataset int64, source, seq uint64, at int64) []byte {
	return event.AppendChunk(nil, event.Dataset{ID: dataset, Name: fmt.Sprint("data", dataset)}, []event.Event{sampleEvent(source, seq, at)})
}

func sampleEvent(source, seq uint64, at int64) event.Event {
	return event.Event{ID: event.ID{Source: source, Seq: seq}, Time: time.Unix(at, int64(seq)), SampleRate: 1, Fields: []event.Field{
		{Name: "a", Value: event.IntValue(int64(seq))}, {Name: "b", Value: event.StringValue(fmt.Sprint("v", seq%3))},
	}}
}

// second is the CreateTime of records in tests.
func second(s int64) time.Time { return time.Unix(1_000_000+s, 0) }

// expected is what is kept of a log: the first of each ID, at its offset.
func expected(log *memLog) []string {
	var out []string
	known := map[event.ID]bool{}
	for _, rec := range log.records {
		c, err := event.DecodeChunk(rec.Value)
		if err != nil {
			continue
		}
		for i := range c.Events {
			if id := c.Events[i].ID; !known[id] {
				known[id] = true
				out = append(out, fmt.Sprintf("%d/%d.%d", rec.Offset, id.Source, id.Seq))
			}
		}
	}
	return out
}
