//go:build containers

package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/ratel-sim/ratel/system/containers/faultproxy"
	"github.com/ratel-sim/ratel/system/mysql"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/s3"
)

// faults is how a real server is killed and frozen.
type faults struct {
	kill, restart, pause, resume func(ctx context.Context) error
}

// inFront is a proxy in front of a real server that makes requests fail.
type inFront struct {
	addr string
	tell *faultproxy.Client
	set  faultproxy.Faults
}

// newInFront starts a proxy in this process.
func newInFront(t *testing.T, kind faultproxy.Kind, target string) *inFront {
	p, err := faultproxy.Listen(faultproxy.Config{Kind: kind, Listen: "127.0.0.1:0", Target: target, Control: "127.0.0.1:0", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &inFront{addr: p.Addr(), tell: faultproxy.NewClient("http://"+p.ControlAddr(), transport)}
}

func (f *inFront) errors(ctx context.Context, rate float64) error {
	f.set.Errors = rate
	return f.tell.Set(ctx, f.set)
}

func (f *inFront) slow(ctx context.Context, delay time.Duration) error {
	f.set.Delay = delay
	return f.tell.Set(ctx, f.set)
}

// realDatabase is a migrated database on a real server.
type realDatabase struct {
	r      rt.Runtime
	dsn    string
	faults faults
	front  *inFront
	rows   int
}

// check runs one row.
func (d *realDatabase) check(ctx context.Context, row CatalogRow) (err error) {
	d.rows++
	open := func() (*mysql.Catalog, error) { return mysql.New(d.r, mysql.Options{DSN: d.dsn}) }
	through, err := sqldriver.ParseDSN(d.dsn)
	if err != nil {
		return err
	}
	through.Addr = d.front.addr
	a, err := mysql.New(d.r, mysql.Options{DSN: through.FormatDSN()})
	if err != nil {
		return err
	}
	b, err := open()
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", d.dsn)
	if err != nil {
		return err
	}
	closers := []interface{ Close() error }{a, b, db}
	defer func() {
		for _, c := range closers {
			err = errors.Join(err, c.Close())
		}
	}()
	e := &CatalogEnv{Runtime: d.r, A: a, B: b, Name: fmt.Sprintf("row %d", d.rows), Kill: d.faults.kill, Pause: d.faults.pause, Resume: d.faults.resume}
	e.Errors, e.Slow = d.front.errors, d.front.slow
	e.New = func() (port.Metadata, error) {
		c, err := open()
		if err == nil {
			closers = append(closers, c)
		}
		return c, err
	}
	e.Restart = func(ctx context.Context) error {
		if err := d.faults.restart(ctx); err != nil {
			return err
		}
		return (&Env{Runtime: d.r}).eventually(ctx, time.Minute, "the server answers", func() (bool, error) {
			_, err := b.SchemaVersion(ctx)
			return err == nil, err
		})
	}
	e.Hold = func(ctx context.Context, id int64) (func(), error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		var locked int64
		if err := tx.QueryRowContext(ctx, "SELECT id FROM datasets WHERE id = ? FOR UPDATE", id).Scan(&locked); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		return func() { _ = tx.Rollback() }, nil
	}
	e.SetSchema = func(ctx context.Context, version int64) error {
		_, err := db.ExecContext(ctx, "UPDATE goose_db_version SET is_applied = (version_id <= ?)", version)
		return err
	}
	return row.Check(ctx, e)
}

// catalogOnRealServer runs the table.
func catalogOnRealServer(ctx context.Context, t *testing.T, d *realDatabase) {
	cfg, err := sqldriver.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	d.front = newInFront(t, faultproxy.KindMySQL, cfg.Addr)
	for range 2 { // the second time there is nothing to do
		if err := mysql.Migrate(ctx, d.dsn); err != nil {
			t.Fatal(err)
		}
	}
	if err := mysql.Check(ctx, d.dsn); err != nil {
		t.Error(err)
	}
	// As after a migration that was cut off before it was noted, each in its turn.
	db, err := sql.Open("mysql", d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "DELETE FROM goose_db_version WHERE version_id > 0"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mysql.Migrate(ctx, d.dsn), mysql.Check(ctx, d.dsn)); err != nil {
		t.Error(err)
	}
	for _, row := range Metadata() {
		t.Run(row.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			if err := d.check(ctx, row); err != nil {
				t.Error(err)
			}
		})
	}
}

// blobsOnRealServer runs the table on a bucket.
func blobsOnRealServer(ctx context.Context, t *testing.T, r rt.Runtime, o s3.Options, f faults) {
	front := newInFront(t, faultproxy.KindS3, strings.TrimPrefix(o.Endpoint, "http://"))
	through := o
	through.Endpoint = "http://" + front.addr
	client := func(o s3.Options) *s3.Store {
		s, err := s3.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	a, b := client(through), client(o)
	for range 2 { // the second time it is there
		if err := a.EnsureBucket(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i, row := range Blobs() {
		t.Run(row.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			e := &BlobsEnv{Runtime: r, A: a, B: b, Prefix: fmt.Sprintf("row-%d/", i), Kill: f.kill, Pause: f.pause, Resume: f.resume}
			e.Errors, e.Slow = front.errors, front.slow
			e.Restart = func(ctx context.Context) error {
				if err := f.restart(ctx); err != nil {
					return err
				}
				return (&Env{Runtime: r}).eventually(ctx, time.Minute, "the store answers", func() (bool, error) {
					_, _, err := b.List(ctx, e.Prefix, "", 1)
					return err == nil, err
				})
			}
			if err := row.Check(ctx, e); err != nil {
				t.Error(err)
			}
		})
	}
}
