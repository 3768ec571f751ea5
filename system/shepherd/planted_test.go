package shepherd

import (
	"context"
	"slices"
	"testing"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

func TestPlantedAcksLeader(t *testing.T) {
	t.Parallel()
	if acks := newBench(t, 1, nil, planted.AcksLeader).log.cfg.Acks; acks != port.AcksLeader {
		t.Errorf("planted: acks %d", acks)
	}
	if acks := newBench(t, 1, nil).log.cfg.Acks; acks != port.AcksAll {
		t.Errorf("clean: acks %d", acks)
	}
}

func TestPlantedAcceptBeforeKafka(t *testing.T) {
	t.Parallel()
	refuse := func(int32) error { return errRefused }
	clean := newBench(t, 2, nil)
	clean.log.on(refuse)
	if a := clean.Accept(context.Background(), batchOf(2)); !slices.Equal(codes(a), []int{Refused, Refused}) {
		t.Errorf("clean: %+v", a)
	}

	bad := newBench(t, 2, nil, planted.AcceptBeforeKafka)
	bad.log.on(refuse)
	// Nothing flushes the buffer yet, as if the process were killed within its linger: the events exist nowhere.
	a := bad.Accept(context.Background(), batchOf(2))
	if !slices.Equal(codes(a), []int{Accepted, Accepted}) || a.Statuses[0].Offset != -1 || len(bad.log.attempts()) != 0 {
		t.Errorf("planted: %+v after %d produces", a, len(bad.log.attempts()))
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	bad.r.Go("run", func(context.Context) { _ = bad.Run(ctx) })
	eventually(t, "the buffer is flushed", func() bool { return len(bad.log.attempts()) == 1 })
	eventually(t, "nothing in flight", func() bool { return bad.Health().InFlightEvents == 0 })
	if n := len(bad.log.storedEvents(t)); n != 0 {
		t.Errorf("%d events stored, although Kafka refused them", n)
	}
}

func TestPlantedAcceptBeforeKafkaStillBoundsMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, func(c *Config) { c.MaxInFlightEvents, c.TeamShare = 3, 1 }, planted.AcceptBeforeKafka)
	b.Accept(context.Background(), batchOf(3))
	if a := b.Accept(context.Background(), batchOf(1)); a.Statuses[0].Code != Throttled {
		t.Errorf("%+v", a)
	}
}

func TestPlantedPartialAsSuccess(t *testing.T) {
	t.Parallel()
	run := func(bugs ...string) (Answer, *bench) {
		b := newBench(t, 1, func(c *Config) { c.ChunkEvents = 1 }, bugs...)
		n := 0
		b.log.on(func(int32) error {
			if n++; n > 1 {
				return errUnknown
			}
			return nil
		})
		return b.Accept(context.Background(), batchOf(3)), b
	}
	if a, _ := run(); !slices.Equal(codes(a), []int{Accepted, Unknown, Unknown}) {
		t.Errorf("clean: %v", codes(a))
	}
	a, b := run(planted.PartialAsSuccess)
	if !slices.Equal(codes(a), []int{Accepted, Accepted, Accepted}) || len(b.log.storedEvents(t)) != 1 {
		t.Errorf("planted: %v with %d stored", codes(a), len(b.log.storedEvents(t)))
	}
}
