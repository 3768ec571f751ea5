package watch

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// kafka is a [port.Log] that is measured: each record that is produced, each fetch and each question is an operation.
type kafka struct {
	m   *meter
	log port.Log
}

func (k *kafka) NewProducer(cfg port.ProducerConfig) (port.Producer, error) {
	p, err := k.log.NewProducer(cfg)
	if err != nil {
		return nil, err
	}
	return &producer{k.m, p}, nil
}

func (k *kafka) NewReader(cfg port.ReaderConfig, topic string, partition int32, offset int64) (port.Reader, error) {
	r, err := k.log.NewReader(cfg, topic, partition, offset)
	if err != nil {
		return nil, err
	}
	return &reader{r, k.m}, nil
}

func (k *kafka) Admin() port.LogAdmin { return &admin{k.m, k.log.Admin()} }

type producer struct {
	m *meter
	p port.Producer
}

func (p *producer) Produce(topic string, partition int32, rec port.Record) *rt.Future[int64] {
	op := p.m.begin()
	f := p.p.Produce(topic, partition, rec)
	f.OnDone(func(_ int64, err error) { p.m.end(context.Background(), op, err) })
	return f
}

func (p *producer) Close(ctx context.Context) error { return p.p.Close(ctx) }

type reader struct {
	port.Reader
	m *meter
}

func (r *reader) Fetch(ctx context.Context) (port.Batch, error) {
	op := r.m.begin()
	b, err := r.Reader.Fetch(ctx)
	r.m.end(ctx, op, err)
	return b, err
}
