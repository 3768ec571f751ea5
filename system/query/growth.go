package query

import (
	"context"
	"time"
)

// widenEvery is how often a node asks whether the topic has grown. An event is visible that much later, at most, if it was
// the first of a new partition.
const widenEvery = 2 * time.Second

// partitionsNow is how many partitions a query asks.
func (s *Server) partitionsNow() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions
}

// widen follows the growth of the topic until ctx ends. A topic never shrinks: fewer partitions are the word of a broker
// that has not heard yet.
func (s *Server) widen(ctx context.Context) {
	for s.r.Sleep(ctx, widenEvery) == nil {
		asking, cancel := s.r.WithTimeout(ctx, widenEvery)
		parts, err := s.ports.Log.Admin().Describe(asking, s.layout.Topic)
		cancel()
		if err != nil {
			continue // the next look tells
		}
		s.mu.Lock()
		s.partitions = max(s.partitions, min(int32(len(parts)), s.layout.Most))
		s.mu.Unlock()
	}
}

// untouched says whether a partition that no retriever answered for is one of those that came later and has no record
// yet: then nothing is missing, although nobody follows it so far.
func (g *gather) untouched(ctx context.Context, p int32) bool {
	s := g.s
	if p < s.layout.Partitions {
		return false
	}
	asked := s.r.Now()
	start, end, err := s.ports.Log.Admin().Offsets(ctx, s.layout.Topic, p)
	if err != nil || start != 0 || end != 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.sealed {
		part := &g.parts[p]
		part.fresh, part.listed, part.noAsk, part.to = true, true, nil, asked.UnixNano()
	}
	return true
}
