package shepherd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manage"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// directory is what the shepherd asks of the catalog: a [catalog.Resolver], which caches. Errors are the Resolver's.
type directory interface {
	Team(ctx context.Context, key string) (port.Team, error)
	// DatasetForWrite creates the dataset if it is not there.
	DatasetForWrite(ctx context.Context, team int64, name string) (port.Dataset, error)
	// Partitions is how many partitions are in use, as far as the catalog has said.
	Partitions() int32
	// LearnEvents hears of the columns of events. It neither blocks nor keeps anything.
	LearnEvents(dataset int64, events []event.Event)
	// Run writes what was learnt, until ctx ends.
	Run(ctx context.Context) error
}

var _ directory = (*catalog.Resolver)(nil)

func newDirectory(r rt.Runtime, c port.Catalog, events port.Events, cfg Config, partitions int32, name string, bugs planted.Set) directory {
	return catalog.New(r, c, catalog.Config{
		CacheFor: cfg.CacheFor, MissFor: cfg.MissFor, StaleFor: cfg.StaleFor, CacheSize: cfg.CacheSize,
		Spread: cfg.Spread, Partitions: partitions, Bugs: bugs,
	}, func(kind, detail string) { events.Announce(port.Event{Kind: kind, Node: name, Detail: detail}) })
}

// Texts about the catalog, for clients.
const (
	textUnknownKey = "unknown API key - check your credentials"
	textNoCatalog  = "the metadata store does not answer and the %s is not known here yet: the event was not stored; send it again later: %v"
)

// identify finds the team of an API key and begins a request of it: the caller must leave the tenant. Without a tenant,
// code is 401 or Refused, and text says why.
func (s *Shepherd) identify(ctx context.Context, key string) (t *tenant, code int, text string) {
	if problem := checkKey(key); problem != "" {
		return nil, 401, problem
	}
	team, err := s.directory.Team(ctx, key)
	switch {
	case err == nil:
		return s.enter(team), 200, ""
	case errors.Is(err, port.ErrNotFound):
		return nil, 401, textUnknownKey
	}
	return nil, Refused, fmt.Sprintf(textNoCatalog, "API key", err)
}

// checkKey says what is wrong with a key's form; empty if nothing is.
func checkKey(key string) string {
	switch {
	case key == "":
		return textUnknownKey + ": the X-Honeycomb-Team header is missing"
	case len(key) > 256:
		return textUnknownKey + ": the key is longer than 256 bytes"
	}
	return ""
}

// checkDataset says what is wrong with a dataset's name; empty if nothing is.
func checkDataset(name string) string {
	switch {
	case name == "":
		return "the dataset's name is missing: POST to /1/batch/{dataset}"
	case len(name) > maxDatasetBytes:
		return fmt.Sprintf("the dataset's name has %d bytes, at most %d are allowed", len(name), maxDatasetBytes)
	case !utf8.ValidString(name):
		return "the dataset's name is not UTF-8"
	case strings.ContainsRune(name, '/'):
		return "the dataset's name contains a slash"
	case strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return "the dataset's name contains a control character"
	case strings.TrimSpace(name) == "":
		return "the dataset's name is blank"
	case strings.EqualFold(strings.TrimSpace(name), manage.All):
		return "no dataset can be called " + manage.All + ", which stands for all of a team's datasets"
	}
	return ""
}
