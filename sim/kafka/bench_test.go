package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// BenchmarkPipeline is the load that the simulation's budget is set for: 200 records a second over six partitions,
// three replicas each, acks=all, read by six consumers. One iteration is ten virtual seconds; the goal is less than 1 ms
// of processor time per virtual second.
func BenchmarkPipeline(b *testing.B) {
	w := newWorld(b, 1, nil)
	spec := port.TopicSpec{Name: topic, Partitions: 6, Replication: 3, MinISR: 2}
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
		_ = w.p.Sleep(ctx, time.Second)
	})
	const perSecond, seconds = 200, 10
	value := make([]byte, 200)
	b.ReportAllocs()
	b.ResetTimer()
	produced := 0
	for b.Loop() {
		w.run(b, func(ctx context.Context) {
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
			produced += len(futs)
			if err := p.Close(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	elapsed := b.Elapsed()
	if lag := produced - read; lag < 0 || lag > 6 {
		b.Errorf("%d produced, %d read", produced, read)
	}
	b.ReportMetric(float64(elapsed.Microseconds())/float64(b.N*seconds), "us/virtual-s")
	b.ReportMetric(float64(elapsed.Nanoseconds())/float64(produced), "ns/record")
}
