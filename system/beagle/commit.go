package beagle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// maxRows bounds the rows of a commit; one record's events may be above it.
	maxRows = 5000
	// undrainedFor is how long the planted bug UndrainedRebalance leaves what was gathered lying.
	undrainedFor = 5 * time.Second
)

// dirty says whether something was read that is not committed.
func (p *partition) dirty() bool { return p.next != p.committed || len(p.gathered.rows) > 0 }

// mustCommit says whether a commit is due: by time also if there is nothing to count, for a progress that stands still
// cannot be told from one that is stuck.
func (p *partition) mustCommit() bool {
	if p.b.bugs.Has(planted.ProgressOnlyWithSLOs) && len(p.gathered.rows) == 0 {
		p.due = p.b.r.Now().Add(p.b.cfg.CommitEvery)
		return false
	}
	if p.next > p.committed && (p.gathered.events >= p.b.cfg.CommitEvents || len(p.gathered.rows) >= maxRows) {
		return true
	}
	return !p.b.r.Now().Before(p.due)
}

// step is the commit of what is gathered. At the progress or below it, where a truncated log is read again, it only marks the
// time: what does not move the progress would take effect each time that it is tried.
func (p *partition) step() port.Advance {
	a := port.Advance{Consumer: Consumer, Topic: p.b.topic, Partition: p.id, From: p.committed, To: max(p.committed, p.next), By: p.b.name}
	if p.next > p.committed {
		a.Counts = p.gathered.counts()
	}
	return a
}

// commit moves the progress to what was read and adds its counts, in one transaction that takes effect only if the
// progress still is where this worker left it. It tries until that has happened, or until the progress turns out to be
// elsewhere: errOvertaken. Its other errors are ctx's.
//
// An attempt whose outcome is not known is told by the progress: at the attempt's end, it has happened, or somebody else
// has counted the same; still at its beginning, it has not, and if it takes effect after all the next attempt will not.
func (p *partition) commit(ctx context.Context) error {
	a := p.step()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := p.advance(ctx, a)
		if err == nil {
			p.done(a)
			return nil
		}
		if !errors.Is(err, port.ErrRefused) {
			row, _, err := p.b.progress.of(ctx, p.id)
			switch {
			case err != nil:
				return err
			case row.Next == a.To && a.To > a.From:
				p.done(a)
				return nil
			case row.Next != a.From:
				return p.overtaken(ctx, a, row)
			}
		}
		if err := p.b.r.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("commit from offset %d to %d: %w", a.From, a.To, err)
		}
	}
}

func (p *partition) advance(ctx context.Context, a port.Advance) error {
	limited, cancel := p.b.r.WithTimeout(ctx, askFor)
	defer cancel()
	err := p.b.counts.Advance(limited, a)
	p.b.told(ctx, err)
	return err
}

// done notes that a step has happened.
func (p *partition) done(a port.Advance) {
	if a.To > a.From {
		p.announce(port.EventProgress, fmt.Sprintf("from offset %d to %d", a.From, a.To))
	}
	p.totals.Commits++
	p.tellCommit(a)
	if p.next > a.From || p.next == a.From && len(p.gathered.rows) == 0 {
		p.gathered.clear()
	}
	p.committed = a.To
	p.due = p.b.r.Now().Add(p.b.cfg.CommitEvery)
	p.show()
}

// overtaken gives up what is gathered: it is counted by whoever has moved the progress.
func (p *partition) overtaken(ctx context.Context, a port.Advance, row port.Progress) error {
	p.totals.Overtaken++
	p.announce(port.EventProgressLost, fmt.Sprintf("%d to %d was about to be counted, but %s has gone on to %d", a.From, a.To, row.By, row.Next))
	if p.b.bugs.Has(planted.ZombieCommits) {
		if err := p.force(ctx, a); err != nil {
			return err
		}
	}
	p.begun = false
	return errOvertaken
}

// force is what the planted bugs UndrainedRebalance and ZombieCommits do: counts are added on top of whatever the progress
// is at.
func (p *partition) force(ctx context.Context, a port.Advance) error {
	for {
		row, _, err := p.b.progress.of(ctx, p.id)
		if err != nil {
			return err
		}
		a.From, a.To = row.Next, max(row.Next, a.To)
		if p.advance(ctx, a) == nil {
			return nil
		}
		if err := p.b.r.Sleep(ctx, firstPause); err != nil {
			return err
		}
	}
}

// finish commits what is gathered before the partition is given up, if that is possible soon. Else the next owner counts it.
func (p *partition) finish(ctx context.Context) {
	if !p.begun || !p.dirty() {
		return
	}
	if p.b.bugs.Has(planted.UndrainedRebalance) {
		a := p.step()
		p.b.r.Go("undrained queue", func(ctx context.Context) {
			if p.b.r.Sleep(ctx, undrainedFor) == nil {
				_ = p.force(ctx, a)
			}
		})
		return
	}
	ctx, cancel := p.b.r.WithTimeout(context.WithoutCancel(ctx), min(drainFor, p.b.cfg.RebalanceTimeout/2))
	defer cancel()
	_ = p.commit(ctx)
}
