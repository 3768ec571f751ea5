package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

var errClosed = errors.New("session closed")

// session implements [port.Session].
type session struct {
	r        rt.Runtime
	conn     *zk.Conn
	assigned chan struct{} // closed when conn is set: the callback may come first
	dialer   *dialer
	states   *rt.Queue[port.SessionState]
	opened   *rt.Future[struct{}]

	mu    sync.Mutex
	id    int64
	live  bool
	ended error
}

var _ port.Session = (*session)(nil)

// ID implements [port.Session].
func (s *session) ID() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// States implements [port.Session].
func (s *session) States() *rt.Queue[port.SessionState] { return s.states }

// event is go-zookeeper's callback. It runs on the goroutine that will go on to reconnect.
func (s *session) event(e zk.Event) {
	if e.Type != zk.EventSession {
		return
	}
	<-s.assigned
	switch e.State {
	case zk.StateHasSession:
		id := s.conn.SessionID()
		s.mu.Lock()
		other := s.id != 0 && s.id != id
		if !other && s.ended == nil && !s.live {
			s.id, s.live = id, true
			s.states.TryPush(port.SessionConnected)
		}
		s.mu.Unlock()
		if other {
			s.expired()
			return
		}
		s.opened.Complete(struct{}{}, nil)
	case zk.StateDisconnected:
		s.mu.Lock()
		if s.live && s.ended == nil {
			s.states.TryPush(port.SessionDisconnected)
		}
		s.live = false
		s.mu.Unlock()
	case zk.StateExpired:
		s.expired()
	}
}

// expired ends the session for good, before go-zookeeper can open another.
func (s *session) expired() {
	if s.end(port.ErrSessionExpired) {
		go s.conn.Close()
	}
}

// end notes why the session is over; it reports whether it was not yet.
func (s *session) end(why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false
	}
	s.ended = why
	s.live = false
	if errors.Is(why, port.ErrSessionExpired) {
		s.states.TryPush(port.SessionExpired)
	}
	s.states.Close()
	s.dialer.stop()
	return true
}

func (s *session) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func refused(err error) error { return fmt.Errorf("%w (%w)", err, port.ErrRefused) }

func unknown(err error) error { return fmt.Errorf("%w (%w)", err, port.ErrUnknown) }

// call runs a call of go-zookeeper and waits for it as long as ctx allows. A call that is given up goes on: its outcome
// is unknown.
func call[T any](ctx context.Context, s *session, op, path string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	wrap := func(err error) error { return fmt.Errorf("zookeeper: %s %s: %w", op, path, err) }
	if err := ctx.Err(); err != nil {
		return none, wrap(refused(err))
	}
	if why := s.over(); why != nil {
		return none, wrap(refused(why))
	}
	done := rt.NewFuture[result](s.r)
	go func() {
		v, err := f()
		done.Complete(result{v, err}, nil)
	}()
	got, err := done.Wait(ctx)
	if err != nil {
		return none, wrap(fmt.Errorf("gave up waiting for the answer: %w", unknown(err)))
	}
	if got.err != nil {
		return got.value, wrap(s.translate(got.err))
	}
	return got.value, nil
}

// translate says what an error of go-zookeeper means for the operation: whatever the ensemble answered is certain,
// everything else may or may not have taken effect.
func (s *session) translate(err error) error {
	for theirs, ours := range map[error]error{
		zk.ErrNoNode: port.ErrNoNode, zk.ErrNodeExists: port.ErrNodeExists, zk.ErrBadVersion: port.ErrBadVersion,
		zk.ErrNotEmpty: port.ErrNotEmpty, zk.ErrSessionExpired: port.ErrSessionExpired,
	} {
		if errors.Is(err, theirs) {
			return refused(ours)
		}
	}
	for _, certain := range []error{
		zk.ErrNoChildrenForEphemerals, zk.ErrInvalidPath, zk.ErrNoAuth, zk.ErrInvalidACL, zk.ErrInvalidFlags,
		zk.ErrAuthFailed, zk.ErrSessionMoved, zk.ErrBadArguments,
	} {
		if errors.Is(err, certain) {
			return refused(err)
		}
	}
	if why := s.over(); why != nil {
		return fmt.Errorf("%w: %w", why, unknown(err))
	}
	return unknown(err)
}

func stat(z *zk.Stat) port.Stat {
	if z == nil {
		return port.Stat{}
	}
	return port.Stat{Czxid: z.Czxid, Mzxid: z.Mzxid, Version: z.Version, NumChildren: z.NumChildren, EphemeralOwner: z.EphemeralOwner}
}

// Create implements [port.Session].
func (s *session) Create(ctx context.Context, path string, data []byte, mode port.CreateMode) (string, error) {
	flags := map[port.CreateMode]int32{
		port.Persistent: 0, port.Ephemeral: zk.FlagEphemeral, port.PersistentSequential: zk.FlagSequence,
		port.EphemeralSequential: zk.FlagEphemeral | zk.FlagSequence,
	}[mode]
	data = slices.Clone(data) // it may be read after this returns
	return call(ctx, s, "create", path, func() (string, error) {
		return s.conn.Create(path, data, flags, zk.WorldACL(zk.PermAll))
	})
}

type read struct {
	data     []byte
	stat     port.Stat
	children []string
	watch    *rt.Future[port.WatchEvent]
	missing  bool
}

// watched turns a watch's channel, which go-zookeeper always completes, into a future.
func (s *session) watched(path string, events <-chan zk.Event) *rt.Future[port.WatchEvent] {
	f := rt.NewFuture[port.WatchEvent](s.r)
	go func() {
		e := <-events
		err := e.Err
		switch {
		case err == nil:
		case s.over() != nil:
			err = s.over()
		case errors.Is(err, zk.ErrSessionExpired):
			err = port.ErrSessionExpired
		}
		f.Complete(port.WatchEvent{Path: path, Err: err}, nil)
	}()
	return f
}

// Get implements [port.Session].
func (s *session) Get(ctx context.Context, path string) ([]byte, port.Stat, error) {
	v, err := call(ctx, s, "get", path, func() (read, error) {
		data, st, err := s.conn.Get(path)
		return read{data: data, stat: stat(st)}, err
	})
	if err != nil {
		return nil, port.Stat{}, err
	}
	return v.data, v.stat, nil
}

// GetW implements [port.Session].
func (s *session) GetW(ctx context.Context, path string) ([]byte, port.Stat, *rt.Future[port.WatchEvent], error) {
	v, err := call(ctx, s, "get", path, func() (read, error) {
		data, st, events, err := s.conn.GetW(path)
		if err != nil {
			return read{}, err
		}
		return read{data: data, stat: stat(st), watch: s.watched(path, events)}, nil
	})
	if err != nil {
		return nil, port.Stat{}, nil, err
	}
	return v.data, v.stat, v.watch, nil
}

func missing(path string) error {
	return fmt.Errorf("zookeeper: exists %s: %w", path, refused(port.ErrNoNode))
}

// Exists implements [port.Session].
func (s *session) Exists(ctx context.Context, path string) (port.Stat, error) {
	v, err := call(ctx, s, "exists", path, func() (read, error) {
		there, st, err := s.conn.Exists(path)
		return read{stat: stat(st), missing: !there}, err
	})
	if err == nil && v.missing {
		err = missing(path)
	}
	if err != nil {
		return port.Stat{}, err
	}
	return v.stat, nil
}

// ExistsW implements [port.Session].
func (s *session) ExistsW(ctx context.Context, path string) (port.Stat, *rt.Future[port.WatchEvent], error) {
	v, err := call(ctx, s, "exists", path, func() (read, error) {
		there, st, events, err := s.conn.ExistsW(path)
		if err != nil {
			return read{}, err
		}
		return read{stat: stat(st), missing: !there, watch: s.watched(path, events)}, nil
	})
	if err != nil {
		return port.Stat{}, nil, err
	}
	if v.missing {
		return port.Stat{}, v.watch, missing(path)
	}
	return v.stat, v.watch, nil
}

// Set implements [port.Session].
func (s *session) Set(ctx context.Context, path string, data []byte, version int32) (port.Stat, error) {
	data = slices.Clone(data)
	return call(ctx, s, "set", path, func() (port.Stat, error) {
		st, err := s.conn.Set(path, data, version)
		return stat(st), err
	})
}

// Delete implements [port.Session].
func (s *session) Delete(ctx context.Context, path string, version int32) error {
	_, err := call(ctx, s, "delete", path, func() (struct{}, error) {
		return struct{}{}, s.conn.Delete(path, version)
	})
	return err
}

// Children implements [port.Session].
func (s *session) Children(ctx context.Context, path string) ([]string, error) {
	v, err := call(ctx, s, "children of", path, func() ([]string, error) {
		names, _, err := s.conn.Children(path)
		return names, err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(v)
	return v, nil
}

// ChildrenW implements [port.Session].
func (s *session) ChildrenW(ctx context.Context, path string) ([]string, *rt.Future[port.WatchEvent], error) {
	v, err := call(ctx, s, "children of", path, func() (read, error) {
		names, _, events, err := s.conn.ChildrenW(path)
		if err != nil {
			return read{}, err
		}
		return read{children: names, watch: s.watched(path, events)}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(v.children)
	return v.children, v.watch, nil
}

// Sync implements [port.Session].
func (s *session) Sync(ctx context.Context, path string) error {
	_, err := call(ctx, s, "sync", path, func() (string, error) { return s.conn.Sync(path) })
	return err
}

// Close implements [port.Session]. go-zookeeper waits up to three seconds for the ensemble. Without its answer the error
// matches [port.ErrUnknown] and the session ends when it times out.
func (s *session) Close(ctx context.Context) error {
	if !s.end(errClosed) {
		return nil
	}
	done := rt.NewFuture[struct{}](s.r)
	go func() {
		s.conn.Close()
		s.dialer.cut()
		done.Complete(struct{}{}, nil)
	}()
	_, err := done.Wait(ctx)
	if err == nil && !s.dialer.closeAnswered() {
		err = errors.New("no answer")
	}
	if err != nil {
		return fmt.Errorf("zookeeper: close session 0x%x: it ends by its timeout: %w", s.ID(), unknown(err))
	}
	return nil
}
