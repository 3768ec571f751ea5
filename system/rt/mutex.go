package rt

import (
	"context"
	"sync"
)

// Mutex is a lock that may be held across blocking calls, unlike sync.Mutex. It is handed over in order of arrival.
type Mutex struct {
	r       Runtime
	mu      sync.Mutex // never held across a blocking call
	held    bool
	waiters waitList
}

// NewMutex returns an unlocked mutex.
func NewMutex(r Runtime) *Mutex { return &Mutex{r: r} }

// Lock takes the mutex, waiting for it. It returns ctx's error if ctx ends first; the mutex is then not held.
func (m *Mutex) Lock(ctx context.Context) error {
	Check(m.r)
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if !m.held {
		m.held = true
		m.mu.Unlock()
		return nil
	}
	w := m.waiters.join(m.r, 0)
	m.mu.Unlock()
	err := w.parker.Park(ctx)
	m.mu.Lock()
	// Unlock hands the mutex over by taking the waiter out of the list.
	if owner := m.waiters.quit(m.r, w, err); owner && err != nil {
		m.handOver()
	}
	m.mu.Unlock()
	return err
}

// Unlock releases the mutex to the task that has waited longest. Unlocking an unlocked mutex panics.
func (m *Mutex) Unlock() {
	Check(m.r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.held {
		panic("rt: Mutex.Unlock: the mutex is not locked")
	}
	m.handOver()
}

func (m *Mutex) handOver() {
	m.held = m.waiters.head() != nil
	m.waiters.wakeOne()
}
