package watch

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// coordination is a [port.Coordination] that is measured, with its sessions.
type coordination struct {
	m  *meter
	in port.Coordination
}

func (c *coordination) Connect(ctx context.Context, timeout time.Duration) (port.Session, error) {
	op := c.m.begin()
	s, err := c.in.Connect(ctx, timeout)
	c.m.end(ctx, op, err)
	if err != nil {
		return nil, err
	}
	return &session{c.m, s}, nil
}

// session is a [port.Session] that is measured.
type session struct {
	m *meter
	port.Session
}

func (w *session) Create(ctx context.Context, path string, data []byte, mode port.CreateMode) (string, error) {
	op := w.m.begin()
	a, err := w.Session.Create(ctx, path, data, mode)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *session) Get(ctx context.Context, path string) ([]byte, port.Stat, error) {
	op := w.m.begin()
	a, b, err := w.Session.Get(ctx, path)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *session) GetW(ctx context.Context, path string) ([]byte, port.Stat, *rt.Future[port.WatchEvent], error) {
	op := w.m.begin()
	a, b, c, err := w.Session.GetW(ctx, path)
	w.m.end(ctx, op, err)
	return a, b, c, err
}

func (w *session) Exists(ctx context.Context, path string) (port.Stat, error) {
	op := w.m.begin()
	a, err := w.Session.Exists(ctx, path)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *session) ExistsW(ctx context.Context, path string) (port.Stat, *rt.Future[port.WatchEvent], error) {
	op := w.m.begin()
	a, b, err := w.Session.ExistsW(ctx, path)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *session) Set(ctx context.Context, path string, data []byte, version int32) (port.Stat, error) {
	op := w.m.begin()
	a, err := w.Session.Set(ctx, path, data, version)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *session) Delete(ctx context.Context, path string, version int32) error {
	op := w.m.begin()
	err := w.Session.Delete(ctx, path, version)
	w.m.end(ctx, op, err)
	return err
}

func (w *session) Children(ctx context.Context, path string) ([]string, error) {
	op := w.m.begin()
	a, err := w.Session.Children(ctx, path)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *session) ChildrenW(ctx context.Context, path string) ([]string, *rt.Future[port.WatchEvent], error) {
	op := w.m.begin()
	a, b, err := w.Session.ChildrenW(ctx, path)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *session) Sync(ctx context.Context, path string) error {
	op := w.m.begin()
	err := w.Session.Sync(ctx, path)
	w.m.end(ctx, op, err)
	return err
}

func (w *session) Close(ctx context.Context) error {
	op := w.m.begin()
	err := w.Session.Close(ctx)
	w.m.end(ctx, op, err)
	return err
}
