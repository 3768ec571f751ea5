package retriever

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// Pauses after errors of the log, and how often an offset beyond the log's end is tried again: a new leader may need a
// moment to know its end.
const (
	fetchPause    = 200 * time.Millisecond
	resetPatience = 10
)

// follow reads the partition from where the store ends and keeps what it reads, until ctx ends, the disk fails, or the
// local data has to be given up.
func (re *Retriever) follow(ctx context.Context, st *state) error {
	s := st.store
	reader, err := re.reader(ctx, s.staged.next)
	if err != nil {
		return err
	}
	defer func() { reader.Close() }()
	outside := 0 // how often in a row the offset was out of range
	for ctx.Err() == nil {
		if err := re.await(ctx, st); err != nil {
			return re.bye(ctx, s, err)
		}
		sent := re.r.Now()
		batch, err := re.poll(ctx, s, reader)
		switch {
		case err == nil:
			outside = 0
			err := re.keep(ctx, st, batch, sent)
			if err == nil {
				continue
			}
			if !errors.Is(err, errPoison) {
				return re.bye(ctx, s, err)
			}
		case errors.Is(err, errDue):
			if err := re.settle(ctx, s); err != nil {
				return re.bye(ctx, s, err)
			}
			continue
		case ctx.Err() != nil:
			return re.bye(ctx, s, ctx.Err())
		case errors.Is(err, port.ErrOffsetOutOfRange):
			outside++
			if err := re.reset(ctx, st, outside); err != nil {
				return re.bye(ctx, s, err)
			}
		}
		// Any other error is the log's: everything that was read is kept, so go on from there with a new reader.
		if err := re.settle(ctx, s); err != nil {
			return re.bye(ctx, s, err)
		}
		if re.r.Sleep(ctx, fetchPause) != nil {
			break
		}
		reader.Close()
		if reader, err = re.reader(ctx, s.staged.next); err != nil {
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
	return re.settle(ctx, s)
}

// settle makes everything that was read durable.
func (re *Retriever) settle(ctx context.Context, s *store) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.sync(ctx)
}

// reader makes a reader, trying until ctx ends.
func (re *Retriever) reader(ctx context.Context, offset int64) (port.Reader, error) {
	for {
		reader, err := re.log.NewReader(port.DefaultReaderConfig(re.place.Node), re.place.Topic, re.place.Partition, offset)
		if err == nil {
			return reader, nil
		}
		if re.r.Sleep(ctx, fetchPause) != nil {
			return nil, fmt.Errorf("open a reader of %s/%d: %w", re.place.Topic, re.place.Partition, err)
		}
	}
}

// localPause is how often a retriever whose disk is used up looks whether it may go on.
const localPause = 200 * time.Millisecond

// await returns when the partition may be followed. It makes durable what was written before it waits.
func (re *Retriever) await(ctx context.Context, st *state) error {
	for {
		re.mu.Lock()
		restart := re.restart
		re.mu.Unlock()
		if restart != "" {
			re.announce(port.EventDiskCorrupt, "the local data is given up: "+restart)
			return re.giveUp(ctx, restart)
		}
		allowed, changed := re.claim.mayFollow()
		full := re.full(st)
		if allowed && !full {
			return nil
		}
		if err := re.settle(ctx, st.store); err != nil {
			return err
		}
		if full {
			if err := re.r.Sleep(ctx, localPause); err != nil {
				return err
			}
		} else if _, err := changed.Wait(ctx); err != nil {
			return err
		}
	}
}

// full says whether reading must wait because the local disk is used up. It waits only for what a snapshot will let go.
func (re *Retriever) full(st *state) bool {
	re.mu.Lock()
	seals := st.index.seals
	full := len(seals) > 0 && seals[len(seals)-1].Next > re.known.Next && st.localBytes() > re.cfg.MaxLocalBytes
	told := re.paused
	re.paused = full
	re.mu.Unlock()
	if full && !told {
		re.announce(port.EventDiskFull, fmt.Sprintf("max_local_bytes is used up by segments that S3 does not have yet: reading waits at offset %d", st.part.next))
	}
	return full
}

var errDue = errors.New("a sync is due")

// poll reads on, but not beyond the moment at which what was written must be made durable: a fetch may hang for long
// while a partition has no leader.
func (re *Retriever) poll(ctx context.Context, s *store, reader port.Reader) (port.Batch, error) {
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

// errPoison is what a planted bug makes of a record that cannot be decoded.
var errPoison = errors.New("the record cannot be decoded")

// keep takes over what a fetch that was sent at that time has returned.
func (re *Retriever) keep(ctx context.Context, st *state, batch port.Batch, sent time.Time) error {
	s := st.store
	early := re.bugs.Has(planted.AutoCommitEarly)
	if n := len(batch.Records); early && n > 0 {
		if err := re.commitEarly(ctx, batch.Records[n-1].Offset+1); err != nil {
			return err
		}
	}
	for i := range batch.Records {
		if err := re.record(ctx, st, &batch.Records[i]); err != nil {
			re.mu.Lock()
			re.next, re.highWater = s.staged.next, batch.HighWatermark // how far behind it is left is known
			re.mu.Unlock()
			return err
		}
	}
	if early && s.dirty.IsZero() && len(s.pending) > 0 {
		s.dirty = re.r.Now() // written when the sync is due
	} else if !early {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	re.mu.Lock()
	re.next, re.highWater = s.staged.next, batch.HighWatermark
	if n := len(batch.Records); n > 0 {
		re.newest = batch.Records[n-1].Time
		re.arrived = re.r.Now()
	}
	re.highest = max(re.highest, batch.HighWatermark)
	if s.staged.next >= batch.HighWatermark {
		re.freshAt = re.r.Now()
		// A high watermark below one that was seen before is a new leader's that does not know better yet.
		if batch.HighWatermark >= re.highest && sent.After(re.freshTo) {
			re.freshTo = sent
		}
	}
	re.mu.Unlock()
	return nil
}

// record stages one Kafka record, and seals what came before if that ends there: the whole chunk if all its events are
// new, as nearly always, else those that are.
func (re *Retriever) record(ctx context.Context, st *state, rec *port.Fetched) error {
	s := st.store
	if rec.Offset < s.staged.next {
		return nil // from before the offset asked for
	}
	if rec.Offset > s.staged.next {
		re.missed(st, rec.Offset, "the log has no records there")
	}
	f := frame{offset: rec.Offset, time: unixNano(rec.Time), payload: rec.Value}
	bucket := bucketOf(f.time, re.cfg.SealEvery)
	if ends, begins := st.part.ends(bucket, re.cfg.MaxMemoryBytes/2); ends && rec.Offset > st.part.first {
		if err := re.seal(ctx, st, rec.Offset, begins); err != nil {
			return err
		}
	}
	c, err := re.decoder.Borrow(rec.Value)
	if err != nil {
		if re.bugs.Has(planted.PoisonRecord) {
			return fmt.Errorf("offset %d: %w: %w", rec.Offset, errPoison, err)
		}
		if !re.bugs.Has(planted.SkipsInSilence) {
			re.announce(port.EventRecordSkipped, fmt.Sprintf("offset %d: %v", rec.Offset, err))
		}
		f.kind = frameAside
		s.put(&f)
		re.stage(st, &f, event.Chunk{}, nil)
		return nil //nolint:nilerr // it is counted and kept, and the log goes on
	}
	re.tellIndex(rec, c)
	kept, places := re.fresh(st.seen, c.Events)
	f.events, f.dropped = len(kept), len(c.Events)-len(kept)
	switch {
	case f.events == 0:
		f.kind, f.payload = frameEmpty, nil
	case f.dropped == 0:
		f.kind = frameEvents
	default:
		f.kind = frameSome
		f.payload = nil
		for _, at := range places {
			f.payload = binary.AppendUvarint(f.payload, uint64(at))
		}
		f.payload = event.AppendChunk(f.payload, c.Dataset, kept)
	}
	s.put(&f)
	c.Events = kept
	re.stage(st, &f, c, places)
	return nil
}

// fresh are the events that were not seen before, and their places among all; places is nil if all are fresh, which is
// nearly always so. What it returns is good until the next call.
func (re *Retriever) fresh(seen *window, events []event.Event) (kept []event.Event, places []int32) {
	i := 0
	for i < len(events) && seen.add(events[i].ID) {
		i++
	}
	if i == len(events) {
		return events, nil
	}
	re.kept, re.places = append(re.kept[:0], events[:i]...), re.places[:0]
	for j := range i {
		re.places = append(re.places, int32(j))
	}
	for i++; i < len(events); i++ { // the first of them is one that was
		if seen.add(events[i].ID) {
			re.kept, re.places = append(re.kept, events[i]), append(re.places, int32(i))
		}
	}
	return re.kept, re.places
}

// stage makes a record part of what is not sealed, visible to queries at once.
func (re *Retriever) stage(st *state, f *frame, c event.Chunk, places []int32) {
	re.mu.Lock()
	defer re.mu.Unlock()
	p := st.part
	switch f.kind {
	case frameMissed:
		p.missed += f.missed()
	case frameAside:
		p.begin(bucketOf(f.time, re.cfg.SealEvery))
		p.aside = append(p.aside, *f)
	case frameEmpty:
		p.begin(bucketOf(f.time, re.cfg.SealEvery))
	default:
		p.begin(bucketOf(f.time, re.cfg.SealEvery))
		p.add(f.offset, c.Dataset, c.Events, places, len(f.payload))
	}
	p.next = f.next()
}

// unixNano is a record's CreateTime; 0 if it has none.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// missed notes that the offsets up to next cannot be read, durably, and tells.
func (re *Retriever) missed(st *state, next int64, why string) {
	from := st.store.staged.next
	n := next - from
	f := frame{kind: frameMissed, offset: from, payload: binary.LittleEndian.AppendUint64(nil, uint64(n))}
	st.store.put(&f)
	re.stage(st, &f, event.Chunk{}, nil)
	re.announce(port.EventOffsetReset, fmt.Sprintf("%d records from offset %d on cannot be read: %s", n, from, why))
}

// reset finds out what an offset out of range means. Below the log's start, records have expired before they were read:
// they are noted as missed. Beyond its end, the log was truncated: what it has now is the truth, so the snapshot is cut
// where it still agrees, the local data is given up, and the log is read again from there.
func (re *Retriever) reset(ctx context.Context, st *state, times int) error {
	start, high, err := re.log.Admin().Offsets(ctx, re.place.Topic, re.place.Partition)
	if err != nil {
		return ctx.Err() // asked again after a pause
	}
	next := st.store.staged.next
	switch {
	case next < start:
		re.missed(st, start, fmt.Sprintf("the log begins at offset %d", start))
		return st.store.flush(ctx)
	case next > high && times >= resetPatience:
		why := fmt.Sprintf("offset %d is beyond the log's end %d: it was truncated", next, high)
		re.announce(port.EventOffsetReset, why+"; reading again from the last seal before that")
		if err := re.cutManifest(ctx, high); err != nil {
			re.announce(port.EventSnapshotFailed, "cutting the manifest: "+err.Error())
			return ctx.Err() // tried again after a pause
		}
		return re.giveUp(ctx, why)
	}
	return nil
}
