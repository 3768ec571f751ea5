package shepherd

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// ofSet makes the partitions of every dataset a part of all.
func ofSet(b *bench, set ...int32) { b.dir.on(func(d *fakeDirectory) { d.set = set }) }

func usedPartitions(b *bench) []int32 {
	used := b.log.attempts()
	slices.Sort(used)
	return slices.Compact(used)
}

func TestEventsStayInTheirDatasetsSet(t *testing.T) {
	t.Parallel()
	b := newBench(t, 8, nil)
	ofSet(b, 2, 3, 7)
	for range 100 {
		b.Accept(context.Background(), batchOf(1))
	}
	if used := usedPartitions(b); !slices.Equal(used, []int32{2, 3, 7}) {
		t.Errorf("went to %v", used)
	}
	// One of the set is sick: the others carry on, nothing else is touched.
	b.log.on(func(p int32) error {
		if p == 3 {
			return errUnknown
		}
		return nil
	})
	for range 100 {
		b.Accept(context.Background(), batchOf(1))
	}
	if used := usedPartitions(b); !slices.Equal(used, []int32{2, 3, 7}) {
		t.Errorf("went to %v", used)
	}
}

func TestFailoverOffADeadSet(t *testing.T) {
	t.Parallel()
	dead := func(err error) func(int32) error {
		return func(p int32) error {
			if p < 2 {
				return err
			}
			return nil
		}
	}
	for name, err := range map[string]error{"refused": errRefused, "unknown": errUnknown, "hanging": errHang} {
		run := func(bugs ...string) (Totals, *bench) {
			b := newBench(t, 6, func(c *Config) {
				c.SickFor = time.Hour
				c.SickAfter = time.Millisecond
				c.AckTimeout = 3 * time.Millisecond
			}, bugs...)
			ofSet(b, 0, 1)
			b.log.on(dead(err))
			eventually(t, "the set is known to be dead", func() bool {
				b.Accept(context.Background(), batchOf(1))
				return slices.Equal(b.Health().Sick, []int32{0, 1})
			})
			before := b.Health().Totals
			for range 50 {
				b.Accept(context.Background(), batchOf(2))
			}
			after := b.Health().Totals
			b.log.settle(errUnknown)
			return Totals{Accepted: after.Accepted - before.Accepted, Refused: after.Refused - before.Refused, Unknown: after.Unknown - before.Unknown}, b
		}
		got, b := run()
		if got.Accepted != 100 {
			t.Errorf("%s: %+v, expected all accepted elsewhere", name, got)
		}
		if used := usedPartitions(b); len(used) < 5 {
			t.Errorf("%s: went to %v only, expected any that is well", name, used)
		}
		got, b = run(planted.NoFailoverOffDeadSet)
		if got.Accepted != 0 || got.Refused+got.Unknown != 100 {
			t.Errorf("%s, planted: %+v", name, got)
		}
		if used := usedPartitions(b); !slices.Equal(used, []int32{0, 1}) {
			t.Errorf("%s, planted: went to %v", name, used)
		}
	}
}

func TestDeadSetIsProbedAndComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, func(c *Config) { c.SickFor = time.Millisecond })
	ofSet(b, 1)
	b.log.on(func(p int32) error {
		if p == 1 {
			return errRefused
		}
		return nil
	})
	for range 50 { // refused there, accepted elsewhere
		if s := b.Accept(context.Background(), batchOf(1)).Statuses[0]; s.Code != Accepted || s.Partition == 1 {
			t.Fatalf("%+v", s)
		}
	}
	b.log.on(func(int32) error { return nil })
	eventually(t, "the set is used again", func() bool {
		return b.Accept(context.Background(), batchOf(1)).Statuses[0].Partition == 1 && len(b.Health().Sick) == 0
	})
	if b.seen.count(port.EventPartitionWell) == 0 {
		t.Errorf("sick: %v", b.Health().Sick)
	}
}

// TestSetOutsideOfTheTopic: a set that names partitions that are not there, or none at all, still leaves the topic.
func TestSetOutsideOfTheTopic(t *testing.T) {
	t.Parallel()
	for _, set := range [][]int32{nil, {9}, {-1}, {2, 9}} {
		b := newBench(t, 3, nil)
		ofSet(b, set...)
		for range 30 {
			if s := b.Accept(context.Background(), batchOf(1)).Statuses[0]; s.Code != Accepted {
				t.Fatalf("%v: %+v", set, s)
			}
		}
		if used := usedPartitions(b); len(set) == 2 != slices.Equal(used, []int32{2}) {
			t.Errorf("%v: went to %v", set, used)
		}
	}
}

// TestGrownTopic: partitions that a dataset's set names are used once Kafka has them.
func TestGrownTopic(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	ofSet(b, 4)
	if s := b.Accept(context.Background(), batchOf(1)).Statuses[0]; s.Code != Accepted || s.Partition > 2 {
		t.Fatalf("%+v", s)
	}
	b.log.grow(5)
	eventually(t, "the new partition is used", func() bool {
		return b.Accept(context.Background(), batchOf(1)).Statuses[0].Partition == 4
	})
}
