package retriever

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// opened is a store opened for a test, with what it announced.
type opened struct {
	*store
	seen *window
	told []string
}

func open(t testing.TB, disk *memDisk, limit int64) *opened {
	t.Helper()
	o := &opened{seen: newWindow(1000)}
	replay := func(f *frame) bool {
		if !f.holds() {
			return true
		}
		chunk, _, ok := f.chunk(nil)
		ids, err := event.ChunkIDs(nil, chunk)
		for _, id := range ids {
			o.seen.add(id)
		}
		return ok && err == nil && len(ids) == f.events
	}
	s, err := openStore(context.Background(), rt.NewWall(1), disk, 0, limit, tally{}, replay, func(kind, detail string) {
		o.told = append(o.told, kind+": "+detail)
	})
	if err != nil {
		t.Fatal(err)
	}
	o.store = s
	return o
}

// write appends records of one event each, with offsets from first on, and rolls files early.
func (o *opened) write(t testing.TB, first, n int64, rollAt int64) {
	t.Helper()
	o.rollAt = rollAt
	for i := first; i < first+n; i++ {
		o.put(&frame{kind: frameEvents, offset: i, events: 1, payload: chunk(1, uint64(i))})
		if err := o.flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func (o *opened) save(t testing.TB) {
	t.Helper()
	if err := o.sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// contents reads what is durable.
func (o *opened) contents(t testing.TB) []uint64 {
	t.Helper()
	var got []uint64
	for offset := int64(0); ; {
		records, _, more, err := o.records(context.Background(), offset, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			c, err := event.DecodeChunk(r.Chunk)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.Events {
				got = append(got, c.Events[i].ID.Seq)
			}
			offset = r.Offset + 1
		}
		if !more {
			return got
		}
	}
}

func upTo(n int64) []uint64 {
	var out []uint64
	for i := range n {
		out = append(out, uint64(i))
	}
	return out
}

func TestStoreRollsAndReopens(t *testing.T) {
	t.Parallel()
	disk := newMemDisk()
	o := open(t, disk, -1)
	o.write(t, 0, 50, 500)
	o.save(t)
	if len(disk.logs()) < 5 {
		t.Fatalf("%v", disk.logs())
	}
	for range 2 {
		o = open(t, disk, -1)
		if got := o.contents(t); !slices.Equal(got, upTo(50)) || o.durable.next != 50 || o.durable.held != 50 {
			t.Fatalf("%v, %+v", got, o.durable)
		}
		for i := range uint64(50) {
			if o.seen.add(event.ID{Source: 1, Seq: i}) {
				t.Errorf("event %d is not remembered", i)
			}
		}
	}
	o.write(t, 50, 5, 500)
	o.save(t)
	if got := open(t, disk, -1).contents(t); !slices.Equal(got, upTo(55)) {
		t.Errorf("%v", got)
	}
}

// TestTornEndIsCut crashes at every possible length of the unsynced end.
func TestTornEndIsCut(t *testing.T) {
	t.Parallel()
	for _, garbage := range []bool{false, true} {
		for torn := 0; ; torn++ {
			disk := newMemDisk()
			o := open(t, disk, -1)
			o.write(t, 0, 3, 1<<20)
			o.save(t)
			o.write(t, 3, 2, 1<<20)
			name := disk.logs()[0]
			if synced := disk.files[name].synced; synced+torn > len(disk.files[name].data) {
				break
			}
			disk.powerLoss(torn)
			if garbage && torn > 0 {
				disk.files[name].data[len(disk.files[name].data)-1] ^= 0x40
			}
			o = open(t, disk, -1)
			got := o.contents(t)
			if n := len(got); n < 3 || n > 5 || !slices.Equal(got, upTo(int64(n))) || o.durable.next != int64(n) {
				t.Fatalf("torn %d, garbage %v: %v, next %d", torn, garbage, got, o.durable.next)
			}
			if slices.ContainsFunc(o.told, func(s string) bool { return strings.HasPrefix(s, port.EventDiskCorrupt) }) {
				t.Fatalf("torn %d: a torn end was taken for damage: %v", torn, o.told)
			}
			o.write(t, o.durable.next, 5-o.durable.next, 1<<20)
			o.save(t)
			if got := open(t, disk, -1).contents(t); !slices.Equal(got, upTo(5)) {
				t.Fatalf("torn %d: after going on: %v", torn, got)
			}
		}
	}
}

// TestDamageIsSetAside flips a byte anywhere in what was durable: nothing damaged is served, and what is missing can be
// read from Kafka again.
func TestDamageIsSetAside(t *testing.T) {
	t.Parallel()
	clean := newMemDisk()
	o := open(t, clean, -1)
	o.write(t, 0, 12, 400)
	o.save(t)
	for _, name := range clean.logs() {
		for at := range clean.files[name].data {
			disk := newMemDisk()
			for n, f := range clean.files {
				disk.files[n] = &memFile{d: disk, data: slices.Clone(f.data), synced: f.synced}
			}
			disk.files[name].data[at] ^= 1
			o := open(t, disk, -1)
			got := o.contents(t)
			n := int64(len(got))
			if n >= 12 || !slices.Equal(got, upTo(n)) || o.durable.next != n {
				t.Fatalf("%s, byte %d: %v, next %d", name, at, got, o.durable.next)
			}
			last := name == clean.logs()[len(clean.logs())-1]
			if told := strings.Join(o.told, "\n"); !last && (!strings.Contains(told, port.EventDiskCorrupt+": "+name) || !strings.Contains(told, fmt.Sprintf("Kafka offset %d", n))) {
				t.Fatalf("%s, byte %d: %s", name, at, told)
			}
			// The damaged bytes are kept, unless nothing valid followed them: then they count as torn.
			if !last && disk.used() < clean.used()-fileHeader {
				t.Fatalf("%s, byte %d: bytes are gone: %d of %d", name, at, disk.used(), clean.used())
			}
			o.write(t, n, 12-n, 400)
			o.save(t)
			if got := open(t, disk, -1).contents(t); !slices.Equal(got, upTo(12)) {
				t.Fatalf("%s, byte %d: after going on: %v", name, at, got)
			}
		}
	}
}

func TestUnreadablePageIsDamage(t *testing.T) {
	t.Parallel()
	disk := newMemDisk()
	o := open(t, disk, -1)
	o.write(t, 0, 200, 1<<20)
	o.save(t)
	name := disk.logs()[0]
	disk.files[name].bad = map[int]bool{2: true}
	o = open(t, disk, -1)
	n := o.durable.next
	if n == 0 || n >= 200 || !slices.Equal(o.contents(t), upTo(n)) {
		t.Fatalf("next %d", n)
	}
	if told := strings.Join(o.told, "\n"); !strings.Contains(told, port.EventDiskCorrupt) {
		t.Error(told)
	}
}

func TestMissingFileIsDamage(t *testing.T) {
	t.Parallel()
	disk := newMemDisk()
	o := open(t, disk, -1)
	o.write(t, 0, 12, 400)
	o.save(t)
	delete(disk.files, disk.logs()[1])
	o = open(t, disk, -1)
	if got := o.contents(t); len(got) == 0 || len(got) >= 12 || !slices.Equal(got, upTo(int64(len(got)))) {
		t.Errorf("%v", got)
	}
}

// TestRollback: after a failed fsync, what was written since the last one is not believed, though it can be read.
func TestRollback(t *testing.T) {
	t.Parallel()
	for rollAt := int64(200); rollAt < 2000; rollAt += 90 {
		disk := newMemDisk()
		o := open(t, disk, -1)
		o.write(t, 0, 10, rollAt)
		o.save(t)
		limit := o.durable.end
		o.write(t, 10, 1, 1<<20)
		o = open(t, disk, limit)
		if got := o.contents(t); !slices.Equal(got, upTo(10)) || o.durable.end != limit {
			t.Fatalf("roll at %d: %v", rollAt, got)
		}
	}
}

// TestPageCacheIsSyncedBeforeItIsBelieved: a killed process leaves unsynced bytes that its successor can read.
func TestPageCacheIsSyncedBeforeItIsBelieved(t *testing.T) {
	t.Parallel()
	disk := newMemDisk()
	o := open(t, disk, -1)
	o.write(t, 0, 4, 1<<20)
	o = open(t, disk, -1)
	if got := o.contents(t); !slices.Equal(got, upTo(4)) {
		t.Fatalf("%v", got)
	}
	disk.powerLoss(0)
	if got := open(t, disk, -1).contents(t); !slices.Equal(got, upTo(4)) {
		t.Errorf("what was published as durable is gone: %v", got)
	}
}

// TestAnyCrashKeepsWhatWasDurable drives a store and a model of it through random writes, syncs, crashes and damage.
func TestAnyCrashKeepsWhatWasDurable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		disk := newMemDisk()
		o := open(t, disk, -1)
		durable := int64(0)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				o.write(t, o.staged.next, rapid.Int64Range(1, 6).Draw(rt, "records"), 300)
			case 2:
				o.save(t)
			case 3:
				// Nothing but the last file has an unsynced end.
				disk.powerLoss(rapid.IntRange(0, 400).Draw(rt, "torn"))
				o = open(t, disk, -1)
			}
			if next := o.published().next; next < durable {
				rt.Fatalf("went back from %d to %d", durable, next)
			}
			durable = o.published().next
			if got := o.contents(t); !slices.Equal(got, upTo(durable)) {
				rt.Fatalf("%v, want up to %d", got, durable)
			}
		}
	})
}

func TestWindowIsAFiniteSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		if rapid.Bool().Draw(t, "large") {
			limit += firstWindow
		}
		w := newWindow(limit)
		var order []event.ID
		n := rapid.IntRange(0, 3*limit).Draw(t, "adds")
		source := rapid.Uint64Range(1, 8).Draw(t, "spread")
		seed := rapid.Uint64().Draw(t, "seed")
		for range n {
			seed = seed*6364136223846793005 + 1442695040888963407
			id := event.ID{Source: seed >> 33 % source, Seq: seed >> 40 % uint64(2*limit)}
			known := slices.Contains(order, id)
			if fresh := w.add(id); fresh == known {
				t.Fatalf("add(%v) says fresh %v", id, fresh)
			}
			if !known {
				order = append(order, id)
				if len(order) > limit {
					order = order[1:]
				}
			}
		}
	})
}

// FuzzRetrieverLog opens whatever bytes as the log's files: it never fails, never serves what is not valid, and can be
// written to afterwards.
func FuzzRetrieverLog(f *testing.F) {
	disk := newMemDisk()
	o := open(f, disk, -1)
	o.write(f, 0, 4, 120)
	o.save(f)
	names := disk.logs()
	f.Add(disk.files[names[0]].data, disk.files[names[1]].data)
	f.Add(disk.files[names[0]].data, []byte{})
	f.Add([]byte{}, disk.files[names[0]].data)
	f.Add(appendFrame(appendFileHeader(nil, 0, 0), &frame{kind: frameMissed, offset: 1 << 40, payload: []byte{255, 255, 255, 255, 255, 255, 255, 127}}), []byte("Rf"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		disk := newMemDisk()
		disk.files[fileName(0)] = &memFile{d: disk, data: first, synced: len(first)}
		if len(second) > 0 {
			start := max(int64(len(first))-fileHeader, 1)
			disk.files[fileName(start)] = &memFile{d: disk, data: second, synced: len(second)}
		}
		o := open(t, disk, -1)
		before := len(o.contents(t))
		o.write(t, o.staged.next, 2, 300)
		o.save(t)
		if after := len(open(t, disk, -1).contents(t)); after != before+2 {
			t.Fatalf("%d events, then two more, then %d", before, after)
		}
	})
}
