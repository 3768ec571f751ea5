package trigger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/beagle/budget"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// consumer is whose progress says how far SLOs are counted.
	consumer = "beagle"
	// recentCounts are read for each window, since late events still change them; older ones every recountEvery.
	recentCounts = 2 * time.Hour
	recountEvery = 15 * time.Minute
	// leastRate is the least time over which the rate is taken by which a budget will be exhausted. It is a quarter of the
	// time that the alert warns before, if that is longer.
	leastRate = time.Hour
)

// counted is an SLO's counts, as far as they were read.
type counted struct {
	slo   int64
	since int64 // Unix seconds
	until int64 // likewise
	whole time.Time
	rows  []port.SLOCount // ascending by minute
}

// goal is up to where a log must be counted, so that everything that was in it at a moment is.
type goal struct {
	asked time.Time // everything before it is below ends
	ends  []int64   // by partition
	done  bool
}

// findBurn looks at the counts of a burn alert's SLO.
func (t *term) findBurn(ctx context.Context, a *alert, r *rule, window int64) (finding, error) {
	w := t.w
	if w.ports.Counts == nil {
		return finding{}, fmt.Errorf("%w: there are no counts", errHopeless)
	}
	id, err := strconv.ParseInt(r.burn.SLO.ID, 10, 64)
	if err != nil {
		return finding{}, fmt.Errorf("%w: SLO %q: %w", errHopeless, r.burn.SLO.ID, err)
	}
	t.mu.Lock()
	slo, ok := t.objectives[id]
	t.mu.Unlock()
	if !ok {
		return finding{}, fmt.Errorf("%w: there is no SLO %d", errHopeless, id)
	}
	limited, cancel := w.r.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := t.counted(limited, time.Unix(0, window)); err != nil {
		return finding{}, err
	}
	end := time.Unix(0, window)
	objective := budget.Objective{TargetPerMillion: slo.TargetPerMillion, Period: time.Duration(slo.TimePeriodDays) * 24 * time.Hour}
	over := burnWindow(r.burn)
	rows, err := w.rows(limited, &a.counts, id, end.Add(-objective.Period-over).Unix(), end)
	if err != nil {
		return finding{}, fmt.Errorf("%w: read the counts of SLO %d: %w", errNotFresh, id, err)
	}
	f := finding{}
	if r.burn.AlertType == definition.BudgetRate {
		f.value = float64(objective.Decrease(rows, end, over))
	} else {
		f.value = objective.Exhaustion(rows, end, over).Minutes()
	}
	f.exceeded = exceeds(r.threshold, f.value)
	return f, nil
}

// burnWindow is the time over which a burn alert compares.
func burnWindow(b *definition.BurnAlert) time.Duration {
	if b.AlertType == definition.BudgetRate {
		return time.Duration(b.BudgetRateWindowMinutes) * time.Minute
	}
	return max(time.Duration(*b.ExhaustionMinutes)*time.Minute/4, leastRate)
}

// rows are an SLO's counts of minutes from since on and before end. What is older than recentCounts is not read each time.
func (w *Worker) rows(ctx context.Context, c *counted, slo, since int64, end time.Time) ([]port.SLOCount, error) {
	now := w.r.Now()
	if c.slo != slo || since < c.since || now.Sub(c.whole) >= recountEvery || end.Add(-recentCounts).Unix() > c.until {
		rows, err := w.ports.Counts.SLOCounts(ctx, slo, since, end.Unix())
		if err != nil {
			return nil, err
		}
		*c = counted{slo: slo, since: since, until: end.Unix(), whole: now, rows: rows}
		return c.rows, nil
	}
	from := end.Add(-recentCounts).Unix()
	rows, err := w.ports.Counts.SLOCounts(ctx, slo, from, end.Unix())
	if err != nil {
		return nil, err
	}
	kept := c.rows
	for len(kept) > 0 && kept[len(kept)-1].Minute >= from {
		kept = kept[:len(kept)-1]
	}
	c.rows, c.until = append(kept, rows...), end.Unix()
	return c.rows, nil
}

// counted returns nil once everything that the log had at a moment in the past is counted, if the worker knows the log.
func (t *term) counted(ctx context.Context, at time.Time) error {
	w := t.w
	if w.topic == "" || w.ports.Log == nil {
		return nil
	}
	t.mu.Lock()
	g := t.goal
	t.mu.Unlock()
	if g == nil || g.asked.Before(at) {
		asked := w.r.Now()
		parts, err := w.ports.Log.Admin().Describe(ctx, w.topic)
		if err != nil {
			return fmt.Errorf("%w: how long the log is cannot be had: %w", errNotFresh, err)
		}
		g = &goal{asked: asked, ends: make([]int64, len(parts))}
		for p := range g.ends {
			if _, g.ends[p], err = w.ports.Log.Admin().Offsets(ctx, w.topic, int32(p)); err != nil {
				return fmt.Errorf("%w: how long partition %d is cannot be had: %w", errNotFresh, p, err)
			}
		}
		t.mu.Lock()
		t.goal = g
		t.mu.Unlock()
	}
	if g.reached(t) {
		return nil
	}
	list, err := w.ports.Counts.ProgressOf(ctx, consumer, w.topic)
	if err != nil {
		return fmt.Errorf("%w: the progress of counting cannot be had: %w", errNotFresh, err)
	}
	next := make([]int64, len(g.ends))
	for _, p := range list {
		if p.Partition >= 0 && int(p.Partition) < len(next) {
			next[p.Partition] = p.Next
		}
	}
	var errs []error
	for p, end := range g.ends {
		if next[p] < end {
			errs = append(errs, fmt.Errorf("%w: partition %d is counted up to offset %d of %d", errNotFresh, p, next[p], end))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs[0])
	}
	t.mu.Lock()
	g.done = true
	t.mu.Unlock()
	return nil
}

func (g *goal) reached(t *term) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return g.done
}
