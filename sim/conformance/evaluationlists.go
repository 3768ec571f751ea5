package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func evaluationsListed(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	const base = 1_700_000_000_000_000_000
	var want []port.Evaluation
	for i := range int64(5) {
		want = append(want, port.Evaluation{Alert: id, Window: base + 60*i, Epoch: epoch, Value: float64(i)})
	}
	for _, i := range []int{3, 0, 4, 1, 2} { // the order of recording is not that of windows
		if err := e.record(ctx, want[i]); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		from, to int64
		want     []port.Evaluation
	}{
		{base, base + 241, want}, {base, base + 240, want[:4]}, {base + 1, base + 240, want[1:4]}, {base + 60, base + 61, want[1:2]},
		{base + 1, base + 60, nil}, {base + 60, base, nil}, {base, base, nil}, {math.MinInt64, math.MaxInt64, want},
	} {
		got, err := e.B.EvaluationsOf(ctx, id, c.from, c.to)
		if err := errors.Join(err, alike(fmt.Sprintf("from %d to %d", c.from, c.to), got, c.want)); err != nil {
			return err
		}
	}
	none, err := e.B.EvaluationsOf(ctx, 1<<40, math.MinInt64, math.MaxInt64)
	return errors.Join(err, alike("of nothing", none, []port.Evaluation{}))
}

func lastEvaluation(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	_, none := e.B.LastEvaluation(ctx, id)
	_, nothing := e.B.LastEvaluation(ctx, 1<<40)
	if err := errors.Join(certainly("before any", none, port.ErrNotFound), certainly("of no alert", nothing, port.ErrNotFound)); err != nil {
		return err
	}
	for _, c := range []struct{ window, last int64 }{{5, 5}, {3, 5}, {9, 9}, {7, 9}} {
		if err := e.record(ctx, port.Evaluation{Alert: id, Window: c.window, Epoch: epoch}); err != nil {
			return err
		}
		if got, err := e.B.LastEvaluation(ctx, id); err != nil || got.Window != c.last {
			return fmt.Errorf("after window %d: %+v, %w; expected %d", c.window, got, err, c.last)
		}
	}
	return nil
}

func undelivered(ctx context.Context, e *CatalogEnv) error {
	_, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition {
		return []port.Definition{of(port.KindTrigger, slo(ds, "one")), of(port.KindBurnAlert, slo(ds, "two"))}
	})
	if err != nil {
		return err
	}
	epoch, err := e.epoch(ctx)
	if err != nil {
		return err
	}
	a, b := all[0].ID, all[1].ID
	at := time.Unix(1_700_000_000, 0).UTC()
	// Windows long before all others, so that a limit finds them first.
	w := func(i int64) int64 { return -1<<60 + i }
	fires := func(alert, i int64) port.Evaluation {
		return port.Evaluation{Alert: alert, Window: w(i), Epoch: epoch, Fires: true, Triggered: true}
	}
	resolves := port.Evaluation{Alert: b, Window: w(1), Epoch: epoch, Resolves: true}
	sent := fires(a, 5)
	sent.Delivered = at
	if err := e.record(ctx, fires(b, 3), fires(a, 3), fires(a, 2), resolves, sent,
		port.Evaluation{Alert: a, Window: w(4), Epoch: epoch, Triggered: true}, port.Evaluation{Alert: a, Window: w(6), Epoch: epoch, Stale: true}); err != nil {
		return err
	}
	want := []port.Evaluation{resolves, fires(a, 2), fires(a, 3), fires(b, 3)}
	for _, limit := range []int{-1, 0, 1, 2, 3, 4} {
		got, err := e.B.Undelivered(ctx, port.Place{}, limit)
		if err := errors.Join(err, alike(fmt.Sprintf("at most %d", limit), got, want[:max(limit, 0)])); err != nil {
			return err
		}
	}
	for i := range want {
		limit := min(2, len(want)-1-i) // behind these come others'
		got, err := e.B.Undelivered(ctx, want[i].Place(), limit)
		if err := errors.Join(err, alike(fmt.Sprintf("after the first %d", i+1), got, want[i+1:min(i+3, len(want))])); err != nil {
			return err
		}
	}
	if err := errors.Join(e.A.Delivered(ctx, a, w(2), at), e.A.Delivered(ctx, b, w(3), at)); err != nil {
		return err
	}
	got, err := e.due(ctx, a, b)
	if err := errors.Join(err, alike("after two deliveries", got, []port.Evaluation{want[0], want[2]}), e.A.Undefine(ctx, b)); err != nil {
		return err
	}
	got, err = e.B.Undelivered(ctx, port.Place{}, 1)
	return errors.Join(err, alike("after one alert is gone", got, want[2:3]), e.A.Delivered(ctx, a, w(3), at))
}

func deliveredOnce(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	at := time.Unix(1_700_000_000, 987_654_321).UTC()
	n := port.Evaluation{Alert: id, Window: 1, Epoch: epoch, Fires: true}
	if err := errors.Join(e.record(ctx, n, port.Evaluation{Alert: id, Window: 2, Epoch: epoch}), e.A.Delivered(ctx, id, 1, at),
		e.B.Delivered(ctx, id, 1, at.Add(time.Hour)), e.B.Delivered(ctx, id, 2, at)); err != nil {
		return err
	}
	n.Delivered = at
	all, err := e.evaluated(ctx, id)
	if err := errors.Join(err, alike("afterwards", all, []port.Evaluation{n, {Alert: id, Window: 2, Epoch: epoch, Delivered: at}})); err != nil {
		return err
	}
	// Who records it again learns that it is delivered.
	again, _, err := e.A.Record(ctx, port.Evaluation{Alert: id, Window: 1, Epoch: epoch, Fires: true})
	return errors.Join(err, alike("recorded again", again, n),
		certainly("a window that was not recorded", e.A.Delivered(ctx, id, 3, at), port.ErrNotFound),
		certainly("an alert that is none", e.A.Delivered(ctx, 1<<40, 1, at), port.ErrNotFound),
		refused("at no time", e.A.Delivered(ctx, id, 1, time.Time{}), nil))
}

func badEvaluations(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	for _, n := range []port.Evaluation{
		{Alert: id, Epoch: epoch, Value: math.NaN()}, {Alert: id, Epoch: epoch, Value: math.Inf(1)}, {Alert: id, Epoch: epoch, Value: math.Inf(-1)},
		{Alert: id, Epoch: -1}, {Alert: id, Epoch: epoch, Notice: make([]byte, port.MaxBodyBytes+1)},
	} {
		_, _, err := e.A.Record(ctx, n)
		if err := refused(fmt.Sprintf("value %v, epoch %d, %d bytes", n.Value, n.Epoch, len(n.Notice)), err, nil); err != nil {
			return err
		}
	}
	all, err := e.evaluated(ctx, id)
	return errors.Join(err, alike("afterwards", all, []port.Evaluation{}), refused("an epoch below 0", e.A.Lead(ctx, -1, "x"), nil),
		e.record(ctx, port.Evaluation{Alert: id, Epoch: epoch, Notice: make([]byte, port.MaxBodyBytes)}))
}
