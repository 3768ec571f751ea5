package retriever

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// keepAside is how many files of records that could not be decoded are kept, the latest.
const keepAside = 16

// positionFile is where the bug AutoCommitEarly keeps its position.
const positionFile = "position"

// open opens what is on the local disk, or begins from the snapshot if that is nothing. limit is as for openStore.
func (re *Retriever) open(ctx context.Context, limit int64) (*state, error) {
	if err := re.indexing.Lock(ctx); err != nil {
		return nil, err
	}
	defer re.indexing.Unlock()
	re.mu.Lock()
	re.st = nil // nothing is served meanwhile
	re.mu.Unlock()
	st, fresh, err := re.openSealed(ctx)
	if err != nil {
		return nil, err
	}
	st.store, err = openStore(ctx, re.r, re.disk, re.place.Partition, limit, st.index.base, func(f *frame) bool { return re.replay(st, f) }, re.announce)
	if err != nil {
		return nil, err
	}
	if err := re.plantedStart(ctx, st, fresh); err != nil {
		return nil, err
	}
	re.mu.Lock()
	re.st, re.next, re.pages, re.restart, re.freshAt = st, st.store.durable.next, nil, "", time.Time{}
	re.freshTo, re.highest, re.arrived = time.Time{}, 0, re.r.Now()
	re.mu.Unlock()
	return st, nil
}

// openSealed opens what is sealed, or begins from the snapshot if there is nothing; fresh says so.
func (re *Retriever) openSealed(ctx context.Context) (st *state, fresh bool, err error) {
	for tries := 1; ; tries++ {
		x, err := re.readIndex(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("retriever: open the local data: %w", err)
		}
		fresh = x == nil
		if fresh {
			if x, err = re.bootstrap(ctx); err != nil {
				return nil, false, fmt.Errorf("retriever: begin from the snapshot: %w", err)
			}
		}
		if err := re.tidy(ctx, x); err != nil {
			return nil, false, fmt.Errorf("retriever: remove what the index does not name: %w", err)
		}
		st := &state{seen: newWindow(re.cfg.DedupWindow), index: x, pins: map[string]int{}}
		st.part = newPart(re.place.Partition, x.base.next, bucketAt(x.sealedAt, re.cfg.SealEvery))
		if re.bugs.Has(planted.NoDedup) {
			return st, fresh, nil
		}
		if err = re.remember(ctx, st); err == nil {
			return st, fresh, nil
		}
		if tries >= fetchTries {
			// Without them, what is kept would not be a function of the log any more.
			re.announce(port.EventDiskCorrupt, fmt.Sprintf("the IDs of the latest seals cannot be had, so the local data is given up: %v", err))
			if err := re.discard(ctx); err != nil {
				return nil, false, err
			}
		}
		if err := re.r.Sleep(ctx, loadPauseMax); err != nil {
			return nil, false, err
		}
	}
}

// readIndex reads the index; nil if there is none that can be used. A damaged one is set aside: what it named is had again.
func (re *Retriever) readIndex(ctx context.Context) (*index, error) {
	data, readable, err := readAll(ctx, re.disk, indexFile)
	if errors.Is(err, port.ErrNotExist) {
		return nil, nil //nolint:nilnil // that there is none is not an error
	}
	if err != nil {
		return nil, err
	}
	x, err := decodeIndex(data, re.place.Partition)
	if err == nil && readable {
		return x, nil
	}
	if err == nil {
		err = port.ErrCorrupt
	}
	re.announce(port.EventDiskCorrupt, fmt.Sprintf("the index of the local data is damaged and set aside: %v; beginning from the snapshot", err))
	if err := re.disk.Rename(ctx, indexFile, indexFile+badSuffix); err != nil {
		return nil, err
	}
	return nil, re.disk.SyncDir(ctx)
}

// tidy removes files that the index does not name: of a seal or a change that was interrupted, or of data given up.
func (re *Retriever) tidy(ctx context.Context, x *index) error {
	names, err := re.disk.List(ctx)
	if err != nil {
		return err
	}
	known := x.files()
	aside := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasSuffix(name, asideSuffix) })
	known = append(known, aside[max(len(aside)-keepAside, 0):]...)
	for _, name := range names {
		ours := strings.HasSuffix(name, asideSuffix) || strings.HasSuffix(name, packSuffix) || strings.HasSuffix(name, idsSuffix) || strings.HasSuffix(name, tempSuffix)
		if !ours || slices.Contains(known, name) {
			continue
		}
		if err := re.disk.Remove(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// replay takes over a frame of the local log.
func (re *Retriever) replay(st *state, f *frame) bool {
	if !f.holds() {
		aside := *f
		aside.payload = slices.Clone(f.payload)
		re.stage(st, &aside, event.Chunk{}, nil)
		return true
	}
	chunk, places, ok := f.chunk(re.places[:0])
	if !ok {
		return false
	}
	c, err := re.decoder.Decode(chunk)
	if err != nil || len(c.Events) != f.events {
		return false
	}
	for i := range c.Events {
		if !re.bugs.Has(planted.NoDedup) {
			st.seen.add(c.Events[i].ID)
		}
	}
	if f.kind == frameEvents {
		places = nil
	}
	re.stage(st, f, c, places)
	return true
}

// remember fills the window with the IDs of the latest seals.
func (re *Retriever) remember(ctx context.Context, st *state) error {
	for i := range st.index.window {
		f := &st.index.window[i]
		if f.name == "" {
			continue
		}
		ids, err := re.idsOf(ctx, st, f)
		if err != nil {
			return err
		}
		for _, id := range ids {
			st.seen.add(id)
		}
	}
	return nil
}

// idsOf reads the IDs of a seal: from their file, else from the rows of its segments, else from elsewhere.
func (re *Retriever) idsOf(ctx context.Context, st *state, f *idsFile) ([]event.ID, error) {
	data, readable, err := readAll(ctx, re.disk, f.name)
	if err != nil && !errors.Is(err, port.ErrNotExist) {
		return nil, err
	}
	if err == nil && readable {
		if ids, err := decodeIDs(data); err == nil && int64(len(ids)) == f.count {
			return ids, nil
		}
	}
	re.announce(port.EventSegmentDamaged, fmt.Sprintf("%s: the IDs in %s are damaged or gone", f.key, f.name))
	from := "its own segments"
	data, err = re.idsFromSegments(ctx, st, f)
	if err != nil {
		data, from, err = re.fetch(ctx, f.key, func(data []byte) bool {
			ids, err := decodeIDs(data)
			return err == nil && int64(len(ids)) == f.count
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	ids, err := decodeIDs(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	if err := writeFile(ctx, re.disk, f.name, data); err != nil {
		return nil, err
	}
	if err := re.disk.SyncDir(ctx); err != nil {
		return nil, fmt.Errorf("%s: sync its directory: %w", f.name, err)
	}
	re.mended(f.key, from)
	return ids, nil
}

// idsFromSegments makes the IDs of a seal from its rows: they arrived in the order of their offsets.
func (re *Retriever) idsFromSegments(ctx context.Context, st *state, f *idsFile) ([]byte, error) {
	for i := range st.index.seals {
		s := &st.index.seals[i]
		if s.IDs != f.key {
			continue
		}
		rows, err := re.rowsOf(ctx, s)
		if err != nil {
			return nil, err
		}
		ids := make([]event.ID, len(rows))
		for j := range rows {
			ids[j] = rows[j].Event.ID
		}
		return encodeIDs(ids), nil
	}
	return nil, fmt.Errorf("%s: %w: its segments are not here", f.key, port.ErrCorrupt)
}

// giveUp makes the local data void, so that the next opening begins from the snapshot.
func (re *Retriever) giveUp(ctx context.Context, why string) error {
	if err := re.indexing.Lock(ctx); err != nil {
		return err
	}
	defer re.indexing.Unlock()
	re.mu.Lock()
	re.st = nil
	re.mu.Unlock()
	if err := re.discard(ctx); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errStartOver, why)
}

// discard removes the index, and then the log that belongs to it.
func (re *Retriever) discard(ctx context.Context) error {
	if err := re.disk.Remove(ctx, indexFile); err != nil && !errors.Is(err, port.ErrNotExist) {
		return fmt.Errorf("%s: remove: %w", indexFile, err)
	}
	// It goes first, and durably: without it, nothing else counts.
	if err := re.disk.SyncDir(ctx); err != nil {
		return fmt.Errorf("%s: remove: %w", indexFile, err)
	}
	names, err := re.disk.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := parseFileName(name); !ok {
			continue
		}
		if err := re.disk.Remove(ctx, name); err != nil {
			return fmt.Errorf("%s: remove: %w", name, err)
		}
	}
	return nil
}

// bootstrap begins from the snapshot in S3, with no need of a living peer: the latest seals' IDs are fetched, and what
// follows the manifest is read from Kafka. Without a manifest that is the whole log. It waits for S3 as long as it takes.
func (re *Retriever) bootstrap(ctx context.Context) (*index, error) {
	if err := re.setLogAside(ctx); err != nil {
		return nil, err
	}
	loaded, err := re.loadManifest(ctx)
	if err != nil {
		return nil, err
	}
	x := &index{sealedAt: loaded.SealedAt, base: tally{next: loaded.Next}}
	seals := loaded.Seals[max(len(loaded.Seals)-dedupSeals, 0):]
	for i := range seals {
		f := idsFile{}
		if key := seals[i].IDs; key != "" && !re.bugs.Has(planted.NoDedup) {
			ids, err := re.fetchIDs(ctx, &seals[i])
			if err != nil {
				return nil, err
			}
			if len(ids) > 0 {
				f = idsFile{name: rangeName(seals[i].First, seals[i].Next, idsSuffix), key: key, count: int64(len(ids))}
				if err := writeFile(ctx, re.disk, f.name, encodeIDs(ids)); err != nil {
					return nil, err
				}
			}
		}
		x.window = append(x.window, f)
	}
	if err := writeIndex(ctx, re.disk, re.place.Partition, x); err != nil {
		return nil, err
	}
	re.announce(port.EventBootstrapped, fmt.Sprintf("from generation %d of the manifest, at Kafka offset %d", loaded.Generation, loaded.Next))
	return x, nil
}

// setLogAside keeps a local log that no index belongs to for people to look at. It is never read.
func (re *Retriever) setLogAside(ctx context.Context) error {
	names, err := re.disk.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := parseFileName(name); !ok {
			continue
		}
		re.announce(port.EventDiskCorrupt, name+": there is no index that it belongs to; it is set aside")
		if err := re.disk.Rename(ctx, name, name+badSuffix); err != nil {
			return fmt.Errorf("%s: set aside: %w", name, err)
		}
	}
	return nil
}

// plantedStart is where the bugs that begin in the wrong place live.
func (re *Retriever) plantedStart(ctx context.Context, st *state, fresh bool) error {
	to := int64(-1)
	switch {
	case re.bugs.Has(planted.NoDedup) && !fresh:
		loaded, err := re.loadManifest(ctx)
		if err != nil {
			return err
		}
		to = min(loaded.Next, st.store.staged.next)
	case re.bugs.Has(planted.BootstrapFromPeer) && fresh:
		if re.peerAnswers(ctx) {
			return nil
		}
		for {
			_, high, err := re.log.Admin().Offsets(ctx, re.place.Topic, re.place.Partition)
			if err == nil {
				to = high
				break
			}
			if err := re.r.Sleep(ctx, fetchPause); err != nil {
				return err
			}
		}
	case re.bugs.Has(planted.AutoCommitEarly):
		data, _, err := readAll(ctx, re.disk, positionFile)
		if err == nil && len(data) == 8 {
			to = max(int64(binary.LittleEndian.Uint64(data)), st.store.staged.next)
		}
	}
	if to >= 0 && to != st.store.staged.next {
		st.store.rewind(to)
		st.part.next = to
	}
	return nil
}

// commitEarly is the bug AutoCommitEarly: the position is durable before anything is done with what was fetched.
func (re *Retriever) commitEarly(ctx context.Context, next int64) error {
	if err := writeFile(ctx, re.disk, positionFile, binary.LittleEndian.AppendUint64(nil, uint64(next))); err != nil {
		return err
	}
	return re.disk.SyncDir(ctx)
}
