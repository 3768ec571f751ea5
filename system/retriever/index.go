package retriever

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/wire"
)

// The index says what of the local disk belongs together: the seals and the files they are in, the IDs that are
// remembered, and where the log of what is not sealed begins. It is replaced as a whole, so a seal is there or is not.
//
// Its encoding, version 1: "RIX1"; numbers as varints; the seals as a manifest; at last the CRC32C of all of it.
const (
	indexMagic = "RIX1"
	indexFile  = "index"
	tempSuffix = ".tmp"
	indexTemp  = indexFile + tempSuffix
)

// index is the decoded index.
type index struct {
	wal      int64 // position at which the log of what is not sealed begins
	sealedAt int64 // the log's time there; 0: unknown
	base     tally // what came before, its end and held left out
	seals    []localSeal
	window   []idsFile // of the latest seals, also of those that are not here any more
}

// localSeal is a seal whose segments are in a local file, one after another.
type localSeal struct {
	manifest.Seal
	pack     string
	datasets []event.Dataset
}

// idsFile is the file with the IDs of a seal.
type idsFile struct {
	name  string // empty: there were none
	key   string // of the object
	count int64
}

// indexSeal is about how many bytes a seal takes in the index, beside those in the manifest.
const indexSeal = 128

func (x *index) encode(partition int32) []byte {
	m := manifest.Manifest{Partition: partition, Seals: make([]manifest.Seal, len(x.seals))}
	for i := range x.seals {
		m.Seals[i], m.Next = x.seals[i].Seal, x.seals[i].Next
	}
	b := append(make([]byte, 0, 1024+indexSeal*len(x.seals)+m.Room()), indexMagic...)
	number := func(values ...int64) {
		for _, v := range values {
			b = binary.AppendVarint(b, v)
		}
	}
	text := func(s string) { b = wire.AppendBytes(b, s) }
	number(x.wal, x.sealedAt, x.base.next, x.base.duplicates, x.base.corrupt, x.base.missed, int64(len(x.window)))
	for _, f := range x.window {
		text(f.name)
		text(f.key)
		number(f.count)
	}
	number(int64(len(x.seals)))
	for _, s := range x.seals {
		text(s.pack)
		number(int64(len(s.datasets)))
		for _, d := range s.datasets {
			number(d.ID)
			text(d.Name)
		}
	}
	return wire.AppendSum(m.AppendEncoded(b), 0)
}

// decodeIndex reads what encode writes. Memory is bounded by a multiple of len(data).
func decodeIndex(data []byte, partition int32) (*index, error) {
	bad := func(why string) (*index, error) {
		return nil, fmt.Errorf("%s: %w: %s", indexFile, port.ErrCorrupt, why)
	}
	r, err := wire.Open(data, indexMagic)
	if err != nil {
		return bad(err.Error())
	}
	x := &index{wal: r.Int(), sealedAt: r.Int(), base: tally{next: r.Int(), duplicates: r.Int(), corrupt: r.Int(), missed: r.Int()}}
	for range r.Count(3) {
		f := idsFile{name: string(r.Sized()), key: string(r.Sized()), count: r.Int()}
		if f.count < 0 {
			r.Fail("a file of %d IDs", f.count)
		}
		x.window = append(x.window, f)
	}
	for range r.Count(2) {
		s := localSeal{pack: string(r.Sized())}
		for range r.Count(2) {
			s.datasets = append(s.datasets, event.Dataset{ID: r.Int(), Name: string(r.Sized())})
		}
		x.seals = append(x.seals, s)
	}
	rest := r.Bytes(uint64(r.Left()))
	if err := r.Err(); err != nil {
		return bad(err.Error())
	}
	if x.wal < 0 || x.base.next < 0 {
		return bad(fmt.Sprintf("the log at byte %d, offset %d", x.wal, x.base.next))
	}
	m, err := manifest.Decode(rest)
	if err != nil {
		return bad(err.Error())
	}
	if m.Partition != partition || len(m.Seals) != len(x.seals) || len(m.Seals) > 0 && m.Next != x.base.next {
		return bad(fmt.Sprintf("it is of partition %d with %d seals up to offset %d, expected %d with %d up to %d", m.Partition, len(m.Seals), m.Next, partition, len(x.seals), x.base.next))
	}
	for i := range x.seals {
		x.seals[i].Seal = m.Seals[i]
	}
	x.base.end = x.wal
	return x, nil
}

// files are the names of all files that the index refers to.
func (x *index) files() []string {
	var names []string
	for _, s := range x.seals {
		names = append(names, s.pack)
	}
	for _, f := range x.window {
		names = append(names, f.name)
	}
	return names
}

// clone copies an index as far as its changes reach.
func (x *index) clone() *index {
	c := *x
	c.seals, c.window = slices.Clone(x.seals), slices.Clone(x.window)
	return &c
}

// writeIndex replaces the index on the disk.
func writeIndex(ctx context.Context, disk port.Disk, partition int32, x *index) error {
	if err := writeFile(ctx, disk, indexTemp, x.encode(partition)); err != nil {
		return err
	}
	if err := disk.Rename(ctx, indexTemp, indexFile); err != nil {
		return fmt.Errorf("%s: rename: %w", indexTemp, err)
	}
	if err := disk.SyncDir(ctx); err != nil {
		return fmt.Errorf("%s: sync its directory: %w", indexFile, err)
	}
	return nil
}

// writeFile makes a file with the given content. Its name is durable after SyncDir.
func writeFile(ctx context.Context, disk port.Disk, name string, data []byte) error {
	file, err := disk.Create(ctx, name)
	if err != nil {
		return fmt.Errorf("%s: create: %w", name, err)
	}
	defer file.Close()
	if len(data) > 0 {
		if err := file.Append(ctx, data); err != nil {
			if errors.Is(err, port.ErrDiskFull) { // a part of it would hold the space that letting others go needs
				err = errors.Join(err, disk.Remove(context.WithoutCancel(ctx), name))
			}
			return fmt.Errorf("%s: append %d bytes: %w", name, len(data), err)
		}
	}
	if err := file.Sync(ctx); err != nil {
		return fmt.Errorf("%s: sync: %w", name, err)
	}
	return nil
}
