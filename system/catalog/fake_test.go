package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// fake is a catalog in memory that can be away, and counts what it is asked.
type fake struct {
	port.Catalog // what is not faked
	rt           rt.Runtime

	mu       sync.Mutex
	away     error
	hang     time.Duration // before each answer
	asked    map[string]int
	teams    map[string]port.Team
	datasets map[place]port.Dataset
	columns  map[int64]map[string]port.ColumnTypes
	last     int64
}

func newFake(r rt.Runtime) *fake {
	return &fake{rt: r, asked: map[string]int{}, teams: map[string]port.Team{"key": {ID: 1, Name: "team"}}, datasets: map[place]port.Dataset{}, columns: map[int64]map[string]port.ColumnTypes{}}
}

// begin counts a question and waits as long as it takes.
func (f *fake) begin(ctx context.Context, what string) error {
	f.mu.Lock()
	f.asked[what]++
	hang := f.hang
	f.mu.Unlock()
	if err := f.rt.Sleep(ctx, hang); err != nil {
		return errors.Join(err, port.ErrUnknown)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[what]
}

func (f *fake) SchemaVersion(ctx context.Context) (int64, error) {
	return Schema, f.begin(ctx, "version")
}

func (f *fake) TeamByKey(ctx context.Context, key string) (port.Team, error) {
	if err := f.begin(ctx, "team"); err != nil {
		return port.Team{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t, there := f.teams[key]
	if !there {
		return t, port.ErrNotFound
	}
	return t, nil
}

func (f *fake) Dataset(ctx context.Context, team int64, slug string) (port.Dataset, error) {
	if err := f.begin(ctx, "dataset"); err != nil {
		return port.Dataset{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ds, there := f.datasets[place{team, slug}]
	if !there {
		return ds, port.ErrNotFound
	}
	return ds, nil
}

func (f *fake) CreateDataset(ctx context.Context, d port.NewDataset) (port.Dataset, bool, error) {
	if err := f.begin(ctx, "create"); err != nil {
		return port.Dataset{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := place{d.Team, Slug(d.Name)}
	if ds, there := f.datasets[at]; there {
		return ds, false, nil
	}
	f.last++
	ds := port.Dataset{ID: f.last, Team: d.Team, Name: d.Name, Slug: at.slug, Partitions: PartitionSet(f.last, d.Spread, d.Of)}
	f.datasets[at] = ds
	f.columns[ds.ID] = map[string]port.ColumnTypes{}
	return ds, true, nil
}

func (f *fake) Datasets(ctx context.Context, team int64) ([]port.Dataset, error) {
	if err := f.begin(ctx, "datasets"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []port.Dataset
	for at, ds := range f.datasets {
		if at.team == team {
			all = append(all, ds)
		}
	}
	slices.SortFunc(all, func(a, b port.Dataset) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// recreate deletes a dataset and creates it again.
func (f *fake) recreate(ctx context.Context, team int64, name string) {
	f.set(func() {
		at := place{team, Slug(name)}
		delete(f.columns, f.datasets[at].ID)
		delete(f.datasets, at)
	})
	_, _, _ = f.CreateDataset(ctx, port.NewDataset{Team: team, Name: name, Spread: 1, Of: 1})
}

func (f *fake) Columns(ctx context.Context, id int64) ([]port.Column, error) {
	if err := f.begin(ctx, "columns"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.columns[id] == nil {
		return nil, port.ErrNotFound
	}
	var all []port.Column
	for name, types := range f.columns[id] {
		all = append(all, port.Column{Name: name, Types: types})
	}
	return Normalize(all), nil
}

func (f *fake) AddColumns(ctx context.Context, id int64, columns []port.Column) error {
	if err := f.begin(ctx, "add"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.columns[id]
	if have == nil {
		return port.ErrNotFound
	}
	fresh := 0
	for _, c := range columns {
		if _, there := have[c.Name]; !there {
			fresh++
		}
	}
	if len(have)+fresh > port.MaxColumns {
		return port.ErrTooManyColumns
	}
	for _, c := range columns {
		have[c.Name] |= c.Types
	}
	return nil
}

// told collects announcements.
type told struct {
	mu    sync.Mutex
	kinds []string
}

func (t *told) announce(kind, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds = append(t.kinds, kind)
}

func (t *told) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kinds)
}

// bench is a resolver on a fake, in a bubble whose time moves when everybody waits.
type bench struct {
	*Resolver
	f    *fake
	told *told
	wall *rt.Wall
}

func inBubble(t *testing.T, cfg Config, f func(t *testing.T, ctx context.Context, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := rt.NewWall(1)
		b := &bench{f: newFake(w), told: &told{}, wall: w}
		b.Resolver = New(w, b.f, cfg, b.told.announce)
		f(t, t.Context(), b)
		w.Kill()
		w.Wait()
	})
}

func (b *bench) sleep(ctx context.Context, d time.Duration) { _ = b.wall.Sleep(ctx, d) }

// size is how many names are known and how many wait.
func (c *columns) size() (names, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names, c.pending
}
