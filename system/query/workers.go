package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// readsPerTurn is how many segments a worker reads before it lets another query's worker have its place.
const readsPerTurn = 8

// pool is the node's short-lived workers: so many at once, first come, first served. One that ended a moment ago is warm.
type pool struct {
	r     rt.Runtime
	cfg   Config
	slots *rt.Semaphore
	mu    sync.Mutex  // never held across a blocking call
	warm  []time.Time // until when, ascending
	used  int64
}

func newPool(r rt.Runtime, cfg Config) *pool {
	return &pool{r: r, cfg: cfg, slots: rt.NewSemaphore(r, int64(cfg.Workers))}
}

func (p *pool) busy() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// start waits for a worker. It returns whether it had to be started cold.
func (p *pool) start(ctx context.Context) (cold bool, err error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return false, err
	}
	p.mu.Lock()
	p.used++
	now := p.r.Now()
	for len(p.warm) > 0 && p.warm[0].Before(now) {
		p.warm = p.warm[1:]
	}
	cold = len(p.warm) == 0
	if !cold {
		p.warm = p.warm[:len(p.warm)-1] // the one that ended last
	}
	p.mu.Unlock()
	if cold {
		if err := p.r.Sleep(ctx, p.cfg.ColdStart); err != nil {
			p.end(false)
			return false, err
		}
	}
	return cold, nil
}

// end gives a worker back; it stays warm if it was started.
func (p *pool) end(started bool) {
	p.mu.Lock()
	p.used--
	if started && p.cfg.KeepWarm > 0 {
		p.warm = append(p.warm, p.r.Now().Add(p.cfg.KeepWarm))
	}
	p.mu.Unlock()
	p.slots.Release(1)
}

// read is one segment to be read. Its fields are guarded by the query's mutex, but for those that never change.
type read struct {
	partition int32
	info      segment.Info
	finished  *rt.Future[struct{}] // when it is done, or all its attempts have failed

	running  int // workers that read it, or will
	began    time.Time
	reissued bool
	done     bool // it is in the sum, or turned out to have expired
	err      error
}

func (rd *read) why() string {
	if rd.err == nil {
		return fmt.Sprintf("segment %s was not read in time", rd.info.Key)
	}
	return fmt.Sprintf("segment %s: %s", rd.info.Key, brief(rd.err))
}

// scan shares a query's segments out over workers. It is guarded by the query's mutex.
type scan struct {
	all     []*read
	pending []*read
	workers int
	watched bool
}

// add queues segments and asks for workers. g.mu is held.
func (sc *scan) add(ctx context.Context, g *gather, reads []*read) {
	for _, rd := range reads {
		rd.running++
	}
	sc.all = append(sc.all, reads...)
	sc.pending = append(sc.pending, reads...)
	sc.staff(ctx, g)
	if len(sc.all) > 0 && !sc.watched && g.s.cfg.Reissue > 0 {
		sc.watched = true
		g.s.r.Go("reissue slow reads", func(context.Context) { g.reissue(ctx) })
	}
}

// staff starts as many workers as there are segments, up to the node's bound. g.mu is held.
func (sc *scan) staff(ctx context.Context, g *gather) {
	for sc.workers < min(len(sc.pending), g.s.cfg.Workers) {
		sc.workers++
		g.s.r.Go("read segments", func(context.Context) { g.work(ctx) })
	}
}

// work is one worker's life: it reads segments until there are none left.
func (g *gather) work(ctx context.Context) {
	cold, err := g.s.pool.start(ctx)
	if err != nil {
		g.mu.Lock()
		g.scan.workers--
		g.mu.Unlock()
		return
	}
	if cold {
		g.mu.Lock()
		g.stats.ColdStarts++
		g.mu.Unlock()
	}
	defer g.s.pool.end(true)
	for range readsPerTurn {
		rd := g.take()
		if rd == nil {
			break
		}
		g.fetch(ctx, rd)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scan.workers--
	if ctx.Err() == nil && !g.sealed {
		g.scan.staff(ctx, g)
	}
}

// take is the next segment to read; nil if there is none.
func (g *gather) take() *read {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.scan.pending) > 0 && !g.sealed {
		rd := g.scan.pending[0]
		g.scan.pending = g.scan.pending[1:]
		if rd.done {
			rd.running--
			continue
		}
		if rd.began.IsZero() {
			rd.began = g.s.r.Now()
		}
		return rd
	}
	return nil
}

// reissue gives the slowest share of the reads to a second worker each, once only they are left and take long.
func (g *gather) reissue(ctx context.Context) {
	every := max(g.s.cfg.HedgeAfter/2, time.Millisecond)
	for g.s.r.Sleep(ctx, every) == nil {
		g.mu.Lock()
		if g.sealed {
			g.mu.Unlock()
			return
		}
		var left []*read
		for _, rd := range g.scan.all {
			if !rd.done && rd.running > 0 {
				left = append(left, rd)
			}
		}
		share := int(math.Ceil(g.s.cfg.Reissue * float64(len(g.scan.all))))
		if len(left) <= share && len(g.scan.pending) == 0 {
			now := g.s.r.Now()
			for _, rd := range left {
				if rd.reissued || rd.began.IsZero() || now.Sub(rd.began) < g.s.cfg.HedgeAfter {
					continue
				}
				rd.reissued = true
				rd.running++
				g.stats.Reissued++
				g.scan.pending = append(g.scan.pending, rd)
			}
			// Those that read now are held up, so the second attempts need workers of their own.
			for range g.scan.pending {
				if g.scan.workers >= g.s.cfg.Workers {
					break
				}
				g.scan.workers++
				g.s.r.Go("read segments", func(context.Context) { g.work(ctx) })
			}
		}
		g.mu.Unlock()
	}
}

// fetch reads one segment, again and again until ctx ends if the object store fails. Damage is not tried again more than
// once: the segment is then missing.
func (g *gather) fetch(ctx context.Context, rd *read) {
	damaged := 0
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		a, err := g.readSegment(ctx, rd)
		if err == nil {
			if a != nil {
				g.merged(rd, a)
			} else {
				g.mu.Lock()
				rd.done = true
				g.mu.Unlock()
			}
			break
		}
		if errors.Is(err, port.ErrCorrupt) {
			damaged++
		}
		g.mu.Lock()
		if ctx.Err() == nil || rd.err == nil {
			rd.err = err
		}
		over := rd.done || g.sealed
		g.mu.Unlock()
		if over || damaged > 1 || errors.Is(err, port.ErrNoBlob) || g.s.r.Sleep(ctx, pause) != nil {
			break
		}
	}
	g.mu.Lock()
	rd.running--
	over := rd.done || rd.running == 0
	g.mu.Unlock()
	if over {
		rd.finished.Complete(struct{}{}, nil)
	}
}

// readSegment calculates over one segment. Without an aggregator and an error, the segment has expired.
func (g *gather) readSegment(ctx context.Context, rd *read) (*exec.Aggregator, error) {
	room := min(max(rd.info.Bytes, 1), maxReading)
	if err := g.s.reading.Acquire(ctx, room); err != nil {
		return nil, err
	}
	defer g.s.reading.Release(room)
	data, _, err := g.s.ports.Blobs.Get(ctx, rd.info.Key)
	switch {
	case errors.Is(err, port.ErrNoBlob):
		return nil, g.expired(ctx, rd, err)
	case err != nil:
		return nil, err
	}
	src, err := g.s.opened.open(rd.info, data)
	if err != nil {
		return nil, err
	}
	a := exec.New(g.q, g.share)
	if _, err := a.Add(ctx, src); err != nil {
		a.Discard()
		return nil, err
	}
	return a, nil
}

// expired is nil if the segment is not there because the manifest does not name it any more: it was older than all that there
// is. One that was replaced, as the log was cut off below it, is missing.
func (g *gather) expired(ctx context.Context, rd *read, missing error) error {
	m, err := g.s.loadManifest(ctx, rd.partition, nil)
	if err != nil {
		return missing
	}
	if m.Names(rd.info.Key) || m.Next < rd.info.Next || len(m.Seals) > 0 && m.Seals[0].First < rd.info.Next {
		return missing
	}
	return nil
}
