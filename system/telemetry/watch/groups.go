package watch

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
)

// groups is a [port.Groups] that is measured.
type groups struct {
	m  *meter
	in port.Groups
}

func (w *groups) Join(ctx context.Context, r port.JoinRequest) (port.JoinReply, error) {
	op := w.m.begin()
	a, err := w.in.Join(ctx, r)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *groups) Sync(ctx context.Context, m port.GroupMember, assignments []port.GroupAssignment) ([]byte, error) {
	op := w.m.begin()
	a, err := w.in.Sync(ctx, m, assignments)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *groups) Heartbeat(ctx context.Context, m port.GroupMember) error {
	op := w.m.begin()
	err := w.in.Heartbeat(ctx, m)
	w.m.end(ctx, op, err)
	return err
}

func (w *groups) Leave(ctx context.Context, m port.GroupMember) error {
	op := w.m.begin()
	err := w.in.Leave(ctx, m)
	w.m.end(ctx, op, err)
	return err
}

func (w *groups) Commit(ctx context.Context, m port.GroupMember, topic string, offsets map[int32]int64) error {
	op := w.m.begin()
	err := w.in.Commit(ctx, m, topic, offsets)
	w.m.end(ctx, op, err)
	return err
}

func (w *groups) Committed(ctx context.Context, group string, topic string) (map[int32]int64, error) {
	op := w.m.begin()
	a, err := w.in.Committed(ctx, group, topic)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *groups) Partitions(ctx context.Context, topic string) (int32, error) {
	op := w.m.begin()
	a, err := w.in.Partitions(ctx, topic)
	w.m.end(ctx, op, err)
	return a, err
}
