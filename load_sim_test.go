package ratel_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// The load generator knows no simulation, and the simulation no load generator, so what both together promise is tested
// here, above them: under virtual time a load and its readers are a function of the seed.

// slowServer is a shepherd and a query node that take a random while, and sometimes for ever.
type slowServer struct{ p *sched.Process }

func (s slowServer) wait(ctx context.Context) error {
	return s.p.Sleep(ctx, time.Duration(s.p.Rand().IntN(3000))*time.Millisecond)
}

func (s slowServer) Send(ctx context.Context, req shepherd.Request) (shepherd.Answer, error) {
	if err := s.wait(ctx); err != nil {
		return shepherd.Answer{}, err
	}
	a := shepherd.Answer{Code: 200, Statuses: make([]shepherd.Status, len(req.Events))}
	for i := range a.Statuses {
		a.Statuses[i] = shepherd.Status{Code: shepherd.Accepted, Offset: -1}
	}
	return a, nil
}

func (s slowServer) Query(ctx context.Context, req query.Request) (query.Answer, error) {
	if err := s.wait(ctx); err != nil {
		return query.Answer{}, err
	}
	if s.p.Rand().IntN(5) == 0 {
		return query.Answer{}, errors.New("connection reset")
	}
	return query.Answer{Code: 200, Complete: true, Result: &exec.Result{}}, nil
}

// loadOn runs a load with readers for a minute of virtual time.
func loadOn(t *testing.T, seed uint64) (ops []loadgen.Op, asked []loadgen.QueryOp, hash uint64) {
	t.Helper()
	s := sched.New(seed)
	defer s.Close()
	p := s.Process("load")
	server := slowServer{s.Process("server")}
	traffic := func(kind loadgen.Events, shape loadgen.Shape) loadgen.Spec {
		return loadgen.Spec{
			Events: kind, Shape: shape, EventsPerSecond: 100, ToPerSecond: 300, Length: time.Minute, BurstEvery: 10 * time.Second, BurstLength: time.Second,
			EventsPerBatch: 20, Datasets: 2, Clients: 3, Timeout: 2 * time.Second,
		}
	}
	p.Foreground("main", func(ctx context.Context) {
		specs := []loadgen.Spec{traffic(loadgen.Small, loadgen.Steady), traffic(loadgen.Wide, loadgen.Ramp), traffic(loadgen.Traces, loadgen.Burst), traffic(loadgen.Small, loadgen.Wave)}
		load, err := loadgen.Start(ctx, p, loadgen.Options{}, specs, []loadgen.Target{{Name: "shepherd1", Ingest: server}})
		if err != nil {
			t.Error(err)
			return
		}
		readers, err := loadgen.StartReaders(ctx, p, loadgen.Options{Epoch: sched.Epoch, MaxInFlight: 2}, []loadgen.ReaderSpec{
			{Datasets: []string{loadgen.Dataset(0, 0)}, Every: 700 * time.Millisecond, Shapes: loadgen.QueryShapes(), Timeout: 2 * time.Second},
			{Datasets: []string{loadgen.Dataset(1, 0), loadgen.Dataset(1, 1)}, Every: 3 * time.Second, Shapes: []string{loadgen.QueryAll}, Timeout: 5 * time.Second},
		}, []loadgen.QueryTarget{{Name: "query1", Querier: server}})
		if err != nil {
			t.Error(err)
			return
		}
		_ = p.Sleep(ctx, time.Minute)
		load.Stop(ctx)
		readers.Stop(ctx)
		ops, asked = load.Ops(), readers.Ops()
	})
	if err := s.Run(time.Hour); err != nil {
		t.Fatal(err)
	}
	return ops, asked, s.Hash()
}

func TestLoadIsAFunctionOfTheSeed(t *testing.T) {
	t.Parallel()
	ops, asked, hash := loadOn(t, 7)
	again, askedAgain, hashAgain := loadOn(t, 7)
	if hash != hashAgain || !reflect.DeepEqual(ops, again) || !reflect.DeepEqual(asked, askedAgain) {
		t.Error("two runs of one seed differ")
	}
	if _, _, other := loadOn(t, 8); other == hash {
		t.Error("another seed makes no difference")
	}
	byTraffic, outcomes := map[int]int{}, map[string]int{}
	for _, op := range ops {
		byTraffic[op.Traffic]++
		if op.Done < 0 || op.Sent != op.Intended {
			t.Errorf("%+v", op)
		}
	}
	for traffic, want := range []int{300, 600, 350, 300} { // batches within the minute
		if n := byTraffic[traffic]; n < want-10 || n > want+10 {
			t.Errorf("traffic %d has %d batches, expected %d", traffic, n, want)
		}
	}
	for _, op := range asked {
		if op.Done < 0 || op.Sent >= 0 && op.Sent < op.Intended || op.Code == 0 && op.Error == "" {
			t.Errorf("%+v", op)
		}
		outcomes[fmt.Sprint(op.Code, op.Error)]++
	}
	if outcomes["200"] == 0 || outcomes["0connection reset"] == 0 || outcomes["0no answer within 2s"] == 0 || len(outcomes) < 4 {
		t.Errorf("outcomes of queries: %v", outcomes)
	}
}
