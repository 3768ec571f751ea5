// Package retriever is the indexing and storage worker: it reads one partition, drops duplicates, and keeps every event
// durably on its local disk.
package retriever

import (
	"context"

	"github.com/ratel-sim/ratel/system/event"
)

// Status is what a retriever says about itself.
type Status struct {
	Partition  int32
	Zone       string
	Claimed    bool  // it holds its claim in ZooKeeper
	Floor      int64 // what it holds locally begins at this Kafka offset; below, only S3 has it
	Next       int64 // the next Kafka offset it will read
	Durable    int64 // every record below this offset is safe: on its disk, synced, or in S3
	Committed  int64 // every record below this offset is in S3, says the partition's manifest as last seen
	Generation int64 // of that manifest; 0 before the first
	Sealed     int64 // every record below this offset is in a segment
	Open       int64 // events that are in none yet
	HighWater  int64 // the partition's high watermark at its last fetch
	Held       int64 // events stored locally
	Duplicates int64 // events dropped because their ID was stored already
	Corrupt    int64 // records that could not be decoded, kept aside and counted
	Missed     int64 // Kafka offsets that had expired or vanished before they were read
	LocalBytes int64 // on its disk
	MemBytes   int64 // about what rows not in a segment yet take
	Repaired   int64 // damaged or missing segments that were had again
}

// Range is a range of Kafka offsets, First to Next-1, and what a retriever has stored of it. Both of a pair have the same
// ranges with the same sums, wherever both hold them.
type Range struct {
	First, Next int64
	Rows        int64
	// Sum is over the stored bytes as they are read back now: the checksums of the range's segments, or of its rows.
	Sum uint64
}

// Held is one stored event and the Kafka record that brought it.
type Held struct {
	Offset  int64
	Dataset event.Dataset
	Event   event.Event
}

// Page is a part of what a retriever holds durably and locally, segments included, in the order of offsets. Cursor continues after it; Done says that
// nothing more was held when it was read.
type Page struct {
	Held   []Held
	Cursor int64
	Done   bool
}

// HeldRecord is what is held of one Kafka record: its offset, and the stored chunk of its events.
type HeldRecord struct {
	Offset int64
	Chunk  []byte // see package event
}

// RecordPage is a [Page] whose events are encoded as they are stored. Events counts them.
type RecordPage struct {
	Records []HeldRecord
	Events  int
	Cursor  int64
	Done    bool
}

// RecordHolder is a [Holder] that also gives out what it holds without decoding it.
type RecordHolder interface {
	Holder
	// HeldRecords is Holdings, with the events still encoded. The caller owns the page.
	HeldRecords(ctx context.Context, cursor int64, limit int) (RecordPage, error)
}

// Holder is a retriever as others see it.
type Holder interface {
	Status(ctx context.Context) (Status, error)
	// Ranges reads back everything that is held locally and sums it up, by sealed range and then the rest up to Durable.
	Ranges(ctx context.Context) ([]Range, error)
	// Holdings returns what is held durably from cursor on (0 is the beginning), at most about limit events.
	Holdings(ctx context.Context, cursor int64, limit int) (Page, error)
}
