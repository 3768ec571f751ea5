package mysql

import (
	"github.com/ratel-sim/ratel/system/catalog"
)

// rowKind says of which table a row is. Locks are taken in its order.
type rowKind uint8

const (
	rowAPIKey rowKind = iota
	rowTeam
	rowEpoch
	rowDataset
	rowProgress
	rowDefinition
	rowName // an entry of the unique index of definitions' names
	rowEvaluation
)

// rowKey names a row that can be locked.
type rowKey struct {
	kind rowKind
	a, b int64
	s, t string
}

func (ds *dataset) key() rowKey { return rowKey{kind: rowDataset, a: ds.Team, s: ds.Slug} }

func (n named) key() rowKey {
	return rowKey{kind: rowName, a: n.team, b: n.dataset, s: string(n.kind), t: n.name}
}

// lockKeys names the rows that an operation locks, in the order in which it takes them. Of rows that are not there, only
// those that it would insert.
//
// Who counts for an SLO shares a real server's lock of its definition, and then locks the rows of its minutes. As nearly
// everybody who counts for it at the same time counts the same minutes, one lock of the definition stands for both.
func (d *database) lockKeys(r *request) []rowKey {
	switch r.op {
	case opCreateTeam:
		return []rowKey{{kind: rowAPIKey, s: r.key}}
	case opSetTeamLimits:
		return []rowKey{{kind: rowTeam, a: r.team}}
	case opCreateDataset:
		return []rowKey{{kind: rowDataset, a: r.team, s: catalog.Slug(r.name)}}
	case opDefine:
		if d.names[nameOf(r.definition)] != nil {
			return nil // the client looks before it begins to write
		}
		var keys []rowKey
		if ds := d.datasets[r.definition.Dataset]; ds != nil {
			keys = append(keys, ds.key())
		}
		return append(keys, nameOf(r.definition).key())
	case opRedefine:
		def := d.definitions[r.definition.ID]
		if def == nil {
			return nil
		}
		name := nameOf(&def.Definition)
		name.name = r.definition.Name
		return []rowKey{def.key(), name.key()}
	case opUndefine:
		if def := d.definitions[r.id]; def != nil {
			return []rowKey{def.key()}
		}
		return nil
	case opAdvance:
		a := r.advance
		keys := append(make([]rowKey, 0, 4), rowKey{kind: rowProgress, a: int64(a.Partition), s: a.Consumer, t: a.Topic})
		for i, n := range a.Counts {
			if i == 0 || n.SLO != a.Counts[i-1].SLO {
				keys = append(keys, rowKey{kind: rowDefinition, a: n.SLO})
			}
		}
		return keys
	case opRecord:
		return []rowKey{{kind: rowEpoch}, {kind: rowDefinition, a: r.evaluation.Alert}}
	case opLead:
		return []rowKey{{kind: rowEpoch}}
	case opDelivered:
		return []rowKey{{kind: rowEvaluation, a: r.id, b: r.from}}
	}
	ds := d.datasets[r.id]
	if ds == nil {
		return nil
	}
	keys := []rowKey{ds.key()}
	if r.op == opDeleteDataset {
		for _, def := range ds.definitions {
			keys = append(keys, def.key())
		}
	}
	return keys
}
