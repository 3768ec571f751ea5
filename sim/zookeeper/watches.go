package zookeeper

import "slices"

// watchKind is what a client's watch waits for. Servers keep data and existence watches together.
type watchKind uint8

const (
	watchData watchKind = iota + 1
	watchExist
	watchChildren
)

// watchKey names a watch of one client.
type watchKey struct {
	kind watchKind
	path string
}

// watchTable holds the one-shot watches of the clients connected to one server.
type watchTable struct {
	data, children map[string][]*clientConn // in order of registration
}

func newWatchTable() watchTable {
	return watchTable{data: map[string][]*clientConn{}, children: map[string][]*clientConn{}}
}

func (w *watchTable) set(kind watchKind, path string, c *clientConn) {
	m := w.data
	if kind == watchChildren {
		m = w.children
	}
	if !slices.Contains(m[path], c) {
		m[path] = append(m[path], c)
		c.watched = append(c.watched, watchKey{kind, path})
	}
}

// drop forgets a connection.
func (w *watchTable) drop(c *clientConn) {
	for _, k := range c.watched {
		m := w.data
		if k.kind == watchChildren {
			m = w.children
		}
		if left := slices.DeleteFunc(m[k.path], func(o *clientConn) bool { return o == c }); len(left) > 0 {
			m[k.path] = left
		} else {
			delete(m, k.path)
		}
	}
	c.watched = nil
}

// fire tells those who watch a changed path, once.
func (w *watchTable) fire(change changeKind, path string) {
	var told []*clientConn
	take := func(m map[string][]*clientConn, kinds ...watchKind) {
		conns := m[path]
		delete(m, path)
		for _, c := range conns {
			c.watched = slices.DeleteFunc(c.watched, func(k watchKey) bool { return k.path == path && slices.Contains(kinds, k.kind) })
			if !slices.Contains(told, c) { // one event for a deletion, whichever watches there were
				told = append(told, c)
				c.event(change, path)
			}
		}
	}
	if change != changeChildren {
		take(w.data, watchData, watchExist)
	}
	if change == changeChildren || change == changeDeleted {
		take(w.children, watchChildren)
	}
}
