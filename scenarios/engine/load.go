package engine

import (
	"context"
	"fmt"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
)

// startLoad begins the plan's traffic, which goes on through all phases.
func (r *run) startLoad(ctx context.Context) (*loadgen.Load, error) {
	specs, err := r.p.Loads()
	if err != nil {
		return nil, err
	}
	ingests := r.w.Ingests()
	targets := make([]loadgen.Target, len(ingests))
	for i, in := range ingests {
		targets[i] = loadgen.Target{Name: system.NodeName(system.RoleShepherd, i+1), Ingest: in}
	}
	load, err := loadgen.Start(ctx, r.w.Runtime(), loadgen.Options{Epoch: r.rec.start, Receipts: true}, specs, targets)
	if err != nil {
		return nil, fmt.Errorf("start the load: %w", err)
	}
	return load, nil
}

// opsOf turns the load's history into evidence.
func opsOf(load *loadgen.Load) []evidence.Op {
	from := load.Ops()
	ops := make([]evidence.Op, len(from))
	parts := 0
	for i := range from {
		parts += len(from[i].Parts)
	}
	slab := make([]evidence.Part, 0, parts)
	for i := range from {
		o := &from[i]
		begin := len(slab)
		for _, p := range o.Parts {
			slab = append(slab, evidence.Part(p))
		}
		ops[i] = evidence.Op{
			Traffic: o.Traffic, Producer: o.Producer, FirstSeq: o.FirstSeq, Count: o.Count, Dataset: o.Dataset, Target: o.Target,
			Intended: o.Intended, Sent: o.Sent, Done: o.Done, Code: o.Code, Error: o.Error, NotSent: o.NotSent,
			Parts: slab[begin:len(slab):len(slab)],
		}
	}
	return ops
}

// markOf says what a stored event turned out to be.
func markOf(state loadgen.State) evidence.MarkState {
	switch state {
	case loadgen.Intact:
		return evidence.Intact
	case loadgen.Corrupt:
		return evidence.Corrupt
	case loadgen.Foreign:
	}
	return evidence.Foreign
}
