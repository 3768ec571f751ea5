package beagle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func TestCountsByMinuteOfEventTime(t *testing.T) {
	play(t, 2, func(w *world) {
		w.defs.of[1] = append(w.defs.of[1], column(1, "odd", `EQUALS($ms % 2, 1)`), objective(11, 1, "odd", "odd"))
		k := w.start("b1")
		k.give(0, 1)
		w.log.add(0, chunk(1, request{1, 60, 5}, request{2, 119, 500}), chunk(1, request{3, 120, 7}))
		w.log.add(1, chunk(1, request{4, 61, 8}, request{5, -1, 1}))
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {2, 3}, 120: {1, 1}, -60: {1, 1}})
		w.expect(11, map[int64][2]int64{60: {1, 3}, 120: {1, 1}, -60: {1, 1}})
		w.progress(0, 2)
		w.progress(1, 1)
		st := k.Status()
		if st.Totals.Events != 5 || st.Totals.Counted != 5 || st.Totals.Records != 3 || len(st.Partitions) != 2 || st.Generation != 1 {
			t.Errorf("%+v", st)
		}
		if p := st.Partitions[0]; p.Next != 2 || p.Committed != 2 || p.HighWater != 2 {
			t.Errorf("%+v", p)
		}
		k.stop()
		if !k.member.left {
			t.Error("the group was not left")
		}
	})
}

func TestNotRelevantDoesNotCount(t *testing.T) {
	play(t, 1, func(w *world) {
		w.defs.of[1] = []port.Definition{column(1, "sli", `IF(EXISTS($absent), LT($ms, 100))`), objective(10, 1, "null", "sli"),
			column(1, "number", `INT($ms)`), objective(11, 1, "number", "number"),
			objective(12, 1, "broken", "not there"), column(1, "bad", "LT("), objective(13, 1, "bad", "bad")}
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 1}))
		w.sleep(3 * time.Second)
		if len(w.counts.counts) != 0 {
			t.Errorf("%v", w.counts.counts)
		}
		w.progress(0, 1)
		if st := k.Status(); st.Totals.Counted != 0 || st.Totals.Events != 1 || st.Broken != 2 || st.BrokenWhy == "" {
			t.Errorf("%+v", st)
		}
	})
}

func TestTeamWideColumns(t *testing.T) {
	play(t, 1, func(w *world) {
		w.defs.of[1] = []port.Definition{objective(10, 1, "wide", "wide")}
		other := column(0, "wide", `LT($ms, 1)`)
		other.Team = 2
		w.defs.of[port.OfTeams] = []port.Definition{other, column(0, "wide", `LT($ms, 100)`)}
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 50}))
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
		// One that is newer than what was read is found when a dataset is asked about for the first time.
		w.defs.set(func() {
			w.defs.of[2] = []port.Definition{objective(20, 2, "newer", "newer")}
			w.defs.of[port.OfTeams] = append(w.defs.of[port.OfTeams], column(0, "newer", `LT($ms, 100)`))
		})
		w.log.add(0, chunk(2, request{2, 60, 50}))
		w.sleep(3 * time.Second)
		w.expect(20, map[int64][2]int64{60: {1, 1}})
	})
}

func TestProgressIsMarkedWithoutAnythingToCount(t *testing.T) {
	play(t, 3, func(w *world) {
		w.defs.of[2] = nil // a dataset without SLOs
		k := w.start("b1")
		k.give(0, 1, 2)
		w.log.add(1, chunk(2, request{1, 60, 5}))
		w.sleep(20 * time.Second)
		w.progress(0, 0)
		w.progress(1, 1)
		for id := range int32(3) {
			if at := w.counts.rows[id].At; time.Since(at) > 2*w.cfg.CommitEvery {
				t.Errorf("partition %d was last marked %v ago", id, time.Since(at))
			}
		}
		// Also while fetches hang, as those of a partition without a leader do.
		for id := range int32(3) {
			w.log.change(id, func(p *memPartition) { p.stall = true })
		}
		w.sleep(30 * time.Second)
		for id := range int32(3) {
			if at := w.counts.rows[id].At; time.Since(at) > 2*fetchFor {
				t.Errorf("partition %d was last marked %v ago", id, time.Since(at))
			}
		}
	})
}

func TestCommitsWhatIsGatheredWhileFetchesHang(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(50 * time.Millisecond)
		w.log.change(0, func(p *memPartition) { p.stall = true })
		w.sleep(2 * w.cfg.CommitEvery)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
	})
}

func TestDuplicatesCountOnce(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		a, b := chunk(1, request{1, 60, 5}, request{2, 60, 5}), chunk(1, request{2, 60, 5}, request{3, 60, 5})
		w.log.add(0, a, a, b)
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {3, 3}})
		// Also after a restart, and on another worker.
		k.kill()
		w.log.add(0, a, b, chunk(1, request{4, 60, 5}))
		k = w.start("b2")
		k.give(0)
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {4, 4}})
		if st := k.Status(); st.Totals.Duplicates != 4 {
			t.Errorf("%+v", st)
		}
	})
}

func TestUnreadableRecordsArePassedOver(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		w.log.add(0, []byte("not a chunk"), chunk(1, request{1, 60, 5}), nil)
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
		w.progress(0, 3)
		if st := k.Status(); st.Totals.Skipped != 2 || len(w.events.of(port.EventRecordSkipped)) != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestUnknownDatasetsCostOneLookUp(t *testing.T) {
	play(t, 2, func(w *world) {
		k := w.start("b1")
		k.give(0, 1)
		for i := range uint64(50) {
			w.log.add(int32(i%2), chunk(99, request{i, 60, 5}))
		}
		w.sleep(5 * time.Second)
		w.progress(0, 25)
		if n := w.defs.asked(99); n != 1 {
			t.Errorf("asked %d times for a dataset that is not there", n)
		}
		st := k.Status()
		if st.Totals.Unknown != 50 || st.UnknownDatasets != 1 || len(w.events.of(port.EventDatasetUnknown)) != 1 {
			t.Errorf("%+v, %q", st, w.events.of(port.EventDatasetUnknown))
		}
	})
}

func TestNewSLOsAreSeenWithinRefreshEvery(t *testing.T) {
	play(t, 1, func(w *world) {
		defs := w.defs.of[1]
		w.defs.of[1] = nil
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(time.Second)
		w.defs.set(func() { w.defs.of[1] = defs })
		w.sleep(2 * w.cfg.RefreshEvery)
		w.log.add(0, chunk(1, request{2, 60, 5}))
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
		// A refresh goes on in the background: nobody waits for it, and one is enough.
		asked := w.defs.asked(1)
		w.sleep(w.cfg.RefreshEvery)
		for i := range uint64(10) {
			w.log.add(0, chunk(1, request{10 + i, 60, 5}))
		}
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {11, 11}})
		if n := w.defs.asked(1) - asked; n != 1 {
			t.Errorf("%d look-ups for one refresh", n)
		}
	})
}

func TestWaitsForACatalogThatIsAway(t *testing.T) {
	play(t, 1, func(w *world) {
		w.defs.away = errors.New("connection refused")
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 5}), chunk(99, request{2, 60, 5}))
		w.sleep(time.Minute)
		if len(w.counts.counts) != 0 || k.Status().Totals.Records != 0 {
			t.Errorf("%v %+v", w.counts.counts, k.Status())
		}
		w.defs.set(func() { w.defs.away = nil })
		w.sleep(10 * time.Second)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
		if len(w.events.of(port.EventCatalogAway)) == 0 || len(w.events.of(port.EventCatalogBack)) == 0 {
			t.Error("not announced")
		}
	})
}

func TestOffsetsThatAreGone(t *testing.T) {
	play(t, 1, func(w *world) {
		w.log.change(0, func(p *memPartition) { p.start = 10 })
		w.log.add(0, chunk(1, request{1, 60, 5}))
		k := w.start("b1")
		k.give(0)
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {1, 1}})
		w.progress(0, 11)
		if st := k.Status(); st.Totals.Missed != 10 || len(w.events.of(port.EventOffsetReset)) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// truncated is a worker that has counted five records, of a log that has two by now.
func truncated(w *world) *worker {
	k := w.start("b1")
	k.give(0)
	for i := range uint64(5) {
		w.log.add(0, chunk(1, request{i, 60, 5}))
	}
	w.sleep(3 * time.Second)
	w.log.change(0, func(p *memPartition) { p.records = p.records[:2] })
	w.sleep(10 * time.Second)
	return k
}

func TestATruncatedLog(t *testing.T) {
	play(t, 1, func(w *world) {
		k := truncated(w)
		w.log.add(0, chunk(1, request{10, 60, 5}))
		w.sleep(5 * time.Second)
		w.progress(0, 5) // never goes back
		for i := range uint64(5) {
			w.log.add(0, chunk(1, request{11 + i, 60, 5}))
		}
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {11, 11}})
		w.progress(0, 8)
		if st := k.Status(); st.Totals.Missed != 3 || len(w.events.of(port.EventOffsetReset)) != 1 {
			t.Errorf("%+v %q", st, w.events.of(port.EventOffsetReset))
		}
	})
}

// TestNothingIsCountedOnTheSpot: where a truncated log has come to the progress again and not beyond it, a commit would move
// nothing, so that one whose answer is lost could be repeated: what was read waits for the next record.
func TestNothingIsCountedOnTheSpot(t *testing.T) {
	play(t, 1, func(w *world) {
		truncated(w)
		for i := range uint64(3) {
			w.log.add(0, chunk(1, request{10 + i, 60, 5}))
		}
		w.sleep(10 * time.Second)
		w.expect(10, map[int64][2]int64{60: {5, 5}})
		w.progress(0, 5)
		w.log.add(0, chunk(1, request{20, 60, 5}))
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {9, 9}})
		w.progress(0, 6)
	})
}

func TestTheFirstMinute(t *testing.T) {
	t.Parallel()
	for s, want := range map[int64]int64{
		math.MinInt64: math.MinInt64 + 8, math.MinInt64 + 7: math.MinInt64 + 8, math.MinInt64 + 8: math.MinInt64 + 8, math.MinInt64 + 68: math.MinInt64 + 68,
		-61: -120, -60: -60, -1: -60, 0: 0, 59: 0, math.MaxInt64: math.MaxInt64 - 7,
	} {
		if got := minuteOf(time.Unix(s, 0)); got != want || got%60 != 0 {
			t.Errorf("the minute of %d is %d, expected %d", s, got, want)
		}
	}
}

func TestRevokedPartitionsAreDrained(t *testing.T) {
	play(t, 2, func(w *world) {
		w.cfg.CommitEvery = time.Hour
		k := w.start("b1")
		k.give(0, 1)
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.log.add(1, chunk(1, request{2, 60, 5}))
		w.sleep(time.Second)
		k.rebalance(port.ErrRebalanceInProgress, 1)
		w.sleep(time.Second)
		w.progress(0, 1)
		if _, there := w.counts.next(1); there {
			t.Error("a partition that was kept was stopped")
		}
		if got := k.member.owned; len(got) < 2 || !slices.Equal(got[1], []int32{0, 1}) {
			t.Errorf("joined with %v", got)
		}
		w.log.add(1, chunk(1, request{3, 60, 5}))
		w.sleep(time.Second)
		if p := k.Status().Partitions; len(p) != 1 || p[0].Next != 2 {
			t.Errorf("%+v", p)
		}
		// Without a cooperative protocol everything is given up first; after an eviction, too.
		k.rebalance(port.ErrUnknownMember, 1)
		w.sleep(time.Second)
		w.progress(1, 2)
		if got := k.member.owned; len(got[2]) != 0 {
			t.Errorf("joined with %v", got)
		}
		k.stop()
		w.expect(10, map[int64][2]int64{60: {3, 3}})
		if st := k.Status(); st.Totals.Events != 3 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAFencedNameEndsTheWorker(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		w.sleep(time.Second)
		k.member.mu.Lock()
		k.member.refused = fmt.Errorf("join: %w", port.ErrFencedInstance)
		k.member.mu.Unlock()
		k.member.rebalance(port.ErrFencedInstance)
		w.sleep(time.Second)
		if err, _, done := k.ran.Peek(); !done || !errors.Is(err, port.ErrFencedInstance) {
			t.Errorf("%v %v", done, err)
		}
	})
}

func TestARefusedMemberTriesAgain(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		w.sleep(time.Second)
		k.member.mu.Lock()
		k.member.refused = fmt.Errorf("inconsistent protocol: %w", port.ErrRefused)
		k.member.mu.Unlock()
		k.member.rebalance(port.ErrRebalanceInProgress)
		w.sleep(5 * time.Second)
		if st := k.Status(); len(st.Partitions) != 0 || !strings.Contains(st.Trouble, "inconsistent protocol") {
			t.Errorf("%+v", st)
		}
		k.member.mu.Lock()
		k.member.refused = nil
		k.member.mu.Unlock()
		k.give(0)
		w.sleep(5 * time.Second)
		if st := k.Status(); len(st.Partitions) != 1 || st.Trouble != "" {
			t.Errorf("%+v", st)
		}
	})
}
