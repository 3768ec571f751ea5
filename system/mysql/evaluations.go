package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

const selectEvaluation = `SELECT alert_id, window_end, epoch, node, made, stale, triggered, fires, resolves, value, notice, delivered
FROM evaluations `

func scanEvaluation(r row) (e port.Evaluation, err error) {
	var by, notice []byte
	var made, delivered sql.NullInt64
	err = r.Scan(&e.Alert, &e.Window, &e.Epoch, &by, &made, &e.Stale, &e.Triggered, &e.Fires, &e.Resolves, &e.Value, &notice, &delivered)
	if err != nil {
		return port.Evaluation{}, err
	}
	e.By, e.At, e.Notice, e.Delivered = string(by), moment(made), notice, moment(delivered)
	return e, nil
}

// moment and nanoseconds are how a time is stored: to the nanosecond, and the zero time as null.
func moment(ns sql.NullInt64) time.Time {
	if !ns.Valid {
		return time.Time{}
	}
	return time.Unix(0, ns.Int64).UTC()
}

func nanoseconds(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixNano(), Valid: true}
}

// showEpoch locks the epoch's row and raises it; port.ErrFenced if a higher one was seen.
func showEpoch(ctx context.Context, q querier, epoch int64, by string) error {
	var highest int64
	var node []byte
	if err := q.QueryRowContext(ctx, "SELECT epoch, node FROM leader_epoch WHERE id = 1 FOR UPDATE").Scan(&highest, &node); err != nil {
		return err
	}
	if epoch < highest {
		return fmt.Errorf("%w: %s has shown epoch %d, this one is %d", port.ErrFenced, node, highest, epoch)
	}
	if epoch == highest {
		return nil
	}
	_, err := q.ExecContext(ctx, "UPDATE leader_epoch SET epoch = ?, node = ? WHERE id = 1", epoch, []byte(by))
	return err
}

// Record implements [port.Evaluations].
func (c *Catalog) Record(ctx context.Context, e port.Evaluation) (stored port.Evaluation, recorded bool, err error) {
	what := fmt.Sprintf("record alert %d in window %d", e.Alert, e.Window)
	if err := catalog.CheckEvaluation(e); err != nil {
		return port.Evaluation{}, false, fmt.Errorf("mysql: %s: %w", what, err)
	}
	err = c.write(ctx, what, func(ctx context.Context, q querier) error {
		if err := showEpoch(ctx, q, e.Epoch, e.By); err != nil { // its lock lets one at a time in
			return err
		}
		stored, err = scanEvaluation(q.QueryRowContext(ctx, selectEvaluation+"WHERE alert_id = ? AND window_end = ?", e.Alert, e.Window))
		if recorded = errors.Is(err, sql.ErrNoRows); !recorded {
			return err
		}
		stored = catalog.Recorded(e)
		_, err = q.ExecContext(ctx, `INSERT INTO evaluations (alert_id, window_end, epoch, node, made, stale, triggered, fires, resolves, value, notice, delivered, due)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, e.Alert, e.Window, e.Epoch, []byte(e.By), nanoseconds(e.At), e.Stale, e.Triggered, e.Fires, e.Resolves, stored.Value,
			[]byte(e.Notice), nanoseconds(e.Delivered), (e.Fires || e.Resolves) && e.Delivered.IsZero())
		return err
	})
	if err != nil {
		return port.Evaluation{}, false, err
	}
	return stored, recorded, nil
}

// Lead implements [port.Evaluations].
func (c *Catalog) Lead(ctx context.Context, epoch int64, by string) error {
	if err := catalog.CheckEpoch(epoch, by); err != nil {
		return fmt.Errorf("mysql: lead: %w", err)
	}
	return c.write(ctx, fmt.Sprintf("lead under epoch %d", epoch), func(ctx context.Context, q querier) error {
		return showEpoch(ctx, q, epoch, by)
	})
}

// Epoch implements [port.Evaluations].
func (c *Catalog) Epoch(ctx context.Context) (epoch int64, by string, err error) {
	err = c.read(ctx, "epoch", func(ctx context.Context, q querier) error {
		var node []byte
		err := q.QueryRowContext(ctx, "SELECT epoch, node FROM leader_epoch WHERE id = 1").Scan(&epoch, &node)
		by = string(node)
		return err
	})
	return epoch, by, err
}

// LastEvaluation implements [port.Evaluations].
func (c *Catalog) LastEvaluation(ctx context.Context, alert int64) (e port.Evaluation, err error) {
	err = c.read(ctx, fmt.Sprintf("last evaluation of alert %d", alert), func(ctx context.Context, q querier) error {
		e, err = scanEvaluation(q.QueryRowContext(ctx, selectEvaluation+"WHERE alert_id = ? ORDER BY window_end DESC LIMIT 1", alert))
		return err
	})
	return e, err
}

func (c *Catalog) evaluations(ctx context.Context, what, query string, args ...any) (all []port.Evaluation, err error) {
	err = c.read(ctx, what, func(ctx context.Context, q querier) error {
		all = nil
		return each(ctx, q, query, args, func(r row) error {
			e, err := scanEvaluation(r)
			all = append(all, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// EvaluationsOf implements [port.Evaluations].
func (c *Catalog) EvaluationsOf(ctx context.Context, alert, from, to int64) ([]port.Evaluation, error) {
	return c.evaluations(ctx, fmt.Sprintf("evaluations of alert %d", alert),
		selectEvaluation+"WHERE alert_id = ? AND window_end >= ? AND window_end < ? ORDER BY window_end", alert, from, to)
}

// Undelivered implements [port.Evaluations].
func (c *Catalog) Undelivered(ctx context.Context, after port.Place, limit int) ([]port.Evaluation, error) {
	if after == (port.Place{}) {
		after.Window = math.MinInt64
	}
	return c.evaluations(ctx, "undelivered evaluations",
		selectEvaluation+"WHERE due = TRUE AND window_end >= ? AND (window_end > ? OR alert_id > ?) ORDER BY window_end, alert_id LIMIT ?",
		after.Window, after.Window, after.Alert, max(limit, 0))
}

// Delivered implements [port.Evaluations].
func (c *Catalog) Delivered(ctx context.Context, alert, window int64, at time.Time) error {
	if at.IsZero() {
		return fmt.Errorf("mysql: delivered alert %d of window %d: at no time (%w)", alert, window, port.ErrRefused)
	}
	return c.write(ctx, fmt.Sprintf("delivered alert %d of window %d", alert, window), func(ctx context.Context, q querier) error {
		return found(q.ExecContext(ctx, "UPDATE evaluations SET delivered = COALESCE(delivered, ?), due = FALSE WHERE alert_id = ? AND window_end = ?",
			at.UnixNano(), alert, window))
	})
}
