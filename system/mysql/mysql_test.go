package mysql

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestMigrationsAreThoseOfTheCatalog: the embedded files are those that catalog names, in order and without gaps.
func TestMigrationsAreThoseOfTheCatalog(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(f, "migrations/"), ".sql"))
	}
	if !slices.Equal(names, catalog.Migrations()) || len(names) != catalog.Schema {
		t.Errorf("the files are %q, catalog names %q and needs version %d", names, catalog.Migrations(), catalog.Schema)
	}
}

func TestPartitionSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOf(rapid.Int32Min(0)).Draw(t, "set")
		back, err := parseSet(formatSet(set))
		if err != nil || !slices.Equal(set, back) {
			t.Errorf("%v became %v, %v", set, back, err)
		}
	})
	for _, bad := range []string{",", "1,", "-1", "a", "1,,2", "99999999999"} {
		if set, err := parseSet(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, set)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	r := rt.NewWall(1)
	for name, o := range map[string]Options{
		"no DSN":         {},
		"no database":    {DSN: "u:p@tcp(127.0.0.1:1)/"},
		"bad DSN":        {DSN: "nonsense"},
		"long lock wait": {DSN: "u:p@tcp(127.0.0.1:1)/d", LockWait: time.Minute},
	} {
		if _, err := New(r, o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestNobodyListens: everything is refused, and nothing says that its outcome is unknown.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dsn := "u:p@tcp(" + at + ")/d"
	c, err := New(rt.NewWall(1), Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	_, versionErr := c.SchemaVersion(ctx)
	_, teamErr := c.CreateTeam(ctx, port.NewTeam{Name: "t", Key: "k"})
	_, defineErr := c.Define(ctx, port.Definition{Team: 1, Kind: port.KindSLO, Name: "n"})
	_, listErr := c.DefinitionsOf(ctx, 0)
	_, _, recordErr := c.Record(ctx, port.Evaluation{Alert: 1})
	_, dueErr := c.Undelivered(ctx, port.Place{}, 1)
	for what, err := range map[string]error{
		"version": versionErr, "create team": teamErr, "delete": c.DeleteDataset(ctx, 1), "define": defineErr, "list": listErr,
		"advance": c.Advance(ctx, port.Advance{Consumer: "c", Topic: "t"}), "record": recordErr, "due": dueErr,
		"what is refused before it is sent": c.Advance(ctx, port.Advance{}),
	} {
		if !errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrSchema) {
			t.Errorf("%s: %v, expected it to be refused", what, err)
		}
	}
	if err := Migrate(ctx, dsn); err == nil {
		t.Error("migrated nothing")
	}
	if err := Check(ctx, dsn); err == nil || errors.Is(err, port.ErrSchema) {
		t.Errorf("check: %v", err)
	}
}

// TestRefused: what the server and the port's rules say for certain keeps its kind, and nothing is certain and unknown.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := &Catalog{}
	for _, certain := range []error{port.ErrNotFound, port.ErrTooManyColumns, port.ErrNotThere, port.ErrFenced, port.ErrRefused} {
		if err := c.refused(fmt.Errorf("wrapped: %w", certain)); !errors.Is(err, certain) || errors.Is(err, port.ErrUnknown) {
			t.Errorf("%v became %v", certain, err)
		}
	}
	c.ready.Store(true)
	for number, want := range map[uint16]error{
		erNoReferencedRow: port.ErrNotFound, erNoSuchTable: port.ErrSchema, erBadField: port.ErrSchema, erLockDeadlock: port.ErrRefused, erDupEntry: port.ErrRefused,
	} {
		err := c.refused(&mysql.MySQLError{Number: number})
		if !errors.Is(err, want) || errors.Is(err, port.ErrUnknown) {
			t.Errorf("error %d became %v, expected %v", number, err, want)
		}
		if rolledBack(err) != (number == erLockDeadlock) {
			t.Errorf("error %d is to be tried again: %v", number, rolledBack(err))
		}
	}
	if c.ready.Load() {
		t.Error("after a missing table the schema still counts as checked")
	}
}
