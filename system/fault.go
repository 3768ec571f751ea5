package system

import (
	"fmt"
	"time"
)

// FaultKind is what is done to a node.
type FaultKind string

// Kinds of faults, and what healing does.
const (
	// FaultKill ends the process at once (SIGKILL); its disk stays. Healing starts it again.
	FaultKill FaultKind = "kill"
	// FaultStop ends the process cleanly (SIGTERM). Healing starts it again.
	FaultStop FaultKind = "stop"
	// FaultReplace kills the node and destroys its disk. Healing starts a fresh, empty one of the same name and address.
	FaultReplace FaultKind = "replace"
	// FaultPause freezes the process (SIGSTOP). Healing lets it go on.
	FaultPause FaultKind = "pause"
	// FaultIsolate drops packets between the node and the nodes in From. Healing lets them through again.
	FaultIsolate FaultKind = "isolate"
	// FaultErrors makes a share of the requests to MySQL or S3 fail: half of those are refused, half take effect and lose their answer.
	FaultErrors FaultKind = "errors"
	// FaultSlow delays every request to MySQL or S3.
	FaultSlow FaultKind = "slow"
	// FaultStarve lets the process run only a share of the time, in turns: it is sick and not dead. Healing lets it go on.
	FaultStarve FaultKind = "starve"
	// FaultRecreate deletes a dataset and creates it again under the same name, through the catalog. There is nothing to heal.
	FaultRecreate FaultKind = "recreate"
	// FaultPoison appends records that are no good to a partition of the events topic, as a broken or hostile client of the
	// cluster would. There is nothing to heal: they stay.
	FaultPoison FaultKind = "poison"
)

// Poison is what is wrong with the records of [FaultPoison].
type Poison string

// Kinds of poison. All but the last cannot be decoded.
const (
	PoisonGarbage   Poison = "garbage"   // random bytes
	PoisonEmpty     Poison = "empty"     // no bytes at all
	PoisonTruncated Poison = "truncated" // a chunk that was cut off
	PoisonFlipped   Poison = "flipped"   // a chunk of which one bit is another
	PoisonVersion   Poison = "version"   // a chunk of a version that nobody knows
	PoisonBomb      Poison = "bomb"      // a chunk that claims more events than there can be, under a right checksum
	PoisonHostile   Poison = "hostile"   // a chunk that can be decoded, of a dataset that does not exist, with events that nobody sends
	PoisonMixed     Poison = "mixed"     // one of each in turn
)

// Poisons lists every kind of poison, PoisonMixed last.
func Poisons() []Poison {
	return []Poison{PoisonGarbage, PoisonEmpty, PoisonTruncated, PoisonFlipped, PoisonVersion, PoisonBomb, PoisonHostile, PoisonMixed}
}

// PoisonKey begins the key of every record of [FaultPoison]. The pipeline's own records have no key, so the harness can
// tell its poison in the log from what the pipeline has damaged.
const PoisonKey = "ratel-poison/"

// Direction says which packets an isolation drops, as seen from the target.
type Direction string

// Directions.
const (
	Both     Direction = "both"
	Inbound  Direction = "in"  // packets from the others to the target are lost
	Outbound Direction = "out" // packets from the target to the others are lost
)

// Fault is one fault on one resolved node.
type Fault struct {
	ID        string        `json:"id,omitempty"` // which of a plan's faults it is: two that do the same are each healed for themselves
	Kind      FaultKind     `json:"kind"`
	Node      string        `json:"node"`
	From      []string      `json:"from,omitempty"`      // isolate: the nodes it is cut off from
	Direction Direction     `json:"direction,omitempty"` // isolate
	Rate      float64       `json:"rate,omitempty"`      // errors: the share of requests, above 0 and up to 1; starve: the share of time for which it runs, below 1
	Delay     time.Duration `json:"delay,omitempty"`     // slow; starve: how long it is frozen at a time
	Team      string        `json:"team,omitempty"`      // recreate: the team's name
	Dataset   string        `json:"dataset,omitempty"`   // recreate
	Partition int32         `json:"partition,omitempty"` // poison: the partition, whoever leads it; Node is empty
	Record    Poison        `json:"record,omitempty"`    // poison
	Records   int           `json:"records,omitempty"`   // poison: how many
}

// String says what the fault is, for timelines.
func (f Fault) String() string {
	switch f.Kind {
	case FaultIsolate:
		return fmt.Sprintf("isolate %s from %v (%s)", f.Node, f.From, f.Direction)
	case FaultErrors:
		return fmt.Sprintf("errors of %s: %g%% of requests", f.Node, 100*f.Rate)
	case FaultSlow:
		return fmt.Sprintf("slow %s: %v a request", f.Node, f.Delay)
	case FaultStarve:
		return fmt.Sprintf("starve %s: runs %g%% of the time, frozen for %v at a time", f.Node, 100*f.Rate, f.Delay)
	case FaultRecreate:
		return fmt.Sprintf("recreate dataset %s of team %s", f.Dataset, f.Team)
	case FaultPoison:
		return fmt.Sprintf("poison %s/%d: %s of kind %s", EventsTopic, f.Partition, plural(f.Records, "record"), f.Record)
	case FaultKill, FaultStop, FaultReplace, FaultPause:
	}
	return fmt.Sprintf("%s %s", f.Kind, f.Node)
}

// Key tells one fault from another.
func (f Fault) Key() string { return f.ID + " " + f.String() }

// Degradation is what the faults on a server do to its requests together: errors strike independently of one another, so
// that the rate, in [0, 1], is 1 - Π(1 - rate), and delays add up. Faults of other kinds do not count.
func Degradation(faults []Fault) (rate float64, delay time.Duration) {
	for _, f := range faults {
		switch f.Kind {
		case FaultErrors:
			rate += f.Rate - rate*f.Rate
		case FaultSlow:
			delay += f.Delay
		case FaultKill, FaultStop, FaultReplace, FaultPause, FaultIsolate, FaultStarve, FaultRecreate, FaultPoison:
		}
	}
	return rate, delay
}

// Turn is how long a starved process runs between two times that it is frozen.
func (f Fault) Turn() time.Duration {
	return time.Duration(float64(f.Delay) * f.Rate / (1 - f.Rate))
}

// Reach is what somebody who asks a node sees.
type Reach string

// What a probe can see.
const (
	Answers Reach = "answers"
	Refuses Reach = "refuses connections" // nothing listens: the process is gone
	Silent  Reach = "does not answer"     // connects or hangs, but no reply within the probe's deadline
)

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
