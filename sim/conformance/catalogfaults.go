package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func lockedRow(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	release, err := e.Hold(ctx, ds.ID)
	if err != nil {
		return err
	}
	defer release()
	if got, err := e.B.DatasetByID(ctx, ds.ID); err != nil || got.Limits != ds.Limits {
		return fmt.Errorf("reads do not wait for locks, got %+v, %w", got, err)
	}
	if _, _, err := e.B.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: "other", Spread: 1, Of: 1}); err != nil {
		return fmt.Errorf("another row: %w", err)
	}
	began := e.Runtime.Now()
	err = e.A.SetDatasetLimits(ctx, ds.ID, port.Limits{EventsPerSecond: 1})
	if took := e.Runtime.Now().Sub(began); took < 5*time.Second || took > 15*time.Second {
		return fmt.Errorf("given up after %v (%w), expected three lock wait timeouts of 2 s", took, err)
	}
	return refused("set limits of a locked row", err, nil)
}

func lockReleased(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	release, err := e.Hold(ctx, ds.ID)
	if err != nil {
		return err
	}
	done := rt.NewFuture[struct{}](e.Runtime)
	e.Runtime.Go("waiter", func(ctx context.Context) {
		done.Complete(struct{}{}, e.A.AddColumns(ctx, ds.ID, []port.Column{{Name: "x", Types: port.ColumnInt}}))
	})
	if err := e.Runtime.Sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	early := done.Done()
	release()
	if _, err := done.Wait(ctx); err != nil || early {
		return fmt.Errorf("the waiter ended before the release: %v, with %w", early, err)
	}
	columns, err := e.B.Columns(ctx, ds.ID)
	if err != nil || len(columns) != 1 {
		return fmt.Errorf("columns %v, %w", columns, err)
	}
	return nil
}

func killedServer(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.A.AddColumns(ctx, ds.ID, []port.Column{{Name: "x", Types: port.ColumnInt}}); err != nil {
		return err
	}
	if err := errors.Join(e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	got, err := e.A.Dataset(ctx, ds.Team, ds.Slug)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(ds) {
		return fmt.Errorf("after a restart: %+v, %w; expected %+v", got, err, ds)
	}
	if columns, err := e.B.Columns(ctx, ds.ID); err != nil || len(columns) != 1 {
		return fmt.Errorf("columns after a restart: %v, %w", columns, err)
	}
	return nil
}

func serverDown(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.Kill(ctx); err != nil {
		return err
	}
	if err := e.Runtime.Sleep(ctx, 100*time.Millisecond); err != nil { // until the connections have learned of it
		return err
	}
	var errs []error
	for range 3 {
		_, read := e.A.DatasetByID(ctx, ds.ID)
		errs = append(errs, refused("read", read, nil), refused("write", e.A.SetDatasetLimits(ctx, ds.ID, port.Limits{EventsPerSecond: 1}), nil))
	}
	if err := errors.Join(append(errs, e.Restart(ctx))...); err != nil {
		return err
	}
	got, err := e.A.DatasetByID(ctx, ds.ID)
	if err != nil || got.Limits != (port.Limits{}) {
		return fmt.Errorf("after refusals: %+v, %w", got, err)
	}
	return nil
}

func pausedServer(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if err := e.Pause(ctx); err != nil {
		return err
	}
	began := e.Runtime.Now()
	_, read := e.A.DatasetByID(ctx, ds.ID)
	took := e.Runtime.Now().Sub(began)
	short, cancel := e.Runtime.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	began = e.Runtime.Now()
	_, hurried := e.A.DatasetByID(short, ds.ID)
	hurry := e.Runtime.Now().Sub(began)
	if err := errors.Join(e.Resume(ctx), refused("read of a paused server", read, nil), refused("read with a deadline", hurried, nil)); err != nil {
		return err
	}
	if took < time.Second || took > 10*time.Second || hurry > 2*time.Second {
		return fmt.Errorf("given up after %v, and after %v with a deadline of 500 ms", took, hurry)
	}
	_, err = e.A.DatasetByID(ctx, ds.ID)
	return err
}

func catalogContext(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	ended, cancel := e.Runtime.WithCancel(ctx)
	cancel()
	if err := refused("write", e.A.SetDatasetLimits(ended, ds.ID, port.Limits{EventsPerSecond: 1}), context.Canceled); err != nil {
		return err
	}
	_, err = e.A.DatasetByID(ended, ds.ID)
	return refused("read", err, context.Canceled)
}

func missingMigration(ctx context.Context, e *CatalogEnv) error {
	if err := e.SetSchema(ctx, catalog.Schema-1); err != nil {
		return err
	}
	fresh, err := e.New()
	if err != nil {
		return err
	}
	checked := catalog.CheckSchema(ctx, fresh)
	writeErr := fresh.AddColumns(ctx, 1, []port.Column{{Name: "x", Types: port.ColumnInt}})
	if err := e.SetSchema(ctx, catalog.Schema); err != nil {
		return err
	}
	if err := errors.Join(certainly("check of the schema", checked, port.ErrSchema), certainly("write", writeErr, port.ErrSchema)); err != nil {
		return err
	}
	if name := catalog.Migrations()[catalog.Schema-1]; !strings.Contains(checked.Error(), name) || !strings.Contains(writeErr.Error(), name) {
		return fmt.Errorf("the errors do not name %s: %w; %w", name, checked, writeErr)
	}
	return catalog.CheckSchema(ctx, fresh)
}

// outcomes counts how operations ended.
type outcomes struct{ ok, refused, unknownDone, unknownNot int }

func (o *outcomes) enough() bool { return o.ok >= 3 && o.refused >= 3 && o.unknownDone >= 3 }

// add checks one write's error against whether its effect is there.
func (o *outcomes) add(what string, err error, there bool) error {
	switch {
	case err == nil && there:
		o.ok++
	case err == nil:
		return fmt.Errorf("%s succeeded and has no effect", what)
	case errors.Is(err, port.ErrRefused) && errors.Is(err, port.ErrUnknown):
		return fmt.Errorf("%s: %w is refused and unknown at once", what, err)
	case errors.Is(err, port.ErrRefused) && there:
		return fmt.Errorf("%s was refused (%w) and took effect", what, err)
	case errors.Is(err, port.ErrRefused):
		o.refused++
	case !errors.Is(err, port.ErrUnknown):
		return fmt.Errorf("%s: %w is neither refused nor unknown", what, err)
	case there:
		o.unknownDone++
	default:
		o.unknownNot++
	}
	return nil
}

// maxTries bounds how often a row of errors tries, until it has seen every outcome.
const maxTries = 1000

func catalogErrors(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	var seen outcomes
	for i := 0; !seen.enough(); i++ {
		if i == maxTries {
			return fmt.Errorf("after %d tries not every outcome was seen: %+v", i, seen)
		}
		name := fmt.Sprint("d", i)
		if err := e.Errors(ctx, 0.3); err != nil {
			return err
		}
		_, _, createErr := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: name, Spread: 1, Of: 1})
		if err := e.Errors(ctx, 0); err != nil {
			return err
		}
		ds, err := e.B.Dataset(ctx, team.ID, name)
		if err != nil && !errors.Is(err, port.ErrNotFound) {
			return err
		}
		if err := seen.add("create "+name, createErr, err == nil); err != nil {
			return err
		}
		again, created, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: name, Spread: 1, Of: 1})
		if err != nil || created != (ds.ID == 0) || !created && again.ID != ds.ID {
			return fmt.Errorf("repeated: %+v, %v, %w; there was %+v", again, created, err, ds)
		}
	}
	return nil
}

func catalogSlow(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	const delay = 300 * time.Millisecond
	if err := e.Slow(ctx, delay); err != nil {
		return err
	}
	began := e.Runtime.Now()
	_, read := e.A.DatasetByID(ctx, ds.ID)
	took := e.Runtime.Now().Sub(began)
	write := e.A.SetDatasetLimits(ctx, ds.ID, port.Limits{EventsPerSecond: 2})
	if err := errors.Join(read, write, e.Slow(ctx, 10*time.Second)); err != nil {
		return err
	}
	began = e.Runtime.Now()
	_, given := e.A.DatasetByID(ctx, ds.ID)
	patience := e.Runtime.Now().Sub(began)
	if err := errors.Join(e.Slow(ctx, 0), refused("read of a very slow server", given, nil)); err != nil {
		return err
	}
	if took < delay || patience > 8*time.Second {
		return fmt.Errorf("a read took %v with a delay of %v; one with a delay of 10 s was given up after %v", took, delay, patience)
	}
	got, err := e.B.DatasetByID(ctx, ds.ID)
	if err != nil || got.Limits.EventsPerSecond != 2 {
		return fmt.Errorf("after a slow write: %+v, %w", got, err)
	}
	return nil
}
