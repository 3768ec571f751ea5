package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// recordOverhead is what Sarama adds to key and value when it compares a record with MaxMessageBytes: the largest
// possible varints of a v2 record.
const recordOverhead = 5*5 + 10 + 1

// produced is one record on its way. It is its own Sarama encoder: each call of Encode means that the record was put into
// a request.
type produced struct {
	topic     string
	partition int32
	rec       port.Record
	result    *rt.Future[int64]
	encoded   atomic.Int32
}

// Encode implements sarama.Encoder.
func (p *produced) Encode() ([]byte, error) {
	p.encoded.Add(1)
	return p.rec.Value, nil
}

// Length implements sarama.Encoder.
func (p *produced) Length() int { return len(p.rec.Value) }

// producer implements port.Producer over a sarama.AsyncProducer.
//
// If it is idempotent, Sarama numbers a batch when it first sends it, has one batch of a partition in flight, and sends it
// again as it is. When it gives a batch up, for whatever reason, it begins a new epoch with all numbers at 0: that heals an
// OUT_OF_ORDER_SEQUENCE_NUMBER, and brokers refuse what may still be on its way under the epoch before. A new producer ID
// would lose that, so there is one for as long as the producer lives; 32,767 epochs later Sarama asks for another.
type producer struct {
	r        rt.Runtime
	maxBytes int
	seeds    []string
	config   *sarama.Config
	client   sarama.Client        // made by the feeder, like async
	async    sarama.AsyncProducer // nil until a broker has answered, if it is idempotent

	mu     sync.Mutex
	work   sync.Cond // queue has something, or closed
	queue  []*produced
	open   map[*produced]struct{}
	closed bool
	idle   *rt.Future[struct{}] // set by Close: done when nothing is open

	stop chan struct{}  // ends the feeder
	fed  sync.WaitGroup // the feeder has ended
}

// NewProducer implements [port.Log].
func (l *Log) NewProducer(cfg port.ProducerConfig) (port.Producer, error) {
	c, err := l.producerConfig(cfg)
	if err != nil {
		return nil, err
	}
	p := &producer{r: l.r, maxBytes: cfg.MaxBatchBytes, seeds: l.seeds, config: c, open: map[*produced]struct{}{}, stop: make(chan struct{})}
	p.work.L = &p.mu
	p.fed.Add(1)
	go p.feed()
	return p, nil
}

// connect makes Sarama's producer. An idempotent one needs an ID, for which Sarama asks one broker only, again and again
// over the same connection even if that is broken; so each attempt has a client of its own, which begins at a random broker.
// It returns false if the producer was closed first.
func (p *producer) connect() bool {
	for tries := 0; ; tries++ {
		client, async, err := p.attempt()
		if err == nil {
			p.client, p.async = client, async
			go p.successes()
			go p.errors()
			return true
		}
		if tries >= p.config.Producer.Retry.Max {
			tries = -1
			p.refuse(fmt.Errorf("no broker gave the producer an ID: %w", err))
		}
		select {
		case <-p.stop:
			return false
		case <-time.After(p.config.Producer.Retry.Backoff):
		}
	}
}

func (p *producer) attempt() (sarama.Client, sarama.AsyncProducer, error) {
	client, err := sarama.NewClient(p.seeds, p.config)
	if err != nil {
		return nil, nil, err
	}
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return client, async, nil
}

// refuse settles what waits to be handed to Sarama: it was never sent.
func (p *producer) refuse(why error) {
	p.mu.Lock()
	waiting := p.queue
	p.queue = nil
	p.mu.Unlock()
	for _, m := range waiting {
		p.settle(m, -1, fmt.Errorf("kafka: produce to %s/%d: %w: %w", m.topic, m.partition, port.ErrRefused, why))
	}
}

// Produce implements [port.Producer].
func (p *producer) Produce(topic string, partition int32, rec port.Record) *rt.Future[int64] {
	size := len(rec.Key) + len(rec.Value) + recordOverhead + sizeOfNumber(rec.Number)
	if size > p.maxBytes {
		return rt.Resolved[int64](p.r, -1, fmt.Errorf("kafka: produce to %s/%d: record of %d bytes exceeds the batch size of %d: %w: %w",
			topic, partition, size, p.maxBytes, port.ErrRefused, port.ErrTooLarge))
	}
	m := &produced{topic: topic, partition: partition, rec: rec, result: rt.NewFuture[int64](p.r)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return rt.Resolved[int64](p.r, -1, fmt.Errorf("kafka: produce to %s/%d: the producer is closed: %w", topic, partition, port.ErrRefused))
	}
	p.queue = append(p.queue, m)
	p.open[m] = struct{}{}
	p.work.Signal()
	p.mu.Unlock()
	return m.result
}

// feed hands records to Sarama, whose input blocks when its buffers are full.
func (p *producer) feed() {
	defer p.fed.Done()
	if !p.connect() {
		return
	}
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.closed {
			p.work.Wait()
		}
		batch := p.queue
		p.queue = nil
		p.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-p.stop:
				return
			default:
			}
			p.mu.Lock()
			drained := p.closed && len(p.queue) == 0
			p.mu.Unlock()
			if drained {
				return
			}
			continue
		}
		for _, m := range batch {
			p.learn(m.topic, m.partition)
			// Sarama leaves the offset as it is if a broker says only that it has the batch already.
			msg := &sarama.ProducerMessage{Topic: m.topic, Partition: m.partition, Value: m, Timestamp: m.rec.Time, Metadata: m, Offset: -1, Headers: numberHeader(m.rec.Number)}
			if m.rec.Key != nil {
				msg.Key = sarama.ByteEncoder(m.rec.Key)
			}
			select {
			case p.async.Input() <- msg:
			case <-p.stop:
				return
			}
		}
	}
}

// learn asks the cluster for a topic's partitions if the client does not know one: its own view is minutes old, the topic
// may have grown since, and Sarama would refuse the record. If it is not there even so, or nobody answers, Sarama says so.
func (p *producer) learn(topic string, partition int32) {
	if known, err := p.client.Partitions(topic); err == nil && int(partition) >= len(known) {
		_ = p.client.RefreshMetadata(topic)
	}
}

func (p *producer) successes() {
	for msg := range p.async.Successes() {
		m := msg.Metadata.(*produced)
		offset := msg.Offset
		if p.config.Producer.RequiredAcks == sarama.NoResponse {
			offset = -1 // the broker did not say
		}
		p.settle(m, offset, nil)
	}
}

func (p *producer) errors() {
	for failed := range p.async.Errors() {
		m, ok := failed.Msg.Metadata.(*produced)
		if !ok {
			continue
		}
		p.settle(m, -1, fmt.Errorf("kafka: produce to %s/%d: %w", m.topic, m.partition, classify(failed.Err, int(m.encoded.Load()), p.config.Producer.Retry.Max > 0)))
	}
}

func (p *producer) settle(m *produced, offset int64, err error) {
	m.result.Complete(offset, err)
	p.mu.Lock()
	delete(p.open, m)
	var idle *rt.Future[struct{}]
	if len(p.open) == 0 {
		idle = p.idle
	}
	p.mu.Unlock()
	if idle != nil {
		idle.Complete(struct{}{}, nil)
	}
}

// Close implements [port.Producer]. Sarama is closed only when nothing is in flight any more, or nothing is waited for.
func (p *producer) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.idle = rt.NewFuture[struct{}](p.r)
	if len(p.open) == 0 {
		p.idle.Complete(struct{}{}, nil)
	}
	p.work.Broadcast()
	p.mu.Unlock()
	_, err := p.idle.Wait(ctx)
	close(p.stop)
	p.mu.Lock()
	var left []*produced
	for m := range p.open {
		left = append(left, m)
	}
	p.mu.Unlock()
	for _, m := range left {
		p.settle(m, -1, fmt.Errorf("kafka: produce to %s/%d: the producer was closed with the record in flight: %w", m.topic, m.partition, port.ErrUnknown))
	}
	// Sarama's own close may take as long as its retries; nobody waits for it, and its errors concern records whose
	// outcome has been given as unknown.
	go func() {
		p.fed.Wait()
		if p.async == nil {
			return
		}
		p.async.AsyncClose()
		_ = p.client.Close()
	}()
	if err != nil {
		return fmt.Errorf("kafka: producer closed with %d records in flight: %w", len(left), err)
	}
	return nil
}

var errClosed = errors.New("kafka: closed")
