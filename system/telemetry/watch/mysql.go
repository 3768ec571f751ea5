package watch

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
)

// catalog is a [port.Catalog] that is measured.
type catalog struct {
	m  *meter
	in port.Catalog
}

func (w *catalog) SchemaVersion(ctx context.Context) (int64, error) {
	op := w.m.begin()
	a, err := w.in.SchemaVersion(ctx)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) CreateTeam(ctx context.Context, t port.NewTeam) (port.Team, error) {
	op := w.m.begin()
	a, err := w.in.CreateTeam(ctx, t)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) TeamByKey(ctx context.Context, key string) (port.Team, error) {
	op := w.m.begin()
	a, err := w.in.TeamByKey(ctx, key)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) SetTeamLimits(ctx context.Context, team int64, limits port.Limits, datasets port.Limits) error {
	op := w.m.begin()
	err := w.in.SetTeamLimits(ctx, team, limits, datasets)
	w.m.end(ctx, op, err)
	return err
}

func (w *catalog) CreateDataset(ctx context.Context, d port.NewDataset) (port.Dataset, bool, error) {
	op := w.m.begin()
	a, b, err := w.in.CreateDataset(ctx, d)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *catalog) Dataset(ctx context.Context, team int64, slug string) (port.Dataset, error) {
	op := w.m.begin()
	a, err := w.in.Dataset(ctx, team, slug)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) DatasetByID(ctx context.Context, id int64) (port.Dataset, error) {
	op := w.m.begin()
	a, err := w.in.DatasetByID(ctx, id)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) Datasets(ctx context.Context, team int64) ([]port.Dataset, error) {
	op := w.m.begin()
	a, err := w.in.Datasets(ctx, team)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) SetDatasetLimits(ctx context.Context, id int64, limits port.Limits) error {
	op := w.m.begin()
	err := w.in.SetDatasetLimits(ctx, id, limits)
	w.m.end(ctx, op, err)
	return err
}

func (w *catalog) WidenDataset(ctx context.Context, id int64, partitions []int32) error {
	op := w.m.begin()
	err := w.in.WidenDataset(ctx, id, partitions)
	w.m.end(ctx, op, err)
	return err
}

func (w *catalog) DeleteDataset(ctx context.Context, id int64) error {
	op := w.m.begin()
	err := w.in.DeleteDataset(ctx, id)
	w.m.end(ctx, op, err)
	return err
}

func (w *catalog) Columns(ctx context.Context, dataset int64) ([]port.Column, error) {
	op := w.m.begin()
	a, err := w.in.Columns(ctx, dataset)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *catalog) AddColumns(ctx context.Context, dataset int64, columns []port.Column) error {
	op := w.m.begin()
	err := w.in.AddColumns(ctx, dataset, columns)
	w.m.end(ctx, op, err)
	return err
}

// definitions is a [port.Definitions] that is measured.
type definitions struct {
	m  *meter
	in port.Definitions
}

func (w *definitions) Define(ctx context.Context, def port.Definition) (port.Definition, error) {
	op := w.m.begin()
	a, err := w.in.Define(ctx, def)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *definitions) Redefine(ctx context.Context, def port.Definition) (port.Definition, error) {
	op := w.m.begin()
	a, err := w.in.Redefine(ctx, def)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *definitions) Definition(ctx context.Context, id int64) (port.Definition, error) {
	op := w.m.begin()
	a, err := w.in.Definition(ctx, id)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *definitions) DefinitionsOf(ctx context.Context, dataset int64, kinds ...port.DefinitionKind) ([]port.Definition, error) {
	op := w.m.begin()
	a, err := w.in.DefinitionsOf(ctx, dataset, kinds...)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *definitions) Undefine(ctx context.Context, id int64) error {
	op := w.m.begin()
	err := w.in.Undefine(ctx, id)
	w.m.end(ctx, op, err)
	return err
}
