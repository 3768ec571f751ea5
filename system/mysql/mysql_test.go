package mysql

import (
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

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
	for what, err := range map[string]error{"version": versionErr, "create team": teamErr, "delete": c.DeleteDataset(ctx, 1)} {
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
