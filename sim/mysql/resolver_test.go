package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// change is one step of a catalog that changes under a resolver's eyes.
type change struct {
	Kind  string
	Name  int
	After time.Duration
}

// TestResolverOnAChangingCatalog: datasets are created, deleted and created again by others, the server fails, hangs and
// restarts, and a resolver's readers ask all the time. Whatever it answers was true at most CacheFor, the refresh and a
// fault's length before, never waits longer than a question may take, and after the last fault it is right.
func TestResolverOnAChangingCatalog(t *testing.T) {
	t.Parallel()
	one := rapid.Custom(func(t *rapid.T) change {
		return change{
			Kind:  rapid.SampledFrom([]string{"recreate", "recreate", "delete", "kill", "pause", "errors", "slow", "none"}).Draw(t, "kind"),
			Name:  rapid.IntRange(0, 2).Draw(t, "name"),
			After: time.Duration(rapid.IntRange(0, 8000).Draw(t, "ms")) * time.Millisecond,
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		changes := rapid.SliceOfN(one, 0, 12).Draw(rt, "changes")
		w := newWorld(t, seed, Config{})
		var failed error
		w.run(func(ctx context.Context) {
			failed = resolving(ctx, w, changes)
		})
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

// history is when each ID of a name was the right one.
type history struct {
	ids   []int64
	until []time.Duration // of each but the last
}

func (h *history) current() int64 {
	if len(h.ids) == 0 {
		return 0
	}
	return h.ids[len(h.ids)-1]
}

func (h *history) set(id int64, now time.Duration) {
	if len(h.ids) > 0 {
		h.until = append(h.until, now)
	}
	h.ids = append(h.ids, id)
}

func resolving(ctx context.Context, w *world, changes []change) error {
	names := []string{"one", "two", "three"}
	team := w.team(ctx)
	truth := make([]history, len(names))
	for i := range truth {
		truth[i].set(0, 0)
	}
	v := catalog.New(w.q, w.d, catalog.Config{Spread: 2, Partitions: 5}, nil)
	w.q.Go("run", func(ctx context.Context) { _ = v.Run(ctx) })
	var failed error
	faultEnded := time.Duration(0)
	stop := false
	for i, name := range names {
		w.q.Go("reader", func(ctx context.Context) {
			for !stop && failed == nil {
				began := w.sim.Now()
				ds, err := v.Dataset(ctx, team.ID, name)
				if took := w.sim.Now() - began; took > 4*time.Second {
					failed = fmt.Errorf("%s: answered after %v", name, took)
				}
				switch {
				case err == nil:
					for j, id := range truth[i].ids {
						if ended := j < len(truth[i].until); id == ds.ID && ended && began > max(truth[i].until[j], faultEnded)+15*time.Second {
							failed = fmt.Errorf("%s: answered with %d at %v, which ended at %v (the last fault at %v)", name, ds.ID, began, truth[i].until[j], faultEnded)
						}
					}
				case !errors.Is(err, port.ErrNotFound) && !errors.Is(err, catalog.ErrAway):
					failed = fmt.Errorf("%s: %w", name, err)
				}
				_ = w.q.Sleep(ctx, 50*time.Millisecond)
			}
		})
	}
	for _, c := range changes {
		w.sleep(ctx, c.After)
		switch c.Kind {
		case "kill":
			w.srv.Kill()
		case "pause":
			w.srv.Pause()
		case "errors":
			w.srv.SetErrors(0.5)
		case "slow":
			w.srv.SetSlow(2 * time.Second)
		case "recreate", "delete":
			h := &truth[c.Name]
			id := h.current()
			for id != 0 {
				if err := w.c.DeleteDataset(ctx, id); err == nil || errors.Is(err, port.ErrNotFound) {
					h.set(0, w.sim.Now())
					break
				}
				w.sleep(ctx, time.Second)
			}
			for c.Kind == "recreate" {
				if ds, _, err := w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: names[c.Name], Spread: 2, Of: 5}); err == nil {
					h.set(ds.ID, w.sim.Now())
					break
				}
				w.sleep(ctx, time.Second)
			}
		}
		if c.Kind == "kill" || c.Kind == "pause" || c.Kind == "errors" || c.Kind == "slow" {
			faultEnded = time.Hour
			w.sleep(ctx, 5*time.Second)
			w.srv.Start()
			w.srv.Resume()
			w.srv.SetErrors(0)
			w.srv.SetSlow(0)
			faultEnded = w.sim.Now() + 5*time.Second // boot, and until it is noticed
		}
	}
	w.sleep(ctx, 25*time.Second)
	stop = true
	if failed != nil {
		return failed
	}
	if v.Away() {
		return errors.New("the catalog is back and the resolver did not notice")
	}
	for i, name := range names {
		ds, err := v.Dataset(ctx, team.ID, name)
		if ds.ID != truth[i].current() {
			return fmt.Errorf("%s: at the end %d (%w), expected %d", name, ds.ID, err, truth[i].current())
		}
	}
	return nil
}

// TestResolversCreateOnce: several processes that use a dataset for the first time at once agree on it, also while every
// other answer is lost.
func TestResolversCreateOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newWorld(t, seed, Config{})
		w.run(func(ctx context.Context) {
			team := w.team(ctx)
			w.srv.SetErrors(0.4)
			group := rt.NewQueue[int64](w.p, 0)
			for i := range 10 {
				p, c := w.p, w.c
				if i%2 == 1 {
					p, c = w.q, w.d
				}
				v := catalog.New(p, c, catalog.Config{Spread: 1, Partitions: 3}, nil)
				p.Go("writer", func(ctx context.Context) {
					for {
						if ds, err := v.DatasetForWrite(ctx, team.ID, "new"); err == nil {
							group.TryPush(ds.ID)
							return
						}
						_ = p.Sleep(ctx, 600*time.Millisecond)
					}
				})
			}
			for range 10 {
				if id, err := group.Pop(ctx); err != nil || id != w.srv.db.places[place{team.ID, "new"}].ID {
					t.Errorf("seed %d: %d, %v", seed, id, err)
				}
			}
			if n := len(w.srv.db.datasets); n != 1 {
				t.Errorf("seed %d: %d datasets", seed, n)
			}
		})
	}
}
