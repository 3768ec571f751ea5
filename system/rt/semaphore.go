package rt

import (
	"context"
	"fmt"
	"sync"
)

// Semaphore hands out units first come, first served: a large request is not starved by small ones behind it.
type Semaphore struct {
	r       Runtime
	mu      sync.Mutex // never held across a blocking call
	size    int64
	free    int64
	waiters waitList
}

// NewSemaphore returns a semaphore with n units, all free.
func NewSemaphore(r Runtime, n int64) *Semaphore {
	if n < 0 {
		panic("rt: NewSemaphore: negative size")
	}
	return &Semaphore{r: r, size: n, free: n}
}

// Acquire takes n units, waiting for them. It returns ctx's error if ctx ends first and then holds nothing. Asking for
// more units than the semaphore has is an error at once, because it could never succeed.
func (s *Semaphore) Acquire(ctx context.Context, n int64) error {
	Check(s.r)
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if n < 0 || n > s.size {
		s.mu.Unlock()
		return fmt.Errorf("rt: Semaphore.Acquire: %d units asked of a semaphore of %d; ask for 0 to %d", n, s.size, s.size)
	}
	if s.take(n) {
		s.mu.Unlock()
		return nil
	}
	w := s.waiters.join(s.r, n)
	s.mu.Unlock()
	err := w.parker.Park(ctx)
	s.mu.Lock()
	granted := s.waiters.quit(s.r, w, err) // a granter takes the waiter out of the list together with its units
	if err != nil {
		if granted {
			s.free += n
		}
		s.grant() // those behind may fit now: into the units given back, or past the large request that left
	}
	s.mu.Unlock()
	return err
}

// TryAcquire takes n units if that is possible without waiting or overtaking, and reports whether it did.
func (s *Semaphore) TryAcquire(n int64) bool {
	Check(s.r)
	s.mu.Lock()
	defer s.mu.Unlock()
	return n >= 0 && s.take(n)
}

// Release gives n units back. Giving back more than was taken panics.
func (s *Semaphore) Release(n int64) {
	Check(s.r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || s.free+n > s.size {
		panic(fmt.Sprintf("rt: Semaphore.Release: %d units given back, but only %d are held", n, s.size-s.free))
	}
	s.free += n
	s.grant()
}

func (s *Semaphore) take(n int64) bool {
	if n > s.free || s.waiters.head() != nil {
		return false
	}
	s.free -= n
	return true
}

// grant hands free units to waiters in order, stopping at the first that does not fit.
func (s *Semaphore) grant() {
	for w := s.waiters.head(); w != nil && w.units <= s.free; w = s.waiters.head() {
		s.free -= w.units
		s.waiters.wakeOne()
	}
}
