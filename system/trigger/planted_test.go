package trigger_test

import (
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestInFlight: what a leader has begun when it loses the lock is not recorded, even if nobody else is there; with the
// planted bug it is, under the successor's epoch.
func TestInFlight(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{"", planted.LockWithoutFencing} {
		t.Run("bug "+bug, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, w *world) {
				var bugs []string
				if bug != "" {
					bugs = append(bugs, bug)
				}
				w.hold = rt.NewFuture[struct{}](w.wall)
				id := w.defineTrigger(nil)
				w.start("trigger1", bugs...)
				w.until(time.Second)
				b := w.start("trigger2", bugs...)
				w.until(time.Minute + 5500*time.Millisecond) // it has asked
				first := w.hold
				w.set(func() { w.hold = rt.NewFuture[struct{}](w.wall) })
				w.Expire("trigger1")
				w.until(time.Minute + 5600*time.Millisecond)
				if !b.Status().Leading {
					t.Fatal("the other does not lead")
				}
				first.Complete(struct{}{}, nil)
				w.until(time.Minute + 6*time.Second)
				w.hold.Complete(struct{}{}, nil)
				w.until(80 * time.Second)
				e := w.of(id, 1, 1)[0]
				if e.Epoch != b.Status().Epoch {
					t.Errorf("%+v", e)
				}
				if (e.By == "trigger1") != (bug != "") {
					t.Errorf("recorded by %s", e.By)
				}
			})
		})
	}
}

// TestUnfenced: while the data are stale, the leader is cut off from the ensemble alone. With the planted bug it goes on
// for a while, and some of that is recorded as if the successor had done it; without, the epoch is one node's.
func TestUnfenced(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{"", planted.LockWithoutFencing} {
		t.Run("bug "+bug, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, w *world) {
				var bugs []string
				if bug != "" {
					bugs = append(bugs, bug)
				}
				w.cfg.Parallel = 16
				for range 16 {
					w.defineTrigger(nil)
				}
				w.start("trigger1", bugs...)
				w.until(time.Second)
				b := w.start("trigger2", bugs...)
				w.until(50 * time.Second)
				w.set(func() { w.partial = true })
				w.until(64 * time.Second)
				w.Cut("trigger1", true)
				w.until(64*time.Second + w.cfg.SessionTimeout)
				w.Expire("trigger1")
				w.until(64*time.Second + w.cfg.SessionTimeout + 5*time.Second)
				w.set(func() { w.partial = false })
				w.until(100 * time.Second)
				mixed := 0
				for _, e := range w.evals {
					if e.Epoch != b.Status().Epoch || e.Stale {
						t.Errorf("%+v", e)
					}
					if e.By != "trigger2" {
						mixed++
					}
				}
				if len(w.evals) != 16 || (mixed > 0) != (bug != "") {
					t.Errorf("%d evaluations, %d of them by the one that was deposed", len(w.evals), mixed)
				}
			})
		})
	}
}

// TestTwoLead: with either bug in the lock, a leader whose session has expired goes on beside its successor, until it is
// fenced.
func TestTwoLead(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{planted.SessionLossUnnoticed, planted.LeaderWithoutZnode} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, w *world) {
				id := w.defineTrigger(nil)
				a := w.start("trigger1", bug)
				w.until(time.Second)
				b := w.start("trigger2", bug)
				w.until(70 * time.Second)
				w.Expire("trigger1")
				w.until(100 * time.Second)
				if !a.Status().Leading || !b.Status().Leading {
					t.Errorf("leading: %v, %v", a.Status().Leading, b.Status().Leading)
				}
				w.until(150 * time.Second)
				w.of(id, 1, 2)
				if a.Status().Leading || !b.Status().Leading {
					t.Errorf("after its next evaluation: %v, %v", a.Status().Leading, b.Status().Leading)
				}
			})
		})
	}
}

// TestNobodyLeads: with the bug, one lost answer is the end of alerting; without, it is nothing.
func TestNobodyLeads(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{"", planted.OrphanEphemeral} {
		t.Run("bug "+bug, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, w *world) {
				var bugs []string
				if bug != "" {
					bugs = append(bugs, bug)
				}
				id := w.defineTrigger(nil)
				w.LoseCreations(1, 0)
				w.start("trigger1", bugs...)
				w.until(time.Second)
				w.start("trigger2", bugs...)
				w.until(5*time.Minute + 30*time.Second)
				if bug != "" {
					w.of(id, 1, 0)
				} else {
					w.of(id, 1, 5)
				}
			})
		})
	}
}
