package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawCandidates draws members with whatever claims: stale, contradicting, out of range, repeated.
func drawCandidates(t *rapid.T, n int32) []Candidate {
	count := rapid.IntRange(1, 8).Draw(t, "members")
	claims := rapid.SliceOfN(rapid.Int32Range(-2, n+2), 0, int(n)+4)
	out := make([]Candidate, count)
	for i := range out {
		out[i] = Candidate{Member: fmt.Sprintf("m%02d", (i*7)%count+10*i), Had: claims.Draw(t, "had"), Generation: rapid.Int32Range(-2, 4).Draw(t, "generation"), Holds: claims.Draw(t, "holds")}
		if rapid.Bool().Draw(t, "static") {
			out[i].Instance = fmt.Sprint("i", (i*5)%count)
		}
	}
	return out
}

// checkWhole checks that every partition is assigned exactly once, ascending, and evenly.
func checkWhole(t interface {
	Helper()
	Fatalf(string, ...any)
}, n int32, candidates []Candidate, got [][]int32) {
	t.Helper()
	seen := map[int32]int{}
	least, most := int(n)+1, 0
	for _, partitions := range got {
		least, most = min(least, len(partitions)), max(most, len(partitions))
		if !slices.IsSorted(partitions) {
			t.Fatalf("%v is not ascending", partitions)
		}
		for _, p := range partitions {
			seen[p]++
		}
	}
	for p := range n {
		if seen[p] != 1 {
			t.Fatalf("partition %d of %d is assigned %d times: %v", p, n, seen[p], got)
		}
	}
	if len(got) != len(candidates) || len(seen) != int(n) || most-least > 1 {
		t.Fatalf("%d lists for %d candidates, %d partitions of %d, between %d and %d each", len(got), len(candidates), len(seen), n, least, most)
	}
}

func TestAssignorsShareOutEvenly(t *testing.T) {
	t.Parallel()
	for name, assign := range map[string]Assignor{Range: AssignRange, RoundRobin: AssignRoundRobin, Sticky: AssignSticky} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				n := rapid.Int32Range(0, 40).Draw(t, "n")
				candidates := drawCandidates(t, n)
				got := assign(n, candidates)
				checkWhole(t, n, candidates, got)
				mixed := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1)).Perm(len(candidates))
				shuffled := make([]Candidate, len(candidates))
				for i, k := range mixed {
					shuffled[i] = candidates[k]
				}
				for i, partitions := range assign(n, shuffled) {
					if !slices.Equal(partitions, got[mixed[i]]) {
						t.Fatalf("in another order %s has %v instead of %v", shuffled[i].Member, partitions, got[mixed[i]])
					}
				}
			})
		})
	}
}

func TestAssignNobody(t *testing.T) {
	t.Parallel()
	for _, name := range Assignors() {
		if got := assignorOf(name)(5, nil); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestKnownAssignments are those of Kafka's own assignors.
func TestKnownAssignments(t *testing.T) {
	t.Parallel()
	three := []Candidate{{Member: "c"}, {Member: "a"}, {Member: "b"}}
	for _, c := range []struct {
		name       string
		assign     Assignor
		n          int32
		candidates []Candidate
		want       string
	}{
		{"range by member ID, the first have more", AssignRange, 8, three, "[[6 7] [0 1 2] [3 4 5]]"},
		{"round robin by member ID", AssignRoundRobin, 8, three, "[[2 5] [0 3 6] [1 4 7]]"},
		{"static members first, by instance", AssignRange, 3, []Candidate{{Member: "a"}, {Member: "z", Instance: "i1"}, {Member: "y", Instance: "i2"}}, "[[2] [0] [1]]"},
		{"sticky begins as round robin does", AssignSticky, 8, three, "[[2 5] [0 3 6] [1 4 7]]"},
		{"sticky: a new member gets from those who have most", AssignSticky, 6, []Candidate{{Member: "a", Had: []int32{0, 1, 2}}, {Member: "b", Had: []int32{3, 4, 5}}, {Member: "c"}}, "[[0 1] [3 4] [2 5]]"},
		{"sticky: one that is gone leaves the others alone", AssignSticky, 6, []Candidate{{Member: "a", Had: []int32{0, 3}}, {Member: "b", Had: []int32{1, 4}}}, "[[0 2 3] [1 4 5]]"},
		{"sticky: who had it last keeps it", AssignSticky, 2, []Candidate{{Member: "a", Had: []int32{0, 1}, Generation: 3}, {Member: "b", Had: []int32{1}, Generation: 4}}, "[[0] [1]]"},
		{"sticky: two of one generation are both not believed", AssignSticky, 3, []Candidate{{Member: "a", Had: []int32{1, 2}, Generation: 3}, {Member: "b", Had: []int32{2}, Generation: 3}}, "[[0 1] [2]]"},
		{"cooperative: what is held is withheld", AssignCooperativeSticky, 4, []Candidate{{Member: "a", Had: []int32{0, 1, 2, 3}, Holds: []int32{0, 1, 2, 3}}, {Member: "b"}}, "[[0 1] []]"},
		{"cooperative: a stale holder is waited for, too", AssignCooperativeSticky, 2, []Candidate{{Member: "a", Had: []int32{0}, Holds: []int32{0}, Generation: 7}, {Member: "b", Had: []int32{0, 1}, Holds: []int32{0, 1}, Generation: 5}}, "[[] [1]]"},
	} {
		if got := fmt.Sprint(c.assign(c.n, c.candidates)); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
	}
}

// TestStickyMovesLittle: nothing could be kept beyond what is: with claims that do not contradict each other, the number
// of kept partitions is the most that any even assignment can keep.
func TestStickyMovesLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(0, 30).Draw(t, "n")
		count := rapid.IntRange(1, 7).Draw(t, "members")
		candidates := make([]Candidate, count)
		for i := range candidates {
			candidates[i].Member = fmt.Sprint("m", i)
		}
		for p := range n {
			if i := rapid.IntRange(-1, count-1).Draw(t, "owner"); i >= 0 {
				candidates[i].Had = append(candidates[i].Had, p)
			}
		}
		got := AssignSticky(n, candidates)
		kept := 0
		for i, c := range candidates {
			for _, p := range got[i] {
				if slices.Contains(c.Had, p) {
					kept++
				}
			}
		}
		// Of what a member had, up to floor(n/count) can stay for sure, and one more with as many members as there are
		// places for one more.
		floor, places, most := int(n)/count, int(n)%count, 0
		for _, c := range candidates {
			most += min(len(c.Had), floor)
			if len(c.Had) > floor && places > 0 {
				most++
				places--
			}
		}
		if kept != most {
			t.Fatalf("%d partitions stay where %d can: %v became %v", kept, most, candidates, got)
		}
	})
}

// TestCooperativeNeverTwoAtOnce plays generations in which members come, go, keep what they hold until told otherwise,
// and sometimes miss what they were given; nothing is given to anybody while another holds it, and when nobody comes
// or goes any more, all is shared out after one revocation.
func TestCooperativeNeverTwoAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(1, 30).Draw(t, "n")
		var group []Candidate
		made := 0
		round := func(generation int32, misses bool) (withheld bool) {
			got := AssignCooperativeSticky(n, group)
			for i := range group {
				for k := range group {
					for _, p := range got[i] {
						if i != k && slices.Contains(group[k].Holds, p) {
							t.Fatalf("partition %d is given to %s while %s holds it", p, group[i].Member, group[k].Member)
						}
					}
				}
			}
			total := 0
			for i := range group {
				total += len(got[i])
				if misses && rapid.IntRange(0, 4).Draw(t, "misses") == 0 {
					continue // it goes on with what it has, and says so next time
				}
				group[i].Holds, group[i].Had, group[i].Generation = got[i], got[i], generation
			}
			return total < int(n)
		}
		generation := int32(0)
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			generation++
			if len(group) == 0 || rapid.Bool().Draw(t, "joins") {
				made++
				group = append(group, Candidate{Member: fmt.Sprintf("m%03d", made), Generation: -1})
			} else if len(group) > 1 && rapid.Bool().Draw(t, "leaves") {
				i := rapid.IntRange(0, len(group)-1).Draw(t, "who")
				group = slices.Delete(group, i, i+1)
			}
			round(generation, true)
		}
		round(generation+1, false)
		if round(generation+2, false) {
			t.Fatalf("after everybody has given up what it should, partitions are still withheld: %v", group)
		}
		held := make([][]int32, len(group))
		for i := range group {
			held[i] = group[i].Holds
		}
		checkWhole(t, n, group, held)
		round(generation+3, false)
		for i := range group {
			if !slices.Equal(held[i], group[i].Holds) {
				t.Fatalf("a round in which nothing changed moved %v to %v", held[i], group[i].Holds)
			}
		}
	})
}
