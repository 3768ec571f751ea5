package beagle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	// fetchPause is how long a reader that has failed is left alone.
	fetchPause = 200 * time.Millisecond
	// resetPatience is how often an offset beyond the log's end is tried again: a new leader may need a moment to know its end.
	resetPatience = 10
	// A worker's readers share a connection to each broker, which answers one fetch after the other. So a fetch of a
	// partition that has nothing new must not hold the others up for long: unless it is configured otherwise, it waits only
	// a little at the broker, and the rest of idleRound is spent here.
	defaultFetchWait = 20 * time.Millisecond
	idleRound        = 100 * time.Millisecond
	// maxFetchWait is well below the client's patience.
	maxFetchWait = 2 * time.Second
	// missingPause is between two looks for the progress of a partition that has none.
	missingPause = time.Second
	// fetchFor bounds a fetch while nothing waits to be committed. It is longer than the client's own patience, so a slow
	// answer is not given up for a mark of progress.
	fetchFor = 5 * time.Second
)

// partition counts one partition, as a task of its own. All fields but shown belong to that task.
type partition struct {
	b      *Beagle
	id     int32
	cancel context.CancelFunc
	ended  *rt.Future[struct{}]

	begun     bool  // progress is known
	committed int64 // the progress as this worker left it
	next      int64 // the next offset to read; below committed only while a truncated log is read again
	highWater int64
	due       time.Time // of the next commit
	gathered  gathered
	seen      *window
	totals    Totals
	decoder   event.Decoder
	ids       []event.ID
	before    *partition // it was this worker's just before, and had committed everything

	shown struct { // under Beagle.mu
		status PartitionStatus
		totals Totals
		marked time.Time // when progress was last committed or marked; zero: not yet
	}
}

func newPartition(b *Beagle, id int32) *partition {
	p := &partition{b: b, id: id, ended: rt.NewFuture[struct{}](b.r), highWater: -1}
	p.shown.status = PartitionStatus{Partition: id, HighWater: -1}
	// Partitions that are taken over together do not commit together.
	p.due = b.r.Now().Add(time.Duration(b.r.Rand().Int64N(int64(b.cfg.CommitEvery))))
	return p
}

func (p *partition) announce(kind, detail string) {
	p.b.events.Announce(port.Event{Kind: kind, Node: p.b.name, Topic: p.b.topic, Part: p.id, Detail: detail})
}

// errOvertaken: the progress is not where this worker left it, so what it has gathered is counted already, or will be.
var errOvertaken = errors.New("somebody else has counted this")

// run counts until ctx ends, then commits what is gathered. Its only errors are those of planted bugs.
func (p *partition) run(ctx context.Context) error {
	for {
		err := p.begin(ctx)
		if err == nil {
			err = p.follow(ctx)
		}
		switch {
		case errors.Is(err, errOvertaken):
		case ctx.Err() != nil || errors.Is(err, rt.ErrKilled):
			p.finish(ctx)
			return nil
		default:
			return fmt.Errorf("count %s/%d: %w", p.b.topic, p.id, err)
		}
	}
}

// begin finds out where to go on.
func (p *partition) begin(ctx context.Context) error {
	p.begun = false
	p.gathered.clear()
	row, there, err := p.b.progress.of(ctx, p.id)
	if err != nil {
		return err
	}
	for !there && p.b.cfg.MissingProgress == MissingWait {
		if err := p.b.r.Sleep(ctx, missingPause); err != nil {
			return err
		}
		if row, there, err = p.b.progress.of(ctx, p.id); err != nil {
			return err
		}
	}
	p.committed, p.next = row.Next, row.Next
	if !there && (p.b.cfg.MissingProgress == MissingLatest || p.b.bugs.Has(planted.ResetToLatest)) {
		if _, p.next, err = p.offsets(ctx); err != nil {
			return err
		}
	}
	if before := p.before; before != nil && before.committed == row.Next && there {
		p.seen = before.seen
	} else if err := p.remember(ctx); err != nil {
		return err
	}
	p.before, p.begun = nil, true
	p.show()
	return nil
}

// follow reads and counts until ctx ends or somebody else has gone on.
func (p *partition) follow(ctx context.Context) error {
	reader, err := p.reader(ctx, p.next)
	if err != nil {
		return err
	}
	defer func() { reader.Close() }()
	outside := 0 // how often in a row the offset was out of range
	for {
		if p.mustCommit() {
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
		batch, err := p.poll(ctx, reader)
		if err == nil {
			outside = 0
			if err = p.take(ctx, batch); err == nil {
				continue
			}
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, errOvertaken) || errors.Is(err, errEmpty):
			return err
		case errors.Is(err, errDue):
			continue
		case errors.Is(err, port.ErrOffsetOutOfRange):
			outside++
			if err := p.reset(ctx, outside); err != nil {
				return err
			}
		}
		// Any other error is the log's: go on with a new reader.
		if err := p.b.r.Sleep(ctx, fetchPause); err != nil {
			return err
		}
		reader.Close()
		if reader, err = p.reader(ctx, p.next); err != nil {
			return err
		}
	}
}

// reader makes a reader, trying until ctx ends.
func (p *partition) reader(ctx context.Context, offset int64) (port.Reader, error) {
	cfg := port.DefaultReaderConfig(p.b.name)
	cfg.Shared, cfg.MaxWait = true, p.b.cfg.fetchWait()
	if p.b.cfg.FetchBytes > 0 {
		cfg.MaxBytes = p.b.cfg.FetchBytes
	}
	for {
		reader, err := p.b.log.NewReader(cfg, p.b.topic, p.id, offset)
		if err == nil {
			return reader, nil
		}
		if sleep := p.b.r.Sleep(ctx, fetchPause); sleep != nil {
			return noReader{}, fmt.Errorf("open a reader: %w (%w)", err, sleep)
		}
	}
}

// noReader stands where there is none to close.
type noReader struct{ port.Reader }

func (noReader) Close() {}

// errDue: a fetch was ended because a commit is due.
var errDue = errors.New("a commit is due")

// poll reads on, but not beyond the moment at which what is gathered must be committed: a fetch may hang for long while
// the partition has no leader. When nothing is gathered, a mark of progress may wait for a fetch that is slow.
func (p *partition) poll(ctx context.Context, reader port.Reader) (port.Batch, error) {
	left := fetchFor
	if p.dirty() {
		left = p.due.Sub(p.b.r.Now())
	}
	if left <= 0 {
		return port.Batch{}, errDue
	}
	limited, cancel := p.b.r.WithTimeout(ctx, left)
	defer cancel()
	batch, err := reader.Fetch(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return batch, errDue
	}
	return batch, err
}

// errEmpty is what the planted bug EmptyPartitionCrashes makes of a partition without records.
var errEmpty = errors.New("nothing to read: the partition is empty")

// take counts what a fetch has returned, and waits a little if that was nothing.
func (p *partition) take(ctx context.Context, batch port.Batch) error {
	p.highWater = batch.HighWatermark
	if batch.HighWatermark == 0 && p.b.bugs.Has(planted.EmptyPartitionCrashes) {
		return errEmpty
	}
	for i := range batch.Records {
		if p.mustCommit() {
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
		if err := p.record(ctx, &batch.Records[i]); err != nil {
			return err
		}
	}
	p.show()
	if len(batch.Records) > 0 {
		return nil
	}
	return p.b.r.Sleep(ctx, min(max(idleRound-p.b.cfg.fetchWait(), 0), max(p.due.Sub(p.b.r.Now()), 0)))
}

// offsets asks for the log's start and end, until it is answered.
func (p *partition) offsets(ctx context.Context) (start, high int64, err error) {
	for {
		start, high, err = p.b.log.Admin().Offsets(ctx, p.b.topic, p.id)
		if err == nil {
			return start, high, nil
		}
		if err := p.b.r.Sleep(ctx, fetchPause); err != nil {
			return 0, 0, err
		}
	}
}

// reset finds out what an offset out of range means. Below the log's start, records have expired before they were read.
// Beyond its end, the log was truncated: it is read on from where it ends now. The progress stays where it is until it is
// passed again, for it never goes back; what is counted meanwhile is committed then.
func (p *partition) reset(ctx context.Context, times int) error {
	start, high, err := p.offsets(ctx)
	switch {
	case err != nil:
		return err
	case p.next < start:
		p.missed(start, fmt.Sprintf("the log begins at offset %d", start))
	case p.next > high && times >= resetPatience:
		p.announce(port.EventOffsetReset, fmt.Sprintf("offset %d is beyond the log's end %d, which was truncated: reading on from its end; "+
			"%d offsets that were counted are gone, and what was written over them before now is not counted", p.next, high, p.next-high))
		p.totals.Missed += p.next - high
		p.next = high
	}
	p.show()
	return nil
}

// missed passes over offsets that cannot be read.
func (p *partition) missed(to int64, why string) {
	p.announce(port.EventOffsetReset, fmt.Sprintf("%d records from offset %d on cannot be read: %s", to-p.next, p.next, why))
	p.totals.Missed += to - p.next
	p.next = to
}

// show makes the partition's state visible to Status.
func (p *partition) show() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.shown.status = PartitionStatus{Partition: p.id, Next: p.next, Committed: p.committed, HighWater: p.highWater}
	p.shown.totals = p.totals
}
