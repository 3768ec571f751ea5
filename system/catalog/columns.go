package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// gather is how long columns are gathered before they are written.
	gather = 200 * time.Millisecond
	// maxBatch bounds the columns of one transaction.
	maxBatch = 500
	// maxPending bounds the columns that wait to be written; what is beyond is learned when it is seen again.
	maxPending = 10_000
	// fullFor is how long a dataset with too many columns is not tried again.
	fullFor = time.Minute
)

// known is what is known of a dataset's columns: written, or waiting to be.
type known struct {
	types   map[string]port.ColumnTypes
	loaded  bool // what the catalog has was read
	pending map[string]port.ColumnTypes
	full    time.Time // when the dataset was found to have too many columns
}

// columns is what is known of all datasets' columns.
type columns struct {
	mu      sync.Mutex // never held across a blocking call
	limit   int
	names   int // over all datasets
	pending int
	sets    *lru[int64, *known]
	last    int64 // the dataset asked for last, and what is known of it
	lastSet *known
}

func newColumns(limit, datasets int) *columns {
	return &columns{limit: max(limit, 1), sets: newLRU[int64, *known](datasets)}
}

// of returns what is known of a dataset. Under the lock.
func (c *columns) of(dataset int64, now time.Time) *known {
	if c.lastSet != nil && c.last == dataset {
		return c.lastSet
	}
	var k *known
	if e := c.sets.get(dataset); e != nil {
		k = e.value
	} else {
		if len(c.sets.entries) >= c.sets.max {
			c.forget(c.sets.ring.prev.key)
		}
		k = &known{types: map[string]port.ColumnTypes{}, pending: map[string]port.ColumnTypes{}}
		c.sets.put(dataset, k, now)
	}
	c.last, c.lastSet = dataset, k
	return k
}

// forget drops what is known of a dataset. Under the lock.
func (c *columns) forget(dataset int64) {
	if e := c.sets.entries[dataset]; e != nil {
		c.names -= len(e.value.types)
		c.pending -= len(e.value.pending)
		c.sets.drop(dataset)
	}
	if c.last == dataset {
		c.lastSet = nil
	}
}

// shrink forgets datasets that were not seen for longest, until the names are few enough. Under the lock.
func (c *columns) shrink(keep int64) {
	for c.names > c.limit {
		oldest := c.sets.ring.prev
		if oldest.key == keep && len(c.sets.entries) == 1 {
			return // a single dataset has at most port.MaxColumns
		}
		if oldest.key == keep {
			c.sets.get(keep)
			continue
		}
		c.forget(oldest.key)
	}
}

// see remembers a column and reports whether it was new. Under the lock.
func (c *columns) see(k *known, name string, types port.ColumnTypes, now time.Time) bool {
	have, there := k.types[name]
	if types&^have == 0 || name == "" || len(name) > MaxColumnNameBytes {
		return false
	}
	if !there && (len(k.types) >= port.MaxColumns || !k.full.IsZero() && now.Sub(k.full) < fullFor) {
		return false
	}
	if _, waits := k.pending[name]; !waits {
		if c.pending >= maxPending {
			return false
		}
		c.pending++
	}
	if !there {
		c.names++
	}
	name = strings.Clone(name) // it is a part of the request, and a map takes over the text also of a key that it has
	k.types[name] = have | types
	k.pending[name] |= types
	return true
}

// Learn tells of columns that were seen in a dataset. It never blocks: what is new is written by [Resolver.Run], and what
// there is no room for is learned when it is seen again.
func (v *Resolver) Learn(dataset int64, seen []port.Column) {
	c := v.columns
	now := v.r.Now()
	c.mu.Lock()
	k := c.of(dataset, now)
	fresh := false
	for _, col := range seen {
		fresh = c.see(k, col.Name, col.Types, now) || fresh
	}
	c.shrink(dataset)
	c.mu.Unlock()
	if fresh {
		v.woken.TryPush(struct{}{})
	}
}

// LearnEvents is Learn for the fields of events. Events of one batch are mostly alike, so a field that is like that of the
// event before costs one comparison.
func (v *Resolver) LearnEvents(dataset int64, events []event.Event) {
	c := v.columns
	now := v.r.Now()
	c.mu.Lock()
	k := c.of(dataset, now)
	fresh := false
	var before []event.Field
	for i := range events {
		if i > 0 && events[i].Alike(&events[i-1]) {
			continue
		}
		fields := events[i].Fields
		for j := range fields {
			f := &fields[j]
			if j < len(before) && before[j].Value.Kind() == f.Value.Kind() && before[j].Name == f.Name {
				continue
			}
			fresh = c.see(k, f.Name, TypeOf(f.Value.Kind()), now) || fresh
		}
		before = fields
	}
	c.shrink(dataset)
	c.mu.Unlock()
	if fresh {
		v.woken.TryPush(struct{}{})
	}
}

// TypeOf is the type of a column that holds values of a kind; none for null.
func TypeOf(k event.Kind) port.ColumnTypes {
	switch k {
	case event.Bool:
		return port.ColumnBool
	case event.Int:
		return port.ColumnInt
	case event.Float:
		return port.ColumnFloat
	case event.String:
		return port.ColumnString
	default:
		return 0
	}
}

// Run writes the columns that were learned, and looks after a catalog that is away, until ctx ends. It always returns
// ctx's error.
func (v *Resolver) Run(ctx context.Context) error {
	for {
		if _, err := v.woken.Pop(ctx); err != nil {
			return fmt.Errorf("catalog: %w", err)
		}
		for pause := gather; ; pause = 2 * v.cfg.RetryAfter {
			if err := v.r.Sleep(ctx, pause); err != nil {
				return fmt.Errorf("catalog: %w", err)
			}
			v.probe(ctx)
			if !v.Away() && v.writeColumns(ctx) == nil {
				break
			}
		}
	}
}

// probe asks a catalog that is away whether it is back.
func (v *Resolver) probe(ctx context.Context) {
	if !v.Away() {
		return
	}
	ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
	defer cancel()
	asked := v.r.Now()
	_, err := v.catalog.SchemaVersion(ctx)
	_ = v.told(asked, err)
}

// writeColumns writes everything that waits.
func (v *Resolver) writeColumns(ctx context.Context) error {
	c := v.columns
	c.mu.Lock()
	var ids []int64
	// order: sorted below.
	for id, e := range c.sets.entries {
		if len(e.value.pending) > 0 {
			ids = append(ids, id)
		}
	}
	c.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		if err := v.writeDataset(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// writeDataset writes what waits of one dataset. An error says that it waits still.
func (v *Resolver) writeDataset(ctx context.Context, id int64) error {
	c := v.columns
	for {
		c.mu.Lock()
		e := c.sets.entries[id]
		if e == nil || len(e.value.pending) == 0 {
			c.mu.Unlock()
			return nil
		}
		k := e.value
		load := !k.loaded
		batch := k.batch()
		c.mu.Unlock()
		var err error
		if load {
			err = v.load(ctx, id, k)
		} else {
			err = v.write(ctx, id, k, batch)
		}
		switch {
		case errors.Is(err, port.ErrNotFound): // it was deleted
			c.mu.Lock()
			c.forget(id)
			c.mu.Unlock()
			return nil
		case err != nil:
			return err
		}
	}
}

// batch is the first of what waits, by name. Under the lock.
func (k *known) batch() []port.Column {
	all := make([]port.Column, 0, len(k.pending))
	// order: sorted below.
	for name, types := range k.pending {
		all = append(all, port.Column{Name: name, Types: types})
	}
	slices.SortFunc(all, func(a, b port.Column) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(len(all), maxBatch)]
}

// load reads what the catalog has of a dataset, so that only what is missing is written.
func (v *Resolver) load(ctx context.Context, id int64, k *known) error {
	ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
	defer cancel()
	asked := v.r.Now()
	have, err := v.catalog.Columns(ctx, id)
	if err = v.told(asked, err); err != nil {
		return err
	}
	c := v.columns
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets.entries[id] == nil {
		return nil // forgotten meanwhile
	}
	k.loaded = true
	for _, col := range have {
		if _, there := k.types[col.Name]; !there {
			c.names++
		}
		k.types[col.Name] |= col.Types
		c.done(k, col)
	}
	c.shrink(id)
	return nil
}

// write adds columns. If the dataset has too many, it gets as many as fit, and no more for a while.
func (v *Resolver) write(ctx context.Context, id int64, k *known, batch []port.Column) error {
	ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
	defer cancel()
	asked := v.r.Now()
	err := v.catalog.AddColumns(ctx, id, batch)
	full := errors.Is(err, port.ErrTooManyColumns)
	if full {
		have, listErr := v.catalog.Columns(ctx, id)
		if err = v.told(asked, listErr); err != nil {
			return err
		}
		if fit := fitting(have, batch); len(fit) > 0 {
			err = v.catalog.AddColumns(ctx, id, fit)
			if errors.Is(err, port.ErrTooManyColumns) { // others were faster
				err = nil
			}
		}
	}
	if err = v.told(asked, err); err != nil {
		return err
	}
	c := v.columns
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets.entries[id] == nil {
		return nil
	}
	for _, col := range batch {
		c.done(k, col)
	}
	if full {
		k.full = v.r.Now()
	}
	return nil
}

// awaitSchema is a planted bug: as long as a dataset has columns that are not written, whoever sends to it waits for the
// catalog's list of them.
func (v *Resolver) awaitSchema(ctx context.Context, id int64) {
	c := v.columns
	c.mu.Lock()
	k := c.of(id, v.r.Now())
	fresh := len(k.pending) > 0
	c.mu.Unlock()
	if fresh {
		ctx, cancel := v.r.WithTimeout(ctx, v.cfg.AskFor)
		defer cancel()
		_, _ = v.catalog.Columns(ctx, id)
	}
}

// fitting is the part of a batch that a dataset with these columns still has room for.
func fitting(have, batch []port.Column) []port.Column {
	room := port.MaxColumns - len(have)
	var fit []port.Column
	for _, col := range batch {
		_, there := slices.BinarySearchFunc(have, col.Name, func(c port.Column, name string) int { return strings.Compare(c.Name, name) })
		if !there {
			if room <= 0 {
				continue
			}
			room--
		}
		fit = append(fit, col)
	}
	return fit
}

// done takes what was written out of what waits. Under the lock.
func (c *columns) done(k *known, col port.Column) {
	left, waits := k.pending[col.Name]
	if !waits {
		return
	}
	if left &^= col.Types; left != 0 {
		k.pending[col.Name] = left
		return
	}
	delete(k.pending, col.Name)
	c.pending--
}

// told is answered for callers without the lock.
func (v *Resolver) told(asked time.Time, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answered(asked, err)
}
