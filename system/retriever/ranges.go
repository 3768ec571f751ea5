package retriever

import (
	"context"
	"encoding/binary"
	"errors"
	stdhash "hash"
	"hash/crc32"
	"hash/fnv"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
)

// Ranges implements [Holder]. A range of which something is damaged is left out, and repaired.
func (re *Retriever) Ranges(ctx context.Context) ([]Range, error) {
	var err error
	for range readAgain {
		var ranges []Range
		if ranges, err = re.ranges(ctx); err == nil || !errors.Is(err, port.ErrNotExist) {
			return ranges, err
		}
	}
	return nil, err
}

func (re *Retriever) ranges(ctx context.Context) ([]Range, error) {
	st, seals, open, release := re.pinOpen()
	defer release()
	if st == nil {
		return nil, nil
	}
	var ranges []Range
	var data []byte // of one segment after the other
	for i := range seals {
		s := &seals[i]
		sound := true
		for j := range s.Segments {
			read, err := re.readSegmentInto(ctx, data, s, j)
			switch {
			case errors.Is(err, port.ErrCorrupt):
				re.found(s.Segments[j].Key, err)
				sound = false
				continue
			case err != nil:
				return nil, err
			}
			data = read
		}
		if sound { // every segment's bytes have the length and the checksum that its Info says
			ranges = append(ranges, SealRange(&s.Seal))
		}
	}
	// What is not sealed: its rows, as they are in the log.
	position, durable := st.store.find(0)
	rest := Range{First: open, Next: durable.next}
	sum := newSum64()
	for position < durable.end {
		start, fileEnd := st.store.fileAt(position)
		var err error
		position, err = readFrames(ctx, re.disk, start, position, min(fileEnd, durable.end), false, func(f *frame) (bool, error) {
			if f.holds() {
				chunk, _, ok := f.chunk(nil)
				if !ok {
					return false, port.ErrCorrupt
				}
				rest.Rows += int64(f.events)
				sum.add(f.offset, int64(crc32.Checksum(chunk, castagnoli)), int64(len(chunk)))
			}
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	if err := re.unsealed(st, open); err != nil {
		return nil, err
	}
	rest.Sum = sum.sum()
	if rest.Next > rest.First {
		ranges = append(ranges, rest)
	}
	return ranges, nil
}

// SealRange is the range of a seal whose segments were read whole: each has the size and the CRC32C that its Info says.
func SealRange(s *manifest.Seal) Range {
	sum := newSum64()
	for i := range s.Segments {
		info := &s.Segments[i]
		sum.add(info.Dataset, info.Hour, int64(info.CRC), info.Bytes)
	}
	return Range{First: s.First, Next: s.Next, Rows: s.Rows(), Sum: sum.sum()}
}

// sum64 sums up numbers in order: FNV-1a of their bytes, little endian.
type sum64 struct {
	h stdhash.Hash64
	b []byte // of the numbers that are added
}

func newSum64() sum64 { return sum64{h: fnv.New64a()} }

func (s *sum64) add(values ...int64) {
	s.b = s.b[:0]
	for _, v := range values {
		s.b = binary.LittleEndian.AppendUint64(s.b, uint64(v))
	}
	s.h.Write(s.b)
}

func (s *sum64) sum() uint64 { return s.h.Sum64() }
