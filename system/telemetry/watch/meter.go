// Package watch measures what a role asks of the world: thin wrappers around its ports count operations, errors and unknown
// outcomes, and how long operations take, also those that have not ended yet.
package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// meter measures the operations on one dependency.
type meter struct {
	r     rt.Runtime
	names [9]string

	mu                          sync.Mutex // never held across a blocking call
	oldest, newest              *operation // under way, in the order of their beginnings
	open                        int64
	ops, errs, unknown, givenUp int64
	total                       time.Duration
	longest                     time.Duration // of those that ended since the last tick
	failing                     time.Time     // when the first operation ended badly since one ended well; zero: none has
}

// operation is one that is under way.
type operation struct {
	began      time.Time
	next, prev *operation
}

// newMeter makes a meter whose fields are in the recorder's ticks.
func newMeter(r rt.Runtime, to *telemetry.Recorder, name string) *meter {
	m := &meter{r: r}
	for i, f := range telemetry.OfDependency() {
		m.names[i] = name + "." + f.Name
	}
	to.OnTick(m.tick)
	return m
}

func (m *meter) begin() *operation {
	op := &operation{began: m.r.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if op.prev = m.newest; op.prev == nil {
		m.oldest = op
	} else {
		op.prev.next = op
	}
	m.newest = op
	m.open++
	return op
}

// end notes how an operation has ended. ctx is what it was asked with: who gives up gets an error that says nothing about
// the dependency.
func (m *meter) end(ctx context.Context, op *operation, err error) {
	now := m.r.Now()
	took := now.Sub(op.began)
	m.mu.Lock()
	defer m.mu.Unlock()
	if op.prev == nil {
		m.oldest = op.next
	} else {
		op.prev.next = op.next
	}
	if op.next == nil {
		m.newest = op.prev
	} else {
		op.next.prev = op.prev
	}
	m.open--
	m.ops++
	m.total += took
	m.longest = max(m.longest, took)
	switch {
	case err == nil || answered(err):
		m.failing = time.Time{}
		return
	case errors.Is(ctx.Err(), context.Canceled):
		m.givenUp++ // nobody wanted it any more
		return
	case ctx.Err() != nil:
		m.givenUp++
	case errors.Is(err, port.ErrRefused):
		m.errs++
	case errors.Is(err, port.ErrUnknown):
		m.unknown++
	default:
		m.errs++
	}
	if m.failing.IsZero() {
		m.failing = now
	}
}

// answered says whether an error is an answer of a dependency that is well.
func answered(err error) bool {
	for _, answer := range [...]error{
		port.ErrNoNode, port.ErrNodeExists, port.ErrBadVersion, port.ErrNotEmpty, port.ErrNoBlob, port.ErrPrecondition,
		port.ErrNotFound, port.ErrTooManyColumns, port.ErrNameTaken, port.ErrNotThere, port.ErrFenced, port.ErrExists,
		port.ErrOffsetOutOfRange, port.ErrTooLarge, port.ErrRebalanceInProgress, port.ErrUnknownMember, port.ErrIllegalGeneration, port.ErrFencedInstance,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// tick adds the dependency's fields, in the order of [telemetry.OfDependency].
func (m *meter) tick(f []telemetry.Field) []telemetry.Field {
	now := m.r.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var waiting, failing time.Duration
	if m.oldest != nil {
		waiting = now.Sub(m.oldest.began)
	}
	if !m.failing.IsZero() {
		failing = now.Sub(m.failing)
	}
	f = append(f,
		telemetry.Int(m.names[0], m.ops), telemetry.Int(m.names[1], m.errs), telemetry.Int(m.names[2], m.unknown), telemetry.Int(m.names[3], m.givenUp),
		telemetry.Int(m.names[4], m.open), telemetry.Millis(m.names[5], m.total), telemetry.Millis(m.names[6], m.longest),
		telemetry.Millis(m.names[7], waiting), telemetry.Millis(m.names[8], failing),
	)
	m.longest = 0
	return f
}
