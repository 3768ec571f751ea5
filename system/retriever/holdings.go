package retriever

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// Bounds of a page.
const (
	maxPageEvents = 100_000
	pageBlock     = 256 << 10 // read at once
	maxPageBytes  = 8 << 20   // a page ends here, however few events it has
)

// ErrCursor is matched by the error for a cursor that no page has returned.
var ErrCursor = errors.New("no such cursor")

// Holdings implements [Holder]. Only durable events are returned, each from bytes whose checksum was verified.
func (re *Retriever) Holdings(ctx context.Context, cursor int64, limit int) (Page, error) {
	var page Page
	next, done, err := re.frames(ctx, cursor, limit, func(f *frame) error {
		c, err := event.DecodeChunk(f.payload)
		if err != nil {
			return err
		}
		if page.Held == nil {
			page.Held = make([]Held, 0, min(max(limit, 1), 4096)+len(c.Events))
		}
		for i := range c.Events {
			page.Held = append(page.Held, Held{Offset: f.offset, Dataset: c.Dataset, Event: c.Events[i]})
		}
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	page.Cursor, page.Done = next, done
	return page, nil
}

// HeldRecords implements [RecordHolder]. Each chunk is from bytes whose checksum was verified; what is in it is for the
// caller to check, as with a record of Kafka's.
func (re *Retriever) HeldRecords(ctx context.Context, cursor int64, limit int) (RecordPage, error) {
	var page RecordPage
	next, done, err := re.frames(ctx, cursor, limit, func(f *frame) error {
		page.Records = append(page.Records, HeldRecord{Offset: f.offset, Chunk: f.payload[:len(f.payload):len(f.payload)]})
		page.Events += f.events
		return nil
	})
	if err != nil {
		return RecordPage{}, err
	}
	page.Cursor, page.Done = next, done
	return page, nil
}

// frames calls f with the durable frames that hold events, from a cursor on, until about limit events. It returns the
// cursor behind them. f may keep a frame's payload.
func (re *Retriever) frames(ctx context.Context, cursor int64, limit int, f func(f *frame) error) (next int64, done bool, err error) {
	re.mu.Lock()
	s := re.store
	re.mu.Unlock()
	if s == nil {
		if cursor == 0 {
			return 0, true, nil
		}
		return 0, false, fmt.Errorf("%w: %d, and the log is not open yet", ErrCursor, cursor)
	}
	limit = min(max(limit, 1), maxPageEvents)
	end := s.published().end
	if cursor < 0 || cursor > end {
		return 0, false, fmt.Errorf("%w: %d is not between 0 and %d", ErrCursor, cursor, end)
	}
	first := cursor
	for events := 0; cursor < end && events < limit && cursor-first < maxPageBytes; {
		start, fileEnd := s.fileAt(cursor)
		before := cursor
		cursor, err = readFrames(ctx, s.disk, start, cursor, fileEnd, func(fr *frame) (bool, error) {
			if fr.kind == frameEvents {
				if err := f(fr); err != nil {
					return false, err
				}
				events += fr.events
			}
			return events < limit, nil
		})
		if err != nil {
			return 0, false, err
		}
		if cursor == before {
			return 0, false, fmt.Errorf("%s: no progress at position %d", fileName(start), cursor)
		}
	}
	return cursor, cursor >= end, nil
}

// readFrames calls f with the frames of one file between two positions until f returns false, and returns the position behind the last.
func readFrames(ctx context.Context, disk port.Disk, start, from, to int64, f func(f *frame) (more bool, err error)) (int64, error) {
	name := fileName(start)
	file, err := disk.Open(ctx, name)
	if err != nil {
		return from, fmt.Errorf("%s: open: %w", name, err)
	}
	defer file.Close()
	size := int64(pageBlock)
	for from < to {
		at := fileHeader + from - start
		block := make([]byte, min(size, to-from)) // a new one, because f may have kept payloads of the last
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
				return from, fmt.Errorf("%s, byte %d: %w: no valid record begins there; the cursor is wrong or the file is damaged", name, at+int64(used), port.ErrCorrupt)
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
