package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
)

// drain waits until every retriever holds durably what Kafka holds.
func (r *run) drain(ctx context.Context) {
	began := r.rec.now()
	for {
		behind := r.behind(ctx)
		if behind == "" {
			r.rec.add(evidence.Entry{Kind: evidence.Drained, Detail: fmt.Sprintf("all retrievers reached the end of the log %v after the load", (r.rec.now() - began).Round(time.Millisecond))})
			return
		}
		if r.rec.now()-began > drainDeadline || r.w.Runtime().Sleep(ctx, drainPollPeriod) != nil {
			r.rec.add(evidence.Entry{Kind: evidence.NotDrained, Detail: fmt.Sprintf("after %v: %s", drainDeadline, behind)})
			return
		}
	}
}

// idle waits until partitions that nobody writes to any more are sealed and in S3, where retrievers see to that, or its time is up: then what is missing is
// for the checks to tell. Afterwards the log is as it will stay.
func (r *run) idle(ctx context.Context) {
	t := r.topology()
	c := t.Retriever
	if c.SealIdle <= 0 {
		return
	}
	_, _ = r.poll(ctx, 3*c.SealIdle+2*c.SnapshotEvery+idleSlack, func(ctx context.Context) (string, bool) {
		for p := range t.Kafka.Partitions {
			for _, name := range t.Retrievers(p) {
				st, err := r.w.Holder(name).Status(ctx)
				if err != nil {
					return fmt.Sprintf("%s does not answer: %v", name, err), false
				}
				if st.Open > 0 || st.Committed < st.Sealed {
					return fmt.Sprintf("%s has %d events in no segment, and S3 has records below offset %d of %d", name, st.Open, st.Committed, st.Sealed), false
				}
			}
		}
		return "", true
	})
}

// behind says which partition's retriever has not reached the end of the log, or cannot be asked; empty if all have.
func (r *run) behind(ctx context.Context) string {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	t := r.topology()
	for p := range t.Kafka.Partitions {
		_, high, err := r.w.Log().Admin().Offsets(ctx, system.EventsTopic, p)
		if err != nil {
			return fmt.Sprintf("the high watermark of %s/%d cannot be had: %v", system.EventsTopic, p, err)
		}
		for _, name := range t.Retrievers(p) {
			st, err := r.w.Holder(name).Status(ctx)
			if err != nil {
				return fmt.Sprintf("%s does not answer: %v", name, err)
			}
			if st.Durable < high {
				return fmt.Sprintf("%s holds %s/%d up to offset %d of %d", name, system.EventsTopic, p, st.Durable, high)
			}
		}
	}
	return ""
}

// collect reads back what Kafka and the retrievers hold. What cannot be read is a gap, not an error: the rest is still evidence.
func (r *run) collect(ctx context.Context) error {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, collectDeadline)
	defer cancel()
	_, accepted, failed, _ := r.load.Counts()
	events := accepted + failed
	events += events/64 + 64 // with some duplicates
	r.ev.Log = make([]evidence.LogMark, 0, events)
	// Every retriever of a pair holds all of it, and nearly all is in the object store too.
	r.ev.Held = make([]evidence.HeldMark, 0, events*int64(1+max(1, len(r.p.System.Retrievers(0)))))
	for p := range r.topology().Kafka.Partitions {
		a := auditor{r: r, partition: p}
		if err := a.readLog(ctx); err != nil {
			r.gap("log", fmt.Sprintf("%s/%d: %v", system.EventsTopic, p, err))
		}
		a.readPair(ctx)
		if err := a.readStore(ctx); err != nil {
			r.gap("s3", fmt.Sprintf("%s/%d: %v", system.EventsTopic, p, err))
		}
	}
	return nil
}

func (r *run) gap(what, why string) {
	r.ev.Gaps = append(r.ev.Gaps, evidence.Gap{What: what, Why: why})
}
