package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// holdingsPage is how many events are asked of a retriever at once.
const holdingsPage = 4096

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

// behind says which partition's retriever has not reached the end of the log, or cannot be asked; empty if all have.
func (r *run) behind(ctx context.Context) string {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	for p := range r.p.System.Kafka.Partitions {
		_, high, err := r.w.Log().Admin().Offsets(ctx, system.EventsTopic, p)
		if err != nil {
			return fmt.Sprintf("the high watermark of %s/%d cannot be had: %v", system.EventsTopic, p, err)
		}
		st, err := r.w.Holder(p).Status(ctx)
		if err != nil {
			return fmt.Sprintf("the retriever of %s/%d does not answer: %v", system.EventsTopic, p, err)
		}
		if st.Durable < high {
			return fmt.Sprintf("the retriever of %s/%d holds up to offset %d of %d", system.EventsTopic, p, st.Durable, high)
		}
	}
	return ""
}

// collect reads back what Kafka and the retrievers hold. What cannot be read is a gap, not an error: the rest is still evidence.
func (r *run) collect(ctx context.Context) error {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, collectDeadline)
	defer cancel()
	_, accepted, failed, _ := r.load.Counts()
	r.ev.Log = make([]evidence.LogMark, 0, accepted+failed)
	r.ev.Held = make([]evidence.HeldMark, 0, accepted+failed)
	for p := range r.p.System.Kafka.Partitions {
		if err := r.readLog(ctx, p); err != nil {
			r.gap("log", fmt.Sprintf("%s/%d: %v", system.EventsTopic, p, err))
		}
		if err := r.readHoldings(ctx, p); err != nil {
			r.gap("held", fmt.Sprintf("the retriever of %s/%d: %v", system.EventsTopic, p, err))
		}
	}
	return nil
}

func (r *run) gap(what, why string) {
	r.ev.Gaps = append(r.ev.Gaps, evidence.Gap{What: what, Why: why})
}

func (r *run) readLog(ctx context.Context, partition int32) error {
	start, high, err := r.w.Log().Admin().Offsets(ctx, system.EventsTopic, partition)
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	if start != 0 {
		r.gap("log", fmt.Sprintf("%s/%d begins at offset %d: what was before it has expired", system.EventsTopic, partition, start))
	}
	reader, err := r.w.Log().NewReader(port.DefaultReaderConfig("ratel-audit"), system.EventsTopic, partition, start)
	if err != nil {
		return fmt.Errorf("open a reader: %w", err)
	}
	defer reader.Close()
	var decoder event.Decoder
	for reader.Offset() < high {
		batch, err := reader.Fetch(ctx)
		if err != nil {
			return fmt.Errorf("read at offset %d of %d: %w", reader.Offset(), high, err)
		}
		for _, rec := range batch.Records {
			r.ev.Log = appendLogMarks(r.ev.Log, &decoder, partition, rec)
		}
	}
	return nil
}

func (r *run) readHoldings(ctx context.Context, partition int32) error {
	name := system.NodeName(system.RoleRetriever, int(partition)+1)
	for cursor := int64(0); ; {
		page, err := r.w.Holder(partition).Holdings(ctx, cursor, holdingsPage)
		if err != nil {
			return fmt.Errorf("holdings from %d: %w", cursor, err)
		}
		for i := range page.Held {
			h := &page.Held[i]
			producer, seq, state := identify(&h.Event)
			r.ev.Held = append(r.ev.Held, evidence.HeldMark{Retriever: name, Partition: partition, Offset: h.Offset, Producer: producer, Seq: seq, State: state})
		}
		if page.Done {
			return nil
		}
		if page.Cursor <= cursor {
			return fmt.Errorf("holdings do not advance beyond %d", cursor)
		}
		cursor = page.Cursor
	}
}
