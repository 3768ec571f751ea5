package evidence

import (
	"time"
	"unsafe"
)

// Record is one Kafka record of a shepherd in the final log, as the log itself tells. Its events have the IDs First to
// First+Count-1 of Source, one incarnation of a shepherd, which gives each event that it takes an ID of its own: a request
// that a client repeats has others, and only what a producer sends again has the same.
type Record struct {
	Partition int32         `json:"p"`
	Offset    int64         `json:"o"`
	Source    uint64        `json:"s"`
	First     uint64        `json:"f"`
	Count     int           `json:"c"`
	Number    uint64        `json:"n"` // in the order in which its shepherd sent it first; 0 if it does not say
	At        time.Duration `json:"t"` // when, by the shepherd's clock
}

func sizeOfRecord(r *Record) int64 { return int64(unsafe.Sizeof(*r)) }
