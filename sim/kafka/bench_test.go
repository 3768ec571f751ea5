package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// BenchmarkPipeline is the load that the simulation's budget is set for: 200 records a second over six partitions,
// three replicas each, acks=all, read by six consumers. One iteration is a whole run: start, topic, and thirty virtual
// seconds of load. The goal is less than 1 ms of processor time per virtual second of load.
func BenchmarkPipeline(b *testing.B) {
	const perSecond, seconds = 200, 30
	value := make([]byte, 200)
	spec := port.TopicSpec{Name: topic, Partitions: 6, Replication: 3, MinISR: 2}
	b.ReportAllocs()
	steps := uint64(0)
	for b.Loop() {
		s := sched.New(1)
		w := newWorldOn(s, nil)
		read := 0
		w.run(b, func(ctx context.Context) {
			if err := w.ready(ctx, spec); err != nil {
				b.Error(err)
				return
			}
			for part := range spec.Partitions {
				w.p.Go("consume", func(ctx context.Context) {
					r, err := w.log.NewReader(port.DefaultReaderConfig("bench"), topic, part, 0)
					for err == nil {
						var batch port.Batch
						batch, err = r.Fetch(ctx)
						read += len(batch.Records)
					}
					b.Error(err)
				})
			}
			p, err := w.log.NewProducer(port.DefaultProducerConfig("bench"))
			if err != nil {
				b.Error(err)
				return
			}
			futs := make([]*rt.Future[int64], 0, perSecond*seconds)
			for i := range perSecond * seconds {
				futs = append(futs, p.Produce(topic, int32(i%6), port.Record{Value: value}))
				_ = w.p.Sleep(ctx, time.Second/perSecond)
			}
			for _, f := range futs {
				if _, err := f.Wait(ctx); err != nil {
					b.Error(err)
				}
			}
			_ = w.p.Sleep(ctx, 100*time.Millisecond)
		})
		if read != perSecond*seconds {
			b.Errorf("%d produced, %d read", perSecond*seconds, read)
		}
		steps += s.Steps()
		s.Close()
	}
	runs := float64(b.N)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/runs/seconds, "us/virtual-s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/runs/seconds/perSecond, "ns/record")
	b.ReportMetric(float64(steps)/runs/seconds/perSecond, "steps/record")
}
