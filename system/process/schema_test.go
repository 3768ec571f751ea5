package process

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// versioned is a catalog that only says how far its migrations have come.
type versioned struct {
	port.Catalog
	version int64
	err     error
}

func (v versioned) SchemaVersion(context.Context) (int64, error) { return v.version, v.err }

func TestARoleDoesNotBeginOnAnOldSchema(t *testing.T) {
	t.Parallel()
	n := node{Wall: rt.NewWall(1), name: "shepherd1"}
	defer n.Kill()
	quiet := slog.New(slog.DiscardHandler)
	err := schema(t.Context(), n, versioned{version: 1}, quiet)
	if !errors.Is(err, port.ErrSchema) || !strings.Contains(err.Error(), "0002_") {
		t.Errorf("an old schema: %v, expected an error that names the migration it lacks", err)
	}
	if err := schema(t.Context(), n, versioned{err: port.ErrRefused}, quiet); err != nil {
		t.Errorf("a catalog that is away: %v", err)
	}
}
