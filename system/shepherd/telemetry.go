package shepherd

import "github.com/ratel-sim/ratel/system/telemetry"

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
	return append(f,
		telemetry.Int("events.accepted", s.totals.Accepted), telemetry.Int("events.refused", s.totals.Refused), telemetry.Int("events.unknown", s.totals.Unknown),
		telemetry.Int("events.throttled", s.totals.Throttled), telemetry.Int("events.malformed", s.totals.Malformed),
		telemetry.Int("requests", s.begun), telemetry.Int("requests.open", s.requests),
		telemetry.Int("inflight.events", s.inflight.events), telemetry.Int("inflight.bytes", s.inflight.bytes), telemetry.Float("inflight.share", share),
		telemetry.Int("partitions.sick", sick), telemetry.Bool("draining", s.draining),
	)
}
