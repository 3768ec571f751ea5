package port

import (
	"context"
	"errors"
	"time"
)

// ErrNotThere: the progress row is not where the caller believes, so nothing was counted: somebody else has gone on.
var ErrNotThere = errors.New("the progress is not there")

// Progress is how far a consumer has counted a partition.
type Progress struct {
	Consumer  string // such as "beagle"
	Topic     string
	Partition int32
	Next      int64     // the next offset to count
	At        time.Time // when it was last marked
	By        string    // the node that did
}

// SLOCount is how many events of one minute of event time were good, of how many that were relevant.
type SLOCount struct {
	SLO    int64 // the definition's ID
	Minute int64 // Unix time of the minute's start, in seconds
	Good   int64
	Total  int64
}

// Advance is a step of counting: the counts of what lies between two offsets of a partition.
type Advance struct {
	Consumer  string
	Topic     string
	Partition int32
	From, To  int64 // From must be the row's Next (0 if there is no row); To >= From; To == From only marks the time
	By        string
	Counts    []SLOCount // each SLO and minute once; added to what is there
}

// Counts is the part of the metadata store that keeps SLO counts and the progress of counting.
type Counts interface {
	// Advance adds the counts and moves the progress in one transaction: both or nothing. ErrNotThere if the progress is
	// elsewhere. After an unknown outcome the caller reads the progress: at To, it has happened.
	Advance(ctx context.Context, a Advance) error
	// ProgressOf lists a consumer's rows of a topic by partition.
	ProgressOf(ctx context.Context, consumer, topic string) ([]Progress, error)
	// SLOCounts lists an SLO's counts of minutes from <= Minute < to, ascending. Counts of a deleted SLO are gone.
	SLOCounts(ctx context.Context, slo, from, to int64) ([]SLOCount, error)
}
