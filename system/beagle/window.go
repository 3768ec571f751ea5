package beagle

import "github.com/ratel-sim/ratel/system/event"

// window remembers the IDs of a partition's latest records, to find events that the producer's retries appended twice. It
// reaches a number of offsets back: a copy is found if it lies at most that many offsets behind the original, or behind
// another copy of it. A worker that takes a partition over reads those offsets again (see partition.remember), so whether
// an event is a copy is decided alike wherever a worker begins.
//
// A shepherd counts the IDs of a chunk up, so a window keeps blocks of 64 neighbouring IDs rather than single ones: a
// record costs one or two look-ups, however many events it has.
type window struct {
	reach   int64
	index   map[block]int32 // places in cells
	cells   []cell
	free    []int32
	touched queue
	// The block that was used last.
	last   block
	lastAt int32 // -1: none
}

// block is 64 IDs of one source.
type block struct {
	source uint64
	group  uint64 // Seq / 64
}

// cell is what is known of a block.
type cell struct {
	bits   uint64 // which of its IDs were seen
	offset int64  // the latest record that had one
}

type touch struct {
	offset int64
	block  block
}

func newWindow(reach int) *window {
	return &window{reach: int64(reach), index: map[block]int32{}, lastAt: -1}
}

// add remembers the ID of an event in the record at an offset, and reports whether it was new.
func (w *window) add(offset int64, id event.ID) bool {
	b := block{id.Source, id.Seq >> 6}
	if w.lastAt < 0 || b != w.last {
		at, there := w.index[b]
		if !there {
			at = w.room()
			w.index[b] = at
			w.cells[at] = cell{offset: -1}
		}
		w.last, w.lastAt = b, at
	}
	c := &w.cells[w.lastAt]
	if c.offset != offset {
		c.offset = offset
		w.touched.push(touch{offset, b})
	}
	bit := uint64(1) << (id.Seq & 63)
	fresh := c.bits&bit == 0
	c.bits |= bit
	return fresh
}

func (w *window) room() int32 {
	if n := len(w.free); n > 0 {
		at := w.free[n-1]
		w.free = w.free[:n-1]
		return at
	}
	w.cells = append(w.cells, cell{})
	return int32(len(w.cells) - 1)
}

// at says that the record at an offset comes next: what lies too far behind it is forgotten.
func (w *window) at(offset int64) {
	for w.touched.n > 0 && w.touched.first().offset < offset-w.reach {
		t := w.touched.pop()
		at, there := w.index[t.block]
		if !there || w.cells[at].offset != t.offset {
			continue // a later record has touched it
		}
		delete(w.index, t.block)
		w.free = append(w.free, at)
		if t.block == w.last {
			w.lastAt = -1
		}
	}
}

// queue is a ring of touches that grows with use.
type queue struct {
	ring []touch
	head int
	n    int
}

func (q *queue) push(t touch) {
	if q.n == len(q.ring) {
		bigger := make([]touch, max(64, 2*len(q.ring)))
		copied := copy(bigger, q.ring[q.head:])
		copy(bigger[copied:], q.ring[:q.head])
		q.ring, q.head = bigger, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = t
	q.n++
}

func (q *queue) first() *touch { return &q.ring[q.head] }

func (q *queue) pop() touch {
	t := q.ring[q.head]
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return t
}
