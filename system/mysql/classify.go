package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

// Errors of the server, by their numbers in MySQL's Error Message Reference.
const (
	erDupEntry        = 1062
	erNoSuchTable     = 1146
	erBadField        = 1054
	erLockWaitTimeout = 1205
	erLockDeadlock    = 1213
	erNoReferencedRow = 1452
)

// number is the server's error number; 0 if the server did not answer with an error.
func number(err error) uint16 {
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		return answer.Number
	}
	return 0
}

// rolledBack reports whether the transaction met another one, and may be tried again.
func rolledBack(err error) bool {
	n := number(err)
	return n == erLockDeadlock || n == erLockWaitTimeout
}

// refused maps a failure before a commit was sent: nothing has changed.
func (c *Catalog) refused(err error) error {
	switch n := number(err); {
	case err == nil, errors.Is(err, port.ErrRefused):
		return err
	case errors.Is(err, port.ErrNotFound), errors.Is(err, port.ErrTooManyColumns), errors.Is(err, port.ErrNotThere), errors.Is(err, port.ErrFenced):
		return err // certain, and the port says so
	case errors.Is(err, sql.ErrNoRows), n == erNoReferencedRow:
		return fmt.Errorf("%w: %w", port.ErrNotFound, err)
	case n == erNoSuchTable || n == erBadField:
		c.ready.Store(false) // the next operation names what is missing
		return fmt.Errorf("%w: %w: it needs the migrations up to %d (%w)", port.ErrSchema, err, catalog.Schema, port.ErrRefused)
	default:
		return fmt.Errorf("%w (%w)", err, port.ErrRefused)
	}
}

func jitter(limit time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(limit))
}
