package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func defineRace(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for i := range 10 {
		ids := rt.NewQueue[int64](e.Runtime, 0)
		if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			d, err := c.Define(ctx, slo(ds, fmt.Sprint("race", i)))
			ids.TryPush(d.ID)
			return err
		}); err != nil {
			return err
		}
		a, _ := ids.TryPop()
		b, _ := ids.TryPop()
		if a != b || a == 0 {
			return fmt.Errorf("round %d: IDs %d and %d", i, a, b)
		}
	}
	return nil
}

func defineRaceOfBodies(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for i := range 10 {
		won := rt.NewQueue[port.Definition](e.Runtime, 0)
		if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			d := slo(ds, fmt.Sprint("race", i))
			if c == e.B {
				d.Body = json.RawMessage("of B")
			}
			made, err := c.Define(ctx, d)
			if err == nil {
				won.TryPush(made)
				return nil
			}
			return certainly("the other", err, port.ErrNameTaken)
		}); err != nil {
			return err
		}
		winner, _ := won.TryPop()
		if more, both := won.TryPop(); both || winner.ID == 0 {
			return fmt.Errorf("round %d: %+v and %+v were defined", i, winner, more)
		}
		got, err := e.A.Definition(ctx, winner.ID)
		if err := errors.Join(err, alike("the winner", got, winner)); err != nil {
			return err
		}
	}
	return nil
}

func redefineRace(ctx context.Context, e *CatalogEnv) error {
	_, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	const each = 10
	if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
		for i := range each {
			if _, err := c.Redefine(ctx, port.Definition{ID: made.ID, Name: "one", Body: json.RawMessage(fmt.Sprint(c == e.A, i))}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	got, err := e.A.Definition(ctx, made.ID)
	if err != nil || got.Version != 1+2*each {
		return fmt.Errorf("after %d changes: %+v, %w", 2*each, got, err)
	}
	return nil
}

// counted is what an SLO has counted in all, and evaluated how often an alert was evaluated.
func (e *CatalogEnv) counted(ctx context.Context, slo int64) ([]port.SLOCount, error) {
	return e.B.SLOCounts(ctx, slo, -1<<40, 1<<40)
}

func (e *CatalogEnv) evaluated(ctx context.Context, alert int64) ([]port.Evaluation, error) {
	return e.B.EvaluationsOf(ctx, alert, -1<<62, 1<<62)
}

// things are an SLO with counts and a trigger with evaluations, one of them undelivered.
type things struct{ slo, trigger port.Definition }

func (e *CatalogEnv) things(ctx context.Context, ds port.Dataset, topic string) (th things, err error) {
	if th.slo, err = e.A.Define(ctx, slo(ds, "SLO of "+topic)); err != nil {
		return th, err
	}
	if th.trigger, err = e.A.Define(ctx, of(port.KindTrigger, slo(ds, "trigger of "+topic))); err != nil {
		return th, err
	}
	a := e.step(0, 10, port.SLOCount{SLO: th.slo.ID, Minute: 60, Good: 1, Total: 2})
	a.Topic = topic
	if err := e.A.Advance(ctx, a); err != nil {
		return th, err
	}
	epoch, _, err := e.A.Epoch(ctx)
	if err != nil {
		return th, err
	}
	_, recorded, err := e.A.Record(ctx, port.Evaluation{Alert: th.trigger.ID, Window: 1, Epoch: epoch, Fires: true})
	if err == nil && !recorded {
		err = errors.New("the evaluation of a new trigger was there before")
	}
	return th, err
}

// alive checks that everything of it is there, or nothing, its progress apart.
func (e *CatalogEnv) alive(ctx context.Context, what string, th things, want bool) error {
	counts, err1 := e.counted(ctx, th.slo.ID)
	evaluations, err2 := e.evaluated(ctx, th.trigger.ID)
	_, err3 := e.B.LastEvaluation(ctx, th.trigger.ID)
	if errors.Is(err3, port.ErrNotFound) && !want {
		err3 = nil
	}
	due, err4 := e.due(ctx, th.trigger.ID)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	n := 0
	if want {
		n = 1
	}
	if len(counts) != n || len(evaluations) != n || len(due) != n {
		return fmt.Errorf("%s: counts %v, evaluations %v, undelivered %v; expected %d of each", what, counts, evaluations, due, n)
	}
	return nil
}

func datasetTakesAlong(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	other, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: "other", Spread: 1, Of: 1})
	if err != nil {
		return err
	}
	goes, err1 := e.things(ctx, ds, e.Name+"1")
	stays, err2 := e.things(ctx, other, e.Name+"2")
	team, err3 := e.things(ctx, port.Dataset{Team: ds.Team}, e.Name+"3")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if err := errors.Join(e.alive(ctx, "before", goes, true), e.A.DeleteDataset(ctx, ds.ID), e.alive(ctx, "of the deleted dataset", goes, false),
		e.alive(ctx, "of the other dataset", stays, true), e.alive(ctx, "of the team", team, true)); err != nil {
		return err
	}
	for _, d := range []port.Definition{goes.slo, goes.trigger} {
		_, err := e.B.Definition(ctx, d.ID)
		if err := certainly("look-up of "+d.Name, err, port.ErrNotFound); err != nil {
			return err
		}
	}
	// The progress stays: the partition has been counted.
	rows, err := e.B.ProgressOf(ctx, e.Name, e.Name+"1")
	if err != nil || len(rows) != 1 || rows[0].Next != 10 {
		return fmt.Errorf("progress after the deletion: %+v, %w", rows, err)
	}
	list, err := e.B.DefinitionsOf(ctx, other.ID)
	if err := errors.Join(err, alike("of the other dataset", list, []port.Definition{stays.slo, stays.trigger})); err != nil {
		return err
	}
	// Created again, it has none.
	now, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: ds.Name, Spread: 1, Of: 1})
	if err != nil {
		return err
	}
	list, err = e.B.DefinitionsOf(ctx, now.ID)
	return errors.Join(err, alike("of the new dataset", list, []port.Definition{}))
}

func definitionTakesAlong(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	goes, err1 := e.things(ctx, ds, e.Name+"1")
	stays, err2 := e.things(ctx, ds, e.Name+"2")
	if err := errors.Join(err1, err2, e.A.Undefine(ctx, goes.slo.ID), e.A.Undefine(ctx, goes.trigger.ID)); err != nil {
		return err
	}
	if err := errors.Join(e.alive(ctx, "undefined", goes, false), e.alive(ctx, "the others", stays, true)); err != nil {
		return err
	}
	// Defined again under their names, they begin with nothing.
	again, err := e.A.Define(ctx, goes.slo)
	if err != nil || again.ID <= stays.trigger.ID {
		return fmt.Errorf("defined again: %+v, %w", again, err)
	}
	counts, err := e.counted(ctx, again.ID)
	return errors.Join(err, alike("counts of the new one", counts, []port.SLOCount{}))
}
