package shepherd

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

func batchFrom(key, dataset string, n int) Request {
	req := batchOf(n)
	req.Team, req.Dataset = key, dataset
	return req
}

// stuckTeam fills what team "key" may have in flight while its dataset's partitions hang, and lets all others work.
func stuckTeam(t *testing.T, b *bench) (accepted int) {
	t.Helper()
	b.dir.on(func(d *fakeDirectory) {
		d.datasets["stuck"] = port.Dataset{ID: 1, Team: 1, Name: "stuck", Partitions: []int32{0, 1}}
		d.datasets["fine"] = port.Dataset{ID: 2, Team: 2, Name: "fine", Partitions: []int32{2, 3}}
	})
	b.log.on(func(p int32) error {
		if p < 2 {
			return errHang
		}
		return nil
	})
	ctx, stop := context.WithCancel(context.Background())
	stop() // nobody waits for an answer
	for range 300 {
		for _, s := range b.Accept(ctx, batchFrom("key", "stuck", 10)).Statuses {
			if s.Code == Unknown {
				accepted++
			}
		}
	}
	return accepted
}

func TestStuckTeamCostsNobodyElseItsAcceptance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		bugs   []string
		others int
	}{
		"events bound":             {func(c *Config) { c.MaxInFlightEvents = 300 }, nil, Accepted},
		"bytes bound":              {func(c *Config) { c.MaxInFlightBytes = 20_000 }, nil, Accepted},
		"one bound for everybody":  {func(c *Config) { c.MaxInFlightEvents = 300 }, []string{planted.ShedAllTenants}, Throttled},
		"one for everybody, bytes": {func(c *Config) { c.MaxInFlightBytes = 20_000 }, []string{planted.ShedAllTenants}, Throttled},
	} {
		b := newBench(t, 4, func(cfg *Config) {
			cfg.SickAfter = time.Hour // it is not yet known that the partitions hang
			c.change(cfg)
		}, c.bugs...)
		if n := stuckTeam(t, b); n == 0 || n == 3000 {
			t.Errorf("%s: %d of 3000 events of the stuck team were let in", name, n)
		}
		for range 50 {
			if s := b.Accept(context.Background(), batchFrom("key2", "fine", 30)).Statuses[29]; s.Code != c.others {
				t.Fatalf("%s: the other team got %+v", name, s)
			}
		}
		h := b.Health()
		if h.PeakEvents > h.MaxInFlightEvents || h.PeakBytes > h.MaxInFlightBytes {
			t.Errorf("%s: above the bound: %+v", name, h)
		}
		if len(c.bugs) == 0 && (h.InFlightEvents > h.MaxInFlightEvents/2 && h.InFlightBytes > h.MaxInFlightBytes/2 || b.seen.count(port.EventTenantShed) == 0 || b.seen.count(port.EventShed) != 0) {
			t.Errorf("%s: the stuck team holds more than its share: %+v, announced %d and %d times", name, h, b.seen.count(port.EventTenantShed), b.seen.count(port.EventShed))
		}
		if top := h.Teams[0]; top.Name != "one" || top.InFlightEvents != h.InFlightEvents || top.Shed == 0 {
			t.Errorf("%s: teams %+v", name, h.Teams)
		}
		b.log.settle(errUnknown)
		if h := b.Health(); h.InFlightEvents != 0 || h.InFlightBytes != 0 || h.Teams[0].InFlightBytes != 0 {
			t.Errorf("%s: left in flight: %+v", name, h)
		}
	}
}

func TestPlantedUnboundedQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, func(c *Config) { c.MaxInFlightEvents = 100; c.SickAfter = time.Hour }, planted.UnboundedQueue)
	if n := stuckTeam(t, b); n != 3000 {
		t.Errorf("%d events let in, expected all 3000", n)
	}
	if h := b.Health(); h.PeakEvents != 3000 || h.MaxInFlightEvents != 100 {
		t.Errorf("the peak does not show it: %+v", h)
	}
	b.log.settle(errUnknown)
}

// TestSharesAreFairAndBounded takes and gives room at random for teams of which some never give any back.
func TestSharesAreFairAndBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.05, 0.9).Draw(t, "share")
		s := &Shepherd{cfg: Config{MaxInFlightEvents: 1 << 20, MaxInFlightBytes: 1 << 30, TeamShare: share}, tenants: newRecent(100, (*tenant).busy)}
		teams := make([]*tenant, 4)
		taken := make([][]load, len(teams))
		for i := range teams {
			teams[i] = s.enter(port.Team{ID: int64(i)})
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, len(teams)-1).Draw(t, "team")
			if n := len(taken[i]); n > 0 && i != 0 && rapid.Bool().Draw(t, "give back") { // team 0 is stuck
				s.release(teams[i], taken[i][n-1])
				taken[i] = taken[i][:n-1]
				continue
			}
			l := load{rapid.Int64Range(0, 1<<17).Draw(t, "events"), rapid.Int64Range(0, 1<<27).Draw(t, "bytes")}
			if s.reserve(teams[i], l) == room {
				taken[i] = append(taken[i], l)
			}
			h := s.Health()
			if h.InFlightEvents > s.cfg.MaxInFlightEvents || h.InFlightBytes > s.cfg.MaxInFlightBytes {
				t.Fatalf("above the bound: %+v", h)
			}
			if held := teams[i].held; float64(held.events) > share*(1<<20) || float64(held.bytes) > share*(1<<30) {
				t.Fatalf("team %d holds %+v, more than %g of all", i, held, share)
			}
		}
		// However it went, somebody new finds room: each of the n teams has left at least 1-share of what it found.
		free := float64(s.cfg.MaxInFlightEvents - s.inflight.events)
		if least := float64(1<<20) * pow(1-share, len(teams)); free < least-1 {
			t.Fatalf("%g events of room left, expected at least %g", free, least)
		}
		if n := int64(free * share / 2); s.reserve(s.enter(port.Team{ID: 99}), load{events: n}) != room {
			t.Fatalf("no room for %d events of a new team with %g free", n, free)
		}
		for i := range teams {
			for _, l := range taken[i] {
				s.release(teams[i], l)
			}
			if teams[i].held != (load{}) {
				t.Fatalf("team %d holds %+v in the end", i, teams[i].held)
			}
		}
	})
}

func pow(x float64, n int) float64 {
	y := 1.0
	for range n {
		y *= x
	}
	return y
}

func TestTheLargestHolderIsShedFirst(t *testing.T) {
	t.Parallel()
	s := &Shepherd{cfg: Config{MaxInFlightEvents: 1000, MaxInFlightBytes: 1000, TeamShare: 0.5}, tenants: newRecent(100, (*tenant).busy)}
	large, small := s.enter(port.Team{ID: 1}), s.enter(port.Team{ID: 2})
	for s.reserve(large, load{events: 1}) == room {
	}
	if large.held.events != 500 {
		t.Fatalf("alone it holds %d of 1000", large.held.events)
	}
	for s.reserve(small, load{events: 1}) == room {
	}
	if small.held.events != 250 || s.reserve(large, load{events: 1}) != shareFull {
		t.Errorf("the second holds %d, expected half of what was free", small.held.events)
	}
	s.release(large, load{events: 300})
	for s.reserve(small, load{events: 1}) == room {
	}
	for s.reserve(large, load{events: 1}) == room {
	}
	if d := small.held.events - large.held.events; d < 0 || s.inflight.events > 1000 {
		t.Errorf("%d and %d", small.held.events, large.held.events)
	}
	if v := s.reserve(large, load{bytes: 2000}); v != allFull {
		t.Errorf("more than there is: %v", v)
	}
}

func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newRecent(5, func(busy *bool) bool { return *busy })
		var order []int64 // the newest first
		used := map[int64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			id := rapid.Int64Range(0, 12).Draw(t, "id")
			was := slices.Contains(order, id)
			v, fresh := r.get(id)
			if fresh == was {
				t.Fatalf("%d is fresh: %v, though remembered: %v", id, fresh, was)
			}
			if fresh && *v {
				t.Fatal("a fresh entry is not zero")
			}
			order = slices.Insert(slices.DeleteFunc(order, func(x int64) bool { return x == id }), 0, id)
			if fresh { // the oldest that nobody uses have gone
				for i := len(order) - 1; i > 0 && len(order) > 5; i-- {
					if !used[order[i]] {
						order = slices.Delete(order, i, i+1)
					}
				}
			}
			*v = rapid.Bool().Draw(t, "busy")
			used[id] = *v
			if i := slices.IndexFunc(order, func(x int64) bool { return r.byID[x] == nil }); i >= 0 {
				t.Fatalf("%d was dropped, expected %v", order[i], order)
			}
			n := 0
			r.each(func(*bool) { n++ })
			if n != len(order) || n != len(r.byID) {
				t.Fatalf("%d linked, %d in the map, expected %v", n, len(r.byID), order)
			}
		}
	})
}

func TestManyTeamsAreBounded(t *testing.T) {
	t.Parallel()
	s := &Shepherd{cfg: DefaultConfig(), tenants: newRecent(10, (*tenant).busy), datasets: newRecent(10, func(*dataset) bool { return false })}
	busy := s.enter(port.Team{ID: 1})
	for id := range int64(1000) {
		s.leave(s.enter(port.Team{ID: id + 2}))
	}
	if n := len(s.tenants.byID); n != 10 || s.enter(port.Team{ID: 1}) != busy {
		t.Errorf("%d teams kept, the one that is busy among them: %v", n, s.enter(port.Team{ID: 1}) == busy)
	}
	if n := len(s.Health().Teams); n > mostTeamsTold {
		t.Errorf("%d teams told", n)
	}
}
