package retriever

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// memZK is an ensemble that never fails by itself.
type memZK struct {
	mu       sync.Mutex
	nodes    map[string]*memNode
	sessions int64
	open     map[int64]*memSession
	loseNext bool // the next create takes effect, but its answer is lost
}

type memNode struct {
	data    []byte
	stat    port.Stat
	watches []*rt.Future[port.WatchEvent]
}

func newMemZK() *memZK { return &memZK{nodes: map[string]*memNode{}, open: map[int64]*memSession{}} }

func (z *memZK) client(r rt.Runtime) port.Coordination { return &memClient{z, r} }

type memClient struct {
	z *memZK
	r rt.Runtime
}

func (c *memClient) Connect(context.Context, time.Duration) (port.Session, error) {
	c.z.mu.Lock()
	defer c.z.mu.Unlock()
	c.z.sessions++
	s := &memSession{z: c.z, r: c.r, id: c.z.sessions, states: rt.NewQueue[port.SessionState](c.r, 0)}
	c.z.open[s.id] = s
	s.states.TryPush(port.SessionConnected)
	return s, nil
}

type memSession struct {
	z      *memZK
	r      rt.Runtime
	id     int64
	states *rt.Queue[port.SessionState]
}

// expire ends a session as the ensemble does.
func (z *memZK) expire(id int64) {
	z.mu.Lock()
	s := z.open[id]
	delete(z.open, id)
	var fire []*rt.Future[port.WatchEvent]
	for path, n := range z.nodes {
		if n.stat.EphemeralOwner == id {
			fire = append(fire, n.watches...)
			delete(z.nodes, path)
		}
	}
	z.mu.Unlock()
	for _, f := range fire {
		f.Complete(port.WatchEvent{}, nil)
	}
	if s != nil {
		s.states.TryPush(port.SessionExpired)
		s.states.Close()
	}
}

func (z *memZK) owner(path string) (data string, session int64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if n := z.nodes[path]; n != nil {
		return string(n.data), n.stat.EphemeralOwner
	}
	return "", 0
}

func (s *memSession) alive() error {
	if s.z.open[s.id] == nil {
		return port.ErrSessionExpired
	}
	return nil
}

func (s *memSession) ID() int64                            { return s.id }
func (s *memSession) States() *rt.Queue[port.SessionState] { return s.states }

func (s *memSession) Create(_ context.Context, path string, data []byte, mode port.CreateMode) (string, error) {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if err := s.alive(); err != nil {
		return "", err
	}
	if s.z.nodes[path] != nil {
		return "", port.ErrNodeExists
	}
	if up := path[:lastSlash(path)]; up != "" && s.z.nodes[up] == nil {
		return "", port.ErrNoNode
	}
	n := &memNode{data: data}
	if mode == port.Ephemeral {
		n.stat.EphemeralOwner = s.id
		if s.z.loseNext {
			s.z.loseNext = false
			s.z.nodes[path] = n
			return "", fmt.Errorf("connection closed: %w", port.ErrUnknown)
		}
	}
	s.z.nodes[path] = n
	return path, nil
}

func lastSlash(path string) int {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return i
		}
	}
	return 0
}

func (s *memSession) GetW(_ context.Context, path string) ([]byte, port.Stat, *rt.Future[port.WatchEvent], error) {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if err := s.alive(); err != nil {
		return nil, port.Stat{}, nil, err
	}
	n := s.z.nodes[path]
	if n == nil {
		return nil, port.Stat{}, nil, port.ErrNoNode
	}
	w := rt.NewFuture[port.WatchEvent](s.r)
	n.watches = append(n.watches, w)
	return n.data, n.stat, w, nil
}

func (s *memSession) Delete(_ context.Context, path string, _ int32) error {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if s.z.nodes[path] == nil {
		return port.ErrNoNode
	}
	delete(s.z.nodes, path)
	return nil
}

func (s *memSession) Close(ctx context.Context) error {
	if err := s.r.Sleep(ctx, 0); err != nil {
		return err // killed: the ensemble hears nothing
	}
	s.z.expire(s.id)
	return nil
}

// The rest of the port is not used by a claim.

func (s *memSession) Get(context.Context, string) ([]byte, port.Stat, error) { panic("unused") }
func (s *memSession) Exists(context.Context, string) (port.Stat, error)      { panic("unused") }
func (s *memSession) ExistsW(context.Context, string) (port.Stat, *rt.Future[port.WatchEvent], error) {
	panic("unused")
}
func (s *memSession) Set(context.Context, string, []byte, int32) (port.Stat, error) { panic("unused") }
func (s *memSession) Children(context.Context, string) ([]string, error)            { panic("unused") }
func (s *memSession) ChildrenW(context.Context, string) ([]string, *rt.Future[port.WatchEvent], error) {
	panic("unused")
}
func (s *memSession) Sync(context.Context, string) error { panic("unused") }
