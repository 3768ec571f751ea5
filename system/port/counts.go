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
	At        time.Time // when it was last marked, by the database's clock
	By        string    // the node that did
}

// MaxCount is the most that an SLO's minute can count up to. A sum that overflows would fail the step that it is part of each
// time that it is tried, and so stop a partition's counting for all: so what a client says of its sample rates must not get
// there. Minutes with so many each add up to an int64 over the longest period of an SLO, which is 90 days.
const MaxCount = 1 << 46

// SLOCount is how many events of one minute of event time were good, of how many that were relevant. An event that was stored
// stands for as many as its sample rate says (see event.Weight).
type SLOCount struct {
	SLO    int64 // the definition's ID
	Minute int64 // Unix time of the minute's start, in seconds
	Good   int64 // at most Total
	Total  int64 // at most MaxCount
}

// Add adds what another count has, if the sum is at most [MaxCount]. What does not fit any more is left out, its good events
// with it, so that a minute that is full goes on saying how good it was.
func (n *SLOCount) Add(o SLOCount) {
	if o.Total <= MaxCount-n.Total {
		n.Good += o.Good
		n.Total += o.Total
	}
}

// Advance is a step of counting: the counts of what lies between two offsets of a partition.
type Advance struct {
	Consumer  string
	Topic     string
	Partition int32
	// From must be the row's Next (0 if there is no row); To >= From. To == From only marks the time: counts that come
	// along are added, but nobody can tell whether they were when the outcome is unknown.
	From, To int64
	By       string
	// Counts has each SLO and minute once; they are added to what is there, as [SLOCount.Add] does.
	Counts []SLOCount
}

// Counts is the part of the metadata store that keeps SLO counts and the progress of counting. Each operation is one
// transaction. What makes no sense is refused: To before From, a minute that is none, an SLO and minute given twice,
// counts below zero, more good than all, more than MaxCount.
type Counts interface {
	// Advance adds the counts and moves the progress in one transaction: both or nothing. ErrNotThere if the progress is
	// elsewhere. After an unknown outcome the caller reads the progress: at To, it has happened.
	//
	// Counts of what is not an SLO, or no longer, are dropped without a word, and all else happens: an SLO that is deleted
	// while events are counted must not hold up its neighbours.
	Advance(ctx context.Context, a Advance) error
	// ProgressOf lists a consumer's rows of a topic by partition.
	ProgressOf(ctx context.Context, consumer, topic string) ([]Progress, error)
	// SLOCounts lists an SLO's counts of minutes from <= Minute < to, ascending. Counts of a deleted SLO are gone.
	SLOCounts(ctx context.Context, slo, from, to int64) ([]SLOCount, error)
}
