package beagle

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestEventsCountBySampleRate(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		// Errors are kept, one in ten of all else: one in eleven was bad, not every other.
		w.log.add(0, sampledChunk(1, sampled{request{1, 60, 500}, 1}, sampled{request{2, 60, 5}, 10}, sampled{request{3, 120, 5}, 7}))
		// Another rate does not make another event of a copy.
		w.log.add(0, sampledChunk(1, sampled{request{2, 60, 5}, 30}))
		w.sleep(3 * time.Second)
		w.expect(10, map[int64][2]int64{60: {10, 11}, 120: {7, 7}})
		st := k.Status()
		if st.Totals.Events != 3 || st.Totals.Counted != 3 || st.Totals.Duplicates != 1 {
			t.Errorf("%+v", st.Totals)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.good != 17 || k.relevant != 18 {
			t.Errorf("committed %d good of %d", k.good, k.relevant)
		}
	})
}

// TestHostileSampleRatesStopNobody: a client that claims that each of its events stands for all that there ever were fills its own
// minutes. Its neighbours are counted on, and so is what it sends for other minutes.
func TestHostileSampleRatesStopNobody(t *testing.T) {
	play(t, 1, func(w *world) {
		w.defs.of[2] = []port.Definition{column(2, "fast", `LT($ms, 100)`), objective(20, 2, "fast", "fast")}
		const perRecord = 4096
		k := w.start("b1")
		k.give(0)
		seq := uint64(0)
		for range 8 {
			hostile := make([]sampled, perRecord)
			for i := range hostile {
				seq++
				hostile[i] = sampled{request{seq, 60, int64(i%2) * 500}, math.MaxInt64}
			}
			seq += 2
			w.log.add(0, sampledChunk(1, hostile...), sampledChunk(1, sampled{request{seq - 1, 120, 5}, 2}), chunk(2, request{seq, 60, 5}))
			w.sleep(2 * w.cfg.CommitEvery)
		}
		w.sleep(3 * time.Second)
		w.progress(0, 24)
		w.expect(10, map[int64][2]int64{60: {port.MaxCount / 2, port.MaxCount}, 120: {16, 16}})
		w.expect(20, map[int64][2]int64{60: {8, 8}})
	})
}

// TestCountsAreThoseOfAModel compares what is gathered of records with any events, copies and sample rates with adding up
// one event after another.
func TestCountsAreThoseOfAModel(t *testing.T) {
	t.Parallel()
	rate := rapid.OneOf(rapid.Int64Range(1, 20), rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1 << 46, math.MaxInt64}))
	rapid.Check(t, func(t *rapid.T) {
		defs := newMemDefs()
		defs.of[1] = []port.Definition{column(1, "fast", `LT($ms, 100)`), objective(10, 1, "fast", "fast"), column(1, "odd", `IF(GT($ms, 50), EQUALS($ms % 2, 1))`), objective(11, 1, "odd", "odd")}
		wall := rt.NewWall(1)
		k := newWith(wall, port.Ports{Log: memClient{newMemLog(1), wall}, Definitions: defs, Counts: newMemCounts(), Events: port.Discard{}},
			DefaultConfig(), topic, "b1", planted.Set{}, &fakeMember{r: wall, given: rt.NewQueue[group.Assignment](wall, 0)})
		p := newPartition(k, 0)
		if err := p.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, seen, counted := map[place][2]int64{}, map[uint64]bool{}, int64(0)
		add := func(slo, minute, weight int64, good bool) {
			n := want[place{slo, minute}]
			if n[1]+weight > port.MaxCount {
				return
			}
			n[1] += weight
			if good {
				n[0] += weight
			}
			want[place{slo, minute}] = n
		}
		for offset := range rapid.Int64Range(1, 8).Draw(t, "records") {
			events := make([]event.Event, rapid.IntRange(0, 30).Draw(t, "events"))
			for i := range events {
				id, at, ms := rapid.Uint64Range(0, 150).Draw(t, "id"), rapid.Int64Range(0, 179).Draw(t, "at"), rapid.Int64Range(0, 199).Draw(t, "ms")
				e := event.Event{ID: event.ID{Source: 7, Seq: id}, Time: time.Unix(at, 0), SampleRate: rate.Draw(t, "rate"), Fields: []event.Field{{Name: "ms", Value: event.IntValue(ms)}}}
				events[i] = e
				if seen[id] {
					continue
				}
				seen[id] = true
				counted++
				weight := e.SampleRate
				if weight < 1 {
					weight = 1
				} else if weight > 1<<32 {
					weight = 1 << 32
				}
				add(10, at/60*60, weight, ms < 100)
				if ms > 50 {
					add(11, at/60*60, weight, ms%2 == 1)
				}
			}
			ds, err := k.objectives.of(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			p.count(offset, events, ds)
		}
		got := map[place][2]int64{}
		rows := p.gathered.counts()
		for _, n := range rows {
			got[place{n.SLO, n.Minute}] = [2]int64{n.Good, n.Total}
		}
		if len(got) != len(want) || len(rows) != len(got) || p.totals.Events != counted || p.totals.Counted != counted {
			t.Fatalf("%v of %+v, want %v of %d events", got, p.totals, want, counted)
		}
		for at, n := range want {
			if got[at] != n {
				t.Fatalf("%v has %v, want %v", at, got[at], n)
			}
		}
		if a := p.step(); !slices.IsSortedFunc(a.Counts, func(a, b port.SLOCount) int { return int(a.SLO-b.SLO)*1000 + int(a.Minute-b.Minute) }) {
			t.Fatalf("%+v", a.Counts)
		}
	})
}

// TestCountersOfGoodEventsEnd: what telemetry says of them never falls below zero.
func TestCountersOfGoodEventsEnd(t *testing.T) {
	t.Parallel()
	sum := int64(0)
	for range 1 << 18 {
		next := upTo(sum, port.MaxCount)
		if next < sum {
			t.Fatalf("%d after %d", next, sum)
		}
		sum = next
	}
	if sum != math.MaxInt64 || upTo(sum, 0) != sum {
		t.Error(sum)
	}
}
