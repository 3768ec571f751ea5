package catalog

import (
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// entry is what the catalog last said about a key.
type entry[K comparable, V any] struct {
	key        K
	value      V
	at         time.Time // when it said so
	next, prev *entry[K, V]
}

// lru is a bounded map that forgets what has not been used for longest.
type lru[K comparable, V any] struct {
	max     int
	entries map[K]*entry[K, V]
	ring    entry[K, V] // its next is the most recently used, its prev the least
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	l := &lru[K, V]{max: max(limit, 1), entries: map[K]*entry[K, V]{}}
	l.ring.next, l.ring.prev = &l.ring, &l.ring
	return l
}

func (l *lru[K, V]) get(key K) *entry[K, V] {
	e := l.entries[key]
	if e != nil {
		l.unlink(e)
		l.push(e)
	}
	return e
}

func (l *lru[K, V]) put(key K, value V, at time.Time) {
	e := l.entries[key]
	if e != nil {
		l.unlink(e)
	} else {
		for len(l.entries) >= l.max {
			l.drop(l.ring.prev.key)
		}
		e = &entry[K, V]{key: key}
		l.entries[key] = e
	}
	e.value, e.at = value, at
	l.push(e)
}

func (l *lru[K, V]) drop(key K) {
	if e := l.entries[key]; e != nil {
		l.unlink(e)
		delete(l.entries, key)
	}
}

func (l *lru[K, V]) unlink(e *entry[K, V]) { e.prev.next, e.next.prev = e.next, e.prev }

func (l *lru[K, V]) push(e *entry[K, V]) {
	e.next, e.prev = l.ring.next, &l.ring
	e.next.prev, l.ring.next = e, e
}

// cache is what is known of one kind of thing: what is there and what is not, bounded apart, so that a flood of wrong
// keys does not push out the right ones. Under the resolver's lock.
type cache[K comparable, V any] struct {
	found   *lru[K, V]
	missing *lru[K, struct{}]
	flights map[K]*rt.Future[V] // questions under way: one at a time for each key
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{found: newLRU[K, V](limit), missing: newLRU[K, struct{}](limit), flights: map[K]*rt.Future[V]{}}
}
