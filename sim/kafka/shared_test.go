package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// TestSharedReadersWaitForOneAnother: two partitions of one leader, one of which gets records. The long poll of the other
// holds them back if both are read over one connection, and only then.
func TestSharedReadersWaitForOneAnother(t *testing.T) {
	t.Parallel()
	delay := func(shared bool, other int32) time.Duration {
		w := newWorld(t, 1, func(c *Config) { c.ImbalanceInterval = -1 })
		var worst time.Duration
		w.run(t, func(ctx context.Context) {
			b := &bench{world: w, t: t, ctx: ctx}
			b.must(w.ready(ctx, port.TopicSpec{Name: topic, Partitions: 6, Replication: 3, MinISR: 2}))
			b.wait(10*time.Second, "full ISRs", w.fullISR(6))
			if same := w.c.Leader(topic, 0) == w.c.Leader(topic, other); same != (other == 3) {
				t.Errorf("partitions 0 and %d have one leader: %v", other, same)
			}
			cfg := port.DefaultReaderConfig("r")
			cfg.Shared, cfg.MaxWait = shared, 500*time.Millisecond
			idle, err := w.log.NewReader(cfg, topic, other, 0)
			b.must(err)
			busy, err := w.log.NewReader(cfg, topic, 0, 0)
			b.must(err)
			w.p.Go("idle", func(ctx context.Context) {
				for err := error(nil); err == nil; {
					_, err = idle.Fetch(ctx)
				}
			})
			b.producer(func(*port.ProducerConfig) {})
			for range 20 {
				_, err := b.send(1)
				b.must(err)
				at := w.s.Now()
				for n := 0; n == 0; {
					got, err := busy.Fetch(ctx)
					b.must(err)
					n = len(got.Records)
				}
				worst = max(worst, w.s.Now()-at)
				b.sleep(130 * time.Millisecond)
			}
			busy.Close() // the other one goes on
			if _, err := idle.Fetch(ctx); err != nil {
				t.Error(err)
			}
		})
		return worst
	}
	const short, long = 50 * time.Millisecond, 300 * time.Millisecond
	if d := delay(true, 3); d < long {
		t.Errorf("shared, one leader: at most %v, expected the other's long poll to be waited for", d)
	}
	if d := delay(true, 1); d > short {
		t.Errorf("shared, two leaders: %v", d)
	}
	if d := delay(false, 3); d > short {
		t.Errorf("not shared, one leader: %v", d)
	}
}
