package trigger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/lock/locktest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/trigger"
)

// BenchmarkEvaluations is how many windows a leader evaluates and records in a second, over a query node and a metadata
// store that answer at once: what it has missed of many triggers, so that it never waits for the time to come.
func BenchmarkEvaluations(b *testing.B) {
	const alerts = 100
	r := rt.NewWall(1)
	s := &fastStore{made: time.Now().Add(-23 * time.Hour)}
	for id := range int64(alerts) {
		s.defs = append(s.defs, port.Definition{
			ID: id + 1, Team: 1, Dataset: 1, Kind: port.KindTrigger, Name: fmt.Sprint(id), Created: s.made, Updated: s.made, Version: 1,
			Body: body(func(t *definition.Trigger) {
				t.Frequency, t.Query = 1, json.RawMessage(`{"calculations":[{"op":"COUNT"}],"time_range":1}`)
			}),
		})
	}
	answer, err := query.EncodeAnswer(&query.Answer{Code: 200, Complete: true, FreshTo: 1 << 62, Result: &exec.Result{
		Columns: []string{"COUNT"}, Rows: []exec.Row{{Values: []exec.Cell{{Value: event.IntValue(3)}}}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	s.enough, s.done = int64(b.N), rt.NewFuture[struct{}](r)
	ports := port.Ports{Coordination: locktest.New().Client(r, "a"), Definitions: s, Evaluations: s, Peers: fastPeers(answer), Webhooks: webhooks{}}
	w, err := trigger.New(r, ports, trigger.DefaultConfig(), []string{"query1"}, "trigger1", planted.Set{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	r.Go("worker", func(ctx context.Context) { _ = w.Run(ctx) })
	_, _ = s.done.Wait(context.Background())
	b.ReportMetric(float64(s.recorded.Load())/time.Since(began).Seconds(), "evaluations/s")
	b.StopTimer()
	r.Kill()
	r.Wait()
}

type fastPeers []byte

func (p fastPeers) Call(context.Context, string, string, []byte) ([]byte, error) { return p, nil }

// fastStore answers at once.
type fastStore struct {
	port.Definitions
	port.Evaluations
	defs     []port.Definition
	made     time.Time
	recorded atomic.Int64
	enough   int64
	done     *rt.Future[struct{}]
}

func (s *fastStore) DefinitionsOf(context.Context, int64, ...port.DefinitionKind) ([]port.Definition, error) {
	return s.defs, nil
}
func (s *fastStore) Lead(context.Context, int64, string) error { return nil }
func (s *fastStore) LastEvaluation(context.Context, int64) (port.Evaluation, error) {
	return port.Evaluation{}, port.ErrNotFound
}
func (s *fastStore) Undelivered(context.Context, port.Place, int) ([]port.Evaluation, error) {
	return nil, nil
}
func (s *fastStore) Record(_ context.Context, e port.Evaluation) (port.Evaluation, bool, error) {
	if n := s.recorded.Add(1); n >= s.enough {
		s.done.Complete(struct{}{}, nil)
	}
	return e, true, nil
}
