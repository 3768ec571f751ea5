package retriever

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// tick says how the retriever is. See docs/telemetry.md for what its fields mean.
func (re *Retriever) tick(f []telemetry.Field) []telemetry.Field {
	st, _ := re.Status(context.Background()) // it neither asks anybody nor fails
	now := re.r.Now()
	re.mu.Lock()
	freshAt, newest := re.freshAt, re.newest
	re.mu.Unlock()
	f = append(f,
		telemetry.Int("partition", int64(st.Partition)), telemetry.Int("replica", int64(re.place.Replica)), telemetry.Bool("claimed", st.Claimed), telemetry.Int("claim.lost", re.claim.losses()),
		telemetry.Int("offset.next", st.Next), telemetry.Int("log.end", st.HighWater), telemetry.Int("lag.records", max(st.HighWater-st.Next, 0)),
		telemetry.Int("offset.durable", st.Durable), telemetry.Int("offset.floor", st.Floor),
		telemetry.Int("snapshot.generation", st.Generation), telemetry.Int("snapshot.next", st.Committed),
		telemetry.Int("rows.held", st.Held), telemetry.Int("rows.duplicate", st.Duplicates), telemetry.Int("records.corrupt", st.Corrupt),
		telemetry.Int("records.missed", st.Missed), telemetry.Int("segments.repaired", st.Repaired),
		telemetry.Int("memory.bytes", st.MemBytes), telemetry.Float("memory.share", float64(st.MemBytes)/float64(re.cfg.MaxMemoryBytes)),
		telemetry.Int("local.bytes", st.LocalBytes), telemetry.Float("local.share", float64(st.LocalBytes)/float64(re.cfg.MaxLocalBytes)),
	)
	return age(age(f, "fresh.age_ms", now, freshAt), "newest.age_ms", now, newest)
}

// age says how long ago something was, unless it has never been.
func age(f []telemetry.Field, name string, now, then time.Time) []telemetry.Field {
	if then.IsZero() {
		return f
	}
	return append(f, telemetry.Millis(name, now.Sub(then)))
}

// tellIndex tells of a record that is about to be indexed, if its chunk is one whose way is told.
func (re *Retriever) tellIndex(rec *port.Fetched, c event.Chunk) {
	if !re.telemetry.On() || len(c.Events) == 0 {
		return
	}
	trace := telemetry.TraceOf(c.Events[0].ID)
	if !re.telemetry.Chunks(trace) {
		return
	}
	re.telemetry.Record(telemetry.KindIndex, re.telemetry.ChunkRate(),
		telemetry.Int("partition", int64(re.place.Partition)), telemetry.Int("offset", rec.Offset), telemetry.Int("events", int64(len(c.Events))),
		telemetry.Text("dataset", c.Dataset.Name), telemetry.Int("bytes", int64(len(rec.Value))), telemetry.Millis("delay_ms", re.r.Now().Sub(rec.Time)),
		telemetry.Text("trace.trace_id", trace.ID()), telemetry.Text("trace.span_id", trace.Span(telemetry.KindIndex, re.place.Node)),
		telemetry.Text("trace.parent_id", trace.Span(telemetry.SpanProduce, "")))
}
