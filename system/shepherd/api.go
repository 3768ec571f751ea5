// Package shepherd is the stateless ingest worker: HTTP in, Kafka out.
package shepherd

import (
	"context"

	"github.com/ratel-sim/ratel/system/event"
)

// Codes of an event's status in a batch answer. They follow Honeycomb's batch API where it documents them.
const (
	Accepted  = 202 // in Kafka, acknowledged by every in-sync replica
	Malformed = 400 // this event can never be accepted
	Throttled = 429 // shed because a bound was reached; certainly not stored
	Refused   = 503 // certainly not stored; sending again later is safe
	Unknown   = 504 // may have been stored, or may still be; sending again may duplicate
)

// Request is one batch of events for one dataset.
type Request struct {
	Team    string
	Dataset string
	Events  []event.Event
	// Receipts asks the answer to say where in Kafka each accepted event is.
	Receipts bool

	forget func() // called, if there is one, when the events are not looked at any more: before Kafka has answered
}

// Status is the answer for one event.
type Status struct {
	Code  int
	Error string // empty when accepted
	// Partition and Offset are the receipt, when asked for: the Kafka record that holds the event. Offset is -1 when the
	// shepherd does not know it.
	Partition int32
	Offset    int64
}

// Answer is the reply to a request. Code is the HTTP status of the whole; Statuses has one entry an event, in order, when
// Code is 200, else it is empty and Error says why.
type Answer struct {
	Code     int
	Error    string
	Statuses []Status
	// Rate is the tightest rate limit that holds for the request, zero if none does. It is not sent over HTTP as a part
	// of the body, so a [Client] does not have it.
	Rate Rate
}

// Ingest is a shepherd as a client sees it. An error means that no answer came: it matches port.ErrRefused if the request
// certainly never reached the shepherd (connection refused), else the outcome of every event is unknown.
type Ingest interface {
	Send(ctx context.Context, req Request) (Answer, error)
}
