package beagle

import (
	"container/list"
	"time"
)

// lru is a bounded map by dataset ID that forgets what has not been used for longest.
type lru[V any] struct {
	limit   int
	entries map[int64]*list.Element
	order   *list.List // of *entry[V], the most recently used first
}

type entry[V any] struct {
	key   int64
	value *V
	at    time.Time // when it was learned
}

func newLRU[V any](limit int) *lru[V] {
	return &lru[V]{limit: limit, entries: map[int64]*list.Element{}, order: list.New()}
}

func (l *lru[V]) get(key int64) *entry[V] {
	e := l.entries[key]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[V])
}

func (l *lru[V]) put(key int64, value *V, at time.Time) {
	l.drop(key)
	for l.order.Len() >= l.limit {
		l.drop(l.order.Back().Value.(*entry[V]).key)
	}
	l.entries[key] = l.order.PushFront(&entry[V]{key: key, value: value, at: at})
}

func (l *lru[V]) drop(key int64) {
	if e := l.entries[key]; e != nil {
		l.order.Remove(e)
		delete(l.entries, key)
	}
}

func (l *lru[V]) len() int { return l.order.Len() }

// each visits all values, the most recently used first.
func (l *lru[V]) each(visit func(v *V)) {
	for e := l.order.Front(); e != nil; e = e.Next() {
		visit(e.Value.(*entry[V]).value)
	}
}
