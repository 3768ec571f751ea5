package exec

import (
	"errors"
	"fmt"
	"sync"
)

// MaxMemory is what the states of one query's result may count for, in bytes, on every node that has a part of it: what each takes is
// estimated by rules that are the same everywhere, so that a query over the same data is refused everywhere or nowhere. The real
// memory is up to about twice as much, and more for moments in which parts are merged.
const MaxMemory = 56 << 20

// Errors of queries that need too much memory.
var (
	// ErrTooLarge marks a query of which not even one group can be calculated within [MaxMemory], or whose answer is larger than
	// [MaxAnswer]. It fails whenever it is asked.
	ErrTooLarge = errors.New("the query is too large")
	// ErrBusy marks a query that has no room beside the others that are calculated at the time. It may be asked again.
	ErrBusy = errors.New("the queries that are being answered need all of the memory that there is for them")
)

// Room is memory that all queries of a process share.
type Room struct {
	mu         sync.Mutex // never held across a blocking call
	size, used int64
}

// NewRoom makes room for so many bytes of states, counted as [MaxMemory] is.
func NewRoom(size int64) *Room { return &Room{size: size} }

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
	room   *Room
	held   int64 // guarded by the room
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
	switch {
	case s.closed:
		return fmt.Errorf("%w: this one is over", ErrBusy)
	case n > 0 && r.used+n > r.size:
		return fmt.Errorf("%w: %d of %d MiB are in use", ErrBusy, r.used>>20, r.size>>20)
	}
	r.used += n
	s.held += n
	return nil
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
}
