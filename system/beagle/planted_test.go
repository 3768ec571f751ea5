package beagle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// withAndWithout plays the same twice: with a planted bug, which must do the harm, and without it, which must not.
func withAndWithout(t *testing.T, bug string, partitions int, scene func(w *world, bugs ...string) (harm string)) {
	t.Parallel()
	t.Run("with", func(t *testing.T) {
		play(t, partitions, func(w *world) {
			if harm := scene(w, bug); harm == "" {
				t.Errorf("%s did no harm", bug)
			}
		})
	})
	t.Run("without", func(t *testing.T) {
		play(t, partitions, func(w *world) {
			if harm := scene(w); harm != "" {
				t.Errorf("without %s: %s", bug, harm)
			}
		})
	})
}

// miscounted says so if SLO 10 does not have that many events in a minute.
func miscounted(w *world, minute, want int64) string {
	if n := w.counts.of(10)[minute][1]; n != want {
		return fmt.Sprintf("%d events are counted, there were %d", n, want)
	}
	return ""
}

func TestUndrainedRebalance(t *testing.T) {
	withAndWithout(t, planted.UndrainedRebalance, 1, func(w *world, bugs ...string) string {
		first, second := w.start("b1", bugs...), w.start("b2", bugs...)
		first.give(0)
		first.justCommitted()
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(100 * time.Millisecond)
		first.rebalance(port.ErrRebalanceInProgress)
		second.give(0)
		w.sleep(20 * time.Second)
		return miscounted(w, 60, 1)
	})
}

func TestZombieCommits(t *testing.T) {
	withAndWithout(t, planted.ZombieCommits, 1, func(w *world, bugs ...string) string {
		zombie := w.start("b1", bugs...)
		zombie.give(0)
		zombie.justCommitted()
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.sleep(200 * time.Millisecond)
		// While it is paused, a successor counts more than it has gathered.
		w.log.add(0, chunk(1, request{2, 60, 5}))
		if err := w.counts.Advance(w.t.Context(), port.Advance{Consumer: Consumer, Topic: topic, From: 0, To: 2, By: "b2",
			Counts: []port.SLOCount{{SLO: 10, Minute: 60, Good: 2, Total: 2}}}); err != nil {
			w.t.Fatal(err)
		}
		w.log.add(0, chunk(1, request{3, 60, 5}))
		w.sleep(20 * time.Second)
		return miscounted(w, 60, 3)
	})
}

func TestResetToLatest(t *testing.T) {
	withAndWithout(t, planted.ResetToLatest, 1, func(w *world, bugs ...string) string {
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.start("b1", bugs...).give(0)
		w.sleep(3 * time.Second)
		w.log.add(0, chunk(1, request{2, 60, 5}))
		w.sleep(3 * time.Second)
		return miscounted(w, 60, 2)
	})
}

func TestPoisonRecord(t *testing.T) {
	withAndWithout(t, planted.PoisonRecord, 1, func(w *world, bugs ...string) string {
		w.log.add(0, chunk(1, request{1, 60, 5}), []byte("poison"), chunk(1, request{2, 60, 5}))
		w.start("b1", bugs...).give(0)
		w.sleep(time.Minute)
		if next, _ := w.counts.next(0); next != 3 {
			return fmt.Sprintf("stuck at offset %d", next)
		}
		return miscounted(w, 60, 2)
	})
}

func TestSLOByProcessingTime(t *testing.T) {
	withAndWithout(t, planted.SLOByProcessingTime, 1, func(w *world, bugs ...string) string {
		w.log.add(0, chunk(1, request{1, 60, 5}))
		w.start("b1", bugs...).give(0)
		w.sleep(3 * time.Second)
		return miscounted(w, 60, 1)
	})
}

func TestSampleRatesIgnored(t *testing.T) {
	withAndWithout(t, planted.SampleRatesIgnored, 1, func(w *world, bugs ...string) string {
		w.log.add(0, sampledChunk(1, sampled{request{1, 60, 500}, 1}, sampled{request{2, 60, 5}, 20}))
		w.start("b1", bugs...).give(0)
		w.sleep(3 * time.Second)
		if n := w.counts.of(10)[60]; n != [2]int64{20, 21} {
			return fmt.Sprintf("one in 21 was bad, counted as good and all: %v", n)
		}
		return ""
	})
}

func TestNoNegativeCache(t *testing.T) {
	withAndWithout(t, planted.NoNegativeCache, 1, func(w *world, bugs ...string) string {
		const messages = 200
		for i := range uint64(messages) {
			w.log.add(0, chunk(99, request{i, 60, 5}))
		}
		w.start("b1", bugs...).give(0)
		w.sleep(8 * time.Second)
		if n := w.defs.asked(99); n > 1 {
			return fmt.Sprintf("%d look-ups for %d messages of one dataset that is gone", n, messages)
		}
		return ""
	})
}

func TestProgressOnlyWithSLOs(t *testing.T) {
	withAndWithout(t, planted.ProgressOnlyWithSLOs, 2, func(w *world, bugs ...string) string {
		w.defs.of[2] = nil
		w.log.add(0, chunk(2, request{1, 60, 5}))
		w.log.add(1, chunk(1, request{2, 60, 5}))
		w.start("b1", bugs...).give(0, 1)
		w.sleep(20 * time.Second)
		w.progress(1, 1)
		if _, there := w.counts.next(0); !there {
			return "a partition without SLOs has no progress"
		}
		return ""
	})
}

func TestEmptyPartitionCrashes(t *testing.T) {
	withAndWithout(t, planted.EmptyPartitionCrashes, 2, func(w *world, bugs ...string) string {
		w.log.add(1, chunk(1, request{1, 60, 5}))
		k := w.start("b1", bugs...)
		k.give(0, 1)
		w.sleep(5 * time.Second)
		if err, _, done := k.ran.Peek(); done {
			return fmt.Sprintf("the worker has ended: %v", err)
		}
		return miscounted(w, 60, 1)
	})
}

// protocols are the assignors that a worker offers to the group's coordinator.
type protocols struct {
	port.Groups
	offered *rt.Queue[string]
}

func (p protocols) Join(_ context.Context, r port.JoinRequest) (port.JoinReply, error) {
	p.offered.TryPush(r.Protocols[0].Name + " " + r.Instance)
	return port.JoinReply{}, errors.New("away")
}

func (p protocols) Leave(context.Context, port.GroupMember) error { return nil }

func TestRangeAssignment(t *testing.T) {
	withAndWithout(t, planted.RangeAssignment, 1, func(w *world, bugs ...string) string {
		set, _ := planted.Parse(bugs...)
		wall := rt.NewWall(1)
		asked := protocols{offered: rt.NewQueue[string](wall, 0)}
		w.cfg.Static = true
		b, err := New(wall, port.Ports{Log: memClient{w.log, wall}, Definitions: w.defs, Counts: w.counts, Groups: asked}, w.cfg, topic, "b1", set)
		if err != nil {
			w.t.Fatal(err)
		}
		ctx, cancel := wall.WithCancel(w.t.Context())
		ended := rt.NewFuture[error](wall)
		wall.Go("beagle", func(context.Context) { ended.Complete(b.Run(ctx), nil) })
		offered, err := asked.offered.Pop(w.t.Context())
		cancel()
		if ran, waiting := ended.Wait(context.Background()); err != nil || ran != nil || waiting != nil {
			w.t.Fatal(err, ran, waiting)
		}
		if offered != group.CooperativeSticky+" b1" {
			return "the group is joined with " + offered
		}
		return ""
	})
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *Config){
		"assignor":      func(c *Config) { c.Assignor = "fair" },
		"heartbeats":    func(c *Config) { c.HeartbeatEvery = c.SessionTimeout },
		"commit_every":  func(c *Config) { c.CommitEvery = 0 },
		"commit_events": func(c *Config) { c.CommitEvents = 0 },
		"refresh_every": func(c *Config) { c.RefreshEvery = 0 },
		"miss_for":      func(c *Config) { c.MissFor = 0 },
		"cache_size":    func(c *Config) { c.CacheSize = 0 },
		"dedup_records": func(c *Config) { c.DedupRecords = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if _, err := New(rt.NewWall(1), port.Ports{}, cfg, topic, "b1", planted.Set{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(rt.NewWall(1), port.Ports{}, DefaultConfig(), topic, "b1", planted.Set{}); err != nil {
		t.Error(err)
	}
}
