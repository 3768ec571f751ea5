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
	Claimed    bool  // it holds its partition's claim in ZooKeeper
	Next       int64 // the next Kafka offset it will read
	Durable    int64 // every record below this offset is on disk, synced
	HighWater  int64 // the partition's high watermark at its last fetch
	Held       int64 // events stored
	Duplicates int64 // events dropped because their ID was stored already
	Corrupt    int64 // records that could not be decoded, kept aside and counted
	Missed     int64 // Kafka offsets that had expired or vanished before they were read
}

// Held is one stored event and the Kafka record that brought it.
type Held struct {
	Offset  int64
	Dataset event.Dataset
	Event   event.Event
}

// Page is a part of what a retriever holds durably, in the order of storing. Cursor continues after it; Done says that
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
	// Holdings returns what is held durably from cursor on (0 is the beginning), at most about limit events.
	Holdings(ctx context.Context, cursor int64, limit int) (Page, error)
}
