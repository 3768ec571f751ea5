// Package loadgen is the load on the pipeline: who sends what, how fast, and what each client saw; and who asks what
// about it. It is an open model: when a request or a query is sent depends on a pacer alone, never on earlier answers, and
// latency counts from the moment at which it was intended. It is written on rt, so the same code drives virtual and wall
// time.
//
// Every event is a pure function of its traffic's [Spec], its producer and its sequence number, and its time follows from
// when its batch was sent. So [Truth] knows afterwards what any query should have answered, and nothing needs to be kept.
package loadgen

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/shepherd"
)

// Shape is how a load's rate goes over time.
type Shape string

// Shapes.
const (
	Steady Shape = "steady"
	Ramp   Shape = "ramp" // linear from EventsPerSecond to ToPerSecond over Length
	// Wave is a sine around EventsPerSecond, rising first. With a Period of a day's length it is a diurnal load.
	Wave Shape = "wave"
	// Burst is steady at EventsPerSecond, but for BurstLength at ToPerSecond, every BurstEvery: the first burst begins
	// when the load is BurstEvery old.
	Burst Shape = "burst"
)

// Events is what a traffic's events are like.
type Events string

// Kinds of events.
const (
	// Small is eight fields of a web request. It is what the zero value means too.
	Small Events = "small"
	// Wide is thirty columns as a web shop's services send them, beside the identity: skewed and unique strings, numbers,
	// booleans, columns that part of the events lack, one column that is a string here and a number there, messages on
	// errors only, and sample rates above 1 for part of the events.
	Wide Events = "wide"
	// Traces is wide events that are the spans of traces. A trace's spans are in one batch, parents before children, and
	// a child's duration lies within its parent's.
	Traces Events = "traces"
	// Sprawl is small events that each have four columns which no other event has, as clients send them that put identifiers
	// into names.
	Sprawl Events = "sprawl"
)

// Spec is one traffic: clients that send batches of events.
type Spec struct {
	Name   string // for people: in errors
	Team   string // API key; empty means Options.Team
	Events Events
	// Replay, if not nil, is what is sent in a loop instead of made events.
	Replay          *Replay
	Shape           Shape
	EventsPerSecond float64       // the mean of a steady load or a wave; the start of a ramp; between bursts
	ToPerSecond     float64       // ramp: the end; burst: within bursts
	Length          time.Duration // how long it lasts; 0 means until it is stopped (not for a ramp)
	Period          time.Duration // wave: of one oscillation; 0 means Length
	Amplitude       float64       // wave: relative to the mean, in (0, 1); 0 means 0.5
	BurstEvery      time.Duration // from the start of one burst to the next
	BurstLength     time.Duration
	EventsPerBatch  int
	EventBytes      int // approximate size of an event as JSON; see [MinBytes]. Not for a replay.
	Datasets        int // how many datasets the batches go to in turn
	Clients         int // each with a sequence of its own
	Timeout         time.Duration
}

// Target is one shepherd and its node's name.
type Target struct {
	Name   string
	Ingest shepherd.Ingest
}

// Options are what all traffics of a load share, or all readers.
type Options struct {
	// Epoch is the zero of all durations in the history, on the runtime's clock. The zero Time means the start.
	Epoch time.Time
	// Team is the API key of traffics and readers that name none; empty means "ratel".
	Team string
	// Receipts asks shepherds where in Kafka they put the events.
	Receipts bool
	// MaxInFlight bounds how many requests wait for an answer at once, over all traffics, or all readers; 0 means 10,000
	// for a load and 200 for readers. A request beyond it is not sent, and the history says so.
	MaxInFlight int
}

func (o Options) withDefaults(now time.Time, maxInFlight int) Options {
	if o.Epoch.IsZero() {
		o.Epoch = now
	}
	if o.Team == "" {
		o.Team = "ratel"
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = maxInFlight
	}
	return o
}

const defaultMaxInFlight = 10_000

// maxEventBytes bounds EventBytes; the text of fillers is made for it.
const maxEventBytes = 60_000

// Dataset is the name of one of a traffic's datasets: traffics and their datasets are numbered from 0.
func Dataset(traffic, n int) string { return "load-" + strconv.Itoa(traffic) + "-" + strconv.Itoa(n) }

// DatasetNames are the names of a traffic's first n datasets.
func DatasetNames(traffic, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = Dataset(traffic, i)
	}
	return names
}

// EventTime is the time of the event at an index of a batch that was sent at a moment: each is a microsecond after the
// one before, so that they have an order.
func EventTime(epoch time.Time, sent time.Duration, index int) time.Time {
	return epoch.Add(sent + time.Duration(index)*time.Microsecond)
}

// check says everything that is wrong with the spec.
func (s *Spec) check(index int) error {
	var errs []error
	who := "traffic " + strconv.Itoa(index)
	if s.Name != "" {
		who += " (" + s.Name + ")"
	}
	bad := func(what string, got any, want string) {
		errs = append(errs, fmt.Errorf("%s: %s is %v, expected %s", who, what, got, want))
	}
	lowest := float64(max(s.EventsPerBatch, 1)) / pacerScale
	isRate := func(r float64) bool { return r >= lowest && r <= 1e9 }
	if !isRate(s.EventsPerSecond) {
		bad("events per second", s.EventsPerSecond, fmt.Sprintf("%g (a batch in %d s) to 1e9", lowest, pacerScale))
	}
	switch s.Shape {
	case Steady:
	case Ramp:
		if !isRate(s.ToPerSecond) {
			bad("the ramp's final rate", s.ToPerSecond, fmt.Sprintf("%g to 1e9 events per second", lowest))
		}
		if s.Length <= 0 {
			bad("a ramp's length", s.Length, "more than 0")
		}
	case Wave:
		if s.Length <= 0 && s.Period <= 0 {
			bad("a wave's period", s.Period, "more than 0")
		}
		if s.Amplitude < 0 || s.Amplitude >= 1 {
			bad("a wave's amplitude", s.Amplitude, "between 0 and 1")
		}
	case Burst:
		if !isRate(s.ToPerSecond) {
			bad("the rate within bursts", s.ToPerSecond, fmt.Sprintf("%g to 1e9 events per second", lowest))
		}
		if s.BurstEvery < time.Millisecond {
			bad("the time from burst to burst", s.BurstEvery, "at least 1ms")
		}
		if s.BurstLength <= 0 || s.BurstLength > s.BurstEvery {
			bad("a burst's length", s.BurstLength, "more than 0 and at most the time from burst to burst")
		}
	default:
		bad("shape", s.Shape, "steady, ramp, wave or burst")
	}
	switch s.Events {
	case "", Small, Wide, Traces, Sprawl:
	default:
		bad("kind of events", s.Events, "small, wide, traces or sprawl")
	}
	for _, c := range []struct {
		what string
		got  int
	}{{"events per batch", s.EventsPerBatch}, {"number of datasets", s.Datasets}, {"number of clients", s.Clients}} {
		if c.got < 1 {
			bad(c.what, c.got, "at least 1")
		}
	}
	if s.EventBytes < 0 || s.EventBytes > maxEventBytes {
		bad("event bytes", s.EventBytes, fmt.Sprintf("0 to %d", maxEventBytes))
	}
	if s.Timeout <= 0 {
		bad("timeout", s.Timeout, "more than 0")
	}
	return errors.Join(errs...)
}
