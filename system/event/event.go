// Package event is a wide event and its encoding inside the pipeline: what a client sent, typed, and the chunk of events
// that is the value of one Kafka record.
package event

import "time"

// ID identifies an event inside the pipeline. The shepherd that accepted it draws Source once at its start and counts
// Seq up, so an ID is unique, and a retriever can drop what the producer's retries appended twice.
type ID struct {
	Source uint64
	Seq    uint64
}

// Kind is the type of a field's value as JSON clients send them.
type Kind uint8

// Kinds of values.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
)

// Value is one typed value. The zero Value is null.
type Value struct {
	str  string
	num  uint64
	kind Kind
}

// Field is one named value of an event.
type Field struct {
	Name  string
	Value Value
}

// Event is one wide event. Names in Fields are unique.
type Event struct {
	ID         ID
	Time       time.Time
	SampleRate int64 // n of "one in n"; 1 means unsampled. Never below 1.
	Fields     []Field

	// shape is the first field of the first event of its request that has these names and kinds in this order; nil if that is not
	// known. It is good as long as nobody changes Fields.
	shape *Field
}

// MaxWeight is the largest sample rate that is counted with.
const MaxWeight = 1 << 32

// Weight is how many events that happened one with a sample rate stands for: the rate, but at least 1 and at most
// [MaxWeight]. Queries, triggers and SLOs all count with it.
func Weight(rate int64) int64 { return min(max(rate, 1), MaxWeight) }

// Alike says that the fields of both are known to have the same names and kinds, in the same order. If it is false, they may.
func (e *Event) Alike(o *Event) bool { return e.shape != nil && e.shape == o.shape }

// Dataset is which dataset events are of. A dataset that was deleted and created again has the same name and another ID.
type Dataset struct {
	ID   int64
	Name string // as first spelt
}

// Chunk is a group of events of one dataset that travel in one Kafka record.
type Chunk struct {
	Dataset Dataset
	Events  []Event
}
