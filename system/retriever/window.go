package retriever

import (
	"math/bits"

	"github.com/ratel-sim/ratel/system/event"
)

// window remembers the latest event IDs, up to a limit, to find duplicates. It is a ring in order of arrival with an
// open-addressing index over it, 24 bytes an ID; both grow with use.
type window struct {
	limit int
	ring  []event.ID
	head  int      // oldest, once the ring is full
	n     int      // in use
	index []uint32 // position in ring + 1; 0 is free. Linear probing, at most half full.
}

// firstWindow is how many IDs a new window has room for.
const firstWindow = 512

func newWindow(limit int) *window {
	w := &window{limit: limit}
	w.resize(min(firstWindow, limit))
	return w
}

// add remembers an ID and reports whether it was new. The oldest is forgotten when the window is full.
func (w *window) add(id event.ID) bool {
	mask := len(w.index) - 1
	slot := hash(id) & mask
	for ; w.index[slot] != 0; slot = (slot + 1) & mask {
		if w.ring[w.index[slot]-1] == id {
			return false
		}
	}
	if w.n == len(w.ring) {
		if w.n < w.limit {
			w.resize(max(min(2*w.n, w.limit), 1))
		} else {
			w.forget()
		}
		// The index was rebuilt or slots have moved: look for a free one again.
		mask = len(w.index) - 1
		for slot = hash(id) & mask; w.index[slot] != 0; slot = (slot + 1) & mask {
		}
	}
	at := w.head + w.n
	if at >= len(w.ring) {
		at -= len(w.ring)
	}
	w.ring[at] = id
	w.index[slot] = uint32(at + 1)
	w.n++
	return true
}

// forget drops the oldest ID.
func (w *window) forget() {
	mask := len(w.index) - 1
	slot := hash(w.ring[w.head]) & mask
	for w.index[slot] != uint32(w.head+1) {
		slot = (slot + 1) & mask
	}
	// Close the hole: whatever follows and would no longer be found from its own place moves back into it.
	hole := slot
	for next := (hole + 1) & mask; w.index[next] != 0; next = (next + 1) & mask {
		home := hash(w.ring[w.index[next]-1]) & mask
		if (next-home)&mask >= (next-hole)&mask {
			w.index[hole] = w.index[next]
			hole = next
		}
	}
	w.index[hole] = 0
	w.n--
	if w.head++; w.head == len(w.ring) {
		w.head = 0
	}
}

// resize makes room for n IDs, at least as many as there are.
func (w *window) resize(n int) {
	ring := make([]event.ID, n)
	if w.n > 0 {
		first := copy(ring, w.ring[w.head:min(w.head+w.n, len(w.ring))])
		copy(ring[first:w.n], w.ring)
	}
	w.ring, w.head = ring, 0
	w.index = make([]uint32, 1<<bits.Len(uint(2*n-1)))
	mask := len(w.index) - 1
	for i := range w.n {
		slot := hash(ring[i]) & mask
		for w.index[slot] != 0 {
			slot = (slot + 1) & mask
		}
		w.index[slot] = uint32(i + 1)
	}
}

func hash(id event.ID) int {
	hi, lo := bits.Mul64(id.Source^0x9e3779b97f4a7c15, id.Seq^0xd6e8feb86659fd93)
	return int((hi ^ lo) >> 1)
}

// trim forgets the oldest IDs until at most n are left.
func (w *window) trim(n int) {
	for w.n > n {
		w.forget()
	}
}
