package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/retriever"
)

// holdingsPage is how many events are asked of a retriever at once.
const holdingsPage = 4096

// maxRemembered bounds the bytes of one partition's log that are kept to compare holdings with.
const maxRemembered = 64 << 20

// auditor reads one partition back, from Kafka and from its retriever, and marks every event.
type auditor struct {
	r          *run
	partition  int32
	recognise  loadgen.Recogniser
	remembered []auditRecord // of the log, in order of their offsets
	bytes      int           // in remembered
	columns    loadgen.Columns
	stored     []storedSeal        // of the object store, as the manifest named them last
	marks      []evidence.HeldMark // of the seal that is being read
}

// auditRecord is a record of the log and the marks that it got.
type auditRecord struct {
	offset   int64
	value    []byte
	from, to int // in evidence.Log
}

// poisonKey begins the keys of the harness's own records.
var poisonKey = []byte(system.PoisonKey)

func (a *auditor) readLog(ctx context.Context) error {
	r := a.r
	start, high, err := r.w.Log().Admin().Offsets(ctx, system.EventsTopic, a.partition)
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	if start != 0 {
		r.gap("log", fmt.Sprintf("%s/%d begins at offset %d: what was before it has expired", system.EventsTopic, a.partition, start))
	}
	reader, err := r.w.Log().NewReader(port.DefaultReaderConfig("ratel-audit"), system.EventsTopic, a.partition, start)
	if err != nil {
		return fmt.Errorf("open a reader: %w", err)
	}
	defer reader.Close()
	r.ev.Records = slices.Grow(r.ev.Records, int(high-start))
	for reader.Offset() < high {
		batch, err := reader.Fetch(ctx)
		if err != nil {
			return fmt.Errorf("read at offset %d of %d: %w", reader.Offset(), high, err)
		}
		for i := range batch.Records {
			rec := &batch.Records[i]
			if bytes.HasPrefix(rec.Key, poisonKey) {
				r.poisoned(a.partition, rec.Offset, string(rec.Key))
			} else {
				a.noteRecord(rec)
			}
			a.logRecord(rec.Offset, rec.Value)
		}
	}
	if n := len(r.ev.Log); high > 0 && (n == 0 || r.ev.Log[n-1].Partition != a.partition || r.ev.Log[n-1].Offset < high-1) {
		r.rec.add(evidence.Entry{Kind: evidence.LogEnded, Topic: system.EventsTopic, Part: a.partition, Offset: high})
	}
	return nil
}

// noteRecord keeps what a record says of itself. One that cannot be read is told by its mark.
func (a *auditor) noteRecord(rec *port.Fetched) {
	first, events, err := event.Head(rec.Value)
	if err != nil {
		return
	}
	a.r.ev.Records = append(a.r.ev.Records, evidence.Record{
		Partition: a.partition, Offset: rec.Offset, Source: first.Source, First: first.Seq, Count: events, Number: rec.Number, At: rec.Time.Sub(a.r.rec.start),
	})
}

// logRecord marks every event of one Kafka record.
func (a *auditor) logRecord(offset int64, value []byte) {
	marks := a.r.ev.Log
	from := len(marks)
	err := a.recognise.Chunk(value, func(producer uint32, seq uint64, state loadgen.State) {
		marks = append(marks, evidence.LogMark{Partition: a.partition, Offset: offset, Producer: producer, Seq: seq, State: markOf(state)})
	})
	if err != nil {
		marks = append(marks[:from], evidence.LogMark{Partition: a.partition, Offset: offset, State: evidence.Unreadable})
	} else if a.bytes += len(value); a.bytes <= maxRemembered {
		a.remembered = append(a.remembered, auditRecord{offset: offset, value: value, from: from, to: len(marks)})
	}
	a.r.ev.Log = marks
}

// readPair reads what every retriever of the partition holds. Where one has stored the very ranges of the one before it,
// or of the object store, which the sums over the stored bytes tell, it holds the same events.
func (a *auditor) readPair(ctx context.Context) {
	names := a.r.p.System.Retrievers(a.partition)
	views := make([]rangesView, len(names))
	for i, name := range names {
		if views[i] = a.view(ctx, name); views[i].err != nil {
			a.r.gap("pairs", fmt.Sprintf("%s: %v", name, views[i].err))
		}
	}
	if _, err := a.readSeals(ctx); err != nil {
		a.stored = nil // told when it is read for itself
	}
	var before []retriever.Range
	var marks [2]int // of the one before, in evidence.Held
	for i, name := range names {
		ranges := views[i].ranges
		from, after := len(a.r.ev.Held), ranges
		switch {
		case views[i].err != nil:
			ranges = nil
		case i > 0 && len(ranges) > 0 && slices.Equal(ranges, before):
			a.heldAlike(name, a.r.ev.Held[marks[0]:marks[1]])
		default:
			if err := a.readHoldings(ctx, name, a.asStored(name, &views[i])); err != nil {
				a.r.gap("held", fmt.Sprintf("%s: %v", name, err))
				ranges = nil
			}
			// What has aged meanwhile was not read, and must not be missed.
			if now, err := a.r.w.Holder(name).Status(ctx); err == nil && views[i].still(&now) {
				break
			}
			var err error
			if after, err = a.r.w.Holder(name).Ranges(ctx); err != nil {
				a.r.gap("pairs", fmt.Sprintf("%s: %v", name, err))
			}
		}
		for _, g := range after {
			a.r.ev.Pairs = append(a.r.ev.Pairs, evidence.PairRange{Retriever: name, Partition: a.partition, First: g.First, Next: g.Next, Rows: g.Rows, Sum: g.Sum})
		}
		before, marks = ranges, [2]int{from, len(a.r.ev.Held)}
	}
}

// rangesView is what a retriever has stored, and how it was just before that was read.
type rangesView struct {
	status retriever.Status
	ranges []retriever.Range
	err    error
}

func (a *auditor) view(ctx context.Context, name string) (v rangesView) {
	if v.status, v.err = a.r.w.Holder(name).Status(ctx); v.err == nil {
		v.ranges, v.err = a.r.w.Holder(name).Ranges(ctx)
	}
	return v
}

// still says that the retriever holds what it held: nothing was read on, sealed, let go or had again since.
func (v *rangesView) still(now *retriever.Status) bool {
	then := &v.status
	return now.Floor == then.Floor && now.Durable == then.Durable && now.Next == then.Next && now.Held == then.Held &&
		now.Repaired == then.Repaired && now.MemBytes == then.MemBytes
}

// asStored marks the ranges that a retriever and the object store hold alike, from the beginning of what the retriever
// holds on, and returns the offset at which they end. The object store's bytes were read and their checksums verified, and
// so were the retriever's when it made its sums, so what the one holds the other holds.
func (a *auditor) asStored(name string, v *rangesView) (cursor int64) {
	next := v.status.Floor
	for _, g := range v.ranges {
		s := a.storedAs(g.First)
		if g.First != next || s == nil || len(s.absent) > 0 || retriever.SealRange(&s.seal) != g {
			break
		}
		a.heldAlike(name, s.marks)
		next, cursor = g.Next, g.Next
	}
	return cursor
}

// readHoldings reads what a retriever holds from an offset on.
func (a *auditor) readHoldings(ctx context.Context, name string, cursor int64) error {
	read := a.page
	if records, ok := a.r.w.Holder(name).(retriever.RecordHolder); ok {
		read = func(ctx context.Context, name string, cursor int64) (int64, bool, error) {
			return a.recordPage(ctx, records, name, cursor)
		}
	}
	for {
		next, done, err := read(ctx, name, cursor)
		if err != nil {
			return fmt.Errorf("holdings from %d: %w", cursor, err)
		}
		if done {
			return nil
		}
		if next <= cursor {
			return fmt.Errorf("holdings do not advance beyond %d", cursor)
		}
		cursor = next
	}
}

// page reads and marks a page of events.
func (a *auditor) page(ctx context.Context, name string, cursor int64) (next int64, done bool, err error) {
	page, err := a.r.w.Holder(name).Holdings(ctx, cursor, holdingsPage)
	if err != nil {
		return 0, false, err
	}
	for i := range page.Held {
		h := &page.Held[i]
		producer, seq, state := loadgen.Identify(&h.Event)
		a.held(name, h.Offset, producer, seq, markOf(state))
	}
	return page.Cursor, page.Done, nil
}

// recordPage reads and marks a page of records. One that is the log's record, byte for byte, has the log's marks: it
// need not be taken apart again.
func (a *auditor) recordPage(ctx context.Context, from retriever.RecordHolder, name string, cursor int64) (next int64, done bool, err error) {
	page, err := from.HeldRecords(ctx, cursor, holdingsPage)
	if err != nil {
		return 0, false, err
	}
	for i := range page.Records {
		rec := &page.Records[i]
		if same := a.inLog(rec); same != nil {
			for _, m := range a.r.ev.Log[same.from:same.to] {
				a.held(name, rec.Offset, m.Producer, m.Seq, m.State)
			}
			continue
		}
		kept := len(a.r.ev.Held)
		if err := a.recognise.Chunk(rec.Chunk, func(producer uint32, seq uint64, state loadgen.State) {
			a.held(name, rec.Offset, producer, seq, markOf(state))
		}); err != nil {
			a.r.ev.Held = a.r.ev.Held[:kept]
			return 0, false, fmt.Errorf("the record at offset %d: %w", rec.Offset, err)
		}
	}
	return page.Cursor, page.Done, nil
}

// inLog finds the record of the log that a retriever's record is equal to; nil if there is none.
func (a *auditor) inLog(rec *retriever.HeldRecord) *auditRecord {
	if len(a.remembered) == 0 {
		return nil
	}
	i := rec.Offset - a.remembered[0].offset // offsets are nearly always dense; where not, nothing is found and nothing lost
	if i < 0 || i >= int64(len(a.remembered)) {
		return nil
	}
	if known := &a.remembered[i]; known.offset == rec.Offset && bytes.Equal(known.value, rec.Chunk) {
		return known
	}
	return nil
}

func (a *auditor) held(name string, offset int64, producer uint32, seq uint64, state evidence.MarkState) {
	a.r.ev.Held = append(a.r.ev.Held, evidence.HeldMark{Retriever: name, Partition: a.partition, Offset: offset, Producer: producer, Seq: seq, State: state})
}

// heldAlike marks for a retriever what another place holds.
func (a *auditor) heldAlike(name string, marks []evidence.HeldMark) {
	from := len(a.r.ev.Held)
	a.r.ev.Held = append(a.r.ev.Held, marks...)
	for i := range a.r.ev.Held[from:] {
		a.r.ev.Held[from+i].Retriever = name
	}
}
