package exec

import (
	"errors"
	"fmt"
	"sync"
)

// MaxMemory is what the states of one query's result may count for, in bytes, on every node that has a part of it: what each takes is
// estimated by rules that are the same everywhere, so that a query over the same data is refused everywhere or nowhere. The real
// memory is up to about twice as much, and more for moments in which parts are merged. It keeps the encoding below what a
// peer answers at most.
const MaxMemory = 56 << 20

// Errors of queries that need too much memory.
var (
	// ErrTooLarge marks a query of which not even one group can be calculated within [MaxMemory], or whose answer is larger than
	// [MaxAnswer]. It fails whenever it is asked.
	ErrTooLarge = errors.New("the query is too large")
	// ErrBusy marks a query that has no room beside the others that are calculated at the time. It may be asked again.
	ErrBusy = errors.New("the queries that are being answered need all of the memory that there is for them")
)

// Room is memory that all queries of a process share. A part of it is kept for one of them at a time: the first that finds no other,
// until it is over. So queries that each wait for what the others have do not wait for ever: one goes on, then the next.
type Room struct {
	decoding sync.Mutex // so that what is not counted yet is one partial result

	mu         sync.Mutex // never held across a blocking call
	size, used int64
	kept       int64  // of the size, for first
	first      *Share // nil: nobody needs it
	lacked     int64  // the most that a partial result needed for which there was no room, since first is
}

// DefaultRoom suits a process with 1 GiB of memory: it is enough for one query of the most that is allowed, with its answer, and for
// more of those that are usual.
const DefaultRoom = 256 << 20

// NewRoom makes room for so many bytes of states, counted as [MaxMemory] is.
func NewRoom(size int64) *Room { return &Room{size: size, kept: min(MaxMemory+MaxAnswer, size/4*3)} }

// Used is how many bytes are in use.
func (r *Room) Used() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

// Share begins the share of one query. It must be closed.
func (r *Room) Share() *Share { return &Share{room: r} }

// Share is what one query holds of a room. Several tasks may use it. The nil share bounds nothing.
type Share struct {
	room *Room
	// Guarded by the room.
	held   int64
	lacked bool // there was no room for something
	closed bool
}

// take takes bytes, or gives some back where n is negative. The error matches [ErrBusy]: there is not so much room, or the query is
// over. Nothing is taken then.
func (s *Share) take(n int64) error {
	if s == nil {
		return nil
	}
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && r.used+n > r.size-r.kept && r.first == nil && !s.closed {
		r.first = s
	}
	most := r.size
	if r.first != s {
		most -= r.kept
	}
	switch {
	case s.closed:
		return fmt.Errorf("%w: this one is over", ErrBusy)
	case n > 0 && r.used+n > most:
		s.lacked = true
		return fmt.Errorf("%w: %d of %d MiB are in use", ErrBusy, r.used>>20, r.size>>20)
	}
	r.used += n
	s.held += n
	return nil
}

// bytePerByte is about how much a byte of a partial result may become.
const bytePerByte = 256

// decode makes a table of encoded bytes within the share. What it will need is known afterwards, so where room is short it is taken to
// be as much as others have needed in vain: tables are not made to be thrown away.
func (s *Share) decode(encoded int, build func() (*table, error)) (*table, error) {
	if s == nil {
		return build()
	}
	r := s.room
	r.decoding.Lock()
	defer r.decoding.Unlock()
	r.mu.Lock()
	likely := min(r.lacked, int64(encoded)*bytePerByte)
	r.mu.Unlock()
	if err := s.take(likely); err != nil {
		return nil, err
	}
	_ = s.take(-likely) // an error means that the share is closed, and has given it back
	t, err := build()
	if err != nil {
		return nil, err
	}
	t.share = s
	if err := t.hold(); err != nil {
		r.mu.Lock()
		r.lacked = max(r.lacked, t.memory)
		r.mu.Unlock()
		return nil, err
	}
	return t, nil
}

// Lacked says whether there was no room for something at any time.
func (s *Share) Lacked() bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.lacked
}

// Take takes room for n bytes beside what partial results take; negative gives them back. Errors match [ErrBusy].
func (s *Share) Take(n int64) error { return s.take(n) }

// Close gives back everything. Whatever is still calculated in the share fails from then on.
func (s *Share) Close() {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= s.held
	s.held, s.closed = 0, true
	if r.first == s {
		r.first, r.lacked = nil, 0
	}
}
