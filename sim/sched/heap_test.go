package sched

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHeapModel: entries leave in order of time and arming, also after stale ones were thrown out.
func TestHeapModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var h heap
		var model []entry
		seq := uint64(0)
		for _, op := range rapid.SliceOfN(rapid.IntRange(0, 5), 1, 200).Draw(t, "ops") {
			switch {
			case op < 3:
				seq++
				e := entry{at: rapid.Int64Range(0, 20).Draw(t, "at"), seq: seq, slot: uint32(seq)}
				h.push(e)
				model = append(model, e)
			case op < 5:
				if len(model) == 0 {
					continue
				}
				least := slices.MinFunc(model, func(a, b entry) int {
					if a.before(b) {
						return -1
					}
					return 1
				})
				if got := h.pop(); got != least {
					t.Fatalf("popped %v instead of %v", got, least)
				}
				model = slices.DeleteFunc(model, func(e entry) bool { return e == least })
			default:
				modulus := rapid.Uint32Range(2, 5).Draw(t, "modulus")
				live := func(e entry) bool { return e.slot%modulus != 0 }
				h.keep(live)
				model = slices.DeleteFunc(model, func(e entry) bool { return !live(e) })
			}
			if len(h) != len(model) {
				t.Fatalf("%d entries, the model has %d", len(h), len(model))
			}
		}
	})
}

// TestTimeoutsCostNoHeapEntries: neither timeouts that do not happen nor stopped timers nor cancelled sleeps pile up.
func TestTimeoutsCostNoHeapEntries(t *testing.T) {
	t.Parallel()
	s := New(1)
	defer s.Close()
	p := s.Process("p")
	most := 0
	p.Go("timeouts", func(ctx context.Context) {
		k := p.NewParker()
		for range 10_000 {
			one, cancel := p.WithTimeout(ctx, time.Hour)
			s.After(time.Millisecond, k.Wake)
			if err := k.Park(one); err != nil {
				t.Error(err)
			}
			cancel()
			most = max(most, len(s.timers))
		}
	})
	if err := s.Run(0); err != nil {
		t.Fatal(err)
	}
	if most > 3 {
		t.Errorf("%d entries for one task with one timeout", most)
	}
	most = 0
	p.Go("stopped", func(ctx context.Context) {
		for range 10_000 {
			s.After(time.Hour, func() {}).Stop()
			one, cancel := p.WithCancel(ctx)
			s.After(time.Millisecond, cancel)
			_ = p.Sleep(one, time.Hour)
			most = max(most, len(s.timers))
		}
	})
	if err := s.Run(0); err != nil {
		t.Fatal(err)
	}
	if most > 600 {
		t.Errorf("%d entries although all but a few are stale", most)
	}
	if s.stale < 0 || s.stale > len(s.timers) {
		t.Errorf("%d stale entries of %d", s.stale, len(s.timers))
	}
}

// TestTimersOfOneInstant: what was armed for an instant before it came goes first, then what was armed during it, in order and without what was stopped.
func TestTimersOfOneInstant(t *testing.T) {
	t.Parallel()
	s := New(1)
	defer s.Close()
	var fired []string
	note := func(what string) func() { return func() { fired = append(fired, what) } }
	s.After(time.Millisecond, func() {
		s.After(0, func() {
			note("third")()
			s.After(-time.Second, note("fourth"))
		})
		s.After(0, note("stopped")).Stop()
		for range 1000 { // enough for stale entries to be thrown out
			s.After(0, note("stopped")).Stop()
		}
		note("first")()
	})
	s.After(time.Millisecond, note("second"))
	if err := s.Run(0); err != nil {
		t.Fatal(err)
	}
	if want := []string{"first", "second", "third", "fourth"}; !slices.Equal(fired, want) {
		t.Errorf("fired %q, expected %q", fired, want)
	}
	if s.stale != 0 || s.due.len() != 0 {
		t.Errorf("%d stale entries, %d due", s.stale, s.due.len())
	}
}
