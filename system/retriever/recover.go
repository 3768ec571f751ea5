package retriever

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// openStore opens the local log from a position on and brings it back to a sound state: a torn end is cut off, damaged
// bytes and all that follows them are set aside, to be read from Kafka again. base is what comes before it: it is in
// segments. replay takes over what is kept, in order; it says false for a frame whose payload is not sound. limit, unless
// negative, is a position beyond which nothing may be believed, because making it durable has failed.
func openStore(ctx context.Context, r rt.Runtime, disk port.Disk, partition int32, limit int64, base tally, replay func(f *frame) bool, announce func(kind, detail string)) (*store, error) {
	s := &store{r: r, disk: disk, partition: partition, rollAt: rollAt, announce: announce, written: base}
	rc := recovery{store: s, replay: replay}
	starts, err := rc.list(ctx)
	if err == nil && limit >= 0 {
		starts, err = rc.rollback(ctx, starts, limit)
	}
	for i := 0; err == nil && i < len(starts); i++ {
		var sound bool
		if sound, err = rc.file(ctx, starts[i:]); !sound {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("retriever: recover the local log: %w", err)
	}
	s.staged = s.written
	s.mark(s.written.next)
	if err := s.reopen(ctx); err != nil {
		return nil, fmt.Errorf("retriever: open the local log: %w", err)
	}
	s.durable = s.written
	if len(starts) > 0 {
		announce(port.EventRecovered, fmt.Sprintf("%d events up to Kafka offset %d%s", s.written.held, s.written.next, rc.note))
	}
	return s, nil
}

// reopen opens the last file for appending, or creates the first. What a killed process had written without syncing may
// have been found in the page cache only, so it is synced before anything is called durable.
func (s *store) reopen(ctx context.Context) error {
	if len(s.starts) == 0 {
		return s.untilSpace(ctx, s.roll)
	}
	name := s.name()
	file, err := s.disk.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.file = file
	s.size = fileHeader + s.written.end - s.starts[len(s.starts)-1]
	if err := file.Sync(ctx); err != nil {
		return fmt.Errorf("%s: sync: %w", name, err)
	}
	return nil
}

type recovery struct {
	store  *store
	replay func(f *frame) bool
	note   string // for the announcement
}

// list returns the first positions of the log's files, ascending. Files of before its beginning are removed.
func (rc *recovery) list(ctx context.Context) ([]int64, error) {
	names, err := rc.store.disk.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var starts []int64
	for _, name := range names {
		start, ok := parseFileName(name)
		if ok && start < rc.store.written.end {
			if err := rc.store.disk.Remove(ctx, name); err != nil {
				return nil, fmt.Errorf("%s: remove: %w", name, err)
			}
		} else if ok {
			starts = append(starts, start)
		}
	}
	slices.Sort(starts)
	return starts, nil
}

// rollback cuts off what lies beyond a position. It was written, but fsync failed: it can still be read, and would not
// be there after the next crash.
func (rc *recovery) rollback(ctx context.Context, starts []int64, limit int64) ([]int64, error) {
	keep := len(starts)
	for keep > 1 && starts[keep-1] >= limit {
		keep--
	}
	if keep == 0 {
		return starts, nil
	}
	size := fileHeader + max(limit-starts[keep-1], 0)
	data, _, err := readAll(ctx, rc.store.disk, fileName(starts[keep-1]))
	if err != nil {
		return nil, err
	}
	return starts[:keep], rc.cut(ctx, starts[keep-1:], int(min(size, int64(len(data)))))
}

// file takes over the first file of rest, which are the first positions of the files left. sound is false if the log
// ends with it.
func (rc *recovery) file(ctx context.Context, rest []int64) (sound bool, err error) {
	s := rc.store
	start := rest[0]
	name := fileName(start)
	data, readable, err := readAll(ctx, s.disk, name)
	if err != nil {
		return false, err
	}
	good := 0
	follows := start == s.written.end
	problem := fmt.Sprintf("it begins at position %d, the log before it ends at %d", start, s.written.end)
	if follows {
		problem = checkFileHeader(data, s.partition, start)
	}
	if problem == "" {
		good = rc.frames(data)
		s.starts = append(s.starts, start)
		if good == len(data) && readable {
			return true, nil
		}
		problem = "no valid record begins there"
	}
	// Files before the last were synced when it was begun. In the last, only what was not synced can be torn, and
	// nothing valid follows that.
	if len(rest) == 1 && readable && follows && !findFrame(data[min(good+1, len(data)):]) {
		rc.note += fmt.Sprintf("; %s: cut a torn end of %d bytes at byte %d", name, len(data)-good, good)
		return false, rc.cut(ctx, rest, good)
	}
	return false, rc.quarantine(ctx, rest, good, problem)
}

// markEvery is how many bytes of a recovered log lie between two marks.
const markEvery = 64 << 10

// frames takes over the valid frames of a file and returns where they end.
func (rc *recovery) frames(data []byte) int {
	s := rc.store
	at := fileHeader
	for at < len(data) {
		f, need, ok := parseFrame(data[at:])
		if !ok {
			return at
		}
		if !rc.replay(&f) {
			return at
		}
		if n := len(s.marks); n == 0 || s.written.end-s.marks[n-1].position > markEvery || f.offset < s.written.next {
			s.mark(f.offset)
		}
		s.written.add(&f)
		at += need
	}
	return at
}

// cut shortens the first file of rest to its good bytes, or removes it if it has none, and removes the files after it.
// Only bytes that were never durable are cut.
func (rc *recovery) cut(ctx context.Context, rest []int64, good int) error {
	disk := rc.store.disk
	for _, start := range slices.Backward(rest[1:]) {
		if err := disk.Remove(ctx, fileName(start)); err != nil {
			return fmt.Errorf("%s: remove: %w", fileName(start), err)
		}
	}
	name := fileName(rest[0])
	if good < fileHeader {
		if err := disk.Remove(ctx, name); err != nil {
			return fmt.Errorf("%s: remove: %w", name, err)
		}
		return disk.SyncDir(ctx)
	}
	if err := truncate(ctx, disk, name, int64(good)); err != nil {
		return err
	}
	return disk.SyncDir(ctx)
}

// quarantine sets aside the first file of rest from its byte good on, and all files after it: damaged bytes were durable
// once, so they are kept for people to look at, but never served. What they held is read from Kafka again. It can be
// repeated if a crash interrupts it.
func (rc *recovery) quarantine(ctx context.Context, rest []int64, good int, problem string) error {
	disk := rc.store.disk
	name := fileName(rest[0])
	taken, err := disk.List(ctx)
	if err != nil {
		return fmt.Errorf("list the local log: %w", err)
	}
	aside := func(name string) string {
		for n := 1; ; n++ {
			if to := fmt.Sprintf("%s.%d%s", name, n, badSuffix); !slices.Contains(taken, to) {
				taken = append(taken, to)
				return to
			}
		}
	}
	for _, start := range slices.Backward(rest[1:]) {
		if err := disk.Rename(ctx, fileName(start), aside(fileName(start))); err != nil {
			return fmt.Errorf("%s: set aside: %w", fileName(start), err)
		}
	}
	to := aside(name)
	if good < fileHeader {
		if err := disk.Rename(ctx, name, to); err != nil {
			return fmt.Errorf("%s: set aside: %w", name, err)
		}
	} else {
		if err := copyTail(ctx, disk, name, to, int64(good)); err != nil {
			return err
		}
		if err := truncate(ctx, disk, name, int64(good)); err != nil {
			return err
		}
	}
	if err := disk.SyncDir(ctx); err != nil {
		return fmt.Errorf("%s: set aside: %w", name, err)
	}
	rc.store.announce(port.EventDiskCorrupt, fmt.Sprintf("%s, byte %d: damaged: %s; it and %d later files are set aside as %s, reading again from Kafka offset %d",
		name, good, problem, len(rest)-1, to, rc.store.written.next))
	rc.note += "; damaged files were set aside"
	return nil
}

// readAll reads a whole file. readable is false if the disk reported damage: data is then what comes before it.
func readAll(ctx context.Context, disk port.Disk, name string) (data []byte, readable bool, err error) {
	file, err := disk.Open(ctx, name)
	if err != nil {
		return nil, false, fmt.Errorf("%s: open: %w", name, err)
	}
	defer file.Close()
	size, err := file.Size(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("%s: size: %w", name, err)
	}
	data = make([]byte, size)
	for at := 0; at < len(data); {
		block := data[at:min(at+1<<20, len(data))]
		n, err := readFull(ctx, file, block, int64(at))
		if errors.Is(err, port.ErrCorrupt) {
			// Find where, by the page.
			for page := at; page < at+len(block); page += 4096 {
				if _, err := readFull(ctx, file, data[page:min(page+4096, len(data))], int64(page)); errors.Is(err, port.ErrCorrupt) {
					return data[:page], false, nil
				}
			}
			return data[:at], false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("%s: read at byte %d: %w", name, at+n, err)
		}
		at += len(block)
	}
	return data, true, nil
}

// readFull fills p. The end of the file before that is an error.
func readFull(ctx context.Context, file port.File, p []byte, off int64) (int, error) {
	n, err := file.ReadAt(ctx, p, off)
	if n == len(p) && errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && n < len(p) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func truncate(ctx context.Context, disk port.Disk, name string, size int64) error {
	file, err := disk.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("%s: open: %w", name, err)
	}
	defer file.Close()
	if err := file.Truncate(ctx, size); err != nil {
		return fmt.Errorf("%s: cut at byte %d: %w", name, size, err)
	}
	if err := file.Sync(ctx); err != nil {
		return fmt.Errorf("%s: sync: %w", name, err)
	}
	return nil
}

// copyTail copies a file from a byte on into another, which is durable when it returns. What cannot be read is left out.
func copyTail(ctx context.Context, disk port.Disk, from, to string, off int64) error {
	src, err := disk.Open(ctx, from)
	if err != nil {
		return fmt.Errorf("%s: open: %w", from, err)
	}
	defer src.Close()
	dst, err := disk.Create(ctx, to)
	if err != nil {
		return fmt.Errorf("%s: create: %w", to, err)
	}
	defer dst.Close()
	page := make([]byte, 4096)
	for {
		n, err := src.ReadAt(ctx, page, off)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, port.ErrCorrupt) {
			return fmt.Errorf("%s: read at byte %d: %w", from, off, err)
		}
		if errors.Is(err, port.ErrCorrupt) {
			n = len(page)
			clear(page)
		}
		if n > 0 {
			if err := dst.Append(ctx, page[:n]); err != nil {
				return fmt.Errorf("%s: append: %w", to, err)
			}
		}
		off += int64(n)
		if size, serr := src.Size(ctx); serr != nil || off >= size || n == 0 {
			break
		}
	}
	if err := dst.Sync(ctx); err != nil {
		return fmt.Errorf("%s: sync: %w", to, err)
	}
	return nil
}
