package shepherd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// memCatalog is a metadata store in memory that can be away.
type memCatalog struct {
	mu       sync.Mutex
	away     error // what everything answers; an operation that writes has its effect if it does not match ErrRefused
	teams    map[string]port.Team
	datasets map[int64]port.Dataset
	columns  map[int64][]port.Column
	last     int64
	asked    int
	hang     bool // look-ups wait until they are given up
}

func (c *memCatalog) wait(ctx context.Context) error {
	c.mu.Lock()
	hang := c.hang
	c.mu.Unlock()
	if !hang {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("no answer: %w", port.ErrUnknown)
}

func newMemCatalog() *memCatalog {
	return &memCatalog{
		teams:    map[string]port.Team{"key": {ID: 1, Name: "Team One"}, "key2": {ID: 2, Name: "two"}},
		datasets: map[int64]port.Dataset{}, columns: map[int64][]port.Column{},
	}
}

func (c *memCatalog) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

func (c *memCatalog) SchemaVersion(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return catalog.Schema, c.away
}

func (c *memCatalog) CreateTeam(context.Context, port.NewTeam) (port.Team, error) {
	return port.Team{}, fmt.Errorf("shepherds create no teams: %w", port.ErrRefused)
}

func (c *memCatalog) TeamByKey(_ context.Context, key string) (port.Team, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	t, ok := c.teams[key]
	if !ok && c.away == nil {
		return port.Team{}, port.ErrNotFound
	}
	return t, c.away
}

func (c *memCatalog) SetTeamLimits(context.Context, int64, port.Limits, port.Limits) error {
	return port.ErrRefused
}

func (c *memCatalog) CreateDataset(_ context.Context, d port.NewDataset) (port.Dataset, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ds := range c.datasets {
		if ds.Team == d.Team && ds.Slug == catalog.Slug(d.Name) {
			return ds, false, c.away
		}
	}
	c.last++
	ds := port.Dataset{
		ID: c.last, Team: d.Team, Name: d.Name, Slug: catalog.Slug(d.Name), Created: time.Unix(1_700_000_000, 0),
		Partitions: catalog.PartitionSet(c.last, d.Spread, d.Of),
	}
	c.datasets[ds.ID] = ds
	return ds, true, c.away
}

func (c *memCatalog) Dataset(ctx context.Context, team int64, slug string) (port.Dataset, error) {
	if err := c.wait(ctx); err != nil {
		return port.Dataset{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	for _, ds := range c.datasets {
		if ds.Team == team && ds.Slug == slug {
			return ds, c.away
		}
	}
	return port.Dataset{}, cmp.Or(c.away, port.ErrNotFound)
}

func (c *memCatalog) DatasetByID(_ context.Context, id int64) (port.Dataset, error) {
	return port.Dataset{}, port.ErrNotFound
}

func (c *memCatalog) Datasets(_ context.Context, team int64) ([]port.Dataset, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []port.Dataset
	for _, ds := range c.datasets {
		if ds.Team == team {
			list = append(list, ds)
		}
	}
	slices.SortFunc(list, func(a, b port.Dataset) int { return cmp.Compare(a.ID, b.ID) })
	return list, c.away
}

func (c *memCatalog) WidenDataset(_ context.Context, id int64, partitions []int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ds, ok := c.datasets[id]
	if !ok {
		return port.ErrNotFound
	}
	ds.Partitions = catalog.Union(ds.Partitions, partitions)
	c.datasets[id] = ds
	return nil
}

func (c *memCatalog) SetDatasetLimits(context.Context, int64, port.Limits) error { return nil }

func (c *memCatalog) DeleteDataset(_ context.Context, id int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.datasets[id]; !ok {
		return port.ErrNotFound
	}
	delete(c.datasets, id)
	delete(c.columns, id)
	return c.away
}

func (c *memCatalog) Columns(_ context.Context, id int64) ([]port.Column, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.datasets[id]; !ok {
		return nil, cmp.Or(c.away, port.ErrNotFound)
	}
	return slices.Clone(c.columns[id]), c.away
}

func (c *memCatalog) AddColumns(_ context.Context, id int64, columns []port.Column) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.columns[id] = catalog.Normalize(append(c.columns[id], columns...))
	return c.away
}

// stored is a shepherd made by New, over a fake log and a store in memory.
type stored struct {
	*Shepherd
	log   *fakeLog
	store *memCatalog
	seen  *recorder
	r     *rt.Wall
}

func newStored(t testing.TB, partitions int, change func(*Config), bugs ...string) *stored {
	t.Helper()
	r := rt.NewWall(uint64(partitions) + 7)
	t.Cleanup(func() { r.Kill(); r.Wait() })
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	set, err := planted.Parse(bugs...)
	if err != nil {
		t.Fatal(err)
	}
	s := &stored{log: newFakeLog(r, partitions), store: newMemCatalog(), seen: &recorder{}, r: r}
	s.Shepherd, err = New(r, port.Ports{Log: s.log, Catalog: s.store, Events: s.seen}, cfg, int32(partitions), "shepherd1", set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the shepherd until the test ends.
func (s *stored) run(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.r.Go("run", func(context.Context) { _ = s.Run(ctx) })
	t.Cleanup(stop)
}
