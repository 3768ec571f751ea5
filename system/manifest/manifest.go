// Package manifest is the index of one partition's data in the object store: which segments there are, and up to which
// Kafka offset they are complete. A snapshot becomes visible by writing the next manifest, last and conditionally.
package manifest

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// Manifest is what the object store holds of one partition.
type Manifest struct {
	Partition  int32
	Generation int64 // counts up with each write
	Next       int64 // every record below this offset is in Segments, or was empty, dropped as a duplicate, or expired
	// SealedAt is the log's time (Unix nanoseconds) at which the last seal was made: where to go on sealing.
	SealedAt int64
	Writer   string // the node that wrote it
	Seals    []Seal // in order of offsets, without gaps
}

// Seal is one range of offsets that became segments together.
type Seal struct {
	First, Next int64
	Segments    []segment.Info // by dataset, then hour
	// IDs is the object with the event IDs of this range, for deduplication after a bootstrap; empty if there were none.
	IDs string
}

// Loaded is a manifest and the ETag to replace it by.
type Loaded struct {
	Manifest
	ETag string // empty: there is none yet
}

// Store reads and writes the manifests of one deployment.
type Store struct{ blobs port.Blobs }

// NewStore makes a store.
func NewStore(blobs port.Blobs) *Store { return &Store{blobs} }

// Load reads a partition's manifest. Without one, it is empty with generation 0. Errors: port.ErrCorrupt names the object
// whose bytes do not match their checksum; else the object store's.
func (s *Store) Load(ctx context.Context, partition int32) (Loaded, error) {
	data, info, err := s.blobs.Get(ctx, Key(partition))
	return s.loaded(partition, data, info, err)
}
