package beagle

import (
	"context"
	"fmt"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// rereadBytes bounds what is read again before a partition that was taken over is counted.
	rereadBytes = 32 << 20
	// sampleRecords is how many records are looked at to see how far back that reaches.
	sampleRecords = 256
)

// remember fills the window with the IDs of the records before the one to go on with, as if this worker had read them. It
// goes back Config.DedupRecords records, or about rereadBytes if that is less, or to the log's start.
func (p *partition) remember(ctx context.Context) error {
	for {
		p.seen = newWindow(p.b.cfg.DedupRecords)
		err := p.reread(ctx)
		if err == nil {
			return nil
		}
		if sleep := p.b.r.Sleep(ctx, fetchPause); sleep != nil {
			return fmt.Errorf("read again what comes before offset %d: %w (%w)", p.next, err, sleep)
		}
	}
}

func (p *partition) reread(ctx context.Context) error {
	if p.next == 0 {
		return nil
	}
	start, high, err := p.offsets(ctx)
	if err != nil {
		return err
	}
	end := min(p.next, high)
	from := max(start, p.next-int64(p.b.cfg.DedupRecords))
	if from >= end {
		return nil
	}
	if end-from > sampleRecords {
		size := int64(0)
		err := p.scan(ctx, end-sampleRecords, end, func(rec *port.Fetched) { size += int64(len(rec.Value)) })
		if err != nil {
			return err
		}
		from = max(from, end-max(sampleRecords, p.b.reread*sampleRecords/max(size, 1)))
	}
	return p.scan(ctx, from, end, func(rec *port.Fetched) {
		// What cannot be decoded was skipped when it was read.
		p.ids, _ = event.ChunkIDs(p.ids[:0], rec.Value)
		p.seen.at(rec.Offset)
		for _, id := range p.ids {
			p.seen.add(rec.Offset, id)
		}
	})
}

// scan visits the records from an offset up to another.
func (p *partition) scan(ctx context.Context, from, to int64, visit func(rec *port.Fetched)) error {
	reader, err := p.reader(ctx, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for reader.Offset() < to {
		batch, err := reader.Fetch(ctx)
		if err != nil {
			return err
		}
		for i := range batch.Records {
			if o := batch.Records[i].Offset; o >= from && o < to {
				visit(&batch.Records[i])
			}
		}
		if len(batch.Records) == 0 && batch.HighWatermark < to {
			return nil // the log was truncated meanwhile
		}
	}
	return nil
}
