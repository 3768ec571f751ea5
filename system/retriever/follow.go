package retriever

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// Pauses after errors of the log, and how often an offset beyond the log's end is tried again: a new leader may need a
// moment to know its end.
const (
	fetchPause    = 200 * time.Millisecond
	resetPatience = 10
)

// follow reads the partition from where the store ends and keeps what it reads, until ctx ends or the disk fails.
func (re *Retriever) follow(ctx context.Context, s *store) error {
	reader, err := re.open(ctx, s.staged.next)
	if err != nil {
		return err
	}
	defer func() { reader.Close() }()
	outside := 0 // how often in a row the offset was out of range
	for ctx.Err() == nil {
		if err := re.await(ctx, s); err != nil {
			return re.bye(ctx, s, err)
		}
		batch, err := re.fetch(ctx, s, reader)
		switch {
		case err == nil:
			outside = 0
			if err := re.keep(ctx, s, batch); err != nil {
				return re.bye(ctx, s, err)
			}
			continue
		case errors.Is(err, errDue):
			if err := s.sync(ctx); err != nil {
				return re.bye(ctx, s, err)
			}
			continue
		case ctx.Err() != nil:
			return re.bye(ctx, s, ctx.Err())
		case errors.Is(err, port.ErrOffsetOutOfRange):
			outside++
			if err := re.reset(ctx, s, outside); err != nil {
				return re.bye(ctx, s, err)
			}
		}
		// Any other error is the log's: everything that was read is kept, so go on from there with a new reader.
		if err := s.sync(ctx); err != nil {
			return re.bye(ctx, s, err)
		}
		if re.r.Sleep(ctx, fetchPause) != nil {
			break
		}
		reader.Close()
		if reader, err = re.open(ctx, s.staged.next); err != nil {
			return re.bye(ctx, s, err)
		}
	}
	return re.bye(ctx, s, ctx.Err())
}

// bye makes durable what was written if ctx has ended, and passes err on otherwise.
func (re *Retriever) bye(ctx context.Context, s *store, err error) error {
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := re.r.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.sync(ctx)
}

// open makes a reader, trying until ctx ends.
func (re *Retriever) open(ctx context.Context, offset int64) (port.Reader, error) {
	for {
		reader, err := re.log.NewReader(port.DefaultReaderConfig(re.name), re.topic, re.partition, offset)
		if err == nil {
			return reader, nil
		}
		if re.r.Sleep(ctx, fetchPause) != nil {
			return nil, fmt.Errorf("open a reader of %s/%d: %w", re.topic, re.partition, err)
		}
	}
}

// await returns when the partition may be followed. It makes durable what was written before it waits.
func (re *Retriever) await(ctx context.Context, s *store) error {
	for {
		allowed, changed := re.claim.mayFollow()
		if allowed {
			return nil
		}
		if err := s.sync(ctx); err != nil {
			return err
		}
		if _, err := changed.Wait(ctx); err != nil {
			return err
		}
	}
}

var errDue = errors.New("a sync is due")

// fetch reads on, but not beyond the moment at which what was written must be made durable: a fetch may hang for long
// while a partition has no leader.
func (re *Retriever) fetch(ctx context.Context, s *store, reader port.Reader) (port.Batch, error) {
	if s.dirty.IsZero() {
		return reader.Fetch(ctx)
	}
	left := s.dirty.Add(re.cfg.SyncEvery).Sub(re.r.Now())
	if left <= 0 {
		return port.Batch{}, errDue
	}
	limited, cancel := re.r.WithTimeout(ctx, left)
	defer cancel()
	batch, err := reader.Fetch(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return batch, errDue
	}
	return batch, err
}

// keep takes over what a fetch has returned.
func (re *Retriever) keep(ctx context.Context, s *store, batch port.Batch) error {
	for i := range batch.Records {
		re.record(s, &batch.Records[i])
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	re.mu.Lock()
	re.next, re.highWater = s.staged.next, batch.HighWatermark
	re.mu.Unlock()
	return nil
}

// record stages one Kafka record: the whole chunk if all its events are new, as nearly always, else those that are.
func (re *Retriever) record(s *store, rec *port.Fetched) {
	if rec.Offset < s.staged.next {
		return // from before the offset asked for
	}
	if rec.Offset > s.staged.next {
		re.missed(s, rec.Offset, "the log has no records there")
	}
	ids, err := event.ChunkIDs(re.ids[:0], rec.Value)
	re.ids = ids
	if err != nil {
		s.put(&frame{kind: frameAside, offset: rec.Offset, payload: rec.Value})
		return
	}
	fresh := 0
	for i, id := range ids {
		if re.seen.add(id) {
			if fresh != i {
				ids[fresh] = id
			}
			fresh++
		}
	}
	switch fresh {
	case len(ids):
		s.put(&frame{kind: frameEvents, offset: rec.Offset, events: fresh, payload: rec.Value})
	case 0:
		s.put(&frame{kind: frameEmpty, offset: rec.Offset, dropped: len(ids)})
	default:
		s.put(&frame{kind: frameEvents, offset: rec.Offset, events: fresh, dropped: len(ids) - fresh, payload: re.only(rec.Value, ids[:fresh])})
	}
}

// only encodes a chunk again with just the first event of each of the given IDs, which are in its order.
func (re *Retriever) only(value []byte, fresh []event.ID) []byte {
	// ChunkIDs has checked all that DecodeChunk checks.
	c, _ := event.DecodeChunk(value)
	re.fresh = re.fresh[:0]
	for i := range c.Events {
		if len(fresh) > 0 && c.Events[i].ID == fresh[0] {
			re.fresh, fresh = append(re.fresh, c.Events[i]), fresh[1:]
		}
	}
	return event.AppendChunk(nil, c.Dataset, re.fresh)
}

// missed notes that the offsets up to next cannot be read, durably, and tells.
func (re *Retriever) missed(s *store, next int64, why string) {
	from := s.staged.next
	n := next - from
	s.put(&frame{kind: frameMissed, offset: from, payload: binary.LittleEndian.AppendUint64(nil, uint64(n))})
	re.announce(port.EventOffsetReset, fmt.Sprintf("%d records from offset %d on cannot be read: %s", n, from, why))
}

// reset finds out what an offset out of range means. Below the log's start, records have expired before they were read:
// they are noted as missed. Beyond its end, the log was truncated: what is there now is read from its start again, and
// what was stored already is dropped as a duplicate, as far as the dedup window reaches.
func (re *Retriever) reset(ctx context.Context, s *store, times int) error {
	start, high, err := re.log.Admin().Offsets(ctx, re.topic, re.partition)
	if err != nil {
		return ctx.Err() // asked again after a pause
	}
	next := s.staged.next
	switch {
	case next < start:
		re.missed(s, start, fmt.Sprintf("the log begins at offset %d", start))
		return s.flush(ctx)
	case next > high && times >= resetPatience:
		re.announce(port.EventOffsetReset, fmt.Sprintf("offset %d is beyond the log's end %d: it was truncated; reading again from its start %d", next, high, start))
		s.rewind(start)
	}
	return nil
}
