package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// CatalogRow is one behaviour of the metadata store: of the Catalog, Definitions, Counts or Evaluations port.
type CatalogRow struct {
	Name  string
	Check func(ctx context.Context, e *CatalogEnv) error
}

// CatalogEnv is what a row of the metadata store's tables runs in: a database with the schema that this build needs.
type CatalogEnv struct {
	Runtime rt.Runtime
	// A and B are the ports of two processes, New that of one that has not asked anything yet.
	A, B port.Metadata
	New  func() (port.Metadata, error)
	// Name is unique to the row: names and keys begin with it.
	Name string
	// Kill kills the server at once and Restart starts it again, returning when it answers. Pause and Resume freeze it.
	Kill, Restart, Pause, Resume func(ctx context.Context) error
	// Hold keeps the row of a dataset locked until release.
	Hold func(ctx context.Context, dataset int64) (release func(), err error)
	// Errors has that share of A's requests fail (0: none): some before they have an effect, some afterwards. Slow has each
	// take that much longer. Both may concern B too.
	Errors func(ctx context.Context, rate float64) error
	Slow   func(ctx context.Context, delay time.Duration) error
	// SetSchema has the database say that only the migrations up to a version have run.
	SetSchema func(ctx context.Context, version int64) error
}

// Metadata is all tables of the metadata store.
func Metadata() []CatalogRow {
	return slices.Concat(Catalog(), Definitions(), Counts(), Evaluations(), MetadataFaults())
}

// Catalog is the table of the Catalog port. Sources: the comments of system/port, MySQL's Reference Manual (InnoDB locking,
// AUTO_INCREMENT, foreign keys, error messages), and go-sql-driver v1.10.1 for what a client sees.
func Catalog() []CatalogRow {
	return []CatalogRow{
		{"a team is found by its key and by nothing else", teamByKey},
		{"a team that is created again is found", teamAgain},
		{"limits are read as they were set", limits},
		{"names with one slug are one dataset", oneSlug},
		{"of many who create a dataset one does", createDatasetRace},
		{"a dataset is the same however it is looked up", sameDataset},
		{"a dataset's partitions are consecutive and go round", partitions},
		{"a dataset's partitions grow, and are never fewer", widenDataset},
		{"what is not there is not found", catalogMissing},
		{"a dataset that is created again has a new ID", recreated},
		{"IDs are not given again after a restart", idsAfterRestart},
		{"datasets are listed by ID and team", listed},
		{"names of every kind come back as they were", oddNames},
		{"bad names are refused", badNames},
		{"columns are sorted, case-sensitive, and gather types", columnTypes},
		{"columns are added all or none", columnsAllOrNone},
		{"columns added at once by two are all there", columnsRace},
		{"a dataset takes its columns along", columnsDeleted},
		{"a locked row is refused to others after a while, and nothing but it", lockedRow},
		{"a waiter goes on when the lock is released", lockReleased},
		{"what was committed outlives the death of the server", killedServer},
		{"a server that is down refuses", serverDown},
		{"a server that does not answer is given up, and reads are refused", pausedServer},
		{"a context that has ended refuses", catalogContext},
		{"what fails is told exactly, and can be repeated", catalogErrors},
		{"a slow server is waited for, up to a point", catalogSlow},
		{"a missing migration is named, and nothing is written", missingMigration},
	}
}

// certainly checks that an operation failed for certain for that reason.
func certainly(what string, err, reason error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s succeeded, expected %q", what, reason.Error())
	case !errors.Is(err, reason) || errors.Is(err, port.ErrUnknown):
		return fmt.Errorf("%s: expected %q and no doubt, got: %w", what, reason.Error(), err)
	}
	return nil
}

// team creates the row's team.
func (e *CatalogEnv) team(ctx context.Context) (port.Team, error) {
	return e.A.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name})
}

// dataset creates the row's team and a dataset of it.
func (e *CatalogEnv) dataset(ctx context.Context) (port.Dataset, error) {
	team, err := e.team(ctx)
	if err != nil {
		return port.Dataset{}, err
	}
	ds, created, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "data", Spread: 1, Of: 1})
	if err == nil && !created {
		err = errors.New("the row's dataset was there before")
	}
	return ds, err
}

// both runs f for each of two clients at once, and waits.
func (e *CatalogEnv) both(ctx context.Context, f func(ctx context.Context, c port.Metadata) error) error {
	done := []*rt.Future[struct{}]{rt.NewFuture[struct{}](e.Runtime), rt.NewFuture[struct{}](e.Runtime)}
	for i, c := range []port.Metadata{e.A, e.B} {
		e.Runtime.Go("both", func(ctx context.Context) { done[i].Complete(struct{}{}, f(ctx, c)) })
	}
	_, errA := done[0].Wait(ctx)
	_, errB := done[1].Wait(ctx)
	return errors.Join(errA, errB)
}

func teamByKey(ctx context.Context, e *CatalogEnv) error {
	made, err := e.A.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name + "Key", Limits: port.Limits{EventsPerSecond: 7.5, Burst: 3}})
	if err != nil {
		return err
	}
	got, err := e.B.TeamByKey(ctx, e.Name+"Key")
	if err != nil || got != made || made.ID <= 0 || made.Name != e.Name || made.Limits.EventsPerSecond != 7.5 {
		return fmt.Errorf("created %+v, found %+v, %w", made, got, err)
	}
	for _, other := range []string{"", e.Name, e.Name + "key", e.Name + "Key ", strings.Repeat("k", 5000)} {
		_, err := e.B.TeamByKey(ctx, other)
		if err := certainly(fmt.Sprintf("team of key %.50q", other), err, port.ErrNotFound); err != nil {
			return err
		}
	}
	return nil
}

func teamAgain(ctx context.Context, e *CatalogEnv) error {
	made, err := e.team(ctx)
	if err != nil {
		return err
	}
	again, err := e.B.CreateTeam(ctx, port.NewTeam{Name: "another name", Key: e.Name, Limits: port.Limits{EventsPerSecond: 1}})
	if err != nil || again != made {
		return fmt.Errorf("created again: %+v (%w), expected %+v", again, err, made)
	}
	other, err := e.B.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name + "2"})
	if err != nil || other.ID <= made.ID {
		return fmt.Errorf("another key: %+v (%w), expected a team with an ID above %d", other, err, made.ID)
	}
	return nil
}

func limits(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	a, b, c := port.Limits{EventsPerSecond: 1e9, Burst: 0.25}, port.Limits{EventsPerSecond: 0.1}, port.Limits{EventsPerSecond: 1.0 / 3, Burst: 4}
	for range 2 { // the second time changes nothing, and has found its row all the same
		if err := errors.Join(e.A.SetTeamLimits(ctx, ds.Team, a, b), e.A.SetDatasetLimits(ctx, ds.ID, c)); err != nil {
			return err
		}
	}
	team, err := e.B.TeamByKey(ctx, e.Name)
	if err != nil || team.Limits != a || team.DatasetLimits != b {
		return fmt.Errorf("%+v (%w), expected limits %+v and %+v", team, err, a, b)
	}
	got, err := e.B.DatasetByID(ctx, ds.ID)
	if err != nil || got.Limits != c {
		return fmt.Errorf("%+v (%w), expected limits %+v", got, err, c)
	}
	return nil
}

func oneSlug(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	first, created, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "My Data", Spread: 2, Of: 4})
	if err != nil || !created || first.Name != "My Data" || first.Slug != "my-data" {
		return fmt.Errorf("%+v, %v, %w", first, created, err)
	}
	for _, name := range []string{"my data", "MY DATA", " my  data ", "my-data", "My/Data"} {
		again, created, err := e.B.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: name, Spread: 1, Of: 4})
		if err != nil || created || again.ID != first.ID || again.Name != "My Data" || !slices.Equal(again.Partitions, first.Partitions) {
			return fmt.Errorf("%q: %+v, %v, %w; expected the dataset %d as it was", name, again, created, err, first.ID)
		}
	}
	return nil
}

func createDatasetRace(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	for i := range 10 {
		ids := rt.NewQueue[int64](e.Runtime, 0)
		wins := rt.NewQueue[struct{}](e.Runtime, 0)
		err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			ds, created, err := c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: fmt.Sprint("race", i), Spread: 1, Of: 1})
			ids.TryPush(ds.ID)
			if created {
				wins.TryPush(struct{}{})
			}
			return err
		})
		if err != nil {
			return err
		}
		a, _ := ids.TryPop()
		b, _ := ids.TryPop()
		if a != b || a == 0 || wins.Len() != 1 {
			return fmt.Errorf("round %d: IDs %d and %d, %d say that they created it", i, a, b, wins.Len())
		}
	}
	return nil
}

func sameDataset(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	before := e.Runtime.Now()
	made, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "Data", Spread: 3, Of: 8, Limits: port.Limits{EventsPerSecond: 9}})
	if err != nil {
		return err
	}
	if d := made.Created.Sub(before); d < -time.Minute || d > time.Minute {
		return fmt.Errorf("created at %v, expected about %v", made.Created, before)
	}
	bySlug, err1 := e.B.Dataset(ctx, team.ID, "data")
	byID, err2 := e.B.DatasetByID(ctx, made.ID)
	list, err3 := e.B.Datasets(ctx, team.ID)
	again, _, err4 := e.B.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "data"})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	for i, got := range append([]port.Dataset{bySlug, byID, again}, list...) {
		if fmt.Sprint(got) != fmt.Sprint(made) {
			return fmt.Errorf("look-up %d: %+v, expected %+v", i, got, made)
		}
	}
	if len(list) != 1 {
		return fmt.Errorf("%d datasets are listed", len(list))
	}
	return nil
}

func partitions(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	for i, c := range []struct {
		spread int
		of     int32
		want   int
	}{{2, 6, 2}, {2, 6, 2}, {2, 6, 2}, {9, 3, 3}, {0, 5, 1}, {4, 4, 4}} {
		ds, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: fmt.Sprint("d", i), Spread: c.spread, Of: c.of})
		if err != nil {
			return err
		}
		if len(ds.Partitions) != c.want || !slices.Equal(ds.Partitions, catalog.PartitionSet(ds.ID, c.spread, c.of)) {
			return fmt.Errorf("%d of %d: dataset %d has %v", c.spread, c.of, ds.ID, ds.Partitions)
		}
	}
	return nil
}

func catalogMissing(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	const nobody = 1 << 40
	_, bySlug := e.A.Dataset(ctx, team.ID, "missing")
	_, byID := e.A.DatasetByID(ctx, nobody)
	_, columns := e.A.Columns(ctx, nobody)
	_, _, create := e.A.CreateDataset(ctx, port.NewDataset{Team: nobody, Name: "x", Spread: 1, Of: 1})
	if err := errors.Join(
		certainly("dataset by slug", bySlug, port.ErrNotFound), certainly("dataset by ID", byID, port.ErrNotFound),
		certainly("columns", columns, port.ErrNotFound), certainly("create for a missing team", create, port.ErrNotFound),
		certainly("delete", e.A.DeleteDataset(ctx, nobody), port.ErrNotFound),
		certainly("widen", e.A.WidenDataset(ctx, nobody, []int32{1}), port.ErrNotFound),
		certainly("limits", e.A.SetDatasetLimits(ctx, nobody, port.Limits{}), port.ErrNotFound),
		certainly("team limits", e.A.SetTeamLimits(ctx, nobody, port.Limits{}, port.Limits{}), port.ErrNotFound),
		certainly("add columns", e.A.AddColumns(ctx, nobody, []port.Column{{Name: "x", Types: port.ColumnInt}}), port.ErrNotFound),
	); err != nil {
		return err
	}
	list, err := e.A.Datasets(ctx, nobody)
	if err != nil || len(list) != 0 {
		return fmt.Errorf("datasets of nobody: %v, %w", list, err)
	}
	return nil
}

func recreated(ctx context.Context, e *CatalogEnv) error {
	old, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.A.AddColumns(ctx, old.ID, []port.Column{{Name: "x", Types: port.ColumnInt}}); err != nil {
		return err
	}
	if err := e.A.DeleteDataset(ctx, old.ID); err != nil {
		return err
	}
	if err := certainly("delete again", e.B.DeleteDataset(ctx, old.ID), port.ErrNotFound); err != nil {
		return err
	}
	_, err = e.B.Dataset(ctx, old.Team, old.Slug)
	if err := certainly("dataset after its deletion", err, port.ErrNotFound); err != nil {
		return err
	}
	now, created, err := e.B.CreateDataset(ctx, port.NewDataset{Team: old.Team, Name: old.Name, Spread: 1, Of: 1})
	if err != nil || !created || now.ID <= old.ID {
		return fmt.Errorf("created again: %+v, %v, %w; expected an ID above %d", now, created, err, old.ID)
	}
	if columns, err := e.A.Columns(ctx, now.ID); err != nil || len(columns) != 0 {
		return fmt.Errorf("columns of the new one: %v, %w", columns, err)
	}
	return nil
}

func idsAfterRestart(ctx context.Context, e *CatalogEnv) error {
	old, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.A.DeleteDataset(ctx, old.ID); err != nil {
		return err
	}
	if err := errors.Join(e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	now, _, err := e.B.CreateDataset(ctx, port.NewDataset{Team: old.Team, Name: old.Name, Spread: 1, Of: 1})
	if err != nil || now.ID <= old.ID {
		return fmt.Errorf("after a restart: %+v, %w; expected an ID above %d", now, err, old.ID)
	}
	return nil
}

func listed(ctx context.Context, e *CatalogEnv) error {
	first, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	other, err := e.A.CreateTeam(ctx, port.NewTeam{Name: "other", Key: e.Name + "other"})
	if err != nil {
		return err
	}
	want := []int64{first.ID}
	for _, name := range []string{"z", "a", "m"} {
		if _, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: other.ID, Name: name, Spread: 1, Of: 1}); err != nil {
			return err
		}
		ds, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: first.Team, Name: name, Spread: 1, Of: 1})
		if err != nil {
			return err
		}
		want = append(want, ds.ID)
	}
	list, err := e.B.Datasets(ctx, first.Team)
	if err != nil {
		return err
	}
	var got []int64
	for _, ds := range list {
		got = append(got, ds.ID)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("listed %v, expected %v", got, want)
	}
	return nil
}
