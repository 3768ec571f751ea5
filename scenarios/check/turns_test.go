package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// searchedProgress is linear by searching through all orders.
func searchedProgress(t *track) bool {
	const harness, fraction = 0, 1 << 10
	var history []porcupine.Operation
	looked := int64(0)
	for i := range t.looks {
		p := &t.looks[i]
		end := max(looked, int64(p.At)*fraction)
		history = append(history, porcupine.Operation{ClientId: harness, Input: [2]int64{p.Next, p.Next}, Call: looked, Return: end})
		looked = end + 1
	}
	nodes, last, same := map[string]int{}, map[string]int64{}, map[[2]int64]int{}
	for i := range t.steps {
		s := &t.steps[i]
		if nodes[s.node] == 0 {
			nodes[s.node] = len(nodes) + 1
		}
		op, begin, end := [2]int64{s.from, s.to}, last[s.node], max(last[s.node], int64(s.at)*fraction)
		last[s.node] = end + 1
		if before, there := same[op]; there {
			h := &history[before]
			h.Call, h.Return = min(h.Call, begin), max(h.Return, end)
			continue
		}
		same[op] = len(history)
		history = append(history, porcupine.Operation{ClientId: nodes[s.node], Input: op, Call: begin, Return: end})
	}
	return porcupine.CheckOperations(progressModel, history)
}

// drawTrack draws steps and looks that are often nearly in order, and in which many things happen at once.
func drawTrack(t *rapid.T) track {
	var tr track
	next := int64(0)
	for range rapid.IntRange(0, 9).Draw(t, "steps") {
		from := next + int64(rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1}).Draw(t, "gap"))
		from = max(from, 0)
		to := from + int64(rapid.SampledFrom([]int{1, 2, 3, 1, 2, 0, -1}).Draw(t, "length"))
		tr.steps = append(tr.steps, step{time.Duration(rapid.IntRange(0, 6).Draw(t, "at")), fmt.Sprintf("beagle%d", rapid.IntRange(1, 4).Draw(t, "node")), from, max(to, 0)})
		next = max(to, 0)
	}
	if rapid.Bool().Draw(t, "announced in order") {
		slices.SortStableFunc(tr.steps, func(a, b step) int { return cmp.Compare(a.from, b.from) })
		at := make([]time.Duration, 0, len(tr.steps))
		for i := range tr.steps {
			at = append(at, tr.steps[i].at)
		}
		slices.Sort(at)
		for i := range tr.steps {
			tr.steps[i].at = at[i]
		}
	} else {
		slices.SortStableFunc(tr.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	}
	for range rapid.IntRange(0, 4).Draw(t, "looks") {
		tr.looks = append(tr.looks, evidence.Progress{At: time.Duration(rapid.IntRange(0, 6).Draw(t, "looked at")), Next: int64(rapid.IntRange(-1, int(next)+1).Draw(t, "seen"))})
	}
	slices.SortStableFunc(tr.looks, func(a, b evidence.Progress) int { return cmp.Compare(a.At, b.At) })
	if rapid.Bool().Draw(t, "looks rise") {
		slices.SortStableFunc(tr.looks, func(a, b evidence.Progress) int { return cmp.Compare(a.Next, b.Next) })
		for i := 1; i < len(tr.looks); i++ {
			tr.looks[i].At = max(tr.looks[i].At, tr.looks[i-1].At)
		}
	}
	return tr
}

// TestProgressIsLinearWhereASearchSaysSo compares the scan with a search through all orders.
func TestProgressIsLinearWhereASearchSaysSo(t *testing.T) {
	t.Parallel()
	yes, no := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		tr := drawTrack(t)
		want := searchedProgress(&tr)
		first, second := linear(&tr)
		if got := first == nil; got != want {
			t.Fatalf("linear: %t, by a search: %t: %+v (%v, %v)", got, want, tr, first, second)
		}
		if want {
			yes++
		} else {
			no++
		}
	})
	if yes == 0 || no == 0 {
		t.Errorf("%d were linear and %d not: one of both was never drawn", yes, no)
	}
}

// TestALockIsExplainedWhereASearchSaysSo compares the scan with a search through all orders.
func TestALockIsExplainedWhereASearchSaysSo(t *testing.T) {
	t.Parallel()
	yes, no := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		moment := func(name string, least time.Duration) time.Duration {
			return least + time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, name))
		}
		var terms []term
		var history []porcupine.Operation
		at, epoch := time.Duration(0), int64(0)
		for i := range rapid.IntRange(0, 6).Draw(t, "terms") {
			epoch += int64(rapid.SampledFrom([]int{1, 1, 1, 2, 0, -1}).Draw(t, "epoch"))
			x := term{node: fmt.Sprint(i), epoch: epoch, acquire: max(0, at-moment("early", 0))}
			x.began = moment("began", x.acquire)
			x.loose = moment("loose", x.began)
			at = max(at, x.loose)
			terms = append(terms, x)
			history = append(history,
				porcupine.Operation{ClientId: i, Input: lockOp{epoch: x.epoch}, Call: int64(x.acquire), Return: int64(x.began)},
				porcupine.Operation{ClientId: i, Input: lockOp{epoch: x.epoch, release: true}, Call: int64(x.loose), Return: math.MaxInt64})
		}
		want := porcupine.CheckOperations(lockModel, history)
		if got := exclusive(terms); got != want {
			t.Fatalf("explained: %t, by a search: %t: %+v", got, want, terms)
		}
		if want {
			yes++
		} else {
			no++
		}
	})
	if yes == 0 || no == 0 {
		t.Errorf("%d were explained and %d not: one of both was never drawn", yes, no)
	}
}

// crowd is so many owners that all step at once, each over a stretch of its own.
func crowd(owners int64) *track {
	t := &track{}
	for k := range owners {
		t.steps = append(t.steps, step{time.Second, fmt.Sprintf("beagle%d", k), 10 * k, 10*k + 10})
	}
	return t
}

// TestManyOwnersAreJudgedAtOnce: a search takes twice as long for each owner more that steps at the same time (20 of them take a second, 40 a week), if
// one is wrong.
func TestManyOwnersAreJudgedAtOnce(t *testing.T) {
	t.Parallel()
	const owners = 2_000
	good := crowd(owners)
	if first, second := linear(good); first != nil {
		t.Fatalf("%v, %v", first, second)
	}
	for name, c := range map[string]struct {
		spoil func(*track)
		says  string
	}{
		"the last begins too low": {func(t *track) { t.steps[owners-1].from -= 5 }, "beagle1999 counted from offset 19985 to 20000"},
		"the first goes too far":  {func(t *track) { t.steps[0].to += 5 }, "beagle0 counted from offset 0 to 15"},
		"one goes backwards":      {func(t *track) { t.steps[77].to -= 11 }, "beagle77 counted from offset 770 to 769 at 1s, which is not forward"},
		"two have changed places": {func(t *track) {
			t.steps[owners-1].node, t.steps[owners-1].at = t.steps[owners-2].node, 0
			t.steps[owners-1], t.steps[owners-2] = t.steps[owners-2], t.steps[owners-1]
		}, "beagle1998 counted from offset 19980 to 19990"},
		"a look had seen more": {func(t *track) {
			t.looks = []evidence.Progress{{At: time.Millisecond, Next: 10 * owners}}
			last := &t.steps[owners-1]
			last.to -= 5
			t.steps = append(t.steps, step{2 * time.Second, last.node, last.to, last.to + 5})
		}, "progress was at offset 20000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := crowd(owners)
			c.spoil(bad)
			began := time.Now()
			_, what := bad.conflict()
			if !strings.Contains(what, c.says) {
				t.Errorf("%q, want %q in it", what, c.says)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	terms := make([]term, owners)
	for i := range terms {
		terms[i] = term{node: fmt.Sprint(i), epoch: int64(i) + 1, began: time.Second}
	}
	if !exclusive(terms) {
		t.Error("a lock that all may have had in turn is not explained")
	}
	terms[owners-1].epoch--
	if exclusive(terms) {
		t.Error("two had the lock under one epoch, and it is explained")
	}
}
