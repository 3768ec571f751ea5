package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

func TestAnswersAreCached(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		for range 10 {
			if team, err := b.Team(ctx, "key"); err != nil || team.ID != 1 {
				t.Fatalf("%+v, %v", team, err)
			}
			for _, wrong := range []string{"wrong", "", strings.Repeat("k", 500)} {
				if _, err := b.Team(ctx, wrong); !errors.Is(err, port.ErrNotFound) {
					t.Fatalf("key %q: %v", wrong, err)
				}
			}
		}
		if n := b.f.count("team"); n != 2 {
			t.Errorf("the catalog was asked %d times, expected once for each key", n)
		}
		b.f.set(func() { b.f.teams["wrong"] = port.Team{ID: 2} })
		b.sleep(ctx, 3*time.Second)
		if team, err := b.Team(ctx, "wrong"); err != nil || team.ID != 2 {
			t.Errorf("a key that was created: %+v, %v", team, err)
		}
	})
}

func TestManyAskOnce(t *testing.T) {
	inBubble(t, Config{Spread: 2, Partitions: 6}, func(t *testing.T, ctx context.Context, b *bench) {
		b.f.set(func() { b.f.hang = 100 * time.Millisecond })
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ds, err := b.DatasetForWrite(ctx, 1, []string{"Data", "data", " DATA "}[i%3])
				if err != nil || ds.ID != 1 || !slices.Equal(ds.Partitions, []int32{0, 1}) {
					t.Errorf("%+v, %v", ds, err)
				}
			})
		}
		wg.Wait()
		if a, c := b.f.count("dataset"), b.f.count("create"); a != 1 || c != 1 {
			t.Errorf("asked %d times and created %d times, expected once each", a, c)
		}
	})
}

func TestNamesAreChecked(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		for _, name := range []string{"", "  ", strings.Repeat("n", 300), "a\xff"} {
			if _, err := b.DatasetForWrite(ctx, 1, name); !errors.Is(err, ErrName) || !errors.Is(err, port.ErrRefused) {
				if !errors.Is(err, port.ErrNotFound) {
					t.Errorf("name %q: %v", name, err)
				}
			}
		}
		if n := b.f.count("create"); n != 0 {
			t.Errorf("%d bad datasets were created", n)
		}
	})
}

func TestStaleEntriesAreMended(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		first, err := b.DatasetForWrite(ctx, 1, "d")
		if err != nil {
			t.Fatal(err)
		}
		b.f.recreate(ctx, 1, "d")
		began := b.wall.Now()
		for {
			ds, err := b.DatasetForWrite(ctx, 1, "d")
			if err != nil {
				t.Fatal(err)
			}
			if ds.ID != first.ID {
				break
			}
			b.sleep(ctx, 100*time.Millisecond)
		}
		if took := b.wall.Now().Sub(began); took > 6*time.Second {
			t.Errorf("a busy dataset was mended after %v", took)
		}
		b.f.recreate(ctx, 1, "d")
		b.sleep(ctx, time.Minute)
		if ds, err := b.Dataset(ctx, 1, "d"); err != nil || ds.ID != 3 {
			t.Errorf("a dataset that nobody used for a minute: %+v, %v, expected it to be looked after first", ds, err)
		}
		if kinds := b.told.all(); !slices.Equal(kinds, []string{port.EventCacheMended, port.EventCacheMended}) {
			t.Errorf("announced %q", kinds)
		}
	})
}

func TestPlantedStaleCacheIsNeverMended(t *testing.T) {
	bugs, err := planted.Parse(planted.StaleDatasetCache)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, Config{Bugs: bugs}, func(t *testing.T, ctx context.Context, b *bench) {
		_, _ = b.DatasetForWrite(ctx, 1, "d")
		b.f.recreate(ctx, 1, "d")
		b.sleep(ctx, time.Hour)
		if ds, err := b.DatasetForWrite(ctx, 1, "d"); err != nil || ds.ID != 1 {
			t.Errorf("%+v, %v", ds, err)
		}
	})
}

// TestKnownDatasetsGoOn: while the catalog does not answer, what is known is answered without waiting, what is not known
// fails at once, and coming back is noticed without anybody asking.
func TestKnownDatasetsGoOn(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		b.wall.Go("run", func(ctx context.Context) { _ = b.Run(ctx) })
		if _, err := b.DatasetForWrite(ctx, 1, "known"); err != nil {
			t.Fatal(err)
		}
		b.f.set(func() { b.f.hang = time.Hour })
		slowest := time.Duration(0)
		waits := 0
		for range 300 {
			began := b.wall.Now()
			if ds, err := b.DatasetForWrite(ctx, 1, "Known"); err != nil || ds.ID != 1 {
				t.Fatalf("%+v, %v", ds, err)
			}
			if took := b.wall.Now().Sub(began); took > 0 {
				slowest = max(slowest, took)
				waits++
			}
			b.sleep(ctx, 100*time.Millisecond)
		}
		if waits > 0 {
			t.Errorf("%d requests for a known dataset waited for the catalog, up to %v", waits, slowest)
		}
		began := b.wall.Now()
		if _, err := b.DatasetForWrite(ctx, 1, "unknown"); !errors.Is(err, ErrAway) || !errors.Is(err, port.ErrRefused) {
			t.Errorf("an unknown dataset: %v", err)
		}
		if took := b.wall.Now().Sub(began); took > 3*time.Second {
			t.Errorf("an unknown dataset was refused after %v", took)
		}
		b.f.set(func() { b.f.hang = 0 })
		b.sleep(ctx, 10*time.Second)
		if b.Away() {
			t.Error("nobody noticed that the catalog is back")
		}
		if ds, err := b.DatasetForWrite(ctx, 1, "unknown"); err != nil || ds.ID != 2 {
			t.Errorf("after it is back: %+v, %v", ds, err)
		}
		if kinds := b.told.all(); !slices.Equal(kinds, []string{port.EventCatalogAway, port.EventCatalogBack}) {
			t.Errorf("announced %q, expected away and back once", kinds)
		}
		b.f.set(func() { b.f.away = port.ErrRefused })
		b.sleep(ctx, 2*time.Hour)
		if _, err := b.Dataset(ctx, 1, "known"); !errors.Is(err, ErrAway) {
			t.Errorf("after StaleFor: %v", err)
		}
	})
}

// TestListsAreFresh: a list is asked for each time, and the last one is used only while the catalog is away.
func TestListsAreFresh(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		for want := 1; want <= 3; want++ {
			_, _ = b.DatasetForWrite(ctx, 1, fmt.Sprint("d", want))
			if all, err := b.Datasets(ctx, 1); err != nil || len(all) != want || all[want-1].ID != int64(want) {
				t.Errorf("%+v, %v, expected %d datasets", all, err, want)
			}
		}
		b.f.set(func() { b.f.away = port.ErrRefused })
		for range 3 {
			if all, err := b.Datasets(ctx, 1); err != nil || len(all) != 3 {
				t.Errorf("while the catalog is away: %+v, %v", all, err)
			}
		}
		if _, err := b.Datasets(ctx, 2); !errors.Is(err, ErrAway) {
			t.Errorf("a list that nobody knows: %v", err)
		}
	})
}

// TestCachesAreBounded: a flood of wrong keys neither grows the cache nor pushes out the right ones.
func TestCachesAreBounded(t *testing.T) {
	inBubble(t, Config{CacheSize: 10}, func(t *testing.T, ctx context.Context, b *bench) {
		_, _ = b.Team(ctx, "key")
		for i := range 1000 {
			_, _ = b.Team(ctx, fmt.Sprint("wrong", i))
		}
		before := b.f.count("team")
		_, _ = b.Team(ctx, "key")
		if b.f.count("team") != before {
			t.Error("wrong keys pushed a right one out")
		}
		for i := range 100 {
			_, _ = b.DatasetForWrite(ctx, 1, fmt.Sprint("d", i))
		}
		if n, m := len(b.teams.missing.entries), len(b.datasets.found.entries); n > 10 || m > 10 {
			t.Errorf("%d missing teams and %d datasets are remembered, expected at most 10 of each", n, m)
		}
	})
}

func fieldsOf(names ...string) []event.Event {
	var e event.Event
	for _, n := range names {
		e.Fields = append(e.Fields, event.Field{Name: n, Value: event.IntValue(1)})
	}
	return []event.Event{e, e}
}

func TestColumnsAreLearned(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		b.wall.Go("run", func(ctx context.Context) { _ = b.Run(ctx) })
		ds, _ := b.DatasetForWrite(ctx, 1, "d")
		b.f.set(func() { b.f.columns[ds.ID]["old"] = port.ColumnInt; b.f.away = port.ErrRefused })
		for range 100 {
			b.LearnEvents(ds.ID, fieldsOf("a", "b", "old"))
			b.Learn(ds.ID, []port.Column{{Name: "a", Types: port.ColumnString}})
			b.Learn(77, []port.Column{{Name: "of a dataset that is gone", Types: port.ColumnString}})
		}
		b.sleep(ctx, 10*time.Second)
		b.f.set(func() { b.f.away = nil })
		b.sleep(ctx, 10*time.Second)
		have, err := b.f.Columns(ctx, ds.ID)
		want := []port.Column{{Name: "a", Types: port.ColumnInt | port.ColumnString}, {Name: "b", Types: port.ColumnInt}, {Name: "old", Types: port.ColumnInt}}
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("the catalog has %v (%v), expected %v", have, err, want)
		}
		if _, waiting := b.columns.size(); waiting != 0 {
			t.Errorf("%d columns wait", waiting)
		}
		before := b.f.count("add")
		b.LearnEvents(ds.ID, fieldsOf("a", "b", "old"))
		b.sleep(ctx, 10*time.Second)
		if n := b.f.count("add"); n != before {
			t.Errorf("%d writes of columns that are known", n-before)
		}
	})
}

// TestColumnsOutliveTheRequest: what a request's names are parts of is used for the next one.
func TestColumnsOutliveTheRequest(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, ctx context.Context, b *bench) {
		ds, _ := b.DatasetForWrite(ctx, 1, "d")
		var m event.Memory
		for _, request := range []string{`{"name":1}`, `{"name":"x"}`, `{"name":true}`, `{"also":7.5}`} {
			body := []byte(`[{"data":` + request + `}]`)
			items, err := event.DecodeBatch(body, event.Options{Now: b.wall.Now(), Memory: &m})
			if err != nil {
				t.Fatal(err)
			}
			b.LearnEvents(ds.ID, []event.Event{items[0].Event})
			clear(body)
			if request == `{"name":"x"}` { // one is written, the others are learned while it is known
				b.wall.Go("run", func(ctx context.Context) { _ = b.Run(ctx) })
				b.sleep(ctx, 10*time.Second)
			}
		}
		b.sleep(ctx, 10*time.Second)
		have, err := b.f.Columns(ctx, ds.ID)
		want := []port.Column{{Name: "also", Types: port.ColumnFloat}, {Name: "name", Types: port.ColumnInt | port.ColumnString | port.ColumnBool}}
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("the catalog has %v (%v), expected %v", have, err, want)
		}
	})
}

func TestTooManyColumns(t *testing.T) {
	inBubble(t, Config{KnownColumns: 15_000}, func(t *testing.T, ctx context.Context, b *bench) {
		b.wall.Go("run", func(ctx context.Context) { _ = b.Run(ctx) })
		ds, _ := b.DatasetForWrite(ctx, 1, "d")
		other, _ := b.DatasetForWrite(ctx, 1, "other")
		b.f.set(func() {
			for i := range port.MaxColumns - 7 {
				b.f.columns[ds.ID][fmt.Sprint("taken", i)] = port.ColumnInt
			}
		})
		for i := range 30_000 {
			b.Learn(ds.ID, []port.Column{{Name: fmt.Sprint("new", i), Types: port.ColumnInt}})
			if i%1000 == 0 {
				b.sleep(ctx, time.Second)
			}
		}
		b.Learn(other.ID, []port.Column{{Name: "fine", Types: port.ColumnInt}})
		b.sleep(ctx, time.Minute)
		have, _ := b.f.Columns(ctx, ds.ID)
		if len(have) != port.MaxColumns {
			t.Errorf("%d columns, expected all that fit", len(have))
		}
		if have, _ = b.f.Columns(ctx, other.ID); len(have) != 1 {
			t.Errorf("another dataset has %v", have)
		}
		if names, waiting := b.columns.size(); names > b.columns.limit || waiting > maxPending {
			t.Errorf("%d names are known, %d wait", names, waiting)
		}
	})
}

func TestSlugsAndSets(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "", "plain-1_x.y": "plain-1_x.y", "My Data": "my-data", "  A / b\t": "a-b", "ÄÖ": "äö", "a#": "a-", "load-steady-1": "load-steady-1",
	} {
		if got := Slug(name); got != want || Slug(got) != got {
			t.Errorf("slug of %q: %q, expected %q", name, got, want)
		}
	}
	counts := map[int32]int{}
	for id := int64(1); id <= 12; id++ {
		for _, p := range PartitionSet(id, 2, 6) {
			counts[p]++
		}
	}
	for p := range int32(6) {
		if counts[p] != 4 {
			t.Errorf("partition %d is in %d of 12 sets, expected 4", p, counts[p])
		}
	}
	if got := PartitionSet(2, 4, 6); !slices.Equal(got, []int32{0, 1, 4, 5}) {
		t.Errorf("%v", got)
	}
	if got := PartitionSet(3, 9, 2); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("%v", got)
	}
}

func TestSchemaIsNamed(t *testing.T) {
	t.Parallel()
	if err := CheckVersion(Schema); err != nil {
		t.Error(err)
	}
	for version, want := range map[int64]string{1: "0002_datasets, 0003_columns", 0: "0001_teams", 99: "99"} {
		if err := CheckVersion(version); !errors.Is(err, port.ErrSchema) || !strings.Contains(err.Error(), want) {
			t.Errorf("version %d: %v, expected it to name %s", version, err, want)
		}
	}
}
