package retriever

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// dedupSeals is how many seals' IDs are remembered beside those of what is not sealed yet, DedupWindow of them at most,
// the latest. So duplicates are found that come up to dedupSeals times SealEvery of the log's time later.
const dedupSeals = 6

// keptSeal is how large the memory may be that one seal's segments are written into, to be used again for the next.
const keptSeal = 1 << 20

// Suffixes of local files beside the log's.
const (
	packSuffix  = ".pack"
	idsSuffix   = ".ids"
	asideSuffix = ".aside"
)

func rangeName(first, next int64, suffix string) string {
	return fmt.Sprintf("%020d-%020d%s", first, next, suffix)
}

// segmentKey names a segment in the object store and here.
func (re *Retriever) segmentKey(i segment.Info) string {
	if re.bugs.Has(planted.TwoSnapshotWriters) {
		return fmt.Sprintf("%s%d-%d/%d-%d.parquet", manifest.Folder(i.Partition), i.First, i.Next, i.Dataset, i.Hour)
	}
	return manifest.SegmentKey(i)
}

// seal makes segments of everything that was read so far, up to offset next. The part that follows begins at a bucket of
// the log's time. A crash in between leaves all of it in the log, to be sealed again just so.
func (re *Retriever) seal(ctx context.Context, st *state, next, bucket int64) error {
	s, p := st.store, st.part
	began := re.r.Now()
	if err := s.flush(ctx); err != nil {
		return err
	}
	if err := s.untilSpace(ctx, s.roll); err != nil {
		return err
	}
	infos, data, err := p.encode(re.sealed[:0], next, segment.Options{Compress: re.cfg.Compress}, re.segmentKey)
	if err != nil {
		return err
	}
	if cap(data) <= keptSeal {
		re.sealed = data
	}
	seal := localSeal{datasets: slices.Clone(p.datasets), Seal: manifest.Seal{
		First: p.first, Next: next, At: sealedAt(bucket, re.cfg.SealEvery), Segments: infos, Records: p.records, Missed: p.missed,
	}}
	if len(infos) > 0 {
		seal.pack = rangeName(p.first, next, packSuffix)
	}
	window := idsFile{count: int64(len(p.ids))}
	ids := encodeIDs(p.ids)
	if len(p.ids) > 0 {
		window.name = rangeName(p.first, next, idsSuffix)
		window.key = manifest.IDsKey(re.place.Partition, p.first, next, crc32.Checksum(ids, castagnoli))
		seal.IDs = window.key
	}
	err = s.untilSpace(ctx, func(ctx context.Context) error {
		if len(p.aside) > 0 {
			if err := writeFile(ctx, re.disk, rangeName(p.first, next, asideSuffix), asideBytes(p.aside)); err != nil {
				return err
			}
		}
		if seal.pack != "" {
			if err := writeFile(ctx, re.disk, seal.pack, data); err != nil {
				return err
			}
		}
		if window.name != "" {
			return writeFile(ctx, re.disk, window.name, ids)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var gone []string
	err = s.untilSpace(ctx, func(ctx context.Context) error {
		return re.changeIndex(ctx, st, func(x *index) {
			gone = gone[:0]
			x.wal, x.sealedAt, x.base = s.staged.end, seal.At, s.staged
			x.base.next, x.base.held = next, 0
			x.seals = append(x.seals, seal)
			x.window = append(x.window, window)
			for len(x.window) > dedupSeals {
				if x.window[0].name != "" {
					gone = append(gone, x.window[0].name)
				}
				x.window = x.window[1:]
			}
		}, func() {
			st.part = p.following(next, bucket)
			gone = append(gone, s.sealed()...)
			st.gone = append(st.gone, gone...)
		})
	})
	if err != nil {
		return err
	}
	remembered := int64(0)
	for _, f := range st.index.window {
		remembered += f.count
	}
	st.seen.trim(int(min(remembered, int64(re.cfg.DedupWindow))))
	re.announce(port.EventSegmentSealed, fmt.Sprintf("offsets %d to %d: %d rows in %d segments, %d bytes", seal.First, seal.Next, seal.Rows(), len(infos), len(data)))
	if re.telemetry.On() {
		re.telemetry.Record(telemetry.KindSeal, 1,
			telemetry.Int("partition", int64(re.place.Partition)), telemetry.Int("offset.first", seal.First), telemetry.Int("offset.next", seal.Next), telemetry.Int("events", seal.Rows()),
			telemetry.Int("segments", int64(len(infos))), telemetry.Int("bytes", int64(len(data))), telemetry.Millis("duration_ms", re.r.Now().Sub(began)))
	}
	return re.sweep(ctx, st)
}

func asideBytes(frames []frame) []byte {
	var b []byte
	for i := range frames {
		b = appendFrame(b, &frames[i])
	}
	return b
}

var errReplaced = errors.New("the local data was opened anew")

// changeIndex replaces the index on the disk by a changed copy, and then what is known of it here, together with what
// publish does.
func (re *Retriever) changeIndex(ctx context.Context, st *state, change func(x *index), publish func()) error {
	if err := re.indexing.Lock(ctx); err != nil {
		return err
	}
	defer re.indexing.Unlock()
	if re.present() != st {
		return errReplaced
	}
	x := st.index.clone()
	change(x)
	if err := writeIndex(ctx, re.disk, re.place.Partition, x); err != nil {
		return err
	}
	re.mu.Lock()
	defer re.mu.Unlock()
	st.index = x
	publish()
	return nil
}

// sweep removes files that the index does not name any more and that nobody reads.
func (re *Retriever) sweep(ctx context.Context, st *state) error {
	re.mu.Lock()
	var remove, keep []string
	for _, name := range st.gone {
		if st.pins[name] > 0 {
			keep = append(keep, name)
		} else {
			remove = append(remove, name)
		}
	}
	st.gone = keep
	re.mu.Unlock()
	for _, name := range remove {
		if err := re.disk.Remove(ctx, name); err != nil && !errors.Is(err, port.ErrNotExist) {
			return fmt.Errorf("%s: remove: %w", name, err)
		}
	}
	return nil
}

// pin returns the present seals, whose files stay until the release is called.
func (re *Retriever) pin() (st *state, seals []localSeal, release func()) {
	re.mu.Lock()
	defer re.mu.Unlock()
	return re.pinLocked()
}

// pinOpen is pin, and says at which offset the open part began then: see unsealed.
func (re *Retriever) pinOpen() (st *state, seals []localSeal, open int64, release func()) {
	re.mu.Lock()
	defer re.mu.Unlock()
	st, seals, release = re.pinLocked()
	if st != nil {
		open = st.part.first
	}
	return st, seals, open, release
}

func (re *Retriever) pinLocked() (st *state, seals []localSeal, release func()) {
	st = re.st
	if st == nil {
		return nil, nil, func() {}
	}
	seals = st.index.seals
	for i := range seals {
		st.pins[seals[i].pack]++
	}
	return st, seals, func() {
		re.mu.Lock()
		defer re.mu.Unlock()
		for i := range seals {
			if st.pins[seals[i].pack]--; st.pins[seals[i].pack] == 0 {
				delete(st.pins, seals[i].pack)
			}
		}
	}
}

// readSegment reads the i-th segment of a local seal and verifies its checksum. Errors that match port.ErrCorrupt name
// its key: it is damaged, cut off or gone.
func (re *Retriever) readSegment(ctx context.Context, s *localSeal, i int) ([]byte, error) {
	return re.readSegmentInto(ctx, nil, s, i)
}

// readSegmentInto is readSegment into the memory of data, if that is large enough.
func (re *Retriever) readSegmentInto(ctx context.Context, data []byte, s *localSeal, i int) ([]byte, error) {
	info := &s.Segments[i]
	off := int64(0)
	for j := range i {
		off += s.Segments[j].Bytes
	}
	data, err := readRange(ctx, re.disk, data, s.pack, off, info.Bytes)
	if err == nil && crc32.Checksum(data, castagnoli) != info.CRC {
		err = fmt.Errorf("%s, byte %d: %w", s.pack, off, port.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", info.Key, err)
	}
	return data, nil
}

// readRange reads a part of a file, into the memory of data if that is large enough. A file that is gone or too short is
// damaged.
func readRange(ctx context.Context, disk port.Disk, data []byte, name string, off, length int64) ([]byte, error) {
	file, err := disk.Open(ctx, name)
	if errors.Is(err, port.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: the file is gone", name, port.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: open: %w", name, err)
	}
	defer file.Close()
	size, err := file.Size(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: size: %w", name, err)
	}
	if size < off+length {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, %d are expected", name, port.ErrCorrupt, size, off+length)
	}
	if data = data[:0]; int64(cap(data)) < length {
		data = make([]byte, length)
	}
	data = data[:length]
	if _, err := readFull(ctx, file, data, off); err != nil {
		return nil, fmt.Errorf("%s: read %d bytes at byte %d: %w", name, length, off, err)
	}
	return data, nil
}
