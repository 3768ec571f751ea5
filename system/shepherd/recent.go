package shepherd

// recent keeps the entries used last, by ID, up to a bound. It is not safe for concurrent use.
type recent[T any] struct {
	byID           map[int64]*entry[T]
	newest, oldest *entry[T]
	most           int
	// busy says which entries must stay, even beyond the bound. They are few: somebody is using each of them.
	busy func(*T) bool
}

type entry[T any] struct {
	id           int64
	newer, elder *entry[T]
	value        T
}

func newRecent[T any](most int, busy func(*T) bool) recent[T] {
	return recent[T]{byID: make(map[int64]*entry[T]), most: max(most, 1), busy: busy}
}

// get returns the entry of an ID and makes it the newest; fresh says that it is a new, zero one.
func (r *recent[T]) get(id int64) (value *T, fresh bool) {
	e, ok := r.byID[id]
	switch {
	case ok && e == r.newest:
		return &e.value, false
	case ok:
		r.unlink(e)
	default:
		e = &entry[T]{id: id}
		r.byID[id] = e
		defer r.shrink()
	}
	r.link(e)
	return &e.value, !ok
}

// each visits all entries, the newest first.
func (r *recent[T]) each(visit func(*T)) {
	for e := r.newest; e != nil; e = e.elder {
		visit(&e.value)
	}
}

// shrink drops the oldest entries that nobody uses while there are too many.
func (r *recent[T]) shrink() {
	for e := r.oldest; e != nil && len(r.byID) > r.most; {
		next := e.newer
		if e != r.newest && !r.busy(&e.value) {
			r.unlink(e)
			delete(r.byID, e.id)
		}
		e = next
	}
}

func (r *recent[T]) link(e *entry[T]) {
	e.elder = r.newest
	if r.newest == nil {
		r.oldest = e
	} else {
		r.newest.newer = e
	}
	r.newest = e
}

func (r *recent[T]) unlink(e *entry[T]) {
	if e.newer == nil {
		r.newest = e.elder
	} else {
		e.newer.elder = e.elder
	}
	if e.elder == nil {
		r.oldest = e.newer
	} else {
		e.elder.newer = e.newer
	}
	e.newer, e.elder = nil, nil
}
