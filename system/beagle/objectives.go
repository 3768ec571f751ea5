package beagle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Bounds of questions to the metadata store.
const (
	askFor      = 3 * time.Second        // how long one may take
	firstPause  = 100 * time.Millisecond // after one that was not answered; doubled each time
	longPause   = 2 * time.Second
	maxRefresh  = 16 // questions under way that only keep the cache fresh
	everyone    = 0  // the dataset of what is defined for a whole team
	unknownText = "events of dataset %d are passed over: it is not in the catalog"
)

// slo is one SLO to be counted.
type slo struct {
	id  int64
	sli *expr.Expr
}

// dataset is what is known of a dataset.
type dataset struct {
	gone   bool // it is not in the catalog
	slos   []slo
	broken []string // what is wrong with SLOs that cannot be counted
}

// objectives finds datasets' SLOs. It caches what is there and what is not, each bounded and for a bounded time; of
// several that ask for a dataset at once, one asks the catalog. While the catalog is away, who asks waits: events are
// never passed over because their SLOs are not known.
type objectives struct {
	r        rt.Runtime
	defs     port.Definitions
	cfg      *Config
	bugs     planted.Set
	told     func(context.Context, error) // hears how each question ended
	announce func(kind, detail string)    // of EventDatasetUnknown

	mu         sync.Mutex // never held across a blocking call
	found      *lru[dataset]
	missing    *lru[dataset]
	flights    map[int64]*rt.Future[*dataset]
	refreshing int
	lookUps    int64

	wideLock *rt.Mutex // held while the teams' own derived columns are read
	wide     map[alias]string
	wideAt   time.Time
}

// alias names a derived column of a whole team.
type alias struct {
	team int64
	name string
}

func newObjectives(r rt.Runtime, defs port.Definitions, cfg *Config, bugs planted.Set) *objectives {
	return &objectives{
		r: r, defs: defs, cfg: cfg, bugs: bugs, told: func(context.Context, error) {}, announce: func(string, string) {},
		found: newLRU[dataset](cfg.CacheSize), missing: newLRU[dataset](cfg.CacheSize),
		flights: map[int64]*rt.Future[*dataset]{}, wideLock: rt.NewMutex(r),
	}
}

// of returns what is known of a dataset. It waits for a catalog that is away; its only errors are ctx's.
func (o *objectives) of(ctx context.Context, id int64) (*dataset, error) {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		d, flight := o.look(id)
		if d != nil {
			return d, nil
		}
		d, err := flight.Wait(ctx)
		if err == nil {
			return d, nil
		}
		if err := o.r.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("SLOs of dataset %d: %w", id, err)
		}
	}
}

// look answers from the cache, or with the question that is under way.
func (o *objectives) look(id int64) (*dataset, *rt.Future[*dataset]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.r.Now()
	flight := o.flights[id]
	if e := o.found.get(id); e != nil {
		age := now.Sub(e.at)
		if age >= o.cfg.RefreshEvery && age < 2*o.cfg.RefreshEvery && flight == nil && o.refreshing < maxRefresh {
			o.refreshing++
			o.begin(id, true)
		}
		if age < 2*o.cfg.RefreshEvery {
			return e.value, nil
		}
	} else if e := o.missing.get(id); e != nil && now.Sub(e.at) < o.cfg.MissFor && !o.bugs.Has(planted.NoNegativeCache) {
		return e.value, nil
	}
	if flight == nil {
		flight = o.begin(id, false)
	}
	return nil, flight
}

// begin asks the catalog in a task of its own: who waits may have to give its partition up, and others still get the
// answer. Under the lock.
func (o *objectives) begin(id int64, refresh bool) *rt.Future[*dataset] {
	flight := rt.NewFuture[*dataset](o.r)
	o.flights[id] = flight
	o.lookUps++
	o.r.Go("ask for SLOs", func(ctx context.Context) {
		d, err := o.ask(ctx, id)
		o.told(ctx, err)
		o.mu.Lock()
		delete(o.flights, id)
		if refresh {
			o.refreshing--
		}
		news := false
		switch {
		case err == nil:
			o.missing.drop(id)
			o.found.put(id, d, o.r.Now())
		case errors.Is(err, port.ErrNotFound):
			d, err = &dataset{gone: true}, nil
			news = o.missing.get(id) == nil
			o.found.drop(id)
			o.missing.put(id, d, o.r.Now())
		}
		o.mu.Unlock()
		if news {
			o.announce(port.EventDatasetUnknown, fmt.Sprintf(unknownText, id))
		}
		flight.Complete(d, err)
	})
	return flight
}

// ask reads a dataset's SLOs.
func (o *objectives) ask(ctx context.Context, id int64) (*dataset, error) {
	if id == everyone || id == port.OfTeams {
		return nil, fmt.Errorf("dataset %d: %w", id, port.ErrNotFound) // no dataset has that ID, and it would list them all
	}
	began := o.r.Now()
	ctx, cancel := o.r.WithTimeout(ctx, askFor)
	defer cancel()
	defs, err := o.defs.DefinitionsOf(ctx, id, port.KindSLO, port.KindDerivedColumn)
	if err != nil {
		return nil, err
	}
	columns := map[string]string{}
	for i := range defs {
		if defs[i].Kind == port.KindDerivedColumn {
			name, text := derived(&defs[i])
			columns[name] = text
		}
	}
	d := &dataset{}
	for i := range defs {
		if defs[i].Kind != port.KindSLO {
			continue
		}
		sli, why, err := o.sliOf(ctx, &defs[i], columns, began)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			d.broken = append(d.broken, fmt.Sprintf("SLO %d %q of dataset %d: %s", defs[i].ID, defs[i].Name, id, why))
		default:
			d.slos = append(d.slos, slo{id: defs[i].ID, sli: sli})
		}
	}
	return d, nil
}

// sliOf finds the expression of an SLO among its dataset's derived columns, then among its team's, read after began if need be;
// or says why there is none.
func (o *objectives) sliOf(ctx context.Context, def *port.Definition, columns map[string]string, began time.Time) (sli *expr.Expr, why string, err error) {
	var body definition.SLO
	if wrong := json.Unmarshal(def.Body, &body); wrong != nil {
		return nil, "its definition cannot be read: " + wrong.Error(), nil //nolint:nilerr // the SLO is wrong; the question was answered
	}
	text, there := columns[body.SLI.Alias]
	if !there {
		if text, there, err = o.teamWide(ctx, alias{def.Team, body.SLI.Alias}, began); err != nil {
			return nil, "", err
		}
	}
	if !there {
		return nil, fmt.Sprintf("its SLI %q is not a derived column", body.SLI.Alias), nil
	}
	sli, err = expr.Parse(text)
	if err != nil {
		return nil, fmt.Sprintf("the expression of its SLI %q: %v", body.SLI.Alias, err), nil
	}
	return sli, "", nil
}

func derived(def *port.Definition) (name, expression string) {
	var body definition.DerivedColumn
	if json.Unmarshal(def.Body, &body) != nil {
		return def.Name, "" // which is no expression: the SLO is told to be broken
	}
	if body.Alias == "" {
		body.Alias = def.Name
	}
	return body.Alias, body.Expression
}

// teamWide is a derived column that is defined for a whole team. They are read when an SLI is not one of its dataset's: at most
// every RefreshEvery those that are there, and what is not there since began.
func (o *objectives) teamWide(ctx context.Context, name alias, began time.Time) (text string, there bool, err error) {
	if err := o.wideLock.Lock(ctx); err != nil {
		return "", false, err
	}
	defer o.wideLock.Unlock()
	if text, there = o.wide[name]; o.wide != nil && (there || !o.wideAt.Before(began)) && o.r.Now().Sub(o.wideAt) < o.cfg.RefreshEvery {
		return text, there, nil
	}
	o.mu.Lock()
	o.lookUps++
	o.mu.Unlock()
	defs, err := o.defs.DefinitionsOf(ctx, port.OfTeams, port.KindDerivedColumn)
	if err != nil {
		return "", false, err
	}
	o.wide, o.wideAt = map[alias]string{}, o.r.Now()
	for i := range defs {
		column, text := derived(&defs[i])
		o.wide[alias{defs[i].Team, column}] = text
	}
	text, there = o.wide[name]
	return text, there, nil
}

// fill adds what is known to a status.
func (o *objectives) fill(st *Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st.LookUps, st.UnknownDatasets = o.lookUps, o.missing.len()
	o.found.each(func(d *dataset) {
		if len(d.broken) > 0 {
			st.Broken += len(d.broken)
			st.BrokenWhy = d.broken[0]
		}
	})
}
