package mysql

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

func (c *client) definition(ctx context.Context, what string, r *request) (port.Definition, error) {
	a, err := c.do(ctx, what, r)
	if err != nil {
		return port.Definition{}, err
	}
	return a.definitions[0], nil
}

// Define implements [port.Definitions].
func (c *client) Define(ctx context.Context, d port.Definition) (port.Definition, error) {
	if err := catalog.CheckDefinition(d); err != nil {
		return port.Definition{}, err
	}
	sent := &port.Definition{Team: d.Team, Dataset: d.Dataset, Kind: d.Kind, Name: d.Name, Body: bytes.Clone(d.Body)}
	return c.definition(ctx, fmt.Sprintf("define %s %q", d.Kind, d.Name), &request{op: opDefine, definition: sent})
}

// Redefine implements [port.Definitions].
func (c *client) Redefine(ctx context.Context, d port.Definition) (port.Definition, error) {
	if err := catalog.CheckRedefinition(d); err != nil {
		return port.Definition{}, err
	}
	sent := &port.Definition{ID: d.ID, Name: d.Name, Body: bytes.Clone(d.Body)}
	return c.definition(ctx, fmt.Sprintf("redefine %d", d.ID), &request{op: opRedefine, definition: sent})
}

// Definition implements [port.Definitions].
func (c *client) Definition(ctx context.Context, id int64) (port.Definition, error) {
	return c.definition(ctx, fmt.Sprintf("definition %d", id), &request{op: opDefinition, id: id})
}

// DefinitionsOf implements [port.Definitions].
func (c *client) DefinitionsOf(ctx context.Context, dataset int64, kinds ...port.DefinitionKind) ([]port.Definition, error) {
	a, err := c.do(ctx, fmt.Sprintf("definitions of dataset %d", dataset), &request{op: opDefinitionsOf, id: dataset, kinds: slices.Clone(kinds)})
	if err != nil {
		return nil, err
	}
	return a.definitions, nil
}

// Undefine implements [port.Definitions].
func (c *client) Undefine(ctx context.Context, id int64) error {
	_, err := c.do(ctx, fmt.Sprintf("undefine %d", id), &request{op: opUndefine, id: id})
	return err
}

// Advance implements [port.Counts].
func (c *client) Advance(ctx context.Context, a port.Advance) error {
	if err := catalog.CheckAdvance(a); err != nil {
		return err
	}
	a.Counts = catalog.SortCounts(slices.Clone(a.Counts))
	what := fmt.Sprintf("advance %s at %s/%d from %d to %d", a.Consumer, a.Topic, a.Partition, a.From, a.To)
	_, err := c.do(ctx, what, &request{op: opAdvance, advance: &a})
	return err
}

// ProgressOf implements [port.Counts].
func (c *client) ProgressOf(ctx context.Context, consumer, topic string) ([]port.Progress, error) {
	a, err := c.do(ctx, fmt.Sprintf("progress of %s at %s", consumer, topic), &request{op: opProgressOf, key: consumer, name: topic})
	if err != nil {
		return nil, err
	}
	return a.progress, nil
}

// SLOCounts implements [port.Counts].
func (c *client) SLOCounts(ctx context.Context, slo, from, to int64) ([]port.SLOCount, error) {
	a, err := c.do(ctx, fmt.Sprintf("counts of SLO %d", slo), &request{op: opSLOCounts, id: slo, from: from, to: to})
	if err != nil {
		return nil, err
	}
	return a.counts, nil
}

// Record implements [port.Evaluations].
func (c *client) Record(ctx context.Context, e port.Evaluation) (port.Evaluation, bool, error) {
	if err := catalog.CheckEvaluation(e); err != nil {
		return port.Evaluation{}, false, err
	}
	sent := copyEvaluation(e)
	a, err := c.do(ctx, fmt.Sprintf("record alert %d in window %d", e.Alert, e.Window), &request{op: opRecord, evaluation: &sent})
	if err != nil {
		return port.Evaluation{}, false, err
	}
	return a.evaluations[0], a.created, nil
}

// Lead implements [port.Evaluations].
func (c *client) Lead(ctx context.Context, epoch int64, by string) error {
	if err := catalog.CheckEpoch(epoch, by); err != nil {
		return err
	}
	_, err := c.do(ctx, fmt.Sprintf("lead under epoch %d", epoch), &request{op: opLead, from: epoch, name: by})
	return err
}

// Epoch implements [port.Evaluations].
func (c *client) Epoch(ctx context.Context) (epoch int64, by string, err error) {
	a, err := c.do(ctx, "epoch", &request{op: opEpoch})
	if err != nil {
		return 0, "", err
	}
	return a.version, a.by, nil
}

// LastEvaluation implements [port.Evaluations].
func (c *client) LastEvaluation(ctx context.Context, alert int64) (port.Evaluation, error) {
	a, err := c.do(ctx, fmt.Sprintf("last evaluation of alert %d", alert), &request{op: opLastEvaluation, id: alert})
	if err != nil {
		return port.Evaluation{}, err
	}
	return a.evaluations[0], nil
}

// EvaluationsOf implements [port.Evaluations].
func (c *client) EvaluationsOf(ctx context.Context, alert, from, to int64) ([]port.Evaluation, error) {
	a, err := c.do(ctx, fmt.Sprintf("evaluations of alert %d", alert), &request{op: opEvaluationsOf, id: alert, from: from, to: to})
	if err != nil {
		return nil, err
	}
	return a.evaluations, nil
}

// Undelivered implements [port.Evaluations].
func (c *client) Undelivered(ctx context.Context, after port.Place, limit int) ([]port.Evaluation, error) {
	a, err := c.do(ctx, "undelivered evaluations", &request{op: opUndelivered, id: after.Alert, from: after.Window, to: int64(limit)})
	if err != nil {
		return nil, err
	}
	return a.evaluations, nil
}

// Delivered implements [port.Evaluations].
func (c *client) Delivered(ctx context.Context, alert, window int64, at time.Time) error {
	what := fmt.Sprintf("delivered alert %d of window %d", alert, window)
	if at.IsZero() {
		return fmt.Errorf("mysql: %s: at no time (%w)", what, port.ErrRefused)
	}
	_, err := c.do(ctx, what, &request{op: opDelivered, id: alert, from: window, at: at})
	return err
}
