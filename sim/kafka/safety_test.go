package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// chaos is one run of a small load under faults, and what is known of it afterwards.
type chaos struct {
	*world
	acks       port.Acks
	producer   func(*port.ProducerConfig) // nil: as the pipeline's
	repeated   int                        // records of the final log that are in it already
	overtaken  int                        // records of the final log behind one that was sent later
	parts      int
	faults     func(ctx context.Context, c *chaos, r *rand.Rand) // until ctx ends or it returns
	lasting    time.Duration
	acked      []map[int64]string // by partition: offset to value
	refused    []map[string]bool
	seen       []map[int64]string // by consumers
	violations []string
	produced   int
	accepted   int
}

func (c *chaos) violate(format string, args ...any) {
	if len(c.violations) < 20 {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

// runChaos runs a seed and returns the violations of safety and liveness that it found.
func runChaos(seed uint64, cfg func(*Config), prepare func(*chaos)) (*chaos, error) {
	s := sched.New(seed)
	defer s.Close()
	c := &chaos{world: newWorldOn(s, cfg), acks: port.AcksAll, parts: 3, lasting: 25 * time.Second, faults: randomFaults}
	if prepare != nil {
		prepare(c)
	}
	for range c.parts {
		c.acked, c.seen = append(c.acked, map[int64]string{}), append(c.seen, map[int64]string{})
		c.refused = append(c.refused, map[string]bool{})
	}
	err := c.drive(func(ctx context.Context) {
		if err := c.ready(ctx, port.TopicSpec{Name: topic, Partitions: int32(c.parts), Replication: 3, MinISR: 2}); err != nil {
			c.violate("not ready: %v", err)
			return
		}
		c.body(ctx)
	})
	return c, err
}

func (c *chaos) body(ctx context.Context) {
	cfg := port.DefaultProducerConfig("chaos")
	cfg.Acks, cfg.Idempotent = c.acks, c.acks == port.AcksAll
	if c.producer != nil {
		c.producer(&cfg)
	}
	cfg.RetryMax = 10 + int(c.s.Rand("retries").Int64N(60))
	p, err := c.log.NewProducer(cfg)
	if err != nil {
		c.violate("%v", err)
		return
	}
	for part := range c.parts {
		c.p.Go("consumer", func(ctx context.Context) { c.consume(ctx, part) })
	}
	stop, stopped := false, false
	open := 0
	load := c.s.Rand("load")
	c.p.Go("load", func(ctx context.Context) {
		for i := 0; !stop; i++ {
			part := load.IntN(c.parts)
			value := fmt.Sprintf("%d-%d", part, i)
			open++
			c.produced++
			p.Produce(topic, int32(part), port.Record{Value: []byte(value), Number: uint64(i + 1)}).OnDone(func(offset int64, err error) {
				open--
				switch {
				case err == nil:
					c.accepted++
					c.observe(c.acked[part], part, offset, value, "acknowledged")
				case errors.Is(err, port.ErrRefused):
					c.refused[part][value] = true
				}
			})
			_ = c.p.Sleep(ctx, time.Duration(load.Int64N(int64(20*time.Millisecond))))
		}
		stopped = true
	})
	_ = c.p.Sleep(ctx, 200*time.Millisecond)
	faulty, cancel := c.p.WithTimeout(ctx, c.lasting)
	c.faults(faulty, c, c.s.Rand("faults"))
	cancel()
	c.onEvent = nil
	c.healAll()
	if !c.eventually(ctx, 60*time.Second, func() bool { return c.fullISR(c.parts)() }) {
		c.violate("ISRs are not full a minute after the last fault")
	}
	stop = true
	if !c.eventually(ctx, 5*time.Minute, func() bool { return stopped && open == 0 }) {
		c.violate("%d records without outcome", open)
	}
	c.eventually(ctx, 60*time.Second, c.settled) // a broker that was just healed may have to catch up yet
	c.judge(ctx)
}

// observe notes that a value is at an offset; one offset must never have two values.
func (c *chaos) observe(m map[int64]string, part int, offset int64, value, how string) {
	if old, ok := m[offset]; ok && old != value {
		c.violate("partition %d offset %d %s with %q, and with %q", part, offset, how, old, value)
	}
	m[offset] = value
}

func (c *chaos) consume(ctx context.Context, part int) {
	r, err := c.log.NewReader(port.DefaultReaderConfig("chaos"), topic, int32(part), 0)
	if err != nil {
		c.violate("%v", err)
		return
	}
	for next := int64(0); ; {
		b, err := r.Fetch(ctx)
		if errors.Is(err, port.ErrOffsetOutOfRange) {
			c.violate("consumer of partition %d is out of range at %d: %v", part, r.Offset(), err)
			return
		}
		if err != nil {
			return
		}
		for _, rec := range b.Records {
			if rec.Offset != next {
				c.violate("consumer of partition %d got offset %d, expected %d", part, rec.Offset, next)
			}
			next = rec.Offset + 1
			c.observe(c.seen[part], part, rec.Offset, string(rec.Value), "seen")
		}
	}
}

func (c *chaos) eventually(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for end := c.s.Now() + limit; !ok(); {
		if c.s.Now() >= end || c.p.Sleep(ctx, 50*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// judge compares everything that was promised with the logs.
func (c *chaos) judge(ctx context.Context) {
	for part := range c.parts {
		reps := c.c.Replicas(topic, int32(part))
		final := map[int64]string{}
		st, _ := c.c.State(topic, int32(part))
		for i, rep := range reps {
			for j, rec := range rep.Records {
				if rec.Offset != rep.Start+int64(j) {
					c.violate("partition %d on %s: offset %d at position %d", part, rep.Broker, rec.Offset, j)
				}
				c.observe(final, part, rec.Offset, string(rec.Value), "stored") // replicas must agree
			}
			if rep.End != reps[0].End || rep.HighWatermark != rep.End {
				c.violate("partition %d: %s ends at %d with high watermark %d, %s at %d (ISR %v, replica %d)", part, rep.Broker, rep.End, rep.HighWatermark, reps[0].Broker, reps[0].End, st.ISR, i)
			}
		}
		if len(reps) > 0 {
			c.judgeOrder(part, reps[0].Records)
		}
		for offset, value := range c.acked[part] {
			if final[offset] != value {
				c.violate("partition %d: acknowledged %q at offset %d, where the log has %q", part, value, offset, final[offset])
			}
		}
		for offset, value := range c.seen[part] {
			if final[offset] != value {
				c.violate("partition %d: a consumer saw %q at offset %d, where the log has %q", part, value, offset, final[offset])
			}
		}
		for offset, value := range final {
			if c.refused[part][value] {
				c.violate("partition %d: refused %q is at offset %d", part, value, offset)
			}
		}
		if !c.eventually(ctx, 10*time.Second, func() bool { return len(c.seen[part]) == len(final) }) {
			c.violate("partition %d: %d records in the log, %d seen by the consumer", part, len(final), len(c.seen[part]))
		}
	}
}

// judgeOrder: an idempotent producer's records are in the log once each, in the order in which they were sent.
func (c *chaos) judgeOrder(part int, records []port.Fetched) {
	seen, last := map[uint64]bool{}, uint64(0)
	for _, rec := range records {
		switch {
		case seen[rec.Number]:
			c.repeated++
		case rec.Number < last:
			c.overtaken++
		}
		seen[rec.Number], last = true, max(last, rec.Number)
	}
	if c.producer == nil && c.acks == port.AcksAll && c.repeated+c.overtaken > 0 {
		c.violate("partition %d: %d records twice, %d out of order", part, c.repeated, c.overtaken)
	}
}

// settled says that all replicas agree on the end and on the high watermark.
func (c *chaos) settled() bool {
	for part := range c.parts {
		for _, b := range c.c.brokers {
			r := c.c.ref(topic, int32(part))
			if b.run == nil || b.run.partition(r) == nil {
				return false
			}
			p, first := b.run.partition(r), c.c.brokers[0].run.partition(r)
			if p.hw != p.log.end || p.log.end != first.log.end {
				return false
			}
		}
	}
	return c.fullISR(c.parts)()
}

func (c *chaos) healAll() {
	c.n.HealAll()
	for _, b := range c.c.brokers {
		if b.run == nil {
			if err := c.c.StartBroker(b.name); err != nil {
				c.violate("%v", err)
			}
		} else {
			b.run.p.Resume()
		}
	}
	for _, z := range c.zk.Nodes() {
		c.zk.ResumeNode(z)
		if !c.zk.Running(z) {
			c.zk.StartNode(z)
		}
	}
}

// cut cuts a broker off from the other brokers and from ZooKeeper, but not from clients.
func (c *chaos) cut(name string, in, out bool) {
	var others []string
	for _, b := range c.c.brokers {
		if b.name != name {
			others = append(others, b.name)
		}
	}
	for _, other := range append(others, c.zk.Nodes()...) {
		if in {
			c.n.Cut(other, name)
		}
		if out {
			c.n.Cut(name, other)
		}
	}
}

// randomFaults strikes brokers and ZooKeeper at random. A broker's disk is replaced only while every partition is fully
// in sync and nothing else is wrong: losing the disk of an ISR's last member loses data in Kafka, too (KIP-966).
func randomFaults(ctx context.Context, c *chaos, r *rand.Rand) {
	pause := func(most time.Duration) bool {
		return c.p.Sleep(ctx, time.Duration(r.Int64N(int64(most)))) == nil
	}
	for pause(3 * time.Second) {
		b := c.c.brokers[r.IntN(len(c.c.brokers))]
		switch r.IntN(8) {
		case 0, 1:
			_ = c.c.KillBroker(b.name) // it may be down already
			if r.IntN(2) == 0 {
				pause(6 * time.Second)
			}
			if b.run == nil {
				_ = c.c.StartBroker(b.name)
			}
		case 2:
			if b.run != nil {
				b.run.p.Pause()
				p := b.run.p
				pause(6 * time.Second)
				p.Resume()
			}
		case 3:
			c.cut(b.name, true, true)
			pause(8 * time.Second)
			c.n.HealAll()
		case 4:
			c.cut(b.name, r.IntN(2) == 0, true)
			pause(8 * time.Second)
			c.n.HealAll()
		case 5:
			c.n.Cut("client", b.name)
			c.n.Cut(b.name, "client")
			pause(6 * time.Second)
			c.n.HealAll()
		case 6:
			if c.calm() && c.fullISR(c.parts)() {
				_ = c.c.KillBroker(b.name)
				_ = c.c.WipeBroker(b.name)
				pause(5 * time.Second)
				_ = c.c.StartBroker(b.name)
				// until it is back nothing else may happen
				for !(c.calm() && c.fullISR(c.parts)()) && c.p.Sleep(ctx, 50*time.Millisecond) == nil {
				}
			}
		case 7:
			name := c.zk.Nodes()[r.IntN(3)]
			if c.zk.Running(name) {
				c.zk.KillNode(name)
				pause(4 * time.Second)
				c.zk.StartNode(name)
			}
		}
	}
}

// calm says that every broker runs and is registered as it is, and that Kafka's own topic is in sync.
func (c *chaos) calm() bool {
	for part := range c.c.cfg.OffsetsPartitions {
		if st, ok := c.c.State(offsetsTopic, part); ok && (st.Leader < 0 || len(st.ISR) < len(st.Replicas)) {
			return false
		}
	}
	for _, b := range c.c.brokers {
		if b.run == nil || b.run.p.Paused() || !b.run.listening {
			return false
		}
	}
	return true
}

// seeds is how many seeds a property is tried on: RATEL_SEEDS asks for more than the default.
func seeds(t *testing.T, n int) int {
	if s := os.Getenv("RATEL_SEEDS"); s != "" {
		more, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("RATEL_SEEDS=%q: expected a number", s)
		}
		return more
	}
	return n
}

func TestDurableSettingsLoseNothing(t *testing.T) {
	t.Parallel()
	const workers = 4
	n := seeds(t, 120)
	for w := range workers {
		t.Run(fmt.Sprint("worker", w), func(t *testing.T) {
			t.Parallel()
			produced, accepted, truncated, elected := 0, 0, 0, 0
			for seed := w; seed < n; seed += workers {
				c, err := runChaos(uint64(seed), nil, nil)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, v := range c.violations {
					t.Errorf("seed %d: %s", seed, v)
				}
				produced, accepted = produced+c.produced, accepted+c.accepted
				truncated, elected = truncated+c.count(port.EventLogTruncated), elected+c.count(port.EventLeaderElected)
			}
			t.Logf("%d produced, %d accepted, %d elections, %d truncations", produced, accepted, elected, truncated)
			if accepted < produced/2 || elected < n/workers || truncated == 0 {
				t.Errorf("the faults hardly did anything, or too much")
			}
		})
	}
}
