package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestBehaviours(t *testing.T) {
	t.Parallel()
	noBalancing := func(c *Config) { c.ImbalanceInterval = -1 }
	for _, test := range []struct {
		name string
		cfg  func(*Config)
		spec port.TopicSpec
		run  func(b *bench)
	}{
		{name: "a follower learns the high watermark one fetch later", run: func(b *bench) {
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			lead, follow := b.replica(b.leader()), b.replica(b.followers()[0])
			if lead.hw != 1 || follow.log.end != 1 || follow.hw != 0 {
				b.t.Errorf("leader %d, follower ends at %d with high watermark %d; expected 1, 1, 0", lead.hw, follow.log.end, follow.hw)
			}
			b.wait(400*time.Millisecond, "the follower's high watermark", func() bool { return follow.hw == 1 })
		}},
		{name: "the ISR shrinks after replica.lag.time.max and the writes that waited are accepted", cfg: noBalancing, run: func(b *bench) {
			slow := b.followers()[0]
			b.must(b.c.PauseBroker(slow))
			at := b.s.Now()
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			// The ZooKeeper session ends first (3 s): either way the follower leaves the ISR.
			if d := b.s.Now() - at; d < 2*time.Second || d > 7*time.Second || len(b.isr()) != 2 {
				b.t.Errorf("accepted after %v with ISR %v", d, b.isr())
			}
			b.must(b.c.ResumeBroker(slow))
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
		}},
		{name: "a follower that cannot fetch but keeps its session leaves the ISR by its lag", cfg: noBalancing, run: func(b *bench) {
			slow, lead := b.followers()[0], b.leader()
			b.n.Cut(lead, slow)
			b.n.Cut(slow, lead)
			at := b.s.Now()
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			if d := b.s.Now() - at; d < 3*time.Second || d > 7*time.Second {
				b.t.Errorf("accepted after %v; replica.lag.time.max is %v, looked at every half of it", d, b.c.cfg.ReplicaLagTimeMax)
			}
			b.n.HealAll()
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
		}},
		{name: "below min.insync.replicas a produce is refused before it is appended", cfg: noBalancing, run: func(b *bench) {
			for _, f := range b.followers() {
				b.kill(f)
			}
			b.wait(10*time.Second, "ISR of one", func() bool { return len(b.isr()) == 1 })
			b.sleep(time.Second)
			b.producer(func(c *port.ProducerConfig) { c.RetryMax = 3 })
			end := b.replica(b.leader()).log.end
			if _, err := b.send(1); !errors.Is(err, port.ErrRefused) {
				b.t.Errorf("%v, expected refused", err)
			}
			if now := b.replica(b.leader()).log.end; now != end {
				b.t.Errorf("log end %d, before %d: a refused record was appended", now, end)
			}
		}},
		{name: "a produce that ISR loss overtakes has an unknown outcome and stays in the log", cfg: noBalancing, run: func(b *bench) {
			b.producer(func(c *port.ProducerConfig) {
				c.Idempotent = false
				c.RetryMax, c.RequestTimeout, c.ReadTimeout = 0, 20*time.Second, 30*time.Second
			})
			if _, err := b.send(1); err != nil { // it knows the leader
				b.t.Error(err)
			}
			for _, f := range b.followers() {
				b.must(b.c.PauseBroker(f))
			}
			_, err := b.send(1)
			if !errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrRefused) {
				b.t.Errorf("%v, expected unknown", err)
			}
			if end := b.replica(b.leader()).log.end; end != 2 {
				b.t.Errorf("log end %d, expected the record in the leader's log", end)
			}
		}},
		{name: "acks=1 is accepted by the leader alone and not visible to consumers", cfg: noBalancing, run: func(b *bench) {
			for _, f := range b.followers() {
				b.must(b.c.PauseBroker(f))
			}
			b.producer(func(c *port.ProducerConfig) { c.Acks, c.Idempotent = port.AcksLeader, false })
			if off, err := b.send(1); err != nil || off != 0 {
				b.t.Errorf("offset %d, %v", off, err)
			}
			r, err := b.log.NewReader(port.DefaultReaderConfig("r"), topic, 0, 0)
			b.must(err)
			if got, err := r.Fetch(b.ctx); err != nil || len(got.Records) != 0 || got.HighWatermark != 0 {
				b.t.Errorf("%+v, %v", got, err)
			}
		}},
		{name: "acks=0 says nothing of the offset", run: func(b *bench) {
			b.producer(func(c *port.ProducerConfig) { c.Acks, c.Idempotent = port.AcksNone, false })
			if off, err := b.send(1); err != nil || off != -1 {
				b.t.Errorf("offset %d, %v", off, err)
			}
			b.wait(time.Second, "the record", func() bool { return b.replica(b.leader()).log.end == 1 })
		}},
		{name: "without numbers a lost answer makes a retry append twice", cfg: noBalancing, run: func(b *bench) {
			b.producer(func(c *port.ProducerConfig) { c.Idempotent = false })
			if n := b.appendsOfLostAnswer(); n < 2 {
				b.t.Errorf("the record is %d times in the log; a non-idempotent retry duplicates", n)
			}
		}},
		{name: "numbers make a retry after a lost answer append once", cfg: noBalancing, run: func(b *bench) {
			if n := b.appendsOfLostAnswer(); n != 1 {
				b.t.Errorf("the record is %d times in the log", n)
			}
		}},
		{name: "a producer cut off from all brokers refuses what it never sent", run: func(b *bench) {
			for _, x := range b.c.brokers {
				b.n.Cut("client", x.name)
			}
			b.producer(func(c *port.ProducerConfig) { c.RetryMax = 2 })
			if _, err := b.send(1); !errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrUnknown) {
				b.t.Errorf("%v, expected refused", err)
			}
		}},
		{name: "a record above message.max.bytes is refused", cfg: func(c *Config) { c.MaxMessageBytes = 1000 }, run: func(b *bench) {
			for _, size := range []int{5000, 2_000_000} { // by the broker, by the client
				_, err := b.p.Produce(topic, 0, port.Record{Value: make([]byte, size)}).Wait(b.ctx)
				if !errors.Is(err, port.ErrTooLarge) || !errors.Is(err, port.ErrRefused) {
					b.t.Errorf("%d bytes: %v, expected too large and refused", size, err)
				}
			}
		}},
		{name: "an offset above the end or below the start is out of range", run: func(b *bench) {
			if _, err := b.send(10); err != nil {
				b.t.Error(err)
			}
			b.sleep(time.Second)
			b.c.Expire(topic, 0, 10)
			for _, offset := range []int64{3, 11} {
				r, err := b.log.NewReader(port.DefaultReaderConfig("r"), topic, 0, offset)
				b.must(err)
				if _, err := r.Fetch(b.ctx); !errors.Is(err, port.ErrOffsetOutOfRange) {
					b.t.Errorf("offset %d: %v, expected out of range", offset, err)
				}
			}
			if start, hw, err := b.log.Admin().Offsets(b.ctx, topic, 0); err != nil || start != 10 || hw != 10 {
				b.t.Errorf("offsets %d to %d, %v", start, hw, err)
			}
		}},
		{name: "an empty fetch waits for MaxWait and no longer, and wakes for a record", run: func(b *bench) {
			r, err := b.log.NewReader(port.DefaultReaderConfig("r"), topic, 0, 0)
			b.must(err)
			_, err = r.Fetch(b.ctx) // finds the leader
			b.must(err)
			at := b.s.Now()
			if got, err := r.Fetch(b.ctx); err != nil || len(got.Records) != 0 {
				b.t.Errorf("%+v, %v", got, err)
			}
			if d := b.s.Now() - at; d < 100*time.Millisecond || d > 110*time.Millisecond {
				b.t.Errorf("an empty fetch took %v", d)
			}
			f := b.p.Produce(topic, 0, record(1))
			at = b.s.Now()
			if got, err := r.Fetch(b.ctx); err != nil || len(got.Records) != 1 || b.s.Now()-at > 20*time.Millisecond {
				b.t.Errorf("%+v, %v after %v", got, err, b.s.Now()-at)
			}
			_, err = f.Wait(b.ctx)
			b.must(err)
		}},
		{name: "no such topic", run: func(b *bench) {
			r, err := b.log.NewReader(port.DefaultReaderConfig("r"), "nothing", 0, 0)
			b.must(err)
			if _, err := r.Fetch(b.ctx); !errors.Is(err, port.ErrNoTopic) {
				b.t.Errorf("fetch: %v", err)
			}
			if _, err := b.log.Admin().Describe(b.ctx, "nothing"); !errors.Is(err, port.ErrNoTopic) {
				b.t.Errorf("describe: %v", err)
			}
			b.producer(func(c *port.ProducerConfig) { c.RetryMax = 2 })
			if _, err := b.p.Produce("nothing", 0, record(0)).Wait(b.ctx); !errors.Is(err, port.ErrRefused) {
				b.t.Errorf("produce: %v", err)
			}
		}},
		{name: "creating a topic again is accepted in the same shape only, and never beyond the brokers", run: func(b *bench) {
			a := b.log.Admin()
			b.must(a.CreateTopic(b.ctx, port.TopicSpec{Name: topic, Partitions: 1, Replication: 3, MinISR: 2}))
			if err := a.CreateTopic(b.ctx, port.TopicSpec{Name: topic, Partitions: 2, Replication: 3}); !errors.Is(err, port.ErrExists) {
				b.t.Errorf("another shape: %v", err)
			}
			if err := a.CreateTopic(b.ctx, port.TopicSpec{Name: "more", Partitions: 1, Replication: 4}); !errors.Is(err, port.ErrRefused) {
				b.t.Errorf("replication 4 of 3: %v", err)
			}
		}},
		{name: "a controlled shutdown moves leaders first, without a gap", cfg: noBalancing, run: func(b *bench) {
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			old := b.leader()
			at := b.s.Now()
			b.must(b.c.StopBroker(b.ctx, old))
			if d := b.s.Now() - at; d > 2*time.Second {
				b.t.Errorf("shutdown took %v", d)
			}
			if b.leader() == old || b.leader() == "" {
				b.t.Errorf("leader %q after %s was stopped", b.leader(), old)
			}
			at = b.s.Now()
			if _, err := b.send(1); err != nil || b.s.Now()-at > time.Second {
				b.t.Errorf("%v after %v", err, b.s.Now()-at)
			}
			b.start(old)
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
		}},
		{name: "the preferred leader gets its partition back", cfg: func(c *Config) { c.ImbalanceInterval = 5 * time.Second }, run: func(b *bench) {
			old := b.leader()
			b.kill(old)
			b.wait(10*time.Second, "another leader", func() bool { return b.leader() != old })
			b.start(old)
			b.wait(20*time.Second, "the preferred leader", func() bool { return b.leader() == old })
		}},
		{name: "a broker restarted within its old session waits for the znode and rejoins with its log", cfg: noBalancing, run: func(b *bench) {
			if _, err := b.send(50); err != nil {
				b.t.Error(err)
			}
			f := b.followers()[0]
			b.kill(f)
			at := b.s.Now()
			b.start(f)
			b.sleep(100 * time.Millisecond)
			b.wait(20*time.Second, "registration", func() bool { return b.c.byName(f).run.listening })
			if d := b.s.Now() - at; d < b.c.cfg.SessionTimeout/2 {
				b.t.Errorf("registered after %v, within the old session of %v", d, b.c.cfg.SessionTimeout)
			}
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
			if end := b.replica(f).log.end; end != 50 {
				b.t.Errorf("log end %d after the restart, expected 50", end)
			}
		}},
		{name: "an empty replacement catches up before it joins the ISR", cfg: noBalancing, run: func(b *bench) {
			if _, err := b.send(500); err != nil {
				b.t.Error(err)
			}
			old := b.leader()
			b.kill(old)
			b.must(b.c.WipeBroker(old))
			b.wait(10*time.Second, "another leader", func() bool { return b.leader() != old })
			b.onEvent = func(e port.Event) {
				if e.Kind == port.EventISRChanged && len(b.isr()) == 3 && b.replica(old).log.end < 500 {
					b.t.Errorf("in the ISR with a log that ends at %d", b.replica(old).log.end)
				}
			}
			b.start(old)
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
			if end := b.replica(old).log.end; end != 500 {
				b.t.Errorf("log end %d, expected 500", end)
			}
		}},
		{name: "an isolated leader cannot shrink its ISR, answers NotLeader once it hears, and truncates", cfg: noBalancing, run: func(b *bench) {
			b.producer(func(c *port.ProducerConfig) { c.Acks, c.Idempotent = port.AcksLeader, false })
			if _, err := b.send(5); err != nil {
				b.t.Error(err)
			}
			b.sleep(time.Second)
			old := b.leader()
			b.cutBroker(old)
			if off, err := b.send(5); err != nil || off != 9 {
				b.t.Errorf("offset %d, %v: acks=1 by the isolated leader", off, err)
			}
			b.wait(10*time.Second, "another leader", func() bool { return b.leader() != old })
			if p := b.replica(old); !p.isLeader || len(p.isr) != 3 {
				b.t.Errorf("the isolated leader leads: %v, ISR %v", p.isLeader, p.isr)
			}
			b.n.HealAll()
			b.wait(30*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
			if end := b.replica(old).log.end; end != 5 || b.count(port.EventLogTruncated) == 0 {
				b.t.Errorf("log end %d, %d truncations; expected the 5 that all had", end, b.count(port.EventLogTruncated))
			}
		}},
		{name: "without a live member of the ISR a partition stays without leader", cfg: noBalancing, run: func(b *bench) {
			outOfISR(b)
			b.sleep(15 * time.Second)
			if b.leader() != "" {
				b.t.Errorf("%s leads without having been in sync", b.leader())
			}
		}},
		{name: "unclean election, where allowed, elects a replica that was out of sync", cfg: noBalancing,
			spec: port.TopicSpec{Name: topic, Partitions: 1, Replication: 3, MinISR: 1, Unclean: true}, run: func(b *bench) {
				behind := outOfISR(b)
				b.wait(15*time.Second, "the unclean leader", func() bool { return b.leader() == behind })
			}},
		{name: "power loss drops what was not flushed", run: func(b *bench) {
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			lost := false
			for range 20 {
				if _, err := b.send(100); err != nil {
					b.t.Error(err)
				}
				f := b.followers()[0]
				end := b.replica(f).log.end
				b.must(b.c.PowerOff(f))
				for _, rep := range b.c.Replicas(topic, 0) {
					lost = lost || rep.Broker == f && rep.End < end
				}
				b.wait(20*time.Second, "ISR of two", func() bool { return len(b.isr()) == 2 })
				b.start(f)
				b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
			}
			if !lost {
				b.t.Error("nothing was ever lost")
			}
		}},
		{name: "the controller is replaced, under a higher epoch, and the old one's orders are refused", cfg: noBalancing, run: func(b *bench) {
			old := b.c.Controller()
			b.must(b.c.PauseBroker(old))
			b.wait(10*time.Second, "another controller", func() bool { return b.c.Controller() != old && b.c.Controller() != "" })
			fresh := b.c.byName(b.c.Controller()).run
			b.sleep(time.Second)
			stale := &leaderAndISRRequest{controllerEpoch: fresh.controllerEpoch - 1, brokerEpoch: fresh.epoch}
			if got := fresh.becomeLeaderOrFollower(stale); got != codeStaleControllerEpoch {
				b.t.Errorf("LeaderAndIsr of an old controller: %v", got)
			}
			if got := fresh.updateMetadata(&updateMetadataRequest{controllerEpoch: fresh.controllerEpoch - 1, brokerEpoch: fresh.epoch}); got != codeStaleControllerEpoch {
				b.t.Errorf("UpdateMetadata of an old controller: %v", got)
			}
			b.must(b.c.ResumeBroker(old))
			b.wait(20*time.Second, "full ISR", func() bool { return len(b.isr()) == 3 })
			if b.c.Controller() == old {
				b.t.Error("the old controller rules again")
			}
		}},
		{name: "a connection serves one request at a time, so a slow produce holds up the next", cfg: noBalancing, run: func(b *bench) {
			b.producer(func(c *port.ProducerConfig) { c.RequestTimeout, c.ReadTimeout = 20*time.Second, 30*time.Second })
			if _, err := b.send(1); err != nil {
				b.t.Error(err)
			}
			b.must(b.c.PauseBroker(b.followers()[0]))
			f := b.p.Produce(topic, 0, record(0)) // waits for the ISR
			b.sleep(10 * time.Millisecond)
			k := b.p.(*producer).k
			behind := rt.NewFuture[time.Duration](b.w())
			k.conn(b.c.byName(b.leader()).id).call(simnet.Message{Body: &metadataRequest{}, Size: headerBytes}, func(any, error) {
				behind.Complete(b.s.Now(), nil)
			})
			_, err := f.Wait(b.ctx)
			at := b.s.Now()
			b.must(err)
			if answered, _ := behind.Wait(b.ctx); answered < at {
				b.t.Errorf("a later request on the connection was answered at %v, the earlier one at %v", answered, at)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 7, test.cfg)
			spec := test.spec
			if spec.Name == "" {
				spec = port.TopicSpec{Name: topic, Partitions: 1, Replication: 3, MinISR: 2}
			}
			w.run(t, func(ctx context.Context) {
				if err := w.ready(ctx, spec); err != nil {
					t.Error(err)
					return
				}
				b := &bench{world: w, t: t, ctx: ctx}
				b.producer(func(*port.ProducerConfig) {})
				test.run(b)
			})
		})
	}
}
