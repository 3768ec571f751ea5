package lock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/lock"
	"github.com/ratel-sim/ratel/system/lock/locktest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	timeout = 6 * time.Second
	path    = "/ratel/locks/trigger"
)

// bench is an ensemble and a process in a bubble of virtual time.
type bench struct {
	*locktest.Ensemble
	t         testing.TB
	wall      *rt.Wall
	processes []*rt.Wall
}

func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Ensemble: locktest.New(), t: t, wall: rt.NewWall(1)}
		test(t, b)
		for _, p := range append(b.processes, b.wall) {
			p.Kill()
			p.Wait()
		}
	})
}

func (b *bench) lock(name string, bugs ...string) *lock.Lock {
	set, err := planted.Parse(bugs...)
	if err != nil {
		b.t.Fatal(err)
	}
	p := rt.NewWall(uint64(len(b.processes)))
	b.processes = append(b.processes, p)
	l, err := lock.New(p, b.Client(p, name), "trigger", name, timeout, set)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// acquire must succeed within a time.
func (b *bench) acquire(l *lock.Lock, within time.Duration) *lock.Held {
	b.t.Helper()
	ctx, cancel := b.wall.WithTimeout(context.Background(), within)
	defer cancel()
	h, err := l.Acquire(ctx)
	if err != nil {
		b.t.Fatalf("not acquired within %v: %v", within, err)
	}
	return h
}

// waits tries to acquire in the background.
func (b *bench) waits(l *lock.Lock) *rt.Future[*lock.Held] {
	f := rt.NewFuture[*lock.Held](b.wall)
	b.wall.Go("acquire", func(ctx context.Context) { f.Complete(l.Acquire(ctx)) })
	return f
}

func (b *bench) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func lost(h *lock.Held) error {
	why, _, _ := h.Lost.Peek()
	return why
}

func TestHandedOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		first := b.acquire(b.lock("a"), time.Second)
		var waiting []*rt.Future[*lock.Held]
		for i := range 3 {
			waiting = append(waiting, b.waits(b.lock(fmt.Sprint("b", i))))
			b.sleep(time.Second)
		}
		last := first
		for i, f := range waiting {
			b.sleep(time.Minute)
			if f.Done() || last.Err() != nil || lost(last) != nil {
				t.Fatalf("waiter %d has it: %v, the holder is told %v", i, f.Done(), last.Err())
			}
			last.Release(context.Background())
			if err := last.Err(); !errors.Is(err, lock.ErrReleased) {
				t.Errorf("released, and told %v", err)
			}
			b.sleep(time.Millisecond)
			next, _, done := f.Peek()
			if !done || next.Epoch <= last.Epoch {
				t.Fatalf("waiter %d: done %v, %+v after epoch %d", i, done, next, last.Epoch)
			}
			last = next
		}
		if n := len(b.Children(path)); n != 1 {
			t.Errorf("%d znodes are left, expected the holder's alone", n)
		}
	})
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string][2]int{"with effect": {1, 0}, "without": {0, 1}, "both": {2, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				b.acquire(b.lock("first"), time.Second).Release(context.Background()) // makes the parents
				b.LoseCreations(lose[0], lose[1])
				h := b.acquire(b.lock("a"), 5*time.Second)
				if n := len(b.Children(path)); n != 1 {
					t.Errorf("%d znodes, expected its own alone", n)
				}
				other := b.waits(b.lock("b"))
				h.Release(context.Background())
				b.sleep(time.Second)
				if !other.Done() {
					t.Error("the other has it not")
				}
			})
		})
	}
}

// TestOrphanEphemeral: with the bug, who loses one answer waits for itself, and so does everybody else.
func TestOrphanEphemeral(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.acquire(b.lock("first"), time.Second).Release(context.Background())
		b.LoseCreations(1, 0)
		a := b.waits(b.lock("a", planted.OrphanEphemeral))
		b.sleep(time.Second)
		other := b.waits(b.lock("b", planted.OrphanEphemeral))
		b.sleep(time.Hour)
		if a.Done() || other.Done() {
			t.Error("somebody has the lock")
		}
	})
}

func TestExpired(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		l := b.lock("a")
		h := b.acquire(l, time.Second)
		other := b.waits(b.lock("b"))
		b.sleep(time.Second)
		b.Expire("a")
		b.sleep(time.Millisecond)
		if !errors.Is(lost(h), port.ErrSessionExpired) || h.Err() == nil {
			t.Errorf("told %v", lost(h))
		}
		next, _, done := other.Peek()
		if !done {
			t.Fatal("the other has it not")
		}
		h.Release(context.Background())
		again := b.waits(l)
		b.sleep(time.Second)
		next.Release(context.Background())
		b.sleep(time.Second)
		if third, _, done := again.Peek(); !done || third.Epoch <= next.Epoch || next.Epoch <= h.Epoch {
			t.Errorf("acquired again: %v, epochs %d, %d, %+v", done, h.Epoch, next.Epoch, third)
		}
	})
}

// TestWaiterExpires: one that waits begins anew with another session.
func TestWaiterExpires(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		h := b.acquire(b.lock("a"), time.Second)
		other := b.waits(b.lock("b"))
		b.sleep(time.Second)
		b.Expire("b")
		b.sleep(time.Second)
		if n := len(b.Children(path)); n != 2 {
			t.Errorf("%d znodes, expected 2", n)
		}
		h.Release(context.Background())
		b.sleep(time.Second)
		if !other.Done() {
			t.Error("it has the lock not")
		}
	})
}

// TestCutOff: a holder without contact gives up before its session can have expired, and one that has contact again in time
// does not.
func TestCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		h := b.acquire(b.lock("a"), time.Second)
		b.sleep(10 * time.Second)
		for range 20 {
			b.Cut("a", true)
			b.sleep(4 * time.Second)
			b.Cut("a", false)
			b.sleep(300 * time.Millisecond)
			if err := h.Err(); err != nil {
				t.Fatalf("it was away for 4 s of %v, and is told %v", timeout, err)
			}
		}
		b.Cut("a", true)
		b.sleep(timeout)
		if err := lost(h); !errors.Is(err, lock.ErrNoContact) || h.Err() == nil {
			t.Errorf("told %v", err)
		}
	})
}

// TestStalled: one that was stalled finds out by its own clock, before anybody has told it.
func TestStalled(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := &stalled{Runtime: b.wall}
		l, err := lock.New(r, b.Client(r, "a"), "trigger", "a", timeout, planted.Set{})
		if err != nil {
			t.Fatal(err)
		}
		h := b.acquire(l, time.Second)
		r.stall = timeout + time.Second // no task has run meanwhile
		if err := h.Err(); !errors.Is(err, lock.ErrNoContact) || lost(h) != nil {
			t.Errorf("Err says %v, Lost %v", err, lost(h))
		}
	})
}

type stalled struct {
	rt.Runtime
	stall time.Duration
}

func (s *stalled) Now() time.Time { return s.Runtime.Now().Add(s.stall) }

func TestRemoved(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		h := b.acquire(b.lock("a"), time.Second)
		b.Remove(path + "/" + b.Children(path)[0])
		b.sleep(timeout)
		if err := lost(h); !errors.Is(err, lock.ErrGone) {
			t.Errorf("told %v", err)
		}
	})
}

// TestPlanted: with either bug the holder is not told, and two have the lock.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{planted.SessionLossUnnoticed, planted.LeaderWithoutZnode} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				h := b.acquire(b.lock("a", bug), time.Second)
				other := b.waits(b.lock("b", bug))
				b.sleep(time.Second)
				b.Expire("a")
				b.sleep(time.Minute)
				second, _, done := other.Peek()
				if !done || second.Err() != nil || h.Err() != nil {
					t.Errorf("the other has it: %v; the first is told %v", done, h.Err())
				}
				h.Release(context.Background()) // gives nothing of the other's away
				b.sleep(time.Second)
				if second.Err() != nil || len(b.Children(path)) != 1 {
					t.Errorf("told %v, %d znodes", second.Err(), len(b.Children(path)))
				}
			})
		})
	}
}

// candidate is one of those that want the lock, in the property below.
type candidate struct {
	name   string
	holder *lock.Held
	cut    time.Time // since when it is cut off
}

// TestOneHolder: whatever is lost, cut off or expires as a real ensemble would, at most one believes to hold the lock, its
// epoch is higher than all before, and the lock is had again once nothing is in the way.
func TestOneHolder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 29), 1, 60).Draw(rt, "steps")
		failed := ""
		inBubble(t, func(t *testing.T, b *bench) { failed = b.play(steps) })
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

func (b *bench) play(steps []int) (failed string) {
	all := []*candidate{{name: "a"}, {name: "b"}, {name: "c"}}
	epoch := int64(0)
	var mu sync.Mutex
	for _, c := range all {
		l := b.lock(c.name)
		b.wall.Go(c.name, func(ctx context.Context) {
			for {
				h, err := l.Acquire(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				if h.Epoch <= epoch {
					failed = fmt.Sprintf("%s has epoch %d after %d", c.name, h.Epoch, epoch)
				}
				epoch, c.holder = h.Epoch, h
				mu.Unlock()
				_, _ = h.Lost.Wait(ctx)
				mu.Lock()
				c.holder = nil
				mu.Unlock()
				h.Release(ctx)
			}
		})
	}
	for _, step := range steps {
		c := all[step%3]
		switch step / 3 {
		case 0, 1, 2:
			b.sleep(time.Duration(step) * 300 * time.Millisecond)
		case 3:
			b.LoseCreations(1, 0)
		case 4:
			b.LoseCreations(1, 1)
		case 5:
			if c.cut.IsZero() {
				b.Cut(c.name, true)
				c.cut = time.Now()
			}
		case 6, 7:
			// The ensemble expires a session after the timeout, and tells those that ask.
			if !c.cut.IsZero() && time.Since(c.cut) >= timeout {
				b.Expire(c.name)
			}
			b.Cut(c.name, false)
			c.cut = time.Time{}
		case 8:
			if !c.cut.IsZero() {
				b.sleep(timeout)
				b.Expire(c.name)
			}
		case 9:
			if c.cut.IsZero() {
				b.Expire(c.name)
				b.sleep(100 * time.Millisecond) // one that is just asking has its answer by then
			}
		}
		synctest.Wait()
		holders := ""
		mu.Lock()
		for _, c := range all {
			if c.holder != nil && c.holder.Err() == nil {
				holders += c.name
			}
		}
		mu.Unlock()
		if len(holders) > 1 {
			return "held by " + holders
		}
	}
	for _, c := range all {
		b.Cut(c.name, false)
	}
	b.sleep(30 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	for _, c := range all {
		if c.holder != nil {
			return failed
		}
	}
	return "nobody holds the lock in the end"
}

func TestWrongSetups(t *testing.T) {
	t.Parallel()
	w := rt.NewWall(1)
	zk := locktest.New().Client(w, "a")
	for name, make := range map[string]func() (*lock.Lock, error){
		"no ensemble": func() (*lock.Lock, error) { return lock.New(w, nil, "x", "a", timeout, planted.Set{}) },
		"a path":      func() (*lock.Lock, error) { return lock.New(w, zk, "x/y", "a", timeout, planted.Set{}) },
		"no name":     func() (*lock.Lock, error) { return lock.New(w, zk, "", "a", timeout, planted.Set{}) },
		"no timeout":  func() (*lock.Lock, error) { return lock.New(w, zk, "x", "a", 0, planted.Set{}) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
