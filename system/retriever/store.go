package retriever

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// rollAt is the size from which on a new file is begun. It bounds what recovery holds in memory, together with the
// largest batch.
const rollAt = 8 << 20

// Pauses between attempts on a full disk.
const (
	fullPauseMin = 50 * time.Millisecond
	fullPauseMax = time.Second
)

// tally is what the log amounts to at some position, what was sealed before it included.
type tally struct {
	end        int64 // position
	next       int64 // Kafka offset to read next
	held       int64 // events that are in no segment yet
	duplicates int64
	corrupt    int64
	missed     int64
}

func (t *tally) add(f *frame) {
	t.end += int64(f.size())
	t.next = f.next()
	t.duplicates += int64(f.dropped)
	t.missed += f.missed()
	switch f.kind {
	case frameEvents, frameSome:
		t.held += int64(f.events)
	case frameAside:
		t.corrupt++
	}
}

// store is the local log. One task writes; any task may read what is durable.
type store struct {
	r         rt.Runtime
	disk      port.Disk
	partition int32
	rollAt    int64
	announce  func(kind, detail string)

	file    port.File // the last one, open for appending
	size    int64     // of the last file, header included
	pending []byte    // frames not handed to the disk yet
	staged  tally     // pending included
	written tally     // handed to the disk, not necessarily durable
	dirty   time.Time // when the oldest write that is not durable was made; zero if there is none

	mu      sync.Mutex // never held across a blocking call
	durable tally
	starts  []int64 // first positions of the files, ascending
	marks   []mark  // a sparse index of what is written
	rewound bool    // offsets do not go up everywhere
}

// mark says that frames from an offset on are at a position or behind it.
type mark struct{ offset, position int64 }

// put stages a frame. It is not on the disk before flush.
func (s *store) put(f *frame) {
	s.pending = appendFrame(s.pending, f)
	s.staged.add(f)
}

// flush hands the staged frames to the disk in one write. On a full disk it waits for space, keeping what it has; other
// errors are returned, and what the disk then holds is unknown beyond the durable end.
func (s *store) flush(ctx context.Context) error {
	if len(s.pending) == 0 {
		return nil
	}
	if s.size >= s.rollAt {
		if err := s.untilSpace(ctx, s.roll); err != nil {
			return err
		}
	}
	err := s.untilSpace(ctx, func(ctx context.Context) error {
		err := s.file.Append(ctx, s.pending)
		if err == nil {
			return nil
		}
		// Part of it may have been written: cut that off, or it would stand in the middle of the log. If that fails,
		// the error must not pass for a full disk, on which the write would be repeated.
		if cut := s.file.Truncate(context.WithoutCancel(ctx), s.size); cut != nil {
			return fmt.Errorf("%s: cut off a failed write at byte %d: %w (after: %s)", s.name(), s.size, cut, err.Error())
		}
		return fmt.Errorf("%s: append %d bytes: %w", s.name(), len(s.pending), err)
	})
	if err != nil {
		return err
	}
	s.size += int64(len(s.pending))
	s.pending = s.pending[:0]
	s.mu.Lock()
	s.mark(s.written.next)
	s.mu.Unlock()
	s.written = s.staged
	if s.dirty.IsZero() {
		s.dirty = s.r.Now()
	}
	return nil
}

// untilSpace repeats an operation as long as it fails for lack of space.
func (s *store) untilSpace(ctx context.Context, operation func(ctx context.Context) error) error {
	pause := fullPauseMin
	for told := false; ; told = true {
		err := operation(ctx)
		if err == nil || !errors.Is(err, port.ErrDiskFull) {
			return err
		}
		if !told {
			s.announce(port.EventDiskFull, err.Error())
		}
		// What was written before may be made durable meanwhile.
		if err := s.sync(ctx); err != nil {
			return err
		}
		if err := s.r.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, fullPauseMax)
	}
}

// sync makes everything that was written durable, and only then publishes it. After an error nothing may be assumed of
// what was not durable: the kernel may have dropped the pages and will not tell again.
func (s *store) sync(ctx context.Context) error {
	if s.dirty.IsZero() {
		return nil
	}
	if err := s.file.Sync(ctx); err != nil {
		return fmt.Errorf("%s: sync: %w", s.name(), err)
	}
	s.dirty = time.Time{}
	s.mu.Lock()
	s.durable = s.written
	s.mu.Unlock()
	return nil
}

// roll begins a new file. The one before is durable first, so only the last file can have a torn end.
func (s *store) roll(ctx context.Context) error {
	if err := s.sync(ctx); err != nil {
		return err
	}
	start := s.written.end
	if s.file != nil && s.starts[len(s.starts)-1] == start {
		return nil // it has nothing in it
	}
	name := fileName(start)
	file, err := s.create(ctx, name, start)
	if err != nil {
		return err
	}
	if s.file != nil {
		if err := s.file.Close(); err != nil {
			return fmt.Errorf("%s: close: %w", s.name(), err)
		}
	}
	s.file, s.size = file, fileHeader
	s.mu.Lock()
	s.starts = append(s.starts, start)
	s.mu.Unlock()
	return nil
}

func (s *store) create(ctx context.Context, name string, start int64) (port.File, error) {
	file, err := s.disk.Create(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: create: %w", name, err)
	}
	if err = file.Append(ctx, appendFileHeader(nil, s.partition, start)); err == nil {
		if err = file.Sync(ctx); err == nil {
			err = s.disk.SyncDir(ctx)
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: write the header: %w", name, err)
	}
	return file, nil
}

// rewind makes another Kafka offset the next to read. It is called with nothing pending. What is read again and stored
// was durable before.
func (s *store) rewind(offset int64) {
	s.staged.next, s.written.next = offset, offset
	s.mu.Lock()
	s.durable.next = offset
	s.mark(offset)
	s.mu.Unlock()
}

// sealed forgets what the files before the last hold: it is in segments now. It returns their names.
func (s *store) sealed() (gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.starts) - 1
	for _, start := range s.starts[:last] {
		gone = append(gone, fileName(start))
	}
	s.starts = s.starts[last:]
	s.staged.held, s.written.held, s.durable.held = 0, 0, 0
	s.marks, s.rewound = append(s.marks[:0], mark{s.written.next, s.written.end}), false
	return gone
}

// mark notes that what is read from offset on is behind the present end. mu is held.
func (s *store) mark(offset int64) {
	n := len(s.marks)
	if n > 0 && s.marks[n-1].offset > offset {
		s.rewound = true
	}
	if n == 0 || s.marks[n-1].position < s.written.end {
		s.marks = append(s.marks, mark{offset, s.written.end})
	}
}

// find returns a position at or before that of the first frame of an offset, and what is durable.
func (s *store) find(offset int64) (from int64, durable tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].offset > offset }) - 1
	if s.rewound || i < 0 {
		return s.starts[0], s.durable
	}
	return max(s.marks[i].position, s.starts[0]), s.durable
}

func (s *store) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.starts) == 0 {
		return "new log"
	}
	return fileName(s.starts[len(s.starts)-1])
}

func (s *store) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// published is what is durable.
func (s *store) published() tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// fileAt returns the file that holds the frame at a durable position, and how far its durable frames reach.
func (s *store) fileAt(position int64) (start, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > position }) - 1
	end = s.durable.end
	if i+1 < len(s.starts) {
		end = min(end, s.starts[i+1])
	}
	return s.starts[i], end
}
