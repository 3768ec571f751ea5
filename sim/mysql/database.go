package mysql

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

// dataset is a dataset's row, its columns, and its definitions by ID.
type dataset struct {
	port.Dataset
	columns     map[string]port.ColumnTypes
	definitions []*definition
}

// place is a dataset's unique key.
type place struct {
	team int64
	slug string
}

// database is what is committed and durable.
type database struct {
	schema      int64
	teams       map[int64]*port.Team
	keys        map[string]int64
	datasets    map[int64]*dataset
	places      map[place]*dataset
	definitions map[int64]*definition
	ordered     []*definition // all of them by ID
	names       map[named]*definition
	progress    map[consumed]*consumer
	epoch       int64
	epochBy     string
	due         []port.Place // of evaluations that are to be delivered, by window and alert
	// Numbers are never given twice, whether or not the transaction that took one commits (AUTO_INCREMENT).
	lastTeam, lastDataset, lastDefinition int64
}

func newDatabase() *database {
	return &database{
		teams: map[int64]*port.Team{}, keys: map[string]int64{}, datasets: map[int64]*dataset{}, places: map[place]*dataset{},
		definitions: map[int64]*definition{}, names: map[named]*definition{}, progress: map[consumed]*consumer{},
	}
}

// needs is the schema version from which on an operation's tables are there.
func needs(o op) int64 {
	switch o {
	case opVersion:
		return 0
	case opCreateTeam, opTeamByKey, opSetTeamLimits:
		return 1
	case opColumns, opAddColumns:
		return 3
	case opDefine, opRedefine, opUndefine, opDefinition, opDefinitionsOf:
		return 4
	case opAdvance, opProgressOf, opSLOCounts:
		return 5
	case opRecord, opLead, opEpoch, opLastEvaluation, opEvaluationsOf, opUndelivered, opDelivered:
		return 6
	default:
		return 2
	}
}

// read answers an operation that does not write.
func (d *database) read(r *request) *reply {
	if code := d.check(r); code != codeOK {
		return &reply{code: code, version: d.schema}
	}
	a := &reply{}
	switch r.op {
	case opVersion:
		a.version = d.schema
	case opTeamByKey:
		id, there := d.keys[r.key]
		if !there {
			return &reply{code: codeNotFound}
		}
		a.team = *d.teams[id]
	case opDataset:
		ds := d.places[place{r.team, r.name}]
		if ds == nil {
			return &reply{code: codeNotFound}
		}
		a.datasets = []port.Dataset{ds.copy()}
	case opDatasetByID:
		ds := d.datasets[r.id]
		if ds == nil {
			return &reply{code: codeNotFound}
		}
		a.datasets = []port.Dataset{ds.copy()}
	case opDatasets:
		// order: sorted below.
		for _, ds := range d.datasets {
			if ds.Team == r.team {
				a.datasets = append(a.datasets, ds.copy())
			}
		}
		slices.SortFunc(a.datasets, func(x, y port.Dataset) int { return cmp.Compare(x.ID, y.ID) })
	case opColumns:
		ds := d.datasets[r.id]
		if ds == nil {
			return &reply{code: codeNotFound}
		}
		// order: sorted below.
		for name, types := range ds.columns {
			a.columns = append(a.columns, port.Column{Name: name, Types: types})
		}
		slices.SortFunc(a.columns, func(x, y port.Column) int { return strings.Compare(x.Name, y.Name) })
	case opDefinition, opDefinitionsOf:
		return d.readDefinitions(r)
	case opProgressOf, opSLOCounts:
		return d.readCounts(r)
	case opEpoch, opLastEvaluation, opEvaluationsOf, opUndelivered:
		return d.readEvaluations(r)
	default:
		panic(fmt.Sprintf("sim/mysql: operation %d does not only read", r.op))
	}
	return a
}

func (d *database) check(r *request) code {
	if d.schema < needs(r.op) {
		return codeNoTable
	}
	return codeOK
}

func (ds *dataset) copy() port.Dataset {
	c := ds.Dataset
	c.Partitions = slices.Clone(c.Partitions)
	return c
}

// work does what a transaction does before its commit, with its lock held. apply is what its commit will change.
func (d *database) work(r *request, now time.Time) (a *reply, apply func()) {
	if code := d.check(r); code != codeOK {
		return &reply{code: code, version: d.schema}, nil
	}
	switch r.op {
	case opCreateTeam:
		return d.createTeam(r)
	case opSetTeamLimits:
		t := d.teams[r.team]
		if t == nil {
			return &reply{code: codeNotFound}, nil
		}
		return &reply{}, func() { t.Limits, t.DatasetLimits = r.limits, r.datasetLimits }
	case opCreateDataset:
		return d.createDataset(r, now)
	case opDefine:
		return d.define(r.definition, now)
	case opRedefine:
		return d.redefine(r.definition, now)
	case opUndefine:
		return d.undefine(r.id)
	case opAdvance:
		return d.advance(r.advance, now)
	case opRecord:
		return d.record(r.evaluation)
	case opLead:
		return d.lead(r.from, r.name)
	case opDelivered:
		return d.delivered(r.id, r.from, r.at)
	}
	ds := d.datasets[r.id]
	if ds == nil {
		return &reply{code: codeNotFound}, nil
	}
	switch r.op {
	case opSetDatasetLimits:
		return &reply{}, func() { ds.Limits = r.limits }
	case opWidenDataset:
		return &reply{}, func() { ds.Partitions = catalog.Union(ds.Partitions, r.partitions) }
	case opDeleteDataset:
		return &reply{}, func() {
			delete(d.datasets, ds.ID)
			delete(d.places, place{ds.Team, ds.Slug})
			for _, def := range ds.definitions {
				d.forget(def)
			}
		}
	case opAddColumns:
		fresh := 0
		for _, c := range r.columns {
			if _, there := ds.columns[c.Name]; !there {
				fresh++
			}
		}
		if len(ds.columns)+fresh > port.MaxColumns {
			return &reply{code: codeTooManyColumns}, nil
		}
		return &reply{}, func() {
			for _, c := range r.columns {
				ds.columns[c.Name] |= c.Types
			}
		}
	}
	panic(fmt.Sprintf("sim/mysql: operation %d does not write", r.op))
}

func (d *database) createTeam(r *request) (*reply, func()) {
	if id, there := d.keys[r.key]; there {
		return &reply{team: *d.teams[id]}, nil
	}
	d.lastTeam++
	t := port.Team{ID: d.lastTeam, Name: r.name, Limits: r.limits, DatasetLimits: r.datasetLimits}
	return &reply{team: t}, func() { d.teams[t.ID], d.keys[r.key] = &t, t.ID }
}

func (d *database) createDataset(r *request, now time.Time) (*reply, func()) {
	if d.teams[r.team] == nil {
		return &reply{code: codeNotFound}, nil
	}
	at := place{r.team, catalog.Slug(r.name)}
	if ds := d.places[at]; ds != nil {
		return &reply{datasets: []port.Dataset{ds.copy()}}, nil
	}
	d.lastDataset++
	ds := &dataset{columns: map[string]port.ColumnTypes{}, Dataset: port.Dataset{
		ID: d.lastDataset, Team: r.team, Name: r.name, Slug: at.slug, Limits: r.limits,
		Partitions: catalog.PartitionSet(d.lastDataset, r.spread, r.of), Created: now.UTC().Truncate(time.Microsecond),
	}}
	return &reply{datasets: []port.Dataset{ds.copy()}, created: true}, func() { d.datasets[ds.ID], d.places[at] = ds, ds }
}
