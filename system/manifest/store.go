package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/wire"
)

// Loaded is a manifest and the ETag to replace it by.
type Loaded struct {
	Manifest
	ETag string // empty: there is none yet

	sum uint32 // of the encoding
}

// Store reads and writes the manifests of one deployment.
type Store struct{ blobs port.Blobs }

// NewStore makes a store.
func NewStore(blobs port.Blobs) *Store { return &Store{blobs} }

// Load reads a partition's manifest. Without one, it is empty with generation 0. Errors: port.ErrCorrupt names the object
// whose bytes do not match their checksum, and comes with the ETag by which it can be replaced; else the object store's.
func (s *Store) Load(ctx context.Context, partition int32) (Loaded, error) {
	data, info, err := s.blobs.Get(ctx, Key(partition))
	return s.loaded(partition, data, info, err)
}

// Refresh is [Store.Load] for who has loaded or written the manifest before: one that is still the same is not decoded again,
// so what is returned may have memory in common with known.
func (s *Store) Refresh(ctx context.Context, known Loaded) (Loaded, error) {
	data, info, err := s.blobs.Get(ctx, Key(known.Partition))
	if err == nil && info.ETag == known.ETag && wire.Intact(data) && wire.Sum(data) == known.sum {
		return known, nil
	}
	return s.loaded(known.Partition, data, info, err)
}

func (s *Store) loaded(partition int32, data []byte, info port.BlobInfo, err error) (Loaded, error) {
	switch {
	case errors.Is(err, port.ErrNoBlob):
		return Loaded{Manifest: Manifest{Partition: partition}}, nil
	case err != nil:
		return Loaded{}, fmt.Errorf("manifest: read %s: %w", Key(partition), err)
	}
	m, err := Decode(data)
	if err == nil && m.Partition != partition {
		err = fmt.Errorf("%w: it is of partition %d", port.ErrCorrupt, m.Partition)
	}
	if err != nil {
		return Loaded{Manifest: Manifest{Partition: partition}, ETag: info.ETag}, fmt.Errorf("manifest: object %s: %w", Key(partition), err)
	}
	return Loaded{Manifest: m, ETag: info.ETag, sum: wire.Sum(data)}, nil
}

// Write makes next the manifest of its partition, if the one there is still over. Its generation is set to the one after.
// Errors: port.ErrPrecondition means that somebody else was first, so nothing was written and the present one is to be
// loaded. An unknown outcome is resolved by reading again; it is returned only if the write has not been seen and may yet
// take effect, or nothing could be read. It is safe to write again then: only one of both writes over the same manifest
// can succeed.
func (s *Store) Write(ctx context.Context, next Manifest, over Loaded) (Loaded, error) {
	next.Generation = over.Generation + 1
	if err := next.check(); err != nil {
		return Loaded{}, fmt.Errorf("manifest: not written: %w: %w", port.ErrRefused, err)
	}
	cond := port.Condition{IfMatch: over.ETag}
	if over.ETag == "" {
		cond = port.Condition{IfAbsent: true}
	}
	data := next.Encode()
	if len(data) > MaxBytes {
		return Loaded{}, fmt.Errorf("manifest: not written: %w: it would have %d bytes, and one of more than %d is not read: give retention, or seal less often", port.ErrRefused, len(data), MaxBytes)
	}
	written := func(info port.BlobInfo) Loaded {
		return Loaded{Manifest: next, ETag: info.ETag, sum: wire.Sum(data)}
	}
	key := Key(next.Partition)
	info, err := s.blobs.Put(ctx, key, data, cond)
	switch {
	case err == nil:
		return written(info), nil
	case errors.Is(err, port.ErrPrecondition):
		// A client that repeats a put by itself may have been beaten by its own first attempt.
		present, info, again := s.blobs.Get(ctx, key)
		if again == nil && bytes.Equal(present, data) {
			return written(info), nil
		}
		return Loaded{}, fmt.Errorf("manifest: write %s: %w", key, err)
	case errors.Is(err, port.ErrRefused):
		return Loaded{}, fmt.Errorf("manifest: write %s: %w", key, err)
	}
	present, info, again := s.blobs.Get(ctx, key)
	switch {
	case again == nil && bytes.Equal(present, data):
		return written(info), nil
	case again == nil && info.ETag != over.ETag:
		return Loaded{}, fmt.Errorf("manifest: write %s: another was there first: %w", key, port.ErrPrecondition)
	}
	return Loaded{}, fmt.Errorf("manifest: write %s: %w", key, err)
}
