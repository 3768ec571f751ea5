package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/querytest"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

const (
	wideColumns   = 50
	wideIntervals = 14
	widePerCell   = 140 // numbers, each of a magnitude of its own
)

// wide adds events whose numbers need as much memory as numbers can, before all others, to partitions in turn.
func (b *bench) wide(parts ...int32) {
	for i := range wideIntervals * widePerCell {
		e := event.Event{Time: began.Add(-time.Hour + time.Duration(i%wideIntervals)*10*time.Second), SampleRate: 1}
		n := i / wideIntervals
		for c := range wideColumns {
			e.Fields = append(e.Fields, event.Field{Name: fmt.Sprint("c", c), Value: event.FloatValue(math.Ldexp(1, 14*n-1000))})
		}
		b.Append(parts[n%len(parts)], querytest.Row{Dataset: 1, Event: e})
	}
}

// aboutWide is a query over them.
func aboutWide(op string, calculations int) query.Request {
	var list []string
	for i := range calculations {
		list = append(list, fmt.Sprintf(`{"op":%q,"column":"c%d"}`, op, i))
	}
	return query.Request{Team: querytest.Key, Dataset: "first", Spec: json.RawMessage(fmt.Sprintf(`{"start_time":%d,"time_range":%d,"granularity":10,"calculations":[%s]}`,
		began.Add(-time.Hour).Unix(), wideIntervals*10, strings.Join(list, ",")))}
}

// TestTooLarge: a query that needs too much memory is refused with the reason and what to do, by whichever node finds it out; one that
// needs a little less is answered, and so is everybody else.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]int32{"in one partition": {1}, "in all together": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
				b.wide(parts...)
				c := query.NewClient("http://query", &inProcess{h: query.Handler(b.Server)}, query.SleepOn(b.wall))
				var first string
				for range 4 { // whichever retriever is asked
					a, err := c.Query(context.Background(), aboutWide("P99", wideColumns))
					if err != nil || a.Code != http.StatusUnprocessableEntity {
						t.Fatalf("%v: %d %s, %d rows", err, a.Code, a.Error, a.Stats.RowsScanned)
					}
					if first == "" {
						first = a.Error
					}
					for _, want := range []string{"50 calculations in 14 intervals", "56 MiB", "a coarser granularity"} {
						if !strings.Contains(a.Error, want) || a.Error != first {
							t.Errorf("%s: expected %q", a.Error, want)
						}
					}
				}
				b.expect(t, aboutWide("P99", wideColumns/2))
				b.expect(t, ask(byService))
				if used := b.Used(); used != 0 {
					t.Errorf("%d bytes are still in use", used)
				}
			})
		})
	}
}

// TestProblemOfATooLargeQuery: over HTTP that is a problem like others.
func TestProblemOfATooLargeQuery(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.wide(0)
		h := query.Handler(b.Server)
		created := read[struct{ ID string }](t, do(h, "POST", "/1/queries/first", string(aboutWide("HEATMAP", wideColumns).Spec)))
		run := read[struct{ ID string }](t, do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q}`, created.ID)))
		time.Sleep(20 * time.Second)
		w := do(h, "GET", "/1/query_results/first/"+run.ID, "")
		problem := read[struct {
			Status      int
			Type, Error string
		}](t, w)
		if w.Code != 422 || problem.Status != 422 || problem.Type != "urn:ratel:problems:validation-failed" || !strings.Contains(problem.Error, "the query is too large") || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	})
}

// TestManyLargeAtOnce: queries that together need more than there is wait for one another, or are told so; none is answered wrongly,
// and nothing stays in use.
func TestManyLargeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.wide(0, 1, 2)
		req := aboutWide("P99", 3)
		want := b.truth(t, req, nil)
		for _, room := range []int64{8 << 20, 1 << 20, 1000} {
			b.SetRoom(room)
			complete, told := 0, 0
			group, ctx := rt.NewGroup(b.wall, context.Background())
			answers := make([]query.Answer, 12)
			for i := range answers {
				group.Go("query", func(context.Context) (err error) {
					answers[i], err = b.Query(ctx, req)
					return err
				})
			}
			if err := group.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			for i := range answers {
				a := &answers[i]
				switch {
				case a.Code == http.StatusOK && a.Complete && reflect.DeepEqual(a.Result, want):
					complete++
				case a.Code == http.StatusServiceUnavailable && strings.Contains(a.Error, "try again later"):
					told++
				case a.Code == http.StatusOK && !a.Complete && strings.Contains(fmt.Sprint(a.Missing), "all of the memory"):
					told++
				default:
					t.Errorf("room for %d: %d %s %v", room, a.Code, a.Error, a.Missing)
				}
			}
			t.Logf("room for %d: %d complete, %d told", room, complete, told)
			if room == 8<<20 && complete == 0 || room == 1000 && complete > 0 {
				t.Errorf("room for %d: %d complete", room, complete)
			}
			if used := b.Used(); used != 0 {
				t.Errorf("%d bytes are still in use", used)
			}
		}
		b.SetRoom(exec.DefaultRoom)
		b.expect(t, req)
		b.expect(t, ask(byService))
	})
}

// same answers every question with one reply.
type same struct {
	port.Peers
	reply []byte
}

func (s same) Call(_ context.Context, _, service string, _ []byte) ([]byte, error) {
	if service != "query" {
		return nil, port.ErrRefused
	}
	return s.reply, nil
}

// TestMemoryOfManyAtOnce: a node that is asked the most expensive queries, as many at once as come, has about as much in memory as one
// with a few of them. Each partition's part is small on its way and as large as it may be once it is decoded.
func TestMemoryOfManyAtOnce(t *testing.T) {
	wall := rt.NewWall(1)
	defer func() { wall.Kill(); wall.Wait() }()
	f := querytest.NewFleet(wall, partitions)
	const columns, intervals = 2, 300
	rows := segment.NewBuilder(0, 1, began.Unix()/3600)
	for i := range intervals * widePerCell {
		e := event.Event{Time: began.Add(time.Duration(i%intervals) * time.Second), SampleRate: 1}
		for c := range columns {
			e.Fields = append(e.Fields, event.Field{Name: fmt.Sprint("c", c), Value: event.FloatValue(math.Ldexp(1, 14*(i/intervals)-1000))})
		}
		rows.Append(&segment.Row{Offset: int64(i), Event: e})
	}
	req := query.Request{Team: querytest.Key, Dataset: "first", Spec: json.RawMessage(fmt.Sprintf(`{"start_time":%d,"time_range":%d,"granularity":1,"calculations":[{"op":"P99","column":"c0"},{"op":"P99","column":"c1"}]}`, began.Unix(), intervals))}
	q, err := spec.Parse(req.Spec, began)
	if err != nil {
		t.Fatal(err)
	}
	a := exec.New(q, nil)
	if _, err := a.Add(t.Context(), rows.View()); err != nil {
		t.Fatal(err)
	}
	one := a.Partial()
	reply := retriever.EncodeAskReply(retriever.AskReply{Partial: one.Encode()})
	if one.Memory() < 40<<20 || len(reply) > 2<<20 {
		t.Fatalf("a part counts for %d MiB, encoded it has %d KiB", one.Memory()>>20, len(reply)>>10)
	}
	ports := f.Ports()
	ports.Peers = same{reply: reply}
	cfg := query.DefaultConfig()
	cfg.Deadline = time.Minute // so that a slow machine tells the same
	s, err := query.New(wall, ports, cfg, query.Layout{Partitions: partitions, Retrievers: f.Retrievers}, "query1", planted.Set{})
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	const most = 12
	var peak atomic.Uint64
	var complete, told atomic.Int64
	group, ctx := rt.NewGroup(wall, context.Background())
	for range most {
		group.Go("query", func(context.Context) error {
			a, err := s.Query(ctx, req)
			switch {
			case err != nil:
				return err
			case a.Code == http.StatusOK && a.Complete:
				complete.Add(1)
			case a.Code == http.StatusServiceUnavailable, a.Code == http.StatusOK && strings.Contains(fmt.Sprint(a.Missing), "all of the memory"):
				told.Add(1)
			default:
				t.Errorf("%d %s %v", a.Code, a.Error, a.Missing)
			}
			return nil
		})
	}
	var over atomic.Bool
	wall.Go("look", func(context.Context) {
		for !over.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			time.Sleep(5 * time.Millisecond)
		}
	})
	if err := group.Wait(ctx); err != nil {
		t.Error(err)
	}
	over.Store(true)
	t.Logf("at most %d MiB for %d queries at once; %d complete, %d told that there is no room", peak.Load()>>20, most, complete.Load(), told.Load())
	if peak.Load() > 400<<20 || complete.Load() == 0 || s.Used() != 0 {
		t.Errorf("%d bytes in use", s.Used())
	}
}
