package shepherd

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestAnswersAreTrue sends batches of several teams while produces end in every way, datasets cannot be looked up now and
// then, and room and tokens run out: an accepted event is stored once, any other that is not unknown never, and in the
// end nothing is in flight.
func TestAnswersAreTrue(t *testing.T) {
	t.Parallel()
	r := rt.NewWall(5)
	t.Cleanup(func() { r.Kill(); r.Wait() })
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 4
		cfg := DefaultConfig()
		cfg.MaxInFlightEvents = rapid.Int64Range(5, 60).Draw(t, "room")
		cfg.TeamShare = rapid.SampledFrom([]float64{0.3, 0.5, 1}).Draw(t, "share")
		cfg.ChunkEvents = rapid.IntRange(1, 5).Draw(t, "chunk")
		cfg.SickFor = time.Nanosecond
		b := &bench{log: newFakeLog(r, partitions), dir: newFakeDirectory(partitions), seen: &recorder{}, r: r}
		b.dir.teams["key3"] = port.Team{ID: 3, Name: "three", Limits: port.Limits{EventsPerSecond: 1e-9, Burst: 9}, DatasetLimits: port.Limits{EventsPerSecond: 1e-9, Burst: 4}}
		b.dir.set = rapid.SampledFrom([][]int32{{0, 1, 2, 3}, {1}, {2, 3}, nil}).Draw(t, "set")
		var err error
		if b.Shepherd, err = newShepherd(r, port.Ports{Log: b.log, Events: b.seen}, cfg, partitions, "shepherd1", noBugs, b.dir); err != nil {
			t.Fatal(err)
		}
		gone, stop := context.WithCancel(context.Background())
		stop()
		ctx := context.Background()
		answers := map[int64]Status{}
		next := int64(0)
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				b.log.settle(rapid.SampledFrom([]error{nil, errRefused, errUnknown}).Draw(t, "settle"))
				continue
			case 1:
				away := rapid.SampledFrom([]error{nil, port.ErrUnknown, port.ErrRefused}).Draw(t, "catalog")
				b.dir.on(func(d *fakeDirectory) { d.err = away })
				continue
			case 2, 3:
				outcomes := rapid.SliceOfN(rapid.SampledFrom([]error{nil, errRefused, errUnknown, errAnswerLost, errHang}), 7, 7).Draw(t, "outcomes")
				if ctx = context.Background(); slices.Contains(outcomes, errHang) {
					ctx = gone // waits for nothing: what is not answered at once is unknown
				}
				n := 0
				b.log.on(func(int32) error { n++; return outcomes[n%len(outcomes)] })
				continue
			}
			req := Request{
				Team:     rapid.SampledFrom([]string{"key", "key2", "key3", "none"}).Draw(t, "team"),
				Dataset:  fmt.Sprint("data", rapid.IntRange(0, 2).Draw(t, "dataset")),
				Receipts: true,
			}
			for range rapid.IntRange(1, 12).Draw(t, "events") {
				req.Events = append(req.Events, event.Event{SampleRate: 1, Fields: []event.Field{{Name: "n", Value: event.IntValue(next + int64(len(req.Events)))}}})
			}
			a := b.Accept(ctx, req)
			if a.Code != 200 {
				if a.Code != 401 || req.Team != "none" {
					t.Fatalf("%+v", a)
				}
				a.Statuses = make([]Status, len(req.Events)) // not stored
			}
			for i, s := range a.Statuses {
				answers[next+int64(i)] = s
			}
			next += int64(len(req.Events))
			if h := b.Health(); h.PeakEvents > cfg.MaxInFlightEvents || h.InFlightEvents < 0 || h.InFlightBytes < 0 || h.Requests != 0 {
				t.Fatalf("%+v", h)
			}
		}
		b.log.settle(nil) // what was under way may still be stored
		if h := b.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 {
			t.Fatalf("left in flight: %+v", h)
		}
		times := map[int64]int{}
		ids := map[event.ID]bool{}
		for p, records := range b.log.stored {
			for offset, rec := range records {
				c, err := event.DecodeChunk(rec.Value)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range c.Events {
					if ids[e.ID] {
						t.Fatalf("ID %v twice", e.ID)
					}
					ids[e.ID] = true
					v, _ := e.Get("n")
					times[v.Int()]++
					if s := answers[v.Int()]; s.Code == Accepted && (s.Partition != int32(p) || s.Offset != int64(offset)) {
						t.Fatalf("event %d is at %d/%d, its receipt says %+v", v.Int(), p, offset, s)
					}
				}
			}
		}
		for n, s := range answers {
			switch {
			case s.Code == Accepted && times[n] != 1, times[n] > 1:
				t.Fatalf("event %d, answered %d, is stored %d times", n, s.Code, times[n])
			case s.Code != Accepted && s.Code != Unknown && times[n] != 0:
				t.Fatalf("event %d, answered %+v, is stored", n, s)
			}
		}
	})
}
