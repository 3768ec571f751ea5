//go:build soak

package retriever

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/localdisk"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
	"github.com/ratel-sim/ratel/system/soak"
)

// narrowBlobs is an object store that takes so many bytes a second.
type narrowBlobs struct {
	*memBlobs
	r rt.Runtime

	mu    sync.Mutex
	rate  float64 // bytes a second; 0: no bound
	free  time.Time
	taken int64
}

func (b *narrowBlobs) Put(ctx context.Context, key string, data []byte, cond port.Condition) (port.BlobInfo, error) {
	b.mu.Lock()
	now := b.r.Now()
	if b.free.Before(now) {
		b.free = now
	}
	if b.rate > 0 {
		b.free = b.free.Add(time.Duration(float64(len(data)) / b.rate * float64(time.Second)))
	}
	b.taken += int64(len(data))
	wait := b.free.Sub(now)
	b.mu.Unlock()
	if err := b.r.Sleep(ctx, wait); err != nil {
		return port.BlobInfo{}, err
	}
	return b.memBlobs.Put(ctx, key, data, cond)
}

func (b *narrowBlobs) widen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate, b.free = 0, time.Time{}
}

// TestSoakTwiceTheCapacity appends twice what the object store behind a retriever takes to its partition, for RATEL_SOAK (10
// minutes if it is not set): what it cannot snapshot fills its disk up to the bound, then it leaves the rest in Kafka and says
// so; memory and disk stay within their bounds and the heap does not grow with time. Afterwards the store is as fast as it
// likes: the retriever catches up, and S3 and its disk have every event exactly once.
func TestSoakTwiceTheCapacity(t *testing.T) {
	const (
		perChunk = 10
		s3Rate   = 60_000 // bytes a second
		perSeal  = 1000   // records, about
	)
	length, err := soak.For()
	if err != nil {
		t.Fatal(err)
	}
	wall := rt.NewWall(1)
	chunks := make([][]event.Event, perSeal)
	sample := segment.NewBuilder(0, 1, 0)
	for i := range chunks {
		chunks[i] = benchEvents(perChunk, 30, uint64(i*perChunk))
		for j := range chunks[i] {
			sample.AppendEvent(int64(i), int32(j), &chunks[i][j])
		}
	}
	encoded, _, err := sample.Encode(0, perSeal, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	capacity := s3Rate / (float64(len(encoded)) / perSeal) // records a second; IDs and the manifest come on top
	log := soak.NewPartition(wall, 2*capacity, chunks)
	disk, err := localdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	blobs := &narrowBlobs{memBlobs: newMemBlobs(), r: wall, rate: s3Rate}
	cfg := DefaultConfig()
	cfg.SealEvery, cfg.SnapshotEvery, cfg.KeepLocal, cfg.Retention = time.Second, time.Second, 2*time.Second, 20*time.Second
	cfg.MaxMemoryBytes, cfg.MaxLocalBytes = 16<<20, 1<<20
	seen := &sink{}
	re, err := New(wall, port.Ports{Log: log, Coordination: newMemZK().client(wall), Disk: disk, Blobs: blobs, Peers: &memPeers{nodes: map[string]port.PeerServer{}}, Events: seen},
		cfg, Place{Topic: "events", Node: "retriever1", Zone: "a"}, newRig(t).bugs)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	wall.Go("retriever", func(ctx context.Context) { failed <- re.Run(ctx) })
	t.Cleanup(func() { wall.Kill(); wall.Wait() })

	status := func() Status {
		st, err := re.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	var first, peak, memory, local, lag int64
	look := log.Began().Add(length / 10)
	for time.Since(log.Began()) < length {
		select {
		case err := <-failed:
			t.Fatalf("the retriever ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		st := status()
		memory, local = max(memory, st.MemBytes), max(local, st.LocalBytes)
		if time.Now().Before(look) {
			continue
		}
		look = look.Add(length / 10)
		heap := soak.LiveHeap()
		if first == 0 {
			first = heap
		}
		peak = max(peak, heap)
		lag = log.End() - st.Next
		t.Logf("%v: heap %.1f MB, %.1f MB in memory, %.1f MB on disk; %d records read, %d in S3, lag %d", time.Since(log.Began()).Round(time.Second),
			float64(heap)/1e6, float64(st.MemBytes)/1e6, float64(st.LocalBytes)/1e6, st.Next, st.Committed, log.End()-st.Next)
	}
	end := log.Close()
	st := status()
	offered, got := 2*capacity*length.Seconds(), float64(st.Next)
	// The disk's bound is looked at before each fetch. What one brings is in the log and, once it is sealed, in segments beside it.
	fetch := 2 * int64(soak.AtOnce*len(log.Record(0).Value))
	if memory > cfg.MaxMemoryBytes || local > cfg.MaxLocalBytes+fetch {
		t.Errorf("%d bytes in memory and %d on disk, the bounds are %d and %d (and a fetch of %d)", memory, local, cfg.MaxMemoryBytes, cfg.MaxLocalBytes, fetch)
	}
	if limit := first + cfg.MaxMemoryBytes; peak > limit {
		t.Errorf("the heap grew from %d to %d bytes while the bound is %d", first, peak, cfg.MaxMemoryBytes)
	}
	if lag == 0 || len(seen.of(port.EventDiskFull)) == 0 {
		t.Errorf("the lag is %d, reading waited %d times: it was not asked for more than it can take", lag, len(seen.of(port.EventDiskFull)))
	}
	if share := got / offered; share < 0.25 || share > 0.8 {
		t.Errorf("%.0f of %.0f records read: expected about half", got, offered)
	}
	blobs.widen()
	caught := time.Now()
	for status().Durable < end {
		if time.Since(caught) > max(length, time.Minute) {
			t.Fatalf("%d of %d records are durable after %v", status().Durable, end, time.Since(caught))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%v at twice the capacity: %.0f records offered, %.0f read (%.2f of the capacity), %d beyond; at most %.1f of %.1f MB in memory, %.1f of %.1f MB on disk; heap %.1f to %.1f MB; reading waited %d times; caught up within %v",
		length, offered, got, got/(capacity*length.Seconds()), end-st.Next, float64(memory)/1e6, float64(cfg.MaxMemoryBytes)/1e6, float64(local)/1e6, float64(cfg.MaxLocalBytes)/1e6,
		float64(first)/1e6, float64(peak)/1e6, len(seen.of(port.EventDiskFull)), time.Since(caught).Round(time.Millisecond))
	everyEventOnce(t, re, blobs.memBlobs, end, perChunk)
}

// everyEventOnce reads back what S3 and the retriever have: from the first offset that was not expired to the end, each
// event exactly once.
func everyEventOnce(t *testing.T, re *Retriever, blobs *memBlobs, end int64, perChunk int) {
	t.Helper()
	status := func() Status {
		st, err := re.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	// What is held locally goes to S3 meanwhile, so it is read again until none has gone.
	var st Status
	var held []int64
	for st = status(); ; st = status() {
		held = localEvents(t, re)
		if st.Floor == status().Floor {
			break
		}
	}
	m, err := manifest.NewStore(blobs).Load(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Seals {
		s := &m.Seals[i]
		if s.Missed != 0 || s.Rows() != (s.Next-s.First)*int64(perChunk) {
			t.Errorf("offsets %d to %d: %d rows, %d missed", s.First, s.Next, s.Rows(), s.Missed)
		}
		for _, info := range s.Segments {
			data, _, err := blobs.Get(t.Context(), info.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := segment.Open(info, data); err != nil {
				t.Error(err)
			}
		}
	}
	if st.Floor > m.Next || st.Next != end || st.Missed != 0 || st.Duplicates != 0 || st.Corrupt != 0 {
		t.Errorf("S3 ends at %d: %+v", m.Next, st)
	}
	slices.Sort(held)
	for i, seq := range held {
		if want := st.Floor*int64(perChunk) + int64(i); seq != want {
			t.Fatalf("event %d is held where %d was expected", seq, want)
		}
	}
	if want := (end - st.Floor) * int64(perChunk); int64(len(held)) != want {
		t.Errorf("%d events from offset %d on, expected %d", len(held), st.Floor, want)
	}
}

// localEvents are the sequences of all events that a retriever holds.
func localEvents(t *testing.T, re *Retriever) (held []int64) {
	t.Helper()
	for cursor := int64(0); ; {
		page, err := re.Holdings(t.Context(), cursor, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page.Held {
			held = append(held, int64(h.Event.ID.Seq))
		}
		if cursor = page.Cursor; page.Done {
			return held
		}
	}
}
