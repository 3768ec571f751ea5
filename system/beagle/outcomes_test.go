package beagle

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// TestOutcomes: whatever is known of a commit, its counts are there once.
func TestOutcomes(t *testing.T) {
	for name, fail := range map[string]func(tries int) (err error, happens bool){
		"unknown, happened": func(n int) (error, bool) { return errIf(n < 3, port.ErrUnknown), true },
		"unknown, did not":  func(n int) (error, bool) { return errIf(n < 3, port.ErrUnknown), n >= 3 },
		"refused":           func(n int) (error, bool) { return errIf(n < 3, port.ErrRefused), n >= 3 },
		"other, either":     func(n int) (error, bool) { return errIf(n < 5, errors.New("what")), n >= 5 || n%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(w *world) {
				tries := 0
				w.counts.fail = func(port.Advance) (error, bool) { tries++; return fail(tries) }
				k := w.start("b1")
				k.give(0)
				for i := range uint64(20) {
					w.log.add(0, chunk(1, request{i, 60, 5}))
					w.sleep(300 * time.Millisecond)
				}
				w.sleep(10 * time.Second)
				w.expect(10, map[int64][2]int64{60: {20, 20}})
				w.progress(0, 20)
				if st := k.Status(); st.Totals.Overtaken != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func errIf(fails bool, err error) error {
	if fails {
		return err
	}
	return nil
}

// TestALateCommit: an attempt that was given up takes effect after it was looked for.
func TestALateCommit(t *testing.T) {
	play(t, 1, func(w *world) {
		first := true
		w.counts.fail = func(a port.Advance) (error, bool) {
			if !first || len(a.Counts) == 0 {
				return nil, true
			}
			first = false
			go func() {
				time.Sleep(50 * time.Millisecond)
				if err := w.counts.Advance(w.t.Context(), a); err != nil {
					t.Error(err)
				}
			}()
			return port.ErrUnknown, false
		}
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(5 * time.Second)
		w.log.add(0, chunk(1, request{2, 60, 5}))
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {2, 2}})
	})
}

func TestOvertaken(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(3 * time.Second)
		// Somebody else counts two records while this one has them gathered.
		w.log.add(0, chunk(1, request{2, 60, 5}), chunk(1, request{3, 60, 5}), chunk(1, request{4, 60, 5}))
		if err := w.counts.Advance(w.t.Context(), port.Advance{Consumer: Consumer, Topic: topic, From: 1, To: 3, By: "b2",
			Counts: []port.SLOCount{{SLO: 10, Minute: 60, Good: 2, Total: 2}}}); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Second)
		w.log.add(0, chunk(1, request{3, 60, 5})) // a copy of what somebody else has counted
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {4, 4}})
		w.progress(0, 5)
		if lost := w.events.of(port.EventProgressLost); len(lost) != 1 || !strings.Contains(lost[0], "b2 has gone on to 3") {
			t.Errorf("%q", lost)
		}
	})
}

// TestProgressThatGoesBack: a database that has lost its last commits has lost counts and progress alike.
func TestProgressThatGoesBack(t *testing.T) {
	play(t, 1, func(w *world) {
		k := w.start("b1")
		k.give(0)
		for i := range uint64(6) {
			w.log.add(0, chunk(1, request{i, 60, 5}))
		}
		w.sleep(3 * time.Second)
		w.counts.set(func() {
			w.counts.rows[0] = port.Progress{Partition: 0, Next: 4}
			w.counts.counts[place{10, 60}] = port.SLOCount{SLO: 10, Minute: 60, Good: 4, Total: 4}
		})
		w.sleep(5 * time.Second)
		w.expect(10, map[int64][2]int64{60: {6, 6}})
		w.progress(0, 6)
	})
}

// TestAfterAnyRebalance: whatever happens to workers and to their commits, each distinct event counts once in the end.
func TestAfterAnyRebalance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { anyRebalance(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func anyRebalance(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	const partitions = 3
	w := &world{t: t, log: newMemLog(partitions), counts: newMemCounts(), defs: newMemDefs(), events: &sink{}, cfg: DefaultConfig()}
	w.cfg.CommitEvents = 1 + rnd.IntN(50)
	w.cfg.DedupRecords = 100
	w.defs.of[1] = []port.Definition{column(1, "fast", `LT($ms, 100)`), objective(10, 1, "fast", "fast")}
	w.defs.of[2] = nil
	faults, faulty := rand.New(rand.NewPCG(seed, 2)), true // both under the lock of counts
	w.counts.fail = func(port.Advance) (error, bool) {
		if !faulty || faults.IntN(4) > 0 {
			return nil, true
		}
		if faults.IntN(2) == 0 {
			return port.ErrRefused, false
		}
		return port.ErrUnknown, faults.IntN(2) == 0
	}
	want := map[int64][2]int64{}
	seq := uint64(0)
	sent := map[int32][][]byte{}
	send := func() {
		part := int32(rnd.IntN(partitions))
		old := sent[part]
		if len(old) > 0 && rnd.IntN(4) == 0 { // a copy, at most 50 records behind
			back := old[max(0, len(old)-50):]
			value := back[rnd.IntN(len(back))]
			w.log.add(part, value)
			sent[part] = append(old, value)
			return
		}
		dataset := []int64{1, 1, 2, 99}[rnd.IntN(4)]
		var requests []sampled
		for range 1 + rnd.IntN(5) {
			q := sampled{request{seq: seq, seconds: rnd.Int64N(300), ms: rnd.Int64N(200)}, 1 + rnd.Int64N(20)}
			seq++
			requests = append(requests, q)
			if dataset == 1 {
				n := want[minuteOf(time.Unix(q.seconds, 0))]
				n[1] += q.rate
				if q.ms < 100 {
					n[0] += q.rate
				}
				want[minuteOf(time.Unix(q.seconds, 0))] = n
			}
		}
		value := sampledChunk(dataset, requests...)
		w.log.add(part, value)
		sent[part] = append(old, value)
	}
	// Assignments are drawn: two workers may well have the same partition, as after an eviction that one has not noticed.
	draw := func() []int32 {
		var ids []int32
		for id := range int32(partitions) {
			if rnd.IntN(2) == 0 {
				ids = append(ids, id)
			}
		}
		return ids
	}
	workers := []*worker{w.start("b1"), w.start("b2")}
	for _, k := range workers {
		k.give(draw()...)
	}
	w.sleep(time.Millisecond)
	for range 60 {
		for range rnd.IntN(12) {
			send()
		}
		i := rnd.IntN(len(workers))
		switch rnd.IntN(8) {
		case 0:
			workers[i].kill()
			workers[i] = w.start(workers[i].name)
			workers[i].give(draw()...)
		case 1:
			workers[i].stop()
			workers[i] = w.start(workers[i].name)
			workers[i].give(draw()...)
		case 2, 3:
			workers[i].rebalance(port.ErrRebalanceInProgress, draw()...)
		case 4:
			workers[i].rebalance(port.ErrUnknownMember, draw()...)
		}
		w.sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
	}
	w.counts.set(func() { faulty = false })
	workers[0].rebalance(port.ErrRebalanceInProgress, 0, 1, 2)
	w.sleep(20 * time.Second)
	for id := range int32(partitions) {
		w.progress(id, w.log.end(id))
	}
	w.expect(10, want)
	for _, k := range workers {
		k.kill()
	}
}

// TestRereads: who takes a partition over knows the latest records, as many as it may read again.
func TestRereads(t *testing.T) {
	t.Parallel()
	const records = 2000
	size := int64(len(chunk(1, request{1 << 20, 60, 5})))
	for name, c := range map[string]struct {
		dedup int
		bytes int64
		start int64 // of the log
		first int64 // the first record that is known then
	}{
		"all":     {dedup: 1 << 15, bytes: 1 << 30, first: 0},
		"records": {dedup: 700, bytes: 1 << 30, first: records - 700},
		"few":     {dedup: 10, bytes: 1 << 30, first: records - 10},
		"bytes":   {dedup: 1 << 15, bytes: 1000 * size, first: records - 1000},
		"least":   {dedup: 1 << 15, bytes: 1, first: records - sampleRecords},
		"expired": {dedup: 1 << 15, bytes: 1 << 30, start: 1500, first: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(w *world) {
				w.cfg.DedupRecords = c.dedup
				for i := range uint64(records) {
					w.log.add(0, chunk(1, request{1<<20 + 64*i, 60, 5}))
				}
				w.log.change(0, func(p *memPartition) { p.start, p.records = c.start, p.records[c.start:] })
				w.counts.rows[0] = port.Progress{Partition: 0, Next: records}
				k := w.build("b1")
				k.reread = c.bytes
				p := newPartition(k.Beagle, 0)
				if err := p.begin(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range int64(records) {
					_, known := p.seen.index[block{7, (1<<20)/64 + uint64(i)}]
					if known != (i >= c.first) {
						t.Fatalf("record %d is known: %v; the first should be %d", i, known, c.first)
					}
				}
			})
		})
	}
}

// TestGivenBack: a partition that comes back to the worker that has just given it up is not read again, unless somebody
// else has had it.
func TestGivenBack(t *testing.T) {
	for name, moved := range map[string]bool{"nobody has moved it": false, "somebody has": true} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(w *world) {
				k := w.start("b1")
				k.member.cooperative = false
				k.give(0)
				w.log.add(0, chunk(1, request{1, 60, 5}), chunk(1, request{2, 60, 5}))
				w.sleep(3 * time.Second)
				// Then the window can only be had from before.
				w.log.change(0, func(p *memPartition) { p.start, p.records = 2, nil })
				k.member.rebalance(port.ErrRebalanceInProgress)
				w.sleep(time.Second)
				w.log.add(0, chunk(1, request{3, 60, 5}))
				if moved {
					if err := w.counts.Advance(w.t.Context(), port.Advance{Consumer: Consumer, Topic: topic, From: 2, To: 3, By: "b2",
						Counts: []port.SLOCount{{SLO: 10, Minute: 60, Good: 1, Total: 1}}}); err != nil {
						t.Fatal(err)
					}
				}
				k.give(0)
				w.log.add(0, chunk(1, request{3, 60, 5}))
				if !moved {
					w.log.add(0, chunk(1, request{1, 60, 5}))
				}
				w.sleep(5 * time.Second)
				w.expect(10, map[int64][2]int64{60: {3, 3}})
			})
		})
	}
}
