package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

var _ port.Session = (*session)(nil)

// ID implements [port.Session].
func (s *session) ID() int64 { return s.id }

// States implements [port.Session].
func (s *session) States() *rt.Queue[port.SessionState] { return s.states }

// do performs an operation. answered may be nil.
func (s *session) do(ctx context.Context, r *request, answered func(*reply)) (*reply, error) {
	rt.Check(s.p)
	name := [...]string{opCreate: "create", opSet: "set", opDelete: "delete", opGet: "get", opExists: "exists", opChildren: "children of", opSync: "sync"}[r.op]
	wrap := func(err error) error { return fmt.Errorf("zookeeper: %s %s: %w", name, r.path, err) }
	if err := ctx.Err(); err != nil {
		return nil, wrap(refused(err))
	}
	if s.ended != nil {
		return nil, wrap(refused(s.ended))
	}
	if !validPath(r.path, r.op == opCreate && sequential(r.mode)) {
		return nil, wrap(refused(errBadPath))
	}
	a, err := s.submit(r, answered).Wait(ctx)
	switch {
	case err == nil && a.code == codeOK:
		return a, nil
	case err == nil:
		return nil, wrap(refused(a.code.err()))
	case errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrRefused):
		return nil, wrap(err)
	}
	return nil, wrap(fmt.Errorf("gave up waiting for the answer: %w (%w)", err, port.ErrUnknown))
}

var (
	errBadPath         = errors.New(`bad path: expected "/" or "/name/name", without empty, "." or ".." names`)
	errEphemeralParent = errors.New("the parent is ephemeral and may not have children")
)

func (c code) err() error {
	switch c {
	case codeNoNode:
		return port.ErrNoNode
	case codeNodeExists:
		return port.ErrNodeExists
	case codeBadVersion:
		return port.ErrBadVersion
	case codeNotEmpty:
		return port.ErrNotEmpty
	case codeSessionExpired, codeSessionMoved:
		return port.ErrSessionExpired
	case codeEphemeralParent:
		return errEphemeralParent
	case codeBadPath:
		return errBadPath
	}
	return fmt.Errorf("error code %d", c)
}

// Create implements [port.Session].
func (s *session) Create(ctx context.Context, path string, data []byte, mode port.CreateMode) (string, error) {
	a, err := s.do(ctx, &request{op: opCreate, path: path, data: slices.Clone(data), mode: mode}, nil)
	if err != nil {
		return "", err
	}
	return a.path, nil
}

// Get implements [port.Session].
func (s *session) Get(ctx context.Context, path string) ([]byte, port.Stat, error) {
	a, err := s.do(ctx, &request{op: opGet, path: path}, nil)
	if err != nil {
		return nil, port.Stat{}, err
	}
	return slices.Clone(a.data), a.stat, nil
}

// watched performs a read that sets a watch, as of the moment of the answer.
func (s *session) watched(ctx context.Context, op opcode, path string) (*reply, *rt.Future[port.WatchEvent], error) {
	f := rt.NewFuture[port.WatchEvent](s.p)
	a, err := s.do(ctx, &request{op: op, path: path, watch: true}, func(a *reply) {
		switch {
		case a.code == codeOK && op == opChildren:
			s.watch(watchChildren, path, f)
		case a.code == codeOK:
			s.watch(watchData, path, f)
		case a.code == codeNoNode && op == opExists:
			s.watch(watchExist, path, f)
		}
	})
	if err != nil && (op != opExists || !errors.Is(err, port.ErrNoNode)) {
		return nil, nil, err
	}
	return a, f, err
}

// GetW implements [port.Session].
func (s *session) GetW(ctx context.Context, path string) ([]byte, port.Stat, *rt.Future[port.WatchEvent], error) {
	a, f, err := s.watched(ctx, opGet, path)
	if err != nil {
		return nil, port.Stat{}, nil, err
	}
	return slices.Clone(a.data), a.stat, f, nil
}

// Exists implements [port.Session].
func (s *session) Exists(ctx context.Context, path string) (port.Stat, error) {
	a, err := s.do(ctx, &request{op: opExists, path: path}, nil)
	if err != nil {
		return port.Stat{}, err
	}
	return a.stat, nil
}

// ExistsW implements [port.Session].
func (s *session) ExistsW(ctx context.Context, path string) (port.Stat, *rt.Future[port.WatchEvent], error) {
	a, f, err := s.watched(ctx, opExists, path)
	if err != nil {
		return port.Stat{}, f, err
	}
	return a.stat, f, nil
}

// Set implements [port.Session].
func (s *session) Set(ctx context.Context, path string, data []byte, version int32) (port.Stat, error) {
	a, err := s.do(ctx, &request{op: opSet, path: path, data: slices.Clone(data), version: version}, nil)
	if err != nil {
		return port.Stat{}, err
	}
	return a.stat, nil
}

// Delete implements [port.Session].
func (s *session) Delete(ctx context.Context, path string, version int32) error {
	_, err := s.do(ctx, &request{op: opDelete, path: path, version: version}, nil)
	return err
}

// Children implements [port.Session].
func (s *session) Children(ctx context.Context, path string) ([]string, error) {
	a, err := s.do(ctx, &request{op: opChildren, path: path}, nil)
	if err != nil {
		return nil, err
	}
	return a.children, nil
}

// ChildrenW implements [port.Session].
func (s *session) ChildrenW(ctx context.Context, path string) ([]string, *rt.Future[port.WatchEvent], error) {
	a, f, err := s.watched(ctx, opChildren, path)
	if err != nil {
		return nil, nil, err
	}
	return a.children, f, nil
}

// Sync implements [port.Session].
func (s *session) Sync(ctx context.Context, path string) error {
	_, err := s.do(ctx, &request{op: opSync, path: path}, nil)
	return err
}

// Close implements [port.Session]. It waits at most a second for the ensemble's answer; without one the error matches
// [port.ErrUnknown] and the session ends when it times out.
func (s *session) Close(ctx context.Context) error {
	rt.Check(s.p)
	if s.ended != nil {
		return nil
	}
	ctx, cancel := s.p.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_, err := s.submit(&request{op: opClose}, func(*reply) { s.shut(errClosed) }).Wait(ctx)
	s.shut(errClosed)
	if err != nil {
		return fmt.Errorf("zookeeper: close session 0x%x: no answer; it ends by its timeout: %w (%w)", s.id, err, port.ErrUnknown)
	}
	return nil
}
