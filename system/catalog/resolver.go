package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// ErrAway: the metadata store does not answer, and what was asked for is not known here. It also matches port.ErrRefused.
var ErrAway = errors.New("the catalog is away")

// Config is how a resolver is set up. Zero fields stand for the defaults given with them.
type Config struct {
	// CacheFor is how long something that is there is taken from the cache; default 5 s. It is then asked for again while
	// the old answer goes on for as long again; an older one is not used before the catalog has been asked.
	CacheFor time.Duration
	// MissFor is how long the catalog is not asked again for something that is not there. Default 2 s.
	MissFor time.Duration
	// StaleFor is how long what is cached is used while the catalog is away. Default 1 h.
	StaleFor time.Duration
	// CacheSize bounds the entries of each cache: teams, datasets, and what is known not to be there. Default 10,000.
	CacheSize int
	// KnownColumns bounds the names of columns that are remembered over all datasets. Default 200,000.
	KnownColumns int
	// AskFor is how long a question to the catalog may take. Default 3 s.
	AskFor time.Duration
	// RetryAfter is how long a catalog that did not answer is left alone. Default 500 ms.
	RetryAfter time.Duration
	// A dataset that is created on first use gets Spread of the Partitions of the log, or of as many as any dataset is known
	// to be on: that is how it is learnt that the log has grown and that its new partitions may be used.
	Spread     int
	Partitions int32
	// Bugs plants known faults.
	Bugs planted.Set
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.CacheFor, 5*time.Second)
	orDefault(&c.MissFor, 2*time.Second)
	orDefault(&c.StaleFor, time.Hour)
	orDefault(&c.CacheSize, 10_000)
	orDefault(&c.KnownColumns, 200_000)
	orDefault(&c.AskFor, 3*time.Second)
	orDefault(&c.RetryAfter, 500*time.Millisecond)
	orDefault(&c.Spread, 1)
	orDefault(&c.Partitions, 1)
	return c
}

const (
	// maxRefreshes bounds the questions that only keep the cache fresh; above it an answer is used a little longer.
	maxRefreshes = 16
	// maxLists bounds the teams whose list of datasets is remembered.
	maxLists = 100
	// maxKeyBytes is longer than any key of the API: a longer one is unknown without asking, and is never remembered.
	maxKeyBytes = 256
)

// place names a dataset.
type place struct {
	team int64
	slug string
}

// Resolver answers from the cache, and from the catalog where it must. All methods may be called from any task.
type Resolver struct {
	r        rt.Runtime
	catalog  port.Catalog
	cfg      Config
	announce func(kind, detail string)
	columns  *columns

	mu         sync.Mutex // never held across a blocking call
	teams      *cache[string, port.Team]
	datasets   *cache[place, port.Dataset]
	lists      *lru[int64, []port.Dataset]
	creating   map[place]*rt.Future[port.Dataset]
	refreshes  int
	away       error // why, while the catalog does not answer
	retryAt    time.Time
	heard      time.Time           // when it last answered
	woken      *rt.Queue[struct{}] // for Run
	spreadOver int32               // partitions that are in use
}

// New returns a resolver that knows nothing yet. announce, if not nil, is told of what port.EventCatalogAway,
// EventCatalogBack and EventCacheMended stand for; it must not block. Columns are written by [Resolver.Run].
func New(r rt.Runtime, c port.Catalog, cfg Config, announce func(kind, detail string)) *Resolver {
	cfg = cfg.withDefaults()
	if announce == nil {
		announce = func(string, string) {}
	}
	return &Resolver{
		r: r, catalog: c, cfg: cfg, announce: announce, columns: newColumns(cfg.KnownColumns, cfg.CacheSize),
		teams: newCache[string, port.Team](cfg.CacheSize), datasets: newCache[place, port.Dataset](cfg.CacheSize),
		lists:    newLRU[int64, []port.Dataset](maxLists),
		creating: map[place]*rt.Future[port.Dataset]{}, woken: rt.NewQueue[struct{}](r, 1),
		spreadOver: cfg.Partitions,
	}
}

// Team finds the team of an API key. port.ErrNotFound: there is none. ErrAway: nobody knows at the moment.
func (v *Resolver) Team(ctx context.Context, key string) (port.Team, error) {
	if key == "" || len(key) > maxKeyBytes {
		return port.Team{}, fmt.Errorf("team of a key of %d bytes: %w", len(key), port.ErrNotFound)
	}
	team, err := lookUp(ctx, v, v.teams, key, teamQuestion(v, key))
	if err != nil {
		return port.Team{}, fmt.Errorf("team of a key: %w", err)
	}
	return team, nil
}

// MaxPartitions bounds what is believed of the number of partitions that are in use.
const MaxPartitions = 1 << 14

// Partitions is how many partitions of the log are in use, as far as is known here.
func (v *Resolver) Partitions() int32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.spreadOver
}

// learnPartitions hears of a dataset's set. Under the lock.
func (v *Resolver) learnPartitions(ds *port.Dataset) {
	if n := len(ds.Partitions); n > 0 && ds.Partitions[n-1] < MaxPartitions { // ascending
		v.spreadOver = max(v.spreadOver, ds.Partitions[n-1]+1)
	}
}

// Dataset finds a team's dataset by any spelling of its name. port.ErrNotFound: there is none. ErrAway: nobody knows at
// the moment. Its Partitions must not be changed.
func (v *Resolver) Dataset(ctx context.Context, team int64, name string) (port.Dataset, error) {
	if len(name) > MaxNameBytes {
		return port.Dataset{}, fmt.Errorf("dataset with a name of %d bytes: %w", len(name), port.ErrNotFound)
	}
	at := place{team, Slug(name)}
	ds, err := lookUp(ctx, v, v.datasets, at, datasetQuestion(v, at))
	if err != nil {
		return port.Dataset{}, fmt.Errorf("dataset %q: %w", name, err)
	}
	return ds, nil
}

// DatasetForWrite is Dataset for events that arrive: a dataset that is not there is created. An error that matches
// neither ErrAway nor ErrNotFound (there is no such team) says what is wrong with the name.
func (v *Resolver) DatasetForWrite(ctx context.Context, team int64, name string) (port.Dataset, error) {
	ds, err := v.Dataset(ctx, team, name)
	if !errors.Is(err, port.ErrNotFound) {
		if err == nil && v.cfg.Bugs.Has(planted.SchemaWhileWaiting) {
			v.awaitSchema(ctx, ds.ID)
		}
		return ds, err
	}
	if err := CheckName("dataset", name); err != nil {
		return port.Dataset{}, err
	}
	at := place{team, strings.Clone(Slug(name))}
	v.mu.Lock()
	f := v.creating[at]
	if f == nil {
		if away := v.leaveAlone(); away != nil {
			v.mu.Unlock()
			return port.Dataset{}, fmt.Errorf("create dataset %q: %w", name, away)
		}
		f = rt.NewFuture[port.Dataset](v.r)
		v.creating[at] = f
		asSpelt := strings.Clone(name)
		v.r.Go("create dataset", func(ctx context.Context) { v.create(ctx, at, asSpelt, f) })
	}
	v.mu.Unlock()
	if ds, err = f.Wait(ctx); err != nil {
		return port.Dataset{}, fmt.Errorf("create dataset %q: %w", name, err)
	}
	return ds, nil
}

// Datasets lists a team's datasets by ID. The catalog is asked each time, because a list that lacks a new dataset would be
// wrong without anybody noticing; while it is away, the last list is used.
func (v *Resolver) Datasets(ctx context.Context, team int64) ([]port.Dataset, error) {
	v.mu.Lock()
	err := v.leaveAlone()
	v.mu.Unlock()
	if err == nil {
		ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
		defer cancel()
		asked := v.r.Now()
		var list []port.Dataset
		list, err = v.catalog.Datasets(ctx, team)
		v.mu.Lock()
		err = v.answered(asked, err)
		if err == nil {
			v.lists.put(team, list, v.r.Now())
		}
		v.mu.Unlock()
		if err == nil {
			return slices.Clone(list), nil
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.lists.get(team); e != nil && errors.Is(err, ErrAway) && v.r.Now().Sub(e.at) < v.cfg.StaleFor {
		return slices.Clone(e.value), nil
	}
	return nil, fmt.Errorf("datasets of team %d: %w", team, err)
}

// create asks the catalog for a dataset, and once more if nobody knows whether the first time worked: the second then
// finds what the first made.
func (v *Resolver) create(ctx context.Context, at place, name string, f *rt.Future[port.Dataset]) {
	ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
	defer cancel()
	asked := v.r.Now()
	d := port.NewDataset{Team: at.team, Name: name, Spread: v.cfg.Spread, Of: v.Partitions()}
	ds, _, err := v.catalog.CreateDataset(ctx, d)
	if err != nil && !certain(err) && !errors.Is(err, port.ErrRefused) && ctx.Err() == nil {
		ds, _, err = v.catalog.CreateDataset(ctx, d)
	}
	v.mu.Lock()
	delete(v.creating, at)
	err = v.answered(asked, err)
	if err == nil {
		v.datasets.missing.drop(at)
		v.datasets.found.put(at, ds, v.r.Now())
	}
	v.mu.Unlock()
	f.Complete(ds, err)
}

// question is how a cache's entries are asked for.
type question[K comparable, V any] struct {
	ask func(ctx context.Context) (V, error)
	key func() K // the key, in memory of its own
	// changed says what is wrong with an old answer in the light of a new one, if anything.
	changed func(old V, now V, gone bool) string
}

func teamQuestion(v *Resolver, key string) question[string, port.Team] {
	return question[string, port.Team]{
		ask:     func(ctx context.Context) (port.Team, error) { return v.catalog.TeamByKey(ctx, key) },
		key:     func() string { return strings.Clone(key) },
		changed: func(port.Team, port.Team, bool) string { return "" },
	}
}

func datasetQuestion(v *Resolver, at place) question[place, port.Dataset] {
	return question[place, port.Dataset]{
		ask: func(ctx context.Context) (port.Dataset, error) {
			ds, err := v.catalog.Dataset(ctx, at.team, at.slug)
			if err == nil {
				v.mu.Lock()
				if e := v.datasets.found.get(at); e != nil && e.value.ID == ds.ID && v.cfg.Bugs.Has(planted.NeverWidens) {
					ds.Partitions = e.value.Partitions
				}
				v.learnPartitions(&ds)
				v.mu.Unlock()
			}
			return ds, err
		},
		key: func() place { return place{at.team, strings.Clone(at.slug)} },
		changed: func(old, now port.Dataset, gone bool) string {
			switch {
			case gone:
				return fmt.Sprintf("dataset %s of team %d: %d was deleted", at.slug, at.team, old.ID)
			case now.ID != old.ID:
				return fmt.Sprintf("dataset %s of team %d: %d was replaced by %d", at.slug, at.team, old.ID, now.ID)
			case !slices.Equal(now.Partitions, old.Partitions):
				return fmt.Sprintf("dataset %s of team %d: its partitions were %v and are %v", at.slug, at.team, old.Partitions, now.Partitions)
			}
			return ""
		},
	}
}

// lookUp answers from the cache if it may, else from the catalog.
func lookUp[K comparable, V any](ctx context.Context, v *Resolver, c *cache[K, V], key K, q question[K, V]) (V, error) {
	var none V
	v.mu.Lock()
	now := v.r.Now()
	e := c.found.get(key)
	if e != nil {
		value, age := e.value, now.Sub(e.at)
		switch {
		case age < v.cfg.CacheFor || v.cfg.Bugs.Has(planted.StaleDatasetCache):
			v.mu.Unlock()
			return value, nil
		case age < 2*v.cfg.CacheFor:
			if v.refreshes < maxRefreshes && c.flights[key] == nil && v.leaveAlone() == nil {
				v.refreshes++
				begin(v, c, q, true)
			}
			v.mu.Unlock()
			return value, nil
		}
	} else if m := c.missing.get(key); m != nil && now.Sub(m.at) < v.cfg.MissFor {
		v.mu.Unlock()
		return none, port.ErrNotFound
	}
	usable := e != nil && now.Sub(e.at) < v.cfg.StaleFor
	if v.away != nil && usable { // nobody waits for a catalog that is away, if there is anything to go on with
		value := e.value
		if c.flights[key] == nil && v.leaveAlone() == nil {
			begin(v, c, q, false)
		}
		v.mu.Unlock()
		return value, nil
	}
	f := c.flights[key]
	if f == nil {
		if away := v.leaveAlone(); away != nil {
			v.mu.Unlock()
			return none, away
		}
		f = begin(v, c, q, false)
	}
	v.mu.Unlock()
	value, err := f.Wait(ctx)
	if usable && errors.Is(err, ErrAway) {
		v.mu.Lock()
		defer v.mu.Unlock()
		return e.value, nil
	}
	return value, err
}

// begin asks the catalog, in a task of its own: who waits may give up, and others still get the answer.
func begin[K comparable, V any](v *Resolver, c *cache[K, V], q question[K, V], refresh bool) *rt.Future[V] {
	f := rt.NewFuture[V](v.r)
	key := q.key()
	c.flights[key] = f
	v.r.Go("ask the catalog", func(ctx context.Context) {
		ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
		defer cancel()
		asked := v.r.Now()
		value, err := q.ask(ctx)
		v.mu.Lock()
		delete(c.flights, key)
		if refresh {
			v.refreshes--
		}
		err = v.answered(asked, err)
		old := c.found.entries[key]
		gone := errors.Is(err, port.ErrNotFound)
		if old != nil && old.at.After(asked) { // a later answer was faster, such as that of a creation
			v.mu.Unlock()
			if gone {
				value, err = old.value, nil
			}
			f.Complete(value, err)
			return
		}
		var mended string
		if old != nil && (err == nil || gone) {
			mended = q.changed(old.value, value, gone)
		}
		switch {
		case err == nil:
			c.missing.drop(key)
			c.found.put(key, value, v.r.Now())
		case gone:
			c.found.drop(key)
			c.missing.put(key, struct{}{}, v.r.Now())
		}
		v.mu.Unlock()
		if mended != "" {
			v.announce(port.EventCacheMended, mended)
		}
		f.Complete(value, err)
	})
	return f
}

// certain reports whether the catalog has answered, even if not as hoped.
func certain(err error) bool {
	return errors.Is(err, port.ErrNotFound) || errors.Is(err, port.ErrTooManyColumns) || errors.Is(err, ErrName)
}

// answered learns from the answer to what was asked at that time, or from its failing to come, whether the catalog is
// there. Under the lock.
func (v *Resolver) answered(asked time.Time, err error) error {
	if err == nil || certain(err) {
		v.heard = v.r.Now()
		if v.away != nil {
			v.away = nil
			v.announce(port.EventCatalogBack, "it answers again")
		}
		return err
	}
	if !asked.Before(v.heard) { // else it has answered a later question meanwhile
		v.retryAt = v.r.Now().Add(v.cfg.RetryAfter)
		if v.away == nil {
			v.announce(port.EventCatalogAway, err.Error())
			v.woken.TryPush(struct{}{})
		}
		v.away = err
	}
	return fmt.Errorf("%w: %w (%w)", ErrAway, err, port.ErrRefused)
}

// leaveAlone returns an error if the catalog has just failed to answer. Under the lock.
func (v *Resolver) leaveAlone() error {
	if v.away == nil {
		return nil
	}
	now := v.r.Now()
	if !now.Before(v.retryAt) {
		v.retryAt = now.Add(v.cfg.RetryAfter) // one may try
		return nil
	}
	return fmt.Errorf("%w: %w (%w)", ErrAway, v.away, port.ErrRefused)
}

// Away reports whether the catalog failed to answer when it was last asked.
func (v *Resolver) Away() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.away != nil
}
