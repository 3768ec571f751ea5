package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// startLoad begins the plan's traffic, which goes on through all phases.
func (r *run) startLoad(ctx context.Context) (*loadgen.Load, error) {
	var length time.Duration
	for _, ph := range r.p.Phases {
		length += time.Duration(ph.Length)
	}
	specs := make([]loadgen.Spec, len(r.p.Traffic))
	for i, t := range r.p.Traffic {
		specs[i] = loadgen.Spec{
			Shape: loadgen.Shape(t.Shape), EventsPerSecond: t.EventsPerSecond, ToPerSecond: t.ToPerSecond, Length: length,
			EventsPerBatch: t.EventsPerBatch, EventBytes: t.EventBytes, Datasets: t.Datasets, Clients: t.Clients,
			Timeout: time.Duration(t.Timeout),
		}
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

// identify recognises a stored event as one of the load's.
func identify(e *event.Event) (producer uint32, seq uint64, state evidence.MarkState) {
	producer, seq, found := loadgen.Identify(e)
	switch found {
	case loadgen.Intact:
		state = evidence.Intact
	case loadgen.Corrupt:
		state = evidence.Corrupt
	case loadgen.Foreign:
		state = evidence.Foreign
	}
	return producer, seq, state
}

// appendLogMarks marks every event of one Kafka record.
func appendLogMarks(marks []evidence.LogMark, decoder *event.Decoder, partition int32, rec port.Fetched) []evidence.LogMark {
	chunk, err := decoder.Decode(rec.Value)
	if err != nil {
		return append(marks, evidence.LogMark{Partition: partition, Offset: rec.Offset, State: evidence.Unreadable})
	}
	for i := range chunk.Events {
		producer, seq, state := identify(&chunk.Events[i])
		marks = append(marks, evidence.LogMark{Partition: partition, Offset: rec.Offset, Producer: producer, Seq: seq, State: state})
	}
	return marks
}
