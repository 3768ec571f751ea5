package retriever

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// found notes that a local segment is damaged, tells, and has it repaired. It is not served from then on.
func (re *Retriever) found(key string, why error) {
	re.mu.Lock()
	// It may have been read while the local data was given up.
	known := slices.Contains(re.damaged, key) || re.st == nil || !slices.ContainsFunc(re.st.index.seals, func(s localSeal) bool { return s.Names(key) })
	if !known {
		re.damaged = append(re.damaged, key)
		slices.Sort(re.damaged)
	}
	re.mu.Unlock()
	if !known {
		re.announce(port.EventSegmentDamaged, why.Error())
		re.cache.drop(key)
		re.hurry()
	}
}

// isDamaged says whether a local segment is not to be served.
func (re *Retriever) isDamaged(key string) bool {
	re.mu.Lock()
	defer re.mu.Unlock()
	_, ok := slices.BinarySearch(re.damaged, key)
	return ok
}

// scrub reads back everything that is sealed here, once after each start: a machine that lost power may have lost more
// than it should, and nobody may read an old segment for long.
func (re *Retriever) scrub(ctx context.Context) {
	_, seals, release := re.pin()
	defer release()
	for i := range seals {
		for j := range seals[i].Segments {
			if _, err := re.readSegment(ctx, &seals[i], j); errors.Is(err, port.ErrCorrupt) {
				re.found(seals[i].Segments[j].Key, err)
			}
		}
	}
}

// repair has damaged segments again. What cannot be had yet stays damaged, and is tried again with the next snapshot.
func (re *Retriever) repair(ctx context.Context, st *state) {
	re.mu.Lock()
	damaged := slices.Clone(re.damaged)
	re.mu.Unlock()
	if len(damaged) == 0 {
		return
	}
	pinned, seals, release := re.pin()
	defer release()
	if pinned != st {
		return
	}
	for i := range seals {
		s := &seals[i]
		bad := slices.DeleteFunc(slices.Clone(damaged), func(key string) bool { return !s.Names(key) })
		if len(bad) == 0 {
			continue
		}
		damaged = slices.DeleteFunc(damaged, s.Names)
		if err := re.repairSeal(ctx, st, s, bad); err != nil && ctx.Err() == nil && !errors.Is(err, errReplaced) {
			re.announce(port.EventSnapshotFailed, fmt.Sprintf("repair of offsets %d to %d: %v", s.First, s.Next, err))
			re.lastResort(ctx, st, s)
		}
	}
	re.forgive(damaged) // not here any more
}

// lastResort gives up the local data for a seal that nobody else has, if all of it that is not in S3 can be read from
// Kafka again.
func (re *Retriever) lastResort(ctx context.Context, st *state, s *localSeal) {
	start, _, err := re.log.Admin().Offsets(ctx, re.place.Topic, re.place.Partition)
	re.mu.Lock()
	defer re.mu.Unlock()
	if err == nil && re.st == st && s.Next > re.known.Next && start <= re.known.Next {
		re.restart = fmt.Sprintf("the seal of offsets %d to %d is damaged and cannot be repaired: reading again from offset %d on", s.First, s.Next, re.known.Next)
	}
}

// forgive takes segments out of those that are damaged.
func (re *Retriever) forgive(keys []string) {
	re.mu.Lock()
	defer re.mu.Unlock()
	re.damaged = slices.DeleteFunc(re.damaged, func(key string) bool { return slices.Contains(keys, key) })
}

// repairSeal writes a seal's file anew, with bad segments from the peer, else S3, else made again from Kafka.
func (re *Retriever) repairSeal(ctx context.Context, st *state, s *localSeal, bad []string) error {
	var data []byte
	var sources []string
	for i := range s.Segments {
		info := &s.Segments[i]
		part, err := re.readSegment(ctx, s, i)
		if err != nil {
			if !errors.Is(err, port.ErrCorrupt) {
				return err
			}
			var from string
			if part, from, err = re.fetch(ctx, info.Key, whole(info)); err != nil {
				again, kafka := re.rebuild(ctx, s, info)
				if kafka != nil {
					return fmt.Errorf("segment %s is damaged: %w: from the peers and S3: %w; from Kafka: %w", info.Key, errDamaged, err, kafka)
				}
				part, from = again, "Kafka"
			}
			sources = append(sources, info.Key+", from "+from)
		}
		data = append(data, part...)
	}
	pack := freshName(s.pack)
	if err := writeFile(ctx, re.disk, pack, data); err != nil {
		return err
	}
	err := re.changeIndex(ctx, st, func(x *index) {
		for i := range x.seals {
			if x.seals[i].First == s.First {
				x.seals[i].pack = pack
			}
		}
	}, func() { st.gone = append(st.gone, s.pack) })
	if err != nil {
		return err
	}
	re.forgive(bad)
	re.mu.Lock()
	re.repaired += int64(len(sources))
	re.mu.Unlock()
	for _, what := range sources {
		re.announce(port.EventSegmentRepaired, what)
	}
	return nil
}

// freshName is a name for a seal's file beside the one that it has.
func freshName(pack string) string {
	if len(pack) > 0 && pack[0] == 'r' {
		return pack[1:]
	}
	return "r" + pack
}

// rebuild makes a segment again from Kafka. Which events are kept of the seal's records, its IDs say.
func (re *Retriever) rebuild(ctx context.Context, s *localSeal, info *segment.Info) ([]byte, error) {
	data, err := re.idsBytes(ctx, s)
	if err != nil {
		return nil, err
	}
	ids, err := decodeIDs(data)
	if err != nil {
		return nil, err
	}
	start, high, err := re.log.Admin().Offsets(ctx, re.place.Topic, re.place.Partition)
	if err != nil {
		return nil, err
	}
	if start > s.First || high < s.Next {
		return nil, fmt.Errorf("the log has offsets %d to %d, %d to %d are needed", start, high, s.First, s.Next)
	}
	reader, err := re.log.NewReader(port.DefaultReaderConfig(re.place.Node+"-repair"), re.place.Topic, re.place.Partition, s.First)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	limited, cancel := re.r.WithTimeout(ctx, blobTimeout)
	defer cancel()
	b := segment.NewBuilder(info.Partition, info.Dataset, info.Hour)
	var decoder event.Decoder
	for at := s.First; at < s.Next; at = reader.Offset() {
		batch, err := reader.Fetch(limited)
		if err != nil {
			return nil, err
		}
		for i := range batch.Records {
			rec := &batch.Records[i]
			c, err := decoder.Decode(rec.Value)
			if err != nil || rec.Offset >= s.Next {
				continue // it was set aside then too
			}
			for j := range c.Events {
				e := &c.Events[j]
				if len(ids) == 0 || e.ID != ids[0] {
					continue
				}
				ids = ids[1:]
				if c.Dataset.ID == info.Dataset && hourOf(e.Time) == info.Hour {
					b.Append(&segment.Row{Offset: rec.Offset, Index: int32(j), Event: *e})
				}
			}
		}
	}
	if b.Rows() == 0 {
		return nil, fmt.Errorf("the log has no rows of it: %w", port.ErrCorrupt)
	}
	made, _, err := b.Encode(s.First, s.Next, segment.Options{Compress: re.cfg.Compress})
	if err != nil {
		return nil, err
	}
	if !whole(info)(made) {
		return nil, fmt.Errorf("what was made has %d bytes with CRC32C %08x, expected %d with %08x", len(made), crc32.Checksum(made, castagnoli), info.Bytes, info.CRC)
	}
	return made, nil
}

// idsBytes is ownIDs, but asks the peers and S3 too.
func (re *Retriever) idsBytes(ctx context.Context, s *localSeal) ([]byte, error) {
	data, err := re.ownIDs(ctx, s)
	if err == nil {
		return data, nil
	}
	if data, _, err := re.fetch(ctx, s.IDs, s.areIDs); err == nil {
		return data, nil
	}
	return nil, err
}

// ownIDs reads the IDs of a local seal, as they are stored: from their file while they are remembered, else made from its
// rows. It asks nobody, so it can serve who asks.
func (re *Retriever) ownIDs(ctx context.Context, s *localSeal) ([]byte, error) {
	data, _, err := readAll(ctx, re.disk, rangeName(s.First, s.Next, idsSuffix))
	if err == nil && s.areIDs(data) {
		return data, nil
	}
	rows, err := re.rowsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	ids := make([]event.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Event.ID
	}
	return encodeIDs(ids), nil
}

// areIDs says whether bytes can be those of the seal's IDs.
func (s *localSeal) areIDs(data []byte) bool {
	ids, err := decodeIDs(data)
	return err == nil && int64(len(ids)) == s.Rows()
}
