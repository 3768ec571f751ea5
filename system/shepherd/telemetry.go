package shepherd

import (
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// tick says how the shepherd is. See docs/telemetry.md for what its fields mean.
func (s *Shepherd) tick(f []telemetry.Field) []telemetry.Field {
	s.mu.Lock()
	defer s.mu.Unlock()
	sick := int64(0)
	for i := range s.partitions {
		if s.partitions[i].sick {
			sick++
		}
	}
	share := max(float64(s.inflight.events)/float64(s.cfg.MaxInFlightEvents), float64(s.inflight.bytes)/float64(s.cfg.MaxInFlightBytes))
	accepted := s.totals.Accepted
	if s.telemetry.Planted(planted.SampledTwice) {
		accepted *= int64(s.telemetry.BatchRate())
	}
	return append(f,
		telemetry.Int("events.accepted", accepted), telemetry.Int("events.refused", s.totals.Refused), telemetry.Int("events.unknown", s.totals.Unknown),
		telemetry.Int("events.throttled", s.totals.Throttled), telemetry.Int("events.malformed", s.totals.Malformed),
		telemetry.Int("requests", s.begun), telemetry.Int("requests.open", s.requests),
		telemetry.Int("inflight.events", s.inflight.events), telemetry.Int("inflight.bytes", s.inflight.bytes), telemetry.Float("inflight.share", share),
		telemetry.Int("partitions.sick", sick), telemetry.Bool("draining", s.draining),
	)
}

// story is what a request's event tells, gathered on the way.
type story struct {
	began  time.Time // zero: nobody listens
	trace  telemetry.Trace
	chunks int
	bytes  int64
}

func (s *Shepherd) beginStory() (st story) {
	if s.telemetry.On() {
		st.began = s.r.Now()
	}
	return st
}

// add notes the request's chunks.
func (st *story) add(chunks []consignment) {
	if st.chunks == 0 && len(chunks) > 0 {
		st.trace = chunks[0].trace
	}
	st.chunks += len(chunks)
	for i := range chunks {
		st.bytes += int64(len(chunks[i].value))
	}
}

// tellBatch tells of a request: one in some that went well, and each that did not.
func (s *Shepherd) tellBatch(st *story, t *tenant, dataset string, statuses []Status) {
	if st.began.IsZero() {
		return
	}
	n := tally(statuses)
	rate := s.telemetry.BatchRate()
	if n.Accepted < int64(len(statuses)) {
		rate = 1
	} else if !s.telemetry.Batches(st.trace) {
		return
	}
	fields := [...]telemetry.Field{
		telemetry.Text("team", t.name), telemetry.Text("dataset", dataset), telemetry.Int("events", int64(len(statuses))),
		telemetry.Int("events.accepted", n.Accepted), telemetry.Int("events.refused", n.Refused), telemetry.Int("events.unknown", n.Unknown),
		telemetry.Int("events.throttled", n.Throttled), telemetry.Int("events.malformed", n.Malformed),
		telemetry.Int("chunks", int64(st.chunks)), telemetry.Int("bytes", st.bytes), telemetry.Millis("duration_ms", s.r.Now().Sub(st.began)),
		telemetry.Text("trace.trace_id", st.trace.ID()), telemetry.Text("trace.span_id", st.trace.Span(telemetry.SpanBatch, "")),
	}
	told := fields[:]
	if st.chunks == 0 { // it went no further
		told = told[:len(told)-2]
	}
	s.telemetry.Record(telemetry.KindBatch, rate, told...)
}

// tellProduces tells of a request's chunks: of some that were acknowledged, and of each that was not.
func (s *Shepherd) tellProduces(chunks []consignment) {
	if !s.telemetry.On() {
		return
	}
	now := s.r.Now()
	for i := range chunks {
		c := &chunks[i]
		rate := s.telemetry.ChunkRate()
		if c.code != Accepted {
			rate = 1
		} else if !s.telemetry.Chunks(c.trace) {
			continue
		}
		parent := "" // only the first chunk shares its trace with the request
		if i == 0 {
			parent = c.trace.Span(telemetry.SpanBatch, "")
		}
		refusals := int64(0)
		for _, refused := range c.tried {
			if refused {
				refusals++
			}
		}
		s.telemetry.Record(telemetry.KindProduce, rate,
			telemetry.Int("partition", int64(c.at.partition)), telemetry.Int("offset", c.known()), telemetry.Int("events", int64(c.count)),
			telemetry.Int("bytes", int64(len(c.value))), telemetry.Millis("duration_ms", now.Sub(c.at.sent)), telemetry.Text("outcome", nameOf(c.code)),
			telemetry.Int("refusals", refusals),
			telemetry.Text("trace.trace_id", c.trace.ID()), telemetry.Text("trace.span_id", c.trace.Span(telemetry.SpanProduce, "")), telemetry.Text("trace.parent_id", parent),
		)
	}
}

// known is the chunk's offset, -1 if it is not known to have one.
func (c *consignment) known() int64 {
	if c.code != Accepted {
		return -1
	}
	return c.offset
}

// nameOf names an answer.
func nameOf(code int) string {
	switch code {
	case Accepted:
		return "accepted"
	case Malformed:
		return "malformed"
	case Throttled:
		return "throttled"
	case Refused:
		return "refused"
	}
	return "unknown"
}
