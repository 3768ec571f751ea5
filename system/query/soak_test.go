//go:build soak

package query_test

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/querytest"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/soak"
)

// tally is what became of the queries of a soak.
type tally struct {
	mu                         sync.Mutex
	complete, partial, refused int
	wrong                      []string
}

// count judges an answer: a complete one equals the truth, and a partial one is right about all that it does not name.
func (c *tally) count(a *query.Answer, truth *exec.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.Code == http.StatusServiceUnavailable:
		c.refused++
	case a.Code != http.StatusOK:
		c.wrong = append(c.wrong, a.Error)
	case a.Complete:
		c.complete++
		if !reflect.DeepEqual(a.Result, truth) {
			c.wrong = append(c.wrong, "a complete answer differs from the truth")
		}
	default:
		c.partial++
		if why := dishonest(a, truth); why != "" {
			c.wrong = append(c.wrong, why)
		}
	}
}

// dishonest says what of a partial answer, grouped by partition, is not right although it is not named as missing.
func dishonest(a *query.Answer, truth *exec.Result) string {
	if len(a.Missing) == 0 {
		return "a partial answer names nothing that is missing"
	}
	type place struct{ partition, start int64 }
	got := map[place]exec.Row{}
	for _, p := range a.Result.Series {
		got[place{p.Group[0].Int(), p.Start}] = p.Row
	}
	for _, p := range truth.Series {
		at := place{p.Group[0].Int(), p.Start}
		if !covered(a.Missing, int32(at.partition), at.start) && !reflect.DeepEqual(got[at], p.Row) {
			return "a partial answer is wrong where it names nothing as missing"
		}
	}
	return ""
}

// TestSoakTwiceTheCapacity asks twice as many queries as the workers of a node can answer within the deadline, by the open
// model, for RATEL_SOAK (10 minutes if it is not set): neither heap nor goroutines grow with time, every answer is complete and
// right, or partial and honest, or refused; and afterwards the next one is complete.
func TestSoakTwiceTheCapacity(t *testing.T) {
	length, err := soak.For()
	if err != nil {
		t.Fatal(err)
	}
	const (
		memory = 32 << 20 // bound of the growth: far more than 32 queries of this size need
		delay  = 50 * time.Millisecond
	)
	wall := rt.NewWall(1)
	b := &bench{Fleet: querytest.NewFleet(wall, partitions), wall: wall}
	t.Cleanup(func() { wall.Kill(); wall.Wait() })
	fill(t, b.Fleet)
	b.Set(func() {
		b.GetDelay = delay
		for _, n := range b.Nodes {
			n.Floor = 180 // all that is sealed is in S3 alone
		}
	})
	cfg := query.DefaultConfig()
	cfg.Workers, cfg.ColdStart, cfg.Deadline, cfg.Reissue = 4, 0, 2*time.Second, 0
	if b.Server, err = query.New(wall, b.Ports(), cfg, query.Layout{Partitions: partitions, Retrievers: b.Retrievers}, "query1", planted.Set{}); err != nil {
		t.Fatal(err)
	}
	req := ask(strings.Replace(byService, "service.name", "partition", 1))
	truth := b.truth(t, req, func(int32, int64, *event.Event) bool { return true })
	reads := b.expect(t, req).Stats.SegmentsRead
	capacity := float64(cfg.Workers) / delay.Seconds() / float64(reads) // queries a second
	interval := time.Duration(float64(time.Second) / (2 * capacity))

	var open sync.WaitGroup
	var answers tally
	var first, peak, goroutines int64
	asked := 0
	began, next := time.Now(), time.Now()
	for look := began.Add(length / 10); time.Since(began) < length; next = next.Add(interval) {
		time.Sleep(time.Until(next))
		asked++
		open.Go(func() {
			a, err := b.Query(context.WithoutCancel(t.Context()), req)
			if err != nil {
				a = query.Answer{Error: err.Error()}
			}
			answers.count(&a, truth)
		})
		if time.Now().Before(look) {
			continue
		}
		look = look.Add(length / 10)
		b.Set(func() { b.Events = nil }) // the fleet's own memory
		heap, running := soak.LiveHeap(), int64(runtime.NumGoroutine())
		if first == 0 {
			first, goroutines = heap, running
		}
		peak, goroutines = max(peak, heap), max(goroutines, running)
		answers.mu.Lock()
		t.Logf("%v: heap %.1f MB, %d goroutines; %d asked, %d complete, %d partial, %d refused", time.Since(began).Round(time.Second), float64(heap)/1e6, running, asked, answers.complete, answers.partial, answers.refused)
		answers.mu.Unlock()
	}
	open.Wait()
	done := answers.complete + answers.partial + answers.refused
	if done != asked || len(answers.wrong) > 0 {
		t.Errorf("%d of %d queries were answered; wrong: %.5q of %d", done, asked, answers.wrong, len(answers.wrong))
	}
	if answers.partial+answers.refused == 0 {
		t.Error("every query was complete: it was not asked more than it can answer")
	}
	if peak > first+memory {
		t.Errorf("the heap grew from %d to %d bytes", first, peak)
	}
	most := int64(math.Ceil(2*capacity*cfg.Deadline.Seconds()))*20 + 100 // of queries within their deadline, some for each
	if goroutines > most {
		t.Errorf("%d goroutines, expected at most %d", goroutines, most)
	}
	b.expect(t, req)
	t.Logf("%v at twice the capacity of %.1f queries/s (%d segments each): %d asked, %d complete, %d partial, %d refused; heap %.1f to %.1f MB, at most %d goroutines",
		length, capacity, reads, asked, answers.complete, answers.partial, answers.refused, float64(first)/1e6, float64(peak)/1e6, goroutines)
}
