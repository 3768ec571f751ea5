package retriever

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
)

// drawLog fills a log: records of one to four events of a few datasets and hours, records that cannot be read, and a
// clock that mostly goes on, at times jumps, and once in a while is late. Duplicates come at most dedupSeals records after
// the first: no seal has less than a record, so they are within the window.
func drawLog(t *rapid.T, log *memLog, n int) {
	type earlier struct {
		record int
		value  []byte
		ids    []uint64
	}
	now, seq := int64(0), uint64(0)
	var recent []earlier
	for r := range n {
		now += rapid.SampledFrom([]int64{0, 0, 0, 0, 1, 1, 2, 7}).Draw(t, "seconds")
		at := now
		recent = slices.DeleteFunc(recent, func(e earlier) bool { return e.record < r-dedupSeals })
		switch rapid.IntRange(0, 19).Draw(t, "kind") {
		case 0:
			log.at(second(at), []byte("no chunk"))
			continue
		case 1, 2:
			if len(recent) > 0 {
				log.at(second(at), rapid.SampledFrom(recent).Draw(t, "again").value)
				continue
			}
		case 3:
			at -= rapid.Int64Range(0, 20).Draw(t, "early")
		}
		e := earlier{record: r}
		var events []event.Event
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			id := seq
			if len(recent) > 0 && rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
				id = rapid.SampledFrom(rapid.SampledFrom(recent).Draw(t, "of").ids).Draw(t, "id")
			} else {
				seq++
				e.ids = append(e.ids, id)
			}
			events = append(events, sampleEvent(1, id, rapid.SampledFrom([]int64{100, 4000, 9000}).Draw(t, "hour")))
		}
		e.value = event.AppendChunk(nil, event.Dataset{ID: rapid.Int64Range(1, 3).Draw(t, "dataset"), Name: "d"}, events)
		if len(e.ids) == len(events) { // what was sent before is not sent a third time
			recent = append(recent, e)
		}
		log.at(second(at), e.value)
	}
}

// reference is what an undisturbed retriever makes of a log: all of its seals.
func reference(t testing.TB, cfg Config, log *memLog) manifest.Manifest {
	cfg.Retention = 0
	h := newHand(t, cfg, log, newMemBlobs(), &memPeers{nodes: map[string]port.PeerServer{}}, 0)
	h.start()
	h.read(len(log.records))
	if err := h.keep(); err != nil {
		t.Fatal(err)
	}
	return stored(t, h.blobs)
}

// TestPairThroughAnything drives a pair through reads of any size, crashes of processes and machines, lost disks, failing
// snapshots and damage. Its seals are those of an undisturbed retriever, byte for byte; no row is lost or twice; the
// manifest never names what is not there.
func TestPairThroughAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := handConfig()
		cfg.MaxMemoryBytes = rapid.SampledFrom([]int64{1 << 20, 4000}).Draw(rt, "memory")
		log, blobs, peers := &memLog{}, newMemBlobs(), &memPeers{nodes: map[string]port.PeerServer{}}
		drawLog(rt, log, rapid.IntRange(5, 80).Draw(rt, "records"))
		want := reference(t, cfg, log)
		pair := []*hand{newHand(t, cfg, log, blobs, peers, 0), newHand(t, cfg, log, blobs, peers, 1)}
		for _, h := range pair {
			h.start()
		}
		for range rapid.IntRange(1, 40).Draw(rt, "actions") {
			h := pair[rapid.IntRange(0, 1).Draw(rt, "who")]
			switch rapid.SampledFrom([]string{"read", "read", "read", "sync", "keep", "keep", "kill", "power", "wipe", "errors", "damage"}).Draw(rt, "action") {
			case "read":
				h.read(rapid.IntRange(1, 20).Draw(rt, "n"))
			case "sync":
				h.sync()
			case "keep":
				_ = h.keep() // S3 may fail
			case "kill":
				h.crash(false, 0)
				h.start()
			case "power":
				h.crash(true, rapid.IntRange(0, 300).Draw(rt, "torn"))
				h.start()
			case "wipe":
				h.wipe()
				h.start()
			case "errors":
				blobs.errors = rapid.SampledFrom([]float64{0, 0.3, 0.6}).Draw(rt, "rate")
			case "damage":
				damageOne(rt, h)
			}
			if err := durableInS3(t, blobs); err != nil {
				rt.Fatalf("committed beyond what is durable: %v", err)
			}
			for _, h := range pair {
				if st, _ := h.re.Status(context.Background()); st.Committed > st.Durable && h.st.floor() < st.Committed && st.Durable < h.st.floor() {
					rt.Fatalf("%+v", st)
				}
			}
		}
		blobs.errors = 0
		for _, h := range pair {
			h.re.scrub(context.Background())
			h.read(len(log.records))
			for range 3 { // the first may find damage that only reading again mends
				_ = h.keep()
				h.read(len(log.records))
			}
			if err := h.keep(); err != nil {
				rt.Fatal(err)
			}
			h.sync()
		}
		got := stored(t, blobs)
		if !slices.EqualFunc(got.Seals, want.Seals, func(a, b manifest.Seal) bool { return a.Same(&b) && a.At == b.At }) {
			rt.Fatalf("other seals than an undisturbed one makes:\n%+v\n%+v", got.Seals, want.Seals)
		}
		for _, h := range pair {
			if rows := h.rows(); !slices.Equal(rows, expected(log)) {
				rt.Fatalf("%s:\n%v\n%v", h.place.Node, rows, expected(log))
			}
		}
		agree(rt, pair)
	})
}

// agree checks that both hold the same wherever both hold it.
func agree(t interface{ Fatalf(string, ...any) }, pair []*hand) {
	sums := map[[2]int64]Range{}
	for i, h := range pair {
		ranges, err := h.re.Ranges(context.Background())
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, r := range ranges {
			key := [2]int64{r.First, r.Next}
			if other, ok := sums[key]; ok && i == 1 && other != r {
				t.Fatalf("%+v and %+v", other, r)
			}
			sums[key] = r
		}
	}
}

// damageOne changes a byte of one sealed file, or cuts it short.
func damageOne(t *rapid.T, h *hand) {
	names, _ := h.disk.List(context.Background())
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, packSuffix) && !strings.HasSuffix(n, idsSuffix) })
	if len(names) == 0 {
		return
	}
	f := h.disk.files[rapid.SampledFrom(names).Draw(t, "file")]
	at := rapid.IntRange(0, max(len(f.data)-1, 0)).Draw(t, "at")
	if len(f.data) == 0 {
		return
	}
	if rapid.Bool().Draw(t, "cut") {
		f.data = f.data[:at]
		f.synced = min(f.synced, at)
	} else {
		f.data[at] ^= 0x20
	}
}

// TestTheManifestIsTheTruth: a retriever whose seals are others than those of the manifest says so and begins anew from it.
func TestTheManifestIsTheTruth(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.seconds(0, 8)
	a, b := s.pair[0], s.pair[1]
	b.cfg.SealEvery = 3 * time.Second // set up differently: this must not be
	a.start()
	b.start()
	a.read(20)
	b.read(20)
	if err := errors.Join(a.keep(), b.keep()); err != nil {
		t.Fatal(err)
	}
	if d := b.seen.of(port.EventSealsDisagree); len(d) != 1 || !strings.Contains(d[0], "offsets 0 to ") || len(a.seen.of(port.EventSealsDisagree)) != 0 {
		t.Errorf("%v, %v", d, a.seen.of(port.EventSealsDisagree))
	}
	b.read(20)
	for _, h := range s.pair {
		if err := s.complete(h); err != nil {
			t.Error(err)
		}
	}
}
