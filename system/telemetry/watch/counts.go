package watch

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// counts is a [port.Counts] that is measured.
type counts struct {
	m  *meter
	in port.Counts
}

func (w *counts) Advance(ctx context.Context, step port.Advance) error {
	op := w.m.begin()
	err := w.in.Advance(ctx, step)
	w.m.end(ctx, op, err)
	return err
}

func (w *counts) ProgressOf(ctx context.Context, consumer string, topic string) ([]port.Progress, error) {
	op := w.m.begin()
	a, err := w.in.ProgressOf(ctx, consumer, topic)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *counts) SLOCounts(ctx context.Context, slo int64, from int64, to int64) ([]port.SLOCount, error) {
	op := w.m.begin()
	a, err := w.in.SLOCounts(ctx, slo, from, to)
	w.m.end(ctx, op, err)
	return a, err
}

// evaluations is a [port.Evaluations] that is measured.
type evaluations struct {
	m  *meter
	in port.Evaluations
}

func (w *evaluations) Record(ctx context.Context, ev port.Evaluation) (port.Evaluation, bool, error) {
	op := w.m.begin()
	a, b, err := w.in.Record(ctx, ev)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *evaluations) Lead(ctx context.Context, epoch int64, by string) error {
	op := w.m.begin()
	err := w.in.Lead(ctx, epoch, by)
	w.m.end(ctx, op, err)
	return err
}

func (w *evaluations) Epoch(ctx context.Context) (int64, string, error) {
	op := w.m.begin()
	a, b, err := w.in.Epoch(ctx)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *evaluations) LastEvaluation(ctx context.Context, alert int64) (port.Evaluation, error) {
	op := w.m.begin()
	a, err := w.in.LastEvaluation(ctx, alert)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *evaluations) EvaluationsOf(ctx context.Context, alert int64, from int64, to int64) ([]port.Evaluation, error) {
	op := w.m.begin()
	a, err := w.in.EvaluationsOf(ctx, alert, from, to)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *evaluations) Undelivered(ctx context.Context, after port.Place, limit int) ([]port.Evaluation, error) {
	op := w.m.begin()
	a, err := w.in.Undelivered(ctx, after, limit)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *evaluations) Delivered(ctx context.Context, alert int64, window int64, at time.Time) error {
	op := w.m.begin()
	err := w.in.Delivered(ctx, alert, window, at)
	w.m.end(ctx, op, err)
	return err
}
