// Package telemetry is how a role describes itself: wide events about what it does, cumulative counters in a tick every
// second, and both handed to an observer without ever waiting for it. docs/telemetry.md lists what is said.
package telemetry

import (
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// Config says whether and how roles describe themselves. The zero Config is off.
type Config struct {
	// Enabled is off by default: then nothing is measured, wrapped or sent.
	Enabled bool `json:"enabled"`
	// Every is the time between two ticks, and between two batches to the observer.
	Every time.Duration `json:"every"`
	// ProduceSample is the n of "one in n" chunks whose way is told, from produce to index and count. The choice is a
	// function of the chunk, so every role chooses the same.
	ProduceSample int `json:"produce_sample"`
	// BatchSample is the same for ingest requests. Those of which not everything was accepted are told always.
	BatchSample int `json:"batch_sample"`
	// Queue and MaxBytes bound what waits for the observer: events, and bytes of JSON. As much again may be under way.
	Queue    int `json:"queue"`
	MaxBytes int `json:"max_bytes"`
	// Timeout is how long the observer may take for one batch before it is given up.
	Timeout time.Duration `json:"timeout"`
}

// DefaultConfig is what an installation that describes itself begins with. It is enabled.
func DefaultConfig() Config {
	return Config{Enabled: true, Every: time.Second, ProduceSample: 10, BatchSample: 10, Queue: 4096, MaxBytes: 1 << 20, Timeout: 2 * time.Second}
}

// Check says everything that is wrong with c. The zero Config is right.
func (c Config) Check() error {
	if c == (Config{}) {
		return nil
	}
	var errs []error
	need := func(ok bool, what string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("telemetry: %s is %v, expected %s", what, got, want))
		}
	}
	need(c.Every >= 10*time.Millisecond, "every", c.Every, "10ms or more")
	need(c.ProduceSample >= 1, "produce_sample", c.ProduceSample, "1 or more")
	need(c.BatchSample >= 1, "batch_sample", c.BatchSample, "1 or more")
	need(c.Queue >= 1, "queue", c.Queue, "1 or more")
	need(c.MaxBytes >= 1<<14, "max_bytes", c.MaxBytes, "16384 or more")
	need(c.Timeout >= time.Millisecond, "timeout", c.Timeout, "1ms or more")
	return errors.Join(errs...)
}

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) { return duration.MarshalStruct(c) }

// UnmarshalJSON reads what MarshalJSON writes. What is not said stays as it was; of a zero Config, as by default.
func (c *Config) UnmarshalJSON(data []byte) error {
	if *c == (Config{}) {
		*c = DefaultConfig()
	}
	return duration.UnmarshalStruct(data, c)
}
