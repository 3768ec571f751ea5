package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/query"
)

// readerSpecs says what the plan's readers ask for.
func (r *run) readerSpecs() []loadgen.ReaderSpec {
	specs := make([]loadgen.ReaderSpec, len(r.p.Readers))
	for i := range r.p.Readers {
		rd := &r.p.Readers[i]
		at := slices.IndexFunc(r.p.Traffic, func(t plan.Traffic) bool { return t.Name == rd.Traffic })
		t := &r.p.Traffic[at]
		specs[i] = loadgen.ReaderSpec{
			Name: rd.Name, Team: system.TeamKey(t.Team), Datasets: loadgen.DatasetNames(at, t.Datasets),
			Every: time.Duration(rd.Every), Shapes: rd.Shapes, Timeout: time.Duration(rd.Timeout),
		}
	}
	return specs
}

// startReaders begins the plan's queries, which go on as long as the load does.
func (r *run) startReaders(ctx context.Context) (*loadgen.Readers, error) {
	nodes := r.w.Queriers()
	targets := make([]loadgen.QueryTarget, len(nodes))
	for i, q := range nodes {
		targets[i] = loadgen.QueryTarget{Name: system.NodeName(system.RoleQuery, i+1), Querier: q}
	}
	readers, err := loadgen.StartReaders(ctx, r.w.Runtime(), loadgen.Options{Epoch: r.rec.start}, r.readerSpecs(), targets)
	if err != nil {
		return nil, fmt.Errorf("start the readers: %w", err)
	}
	return readers, nil
}

// askAll asks every shape of every dataset that has a reader once more, after everything has settled: now the ground
// truth is exact, and so must the answers be.
func (r *run) askAll(ctx context.Context) {
	nodes := r.w.Queriers()
	if len(nodes) == 0 {
		return
	}
	for i, spec := range r.readerSpecs() {
		for d, dataset := range spec.Datasets {
			for k, shape := range plan.QueryShapes() {
				if r.ask(ctx, i, &spec, shape, dataset, (d+k)%len(nodes)) != nil {
					return
				}
			}
		}
	}
}

func (r *run) ask(ctx context.Context, reader int, spec *loadgen.ReaderSpec, shape, dataset string, target int) error {
	rtm := r.w.Runtime()
	q := evidence.Query{
		Reader: reader, Shape: shape, Team: r.teamOf(reader), Dataset: dataset, Target: system.NodeName(system.RoleQuery, target+1),
		Spec: loadgen.SpecFor(shape, rtm.Now(), r.rec.start), Intended: r.rec.now(), Sent: r.rec.now(),
	}
	askCtx, cancel := rtm.WithTimeout(ctx, spec.Timeout)
	answer, err := r.w.Queriers()[target].Query(askCtx, query.Request{Team: spec.Team, Dataset: dataset, Spec: q.Spec, DisableSeries: !loadgen.WantsSeries(shape)})
	cancel()
	q.Done = r.rec.now()
	if err != nil {
		q.Error = err.Error()
	} else {
		q.Code, q.Error, q.Complete, q.Missing, q.Result = answer.Code, answer.Error, answer.Complete, answer.Missing, answer.Result
	}
	r.asked = append(r.asked, q)
	return ctx.Err()
}

// teamOf names the team of a reader's traffic.
func (r *run) teamOf(reader int) string {
	for i := range r.p.Traffic {
		if r.p.Traffic[i].Name == r.p.Readers[reader].Traffic {
			return r.p.Traffic[i].Team
		}
	}
	return ""
}

// queriesOf turns the readers' history into evidence.
func (r *run) queriesOf(from []loadgen.QueryOp) []evidence.Query {
	out := make([]evidence.Query, len(from))
	for i := range from {
		o := &from[i]
		out[i] = evidence.Query{
			Reader: o.Reader, Shape: o.Shape, Team: r.teamOf(o.Reader), Dataset: o.Dataset, Spec: o.Spec, Target: o.Target,
			Intended: o.Intended, Sent: o.Sent, Done: o.Done, Code: o.Code, Error: o.Error,
			Complete: o.Complete, Missing: o.Missing, Result: o.Result,
		}
	}
	return out
}
