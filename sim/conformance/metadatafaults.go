package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

// MetadataFaults is what the Definitions, Counts and Evaluations ports do while the server fails.
func MetadataFaults() []CatalogRow {
	return []CatalogRow{
		{"an advance that fails is told exactly, and the progress tells the rest", advanceErrors},
		{"a record that fails is told exactly, and finds itself when it is repeated", recordErrors},
		{"a definition that fails is told exactly, and finds itself when it is repeated", defineErrors},
		{"every write can be repeated until it is answered", repeatedWrites},
		{"definitions, counts and evaluations outlive the death of the server", metadataKilled},
		{"a server that is down refuses definitions, counts and evaluations", metadataDown},
		{"a locked dataset refuses definitions, and nothing else", lockedDataset},
		{"a context that has ended refuses definitions, counts and evaluations", metadataContext},
		{"without its migration nothing is read or written", metadataSchema},
	}
}

func advanceErrors(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	var seen outcomes
	next := int64(0)
	for i := 0; !seen.enough(); i++ {
		if i == maxTries {
			return fmt.Errorf("after %d tries not every outcome was seen: %+v", i, seen)
		}
		a := e.step(next, next+1, port.SLOCount{SLO: d.ID, Minute: 60 * (next % 3), Good: 1, Total: 2})
		if err := e.Errors(ctx, 0.3); err != nil {
			return err
		}
		advanceErr := e.A.Advance(ctx, a)
		if err := e.Errors(ctx, 0); err != nil {
			return err
		}
		at, err := e.next(ctx)
		if err != nil {
			return err
		}
		if err := seen.add(fmt.Sprint("advance to ", a.To), advanceErr, at == a.To); err != nil {
			return err
		}
		// The same again finds that it has happened, or does it.
		switch err := e.A.Advance(ctx, a); {
		case at == a.To:
			if err := certainly("repeated", err, port.ErrNotThere); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("repeated, with the progress at %d: %w", at, err)
		}
		next++
	}
	total := port.SLOCount{}
	counts, err := e.counted(ctx, d.ID)
	for _, n := range counts {
		total.Good += n.Good
		total.Total += n.Total
	}
	if at, err2 := e.next(ctx); err != nil || err2 != nil || at != next || total.Good != next || total.Total != 2*next {
		return fmt.Errorf("after %d steps: at %d with %+v; %w", next, at, counts, errors.Join(err, err2))
	}
	return nil
}

func recordErrors(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	var seen outcomes
	windows := 0
	for ; !seen.enough(); windows++ {
		if windows == maxTries {
			return fmt.Errorf("after %d tries not every outcome was seen: %+v", windows, seen)
		}
		epoch++ // a record that did not happen does not raise it
		n := port.Evaluation{Alert: id, Window: int64(windows), Epoch: epoch, By: fmt.Sprint("node", windows), Fires: true}
		if err := e.Errors(ctx, 0.3); err != nil {
			return err
		}
		_, _, recordErr := e.A.Record(ctx, n)
		if err := e.Errors(ctx, 0); err != nil {
			return err
		}
		list, err1 := e.B.EvaluationsOf(ctx, id, n.Window, n.Window+1)
		highest, by, err2 := e.B.Epoch(ctx)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		there := len(list) == 1
		if there != (highest == epoch) || there != (by == n.By) {
			return fmt.Errorf("window %d is there: %v; the epoch is %d of %s, and the record's was %d", windows, there, highest, by, epoch)
		}
		if err := seen.add(fmt.Sprint("record ", windows), recordErr, there); err != nil {
			return err
		}
		stored, recorded, err := e.A.Record(ctx, n)
		if err := errors.Join(err, alike("repeated", stored, n)); err != nil || recorded == there {
			return fmt.Errorf("repeated: recorded %v, and it was there: %v; %w", recorded, there, err)
		}
	}
	due, err := e.due(ctx, id)
	if err != nil || len(due) != windows {
		return fmt.Errorf("%d are undelivered, expected %d; %w", len(due), windows, err)
	}
	return nil
}

func defineErrors(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	var seen outcomes
	for i := 0; !seen.enough(); i++ {
		if i == maxTries {
			return fmt.Errorf("after %d tries not every outcome was seen: %+v", i, seen)
		}
		d := slo(ds, fmt.Sprint("d", i))
		if err := e.Errors(ctx, 0.3); err != nil {
			return err
		}
		_, defineErr := e.A.Define(ctx, d)
		if err := e.Errors(ctx, 0); err != nil {
			return err
		}
		list, err := e.B.DefinitionsOf(ctx, ds.ID)
		if err != nil {
			return err
		}
		there := len(list) == i+1
		if err := seen.add("define "+d.Name, defineErr, there); err != nil {
			return err
		}
		again, err := e.A.Define(ctx, d)
		if err != nil || there && again.ID != list[i].ID {
			return fmt.Errorf("repeated: %+v, %w; there were %v", again, err, idsOf(list))
		}
	}
	return nil
}

// until repeats an operation while every third request fails, until its outcome is one of those that are certain.
func (e *CatalogEnv) until(ctx context.Context, what string, op func() error, fine ...error) error {
	if err := e.Errors(ctx, 0.3); err != nil {
		return err
	}
	for i := 0; ; i++ {
		err := op()
		done := err == nil
		for _, f := range fine {
			done = done || i > 0 && errors.Is(err, f)
		}
		if done {
			return e.Errors(ctx, 0)
		}
		if i == maxTries || !errors.Is(err, port.ErrRefused) && !errors.Is(err, port.ErrUnknown) {
			return errors.Join(fmt.Errorf("%s, try %d: %w", what, i, err), e.Errors(ctx, 0))
		}
	}
}

func repeatedWrites(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	epoch, err := e.epoch(ctx)
	if err != nil {
		return err
	}
	at := time.Unix(1_700_000_000, 5).UTC()
	for i := range int64(12) {
		d := of(port.KindTrigger, slo(ds, fmt.Sprint("before", i)))
		var made, now port.Definition
		changed := port.Definition{Name: fmt.Sprint("after", i), Body: json.RawMessage("changed")}
		n := port.Evaluation{Window: i, Epoch: epoch + i + 1, By: "node", Fires: true}
		var stored port.Evaluation
		if err := errors.Join(
			e.until(ctx, "define", func() (err error) { made, err = e.A.Define(ctx, d); return err }),
			e.until(ctx, "redefine", func() (err error) { changed.ID = made.ID; now, err = e.A.Redefine(ctx, changed); return err }),
			e.until(ctx, "lead", func() error { return e.A.Lead(ctx, n.Epoch, "node") }),
			e.until(ctx, "record", func() (err error) { n.Alert = made.ID; stored, _, err = e.A.Record(ctx, n); return err }),
			e.until(ctx, "delivered", func() error { return e.A.Delivered(ctx, n.Alert, n.Window, at) }),
		); err != nil {
			return err
		}
		if now.Version != 2 || now.Name != changed.Name {
			return fmt.Errorf("redefined once: %+v", now)
		}
		if err := alike("recorded", stored, n); err != nil {
			return err
		}
		last, err := e.B.LastEvaluation(ctx, made.ID)
		n.Delivered = at
		if err := errors.Join(err, alike("afterwards", last, n)); err != nil {
			return err
		}
		if err := e.until(ctx, "undefine", func() error { return e.A.Undefine(ctx, made.ID) }, port.ErrNotFound); err != nil {
			return err
		}
		_, err = e.B.Definition(ctx, made.ID)
		if err := certainly("look-up", err, port.ErrNotFound); err != nil {
			return err
		}
	}
	return nil
}

func metadataKilled(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	th, err := e.things(ctx, ds, e.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	return errors.Join(err, alike("definitions", list, []port.Definition{th.slo, th.trigger}), e.alive(ctx, "after a restart", th, true),
		e.tally(ctx, "counts", 10, th.slo.ID, port.SLOCount{SLO: th.slo.ID, Minute: 60, Good: 1, Total: 2}))
}

// all does everything once, and returns how it went.
func (e *CatalogEnv) all(ctx context.Context, th things) []error {
	_, define := e.A.Define(ctx, slo(port.Dataset{Team: th.slo.Team, ID: th.slo.Dataset}, "all"))
	_, redefine := e.A.Redefine(ctx, port.Definition{ID: th.slo.ID, Name: "another"})
	_, definition := e.A.Definition(ctx, th.slo.ID)
	_, list := e.A.DefinitionsOf(ctx, 0)
	advance := e.A.Advance(ctx, e.step(10, 11, port.SLOCount{SLO: th.slo.ID, Minute: 60, Good: 1, Total: 1}))
	_, progress := e.A.ProgressOf(ctx, e.Name, e.Name)
	_, counts := e.A.SLOCounts(ctx, th.slo.ID, 0, 100)
	_, _, record := e.A.Record(ctx, port.Evaluation{Alert: th.trigger.ID, Window: 2, Epoch: 1 << 40, Fires: true})
	_, _, epoch := e.A.Epoch(ctx)
	_, last := e.A.LastEvaluation(ctx, th.trigger.ID)
	_, evaluations := e.A.EvaluationsOf(ctx, th.trigger.ID, 0, 100)
	_, due := e.A.Undelivered(ctx, port.Place{}, 1)
	return []error{define, redefine, definition, list, advance, progress, counts, record, e.A.Lead(ctx, 1<<40, "x"), epoch, last, evaluations, due,
		e.A.Delivered(ctx, th.trigger.ID, 1, time.Unix(1, 0)), e.A.Undefine(ctx, th.slo.ID)}
}

// untouched checks that what all would have changed is as it was.
func (e *CatalogEnv) untouched(ctx context.Context, ds port.Dataset, th things) error {
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	epoch, err2 := e.epoch(ctx)
	if epoch == 1<<40 {
		err2 = errors.Join(err2, errors.New("the epoch was raised"))
	}
	return errors.Join(err, err2, alike("definitions", list, []port.Definition{th.slo, th.trigger}), e.alive(ctx, "untouched", th, true),
		e.tally(ctx, "counts", 10, th.slo.ID, port.SLOCount{SLO: th.slo.ID, Minute: 60, Good: 1, Total: 2}))
}

func metadataDown(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	th, err := e.things(ctx, ds, e.Name)
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
	for i, err := range e.all(ctx, th) {
		errs = append(errs, refused(fmt.Sprint("operation ", i), err, nil))
	}
	if err := errors.Join(append(errs, e.Restart(ctx))...); err != nil {
		return err
	}
	return e.untouched(ctx, ds, th)
}

func metadataContext(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	th, err := e.things(ctx, ds, e.Name)
	if err != nil {
		return err
	}
	ended, cancel := e.Runtime.WithCancel(ctx)
	cancel()
	for i, err := range e.all(ended, th) {
		if err := refused(fmt.Sprint("operation ", i), err, context.Canceled); err != nil {
			return err
		}
	}
	return e.untouched(ctx, ds, th)
}

func lockedDataset(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	th, err := e.things(ctx, ds, e.Name)
	if err != nil {
		return err
	}
	epoch, err := e.epoch(ctx)
	if err != nil {
		return err
	}
	release, err := e.Hold(ctx, ds.ID)
	if err != nil {
		return err
	}
	defer release()
	began := e.Runtime.Now()
	_, found := e.B.Define(ctx, slo(ds, th.slo.Name))
	_, changed := e.B.Redefine(ctx, port.Definition{ID: th.slo.ID, Name: "another", Body: th.slo.Body})
	_, _, record := e.B.Record(ctx, port.Evaluation{Alert: th.trigger.ID, Window: 2, Epoch: epoch})
	_, list := e.B.DefinitionsOf(ctx, ds.ID)
	if err := errors.Join(found, changed, record, list, e.B.Advance(ctx, e.step(10, 11, port.SLOCount{SLO: th.slo.ID, Minute: 60, Good: 1, Total: 1})),
		e.B.Delivered(ctx, th.trigger.ID, 1, time.Unix(1, 0)), e.B.Undefine(ctx, th.slo.ID)); err != nil {
		return fmt.Errorf("of another row: %w", err)
	}
	if took := e.Runtime.Now().Sub(began); took > 1900*time.Millisecond {
		return fmt.Errorf("what is about other rows took %v", took)
	}
	began = e.Runtime.Now()
	_, err = e.A.Define(ctx, slo(ds, "new"))
	if took := e.Runtime.Now().Sub(began); took < 5*time.Second || took > 15*time.Second {
		return fmt.Errorf("given up after %v (%w), expected three lock wait timeouts of 2 s", took, err)
	}
	return refused("define for a locked dataset", err, nil)
}

func metadataSchema(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	th, err := e.things(ctx, ds, e.Name)
	if err != nil {
		return err
	}
	if err := e.SetSchema(ctx, catalog.Schema-1); err != nil {
		return err
	}
	fresh, err := e.New()
	if err != nil {
		return err
	}
	asked := *e
	asked.A = fresh
	var errs []error
	for i, err := range asked.all(ctx, th) {
		errs = append(errs, certainly(fmt.Sprint("operation ", i), err, port.ErrSchema))
	}
	if err := errors.Join(append(errs, e.SetSchema(ctx, catalog.Schema))...); err != nil {
		return err
	}
	return e.untouched(ctx, ds, th)
}
