package shepherd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// datasetsIn lists the datasets of all chunks in the log.
func (f *fakeLog) datasetsIn(t testing.TB) []event.Dataset {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []event.Dataset
	for _, records := range f.stored {
		for _, rec := range records {
			c, err := event.DecodeChunk(rec.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(all, c.Dataset) {
				all = append(all, c.Dataset)
			}
		}
	}
	return all
}

func TestDatasetIsCreatedOnFirstUseAndFoundInAnyCase(t *testing.T) {
	t.Parallel()
	s := newStored(t, 6, func(c *Config) { c.Spread = 2 })
	s.run(t)
	for _, name := range []string{"My Data", "my data", "MY DATA"} {
		req := batchOf(3)
		req.Dataset = name
		if a := s.Accept(context.Background(), req); !slices.Equal(codes(a), []int{202, 202, 202}) {
			t.Fatalf("%s: %+v", name, a)
		}
	}
	if got := s.log.datasetsIn(t); !slices.Equal(got, []event.Dataset{{ID: 1, Name: "My Data"}}) {
		t.Errorf("chunks are of %v", got)
	}
	set := s.store.datasets[1].Partitions
	for _, p := range s.log.attempts() {
		if !slices.Contains(set, p) {
			t.Errorf("an event went to partition %d, its dataset's are %v", p, set)
		}
	}
	eventually(t, "columns are written", func() bool {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		return slices.Equal(s.store.columns[1], []port.Column{{Name: "n", Types: port.ColumnInt}, {Name: "text", Types: port.ColumnString}})
	})
	other := batchOf(1)
	other.Team, other.Dataset = "key2", "my data"
	if a := s.Accept(context.Background(), other); a.Statuses[0].Code != Accepted || len(s.log.datasetsIn(t)) != 2 {
		t.Errorf("%+v: another team's dataset of that name is another dataset: %v", a, s.log.datasetsIn(t))
	}
}

func TestUnknownKeyStoresNothing(t *testing.T) {
	t.Parallel()
	s := newStored(t, 2, nil)
	for range 5 {
		req := batchOf(1)
		req.Team = "wrong"
		if a := s.Accept(context.Background(), req); a.Code != 401 || a.Error != "unknown API key - check your credentials" {
			t.Fatalf("%+v", a)
		}
	}
	if len(s.log.attempts()) != 0 || len(s.store.datasets) != 0 || s.store.asked != 1 {
		t.Errorf("%d produces, %d datasets, %d look-ups", len(s.log.attempts()), len(s.store.datasets), s.store.asked)
	}
}

func TestCatalogAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]error{
		"refused":   fmt.Errorf("connection refused: %w", port.ErrRefused),
		"undecided": fmt.Errorf("connection lost: %w", port.ErrUnknown),
		"odd":       fmt.Errorf("something else"),
	} {
		s := newStored(t, 2, func(c *Config) { c.CacheFor = time.Millisecond })
		if a := s.Accept(context.Background(), batchOf(1)); a.Statuses[0].Code != Accepted {
			t.Fatalf("%s: %+v", name, a)
		}
		s.store.set(away)
		unknown := batchOf(2)
		unknown.Dataset = "another"
		if a := s.Accept(context.Background(), unknown); !slices.Equal(codes(a), []int{Refused, Refused}) || !strings.Contains(a.Statuses[0].Error, "not stored") {
			t.Errorf("%s: unknown dataset: %+v", name, a)
		}
		stranger := batchOf(2)
		stranger.Team = "key2"
		if a := s.Accept(context.Background(), stranger); !slices.Equal(codes(a), []int{Refused, Refused}) {
			t.Errorf("%s: unknown team: %+v", name, a)
		}
		time.Sleep(3 * time.Millisecond) // what is cached is old now
		for range 20 {
			if a := s.Accept(context.Background(), batchOf(1)); a.Statuses[0].Code != Accepted {
				t.Fatalf("%s: known dataset: %+v", name, a)
			}
		}
		if n := len(s.log.storedEvents(t)); n != 21 || s.Health().Totals.Accepted != 21 || s.Health().Totals.Unknown != 0 {
			t.Errorf("%s: %d events stored, %+v", name, n, s.Health().Totals)
		}
		if s.seen.count(port.EventCatalogAway) == 0 {
			t.Errorf("%s: not announced", name)
		}
		s.store.set(nil)
		eventually(t, "the unknown dataset works once the catalog is back", func() bool {
			return s.Accept(context.Background(), unknown).Statuses[0].Code == Accepted
		})
	}
}

// TestSilentCatalog: whoever gives up waiting for the catalog is told that nothing was stored.
func TestSilentCatalog(t *testing.T) {
	t.Parallel()
	s := newStored(t, 2, nil)
	s.store.hang = true
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if a := s.Accept(ctx, batchOf(2)); !slices.Equal(codes(a), []int{Refused, Refused}) || len(s.log.attempts()) != 0 || s.Health().Requests != 0 {
		t.Errorf("%+v", a)
	}
}

func TestRecreatedDataset(t *testing.T) {
	t.Parallel()
	idsAfterRecreation := func(bugs ...string) func() []event.Dataset {
		s := newStored(t, 2, func(c *Config) { c.CacheFor = time.Millisecond }, bugs...)
		s.Accept(context.Background(), batchOf(1))
		if err := s.store.DeleteDataset(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.store.CreateDataset(context.Background(), port.NewDataset{Team: 1, Name: "data", Spread: 1, Of: 2}); err != nil {
			t.Fatal(err)
		}
		return func() []event.Dataset {
			s.Accept(context.Background(), batchOf(1))
			return s.log.datasetsIn(t)
		}
	}
	clean := idsAfterRecreation()
	eventually(t, "events go to the new dataset", func() bool { return slices.Contains(clean(), event.Dataset{ID: 2, Name: "data"}) })
	bad := idsAfterRecreation(planted.StaleDatasetCache)
	for range 20 {
		time.Sleep(time.Millisecond)
		if got := bad(); !slices.Equal(got, []event.Dataset{{ID: 1, Name: "data"}}) {
			t.Fatalf("planted: chunks are of %v", got)
		}
	}
}

func BenchmarkAcceptWithCatalog(b *testing.B) {
	s := newStored(b, 6, nil)
	req := batchOf(10)
	b.ReportAllocs()
	for b.Loop() {
		s.Accept(context.Background(), req)
		for i := range s.log.stored {
			s.log.stored[i] = s.log.stored[i][:0]
		}
		s.log.produced = s.log.produced[:0]
	}
}
