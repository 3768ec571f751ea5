package ratel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/querytest"
)

// The query node's own tests run on the wall clock's runtime; here it runs under the simulation's scheduler.

// queriesOn asks a query node over a faulty deployment a few times.
func queriesOn(t *testing.T, seed uint64) (answers []query.Answer, hash uint64) {
	t.Helper()
	s := sched.New(seed)
	defer s.Close()
	p := s.Process("query1")
	f := querytest.NewFleet(p, 2)
	for part := range int32(2) {
		for i := range 120 {
			f.Append(part, querytest.Row{Dataset: 1, Event: event.Event{Time: sched.Epoch.Add(time.Duration(i) * time.Minute), SampleRate: 1, Fields: []event.Field{{Name: "k", Value: event.IntValue(int64(i % 5))}}}})
		}
		if err := f.Seal(part, 60, sched.Epoch.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, name := range f.Retrievers(part) {
			f.Nodes[name].Floor = 60
			f.Nodes[name].Delay = time.Duration(p.Rand().IntN(1500)) * time.Millisecond
		}
	}
	f.Nodes["retriever1"].Err = port.ErrRefused
	f.GetFails = 3
	node, err := query.New(p, f.Ports(), query.DefaultConfig(), query.Layout{Partitions: 2, Retrievers: f.Retrievers}, "query1", planted.Set{})
	if err != nil {
		t.Fatal(err)
	}
	req := query.Request{Team: querytest.Key, Dataset: "first", Spec: json.RawMessage(fmt.Sprintf(`{"start_time":%d,"time_range":7200,"breakdowns":["k"]}`, sched.Epoch.Unix()))}
	p.Go("run", func(ctx context.Context) { _ = node.Run(ctx) })
	p.Foreground("ask", func(ctx context.Context) {
		for i := range 4 {
			if i == 3 {
				f.Set(func() { f.Nodes["retriever2"].Err = port.ErrRefused })
			}
			a, err := node.Query(ctx, req)
			if err != nil {
				t.Error(err)
			}
			answers = append(answers, a)
		}
	})
	if err := s.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	return answers, s.Hash()
}

func TestQueriesUnderTheScheduler(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		answers, hash := queriesOn(t, seed)
		again, hash2 := queriesOn(t, seed)
		if hash != hash2 || !reflect.DeepEqual(answers, again) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
		for i, a := range answers {
			rows := int64(0)
			for _, r := range a.Result.Rows {
				rows += r.Values[0].Value.Int()
			}
			if want := []int64{240, 240, 240, 180}[i]; rows != want || a.Complete != (i < 3) {
				t.Errorf("seed %d, query %d: %d rows, complete %v, missing %+v; expected %d", seed, i, rows, a.Complete, a.Missing, want)
			}
		}
	}
}
