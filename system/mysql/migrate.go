package mysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrationLock is the name under which one migrates at a time, and how long others wait for it, in seconds.
	migrationLock        = "ratel.migrate"
	migrationLockSeconds = 60
	// migrationTimeout is how long the server may take for one statement of a migration.
	migrationTimeout = 2 * time.Minute
	// lockPatience is how long all migrations together may take before the server takes the lock away.
	lockPatience = 8 * time.Hour
)

// Migrate runs the migrations that the schema lacks, in order. Running it again, or from several places at once, is fine; also
// after one that was cut off in its middle, as MySQL commits each statement of a schema for itself: all can be repeated.
func Migrate(ctx context.Context, dsn string) error {
	cfg, err := parse(dsn)
	if err != nil {
		return err
	}
	cfg.ReadTimeout, cfg.WriteTimeout = migrationTimeout, migrationTimeout
	// The connection that holds the lock says nothing while others migrate.
	cfg.Params["wait_timeout"] = strconv.Itoa(int(lockPatience / time.Second))
	db, err := open(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("mysql: migrate: connect to %s: %w", cfg.Addr, err)
	}
	defer func() { _ = lock.Close() }() // and with it the lock
	var got sql.NullInt64
	if err := lock.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", migrationLock, migrationLockSeconds).Scan(&got); err != nil {
		return fmt.Errorf("mysql: migrate: lock %s: %w", migrationLock, err)
	}
	if got.Int64 != 1 {
		return fmt.Errorf("mysql: migrate: another migration has held the lock %s for %d s: try again when it has ended", migrationLock, migrationLockSeconds)
	}
	defer func() { _, _ = lock.ExecContext(ctx, "DO RELEASE_LOCK(?)", migrationLock) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("mysql: migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, db, files, goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("mysql: migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("mysql: migrate: %w", err)
	}
	return nil
}

// Check says which migrations the schema lacks, as an error that matches port.ErrSchema. It writes nothing.
func Check(ctx context.Context, dsn string) error {
	cfg, err := parse(dsn)
	if err != nil {
		return err
	}
	db, err := open(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return fmt.Errorf("mysql: check the schema: %w", err)
	}
	return catalog.CheckVersion(version)
}

// schemaVersion is the version of the last migration that has run; 0 if none has.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var version int64
	err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	var answer *mysql.MySQLError
	if errors.As(err, &answer) && answer.Number == erNoSuchTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w (%w)", err, port.ErrRefused)
	}
	return version, nil
}
