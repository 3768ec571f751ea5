package zookeeper

import (
	"slices"
	"time"
)

// tracker is the leader's clock over all sessions. Deadlines are rounded up to whole ticks, as ZooKeeper's ExpiryQueue
// does, so a session lives up to one tick longer than its timeout.
type tracker struct {
	tick time.Duration
	ids  []int64 // in order of creation
	by   map[int64]*tracked
}

type tracked struct {
	timeout time.Duration
	expires time.Duration // virtual time
	owner   int           // the server its client is connected to; 0: not known since the leader changed
	ending  bool          // a closing transaction has been proposed
}

func newTracker(tick time.Duration) *tracker { return &tracker{tick: tick, by: map[int64]*tracked{}} }

func (t *tracker) add(id int64, timeout time.Duration, owner int, now time.Duration) {
	if t.by[id] == nil {
		t.ids = append(t.ids, id)
		t.by[id] = &tracked{timeout: timeout, owner: owner}
	}
	t.touch(id, now)
}

func (t *tracker) remove(id int64) {
	if t.by[id] != nil {
		delete(t.by, id)
		t.ids = slices.DeleteFunc(t.ids, func(o int64) bool { return o == id })
	}
}

// touch gives a session its whole timeout again. It reports false if there is no such session.
func (t *tracker) touch(id int64, now time.Duration) bool {
	s := t.by[id]
	if s == nil || s.ending {
		return false
	}
	s.expires = (now+s.timeout)/t.tick*t.tick + t.tick
	return true
}

// adopt notes that a session's client is now connected to the given server.
func (t *tracker) adopt(id int64, server int, now time.Duration) bool {
	if !t.touch(id, now) {
		return false
	}
	t.by[id].owner = server
	return true
}

// check says whether a request of a session that came through the given server may be proposed.
func (t *tracker) check(id int64, server int) code {
	s := t.by[id]
	switch {
	case s == nil || s.ending:
		return codeSessionExpired
	case s.owner == 0:
		s.owner = server
	case s.owner != server:
		return codeSessionMoved
	}
	return codeOK
}

func (t *tracker) closing(id int64) { t.by[id].ending = true }

// expire returns the sessions whose time is up, each once.
func (t *tracker) expire(now time.Duration) []int64 {
	var out []int64
	for _, id := range t.ids {
		if s := t.by[id]; !s.ending && s.expires <= now {
			s.ending = true
			out = append(out, id)
		}
	}
	return out
}
