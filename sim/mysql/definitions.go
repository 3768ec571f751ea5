package mysql

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// definition is a definition's row, and the rows of other tables that go with it.
type definition struct {
	port.Definition
	counts      []port.SLOCount   // by minute
	evaluations []port.Evaluation // by window
}

// named is a definition's unique key.
type named struct {
	team, dataset int64
	kind          port.DefinitionKind
	name          string
}

func nameOf(d *port.Definition) named { return named{d.Team, d.Dataset, d.Kind, d.Name} }

func (def *definition) key() rowKey { return rowKey{kind: rowDefinition, a: def.ID} }

// copy is what a client gets, to change as it likes.
func (def *definition) copy() port.Definition {
	c := def.Definition
	c.Body = bytes.Clone(c.Body)
	return c
}

func byID(def *definition, id int64) int { return cmp.Compare(def.ID, id) }

// insertByID and deleteByID keep a list in order. Transactions commit in another order than they were given their IDs.
func insertByID(list []*definition, def *definition) []*definition {
	i, _ := slices.BinarySearchFunc(list, def.ID, byID)
	return slices.Insert(list, i, def)
}

func deleteByID(list []*definition, id int64) []*definition {
	if i, there := slices.BinarySearchFunc(list, id, byID); there {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// micro is a moment as the database's clock tells it.
func micro(now time.Time) time.Time { return now.UTC().Truncate(time.Microsecond) }

func (d *database) define(n *port.Definition, now time.Time) (*reply, func()) {
	if there := d.names[nameOf(n)]; there != nil {
		if !bytes.Equal(there.Body, n.Body) {
			return &reply{code: codeNameTaken}, nil
		}
		return &reply{definitions: []port.Definition{there.copy()}}, nil
	}
	ds := d.datasets[n.Dataset]
	if n.Dataset != 0 && (ds == nil || ds.Team != n.Team) || d.teams[n.Team] == nil {
		return &reply{code: codeNotFound}, nil
	}
	d.lastDefinition++
	def := &definition{Definition: *n}
	def.ID, def.Version, def.Created = d.lastDefinition, 1, micro(now)
	def.Updated = def.Created
	return &reply{definitions: []port.Definition{def.copy()}}, func() {
		if ds != nil && d.datasets[ds.ID] != ds {
			return // deleted meanwhile, and this with it
		}
		d.definitions[def.ID], d.names[nameOf(n)] = def, def
		d.ordered = insertByID(d.ordered, def)
		if ds != nil {
			ds.definitions = insertByID(ds.definitions, def)
		}
	}
}

func (d *database) redefine(n *port.Definition, now time.Time) (*reply, func()) {
	def := d.definitions[n.ID]
	if def == nil {
		return &reply{code: codeNotFound}, nil
	}
	if def.Name == n.Name && bytes.Equal(def.Body, n.Body) {
		return &reply{definitions: []port.Definition{def.copy()}}, nil
	}
	changed := def.Definition
	changed.Name, changed.Body, changed.Updated = n.Name, n.Body, micro(now)
	changed.Version++
	if there := d.names[nameOf(&changed)]; there != nil && there != def {
		return &reply{code: codeNameTaken}, nil
	}
	return &reply{definitions: []port.Definition{(&definition{Definition: changed}).copy()}}, func() {
		if d.definitions[def.ID] != def {
			return
		}
		delete(d.names, nameOf(&def.Definition))
		def.Definition = changed
		d.names[nameOf(&changed)] = def
	}
}

func (d *database) undefine(id int64) (*reply, func()) {
	def := d.definitions[id]
	if def == nil {
		return &reply{code: codeNotFound}, nil
	}
	return &reply{}, func() {
		d.forget(def)
		if ds := d.datasets[def.Dataset]; ds != nil {
			ds.definitions = deleteByID(ds.definitions, id)
		}
	}
}

// forget deletes a definition and what refers to it, but for its dataset's list.
func (d *database) forget(def *definition) {
	delete(d.definitions, def.ID)
	delete(d.names, nameOf(&def.Definition))
	d.ordered = deleteByID(d.ordered, def.ID)
	for i := range def.evaluations {
		d.paid(&def.evaluations[i])
	}
}

func (d *database) readDefinitions(r *request) *reply {
	if r.op == opDefinition {
		def := d.definitions[r.id]
		if def == nil {
			return &reply{code: codeNotFound}
		}
		return &reply{definitions: []port.Definition{def.copy()}}
	}
	list := d.ordered
	if r.id != 0 && r.id != port.OfTeams {
		ds := d.datasets[r.id]
		if ds == nil {
			return &reply{code: codeNotFound}
		}
		list = ds.definitions
	}
	a := &reply{}
	for _, def := range list {
		if (len(r.kinds) == 0 || slices.Contains(r.kinds, def.Kind)) && (r.id != port.OfTeams || def.Dataset == 0) {
			a.definitions = append(a.definitions, def.copy())
		}
	}
	return a
}
