package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// How the client is set up: as system/mysql sets up database/sql and the driver.
const (
	maxOpen     = 8
	maxIdle     = 8
	maxIdleTime = 20 * time.Second
	dialTimeout = time.Second
	readTimeout = 3 * time.Second
	maxAttempts = 3                     // of a transaction that met a deadlock or waited too long for a lock
	retryBase   = 20 * time.Millisecond // before attempt n+1: uniform below base * 2^n
)

// client implements port.Metadata for one process.
type client struct {
	srv  *Server
	node *simnet.Node
	p    *sched.Process
	rand *rand.Rand
	open *rt.Semaphore
	idle []*conn

	ready bool // the schema was found to fit
}

// Client returns the metadata store's ports of process p on the given network node.
func (s *Server) Client(node *simnet.Node, p *sched.Process) port.Metadata {
	s.clients++
	return &client{
		srv: s, node: node, p: p, open: rt.NewSemaphore(p, maxOpen),
		rand: s.Sim().Rand(fmt.Sprintf("mysql/client/%s/%d", node.Name(), s.clients)),
	}
}

// do performs one operation.
func (c *client) do(ctx context.Context, what string, r *request) (*reply, error) {
	rt.Check(c.p)
	fail := func(err error) (*reply, error) { return nil, fmt.Errorf("mysql: %s: %w", what, err) }
	if err := ctx.Err(); err != nil {
		return fail(refused(err))
	}
	if err := c.check(ctx, r.op); err != nil {
		return fail(err)
	}
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, r)
		if err != nil {
			return fail(err)
		}
		if a.code != codeLockWait && a.code != codeDeadlock || attempt == maxAttempts {
			if a.code == codeNoTable {
				c.ready = false // the next operation names what is missing
			}
			if err := a.err(); err != nil {
				return fail(err)
			}
			return a, nil
		}
		pause := time.Duration(c.rand.Float64() * float64(retryBase<<attempt))
		if err := c.p.Sleep(ctx, pause); err != nil {
			return fail(refused(fmt.Errorf("given up after %v: %w", a.code, err)))
		}
	}
}

// check looks at the schema once, before the first operation that needs it.
func (c *client) check(ctx context.Context, o op) error {
	if c.ready || o == opVersion {
		return nil
	}
	a, err := c.attempt(ctx, &request{op: opVersion})
	if err == nil {
		err = a.err()
	}
	if err != nil {
		return err
	}
	if err := catalog.CheckVersion(a.version); err != nil {
		return refused(err)
	}
	c.ready = true
	return nil
}

// attempt is one read, or one transaction.
func (c *client) attempt(ctx context.Context, r *request) (*reply, error) {
	if err := c.open.Acquire(ctx, 1); err != nil {
		return nil, refused(fmt.Errorf("%w: %w", errPool, err))
	}
	defer c.open.Release(1)
	k, err := c.take(ctx)
	if err != nil {
		return nil, refused(err)
	}
	a, err := c.call(ctx, k, r)
	if err != nil {
		k.c.Close()
		return nil, refused(err)
	}
	if r.op.writes() && a.code == codeOK {
		done, err := c.call(ctx, k, &request{op: opCommit})
		if err != nil {
			k.c.Close()
			return nil, fmt.Errorf("commit: %w (%w)", err, port.ErrUnknown)
		}
		if done.code != codeOK {
			a = done
		}
	}
	c.keep(k)
	return a, nil
}

// err maps an answer's code to the port's errors.
func (r *reply) err() error {
	switch r.code {
	case codeOK:
		return nil
	case codeNotFound:
		return port.ErrNotFound
	case codeTooManyColumns:
		return port.ErrTooManyColumns
	case codeNameTaken:
		return port.ErrNameTaken
	case codeNotThere:
		return port.ErrNotThere
	case codeFenced:
		return port.ErrFenced
	case codeNoTable:
		return fmt.Errorf("%v: %w (%w)", r.code, catalog.CheckVersion(r.version), port.ErrRefused)
	default:
		return fmt.Errorf("%v (%w)", r.code, port.ErrRefused)
	}
}

func (c *client) dataset(ctx context.Context, what string, r *request) (port.Dataset, bool, error) {
	a, err := c.do(ctx, what, r)
	if err != nil {
		return port.Dataset{}, false, err
	}
	ds := a.datasets[0]
	ds.Partitions = slices.Clone(ds.Partitions)
	return ds, a.created, nil
}

// SchemaVersion implements [port.Catalog].
func (c *client) SchemaVersion(ctx context.Context) (int64, error) {
	a, err := c.do(ctx, "schema version", &request{op: opVersion})
	if err != nil {
		return 0, err
	}
	return a.version, nil
}

// CreateTeam implements [port.Catalog].
func (c *client) CreateTeam(ctx context.Context, t port.NewTeam) (port.Team, error) {
	if err := catalog.CheckName("team", t.Name); err != nil {
		return port.Team{}, err
	}
	return c.team(ctx, "create team "+t.Name, &request{op: opCreateTeam, name: t.Name, key: t.Key, limits: t.Limits, datasetLimits: t.DatasetLimits})
}

// TeamByKey implements [port.Catalog].
func (c *client) TeamByKey(ctx context.Context, key string) (port.Team, error) {
	return c.team(ctx, "team by key", &request{op: opTeamByKey, key: key})
}

func (c *client) team(ctx context.Context, what string, r *request) (port.Team, error) {
	a, err := c.do(ctx, what, r)
	if err != nil {
		return port.Team{}, err
	}
	return a.team, nil
}

// SetTeamLimits implements [port.Catalog].
func (c *client) SetTeamLimits(ctx context.Context, team int64, limits, datasets port.Limits) error {
	_, err := c.do(ctx, fmt.Sprintf("set limits of team %d", team), &request{op: opSetTeamLimits, team: team, limits: limits, datasetLimits: datasets})
	return err
}

// CreateDataset implements [port.Catalog].
func (c *client) CreateDataset(ctx context.Context, d port.NewDataset) (port.Dataset, bool, error) {
	if err := catalog.CheckName("dataset", d.Name); err != nil {
		return port.Dataset{}, false, err
	}
	return c.dataset(ctx, "create dataset "+d.Name, &request{op: opCreateDataset, team: d.Team, name: d.Name, limits: d.Limits, spread: d.Spread, of: d.Of})
}

// Dataset implements [port.Catalog].
func (c *client) Dataset(ctx context.Context, team int64, slug string) (port.Dataset, error) {
	ds, _, err := c.dataset(ctx, "dataset "+slug, &request{op: opDataset, team: team, name: slug})
	return ds, err
}

// DatasetByID implements [port.Catalog].
func (c *client) DatasetByID(ctx context.Context, id int64) (port.Dataset, error) {
	ds, _, err := c.dataset(ctx, fmt.Sprintf("dataset %d", id), &request{op: opDatasetByID, id: id})
	return ds, err
}

// Datasets implements [port.Catalog].
func (c *client) Datasets(ctx context.Context, team int64) ([]port.Dataset, error) {
	a, err := c.do(ctx, fmt.Sprintf("datasets of team %d", team), &request{op: opDatasets, team: team})
	if err != nil {
		return nil, err
	}
	return a.datasets, nil
}

// SetDatasetLimits implements [port.Catalog].
func (c *client) SetDatasetLimits(ctx context.Context, id int64, limits port.Limits) error {
	_, err := c.do(ctx, fmt.Sprintf("set limits of dataset %d", id), &request{op: opSetDatasetLimits, id: id, limits: limits})
	return err
}

// WidenDataset implements [port.Catalog].
func (c *client) WidenDataset(ctx context.Context, id int64, partitions []int32) error {
	_, err := c.do(ctx, fmt.Sprintf("widen dataset %d", id), &request{op: opWidenDataset, id: id, partitions: slices.Clone(partitions)})
	return err
}

// DeleteDataset implements [port.Catalog].
func (c *client) DeleteDataset(ctx context.Context, id int64) error {
	_, err := c.do(ctx, fmt.Sprintf("delete dataset %d", id), &request{op: opDeleteDataset, id: id})
	return err
}

// Columns implements [port.Catalog].
func (c *client) Columns(ctx context.Context, dataset int64) ([]port.Column, error) {
	a, err := c.do(ctx, fmt.Sprintf("columns of dataset %d", dataset), &request{op: opColumns, id: dataset})
	if err != nil {
		return nil, err
	}
	return a.columns, nil
}

// AddColumns implements [port.Catalog].
func (c *client) AddColumns(ctx context.Context, dataset int64, columns []port.Column) error {
	if err := catalog.CheckColumns(columns); err != nil {
		return err
	}
	_, err := c.do(ctx, fmt.Sprintf("add columns to dataset %d", dataset), &request{op: opAddColumns, id: dataset, columns: catalog.Normalize(columns)})
	return err
}
