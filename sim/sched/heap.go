package sched

// entry is one pending timer. It holds no pointer, so the collector never scans the heap.
type entry struct {
	at        int64  // virtual ns
	seq       uint64 // order among entries of one instant: first armed, first fired
	slot, gen uint32 // what to fire; stale if the slot's generation has moved on
}

func (e entry) before(o entry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// heap is a 4-ary min-heap of entries by value: shallower than a binary one, and four children share a cache line or two.
type heap []entry

func (h *heap) push(e entry) {
	*h = append(*h, e)
	h.up(len(*h) - 1)
}

func (h *heap) pop() entry {
	old := *h
	top := old[0]
	last := len(old) - 1
	moved := old[last]
	*h = old[:last]
	if last > 0 {
		h.down(0, moved)
	}
	return top
}

func (h *heap) up(i int) {
	a := *h
	e := a[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(a[parent]) {
			break
		}
		a[i] = a[parent]
		i = parent
	}
	a[i] = e
}

// down places e, starting from the hole at i.
func (h *heap) down(i int, e entry) {
	a := *h
	for {
		first := 4*i + 1
		if first >= len(a) {
			break
		}
		least := first
		for c, end := first+1, min(first+4, len(a)); c < end; c++ {
			if a[c].before(a[least]) {
				least = c
			}
		}
		if !a[least].before(e) {
			break
		}
		a[i] = a[least]
		i = least
	}
	a[i] = e
}

// keep drops the entries for which live is false. What is left fires in the same order as before.
func (h *heap) keep(live func(entry) bool) {
	a := (*h)[:0]
	for _, e := range *h {
		if live(e) {
			a = append(a, e)
		}
	}
	*h = a
	for i := (len(a) - 2) / 4; i >= 0 && len(a) > 1; i-- {
		h.down(i, a[i])
	}
}

// queue is the entries that were armed for the present instant, first in, first out. A fifth of all timers need no heap.
type queue struct {
	entries []entry
	head    int
}

func (q *queue) len() int { return len(q.entries) - q.head }

func (q *queue) push(e entry) { q.entries = append(q.entries, e) }

func (q *queue) pop() entry {
	e := q.entries[q.head]
	if q.head++; q.head == len(q.entries) {
		q.entries, q.head = q.entries[:0], 0
	}
	return e
}

// keep is heap's.
func (q *queue) keep(live func(entry) bool) {
	left := q.entries[:0]
	for _, e := range q.entries[q.head:] {
		if live(e) {
			left = append(left, e)
		}
	}
	q.entries, q.head = left, 0
}
