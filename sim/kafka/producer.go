package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// maxOpenRequests is how many produce requests may be unanswered per broker (Sarama's Net.MaxOpenRequests): an idempotent
// producer has one.
const maxOpenRequests = 5

// producer batches records per partition and sends one request per leader, as Sarama's AsyncProducer does: one batch of
// a partition is in flight at a time, failed batches are sent again after fresh metadata until the retries are spent.
type producer struct {
	k       *client
	r       rt.Runtime
	cfg     port.ProducerConfig
	parts   map[refKey]*producePartition
	brokers []*brokerProducer // by broker id
	crc     *crc32.Table
	open    int // records without a result
	idle    *rt.Future[struct{}]
	closed  bool
	all     []*producePartition // in order of their first record
	strays  []*producePartition // batches that are on their way alone

	// Of an idempotent producer.
	id          int64 // 0: it has none yet
	epoch       int16
	identifying bool
	refusals    int // how often in a row no broker gave it one
}

// producePartition is what waits for one partition.
type producePartition struct {
	ref    *tpRef
	recs   []port.Record
	futs   []*rt.Future[int64]
	sizes  []int
	sums   []uint64
	batch  *sending          // in flight, or waiting for its next attempt
	next   int32             // the next record's sequence number
	of     *producePartition // set while its batch is on its way alone
	queued *brokerProducer   // whose list it is in
}

// sending is a batch on its way.
type sending struct {
	recs     []port.Record
	futs     []*rt.Future[int64]
	one      [1]*rt.Future[int64]
	bytes    int
	sum      uint64
	attempts int
	maybe    bool // an attempt may have been appended
	seq      sequence
}

// brokerProducer gathers what goes to one leader.
type brokerProducer struct {
	id       int32
	ready    []*producePartition
	bytes    int
	linger   timer
	inflight int
	due      bool // the linger is over, but too many requests are open, or the producer has no ID yet
}

func newProducer(c *Cluster, node *simnet.Node, p *sched.Process, cfg port.ProducerConfig) *producer {
	made := &producer{
		k: c.newClient(node, p, cfg.DialTimeout, cfg.ReadTimeout), r: p, cfg: cfg, parts: map[refKey]*producePartition{},
		brokers: make([]*brokerProducer, len(c.brokers)+1), crc: crc32.MakeTable(crc32.Castagnoli),
	}
	if cfg.Idempotent {
		made.identify()
	}
	return made
}

// Produce implements port.Producer.
func (p *producer) Produce(topic string, partition int32, rec port.Record) *rt.Future[int64] {
	if p.closed {
		return rt.Resolved[int64](p.r, noOffset, fmt.Errorf("kafka: produce to %s/%d: producer is closed: %w", topic, partition, port.ErrRefused))
	}
	size := sizeOfRecord(&rec)
	if size+batchHeaderBytes > p.cfg.MaxBatchBytes {
		return rt.Resolved[int64](p.r, noOffset, fmt.Errorf("kafka: produce to %s/%d: record of %d bytes exceeds the batch size of %d: %w, %w",
			topic, partition, size, p.cfg.MaxBatchBytes, port.ErrTooLarge, port.ErrRefused))
	}
	key := refKey{topic, partition}
	pp := p.parts[key]
	if pp == nil {
		pp = &producePartition{ref: p.k.c.ref(topic, partition)}
		p.parts[key] = pp
		p.all = append(p.all, pp)
	}
	fut := rt.NewFuture[int64](p.r)
	p.open++
	pp.recs = append(pp.recs, rec)
	pp.futs = append(pp.futs, fut)
	pp.sizes = append(pp.sizes, size)
	pp.sums = append(pp.sums, uint64(crc32.Update(uint32(len(rec.Key)), p.crc, rec.Value)))
	p.schedule(pp, size, false)
	return fut
}

// schedule puts a partition that has something to send into its leader's list; now says not to linger.
func (p *producer) schedule(pp *producePartition, bytes int, now bool) {
	if pp.queued != nil {
		bp := pp.queued
		if bp.bytes += bytes; bp.bytes >= p.cfg.MaxBatchBytes {
			p.flush(bp)
		}
		return
	}
	if pp.batch != nil || len(pp.recs) == 0 {
		return
	}
	l, ok := p.k.leader(pp.ref)
	if !ok {
		p.cut(pp)
		p.lookUp(pp)
		return
	}
	p.enqueue(pp, l.id, bytes, now)
}

func (p *producer) enqueue(pp *producePartition, leader int32, bytes int, now bool) {
	bp := p.brokers[leader]
	if bp == nil {
		bp = &brokerProducer{id: leader}
		bp.linger.init(p.k.p, func() { p.flush(bp) })
		p.brokers[leader] = bp
	}
	pp.queued = bp
	bp.ready = append(bp.ready, pp)
	bp.bytes += bytes
	switch {
	case p.cfg.Linger <= 0 || bp.bytes >= p.cfg.MaxBatchBytes || now:
		p.flush(bp)
	case bp.linger.at == 0 && !bp.due:
		at := p.k.c.s.Now()
		bp.linger.set(at, at+p.cfg.Linger)
	}
}

// cut takes the next batch off a partition's queue.
func (p *producer) cut(pp *producePartition) {
	n, bytes, sum := 0, batchHeaderBytes, uint64(0)
	for n < len(pp.recs) && (n == 0 || bytes+pp.sizes[n] <= p.cfg.MaxBatchBytes) {
		bytes += pp.sizes[n]
		sum = sum*31 + pp.sums[n]
		n++
	}
	s := &sending{recs: pp.recs[:n:n], bytes: bytes, sum: sum}
	s.futs = append(s.one[:0], pp.futs[:n]...)
	pp.batch = s
	// The records go into the log as they are; all else is used again.
	if n == len(pp.recs) {
		pp.recs = nil
	} else {
		pp.recs = pp.recs[n:]
	}
	pp.futs = append(pp.futs[:0], pp.futs[n:]...)
	pp.sizes = append(pp.sizes[:0], pp.sizes[n:]...)
	pp.sums = append(pp.sums[:0], pp.sums[n:]...)
}

// flush sends one request with a batch of every partition in the list.
func (p *producer) flush(bp *brokerProducer) {
	if len(bp.ready) == 0 {
		return
	}
	if bp.inflight >= p.openRequests() {
		bp.due = true
		return
	}
	if p.cfg.Idempotent && p.id == 0 {
		bp.due = true
		p.identify()
		return
	}
	o := &outgoing{p: p, bp: bp}
	parts := append(o.inline[:0], bp.ready...)
	o.parts = parts
	clear(bp.ready)
	bp.ready, bp.bytes, bp.due = bp.ready[:0], 0, false
	bp.linger.clear()
	req := &o.req
	req.acks, req.timeout, req.parts = p.cfg.Acks, p.cfg.RequestTimeout, req.inline[:0]
	size, sum := headerBytes, uint64(0)
	for i, pp := range parts {
		pp.queued = nil
		if pp.batch == nil {
			p.cut(pp)
			if p.cfg.InFlight > 1 {
				pp = p.alone(pp)
				parts[i] = pp
			}
		}
		s := pp.batch
		p.number(pp)
		s.attempts++
		req.parts = append(req.parts, producePart{pp.ref, s.recs, s.bytes, s.sum, s.seq})
		size += perPartBytes + s.bytes
		sum = sum*31 + s.sum
	}
	conn := p.k.conn(bp.id)
	m := simnet.Message{Body: req, Size: size, Sum: sum}
	if p.cfg.Acks == port.AcksNone {
		p.sendUnacknowledged(conn, m, parts)
		return
	}
	bp.inflight++
	conn.call(m, o.done)
}

// outgoing is one request on its way.
type outgoing struct {
	p      *producer
	bp     *brokerProducer
	parts  []*producePartition
	inline [1]*producePartition
	req    produceRequest
}

func (o *outgoing) done(body any, err error) {
	o.bp.inflight--
	o.p.answered(o.parts, body, err)
	if o.bp.due {
		o.p.flush(o.bp)
	}
}

// sendUnacknowledged sends with acks=0: what is on an open connection counts as sent, whatever becomes of it.
func (p *producer) sendUnacknowledged(conn *rpcConn, m simnet.Message, parts []*producePartition) {
	if conn.dead {
		p.answered(parts, nil, errNotSent)
		return
	}
	conn.call(m, nil)
	for _, pp := range parts {
		p.succeed(pp, noOffset)
	}
}

func (p *producer) answered(parts []*producePartition, body any, err error) {
	if err != nil {
		for _, pp := range parts {
			if pp.batch != nil {
				p.retry(pp, err, !errors.Is(err, errNotSent))
			}
		}
		return
	}
	resp := body.(*produceResponse)
	for i, pp := range parts {
		out := &resp.parts[i]
		if pp.batch == nil { // given up meanwhile
			continue
		}
		switch out.code {
		case codeNone:
			p.succeed(pp, out.base)
		case codeMessageTooLarge:
			pp.batch.attempts = p.cfg.RetryMax + 1 // the answer would be the same again
			p.retry(pp, fmt.Errorf("%w: broker answered %v", port.ErrTooLarge, out.code), false)
		case codeOutOfOrderSequenceNumber, codeInvalidProducerEpoch:
			// Nothing was appended now, which says nothing of the attempts before. Sarama does not send it again.
			pp.batch.attempts = p.cfg.RetryMax + 1
			p.retry(pp, fmt.Errorf("broker answered %v", out.code), true)
		case codeNotEnoughReplicas:
			p.retry(pp, fmt.Errorf("broker answered %v", out.code), false)
		default:
			// NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION, too, may be answered after the append, by a leader
			// that was deposed while it waited for its followers (KAFKA-13574).
			p.retry(pp, fmt.Errorf("broker answered %v", out.code), p.cfg.Acks == port.AcksAll || out.code == codeRequestTimedOut)
		}
	}
}

func (p *producer) succeed(pp *producePartition, base int64) {
	s := pp.batch
	pp.batch = nil
	p.open -= len(s.futs)
	for i, f := range s.futs {
		if base == noOffset {
			f.Complete(noOffset, nil)
		} else {
			f.Complete(base+int64(i), nil)
		}
	}
	p.finished(pp)
}

// retry sends a failed batch again after a pause and with fresh metadata, or gives it up.
func (p *producer) retry(pp *producePartition, why error, maybe bool) {
	s := pp.batch
	s.maybe = s.maybe || maybe
	if s.attempts > p.cfg.RetryMax {
		p.giveUp(pp, why)
		return
	}
	p.k.p.After(p.cfg.RetryBackoff, func() {
		if pp.batch == s {
			p.lookUp(pp)
		}
	})
}

// lookUp refreshes the metadata and sends the partition's batch to its leader.
func (p *producer) lookUp(pp *producePartition) {
	s := pp.batch
	p.k.refresh(pp.ref.topic, func(err error) {
		if pp.batch != s || pp.queued != nil {
			return
		}
		l, ok := p.k.leader(pp.ref)
		if err == nil && ok {
			p.enqueue(pp, l.id, s.bytes, true)
			return
		}
		s.attempts++
		if err == nil {
			err = fmt.Errorf("partition has no leader (%v)", p.k.view(pp.ref.topic).code)
		}
		p.retry(pp, err, false)
	})
}

func (p *producer) giveUp(pp *producePartition, why error) {
	s := pp.batch
	pp.batch = nil
	p.open -= len(s.futs)
	if s.seq.producer != 0 {
		p.bump()
	}
	err := fmt.Errorf("kafka: produce to %s/%d after %d attempts: %w (%w)", pp.ref.topic, pp.ref.part, s.attempts, outcome(s.maybe), why)
	for _, f := range s.futs {
		f.Complete(noOffset, err)
	}
	p.finished(pp)
}

func outcome(maybe bool) error {
	if maybe {
		return port.ErrUnknown
	}
	return port.ErrRefused
}

// finished goes on with a partition's next batch.
func (p *producer) finished(pp *producePartition) {
	p.schedule(p.joined(pp), 0, true) // they have waited long enough
	if p.open == 0 && p.idle != nil {
		p.idle.Complete(struct{}{}, nil)
	}
}

// Close implements port.Producer.
func (p *producer) Close(ctx context.Context) error {
	p.closed = true
	var err error
	if p.open > 0 {
		p.idle = rt.NewFuture[struct{}](p.r)
		_, err = p.idle.Wait(ctx)
	}
	if p.open > 0 {
		err = fmt.Errorf("kafka: producer closed with %d records in flight: %w", p.open, err)
		for _, pp := range slices.Concat(p.all, p.strays) {
			p.abandon(pp)
		}
	}
	p.k.close()
	return err
}

// abandon fails everything of a partition.
func (p *producer) abandon(pp *producePartition) {
	cause := fmt.Errorf("kafka: produce to %s/%d: producer closed: %w", pp.ref.topic, pp.ref.part, port.ErrUnknown)
	futs := pp.futs
	if pp.batch != nil {
		futs = append(append([]*rt.Future[int64]{}, pp.batch.futs...), futs...)
	}
	pp.batch, pp.recs, pp.futs, pp.sizes, pp.sums = nil, nil, nil, nil, nil
	p.open -= len(futs)
	for _, f := range futs {
		f.Complete(noOffset, cause)
	}
}
