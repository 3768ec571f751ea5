package retriever

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// ask counts the rows of datasets by service, as a query node asks for them.
func ask(t testing.TB, h *hand, datasets ...int64) (AskReply, float64, error) {
	t.Helper()
	q, err := spec.Parse([]byte(`{"calculations":[{"op":"COUNT"}],"start_time":0,"end_time":86400}`), time.Unix(86400, 0))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := h.peers.Call(context.Background(), h.place.Node, serviceQuery, EncodeAsk(AskRequest{Datasets: datasets, Query: spec.Encode(q)}))
	if err != nil {
		return AskReply{}, 0, err
	}
	a, err := DecodeAskReply(reply)
	if err != nil {
		t.Fatal(err)
	}
	p, err := exec.Decode(a.Partial, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Finish(q)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Rows) == 0 {
		return a, 0, nil
	}
	return a, res.Rows[0].Values[0].Value.Float(), nil
}

func TestAskSeesEverythingOnce(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	h := s.pair[0]
	for at := range int64(10) {
		s.log.at(second(at), sample(1+at%2, 1, uint64(at), 100))
	}
	h.start()
	if _, _, err := ask(t, h, 1); err == nil || !strings.Contains(err.Error(), ErrStale.Error()) {
		t.Errorf("it does not know yet that it has everything: %v", err)
	}
	h.read(4)
	if _, _, err := ask(t, h, 1); err == nil {
		t.Error("it has not read everything")
	}
	h.read(10) // sealed up to the ninth second; the last is not even written
	for range 2 {
		for _, c := range []struct {
			datasets []int64
			want     float64
		}{{[]int64{1}, 5}, {[]int64{2}, 5}, {[]int64{1, 2}, 10}, {nil, 0}, {[]int64{7}, 0}} {
			a, n, err := ask(t, h, c.datasets...)
			if err != nil || n != c.want || a.Floor != 0 || a.Next != 10 || len(a.Damaged) > 0 {
				t.Errorf("%v: %v, %v of %v, %+v", c.datasets, err, n, c.want, a)
			}
		}
	}
	if err := h.keep(); err != nil {
		t.Fatal(err)
	}
	a, n, err := ask(t, h, 1, 2)
	if err != nil || n != 4 || a.Floor != 6 || a.Committed != 9 || a.Generation != 2 {
		t.Errorf("%v, %v, %+v", err, n, a)
	}
	h.re.r.(*handRuntime).slept += staleAfter + 1
	if _, _, err := ask(t, h, 1); err == nil {
		t.Error("it was cut off for long")
	}
}

func TestDamageIsNamedAndRepaired(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"retriever2", "S3", "Kafka"} {
		s := newStory(t)
		s.seconds(0, 6)
		for _, h := range s.pair {
			h.start()
			h.read(10)
		}
		h := s.pair[0]
		if from == "S3" {
			if err := h.keep(); err != nil {
				t.Fatal(err)
			}
		}
		if from != "retriever2" {
			s.pair[1].crash(false, 0)
		}
		var pack string
		for i := range h.st.index.seals {
			if h.st.index.seals[i].First == 4 {
				pack = h.st.index.seals[i].pack
			}
		}
		h.disk.files[pack].data[100] ^= 1
		a, n, err := ask(t, h, 1)
		rows := float64(a.Next - a.Floor)
		if err != nil || n != rows-1 || len(a.Damaged) != 1 || !strings.HasPrefix(a.Damaged[0], "segments/0/4-5/1-0-") {
			t.Fatalf("%s: %v, %v of %v, %+v", from, err, n, rows, a)
		}
		if ranges, err := h.re.Ranges(context.Background()); err != nil || slices.ContainsFunc(ranges, func(r Range) bool { return r.First == 4 }) {
			t.Errorf("%s: %v %+v", from, err, ranges)
		}
		h.re.repair(context.Background(), h.st)
		a, n, err = ask(t, h, 1)
		if err != nil || n != rows || len(a.Damaged) != 0 {
			t.Fatalf("%s: after the repair: %v, %v, %+v %v", from, err, n, a, h.seen.of(port.EventSnapshotFailed))
		}
		if d := h.seen.of(port.EventSegmentRepaired); len(d) != 1 || !strings.HasSuffix(d[0], "from "+from) {
			t.Errorf("%s: %v", from, d)
		}
		if d := h.seen.of(port.EventSegmentDamaged); len(d) != 1 || !strings.Contains(d[0], "segments/0/4-5/1-0-") {
			t.Errorf("%s: %v", from, d)
		}
		if st, _ := h.re.Status(context.Background()); st.Repaired != 1 {
			t.Errorf("%+v", st)
		}
		h.crash(true, 0)
		h.start()
		h.re.scrub(context.Background())
		if len(h.re.damaged) > 0 {
			t.Errorf("%s: damaged again: %v", from, h.re.damaged)
		}
	}
}

func TestDamagedIndexBeginsFromTheSnapshot(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	h := s.pair[0]
	s.seconds(0, 6)
	h.start()
	h.read(10)
	if err := h.keep(); err != nil {
		t.Fatal(err)
	}
	s.seconds(6, 9)
	h.read(10)
	h.crash(false, 0)
	h.disk.files[indexFile].data[9] ^= 1
	h.start()
	h.read(10)
	if err := s.complete(h); err != nil {
		t.Error(err)
	}
	if d := h.seen.of(port.EventBootstrapped); len(d) != 2 || !strings.Contains(d[1], "offset 5") || len(h.seen.of(port.EventDiskCorrupt)) == 0 {
		t.Errorf("%v", d)
	}
}

func TestDamagedManifestIsMended(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"itself", "its peer", "nobody"} {
		s := newStory(t)
		s.seconds(0, 6)
		for _, h := range s.pair {
			h.start()
			h.read(10)
			if err := h.keep(); err != nil {
				t.Fatal(err)
			}
		}
		before := stored(t, s.blobs)
		s.blobs.objects[manifest.Key(0)][7] ^= 1
		h := s.pair[0]
		if who == "nobody" {
			s.pair[1].crash(false, 0)
		}
		if who != "itself" {
			h.wipe()
			h.start()
			h.read(10)
		}
		if err := h.keep(); err != nil {
			t.Fatal(who, err)
		}
		after := stored(t, s.blobs)
		if after.Next != before.Next || who != "nobody" && after.Generation <= before.Generation {
			t.Errorf("%s: %+v, before %+v", who, after, before)
		}
		if err := s.complete(h); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
}

func TestReadingWaitsForLocalSpace(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SealEvery, g.cfg.MaxLocalBytes = time.Second, 5000
	g.blobs.change(func() { g.blobs.away = true })
	g.start() // it cannot even begin without knowing the manifest
	eventually(t, "told", func() bool { return len(g.seen.of(port.EventSnapshotFailed)) > 0 })
	g.blobs.change(func() { g.blobs.away = false })
	eventually(t, "begun", func() bool { return len(g.seen.of(port.EventBootstrapped)) == 1 })
	g.blobs.change(func() { g.blobs.away = true })
	for at := range int64(60) {
		g.log.at(second(at), sample(1, 1, uint64(at), 100))
	}
	eventually(t, "it waits", func() bool { return len(g.seen.of(port.EventDiskFull)) == 1 })
	if st := g.status(); st.Next > 20 || st.Committed != 0 {
		t.Errorf("%+v", st)
	}
	g.blobs.change(func() { g.blobs.away = false })
	g.caughtUp()
	eventually(t, "it lets go what S3 has", func() bool { return g.status().LocalBytes < 5000 })
	if rows := archived(t, g.blobs, g.status().Floor); len(rows)+len(g.held(100)) != 60 {
		t.Errorf("%d and %d rows", len(rows), len(g.held(100)))
	}
}

func TestRetentionDropsFromTheManifestFirst(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	h := s.pair[0]
	h.cfg.KeepLocal, h.cfg.Retention = time.Second, 8*time.Second
	h.start()
	for at := int64(0); at < 30; at++ {
		s.seconds(at, at+1)
		h.read(10)
		before := stored(t, s.blobs)
		if err := h.keep(); err != nil {
			t.Fatal(err)
		}
		now := stored(t, s.blobs)
		for _, m := range []manifest.Manifest{before, now} {
			for i := range m.Seals {
				for _, seg := range m.Seals[i].Segments {
					if s.blobs.objects[seg.Key] == nil {
						t.Fatalf("second %d: %s is gone, which generation %d names", at, seg.Key, m.Generation)
					}
				}
			}
		}
	}
	m := stored(t, s.blobs)
	if len(m.Seals) != 9 || m.Next != 29 {
		t.Errorf("%d seals up to %d", len(m.Seals), m.Next)
	}
	if keys := s.blobs.keys(); len(keys) > 2*len(m.Seals)+3 {
		t.Errorf("%d objects of %d seals: %v", len(keys), len(m.Seals), keys)
	}
}

func TestWrongClockDoesNotEndSealing(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.seconds(0, 3)
	s.log.at(second(1<<32), sample(1, 2, 0, 100)) // a record from the far future
	for i := range uint64(backRecords + 10) {
		s.log.at(second(4), sample(1, 3, i, 100))
	}
	s.log.at(second(5), sample(1, 4, 0, 100))
	h := s.pair[0]
	h.start()
	h.read(2000)
	if seals := h.st.index.seals; len(seals) != 5 || seals[4].Next != int64(len(s.log.records)-1) {
		t.Errorf("%+v", seals)
	}
	o := s.pair[1]
	o.start()
	for range 2000 {
		o.read(1)
	}
	agree(t, s.pair)
}

func TestLargeSegmentsGoInParts(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	h := s.pair[0]
	h.start()
	data := bytes.Repeat([]byte("0123456789abcdef"), multipartFrom/16+100)
	for _, errs := range []func(op, _ string) error{nil, func(op, _ string) error {
		if op == "part" {
			return port.ErrUnknown
		}
		return nil
	}} {
		s.blobs.fail = errs
		key := fmt.Sprint("segments/0/large", errs == nil)
		err := h.re.put(context.Background(), key, int64(len(data)), func() ([]byte, error) { return data, nil })
		if (err == nil) != (errs == nil) || errs == nil && !bytes.Equal(s.blobs.objects[key], data) || len(s.blobs.uploads) != 0 {
			t.Errorf("%v, %d bytes, %d uploads", err, len(s.blobs.objects[key]), len(s.blobs.uploads))
		}
	}
}

// TestAskWithoutRoom: a retriever that has no room for a query says so, and has it again when others have ended.
func TestAskWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	h := s.pair[0]
	for at := range int64(4) {
		s.log.at(second(at), sample(1, 1, uint64(at), 100))
	}
	h.start()
	h.read(4)
	large := h.re.room
	h.re.room = exec.NewRoom(100)
	if _, _, err := ask(t, h, 1); err == nil || !strings.Contains(err.Error(), "all of the memory") || h.re.room.Used() != 0 {
		t.Errorf("%v, %d bytes in use", err, h.re.room.Used())
	}
	h.re.room = large
	if _, _, err := ask(t, h, 1); err != nil || large.Used() != 0 {
		t.Errorf("%v, %d bytes in use", err, large.Used())
	}
}

func TestUnknownServices(t *testing.T) {
	t.Parallel()
	h := newStory(t).pair[0]
	h.start()
	for _, c := range []struct{ service, request, want string }{{"dance", "", "query"}, {serviceQuery, "x", "RAQ1"}, {serviceSegment, "nope", "not here"}} {
		if _, err := h.re.ServePeer(context.Background(), c.service, []byte(c.request)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAskEncoding(t *testing.T) {
	t.Parallel()
	q := AskRequest{Datasets: []int64{1, math.MinInt64}, Query: []byte("query")}
	if got, err := DecodeAsk(EncodeAsk(q)); err != nil || fmt.Sprint(got) != fmt.Sprint(q) {
		t.Errorf("%v %+v", err, got)
	}
	a := AskReply{1, 2, 3, 4, 8, 6, []byte("partial"), 5, 6, 7, []string{"a", ""}}
	data := EncodeAskReply(a)
	if got, err := DecodeAskReply(data); err != nil || fmt.Sprint(got) != fmt.Sprint(a) {
		t.Errorf("%v %+v", err, got)
	}
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 8
		if _, err := DecodeAskReply(bad); !errors.Is(err, port.ErrCorrupt) {
			t.Errorf("a change of byte %d: %v", i, err)
		}
	}
}

// sealed gives what a fuzzer made a checksum that fits.
func sealed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := slices.Clone(b[:len(b)-4])
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

func FuzzAsk(f *testing.F) {
	f.Add(EncodeAsk(AskRequest{Datasets: []int64{1}, Query: []byte("q")}))
	f.Add(EncodeAskReply(AskReply{Damaged: []string{"x"}, Partial: []byte("p")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, data := range [][]byte{b, sealed(b)} {
			if q, err := DecodeAsk(data); err == nil {
				if again, err := DecodeAsk(EncodeAsk(q)); err != nil || fmt.Sprint(q) != fmt.Sprint(again) {
					t.Fatal(err, q, again)
				}
			}
			if a, err := DecodeAskReply(data); err == nil {
				if again, err := DecodeAskReply(EncodeAskReply(a)); err != nil || fmt.Sprint(a) != fmt.Sprint(again) {
					t.Fatal(err, a, again)
				}
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	x := &index{wal: 5, sealedAt: 6, base: tally{next: 9}, window: []idsFile{{"f", "k", 3}}, seals: []localSeal{{
		Seal: manifest.Seal{First: 3, Next: 9}, pack: "p", datasets: []event.Dataset{{ID: 1, Name: "d"}}}}}
	f.Add(x.encode(0))
	f.Add([]byte(indexMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, data := range [][]byte{b, sealed(b)} {
			x, err := decodeIndex(data, 0)
			if err != nil {
				continue
			}
			if again, err := decodeIndex(x.encode(0), 0); err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", x) {
				t.Fatalf("%v\n%+v\n%+v", err, again, x)
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	f.Add(encodeIDs([]event.ID{{Source: 1, Seq: 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, data := range [][]byte{b, sealed(b)} {
			if ids, err := decodeIDs(data); err == nil && !bytes.Equal(encodeIDs(ids), data) {
				t.Fatal(ids)
			}
		}
	})
}
