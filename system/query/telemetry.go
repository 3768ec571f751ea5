package query

import (
	"net/http"
	"slices"

	"github.com/ratel-sim/ratel/system/telemetry"
)

// maxTook bounds the durations that are kept between two ticks.
const maxTook = 4096

// tick says how the node is. See docs/telemetry.md for what its fields mean.
func (s *Server) tick(f []telemetry.Field) []telemetry.Field {
	st := s.Status()
	s.mu.Lock()
	took := s.took
	s.took = nil
	s.mu.Unlock()
	slices.Sort(took)
	worst, p99 := 0.0, 0.0
	if n := len(took); n > 0 {
		worst, p99 = took[n-1], took[(n*99+99)/100-1]
	}
	t := &st.Totals
	return append(f,
		telemetry.Int("queries", t.Queries), telemetry.Int("queries.partial", t.Partial), telemetry.Int("queries.failed", t.Refused), telemetry.Int("queries.open", st.Running),
		telemetry.Float("query.p99_ms", p99), telemetry.Float("query.max_ms", worst), telemetry.Float("query.time_ms", t.Millis),
		telemetry.Int("workers.busy", st.Workers), telemetry.Int("workers.cold", t.ColdStarts), telemetry.Int("rows.scanned", t.RowsScanned),
		telemetry.Int("segments.read", t.SegmentsRead), telemetry.Int("segments.skipped", t.SegmentsSkipped),
		telemetry.Int("reads.hedged", t.Hedged), telemetry.Int("reads.reissued", t.Reissued),
	)
}

// tellQuery tells of a query that was answered.
func (s *Server) tellQuery(req *Request, a *Answer) {
	if s.ports.Telemetry == nil {
		return
	}
	s.mu.Lock()
	if len(s.took) < maxTook {
		s.took = append(s.took, a.Stats.Millis)
	}
	s.mu.Unlock()
	fields := [...]telemetry.Field{
		telemetry.Text("dataset", req.Dataset), telemetry.Int("code", int64(a.Code)), telemetry.Bool("complete", a.Code == http.StatusOK && a.Complete),
		telemetry.Int("missing", int64(len(a.Missing))), telemetry.Float("duration_ms", a.Stats.Millis), telemetry.Int("rows.scanned", a.Stats.RowsScanned),
		telemetry.Int("segments.read", a.Stats.SegmentsRead), telemetry.Int("segments.skipped", a.Stats.SegmentsSkipped),
		telemetry.Int("reads.hedged", a.Stats.Hedged), telemetry.Int("reads.reissued", a.Stats.Reissued), telemetry.Text("error", a.Error),
	}
	told := fields[:]
	if a.Error == "" {
		told = told[:len(told)-1]
	}
	s.ports.Telemetry.Record(telemetry.KindQuery, 1, told...)
}
