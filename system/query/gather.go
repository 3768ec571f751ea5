package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// lateBy is how much later than its own time an event may usually be read: what is missing without a retriever begins
// so much before the last seal.
const lateBy = 10 * time.Minute

// gather is one query that is being answered. What is merged, and what is still missing, is of one moment: at the deadline
// it is sealed, and what comes later changes nothing.
type gather struct {
	s        *Server
	q        *spec.Query
	encoded  []byte
	datasets map[int64]bool
	ids      []int64

	mu     sync.Mutex // never held across a blocking call
	sealed bool
	share  *exec.Share
	sum    *exec.Partial
	full   error // there was no room for what was merged: there is no answer
	stats  Stats
	parts  []part // by partition
	scan   scan
}

// part is what is known of one partition.
type part struct {
	fresh  bool  // a retriever's answer was merged
	to     int64 // that answer's FreshTo
	noAsk  error // why none was
	listed bool  // what the object store has beside it is in reads, or cannot be known
	noList error // why it cannot
	gaps   []Missing
	reads  []*read
}

func newGather(s *Server, q *spec.Query, datasets []int64) *gather {
	share := s.room.Share()
	g := &gather{s: s, q: q, encoded: spec.Encode(q), ids: datasets, datasets: map[int64]bool{}, share: share, sum: exec.New(q, share).Partial(), parts: make([]part, s.partitionsNow())}
	for _, id := range datasets {
		g.datasets[id] = true
	}
	return g
}

// run gathers until all is there or ctx ends.
func (g *gather) run(ctx context.Context) {
	if len(g.ids) == 0 {
		for p := range g.parts {
			g.parts[p] = part{fresh: true, listed: true}
		}
		return
	}
	g.s.mu.Lock()
	g.s.turn++
	turn := g.s.turn
	g.s.mu.Unlock()
	group, inner := rt.NewGroup(g.s.r, ctx)
	for p := range int32(len(g.parts)) {
		group.Go(fmt.Sprintf("query partition %d", p), func(context.Context) error {
			g.partition(inner, p, turn)
			return g.over()
		})
	}
	// Tasks that do not come back in time are left behind: they end with the context.
	_ = group.Wait(ctx)
}

// errOver ends a query before all is gathered.
var errOver = errors.New("whatever comes, the query will be refused")

// over is errOver if there is nothing more to wait for.
func (g *gather) over() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.full != nil || g.sum.TooLarge() {
		return errOver
	}
	return nil
}

// merge adds to the sum. g.mu is held.
func (g *gather) merge(p *exec.Partial) error {
	if g.full != nil {
		return g.full
	}
	err := g.sum.Merge(p)
	if errors.Is(err, exec.ErrBusy) {
		g.full = err
	}
	return err
}

// partition gathers one partition's fresh data, then what is only in the object store.
func (g *gather) partition(ctx context.Context, p int32, turn int) {
	f, err := g.ask(ctx, p, turn)
	g.mu.Lock()
	if f == nil {
		g.parts[p].noAsk = err
	} else if !g.mergeFresh(p, f) {
		f = nil
	}
	g.mu.Unlock()
	if ctx.Err() != nil || f == nil && g.untouched(ctx, p) {
		return
	}
	reads := g.old(ctx, p, f)
	for _, rd := range reads {
		if _, err := rd.finished.Wait(ctx); err != nil {
			return
		}
	}
}

// mergeFresh adds a retriever's answer. g.mu is held.
func (g *gather) mergeFresh(p int32, f *fresh) bool {
	if g.sealed {
		return false
	}
	if err := g.merge(f.partial); err != nil {
		g.parts[p].noAsk = fmt.Errorf("%s: %w", f.node, err)
		return false
	}
	g.parts[p].fresh, g.parts[p].to = true, f.reply.FreshTo
	g.stats.RowsScanned += f.reply.RowsScanned
	g.stats.SegmentsRead += f.reply.Segments
	g.stats.SegmentsSkipped += f.reply.Skipped
	return true
}

// old lists the segments of the object store that the answer lacks, and starts to read them.
func (g *gather) old(ctx context.Context, p int32, f *fresh) []*read {
	if g.s.bugs.Has(planted.OldDataDropped) || f != nil && len(f.reply.Damaged) == 0 && f.coversSince(g.q.Start) {
		g.mu.Lock()
		g.parts[p].listed = true
		g.mu.Unlock()
		return nil
	}
	m, err := g.s.manifest(ctx, p, f)
	g.mu.Lock()
	defer g.mu.Unlock()
	part := &g.parts[p]
	if err != nil {
		part.noList = err
		return nil
	}
	g.list(p, part, m, f)
	part.listed = true
	if !g.sealed {
		g.scan.add(ctx, g, part.reads)
	}
	return part.reads
}

// coversSince says whether what is below the retriever's floor cannot matter to a query of times from start on: there is
// nothing, or it is all older. Fresh data is then complete without the object store.
func (f *fresh) coversSince(start time.Time) bool {
	return f.reply.Floor <= 0 || f.reply.Before > 0 && start.UnixNano() >= f.reply.Before
}

// list finds what to read. g.mu is held.
func (g *gather) list(p int32, part *part, m *manifest.Manifest, f *fresh) {
	from, to := hours(g.q)
	if f == nil {
		// Whatever arrived since the last seal is missing; of older hours, what arrived late.
		gap := Missing{Partition: p, From: from, To: to, Why: noRetriever(part.noAsk)}
		if since := m.SealedAt - int64(lateBy); m.Generation > 0 && since > 0 {
			since /= int64(time.Second)
			if since -= since % hour; since < to {
				gap.From = max(since, from)
			}
		}
		part.gaps = append(part.gaps, gap)
	} else if m.Next < f.reply.Floor {
		part.gaps = append(part.gaps, Missing{Partition: p, From: from, To: to, Why: fmt.Sprintf("offsets %d to %d are neither with %s nor in the manifest of generation %d", m.Next, f.reply.Floor-1, f.node, m.Generation)})
	}
	for i := range m.Seals {
		seal := &m.Seals[i]
		for j := range seal.Segments {
			info := &seal.Segments[j]
			switch {
			case !g.datasets[info.Dataset]:
			case f == nil || seal.Next <= f.reply.Floor || f.damaged(info.Key):
				g.want(p, part, info)
			case seal.First < f.reply.Floor:
				part.gaps = append(part.gaps, g.gap(info, fmt.Sprintf("%s begins at offset %d, within a seal", f.node, f.reply.Floor)))
			}
		}
	}
	if f == nil {
		return
	}
	for _, key := range f.reply.Damaged {
		if !m.Names(key) {
			part.gaps = append(part.gaps, Missing{Partition: p, From: from, To: to, Why: fmt.Sprintf("segment %s is damaged on %s and not in the object store yet", key, f.node)})
		}
	}
}

// want adds a segment to what is to be read, unless it cannot matter.
func (g *gather) want(p int32, part *part, info *segment.Info) {
	if exec.Skips(g.q, info) {
		g.stats.SegmentsSkipped++
		return
	}
	part.reads = append(part.reads, &read{partition: p, info: *info, finished: rt.NewFuture[struct{}](g.s.r)})
}

// gap is a segment that is missing.
func (g *gather) gap(info *segment.Info, why string) Missing {
	return Missing{Partition: info.Partition, From: info.Hour * hour, To: (info.Hour + 1) * hour, Why: why}
}

// merged adds what was read of a segment, if it is the first of its reads that ends well.
func (g *gather) merged(rd *read, a *exec.Aggregator) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sealed || rd.done {
		a.Discard()
		return
	}
	rows := a.Rows()
	if err := g.merge(a.Partial()); err != nil {
		rd.err = err
		return
	}
	rd.done = true
	g.stats.RowsScanned += rows
	g.stats.SegmentsRead++
}

// answer seals what was gathered.
func (g *gather) answer() *Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sealed = true
	if g.full != nil {
		return busy(g.full)
	}
	var missing []Missing
	from, to := hours(g.q)
	for p := range g.parts {
		part := &g.parts[p]
		missing = append(missing, part.gaps...)
		whole := Missing{Partition: int32(p), From: from, To: to}
		switch {
		case !part.fresh && !part.listed:
			whole.Why = noRetriever(part.noAsk)
			if part.noList != nil {
				whole.Why += "; " + noManifest(part.noList)
			}
			missing = append(missing, whole)
		case !part.listed:
			whole.Why = noManifest(part.noList)
			missing = append(missing, whole)
		}
		if !part.fresh && part.listed && len(part.gaps) == 0 {
			whole.Why = noRetriever(part.noAsk)
			missing = append(missing, whole)
		}
		for _, rd := range part.reads {
			if !rd.done {
				missing = append(missing, g.gap(&rd.info, rd.why()))
			}
		}
	}
	kept := missing[:0]
	for _, m := range missing {
		if m, ok := cut(m, g.q); ok {
			kept = append(kept, m)
		}
	}
	a := finish(g.q, g.sum, g.share, kept, g.stats)
	a.FreshTo = g.freshTo()
	return a
}

// freshTo is the least of the partitions' FreshTo. g.mu is held.
func (g *gather) freshTo() int64 {
	to := g.parts[0].to
	for p := range g.parts {
		to = min(to, g.parts[p].to)
	}
	return to
}

func noRetriever(err error) string {
	if err == nil {
		return "no retriever answered in time"
	}
	return "no retriever answered: " + brief(err)
}

func noManifest(err error) string {
	if err == nil {
		return "the manifest was not read in time"
	}
	return "the manifest cannot be read: " + brief(err)
}

// brief is an error's text, cut where it is long.
func brief(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
