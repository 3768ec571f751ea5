// Package mysql is the Catalog port, and those of definitions, counts and evaluations, on a real MySQL server, through database/sql and go-sql-driver, and the migrations of
// its schema.
//
// An operation that writes is one transaction. A failure before its commit was sent is certain, because the server rolls
// back what was not committed when the connection ends; once the commit was sent and no answer came, the outcome is
// unknown, and nothing is repeated blindly. Deadlocks and lock wait timeouts, after which the server has rolled back, are
// tried again a bounded number of times. Transactions run at READ COMMITTED, so that they lock rows and no gaps.
//
// It also works with MariaDB 10.11, apart from the durability and timing that Ratel was measured with.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Options say where the database is. Zero fields stand for the defaults given with them.
type Options struct {
	// DSN is go-sql-driver's data source name, such as user:password@tcp(127.0.0.1:3306)/ratel.
	DSN string
	// DialTimeout bounds the connecting (default 1 s), AnswerTimeout each answer of the server (default 3 s).
	DialTimeout, AnswerTimeout time.Duration
	// LockWait is how long the server waits for a row's lock: whole seconds, less than AnswerTimeout. Default 2 s.
	LockWait time.Duration
	// Connections bounds the pool. Default 8.
	Connections int
	// Attempts of a transaction that met a deadlock or a lock wait timeout; default 3. Before attempt n+1 it waits up to
	// Backoff * 2^n (default 20 ms).
	Attempts int
	Backoff  time.Duration
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

const (
	// serverIdle is wait_timeout: a connection that was silent for so long is closed by the server, and its transaction
	// rolled back. clientIdle is shorter, so that the pool closes idle ones first.
	serverIdle = 30 * time.Second
	clientIdle = 20 * time.Second
)

// Catalog implements [port.Metadata].
type Catalog struct {
	r     rt.Runtime
	opts  Options
	db    *sql.DB
	ready atomic.Bool // the schema was found to fit
}

var _ port.Metadata = (*Catalog)(nil)

// New returns a catalog on the database. It does not connect: the first operation checks the schema, and fails with
// port.ErrSchema before anything is written if it does not fit.
func New(r rt.Runtime, o Options) (*Catalog, error) {
	orDefault(&o.DialTimeout, time.Second)
	orDefault(&o.AnswerTimeout, 3*time.Second)
	orDefault(&o.LockWait, 2*time.Second)
	orDefault(&o.Connections, 8)
	orDefault(&o.Attempts, 3)
	orDefault(&o.Backoff, 20*time.Millisecond)
	if o.LockWait < time.Second || o.LockWait >= o.AnswerTimeout {
		return nil, fmt.Errorf("mysql: LockWait %v: expected at least 1 s and less than AnswerTimeout, %v", o.LockWait, o.AnswerTimeout)
	}
	cfg, err := parse(o.DSN)
	if err != nil {
		return nil, err
	}
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = o.DialTimeout, o.AnswerTimeout, o.AnswerTimeout
	cfg.Params["innodb_lock_wait_timeout"] = fmt.Sprint(int(o.LockWait / time.Second))
	db, err := open(cfg)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(o.Connections)
	db.SetMaxIdleConns(o.Connections)
	db.SetConnMaxIdleTime(clientIdle)
	return &Catalog{r: r, opts: o, db: db}, nil
}

// Close closes the connections.
func (c *Catalog) Close() error {
	if err := c.db.Close(); err != nil {
		return fmt.Errorf("mysql: close: %w", err)
	}
	return nil
}

// parse reads a data source name and sets what the catalog needs.
func parse(dsn string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("mysql: data source name: %w", err) // the driver's error does not contain the password
	}
	if cfg.DBName == "" {
		return nil, errors.New("mysql: data source name: it names no database: expected user:password@tcp(host:port)/database")
	}
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = time.Second, 3*time.Second, 3*time.Second
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.ClientFoundRows = true   // an update that changes nothing has found its row
	cfg.InterpolateParams = true // one round trip a statement
	cfg.Logger = &mysql.NopLogger{}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["wait_timeout"] = fmt.Sprint(int(serverIdle / time.Second))
	cfg.Params["time_zone"] = "'+00:00'"
	return cfg, nil
}

func open(cfg *mysql.Config) (*sql.DB, error) {
	base, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	return sql.OpenDB(connector{base}), nil
}

// connector sets a new connection's isolation level. Its variable has another name in MariaDB, so it is not a parameter.
type connector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// SchemaVersion implements [port.Catalog].
func (c *Catalog) SchemaVersion(ctx context.Context) (int64, error) {
	version, err := schemaVersion(ctx, c.db)
	if err != nil {
		return 0, fmt.Errorf("mysql: schema version: %w", err)
	}
	return version, nil
}

// check looks at the schema once.
func (c *Catalog) check(ctx context.Context) error {
	if c.ready.Load() {
		return nil
	}
	version, err := schemaVersion(ctx, c.db)
	if err != nil {
		return err
	}
	if err := catalog.CheckVersion(version); err != nil {
		return fmt.Errorf("%w (%w)", err, port.ErrRefused)
	}
	c.ready.Store(true)
	return nil
}

// read performs an operation that only reads: whatever goes wrong, nothing was changed.
func (c *Catalog) read(ctx context.Context, what string, f func(ctx context.Context, q querier) error) error {
	err := c.check(ctx)
	if err == nil {
		err = f(ctx, c.db)
	}
	if err = c.refused(err); err != nil {
		return fmt.Errorf("mysql: %s: %w", what, err)
	}
	return nil
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// write performs an operation as one transaction. f may run several times.
func (c *Catalog) write(ctx context.Context, what string, f func(ctx context.Context, q querier) error) error {
	fail := func(err error) error { return fmt.Errorf("mysql: %s: %w", what, err) }
	if err := c.check(ctx); err != nil {
		return fail(c.refused(err))
	}
	for attempt := 1; ; attempt++ {
		err := c.transaction(ctx, f)
		if err == nil {
			return nil
		}
		if !rolledBack(err) || attempt == c.opts.Attempts || ctx.Err() != nil {
			return fail(err)
		}
		if ended := c.r.Sleep(ctx, jitter(c.opts.Backoff<<attempt)); ended != nil {
			return fail(fmt.Errorf("%w, given up between two attempts after: %w", ended, err))
		}
	}
}

func (c *Catalog) transaction(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return c.refused(err)
	}
	if err = f(ctx, tx); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tx.Rollback() // if it fails, the connection ends and the server rolls back
		return c.refused(err)
	}
	// database/sql does not let a commit be interrupted: it is bounded by the read timeout, which may be longer than the
	// caller wants to wait.
	committed := make(chan error, 1)
	go func() { committed <- tx.Commit() }()
	select {
	case err = <-committed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone) || rolledBack(err): // the context had ended before it was sent, or the server says so
		return c.refused(err)
	default:
		return fmt.Errorf("commit: %w (%w)", err, port.ErrUnknown)
	}
}
