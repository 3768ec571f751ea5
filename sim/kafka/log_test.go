package kafka

import (
	"slices"
	"testing"

	"github.com/ratel-sim/ratel/system/port"
	"pgregory.net/rapid"
)

// TestLogAgainstList holds the log to a plain list of (epoch, value) under random appends and truncations.
func TestLogAgainstList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			epoch int32
			sum   uint64
		}
		l := &replicaLog{}
		var list []item
		var held [][]*batch // what readers were given
		var want [][]uint64
		epoch, sum := int32(0), uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0:
				epoch += int32(rapid.IntRange(1, 3).Draw(t, "epochs"))
				l.noteEpoch(epoch, l.end)
			case 1:
				cut := int64(rapid.IntRange(0, len(list)).Draw(t, "cut"))
				l.truncate(cut)
				list = list[:cut]
			case 2:
				from := int64(rapid.IntRange(0, len(list)).Draw(t, "from"))
				got := l.read(from, l.end, rapid.IntRange(1, 50).Draw(t, "bytes"))
				if from < l.end && (len(got) == 0 || got[0].base != from) {
					t.Fatalf("read from %d of %d begins elsewhere", from, l.end)
				}
				held, want = append(held, got), append(want, sums(got))
			default:
				sum++
				l.append(make([]port.Record, 1), 10, sum, epoch, sequence{})
				list = append(list, item{epoch, sum})
			}
			if l.end != int64(len(list)) {
				t.Fatalf("log ends at %d, expected %d", l.end, len(list))
			}
		}
		for i, b := range l.read(0, l.end, 1<<30) {
			if b.base != int64(i) || b.epoch != list[i].epoch || b.sum != list[i].sum {
				t.Fatalf("offset %d: %+v, expected %+v", i, b, list[i])
			}
		}
		for i := range held {
			if !slices.Equal(sums(held[i]), want[i]) {
				t.Fatal("what a reader holds was overwritten")
			}
		}
		// Where an epoch ends: after the last record of it or below it.
		for e := range epoch + 1 {
			known, end := l.endOffsetFor(e)
			if e > l.latestEpoch() {
				if known != noEpoch {
					t.Fatalf("epoch %d above the latest %d ends at %d", e, l.latestEpoch(), end)
				}
				continue
			}
			after := int64(0)
			for i, it := range list {
				if it.epoch <= e {
					after = int64(i) + 1
				}
			}
			if end != after {
				t.Fatalf("epoch %d ends at %d (epoch %d), expected %d", e, end, known, after)
			}
		}
	})
}

func sums(bs []*batch) []uint64 {
	var out []uint64
	for _, b := range bs {
		out = append(out, b.sum)
	}
	return out
}

// TestDivergedLogsMeet: two logs that diverge over several leader epochs agree after truncation by epochs (KIP-279's
// double fast failover), and the follower loses nothing that both had.
func TestDivergedLogsMeet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		leader, follower := &replicaLog{}, &replicaLog{}
		sum, epoch := uint64(0), int32(0)
		for range rapid.IntRange(0, 10).Draw(t, "common") {
			sum++
			if rapid.Bool().Draw(t, "election") {
				epoch++
			}
			follower.add(leader.append(make([]port.Record, 1), 10, sum, epoch, sequence{}))
		}
		common := leader.end
		for range rapid.IntRange(0, 6).Draw(t, "epochs") { // each epoch has one leader, of which the other hears nothing
			epoch++
			l := leader
			if rapid.Bool().Draw(t, "who") {
				l = follower
			}
			l.noteEpoch(epoch, l.end)
			for range rapid.IntRange(0, 3).Draw(t, "records") {
				sum++
				l.append(make([]port.Record, 1), 10, sum, epoch, sequence{})
			}
		}
		epoch++
		leader.noteEpoch(epoch, leader.end)
		for rounds := 0; follower.latestEpoch() != noEpoch; rounds++ {
			if rounds > 20 {
				t.Fatal("truncation does not end")
			}
			known, end := leader.endOffsetFor(follower.latestEpoch())
			cut, done := truncateTo(follower, known, end, 0)
			follower.truncate(cut)
			if done {
				break
			}
		}
		if follower.end < common {
			t.Fatalf("the follower cut down to %d; both had %d", follower.end, common)
		}
		if !slices.Equal(sums(follower.batches), sums(leader.batches[:len(follower.batches)])) {
			t.Fatal("the follower is not a prefix of the leader")
		}
	})
}
