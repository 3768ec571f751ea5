package manage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/nearest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// unnamed is the name of what has none: equal ones are one definition, so that a POST can be repeated.
func unnamed(what string, body []byte) string {
	sum := sha256.Sum256(body)
	return what + "-" + hex.EncodeToString(sum[:16])
}

// bodies are the definitions of a kind in a list that can be read, with their IDs.
func bodies[T any](list []port.Definition, kind port.DefinitionKind) (ids []int64, all []T) {
	for _, d := range list {
		var v T
		if d.Kind == kind && json.Unmarshal(d.Body, &v) == nil {
			ids, all = append(ids, d.ID), append(all, v)
		}
	}
	return ids, all
}

func (q *query) derivedColumn(body []byte) (d draft, err error) {
	c, err := definition.ParseDerivedColumn(body, q.options())
	if err != nil {
		return d, err
	}
	e, err := expr.Parse(c.Expression)
	if err != nil {
		return d, err
	}
	others, err := q.derivedColumns()
	if err != nil {
		return d, err
	}
	for _, other := range others {
		if slices.Contains(e.Columns(), other.Alias) {
			return d, invalid(document.CodeUnsupported, "expression", "%q is a derived column, which others cannot be made of here: write its expression instead: %s", other.Alias, document.Short(other.Expression))
		}
	}
	if err := q.stillAnSLI(c.Alias, e.Type()); err != nil {
		return d, err
	}
	if q.ds.ID == 0 {
		return draft{name: c.Alias, body: definition.Encode(c)}, nil // which columns there are differs from dataset to dataset
	}
	columns, err := q.columnNames()
	if err != nil {
		return d, err
	}
	if slices.Contains(columns, c.Alias) {
		return d, conflict("dataset %q has a column %q, sent by its events: choose another alias", q.ds.Name, document.Short(c.Alias))
	}
	return draft{c.Alias, definition.Encode(c), missing(e.Columns(), columns, q.ds.Name)}, nil
}

// derivedColumns are those that an SLI of the dataset can be: its own, and then those of the whole team.
func (q *query) derivedColumns() ([]definition.DerivedColumn, error) {
	_, columns := bodies[definition.DerivedColumn](q.have, port.KindDerivedColumn)
	if q.ds.ID == 0 {
		return columns, nil
	}
	list, err := q.teams(port.KindDerivedColumn)
	if err != nil {
		return nil, err
	}
	_, wide := bodies[definition.DerivedColumn](slices.DeleteFunc(list, func(d port.Definition) bool { return d.Dataset != 0 }), port.KindDerivedColumn)
	return append(columns, wide...), nil
}

// columnNames are the dataset's columns.
func (q *query) columnNames() ([]string, error) {
	list, err := q.catalog.Columns(q.ctx, q.ds.ID)
	if err != nil {
		return nil, LookedUp(err, "dataset %q", q.ds.Name)
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names, nil
}

// missing warns of columns that no event has had so far. That is no error: definitions may come before the events.
func missing(needed, columns []string, dataset string) (warnings []string) {
	for _, name := range needed {
		if !slices.Contains(columns, name) {
			hint := ""
			if like, ok := nearest.Name(name, columns); ok {
				hint = fmt.Sprintf("; did you mean %q?", like)
			}
			warnings = append(warnings, fmt.Sprintf("no event of dataset %q has had column %q so far: it is null until one has%s", dataset, document.Short(name), hint))
		}
	}
	return warnings
}

// stillAnSLI refuses a derived column that would break the SLOs that are made of it: by a change, or by coming before the
// team's column of that alias.
func (q *query) stillAnSLI(alias string, t expr.Type) error {
	name := alias
	if q.id != 0 {
		name = q.old.Name
	}
	slo, err := q.sloOf(name)
	switch {
	case err != nil:
		return err
	case slo == "":
	case q.id == 0 && t != expr.Bool:
		return conflict("SLO %q would be made of this derived column %q instead of the team's, and it is %s: wrap it in BOOL(…)", slo, document.Short(alias), t)
	case q.id == 0:
	case alias != q.old.Name:
		return conflict("SLO %q is made of derived column %q, which therefore cannot be renamed: create another and change the SLO first", slo, document.Short(q.old.Name))
	case t != expr.Bool:
		return conflict("SLO %q is made of derived column %q, which must stay a boolean; now it is %s: wrap it in BOOL(…)", slo, document.Short(alias), t)
	}
	return nil
}

// sloOf is the name of an SLO that is made of the derived column of that alias which the request is about; empty if there
// is none.
func (q *query) sloOf(alias string) (string, error) {
	if q.ds.ID != 0 {
		_, slos := bodies[definition.SLO](q.have, port.KindSLO)
		for _, s := range slos {
			if s.SLI.Alias == alias {
				return s.Name, nil
			}
		}
		return "", nil
	}
	list, err := q.teams(port.KindDerivedColumn, port.KindSLO)
	if err != nil {
		return "", err
	}
	own := map[int64]bool{} // datasets that have a derived column of that alias, which comes before the team's
	for _, d := range list {
		if d.Kind == port.KindDerivedColumn && d.Dataset != 0 && d.Name == alias {
			own[d.Dataset] = true
		}
	}
	for _, d := range list {
		_, slos := bodies[definition.SLO]([]port.Definition{d}, port.KindSLO)
		if len(slos) == 1 && slos[0].SLI.Alias == alias && !own[d.Dataset] {
			return slos[0].Name, nil
		}
	}
	return "", nil
}

func (q *query) columnUsed(d port.Definition) error {
	slo, err := q.sloOf(d.Name)
	if err != nil {
		return err
	}
	if slo != "" {
		return conflict("SLO %q is made of derived column %q: delete or change the SLO first", slo, document.Short(d.Name))
	}
	return nil
}

func (q *query) slo(body []byte) (d draft, err error) {
	s, err := definition.ParseSLO(body, q.options())
	if err != nil {
		return d, err
	}
	for _, slug := range s.DatasetSlugs {
		if slug != q.ds.Slug {
			return d, invalid(document.CodeUnsupported, "dataset_slugs", "an SLO is of one dataset here, and this one of %q: make another for %q", q.ds.Slug, document.Short(slug))
		}
	}
	s.DatasetSlugs = nil // replies have it from the dataset
	columns, err := q.derivedColumns()
	if err != nil {
		return d, err
	}
	var aliases []string
	for _, c := range columns {
		aliases = append(aliases, c.Alias)
	}
	i := slices.Index(aliases, s.SLI.Alias)
	if i < 0 {
		hint := "create it first: POST /1/derived_columns/" + q.ds.Slug
		if like, ok := nearest.Name(s.SLI.Alias, aliases); ok {
			hint = "did you mean " + like + "?"
		}
		return d, invalid(document.CodeInvalid, "sli.alias", "dataset %q has no derived column %q: %s", q.ds.Name, document.Short(s.SLI.Alias), hint)
	}
	e, err := expr.Parse(columns[i].Expression)
	switch {
	case err != nil:
		return d, invalid(document.CodeInvalid, "sli.alias", "the expression of derived column %q cannot be used: %v", document.Short(s.SLI.Alias), err)
	case e.Type() != expr.Bool:
		return d, invalid(document.CodeInvalid, "sli.alias", "derived column %q is %s, and an SLI must be a boolean: compare with something, or wrap it in BOOL(…)", document.Short(s.SLI.Alias), e.Type())
	}
	if q.id != 0 {
		if err := q.windowsFit(s); err != nil {
			return d, err
		}
	}
	have, err := q.columnNames()
	if err != nil {
		return d, err
	}
	return draft{s.Name, definition.Encode(s), missing(e.Columns(), have, q.ds.Name)}, nil
}

// windowsFit refuses to shorten an SLO below the window of one of its burn alerts.
func (q *query) windowsFit(s definition.SLO) error {
	ids, alerts := bodies[definition.BurnAlert](q.have, port.KindBurnAlert)
	for i, b := range alerts {
		if b.SLO.ID == strconv.FormatInt(q.id, 10) && b.BudgetRateWindowMinutes > s.TimePeriodDays*24*60 {
			return conflict("burn alert %d looks at %d minutes, which is longer than %d days: change it first", ids[i], b.BudgetRateWindowMinutes, s.TimePeriodDays)
		}
	}
	return nil
}

// ofSLO says whether a burn alert is of an SLO.
func ofSLO(d port.Definition, slo string) bool {
	_, alerts := bodies[definition.BurnAlert]([]port.Definition{d}, port.KindBurnAlert)
	return len(alerts) == 1 && alerts[0].SLO.ID == slo
}

func (q *query) sloUsed(d port.Definition) error {
	for _, other := range q.have {
		if other.Kind == port.KindBurnAlert && ofSLO(other, strconv.FormatInt(d.ID, 10)) {
			return conflict("burn alert %d is of SLO %q: delete it first", other.ID, d.Name)
		}
	}
	return nil
}

func (q *query) burnAlert(body []byte) (d draft, err error) {
	b, err := definition.ParseBurnAlert(body, q.options())
	if err != nil {
		return d, err
	}
	ids, slos := bodies[definition.SLO](q.have, port.KindSLO)
	i := slices.Index(ids, definition.ID(b.SLO.ID))
	if i < 0 {
		return d, invalid(document.CodeInvalid, "slo.id", "dataset %q has no SLO %s: see GET /1/slos/%s", q.ds.Name, b.SLO.ID, q.ds.Slug)
	}
	b.SLO.ID = strconv.FormatInt(ids[i], 10) // "007" is 7
	if most := slos[i].TimePeriodDays * 24 * 60; b.BudgetRateWindowMinutes > most {
		return d, invalid(document.CodeInvalid, "budget_rate_window_minutes", "%d is longer than the SLO's %d days (%d minutes)", b.BudgetRateWindowMinutes, slos[i].TimePeriodDays, most)
	}
	if err := q.known(b.Recipients); err != nil {
		return d, err
	}
	encoded := definition.Encode(b)
	return draft{name: unnamed("burn-alert", encoded), body: encoded}, nil
}

func (q *query) trigger(body []byte) (d draft, err error) {
	t, err := definition.ParseTrigger(body, q.options())
	if err != nil {
		return d, err
	}
	asked, err := spec.Parse(t.Query, q.opts.Now())
	if err != nil {
		return d, err // it was read before
	}
	columns, err := q.columnNames()
	if err != nil {
		return d, err
	}
	if err := q.calculable(asked, columns); err != nil {
		return d, err
	}
	if err := q.known(t.Recipients); err != nil {
		return d, err
	}
	return draft{t.Name, definition.Encode(t), missing(asked.Reads(), columns, q.ds.Name)}, nil
}

// calculable refuses a query over a derived column, of the dataset or of the team, which queries do not calculate: it would find
// null in every event, and the trigger would stay silent. A column that events have is another matter, whatever else has its name.
func (q *query) calculable(asked *spec.Query, columns []string) error {
	derived, err := q.derivedColumns()
	if err != nil {
		return err
	}
	for _, name := range asked.Reads() {
		if !slices.Contains(columns, name) && slices.ContainsFunc(derived, func(c definition.DerivedColumn) bool { return c.Alias == name }) {
			return invalid(document.CodeUnsupported, "query", "%q is a derived column, which queries do not calculate here: ask for columns that events have", document.Short(name))
		}
	}
	return nil
}

func (q *query) marker(body []byte) (d draft, err error) {
	m, err := definition.ParseMarker(body, q.options())
	if err != nil {
		return d, err
	}
	encoded := definition.Encode(m)
	return draft{name: unnamed("marker", encoded), body: encoded}, nil
}
