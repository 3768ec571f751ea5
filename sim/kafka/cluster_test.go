package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestProduceReplicateConsume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.run(t, func(ctx context.Context) {
		if err := w.ready(ctx, port.TopicSpec{}); err != nil {
			t.Error(err)
			return
		}
		t.Logf("ready at %v", w.s.Now())
		p, err := w.log.NewProducer(port.DefaultProducerConfig("p"))
		if err != nil {
			t.Error(err)
			return
		}
		var futs []*rt.Future[int64]
		for i := range 100 {
			futs = append(futs, p.Produce(topic, 0, record(i)))
			_ = w.p.Sleep(ctx, time.Millisecond)
		}
		for i, f := range futs {
			if off, err := f.Wait(ctx); err != nil || off != int64(i) {
				t.Errorf("record %d: offset %d, %v", i, off, err)
			}
		}
		r, err := w.log.NewReader(port.DefaultReaderConfig("r"), topic, 0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		n := 0
		for n < 100 {
			b, err := r.Fetch(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			for _, rec := range b.Records {
				if rec.Offset != int64(n) || string(rec.Value) != string(record(n).Value) {
					t.Errorf("at %d: offset %d, %q", n, rec.Offset, rec.Value)
				}
				n++
			}
		}
		_ = w.p.Sleep(ctx, time.Second)
		for _, rep := range w.c.Replicas(topic, 0) {
			if rep.End != 100 || rep.HighWatermark != 100 {
				t.Errorf("%s: end %d, high watermark %d", rep.Broker, rep.End, rep.HighWatermark)
			}
		}
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	w.run(t, func(ctx context.Context) {
		if err := w.ready(ctx, port.TopicSpec{}); err != nil {
			t.Error(err)
			return
		}
		p, err := w.log.NewProducer(port.DefaultProducerConfig("p"))
		if err != nil {
			t.Error(err)
			return
		}
		old := w.c.Leader(topic, 0)
		var futs []*rt.Future[int64]
		start := w.s.Now()
		for i := range 6000 {
			futs = append(futs, p.Produce(topic, 0, record(i)))
			_ = w.p.Sleep(ctx, time.Millisecond)
			if i == 1000 {
				if err := w.c.KillBroker(old); err != nil {
					t.Error(err)
				}
				killed := w.s.Now()
				w.onEvent = func(e port.Event) {
					if e.Kind == port.EventLeaderElected && e.Part == 0 {
						t.Logf("new leader %s %v after the kill: %s", e.Node, w.s.Now()-killed, e.Detail)
						w.onEvent = nil
					}
				}
			}
		}
		for i, f := range futs {
			if _, err := f.Wait(ctx); err != nil {
				t.Errorf("record %d: %v", i, err)
				return
			}
		}
		t.Logf("all acknowledged %v after the start", w.s.Now()-start)
		if err := w.c.StartBroker(old); err != nil {
			t.Error(err)
		}
		back := w.s.Now()
		w.until(ctx, t, 30*time.Second, "full ISR", w.fullISR(3))
		t.Logf("full ISR %v after the restart", w.s.Now()-back)
	})
	for _, e := range w.events {
		t.Logf("%+v", e)
	}
}
