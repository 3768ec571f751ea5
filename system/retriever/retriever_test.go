package retriever

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

const claimPath = "/ratel/claims/events/0/a"

func TestFollowsAndHoldsDurably(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0, 1, 2), chunk(1, 3), chunk(2, 4, 5))
	g.start()
	g.caughtUp()
	for limit := range 8 {
		held := g.held(limit)
		if !slices.Equal(seqs(held), []uint64{0, 1, 2, 3, 4, 5}) {
			t.Fatalf("limit %d: %v", limit, seqs(held))
		}
		if held[3].Offset != 1 || held[5].Offset != 2 || held[0].Dataset.Name != "data" {
			t.Errorf("%+v", held)
		}
	}
	want := Status{Partition: 0, Zone: "a", Claimed: true, Next: 3, Durable: 3, Open: 6, HighWater: 3, Held: 6}
	st := g.status()
	if st.LocalBytes == 0 || st.MemBytes == 0 {
		t.Errorf("%+v", st)
	}
	if st.LocalBytes, st.MemBytes = 0, 0; st != want {
		t.Errorf("%+v, want %+v", st, want)
	}
	g.stop()
	if owner, _ := g.zk.owner(claimPath); owner != "" {
		t.Errorf("the claim was not given back: %s", owner)
	}
}

func TestHoldingsAreOnlyWhatIsDurable(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SyncEvery = time.Hour
	g.log.add(chunk(1, 0, 1))
	g.start()
	eventually(t, "read", func() bool { return g.status().Next == 1 })
	if st := g.status(); st.Durable != 0 || st.Held != 0 || len(g.held(10)) != 0 {
		t.Errorf("claims what is not synced: %+v, %v", st, g.held(10))
	}
	g.stop() // a clean end makes it durable
	if st := g.status(); st.Durable != 1 || len(g.held(10)) != 2 {
		t.Errorf("%+v", st)
	}
}

func TestSyncsWhileTheLogHangs(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SyncEvery = 30 * time.Millisecond
	g.log.add(chunk(1, 0))
	g.start()
	eventually(t, "read", func() bool { return g.status().Next == 1 })
	g.log.mu.Lock()
	g.log.stall = true
	g.log.mu.Unlock()
	eventually(t, "synced", func() bool { return g.status().Durable == 1 })
}

func TestDropsDuplicates(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0, 1, 2), chunk(1, 0, 1, 2), chunk(1, 2, 3, 3), chunk(2, 0))
	g.start()
	g.caughtUp()
	if got := seqs(g.held(100)); !slices.Equal(got, []uint64{0, 1, 2, 3, 0}) {
		t.Errorf("%v", got)
	}
	if st := g.status(); st.Duplicates != 5 || st.Held != 5 {
		t.Errorf("%+v", st)
	}
	// Also after a restart, from what is on disk.
	g.stop()
	g.log.add(chunk(1, 1, 9))
	g.start()
	g.caughtUp()
	if got := seqs(g.held(100)); !slices.Equal(got, []uint64{0, 1, 2, 3, 0, 9}) || g.status().Duplicates != 6 {
		t.Errorf("%v, %+v", got, g.status())
	}
}

func TestUnreadableRecordsAreKeptAside(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0), []byte("not a chunk"), nil, chunk(1, 1))
	g.start()
	g.caughtUp()
	if got := seqs(g.held(1)); !slices.Equal(got, []uint64{0, 1}) || g.status().Corrupt != 2 {
		t.Errorf("%v, %+v", got, g.status())
	}
	if told := g.seen.of(port.EventRecordSkipped); len(told) != 2 || !strings.HasPrefix(told[0], "offset 1: ") {
		t.Errorf("announced %q", told)
	}
	if !strings.Contains(string(g.disk.files[g.disk.logs()[0]].data), "not a chunk") {
		t.Error("its bytes were not kept")
	}
}

// TestPoisonRecord: with the bug, the partition is followed no further than to the first record that cannot be decoded, and
// how far behind that leaves it is known.
func TestPoisonRecord(t *testing.T) {
	t.Parallel()
	bugs, err := planted.Parse(planted.PoisonRecord)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t)
	g.bugs = bugs
	g.log.add(chunk(1, 0), []byte("not a chunk"), chunk(1, 1))
	g.start()
	eventually(t, "it is read to the poison and tried again", func() bool {
		g.log.mu.Lock()
		fetches := g.log.fetches
		g.log.mu.Unlock()
		st := g.status()
		return st.Durable == 1 && st.HighWater == 3 && fetches > 2
	})
	if got := seqs(g.held(1)); !slices.Equal(got, []uint64{0}) {
		t.Errorf("held %v", got)
	}
}

func TestClaimIsWaitedFor(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.start()
	eventually(t, "claimed", func() bool { return g.status().Claimed })
	_, session := g.zk.owner(claimPath)
	g.kill()
	// The next incarnation must not follow before the session of the first has expired.
	g.log.add(chunk(1, 0))
	g.start()
	eventually(t, "the second one looks", func() bool { g.zk.mu.Lock(); defer g.zk.mu.Unlock(); return g.zk.sessions == 2 })
	if st := g.status(); st.Claimed || st.Next != 0 {
		t.Errorf("%+v", st)
	}
	g.zk.expire(session)
	g.caughtUp()
	if !g.status().Claimed || len(g.seen.of(port.EventClaimed)) != 2 {
		t.Errorf("%+v, %v", g.status(), g.seen.of(port.EventClaimed))
	}
}

func TestClaimIsTakenAgainAfterExpiry(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.start()
	eventually(t, "claimed", func() bool { return g.status().Claimed })
	_, session := g.zk.owner(claimPath)
	g.zk.expire(session)
	eventually(t, "claimed again", func() bool { return len(g.seen.of(port.EventClaimed)) == 2 && g.status().Claimed })
	if len(g.seen.of(port.EventClaimLost)) != 1 {
		t.Errorf("%v", g.seen.of(port.EventClaimLost))
	}
}

func TestLostCreateAnswerIsFoundAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.zk.loseNext = true
	g.start()
	eventually(t, "claimed", func() bool { return g.status().Claimed })
	if len(g.seen.of(port.EventClaimed)) != 1 {
		t.Errorf("%v", g.seen.of(port.EventClaimed))
	}
}

func TestStopsForAnotherOwner(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.start()
	eventually(t, "claimed", func() bool { return g.status().Claimed })
	g.zk.mu.Lock()
	n := g.zk.nodes[claimPath]
	n.data, n.stat.EphemeralOwner = []byte("somebody else"), 99
	watches := n.watches
	n.watches = nil
	g.zk.mu.Unlock()
	for _, w := range watches {
		w.Complete(port.WatchEvent{}, nil)
	}
	eventually(t, "lost", func() bool { return len(g.seen.of(port.EventClaimLost)) == 1 })
	eventually(t, "the follower has stopped", func() bool {
		g.log.mu.Lock()
		before := g.log.fetches
		g.log.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		g.log.mu.Lock()
		defer g.log.mu.Unlock()
		return g.log.fetches == before
	})
	g.log.add(chunk(1, 0))
	if g.status().Claimed {
		t.Error("says it holds the claim")
	}
	g.zk.expire(99)
	g.caughtUp()
}

func TestExpiredRecordsAreCountedNotSkipped(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0))
	g.start()
	g.caughtUp()
	g.stop()
	g.log.mu.Lock()
	g.log.records, g.log.start = nil, 5
	g.log.mu.Unlock()
	g.log.add(chunk(1, 9))
	g.start()
	g.caughtUp()
	if st := g.status(); st.Missed != 4 || st.Next != 6 || st.Held != 2 {
		t.Errorf("%+v", st)
	}
	if d := g.seen.of(port.EventOffsetReset); len(d) != 1 || !strings.Contains(d[0], "4 records from offset 1") {
		t.Errorf("%v", d)
	}
	g.stop()
	g.start()
	eventually(t, "recovered", func() bool { return g.status().Durable == 6 })
	if st := g.status(); st.Missed != 4 {
		t.Errorf("forgotten by a restart: %+v", st)
	}
}

func TestTruncatedLogIsReadAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0), chunk(1, 1), chunk(1, 2))
	g.start()
	g.caughtUp()
	g.log.mu.Lock()
	g.log.records = g.log.records[:1]
	g.log.mu.Unlock()
	g.log.add(chunk(1, 7)) // at offset 1: below what the retriever asks for
	eventually(t, "reset", func() bool { return len(g.seen.of(port.EventOffsetReset)) == 1 })
	g.caughtUp()
	if got := seqs(g.held(10)); !slices.Equal(got, []uint64{0, 7}) {
		t.Errorf("%v", got)
	}
}

func TestDiskFullLosesNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0))
	g.start()
	g.caughtUp()
	g.disk.mu.Lock()
	g.disk.capacity = g.disk.used() + 20
	g.disk.mu.Unlock()
	g.log.add(chunk(1, 1), chunk(1, 2))
	eventually(t, "full", func() bool { return len(g.seen.of(port.EventDiskFull)) == 1 })
	g.log.add(chunk(1, 3))
	if got := seqs(g.held(10)); !slices.Equal(got, []uint64{0}) {
		t.Errorf("%v", got)
	}
	g.disk.setCapacity(0)
	g.caughtUp()
	if got := seqs(g.held(10)); !slices.Equal(got, []uint64{0, 1, 2, 3}) {
		t.Errorf("%v", got)
	}
	g.stop()
	g.start()
	g.caughtUp()
	if got := seqs(g.held(10)); !slices.Equal(got, []uint64{0, 1, 2, 3}) {
		t.Errorf("after a restart: %v", got)
	}
}

func TestFailedSyncGoesBackToWhatIsDurable(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0))
	g.start()
	g.caughtUp()
	g.disk.mu.Lock()
	g.disk.syncErr = errors.New("input/output error")
	g.disk.mu.Unlock()
	g.log.add(chunk(1, 1), chunk(1, 2))
	g.caughtUp()
	if d := g.seen.of(port.EventDiskCorrupt); len(d) != 1 || !strings.Contains(d[0], "input/output error") {
		t.Errorf("%v", d)
	}
	if got := seqs(g.held(10)); !slices.Equal(got, []uint64{0, 1, 2}) {
		t.Errorf("%v", got)
	}
}

func TestFailedSyncAtTheEndIsTold(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SyncEvery = time.Hour
	g.log.add(chunk(1, 0))
	g.start()
	eventually(t, "read", func() bool { return g.status().Next == 1 })
	g.disk.mu.Lock()
	g.disk.syncErr = errors.New("input/output error")
	g.disk.mu.Unlock()
	g.cancel()
	if err := <-g.ran; err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("%v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := New(nil, port.Ports{}, Config{}, Place{Topic: "events", Partition: -1, Node: "a/b"}, planted.Set{})
	for _, what := range []string{"sync_every", "dedup_window", "session_timeout", "seal_every", "snapshot_every", "max_local_bytes", "max_memory_bytes", "partition", "node", "zone"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not name %s: %v", what, err)
		}
	}
}

func TestBadCursors(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0), chunk(1, 1))
	g.start()
	g.caughtUp()
	for _, cursor := range []int64{-1, 1 << 40} {
		if _, err := g.re.Holdings(context.Background(), cursor, 10); err == nil {
			t.Errorf("cursor %d was taken", cursor)
		}
	}
}
