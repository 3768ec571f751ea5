package shepherd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

func TestSickPartitionIsAvoidedThenProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3, func(c *Config) { c.SickFor = 50 * time.Millisecond })
		b.log.on(func(p int32) error {
			if p == 1 {
				return errUnknown
			}
			return nil
		})
		for len(b.Health().Sick) == 0 {
			b.Accept(context.Background(), batchOf(1))
		}
		if got := b.Health().Sick; len(got) != 1 || got[0] != 1 || b.seen.count(port.EventPartitionSick) != 1 {
			t.Fatalf("sick %v, announced %d times", got, b.seen.count(port.EventPartitionSick))
		}
		// While it is avoided nobody gets an error; each time the pause ends, one request probes it.
		failed := 0
		began := time.Now()
		for time.Since(began) < 40*time.Millisecond {
			if b.Accept(context.Background(), batchOf(1)).Statuses[0].Code != Accepted {
				failed++
			}
			time.Sleep(time.Millisecond)
		}
		if failed > 1 {
			t.Errorf("%d requests went to the sick partition within one pause", failed)
		}
		b.log.on(func(int32) error { return nil })
		eventually(t, "a probe finds it well", func() bool {
			b.Accept(context.Background(), batchOf(1))
			return len(b.Health().Sick) == 0
		})
		if b.seen.count(port.EventPartitionWell) != 1 {
			t.Errorf("well was announced %d times", b.seen.count(port.EventPartitionWell))
		}
	})
}

func TestHangingPartitionIsFoundWithoutTraffic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, func(c *Config) {
			c.AckTimeout, c.SickAfter, c.SickFor = 5*time.Millisecond, 20*time.Millisecond, 40*time.Millisecond
		})
		b.log.on(func(int32) error { return errHang })
		b.Accept(context.Background(), batchOf(1))
		ctx, stop := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- b.Run(ctx) }()
		eventually(t, "sick by hanging", func() bool { return len(b.Health().Sick) == 1 })
		hanging := b.log.attempts()[0]
		b.log.on(func(int32) error { return nil })
		for range 200 {
			if s := b.Accept(context.Background(), batchOf(1)).Statuses[0]; s.Code != Accepted || s.Partition == hanging {
				t.Fatalf("%+v went to the partition that hangs", s)
			}
		}
		b.log.settle(nil)
		if sick := b.Health().Sick; len(sick) != 1 {
			t.Errorf("a record that was acknowledged in the end is no proof of work, but sick is %v", sick)
		}
		eventually(t, "its probes are prompt", func() bool {
			b.Accept(context.Background(), batchOf(1))
			return len(b.Health().Sick) == 0
		})
		stop()
		<-ran
	})
}

func TestAllSickPicksTheLeastBad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, func(c *Config) {
			c.SickFor = time.Hour
			c.AckTimeout = time.Millisecond
			c.SickAfter = time.Millisecond
		})
		// Partition 0 hangs, partition 1 has failed: nothing waits there.
		b.log.on(func(p int32) error {
			if p == 0 {
				return errHang
			}
			return errUnknown
		})
		eventually(t, "both sick", func() bool {
			b.Accept(context.Background(), batchOf(1))
			return len(b.Health().Sick) == 2
		})
		b.log.on(func(p int32) error {
			if p == 0 {
				t.Error("took the partition that hangs")
			}
			return nil
		})
		if s := b.Accept(context.Background(), batchOf(1)).Statuses[0]; s.Code != Accepted || s.Partition != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func BenchmarkAccept(b *testing.B) {
	s := newBench(b, 6, nil)
	req := batchOf(10)
	b.ReportAllocs()
	for b.Loop() {
		s.Accept(context.Background(), req)
		for i := range s.log.stored {
			s.log.stored[i] = s.log.stored[i][:0]
		}
		s.log.produced = s.log.produced[:0]
	}
}

// TestLivenessByHeartbeat: with the bug planted, a partition that hangs is well as long as its leader does not say no.
func TestLivenessByHeartbeat(t *testing.T) {
	t.Parallel()
	for _, bugs := range [][]string{nil, {planted.LivenessByHeartbeat}} {
		b := newBench(t, 1, func(c *Config) { c.AckTimeout, c.SickAfter = time.Millisecond, time.Millisecond }, bugs...)
		b.log.on(func(int32) error { return errHang })
		for range 3 {
			b.Accept(context.Background(), batchOf(1))
			time.Sleep(2 * time.Millisecond)
		}
		b.sweep()
		if sick := len(b.Health().Sick); sick != 1-len(bugs) {
			t.Errorf("%v: %d sick", bugs, sick)
		}
	}
}
