package watch

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
)

// admin is a [port.LogAdmin] that is measured.
type admin struct {
	m  *meter
	in port.LogAdmin
}

func (w *admin) CreateTopic(ctx context.Context, spec port.TopicSpec) error {
	op := w.m.begin()
	err := w.in.CreateTopic(ctx, spec)
	w.m.end(ctx, op, err)
	return err
}

func (w *admin) GrowTopic(ctx context.Context, topic string, total int32) error {
	op := w.m.begin()
	err := w.in.GrowTopic(ctx, topic, total)
	w.m.end(ctx, op, err)
	return err
}

func (w *admin) Describe(ctx context.Context, topic string) ([]port.PartitionState, error) {
	op := w.m.begin()
	a, err := w.in.Describe(ctx, topic)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *admin) Brokers(ctx context.Context) ([]int32, error) {
	op := w.m.begin()
	a, err := w.in.Brokers(ctx)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *admin) Offsets(ctx context.Context, topic string, partition int32) (int64, int64, error) {
	op := w.m.begin()
	a, b, err := w.in.Offsets(ctx, topic, partition)
	w.m.end(ctx, op, err)
	return a, b, err
}
