package retriever

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// Bounds of a page.
const (
	maxPageEvents = 100_000
	pageBlock     = 256 << 10 // read at once
	maxPageBytes  = 8 << 20   // a page ends here, however few events it has
	readAgain     = 3         // if what was to be read was sealed meanwhile
)

// ErrCursor is matched by the error for a cursor that is beyond what is held.
var ErrCursor = errors.New("no such cursor")

// Holdings implements [Holder]. Only durable events are returned, each from bytes whose checksum was verified. A cursor is
// a Kafka offset; below what is held locally, the page begins with what is.
func (re *Retriever) Holdings(ctx context.Context, cursor int64, limit int) (Page, error) {
	records, err := re.HeldRecords(ctx, cursor, limit)
	if err != nil {
		return Page{}, err
	}
	page := Page{Cursor: records.Cursor, Done: records.Done, Held: make([]Held, 0, records.Events)}
	for _, r := range records.Records {
		c, err := event.DecodeChunk(r.Chunk)
		if err != nil {
			return Page{}, fmt.Errorf("the record at offset %d: %w", r.Offset, err)
		}
		for i := range c.Events {
			page.Held = append(page.Held, Held{Offset: r.Offset, Dataset: c.Dataset, Event: c.Events[i]})
		}
	}
	return page, nil
}

// HeldRecords implements [RecordHolder]. Rows of segments are put together as records again, one chunk each.
func (re *Retriever) HeldRecords(ctx context.Context, cursor int64, limit int) (RecordPage, error) {
	limit = min(max(limit, 1), maxPageEvents)
	var err error
	for range readAgain {
		var page RecordPage
		if page, err = re.heldRecords(ctx, cursor, limit); err == nil || !errors.Is(err, port.ErrNotExist) {
			return page, err
		}
	}
	return RecordPage{}, err
}

func (re *Retriever) heldRecords(ctx context.Context, cursor int64, limit int) (RecordPage, error) {
	st, seals, open, release := re.pinOpen()
	defer release()
	if st == nil {
		if cursor == 0 {
			return RecordPage{Done: true}, nil
		}
		return RecordPage{}, fmt.Errorf("%w: %d, and the local data is not open yet", ErrCursor, cursor)
	}
	if end := st.store.published().next; cursor < 0 || cursor > end {
		return RecordPage{}, fmt.Errorf("%w: %d is not between 0 and %d", ErrCursor, cursor, end)
	}
	page := RecordPage{Cursor: cursor}
	bytes := 0
	// take adds the records from the cursor on, whole offsets at a time.
	take := func(records []pageRow) (full bool) {
		at, _ := slices.BinarySearchFunc(records, page.Cursor, func(r pageRow, offset int64) int { return cmp.Compare(r.Offset, offset) })
		for records = records[at:]; len(records) > 0; records = records[1:] {
			r := records[0]
			if (page.Events >= limit || bytes >= maxPageBytes) && r.Offset >= page.Cursor {
				return true
			}
			page.Records, page.Events, bytes = append(page.Records, r.HeldRecord), page.Events+r.events, bytes+len(r.Chunk)
			page.Cursor = r.Offset + 1
		}
		return false
	}
	for i := range seals {
		s := &seals[i]
		if s.Next <= page.Cursor {
			continue
		}
		records, err := re.sealRecords(ctx, s)
		if err != nil {
			return RecordPage{}, err
		}
		if take(records) {
			return page, nil
		}
		page.Cursor = s.Next
	}
	records, end, more, err := st.store.records(ctx, page.Cursor, limit-page.Events)
	if err == nil {
		err = re.unsealed(st, open)
	}
	if err != nil {
		return RecordPage{}, err
	}
	if take(records) || more {
		return page, nil
	}
	page.Cursor, page.Done = max(page.Cursor, end), true
	return page, nil
}

// unsealed fails if what was in no segment when the open part began at that offset is in one by now: who has read the segments
// before, and the rest then, has read it in neither.
func (re *Retriever) unsealed(st *state, open int64) error {
	re.mu.Lock()
	defer re.mu.Unlock()
	if re.st != st || st.part.first != open {
		return fmt.Errorf("sealed meanwhile: %w", port.ErrNotExist)
	}
	return nil
}

// pageRow is a record and how many events it has.
type pageRow struct {
	HeldRecord
	events int
}

// records reads the durable records from an offset on until about limit events, in order. more says that there are others.
func (s *store) records(ctx context.Context, offset int64, limit int) (out []pageRow, end int64, more bool, err error) {
	position, durable := s.find(offset)
	s.mu.Lock()
	sorted := !s.rewound
	s.mu.Unlock()
	for events, bytes := 0, 0; position < durable.end; {
		if sorted && (events > limit || bytes > maxPageBytes) {
			return out, durable.next, true, nil
		}
		start, fileEnd := s.fileAt(position)
		before := position
		position, err = readFrames(ctx, s.disk, start, position, min(fileEnd, durable.end), true, func(f *frame) (bool, error) {
			if f.offset < offset || !f.holds() {
				return true, nil
			}
			chunk, _, ok := f.chunk(nil)
			if !ok {
				return false, fmt.Errorf("the record at offset %d: %w", f.offset, port.ErrCorrupt)
			}
			out = append(out, pageRow{HeldRecord{f.offset, chunk[:len(chunk):len(chunk)]}, f.events})
			events, bytes = events+f.events, bytes+len(chunk)
			return !sorted || events <= limit && bytes <= maxPageBytes, nil
		})
		if err != nil {
			return nil, 0, false, err
		}
		if position == before {
			return nil, 0, false, fmt.Errorf("%s: no progress at position %d", fileName(start), position)
		}
	}
	slices.SortStableFunc(out, func(a, b pageRow) int { return cmp.Compare(a.Offset, b.Offset) })
	return out, durable.next, false, nil
}

// sealPage is a seal whose rows were put together as records.
type sealPage struct {
	pack    string
	records []pageRow
}

// sealRecords reads a seal's rows as records. The last one is remembered: pages follow one another.
func (re *Retriever) sealRecords(ctx context.Context, s *localSeal) ([]pageRow, error) {
	re.mu.Lock()
	last := re.pages
	re.mu.Unlock()
	if last != nil && last.pack == s.pack {
		return last.records, nil
	}
	rows, err := re.rowsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	var records []pageRow
	var events []event.Event
	for i := 0; i < len(rows); {
		events = events[:0]
		first := &rows[i]
		for ; i < len(rows) && rows[i].Offset == first.Offset && rows[i].dataset == first.dataset; i++ {
			events = append(events, rows[i].Event)
		}
		chunk := event.AppendChunk(nil, datasetOf(s.datasets, first.dataset), events)
		records = append(records, pageRow{HeldRecord{first.Offset, chunk}, len(events)})
	}
	re.mu.Lock()
	re.pages = &sealPage{s.pack, records}
	re.mu.Unlock()
	return records, nil
}

// datasetRow is a row and its dataset.
type datasetRow struct {
	segment.Row
	dataset int64
}

// rowsOf reads all rows of a local seal in the order in which they arrived.
func (re *Retriever) rowsOf(ctx context.Context, s *localSeal) ([]datasetRow, error) {
	rows := make([]datasetRow, 0, s.Rows())
	for i := range s.Segments {
		data, err := re.readSegment(ctx, s, i)
		if errors.Is(err, port.ErrCorrupt) {
			re.found(s.Segments[i].Key, err)
		}
		if err != nil {
			return nil, err
		}
		if rows, err = appendRows(ctx, rows, &s.Segments[i], data); err != nil {
			return nil, err
		}
	}
	sortRows(rows)
	return rows, nil
}

func appendRows(ctx context.Context, rows []datasetRow, info *segment.Info, data []byte) ([]datasetRow, error) {
	seg, err := segment.Open(*info, data)
	if err != nil {
		return nil, err
	}
	err = seg.Rows(ctx, func(row *segment.Row) error {
		rows = append(rows, datasetRow{*row, info.Dataset})
		return nil
	})
	return rows, err
}

func sortRows(rows []datasetRow) {
	slices.SortStableFunc(rows, func(a, b datasetRow) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Index, b.Index))
	})
}

// readFrames calls f with the frames of one file between two positions until f returns false, and returns the position behind
// the last. f may keep payloads if keep says so.
func readFrames(ctx context.Context, disk port.Disk, start, from, to int64, keep bool, f func(f *frame) (more bool, err error)) (int64, error) {
	name := fileName(start)
	file, err := disk.Open(ctx, name)
	if err != nil {
		return from, fmt.Errorf("%s: open: %w", name, err)
	}
	defer file.Close()
	size := int64(pageBlock)
	var block []byte
	for from < to {
		at := fileHeader + from - start
		if n := min(size, to-from); keep || int64(cap(block)) < n {
			block = make([]byte, n)
		} else {
			block = block[:n]
		}
		if _, err := readFull(ctx, file, block, at); err != nil {
			return from, fmt.Errorf("%s: read at byte %d: %w", name, at, err)
		}
		used := 0
		for used < len(block) {
			fr, need, ok := parseFrame(block[used:])
			if !ok {
				if short := need > len(block)-used && from+int64(need) <= to; short {
					if used == 0 {
						size = int64(need)
					}
					break
				}
				return from, fmt.Errorf("%s, byte %d: %w: no valid record begins there; the file is damaged", name, at+int64(used), port.ErrCorrupt)
			}
			more, err := f(&fr)
			if err != nil {
				return from, fmt.Errorf("%s, byte %d: %w", name, at+int64(used), err)
			}
			used += need
			from += int64(need)
			if !more || from >= to {
				return from, nil
			}
		}
	}
	return from, nil
}
