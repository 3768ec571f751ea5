// Package loadgen is the load on the pipeline: who sends what, how fast, and what each client saw. It is an open model:
// when a request is sent depends on a pacer alone, never on earlier answers, and latency counts from the moment at which
// the request was intended. It is written on rt, so the same code drives virtual and wall time.
package loadgen

import (
	"errors"
	"fmt"
	"math"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/ratel-sim/ratel/system/shepherd"
)

// Shape is how a load's rate goes over time.
type Shape string

// Shapes.
const (
	Steady Shape = "steady"
	Ramp   Shape = "ramp" // linear from EventsPerSecond to ToPerSecond over Length
	Wave   Shape = "wave" // a sine around EventsPerSecond, rising first
)

// Spec is one traffic: clients that send batches of events.
type Spec struct {
	Shape           Shape
	EventsPerSecond float64       // the mean of a steady load or a wave; the start of a ramp
	ToPerSecond     float64       // ramp: the end
	Length          time.Duration // how long it lasts; 0 means until it is stopped (not for a ramp)
	Period          time.Duration // wave: of one oscillation; 0 means Length
	Amplitude       float64       // wave: relative to the mean, in (0, 1); 0 means 0.5
	EventsPerBatch  int
	EventBytes      int // approximate size of an event as JSON; see MinEventBytes
	Datasets        int // how many datasets the batches go to in turn
	Clients         int // each with a sequence of its own
	Timeout         time.Duration
}

// Target is one shepherd and its node's name.
type Target struct {
	Name   string
	Ingest shepherd.Ingest
}

// Options are what all traffics of a load share.
type Options struct {
	// Epoch is the zero of all durations in the history, on the runtime's clock. The zero Time means the start of the load.
	Epoch time.Time
	// Team is the API key; empty means "ratel".
	Team string
	// Receipts asks shepherds where in Kafka they put the events.
	Receipts bool
	// MaxInFlight bounds how many requests wait for an answer at once, over all traffics; 0 means 10,000. A request beyond
	// it is not sent, and the history says so.
	MaxInFlight int
}

const defaultMaxInFlight = 10_000

// MinEventBytes is the size of an event with the shortest filler: its identity and a few fields of a web request.
const MinEventBytes = 170

// pacerScale expresses rates, which have fractions, in vegeta's whole hits per duration.
const pacerScale = 1000

// pacer turns the spec into a vegeta pacer of batches.
func (s *Spec) pacer() vegeta.Pacer {
	rate := func(events float64) vegeta.Rate {
		return vegeta.Rate{Freq: int(math.Round(events / float64(s.EventsPerBatch) * pacerScale)), Per: pacerScale * time.Second}
	}
	switch s.Shape {
	case Ramp:
		slope := (s.ToPerSecond - s.EventsPerSecond) / float64(s.EventsPerBatch) / s.Length.Seconds()
		return vegeta.LinearPacer{StartAt: rate(s.EventsPerSecond), Slope: slope}
	case Wave:
		period, amplitude := s.Period, s.Amplitude
		if period == 0 {
			period = s.Length
		}
		if amplitude == 0 {
			amplitude = 0.5
		}
		return vegeta.SinePacer{Period: period, Mean: rate(s.EventsPerSecond), Amp: rate(s.EventsPerSecond * amplitude)}
	case Steady:
	}
	return rate(s.EventsPerSecond)
}

// check says everything that is wrong with the spec.
func (s *Spec) check(index int) error {
	var errs []error
	bad := func(what string, got any, want string) {
		errs = append(errs, fmt.Errorf("traffic %d: %s is %v, expected %s", index, what, got, want))
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
	default:
		bad("shape", s.Shape, "steady, ramp or wave")
	}
	for _, c := range []struct {
		what string
		got  int
	}{{"events per batch", s.EventsPerBatch}, {"number of datasets", s.Datasets}, {"number of clients", s.Clients}} {
		if c.got < 1 {
			bad(c.what, c.got, "at least 1")
		}
	}
	if s.EventBytes < 0 || s.EventBytes > 60_000 {
		bad("event bytes", s.EventBytes, "0 to 60000")
	}
	if s.Timeout <= 0 {
		bad("timeout", s.Timeout, "more than 0")
	}
	return errors.Join(errs...)
}
