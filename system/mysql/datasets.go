package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

const selectDataset = "SELECT id, team_id, name, slug, partition_set, events_per_second, burst, created FROM datasets "

// found turns an update or delete of no row into port.ErrNotFound.
func found(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = port.ErrNotFound
	}
	return err
}

// row is a row that can be scanned.
type row interface{ Scan(dest ...any) error }

func scanDataset(r row) (ds port.Dataset, err error) {
	var slug []byte
	var set string
	if err = r.Scan(&ds.ID, &ds.Team, &ds.Name, &slug, &set, &ds.Limits.EventsPerSecond, &ds.Limits.Burst, &ds.Created); err != nil {
		return port.Dataset{}, err
	}
	ds.Slug = string(slug)
	if ds.Partitions, err = parseSet(set); err != nil {
		return port.Dataset{}, fmt.Errorf("dataset %d: %w", ds.ID, err)
	}
	return ds, nil
}

// formatSet and parseSet are how a set of partitions is stored: decimal numbers with commas between them.
func formatSet(set []int32) string {
	var b strings.Builder
	for i, p := range set {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(p)))
	}
	return b.String()
}

func parseSet(s string) ([]int32, error) {
	if s == "" {
		return nil, nil
	}
	var set []int32
	for part := range strings.SplitSeq(s, ",") {
		p, err := strconv.ParseInt(part, 10, 32)
		if err != nil || p < 0 {
			return nil, fmt.Errorf("partition_set is %q: expected numbers with commas between them", s)
		}
		set = append(set, int32(p))
	}
	return set, nil
}

// CreateDataset implements [port.Catalog].
func (c *Catalog) CreateDataset(ctx context.Context, d port.NewDataset) (port.Dataset, bool, error) {
	if err := catalog.CheckName("dataset", d.Name); err != nil {
		return port.Dataset{}, false, fmt.Errorf("mysql: create dataset: %w", err)
	}
	slug := catalog.Slug(d.Name)
	if ds, err := c.Dataset(ctx, d.Team, slug); !errors.Is(err, port.ErrNotFound) {
		return ds, false, err
	}
	ds := port.Dataset{Team: d.Team, Name: d.Name, Slug: slug, Limits: d.Limits}
	err := c.write(ctx, "create dataset "+d.Name, func(ctx context.Context, q querier) error {
		if err := q.QueryRowContext(ctx, "SELECT NOW(6)").Scan(&ds.Created); err != nil {
			return err
		}
		res, err := q.ExecContext(ctx, "INSERT INTO datasets (team_id, name, slug, partition_set, events_per_second, burst, created) VALUES (?, ?, ?, '', ?, ?, ?)",
			d.Team, d.Name, []byte(slug), d.Limits.EventsPerSecond, d.Limits.Burst, ds.Created)
		if err != nil {
			return err
		}
		if ds.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		ds.Partitions = catalog.PartitionSet(ds.ID, d.Spread, d.Of)
		_, err = q.ExecContext(ctx, "UPDATE datasets SET partition_set = ? WHERE id = ?", formatSet(ds.Partitions), ds.ID)
		return err
	})
	if number(err) == erDupEntry { // somebody else was faster, and the transaction was rolled back
		ds, err := c.Dataset(ctx, d.Team, slug)
		return ds, false, err
	}
	if err != nil {
		return port.Dataset{}, false, err
	}
	return ds, true, nil
}

// Dataset implements [port.Catalog].
func (c *Catalog) Dataset(ctx context.Context, team int64, slug string) (ds port.Dataset, err error) {
	err = c.read(ctx, "dataset "+slug, func(ctx context.Context, q querier) error {
		ds, err = scanDataset(q.QueryRowContext(ctx, selectDataset+"WHERE team_id = ? AND slug = ?", team, []byte(slug)))
		return err
	})
	return ds, err
}

// DatasetByID implements [port.Catalog].
func (c *Catalog) DatasetByID(ctx context.Context, id int64) (ds port.Dataset, err error) {
	err = c.read(ctx, fmt.Sprintf("dataset %d", id), func(ctx context.Context, q querier) error {
		ds, err = scanDataset(q.QueryRowContext(ctx, selectDataset+"WHERE id = ?", id))
		return err
	})
	return ds, err
}

// Datasets implements [port.Catalog].
func (c *Catalog) Datasets(ctx context.Context, team int64) (all []port.Dataset, err error) {
	err = c.read(ctx, fmt.Sprintf("datasets of team %d", team), func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, selectDataset+"WHERE team_id = ? ORDER BY id", team)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err says what went wrong
		all = nil
		for rows.Next() {
			ds, err := scanDataset(rows)
			if err != nil {
				return err
			}
			all = append(all, ds)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// SetDatasetLimits implements [port.Catalog].
func (c *Catalog) SetDatasetLimits(ctx context.Context, id int64, limits port.Limits) error {
	return c.write(ctx, fmt.Sprintf("set limits of dataset %d", id), func(ctx context.Context, q querier) error {
		return found(q.ExecContext(ctx, "UPDATE datasets SET events_per_second = ?, burst = ? WHERE id = ?", limits.EventsPerSecond, limits.Burst, id))
	})
}

// WidenDataset implements [port.Catalog].
func (c *Catalog) WidenDataset(ctx context.Context, id int64, partitions []int32) error {
	return c.write(ctx, fmt.Sprintf("widen dataset %d", id), func(ctx context.Context, q querier) error {
		var set string
		err := q.QueryRowContext(ctx, "SELECT partition_set FROM datasets WHERE id = ? FOR UPDATE", id).Scan(&set)
		if errors.Is(err, sql.ErrNoRows) {
			return port.ErrNotFound
		}
		if err != nil {
			return err
		}
		old, err := parseSet(set)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, "UPDATE datasets SET partition_set = ? WHERE id = ?", formatSet(catalog.Union(old, partitions)), id)
		return err
	})
}

// DeleteDataset implements [port.Catalog].
func (c *Catalog) DeleteDataset(ctx context.Context, id int64) error {
	return c.write(ctx, fmt.Sprintf("delete dataset %d", id), func(ctx context.Context, q querier) error {
		return found(q.ExecContext(ctx, "DELETE FROM datasets WHERE id = ?", id))
	})
}

// Columns implements [port.Catalog].
func (c *Catalog) Columns(ctx context.Context, dataset int64) (all []port.Column, err error) {
	err = c.read(ctx, fmt.Sprintf("columns of dataset %d", dataset), func(ctx context.Context, q querier) error {
		// One statement sees the dataset and its columns at one moment: a dataset without columns is one row of nulls.
		rows, err := q.QueryContext(ctx, `SELECT c.name, c.types FROM datasets d LEFT JOIN dataset_columns c ON c.dataset_id = d.id
WHERE d.id = ? ORDER BY c.name`, dataset)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err says what went wrong
		all = nil
		there := false
		for rows.Next() {
			there = true
			var name []byte
			var types sql.NullInt16
			if err := rows.Scan(&name, &types); err != nil {
				return err
			}
			if types.Valid {
				all = append(all, port.Column{Name: string(name), Types: port.ColumnTypes(types.Int16)})
			}
		}
		if err := rows.Err(); err != nil {
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

// maxRows bounds the rows of one statement.
const maxRows = 1000

// AddColumns implements [port.Catalog].
func (c *Catalog) AddColumns(ctx context.Context, dataset int64, columns []port.Column) error {
	if err := catalog.CheckColumns(columns); err != nil {
		return fmt.Errorf("mysql: add columns to dataset %d: %w", dataset, err)
	}
	columns = catalog.Normalize(columns) // in one order for all, so that writers do not deadlock
	return c.write(ctx, fmt.Sprintf("add columns to dataset %d", dataset), func(ctx context.Context, q querier) error {
		// The dataset's row is the lock that makes the count true until the commit.
		var id, before, after int
		if err := q.QueryRowContext(ctx, "SELECT id FROM datasets WHERE id = ? FOR UPDATE", dataset).Scan(&id); err != nil {
			return err
		}
		count := func(n *int) error {
			return q.QueryRowContext(ctx, "SELECT COUNT(*) FROM dataset_columns WHERE dataset_id = ?", dataset).Scan(n)
		}
		if err := count(&before); err != nil {
			return err
		}
		for rest := columns; len(rest) > 0; {
			n := min(len(rest), maxRows)
			if err := insertColumns(ctx, q, dataset, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if before+len(columns) <= port.MaxColumns {
			return nil
		}
		if err := count(&after); err != nil {
			return err
		}
		if after > port.MaxColumns {
			return fmt.Errorf("%w: it has %d and would have %d, at most %d are allowed", port.ErrTooManyColumns, before, after, port.MaxColumns)
		}
		return nil
	})
}

func insertColumns(ctx context.Context, q querier, dataset int64, columns []port.Column) error {
	var b strings.Builder
	b.WriteString("INSERT INTO dataset_columns (dataset_id, name, types) VALUES ")
	args := make([]any, 0, 3*len(columns))
	for i, col := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("(?,?,?)")
		args = append(args, dataset, []byte(col.Name), int64(col.Types))
	}
	b.WriteString(" ON DUPLICATE KEY UPDATE types = types | VALUES(types)") // the newer "AS new" is unknown to MariaDB
	_, err := q.ExecContext(ctx, b.String(), args...)
	return err
}
