package kafka

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// leaderIsolation cuts a leader off from its peers and from ZooKeeper, but not from clients.
func leaderIsolation(ctx context.Context, c *chaos, _ *rand.Rand) {
	_ = c.p.Sleep(ctx, time.Second)
	c.cut(c.c.Leader(topic, 0), true, true)
	_ = c.p.Sleep(ctx, 8*time.Second)
	c.n.HealAll()
}

func TestIsolatedLeader(t *testing.T) {
	t.Parallel()
	n := seeds(t, 20)
	t.Run("acks=1 loses what the leader alone has", func(t *testing.T) {
		t.Parallel()
		caught := 0
		for seed := range n {
			c, err := runChaos(uint64(seed), nil, func(c *chaos) { c.acks, c.faults = port.AcksLeader, leaderIsolation })
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if len(c.violations) > 0 {
				caught++
			}
		}
		t.Logf("caught in %d of %d seeds", caught, n)
		if caught < n/2 {
			t.Errorf("acks=1 under isolation was caught in %d of %d seeds, expected most", caught, n)
		}
	})
	t.Run("acks=all loses nothing", func(t *testing.T) {
		t.Parallel()
		for seed := range n {
			c, err := runChaos(uint64(seed), nil, func(c *chaos) { c.faults = leaderIsolation })
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			for _, v := range c.violations {
				t.Errorf("seed %d: %s", seed, v)
			}
		}
	})
}

// aimedAtElections kills brokers at random, and every newly elected leader with some luck within milliseconds: before its
// followers have fetched again what they cut off.
func aimedAtElections(ctx context.Context, c *chaos, r *rand.Rand) {
	struck := time.Duration(-1)
	c.onEvent = func(e port.Event) {
		if e.Kind != port.EventLeaderElected || r.IntN(2) == 0 || struck >= 0 && c.s.Now()-struck < 5*time.Second {
			return
		}
		struck = c.s.Now()
		c.s.After(time.Duration(r.Int64N(int64(4*time.Millisecond))), func() {
			_ = c.c.KillBroker(e.Node) // it may be down already
		})
	}
	for c.p.Sleep(ctx, time.Duration(r.Int64N(int64(5*time.Second)))) == nil {
		for _, b := range c.c.brokers {
			if b.run == nil && r.IntN(2) == 0 {
				_ = c.c.StartBroker(b.name)
			}
		}
		if r.IntN(2) == 0 {
			_ = c.c.KillBroker(c.c.brokers[r.IntN(len(c.c.brokers))].name)
		}
	}
}

func TestTruncationToHighWatermarkIsCaught(t *testing.T) {
	t.Parallel()
	n := seeds(t, 60)
	run := func(planted bool) (caught, first int) {
		first = -1
		for seed := range n {
			c, err := runChaos(uint64(seed), func(cfg *Config) { cfg.Bugs.TruncateToHighWatermark = planted }, func(c *chaos) { c.faults = aimedAtElections })
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if len(c.violations) == 0 {
				continue
			}
			if caught++; first < 0 {
				first = seed
			}
			if !planted {
				t.Errorf("without the bug, seed %d: %s", seed, c.violations[0])
			}
		}
		return caught, first
	}
	t.Run("planted", func(t *testing.T) {
		t.Parallel()
		caught, first := run(true)
		t.Logf("K5 caught in %d of %d seeds, first in %d", caught, n, first)
		if caught == 0 {
			t.Error("K5 was not caught in any seed")
		}
	})
	t.Run("clean", func(t *testing.T) {
		t.Parallel()
		run(false)
	})
}

func TestSameSeedSameHash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds(t, 10)) {
		a, err := runChaos(seed, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := runChaos(seed, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.s.Hash() != b.s.Hash() || a.s.Steps() != b.s.Steps() {
			t.Errorf("seed %d: hash %x after %d steps, then %x after %d", seed, a.s.Hash(), a.s.Steps(), b.s.Hash(), b.s.Steps())
		}
	}
}

// TestNumbersKeepTheLogStraight: what a producer sends again is in the log once and in its place only if its batches are
// numbered.
func TestNumbersKeepTheLogStraight(t *testing.T) {
	t.Parallel()
	n := seeds(t, 20)
	for _, test := range []struct {
		name               string
		producer           func(*port.ProducerConfig)
		repeats, overtakes bool
		never              func(c *chaos) int
		whatNever          string
	}{
		{name: "numbered"},
		{name: "retries alone repeat", producer: func(c *port.ProducerConfig) { c.Idempotent = false }, repeats: true,
			never: func(c *chaos) int { return c.overtaken }, whatNever: "out of order with one batch in flight"},
		{name: "with many in flight, retries overtake", producer: func(c *port.ProducerConfig) { c.Idempotent, c.InFlight = false, 5 }, repeats: true, overtakes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			repeated, overtaken := 0, 0
			for seed := range n {
				c, err := runChaos(uint64(seed), nil, func(c *chaos) { c.producer = test.producer })
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, v := range c.violations {
					t.Errorf("seed %d: %s", seed, v)
				}
				if test.never != nil && test.never(c) > 0 {
					t.Errorf("seed %d: %d records %s", seed, test.never(c), test.whatNever)
				}
				repeated, overtaken = repeated+c.repeated, overtaken+c.overtaken
			}
			t.Logf("%d records twice, %d out of order in %d seeds", repeated, overtaken, n)
			if test.repeats != (repeated > 0) || test.overtakes != (overtaken > 0) {
				t.Errorf("%d records twice, %d out of order in %d seeds", repeated, overtaken, n)
			}
		})
	}
}
