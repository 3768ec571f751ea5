package kafka

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// bench is a world with a topic and a producer, for one behaviour.
type bench struct {
	*world
	t   *testing.T
	ctx context.Context
	p   port.Producer
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

// send produces n records to partition 0 and waits for their outcomes; it returns the last offset and error.
func (b *bench) send(n int) (offset int64, err error) {
	futs := make([]*rt.Future[int64], n)
	for i := range futs {
		futs[i] = b.p.Produce(topic, 0, record(i))
	}
	for _, f := range futs {
		offset, err = f.Wait(b.ctx)
	}
	return offset, err
}

func (b *bench) producer(change func(*port.ProducerConfig)) {
	cfg := port.DefaultProducerConfig("test")
	change(&cfg)
	p, err := b.log.NewProducer(cfg)
	b.must(err)
	b.p = p
}

func (b *bench) sleep(d time.Duration) { _ = b.w().Sleep(b.ctx, d) }
func (b *bench) w() rt.Runtime         { return b.world.p }

func (b *bench) wait(limit time.Duration, what string, ok func() bool) {
	b.t.Helper()
	b.until(b.ctx, b.t, limit, what, ok)
}

func (b *bench) leader() string { return b.c.Leader(topic, 0) }

func (b *bench) isr() []int32 {
	st, _ := b.c.State(topic, 0)
	slices.Sort(st.ISR)
	return st.ISR
}

// followers are the brokers that do not lead partition 0.
func (b *bench) followers() []string {
	var names []string
	for _, x := range b.c.brokers {
		if x.name != b.leader() {
			names = append(names, x.name)
		}
	}
	return names
}

func (b *bench) replica(name string) *partition {
	return b.c.byName(name).run.partition(b.c.ref(topic, 0))
}

func (c *Cluster) byName(name string) *broker {
	b, err := c.named(name)
	if err != nil {
		panic(err)
	}
	return b
}

func (b *bench) kill(name string)  { b.t.Helper(); b.must(b.c.KillBroker(name)) }
func (b *bench) start(name string) { b.t.Helper(); b.must(b.c.StartBroker(name)) }

func (b *bench) cutBroker(name string) {
	for _, x := range b.c.brokers {
		if x.name != name {
			b.n.Cut(x.name, name)
			b.n.Cut(name, x.name)
		}
	}
	for _, z := range b.zk.Nodes() {
		b.n.Cut(z, name)
		b.n.Cut(name, z)
	}
}

// outOfISR makes one follower leave the ISR, then kills all others and starts it: it is the only one alive.
func outOfISR(b *bench) string {
	behind := b.followers()[0]
	b.kill(behind)
	b.wait(10*time.Second, "ISR of two", func() bool { return len(b.isr()) == 2 })
	if _, err := b.send(1); err != nil {
		b.t.Error(err)
	}
	for _, x := range b.c.brokers {
		if x.name != behind {
			b.kill(x.name)
		}
	}
	b.wait(15*time.Second, "time for the sessions to expire", func() bool { return true })
	b.sleep(5 * time.Second)
	b.start(behind)
	return behind
}

// appendsOfLostAnswer produces a record whose leader's answers are lost for a while, and counts it in the log.
func (b *bench) appendsOfLostAnswer() int {
	lead := b.leader()
	if _, err := b.send(1); err != nil {
		b.t.Error(err)
	}
	b.n.Cut(lead, "client") // requests arrive, answers do not
	f := b.p.Produce(topic, 0, record(7))
	b.sleep(6 * time.Second)
	b.n.HealAll()
	offset, err := f.Wait(b.ctx)
	b.must(err)
	n := 0
	for _, rec := range b.c.Replicas(topic, 0)[0].Records {
		if string(rec.Value) == string(record(7).Value) {
			n++
			if n == 1 && rec.Offset > offset {
				b.t.Errorf("answered with offset %d, and the record is at %d", offset, rec.Offset)
			}
		}
	}
	return n
}
