package port

import (
	"context"
	"errors"
	"time"
)

// Errors of the Catalog port, beside [ErrRefused] and [ErrUnknown]. They are certain: nothing was changed.
var (
	// ErrNotFound: there is no such team, key or dataset (any more).
	ErrNotFound = errors.New("not in the catalog")
	// ErrTooManyColumns: the dataset would have more columns than MaxColumns.
	ErrTooManyColumns = errors.New("dataset has too many columns")
	// ErrSchema: the database's schema is not the one that this build needs. The error names the missing migration.
	ErrSchema = errors.New("the catalog's schema does not fit")
)

// MaxColumns is how many columns a dataset may have.
const MaxColumns = 10_000

// Limits are token buckets. Zero means no limit.
type Limits struct {
	EventsPerSecond float64 // refill
	Burst           float64 // bucket size, in events; zero means one second's refill
}

// Team is a tenant.
type Team struct {
	ID     int64
	Name   string
	Limits Limits
	// DatasetLimits hold for each of its datasets that has none of its own.
	DatasetLimits Limits
}

// Dataset is where a team's events go. A dataset that is deleted and created again has a new ID.
type Dataset struct {
	ID   int64
	Team int64
	Name string // as first spelt
	Slug string // how it is found: case-insensitive, see Slug
	// Partitions is the set of Kafka partitions that its events are spread over, ascending.
	Partitions []int32
	Limits     Limits
	Created    time.Time
}

// ColumnTypes is the set of types that a column's values have had, one bit each.
type ColumnTypes uint8

// Types of columns.
const (
	ColumnBool ColumnTypes = 1 << iota
	ColumnInt
	ColumnFloat
	ColumnString
)

// Column is one column of a dataset.
type Column struct {
	Name  string
	Types ColumnTypes
}

// NewTeam is a team to be created with its first key.
type NewTeam struct {
	Name          string
	Key           string
	Limits        Limits
	DatasetLimits Limits
}

// NewDataset is a dataset to be created.
type NewDataset struct {
	Team   int64
	Name   string
	Limits Limits
	// Spread is how many partitions its set has, of Of partitions in all. The catalog chooses which: consecutive ones, so
	// that their leaders are different brokers, beginning at a place that goes round with the dataset's ID.
	Spread int
	Of     int32
}

// Catalog is the metadata store. Each operation is one transaction. An error that matches ErrUnknown may have left its
// effect behind, so every operation that writes can be repeated: it then finds its own effect.
type Catalog interface {
	// SchemaVersion is the version of the last migration that has run.
	SchemaVersion(ctx context.Context) (int64, error)

	// CreateTeam creates a team and its key, or returns the team that has the key already.
	CreateTeam(ctx context.Context, t NewTeam) (Team, error)
	TeamByKey(ctx context.Context, key string) (Team, error)
	SetTeamLimits(ctx context.Context, team int64, limits, datasets Limits) error

	// CreateDataset creates a dataset, or returns the one whose name has the same slug; created says which.
	CreateDataset(ctx context.Context, d NewDataset) (ds Dataset, created bool, err error)
	Dataset(ctx context.Context, team int64, slug string) (Dataset, error)
	DatasetByID(ctx context.Context, id int64) (Dataset, error)
	// Datasets lists a team's datasets by ID.
	Datasets(ctx context.Context, team int64) ([]Dataset, error)
	SetDatasetLimits(ctx context.Context, id int64, limits Limits) error
	// WidenDataset adds partitions to a dataset's set, which never loses one: its events are still there. Those that it
	// has already are passed over. ErrNotFound if the dataset is gone.
	WidenDataset(ctx context.Context, id int64, partitions []int32) error
	// DeleteDataset deletes a dataset and its columns. ErrNotFound if it is gone already.
	DeleteDataset(ctx context.Context, id int64) error

	// Columns lists a dataset's columns by name. ErrNotFound if the dataset is gone.
	Columns(ctx context.Context, dataset int64) ([]Column, error)
	// AddColumns adds columns, and types to columns that are there. All or none: ErrTooManyColumns, ErrNotFound.
	AddColumns(ctx context.Context, dataset int64, columns []Column) error
}
