package beagle

import (
	"math"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// tick says how the worker is. See docs/telemetry.md for what its fields mean.
func (b *Beagle) tick(f []telemetry.Field) []telemetry.Field {
	st := b.Status()
	b.mu.Lock()
	defer b.mu.Unlock()
	lag := int64(0)
	for i := range st.Partitions {
		lag += max(st.Partitions[i].HighWater-st.Partitions[i].Next, 0)
	}
	t := &st.Totals
	return append(f,
		telemetry.Bool("group.member", st.Generation >= 0), telemetry.Int("group.generation", int64(st.Generation)), telemetry.Int("group.assignments", b.joined),
		telemetry.Int("partitions.owned", int64(len(st.Partitions))), telemetry.Int("lag.records", lag),
		telemetry.Int("records.read", t.Records), telemetry.Int("events.read", t.Events), telemetry.Int("events.counted", t.Counted),
		telemetry.Int("events.duplicate", t.Duplicates), telemetry.Int("events.unknown_dataset", t.Unknown),
		telemetry.Int("records.skipped", t.Skipped), telemetry.Int("records.missed", t.Missed),
		telemetry.Int("commits", t.Commits), telemetry.Int("commits.overtaken", t.Overtaken), telemetry.Int("slo.good", b.good), telemetry.Int("slo.total", b.relevant),
		telemetry.Int("catalog.lookups", st.LookUps), telemetry.Bool("catalog.away", b.away),
	)
}

// loops says how far each partition is that the worker counts.
func (b *Beagle) loops(tell func(...telemetry.Field)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.r.Now()
	for _, p := range b.parts {
		st := &p.shown.status
		fields := [...]telemetry.Field{
			telemetry.Int("partition", int64(p.id)), telemetry.Int("offset.next", st.Next), telemetry.Int("offset.committed", st.Committed),
			telemetry.Int("log.end", st.HighWater), telemetry.Int("lag.records", max(st.HighWater-st.Next, 0)), telemetry.Millis("progress.age_ms", now.Sub(p.shown.marked)),
		}
		told := fields[:]
		if p.shown.marked.IsZero() {
			told = told[:len(told)-1]
		}
		tell(told...)
	}
}

// tellCommit notes what was committed.
func (p *partition) tellCommit(a port.Advance) {
	now := p.b.r.Now()
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.shown.marked = now
	for i := range a.Counts {
		p.b.good = upTo(p.b.good, a.Counts[i].Good)
		p.b.relevant = upTo(p.b.relevant, a.Counts[i].Total)
	}
}

// upTo adds to a counter that stays at its end: clients' sample rates can bring it there, and it must not go below 0.
func upTo(sum, n int64) int64 { return min(sum, math.MaxInt64-n) + n }

// tellCount tells of a record that is about to be counted, if its chunk is one whose way is told.
func (p *partition) tellCount(rec *port.Fetched, c event.Chunk) {
	to := p.b.telemetry
	if !to.On() || len(c.Events) == 0 {
		return
	}
	trace := telemetry.TraceOf(c.Events[0].ID)
	if !to.Chunks(trace) {
		return
	}
	to.Record(telemetry.KindCount, to.ChunkRate(),
		telemetry.Int("partition", int64(p.id)), telemetry.Int("offset", rec.Offset), telemetry.Int("events", int64(len(c.Events))),
		telemetry.Text("dataset", c.Dataset.Name), telemetry.Millis("delay_ms", p.b.r.Now().Sub(rec.Time)),
		telemetry.Text("trace.trace_id", trace.ID()), telemetry.Text("trace.span_id", trace.Span(telemetry.KindCount, p.b.name)),
		telemetry.Text("trace.parent_id", trace.Span(telemetry.SpanProduce, "")))
}
