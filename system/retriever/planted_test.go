package retriever

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// Each planted bug has a story here that ends well without it, and does not with it.

type story struct {
	log   *memLog
	blobs *memBlobs
	peers *memPeers
	pair  []*hand
}

func newStory(t testing.TB, bugs ...string) *story {
	t.Helper()
	s := &story{log: &memLog{}, blobs: newMemBlobs(), peers: &memPeers{nodes: map[string]port.PeerServer{}}}
	for r := range 2 {
		s.pair = append(s.pair, newHand(t, handConfig(), s.log, s.blobs, s.peers, r, bugs...))
	}
	return s
}

// seconds adds one record of one event for each second.
func (s *story) seconds(from, to int64) {
	for at := from; at < to; at++ {
		s.log.at(second(at), sample(1, 1, uint64(at), 100))
	}
}

// complete says what a query over one of them, with S3 for what is older, gets wrong.
func (s *story) complete(h *hand) error {
	h.sync()
	if got, want := h.rows(), expected(s.log); !slices.Equal(got, want) {
		return fmt.Errorf("%d rows, want %d: %v", len(got), len(want), got)
	}
	return nil
}

// twice runs a story without the bug and with it.
func twice(t *testing.T, bug string, tell func(t *testing.T, s *story) error) {
	t.Helper()
	if err := tell(t, newStory(t)); err != nil {
		t.Errorf("without the bug: %v", err)
	}
	if err := tell(t, newStory(t, bug)); err == nil {
		t.Errorf("the bug %s shows nowhere", bug)
	} else {
		t.Logf("%s: %v", bug, err)
	}
}

func TestAutoCommitEarlyLoses(t *testing.T) {
	t.Parallel()
	twice(t, planted.AutoCommitEarly, func(_ *testing.T, s *story) error {
		h := s.pair[0]
		s.seconds(0, 5)
		h.start()
		h.read(3)
		h.crash(false, 0)
		h.start()
		h.read(10)
		return s.complete(h)
	})
}

func TestCommitBeforeDurableLoses(t *testing.T) {
	t.Parallel()
	twice(t, planted.CommitBeforeDurable, func(t *testing.T, s *story) error {
		h := s.pair[0]
		s.seconds(0, 5)
		h.start()
		h.read(10)
		s.blobs.fail = func(op, key string) error {
			if op == "put" && strings.HasSuffix(key, ".parquet") {
				return port.ErrRefused
			}
			return nil
		}
		_ = h.keep()
		s.blobs.fail = nil
		if err := durableInS3(t, s.blobs); err != nil {
			return err
		}
		h.wipe()
		h.start()
		h.read(10)
		return s.complete(h)
	})
}

func TestManifestBeforeDataPointsAtNothing(t *testing.T) {
	t.Parallel()
	twice(t, planted.ManifestBeforeData, func(t *testing.T, s *story) error {
		h := s.pair[0]
		s.seconds(0, 5)
		h.start()
		h.read(10)
		s.blobs.fail = func(op, key string) error {
			if op == "put" && strings.HasSuffix(key, ".parquet") {
				return port.ErrRefused
			}
			return nil
		}
		if h.keep() == nil {
			return errors.New("a failed upload is not told")
		}
		return durableInS3(t, s.blobs)
	})
}

func TestNoDedupIndexesTwice(t *testing.T) {
	t.Parallel()
	twice(t, planted.NoDedup, func(_ *testing.T, s *story) error {
		h := s.pair[0]
		s.seconds(0, 5)
		h.start()
		h.read(10)
		h.sync()
		h.crash(false, 0)
		h.start()
		h.read(10)
		return s.complete(h)
	})
}

func TestTwoSnapshotWritersGoBack(t *testing.T) {
	t.Parallel()
	twice(t, planted.TwoSnapshotWriters, func(t *testing.T, s *story) error {
		s.seconds(0, 20)
		a, b := s.pair[0], s.pair[1]
		a.start()
		b.start()
		a.read(4)
		b.read(4)
		if err := a.keep(); err != nil {
			return err
		}
		if err := b.keep(); err != nil {
			return err
		}
		a.read(20)
		if err := a.keep(); err != nil {
			return err
		}
		before := stored(t, s.blobs)
		b.read(2) // it lags
		if err := b.keep(); err != nil {
			return err
		}
		if now := stored(t, s.blobs); now.Next < before.Next {
			return fmt.Errorf("the manifest went back from offset %d to %d", before.Next, now.Next)
		}
		return s.complete(a)
	})
}

func TestRetentionTooEagerDeletesWhatIsNamed(t *testing.T) {
	t.Parallel()
	twice(t, planted.RetentionTooEager, func(t *testing.T, s *story) error {
		h := s.pair[0]
		h.start()
		for at := int64(0); at < 20; at += 5 {
			s.seconds(at, at+5)
			h.read(10)
			if err := h.keep(); err != nil {
				return err
			}
		}
		if err := durableInS3(t, s.blobs); err != nil {
			return err
		}
		return s.complete(h)
	})
}

func TestBootstrapFromPeerAloneLoses(t *testing.T) {
	t.Parallel()
	twice(t, planted.BootstrapFromPeer, func(_ *testing.T, s *story) error {
		s.seconds(0, 10)
		for _, h := range s.pair {
			h.start()
			h.read(10)
		}
		if err := s.pair[0].keep(); err != nil {
			return err
		}
		s.pair[0].wipe()
		s.pair[1].wipe() // both at once: nobody to copy from
		s.seconds(10, 12)
		s.pair[0].start()
		s.seconds(12, 15)
		s.pair[0].read(20)
		return s.complete(s.pair[0])
	})
}

// TestNeverTwoInOneZone: the second of a pair that is put into the zone of the first never claims the partition.
func TestNeverTwoInOneZone(t *testing.T) {
	t.Parallel()
	for _, bug := range []bool{false, true} {
		g := newRig(t)
		g.log.add(chunk(1, 0))
		g.start()
		g.caughtUp()
		o := g.other()
		o.place.Zone = g.place.Zone
		if bug {
			o.bugs, _ = planted.Parse(planted.SameZonePair)
		}
		o.start()
		if bug {
			eventually(t, "both claim", func() bool { return o.status().Claimed && g.status().Claimed })
			continue
		}
		eventually(t, "the second looks", func() bool { g.zk.mu.Lock(); defer g.zk.mu.Unlock(); return g.zk.sessions == 2 })
		if o.status().Claimed || o.status().Next != 0 {
			t.Errorf("%+v", o.status())
		}
		g.stop()
		eventually(t, "it takes over", func() bool { return o.status().Durable == 1 })
	}
}

// TestPairRuns lets both run by themselves: they seal, snapshot in turns, age, and agree.
func TestPairRuns(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SealEvery, g.cfg.KeepLocal = time.Second, 3*time.Second
	for at := range int64(20) {
		g.log.at(second(at), sample(1+at%2, 1, uint64(at), 100))
	}
	o := g.other()
	g.start()
	o.start()
	for _, h := range []*rig{g, o} {
		h.caughtUp()
		eventually(t, "snapshots reach the last seal, and old ones are let go", func() bool {
			st := h.status()
			return st.Committed == 19 && st.Floor == 16
		})
	}
	for range 2 {
		a, err := g.re.Ranges(context.Background())
		b, err2 := o.re.Ranges(context.Background())
		if err != nil || err2 != nil || len(a) != 4 || !slices.Equal(a, b) {
			t.Fatalf("%v %v\n%+v\n%+v", err, err2, a, b)
		}
		if got := seqs(g.held(2)); !slices.Equal(got, []uint64{16, 17, 18, 19}) {
			t.Errorf("%v", got)
		}
		if held := g.held(3)[0]; held.Dataset.Name != "data1" || held.Dataset.ID != 1 || len(held.Event.Fields) != 2 {
			t.Errorf("%+v", held)
		}
		g.stop()
		g.start()
		g.caughtUp()
	}
	if n := g.blobs.puts[manifest.Key(0)]; n == 0 || len(slices.Concat(g.seen.of(port.EventSegmentAged), o.seen.of(port.EventSegmentAged))) < 2 {
		t.Errorf("%d manifests", n)
	}
	for key, n := range g.blobs.puts {
		if n > 2 && key != manifest.Key(0) {
			t.Errorf("%s was put %d times", key, n)
		}
	}
}
