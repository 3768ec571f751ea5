package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

const definitionColumns = "f.id, f.team_id, f.scope, f.kind, f.name, f.body, f.created, f.updated, f.version"

const selectDefinition = "SELECT " + definitionColumns + " FROM definitions f "

func scanDefinition(r row) (d port.Definition, err error) {
	var kind, name []byte
	var body []byte
	if err = r.Scan(&d.ID, &d.Team, &d.Dataset, &kind, &name, &body, &d.Created, &d.Updated, &d.Version); err != nil {
		return port.Definition{}, err
	}
	d.Kind, d.Name, d.Body = port.DefinitionKind(kind), string(name), body
	return d, nil
}

// namedDefinition finds a definition by what makes it unique.
func (c *Catalog) namedDefinition(ctx context.Context, d port.Definition) (got port.Definition, err error) {
	err = c.read(ctx, fmt.Sprintf("definition of %s %q", d.Kind, d.Name), func(ctx context.Context, q querier) error {
		got, err = scanDefinition(q.QueryRowContext(ctx, selectDefinition+"WHERE f.team_id = ? AND f.scope = ? AND f.kind = ? AND f.name = ?",
			d.Team, d.Dataset, []byte(d.Kind), []byte(d.Name)))
		return err
	})
	return got, err
}

func nameTaken(what string, by int64) error {
	return fmt.Errorf("mysql: %s: %w: definition %d has it", what, port.ErrNameTaken, by)
}

// Define implements [port.Definitions].
func (c *Catalog) Define(ctx context.Context, d port.Definition) (port.Definition, error) {
	what := fmt.Sprintf("define %s %q", d.Kind, d.Name)
	if err := catalog.CheckDefinition(d); err != nil {
		return port.Definition{}, fmt.Errorf("mysql: %s: %w", what, err)
	}
	// there answers with the definition that has the name, if one has; sure is false otherwise.
	there := func() (got port.Definition, sure bool, err error) {
		got, err = c.namedDefinition(ctx, d)
		switch {
		case errors.Is(err, port.ErrNotFound):
			return port.Definition{}, false, err
		case err == nil && !bytes.Equal(got.Body, d.Body):
			return port.Definition{}, true, nameTaken(what, got.ID)
		}
		return got, true, err
	}
	if got, sure, err := there(); sure {
		return got, err
	}
	made := port.Definition{Team: d.Team, Dataset: d.Dataset, Kind: d.Kind, Name: d.Name, Body: bytes.Clone(d.Body), Version: 1}
	err := c.write(ctx, what, func(ctx context.Context, q querier) error {
		if err := q.QueryRowContext(ctx, "SELECT NOW(6)").Scan(&made.Created); err != nil {
			return err
		}
		made.Updated = made.Created
		if d.Dataset != 0 {
			// The foreign key would lock it too, but it does not know whose the dataset is.
			var id int64
			if err := q.QueryRowContext(ctx, "SELECT id FROM datasets WHERE id = ? AND team_id = ? LOCK IN SHARE MODE", d.Dataset, d.Team).Scan(&id); err != nil {
				return err
			}
		}
		res, err := q.ExecContext(ctx, `INSERT INTO definitions (team_id, dataset_id, scope, kind, name, body, created, updated, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)`, d.Team, sql.NullInt64{Int64: d.Dataset, Valid: d.Dataset != 0}, d.Dataset, []byte(d.Kind), []byte(d.Name), blob(d.Body), made.Created, made.Created)
		if err != nil {
			return err
		}
		made.ID, err = res.LastInsertId()
		return err
	})
	if number(err) == erDupEntry { // somebody else was faster, and the transaction was rolled back
		got, _, err := there()
		return got, err
	}
	if err != nil {
		return port.Definition{}, err
	}
	return made, nil
}

// blob is what is stored in a column that is never null.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Redefine implements [port.Definitions].
func (c *Catalog) Redefine(ctx context.Context, d port.Definition) (port.Definition, error) {
	what := fmt.Sprintf("redefine %d", d.ID)
	if err := catalog.CheckRedefinition(d); err != nil {
		return port.Definition{}, fmt.Errorf("mysql: %s: %w", what, err)
	}
	var now port.Definition
	err := c.write(ctx, what, func(ctx context.Context, q querier) (err error) {
		if now, err = scanDefinition(q.QueryRowContext(ctx, selectDefinition+"WHERE f.id = ? FOR UPDATE", d.ID)); err != nil {
			return err
		}
		if now.Name == d.Name && bytes.Equal(now.Body, d.Body) {
			return nil
		}
		if err := q.QueryRowContext(ctx, "SELECT NOW(6)").Scan(&now.Updated); err != nil {
			return err
		}
		now.Name, now.Body = d.Name, bytes.Clone(d.Body)
		now.Version++
		_, err = q.ExecContext(ctx, "UPDATE definitions SET name = ?, body = ?, updated = ?, version = ? WHERE id = ?",
			[]byte(now.Name), blob(now.Body), now.Updated, now.Version, now.ID)
		return err
	})
	if number(err) == erDupEntry { // the transaction was rolled back
		return port.Definition{}, fmt.Errorf("mysql: %s: %w: another has the name %q", what, port.ErrNameTaken, d.Name)
	}
	if err != nil {
		return port.Definition{}, err
	}
	return now, nil
}

// Definition implements [port.Definitions].
func (c *Catalog) Definition(ctx context.Context, id int64) (d port.Definition, err error) {
	err = c.read(ctx, fmt.Sprintf("definition %d", id), func(ctx context.Context, q querier) error {
		d, err = scanDefinition(q.QueryRowContext(ctx, selectDefinition+"WHERE f.id = ?", id))
		return err
	})
	return d, err
}

// DefinitionsOf implements [port.Definitions].
func (c *Catalog) DefinitionsOf(ctx context.Context, dataset int64, kinds ...port.DefinitionKind) (all []port.Definition, err error) {
	var args []any
	among := ""
	if len(kinds) > 0 {
		among = " AND f.kind IN (?" + strings.Repeat(",?", len(kinds)-1) + ")"
		for _, k := range kinds {
			args = append(args, []byte(k))
		}
	}
	query := selectDefinition + "WHERE TRUE" + among + " ORDER BY f.id"
	switch dataset {
	case 0:
	case port.OfTeams:
		query = selectDefinition + "WHERE f.scope = 0" + among + " ORDER BY f.id"
	default:
		// One statement sees the dataset and its definitions at one moment: see Columns.
		query = `SELECT COALESCE(f.id, 0), d.team_id, d.id, COALESCE(f.kind, ''), COALESCE(f.name, ''), COALESCE(f.body, ''), COALESCE(f.created, d.created),
COALESCE(f.updated, d.created), COALESCE(f.version, 0) FROM datasets d LEFT JOIN definitions f ON f.dataset_id = d.id` + among + " WHERE d.id = ? ORDER BY f.id"
		args = append(args, dataset)
	}
	err = c.read(ctx, fmt.Sprintf("definitions of dataset %d", dataset), func(ctx context.Context, q querier) error {
		all = nil
		there := dataset == 0 || dataset == port.OfTeams
		if err := each(ctx, q, query, args, func(r row) error {
			there = true
			d, err := scanDefinition(r)
			if err == nil && d.ID != 0 {
				all = append(all, d)
			}
			return err
		}); err != nil {
			return err
		}
		if !there {
			return port.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Undefine implements [port.Definitions].
func (c *Catalog) Undefine(ctx context.Context, id int64) error {
	return c.write(ctx, fmt.Sprintf("undefine %d", id), func(ctx context.Context, q querier) error {
		return found(q.ExecContext(ctx, "DELETE FROM definitions WHERE id = ?", id))
	})
}

// each calls f with every row of a query's result.
func each(ctx context.Context, q querier, query string, args []any, f func(r row) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
