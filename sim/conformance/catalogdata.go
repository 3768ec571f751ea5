package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

func oddNames(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	seen := map[int64]string{}
	for _, name := range []string{
		"quote's \"double\" `back`", `back\slash`, "émoji 🦡", "nul\x00l", "100%_sure", "--comment;", "a", "á", "ä", "ß", "ss",
		strings.Repeat("ü", 127), "%s ? $1",
	} {
		ds, created, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: name, Spread: 1, Of: 1})
		if err != nil || !created {
			return fmt.Errorf("create %q: %v (like %q), %w", name, created, seen[ds.ID], err)
		}
		seen[ds.ID] = name
		got, err := e.B.Dataset(ctx, team.ID, catalog.Slug(name))
		if err != nil || got.Name != name || got.Slug != catalog.Slug(name) || got.ID != ds.ID {
			return fmt.Errorf("%q came back as %+v, %w", name, got, err)
		}
		column := port.Column{Name: name, Types: port.ColumnString}
		if err := e.A.AddColumns(ctx, ds.ID, []port.Column{column}); err != nil {
			return err
		}
		if columns, err := e.B.Columns(ctx, ds.ID); err != nil || !slices.Equal(columns, []port.Column{column}) {
			return fmt.Errorf("column %q came back as %v, %w", name, columns, err)
		}
	}
	return nil
}

func badNames(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"", " \t", strings.Repeat("x", catalog.MaxNameBytes+1), "not UTF-8 \xff"} {
		_, _, dsErr := e.A.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: name, Spread: 1, Of: 1})
		_, teamErr := e.A.CreateTeam(ctx, port.NewTeam{Name: name, Key: e.Name + "bad"})
		if err := errors.Join(refused(fmt.Sprintf("dataset %.20q", name), dsErr, nil), refused(fmt.Sprintf("team %.20q", name), teamErr, nil)); err != nil {
			return err
		}
	}
	for _, c := range []port.Column{
		{Name: "", Types: port.ColumnInt}, {Name: "x"}, {Name: "x", Types: 1 << 7}, {Name: "\xff", Types: port.ColumnInt},
		{Name: strings.Repeat("x", catalog.MaxColumnNameBytes+1), Types: port.ColumnInt},
	} {
		err := e.A.AddColumns(ctx, ds.ID, []port.Column{{Name: "good", Types: port.ColumnInt}, c})
		if err := refused(fmt.Sprintf("column %.20q", c.Name), err, nil); err != nil {
			return err
		}
	}
	if columns, err := e.B.Columns(ctx, ds.ID); err != nil || len(columns) != 0 {
		return fmt.Errorf("columns after refusals: %v, %w", columns, err)
	}
	return nil
}

func columnTypes(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for _, batch := range [][]port.Column{
		{{Name: "b", Types: port.ColumnInt}, {Name: "B", Types: port.ColumnString}, {Name: "a ", Types: port.ColumnBool}},
		{{Name: "a", Types: port.ColumnFloat}, {Name: "b", Types: port.ColumnString}, {Name: "b", Types: port.ColumnFloat}},
		{{Name: "b", Types: port.ColumnInt}},
		nil,
	} {
		if err := e.A.AddColumns(ctx, ds.ID, batch); err != nil {
			return err
		}
	}
	want := []port.Column{
		{Name: "B", Types: port.ColumnString}, {Name: "a", Types: port.ColumnFloat}, {Name: "a ", Types: port.ColumnBool},
		{Name: "b", Types: port.ColumnInt | port.ColumnFloat | port.ColumnString},
	}
	got, err := e.B.Columns(ctx, ds.ID)
	if err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("%v (%w), expected %v", got, err, want)
	}
	return nil
}

func columnsAllOrNone(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	numbered := func(from, to int) []port.Column {
		var all []port.Column
		for i := from; i < to; i++ {
			all = append(all, port.Column{Name: fmt.Sprint("c", i), Types: port.ColumnInt})
		}
		return all
	}
	if err := e.A.AddColumns(ctx, ds.ID, numbered(0, port.MaxColumns-1)); err != nil {
		return err
	}
	if err := certainly("two more than fit", e.A.AddColumns(ctx, ds.ID, numbered(port.MaxColumns-3, port.MaxColumns+1)), port.ErrTooManyColumns); err != nil {
		return err
	}
	if got, err := e.B.Columns(ctx, ds.ID); err != nil || len(got) != port.MaxColumns-1 {
		return fmt.Errorf("%d columns after a refusal (%w), expected %d", len(got), err, port.MaxColumns-1)
	}
	if err := e.A.AddColumns(ctx, ds.ID, numbered(port.MaxColumns-3, port.MaxColumns)); err != nil {
		return fmt.Errorf("one that fits, with some that are there: %w", err)
	}
	if got, err := e.B.Columns(ctx, ds.ID); err != nil || len(got) != port.MaxColumns {
		return fmt.Errorf("%d columns (%w), expected %d", len(got), err, port.MaxColumns)
	}
	return nil
}

func columnsRace(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
		types := port.ColumnInt
		if c == e.B {
			types = port.ColumnString
		}
		for i := range 10 {
			if err := c.AddColumns(ctx, ds.ID, []port.Column{{Name: fmt.Sprint("own", types, i), Types: types}, {Name: fmt.Sprint("shared", i), Types: types}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	got, err := e.A.Columns(ctx, ds.ID)
	if err != nil || len(got) != 30 {
		return fmt.Errorf("%d columns (%w), expected 30", len(got), err)
	}
	for _, c := range got {
		if strings.HasPrefix(c.Name, "shared") && c.Types != port.ColumnInt|port.ColumnString {
			return fmt.Errorf("column %s lost a type: %v", c.Name, c.Types)
		}
	}
	return nil
}

func columnsDeleted(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.A.AddColumns(ctx, ds.ID, []port.Column{{Name: "x", Types: port.ColumnInt}}); err != nil {
		return err
	}
	if err := e.A.DeleteDataset(ctx, ds.ID); err != nil {
		return err
	}
	_, err = e.B.Columns(ctx, ds.ID)
	return certainly("columns of a deleted dataset", err, port.ErrNotFound)
}
