//go:build soak

package beagle

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/soak"
)

// slowCounts is a store whose every commit takes a while.
type slowCounts struct {
	*memCounts
	r    rt.Runtime
	took atomic.Int64 // nanoseconds
}

func (c *slowCounts) Advance(ctx context.Context, a port.Advance) error {
	if err := c.r.Sleep(ctx, time.Duration(c.took.Load())); err != nil {
		return err
	}
	return c.memCounts.Advance(ctx, a)
}

// TestSoakTwiceTheCapacity appends twice what a worker can commit to the store behind it to its partition, for RATEL_SOAK (10
// minutes if it is not set): it commits what the store takes, the rest waits in Kafka, and the heap does not grow with time.
// Afterwards the store is as fast as it likes: the worker catches up, and every event is counted exactly once.
func TestSoakTwiceTheCapacity(t *testing.T) {
	const (
		perRecord = 50
		perCommit = 2000 // events
		took      = 400 * time.Millisecond
		capacity  = float64(perCommit) / perRecord / (float64(took) / float64(time.Second)) // records a second
		slo       = 10
		room      = 16 << 20 // bytes by which the heap may grow; what is gathered for a commit is far smaller
	)
	length, err := soak.For()
	if err != nil {
		t.Fatal(err)
	}
	wall := rt.NewWall(1)
	chunks := make([][]event.Event, 40)
	for i := range chunks {
		chunks[i] = benchEvents(perRecord, 30, i*perRecord)
	}
	log := soak.NewPartition(wall, 2*capacity, chunks)
	defs := newMemDefs()
	defs.of[1] = []port.Definition{column(1, "fast", `AND(LT($http.status_code, 500), LT($duration_ms, 1000))`), objective(slo, 1, "fast", "fast")}
	counts := &slowCounts{memCounts: newMemCounts(), r: wall}
	counts.took.Store(int64(took))
	cfg := DefaultConfig()
	cfg.CommitEvents = perCommit
	member := &fakeMember{r: wall, given: rt.NewQueue[group.Assignment](wall, 0)}
	k := newWith(wall, port.Ports{Log: log, Definitions: defs, Counts: counts, Events: port.Discard{}}, cfg, topic, "b1", planted.Set{}, member)
	ended := make(chan error, 1)
	wall.Go("beagle", func(ctx context.Context) { ended <- k.Run(ctx) })
	t.Cleanup(func() { wall.Kill(); wall.Wait() })
	member.given.TryPush(group.Assignment{Generation: 1, Partitions: []int32{0}})

	var first, peak int64
	for look := log.Began().Add(length / 10); time.Since(log.Began()) < length; look = look.Add(length / 10) {
		select {
		case err := <-ended:
			t.Fatalf("the worker ended: %v", err)
		case <-time.After(time.Until(look)):
		}
		counts.set(func() { counts.from = nil }) // the store's own memory
		heap := soak.LiveHeap()
		if first == 0 {
			first = heap
		}
		peak = max(peak, heap)
		next, _ := counts.next(0)
		t.Logf("%v: heap %.1f MB, %d records counted, %d beyond", time.Since(log.Began()).Round(time.Second), float64(heap)/1e6, next, log.End()-next)
	}
	end := log.Close()
	got, _ := counts.next(0)
	if peak > first+room {
		t.Errorf("the heap grew from %d to %d bytes", first, peak)
	}
	if share := float64(got) / float64(end); share < 0.25 || share > 0.75 {
		t.Errorf("%d of %d records were counted in time: expected about half", got, end)
	}
	counts.took.Store(0)
	caught := time.Now()
	for next := got; next < end; next, _ = counts.next(0) {
		if time.Since(caught) > max(length, time.Minute) {
			t.Fatalf("%d of %d records are counted after %v", next, end, time.Since(caught))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%v at twice the capacity: %d records of %d events offered, %d counted in time (%.2f of the capacity); heap %.1f to %.1f MB; caught up within %v",
		length, end, perRecord, got, float64(got)/(capacity*length.Seconds()), float64(first)/1e6, float64(peak)/1e6, time.Since(caught).Round(time.Millisecond))

	var good, total, wantGood int64
	for _, n := range counts.of(slo) {
		good, total = good+n[0], total+n[1]
	}
	for offset := range end {
		for _, e := range chunks[offset%int64(len(chunks))] {
			if status, _ := e.Get("http.status_code"); status.Int() < 500 {
				if duration, _ := e.Get("duration_ms"); duration.Float() < 1000 {
					wantGood++
				}
			}
		}
	}
	if good != wantGood || total != end*perRecord {
		t.Errorf("%d of %d events count as good, expected %d of %d", good, total, wantGood, end*perRecord)
	}
}
