package shepherd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

var (
	errRefused = fmt.Errorf("not enough replicas: %w", port.ErrRefused)
	errUnknown = fmt.Errorf("connection lost: %w", port.ErrUnknown)
)

func TestAcceptedEventsAreInKafkaWithReceipts(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, func(c *Config) { c.ChunkEvents = 3 })
	req := batchOf(10)
	a := b.Accept(context.Background(), req)
	if a.Code != 200 || len(a.Statuses) != 10 {
		t.Fatalf("%+v", a)
	}
	for i, s := range a.Statuses {
		if s.Code != Accepted || s.Error != "" {
			t.Fatalf("event %d: %+v", i, s)
		}
		c, err := event.DecodeChunk(b.log.stored[s.Partition][s.Offset].Value)
		if err != nil || c.Dataset != (event.Dataset{ID: 100, Name: "data"}) {
			t.Fatalf("%v, dataset %v", err, c.Dataset)
		}
		if got, _ := c.Events[i%3].Get("n"); got.Int() != int64(i) {
			t.Errorf("the receipt of event %d leads to event %d", i, got.Int())
		}
	}
	seen := map[event.ID]bool{}
	for _, e := range b.log.storedEvents(t) {
		if seen[e.ID] {
			t.Errorf("ID %v twice", e.ID)
		}
		seen[e.ID] = true
	}
	if len(seen) != 10 || b.log.cfg.Acks != port.AcksAll {
		t.Errorf("%d events stored, acks %d", len(seen), b.log.cfg.Acks)
	}
	if h := b.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 || h.Requests != 0 || h.Totals.Accepted != 10 {
		t.Errorf("%+v", h)
	}
	req.Receipts = false
	if learnt := b.dir.learnt[100]; !slices.Equal(learnt, []string{"n", "text"}) {
		t.Errorf("columns learnt: %v", learnt)
	}
	if s := b.Accept(context.Background(), req).Statuses[0]; s.Offset != -1 || s.Partition != -1 {
		t.Errorf("a receipt that was not asked for: %+v", s)
	}
}

func TestTwoIncarnationsOfOneSeedShareNoIDs(t *testing.T) {
	t.Parallel()
	a, b := newBench(t, 1, nil), newBench(t, 1, nil)
	if a.next.Source == b.next.Source {
		t.Error("retrievers would take the events of the second for duplicates")
	}
}

func TestRefusedChunkMovesToAnotherPartition(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	b.log.on(func(p int32) error {
		if p != 2 {
			return errRefused
		}
		return nil
	})
	for range 20 {
		a := b.Accept(context.Background(), batchOf(5))
		if s := a.Statuses[0]; s.Code != Accepted || s.Partition != 2 {
			t.Fatalf("%+v", s)
		}
	}
	if n := len(b.log.storedEvents(t)); n != 100 {
		t.Errorf("%d events stored, sent 100", n)
	}
	if got := b.Health().Sick; !slices.Equal(got, []int32{0, 1}) && len(got) == 0 {
		t.Errorf("sick: %v", got)
	}
}

func TestRefusedEverywhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	b.log.on(func(int32) error { return errRefused })
	a := b.Accept(context.Background(), batchOf(2))
	if !slices.Equal(codes(a), []int{Refused, Refused}) || !strings.Contains(a.Statuses[0].Error, "not stored") {
		t.Fatalf("%+v", a)
	}
	tried := b.log.attempts()
	slices.Sort(tried)
	if !slices.Equal(tried, []int32{0, 1, 2}) {
		t.Errorf("tried %v, expected each partition once", tried)
	}
	if h := b.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 {
		t.Errorf("%+v", h)
	}
}

func TestUnknownIsNeverSentElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	b.log.on(func(int32) error { return errUnknown })
	a := b.Accept(context.Background(), batchOf(2))
	if !slices.Equal(codes(a), []int{Unknown, Unknown}) || !strings.Contains(a.Statuses[0].Error, "may duplicate") {
		t.Fatalf("%+v", a)
	}
	if tried := b.log.attempts(); len(tried) != 1 {
		t.Errorf("an event of unknown fate was sent %d times", len(tried))
	}
}

func TestNoAnswerFromKafkaInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, func(c *Config) { c.AckTimeout = 20 * time.Millisecond; c.ChunkEvents = 1 })
	first := true
	b.log.on(func(int32) error {
		if first {
			first = false
			return nil
		}
		return errHang
	})
	a := b.Accept(context.Background(), batchOf(3))
	if !slices.Equal(codes(a), []int{Accepted, Unknown, Unknown}) {
		t.Fatalf("%v", codes(a))
	}
	// The producer still has them, so they still count.
	if h := b.Health(); h.InFlightEvents != 2 || h.Requests != 0 {
		t.Errorf("%+v", h)
	}
	b.log.settle(nil)
	if h := b.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 {
		t.Errorf("%+v", h)
	}
}

func TestChunksAreWaitedForTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, 8, func(c *Config) { c.ChunkEvents = 2 })
	b.log.on(func(int32) error { return errHang })
	done := make(chan Answer)
	go func() { done <- b.Accept(context.Background(), batchOf(7)) }()
	eventually(t, "all chunks produced", func() bool { return len(b.log.attempts()) == 4 })
	b.log.on(func(int32) error { return nil })
	b.log.settle(errRefused)
	a := <-done
	if slices.ContainsFunc(a.Statuses, func(s Status) bool { return s.Code != Accepted }) || len(b.log.storedEvents(t)) != 7 {
		t.Errorf("%v, %d stored", codes(a), len(b.log.storedEvents(t)))
	}
}

func TestBoundsShedAndNeverQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, func(c *Config) {
		c.MaxInFlightEvents = 5
		c.TeamShare = 1
		c.ChunkEvents = 2
		c.AckTimeout = 10 * time.Millisecond
	})
	b.log.on(func(int32) error { return errHang })
	a := b.Accept(context.Background(), batchOf(8))
	if want := []int{Unknown, Unknown, Unknown, Unknown, Throttled, Throttled, Throttled, Throttled}; !slices.Equal(codes(a), want) {
		t.Fatalf("%v", codes(a))
	}
	for range 50 {
		if a := b.Accept(context.Background(), batchOf(2)); a.Statuses[0].Code != Throttled {
			t.Fatalf("%v", codes(a))
		}
	}
	if n := b.seen.count(port.EventShed); n < 1 || n > 3 {
		t.Errorf("shedding was announced %d times, expected about once a second", n)
	}
	b.log.settle(errUnknown)
	b.log.on(func(int32) error { return nil })
	if a := b.Accept(context.Background(), batchOf(2)); a.Statuses[0].Code != Accepted {
		t.Errorf("%v: room was not given back", codes(a))
	}

	tight := newBench(t, 2, func(c *Config) { c.MaxInFlightBytes = 10 })
	if a := tight.Accept(context.Background(), batchOf(2)); !slices.Equal(codes(a), []int{Throttled, Throttled}) {
		t.Errorf("%v", codes(a))
	}
	if h := tight.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 {
		t.Errorf("%+v", h)
	}
}

func TestLargeEventsTravelAloneAndTooLargeOnesNot(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	req := batchOf(4)
	big := event.StringValue(strings.Repeat("x", 600_000))
	for i := range 3 {
		req.Events[i].Fields[1].Value = big
	}
	req.Events[3].Fields[1].Value = event.StringValue(strings.Repeat("x", 1_100_000))
	a := b.Accept(context.Background(), req)
	if want := []int{Accepted, Accepted, Accepted, Malformed}; !slices.Equal(codes(a), want) {
		t.Fatalf("%v", codes(a))
	}
	for _, rec := range b.log.stored[0] {
		if len(rec.Value) > maxRecordBytes {
			t.Errorf("a record of %d bytes", len(rec.Value))
		}
	}
	b.log.on(func(int32) error { return fmt.Errorf("%w: %w", port.ErrTooLarge, port.ErrRefused) })
	if a := b.Accept(context.Background(), batchOf(1)); a.Statuses[0].Code != Malformed || len(b.Health().Sick) != 0 {
		t.Errorf("%+v, sick %v", a, b.Health().Sick)
	}
}

// TestEventsOfManyNumbersAreNotTooLarge: numbers with a fraction take more in a chunk than in JSON. None is refused because there were
// too many of them together.
func TestEventsOfManyNumbersAreNotTooLarge(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	req := Request{Team: "key", Dataset: strings.Repeat("d", maxDatasetBytes)}
	for i := range 50 {
		e := event.Event{Time: time.Unix(1_700_000_000, int64(i)), SampleRate: 1 << 60}
		for j := range event.MaxFields {
			e.Fields = append(e.Fields, event.Field{Name: fmt.Sprint("f", j), Value: event.FloatValue(0.5)})
		}
		if i%2 == 1 { // so that names are not those of the event before, as with maps in random order
			slices.Reverse(e.Fields)
		}
		req.Events = append(req.Events, e)
	}
	a := b.Accept(context.Background(), req)
	for i, s := range a.Statuses {
		if s.Code != Accepted {
			t.Fatalf("event %d: %+v", i, s)
		}
	}
	for _, rec := range b.log.stored[0] {
		if len(rec.Value) > maxRecordBytes {
			t.Errorf("a record of %d bytes", len(rec.Value))
		}
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	for _, c := range []struct {
		change func(*Request)
		code   int
	}{
		{func(r *Request) { r.Team = "" }, 401},
		{func(r *Request) { r.Team = strings.Repeat("k", 300) }, 401},
		{func(r *Request) { r.Team = "another key" }, 401},
		{func(r *Request) { r.Dataset = "" }, 400},
		{func(r *Request) { r.Dataset = "a/b" }, 400},
		{func(r *Request) { r.Dataset = "  " }, 400},
		{func(r *Request) { r.Dataset = "a\nb" }, 400},
		{func(r *Request) { r.Dataset = "a\xff" }, 400},
		{func(r *Request) { r.Dataset = strings.Repeat("d", 256) }, 400},
		{func(r *Request) { r.Events = nil }, 400},
	} {
		req := batchOf(1)
		c.change(&req)
		if a := b.Accept(context.Background(), req); a.Code != c.code || a.Error == "" || a.Statuses != nil {
			t.Errorf("%q %q: %+v", req.Team, req.Dataset, a)
		}
	}
	if len(b.log.attempts()) != 0 {
		t.Error("something was produced")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := New(nil, port.Ports{}, Config{}, 0, "shepherd1", planted.Set{})
	for _, what := range []string{"partitions", "max_in_flight_bytes", "max_in_flight_events", "chunk_events", "ack_timeout", "sick_after", "sick_for", "team_share", "spread", "cache_for", "miss_for", "cache_size"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not name %s: %v", what, err)
		}
	}
}

func TestLinger(t *testing.T) {
	t.Parallel()
	for linger, want := range map[time.Duration]time.Duration{0: port.DefaultProducerConfig("").Linger, 7 * time.Millisecond: 7 * time.Millisecond} {
		if b := newBench(t, 1, func(c *Config) { c.Linger = linger }); b.log.cfg.Linger != want {
			t.Errorf("linger %v: the producer gathers for %v, expected %v", linger, b.log.cfg.Linger, want)
		}
	}
	for _, linger := range []time.Duration{-1, DefaultConfig().SickAfter} {
		cfg := DefaultConfig()
		cfg.Linger = linger
		if err := cfg.check(1); err == nil || !strings.Contains(err.Error(), "linger") {
			t.Errorf("linger %v: %v", linger, err)
		}
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, nil)
	b.log.on(func(int32) error { return errHang })
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- b.Run(ctx) }()
	answered := make(chan Answer)
	go func() { answered <- b.Accept(context.Background(), batchOf(1)) }()
	eventually(t, "a produce in flight", func() bool { return len(b.log.attempts()) == 1 })
	stop()
	eventually(t, "draining", func() bool { return b.Health().Draining })
	if a := b.Accept(context.Background(), batchOf(2)); !slices.Equal(codes(a), []int{Refused, Refused}) {
		t.Errorf("while draining: %+v", a)
	}
	b.log.settle(nil)
	if a := <-answered; a.Statuses[0].Code != Accepted {
		t.Errorf("%+v", a)
	}
	if err := <-ran; err != nil || !b.log.closed {
		t.Errorf("%v, closed %v", err, b.log.closed)
	}
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, func(c *Config) { c.AckTimeout = 20 * time.Millisecond })
	b.log.on(func(int32) error { return errHang })
	b.Accept(context.Background(), batchOf(3))
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := b.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 events") {
		t.Errorf("%v", err)
	}
}
