package containers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// export is one call of an exporter: the numbers of its items, how often it was sent, and whether its caller was told that
// all is well.
type export struct {
	items    []int64
	attempts atomic.Int64
	acked    bool
}

// exports are those of one stream of items that are numbered from 0. It may be used by several goroutines.
type exports struct {
	mu   sync.Mutex
	list []*export
}

func (e *exports) begin(items []int64) *export {
	x := &export{items: items}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, x)
	return x
}

func (e *exports) end(x *export, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x.acked = err == nil
}

// found are the items that queries have counted, each with how often.
type found map[int64]int64

// judgement is what became of a stream's items.
type judgement struct {
	exports, retried, failed int // calls
	acked, unknown           int // items
	held, again              int // items that are found, and copies beyond the first
	lost, extra              []string
}

// wrong says whether the stream's items are not as they were acknowledged.
func (j *judgement) wrong() bool { return len(j.lost)+len(j.extra) > 0 }

// String implements fmt.Stringer.
func (j *judgement) String() string {
	few := func(list []string) string { return strings.Join(list[:min(len(list), 3)], "; ") }
	text := fmt.Sprintf("%d items acknowledged, %d not, in %d exports of which %d were sent again and %d failed; %d items found, %d copies", j.acked, j.unknown, j.exports, j.retried, j.failed, j.held, j.again)
	if len(j.lost) > 0 {
		text += fmt.Sprintf("; %d lost: %s", len(j.lost), few(j.lost))
	}
	if len(j.extra) > 0 {
		text += fmt.Sprintf("; %d too many: %s", len(j.extra), few(j.extra))
	}
	return text
}

// judge holds what is found against what was sent: what was acknowledged is there, nothing is there more often than it was
// sent, and nothing that never was.
func (e *exports) judge(there found) judgement {
	e.mu.Lock()
	defer e.mu.Unlock()
	var j judgement
	sent := map[int64]int64{} // how often each may be there
	acked := map[int64]bool{}
	for _, x := range e.list {
		n := x.attempts.Load()
		j.exports++
		if n > 1 {
			j.retried++
		}
		if !x.acked {
			j.failed++
		}
		for _, item := range x.items {
			sent[item] += n
			acked[item] = acked[item] || x.acked
		}
	}
	numbers := make([]int64, 0, len(sent))
	for item := range sent {
		numbers = append(numbers, item)
	}
	for item := range there {
		if _, known := sent[item]; !known {
			numbers = append(numbers, item)
		}
	}
	slices.Sort(numbers)
	for _, item := range numbers {
		copies, most := there[item], sent[item]
		if acked[item] {
			j.acked++
		} else if most > 0 {
			j.unknown++
		}
		if copies > 0 {
			j.held++
			j.again += int(copies - 1)
		}
		switch {
		case acked[item] && copies == 0:
			j.lost = append(j.lost, fmt.Sprintf("item %d was acknowledged and is not found", item))
		case copies > most && most == 0:
			j.extra = append(j.extra, fmt.Sprintf("item %d is found %d times and was never sent", item, copies))
		case copies > most:
			j.extra = append(j.extra, fmt.Sprintf("item %d is found %d times and was sent %d times", item, copies, most))
		}
	}
	return j
}

func TestExportsAreJudged(t *testing.T) {
	t.Parallel()
	stream := func() *exports {
		e := &exports{}
		for _, x := range []struct {
			attempts int64
			acked    bool
		}{{1, true}, {2, true}, {3, false}} {
			n := int64(len(e.list)) * 2
			one := e.begin([]int64{n, n + 1})
			one.attempts.Store(x.attempts)
			var err error
			if !x.acked {
				err = fmt.Errorf("no answer")
			}
			e.end(one, err)
		}
		return e
	}
	for _, tt := range []struct {
		name  string
		there found
		want  string
		wrong bool
	}{
		{"as sent", found{0: 1, 1: 1, 2: 1, 3: 1}, "4 items acknowledged, 2 not, in 3 exports of which 2 were sent again and 1 failed; 4 items found, 0 copies", false},
		{"copies of what was sent again", found{0: 1, 1: 1, 2: 2, 3: 1, 4: 3}, "5 items found, 3 copies", false},
		{"lost", found{0: 1, 2: 1, 3: 1}, "1 lost: item 1 was acknowledged and is not found", true},
		{"nothing is there", found{}, "4 lost: item 0 ", true},
		{"a copy of what was sent once", found{0: 2, 1: 1, 2: 1, 3: 1}, "1 too many: item 0 is found 2 times and was sent 1 times", true},
		{"more copies than attempts", found{0: 1, 1: 1, 2: 3, 3: 1}, "item 2 is found 3 times and was sent 2 times", true},
		{"invented", found{0: 1, 1: 1, 2: 1, 3: 1, 9: 1}, "item 9 is found 1 times and was never sent", true},
	} {
		j := stream().judge(tt.there)
		if got := j.String(); !strings.Contains(got, tt.want) || j.wrong() != tt.wrong {
			t.Errorf("%s: wrong %v: %s\nwant %s", tt.name, j.wrong(), got, tt.want)
		}
	}
}
