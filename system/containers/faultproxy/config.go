// Package faultproxy stands between the pipeline's roles and a real server that cannot be told to misbehave: it delays
// requests, refuses a share of them, and lets another share take effect and then withholds the answer.
//
// In front of an object store it is an HTTP reverse proxy, in front of MySQL it follows the client/server protocol packet
// by packet, so that a fault always hits one whole request. What it does is set over a small HTTP interface, and counted.
package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Kind is the protocol that a proxy speaks.
type Kind string

// Kinds of proxies.
const (
	KindS3    Kind = "s3"
	KindMySQL Kind = "mysql"
)

// Config is one proxy.
type Config struct {
	Kind Kind `json:"kind"`
	// Listen is where roles connect, Target the server behind, Control where the proxy is told what to do: addresses as
	// host:port, or :port to listen on all interfaces.
	Listen  string `json:"listen"`
	Target  string `json:"target"`
	Control string `json:"control"`
	// Seed decides which requests fail.
	Seed uint64 `json:"seed"`
}

// Check says everything that is wrong with c.
func (c Config) Check() error {
	var errs []error
	if c.Kind != KindS3 && c.Kind != KindMySQL {
		errs = append(errs, fmt.Errorf("kind: %q, expected %q or %q", c.Kind, KindS3, KindMySQL))
	}
	for name, addr := range map[string]string{"listen": c.Listen, "target": c.Target, "control": c.Control} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q, expected host:port", name, addr))
		}
	}
	return errors.Join(errs...)
}

// Faults are what a proxy does to requests. The zero Faults let everything through.
type Faults struct {
	// Errors is the share of requests that fail, 0 to 1: half of them are refused without reaching the server, half take
	// effect and lose their answer.
	Errors float64 `json:"errors"`
	// Delay is how long every request is held before it goes on.
	Delay time.Duration `json:"delay"`
}

// MaxDelay bounds the delay of a request.
const MaxDelay = time.Hour

// Check says what is wrong with f.
func (f Faults) Check() error {
	if !(f.Errors >= 0 && f.Errors <= 1) { // also not a number
		return fmt.Errorf("errors: %v, expected a share from 0 to 1", f.Errors)
	}
	if f.Delay < 0 || f.Delay > MaxDelay {
		return fmt.Errorf("delay: %v, expected 0 to %v", f.Delay, MaxDelay)
	}
	return nil
}

// Counts are requests since the proxy's start.
type Counts struct {
	Requests int64 `json:"requests"` // all
	Refused  int64 `json:"refused"`  // answered with an error that says so, without reaching the server
	Cut      int64 `json:"cut"`      // done by the server, and the answer withheld
	Delayed  int64 `json:"delayed"`
}
