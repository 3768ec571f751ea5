package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/querytest"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// began is when the rows begin: one each minute and partition, for four hours.
var began = time.Unix(1_900_000_800, 0).UTC().Truncate(time.Hour)

const (
	rowsEach   = 240
	partitions = 3
)

// bench is a query node over a fleet in a bubble of virtual time.
type bench struct {
	*query.Server
	*querytest.Fleet
	wall *rt.Wall
}

// inBubble runs a test with rows of four hours, of which the first three are sealed, a seal for each half hour.
func inBubble(t *testing.T, bugs planted.Set, change func(c *query.Config), test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wall := rt.NewWall(1)
		b := &bench{Fleet: querytest.NewFleet(wall, partitions), wall: wall}
		fill(t, b.Fleet)
		cfg := query.DefaultConfig()
		if change != nil {
			change(&cfg)
		}
		var err error
		if b.Server, err = query.New(wall, b.Ports(), cfg, query.Layout{Partitions: partitions, Retrievers: b.Retrievers}, "query1", bugs); err != nil {
			t.Fatal(err)
		}
		test(t, b)
		wall.Kill()
		wall.Wait()
	})
}

func fill(t *testing.T, f *querytest.Fleet) {
	r := rand.New(rand.NewPCG(1, 1))
	for p := range int32(partitions) {
		for i := range rowsEach {
			f.Append(p, querytest.Row{Dataset: int64(1 + i%2), Event: event.Event{Time: began.Add(time.Duration(i)*time.Minute + time.Second), SampleRate: int64(1 + i%3), Fields: []event.Field{
				{Name: "duration_ms", Value: event.FloatValue(r.Float64() * 100)}, {Name: "partition", Value: event.IntValue(int64(p))}, {Name: "service.name", Value: event.StringValue(fmt.Sprint("s", r.IntN(4)))},
			}}})
		}
		for i := int64(30); i <= 180; i += 30 {
			if err := f.Seal(p, i, began.Add(time.Duration(i)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for i, name := range f.Retrievers(p) {
			f.Nodes[name].Floor = []int64{60, 120, 180, 0, 90, 150}[(int(p)*2+i)%6]
		}
	}
}

// ask is a query over all four hours.
func ask(body string) query.Request {
	return query.Request{Team: querytest.Key, Dataset: "First", Spec: json.RawMessage(fmt.Sprintf(`{"start_time":%d,"time_range":14400,"granularity":600%s}`, began.Unix(), body))}
}

const byService = `,"breakdowns":["service.name"],"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"},{"op":"P95","column":"duration_ms"}]`

// truth is what an answer must be, over the rows that a function keeps.
func (b *bench) truth(t *testing.T, req query.Request, keep func(p int32, offset int64, e *event.Event) bool) *exec.Result {
	t.Helper()
	q, err := spec.Parse(req.Spec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	q.TableOnly = req.DisableSeries
	a := exec.New(q, nil)
	for p := range int32(partitions) {
		for i, row := range b.Rows(p) {
			if row.Dataset != 1 && req.Dataset != query.AllDatasets || keep != nil && !keep(p, int64(i), &row.Event) {
				continue
			}
			one := segment.NewBuilder(p, row.Dataset, row.Event.Time.Unix()/3600)
			one.Append(&segment.Row{Event: row.Event})
			if _, err := a.Add(context.Background(), one.View()); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := a.Partial().Finish(q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expect asks and demands a complete and right answer.
func (b *bench) expect(t *testing.T, req query.Request) query.Answer {
	t.Helper()
	a, err := b.Query(context.Background(), req)
	if err != nil || a.Code != 200 {
		t.Fatalf("%v: %+v", err, a)
	}
	if !a.Complete || len(a.Missing) > 0 {
		t.Errorf("not complete: %+v", a.Missing)
	}
	if want := b.truth(t, req, nil); !reflect.DeepEqual(a.Result, want) {
		t.Errorf("got  %+v\nwant %+v", a.Result.Rows, want.Rows)
	}
	return a
}

// partial asks and demands an answer that is right over the rows that are kept, and says what is missing.
func (b *bench) partial(t *testing.T, req query.Request, missing string, keep func(p int32, offset int64, e *event.Event) bool) query.Answer {
	t.Helper()
	a, err := b.Query(context.Background(), req)
	if err != nil || a.Code != 200 {
		t.Fatalf("%v: %+v", err, a)
	}
	if text := fmt.Sprint(a.Missing); a.Complete || !strings.Contains(text, missing) {
		t.Errorf("complete %v, missing %s: expected something about %q", a.Complete, text, missing)
	}
	if want := b.truth(t, req, keep); !reflect.DeepEqual(a.Result, want) {
		t.Errorf("got  %+v\nwant %+v", a.Result.Rows, want.Rows)
	}
	for p := range int32(partitions) {
		for i, row := range b.Rows(p) {
			if keep(p, int64(i), &row.Event) || row.Dataset != 1 {
				continue
			}
			if !covered(a.Missing, p, row.Event.Time.Unix()) {
				t.Fatalf("partition %d: the row of %v is missing, and the answer does not say so: %+v", p, row.Event.Time, a.Missing)
			}
		}
	}
	return a
}

func covered(missing []query.Missing, p int32, at int64) bool {
	for _, m := range missing {
		if m.Partition == p && at >= m.From && at < m.To {
			return true
		}
	}
	return false
}

func (b *bench) announced(kind string) (n int) {
	b.Set(func() {
		for _, e := range b.Events {
			if e.Kind == kind {
				n++
			}
		}
	})
	return n
}
