package ledger

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestASetIsAMapOfNumbers compares every operation with a hash map's.
func TestASetIsAMapOfNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var sets [2]Set
		models := [2]map[uint64]bool{{}, {}}
		for range rapid.IntRange(0, 40).Draw(t, "operations") {
			i := rapid.IntRange(0, 1).Draw(t, "set")
			s, model := &sets[i], models[i]
			seq := rapid.Uint64Range(0, 600).Draw(t, "seq")
			switch rapid.IntRange(0, 2).Draw(t, "operation") {
			case 0:
				if got := s.Mark(seq); got != model[seq] {
					t.Fatalf("Mark(%d) = %v", seq, got)
				}
				model[seq] = true
			case 1:
				n := rapid.Uint64Range(0, 300).Draw(t, "n")
				want := uint64(0)
				for q := seq; q < seq+n; q++ {
					if model[q] {
						want++
					}
					model[q] = true
				}
				if got := s.MarkRange(seq, n); got != want {
					t.Fatalf("MarkRange(%d, %d) = %d, want %d", seq, n, got, want)
				}
			case 2:
				s.Reserve(seq)
			}
		}
		for i := range sets {
			sorted := slices.Sorted(maps.Keys(models[i]))
			if got := slices.Collect(sets[i].All()); !slices.Equal(got, sorted) || sets[i].Len() != uint64(len(sorted)) {
				t.Fatalf("set %d has %v (%d), want %v", i, got, sets[i].Len(), sorted)
			}
			first, n := rapid.Uint64Range(0, 1000).Draw(t, "first"), rapid.Uint64Range(0, 1000).Draw(t, "n")
			want := uint64(0)
			for _, q := range sorted {
				if q >= first && q < first+n {
					want++
				}
			}
			if got := sets[i].LenRange(first, n); got != want {
				t.Fatalf("LenRange(%d, %d) = %d, want %d", first, n, got, want)
			}
		}
		without, and := sets[0].Without(&sets[1]), sets[0].And(&sets[1])
		for q := range uint64(1000) {
			if without.Has(q) != (models[0][q] && !models[1][q]) || and.Has(q) != (models[0][q] && models[1][q]) {
				t.Fatalf("Without or And is wrong about %d", q)
			}
		}
	})
}

func TestALedgerKeepsProducersApart(t *testing.T) {
	t.Parallel()
	var a, b Ledger
	a.Mark(3, 10)
	a.Mark(0, 10)
	b.Mark(3, 10)
	if a.Mark(3, 10) != true || a.Mark(1, 10) != false || a.Len() != 3 || a.Producers() != 4 {
		t.Errorf("ledger of %d events and %d producers", a.Len(), a.Producers())
	}
	d, both := a.Without(&b), a.And(&b)
	if d.Len() != 2 || d.Has(3, 10) || !d.Has(0, 10) || both.Len() != 1 || !both.Has(3, 10) || both.Has(9, 1) {
		t.Errorf("difference of %d, intersection of %d", d.Len(), both.Len())
	}
}

func TestANumberThatCannotBeDenseIsRefused(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*Set){
		"mark":     func(s *Set) { s.Mark(MaxSeq + 1) },
		"range":    func(s *Set) { s.MarkRange(MaxSeq, 2) },
		"overflow": func(s *Set) { s.MarkRange(1<<63, 1<<63+5) },
		"reserve":  func(s *Set) { s.Reserve(MaxSeq + 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(&Set{})
		}()
	}
}

// BenchmarkMark marks events of 100 producers, shuffled in windows of 1,000 as retries and partitions do.
func BenchmarkMark(b *testing.B) {
	const producers, each = 100, 100_000
	type event struct {
		producer int
		seq      uint64
	}
	events := make([]event, 0, producers*each)
	for seq := range uint64(each) {
		for p := range producers {
			events = append(events, event{p, seq})
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i+1000 <= len(events); i += 1000 {
		w := events[i : i+1000]
		r.Shuffle(len(w), func(x, y int) { w[x], w[y] = w[y], w[x] })
	}
	var bytes, marks int
	for b.Loop() {
		var l Ledger
		for _, e := range events {
			l.Mark(e.producer, e.seq)
		}
		bytes, marks = l.Bytes(), marks+len(events)
	}
	b.ReportMetric(float64(marks)/b.Elapsed().Seconds()/1e6, "Mmarks/s")
	b.ReportMetric(float64(bytes)/float64(len(events)), "B/event")
}

func BenchmarkDifference(b *testing.B) {
	var sent, seen Ledger
	for p := range 100 {
		sent.Producer(p).MarkRange(0, 100_000)
		seen.Producer(p).MarkRange(0, 100_000)
	}
	sent.Mark(50, 100_000)
	for b.Loop() {
		if d := sent.Without(&seen); d.Len() != 1 {
			b.Fatal(d.Len())
		}
	}
}
