// Package locktest is a ZooKeeper ensemble in memory that does nothing by itself: sessions expire, answers are lost and
// clients are cut off only when a test says so. Locks, and what is built on them, are tested with it alone.
package locktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Ensemble is the servers' common state.
type Ensemble struct {
	mu       sync.Mutex // never held across a blocking call
	zxid     int64
	sessions int64
	nodes    map[string]*znode
	open     map[int64]*session
	lost     int             // how many creations of sequential znodes will take effect without an answer
	dropped  int             // how many will have neither effect nor answer
	cut      map[string]bool // clients that do not reach the ensemble
}

type znode struct {
	data    []byte
	stat    port.Stat
	nextSeq int64
}

// New makes an ensemble without znodes.
func New() *Ensemble {
	return &Ensemble{nodes: map[string]*znode{"": {}}, open: map[int64]*session{}, cut: map[string]bool{}}
}

// Client is the ensemble as one process sees it.
func (e *Ensemble) Client(r rt.Runtime, name string) port.Coordination { return &client{e, r, name} }

// LoseCreations makes the next n creations of sequential znodes take effect without an answer, and m after them have
// neither effect nor answer.
func (e *Ensemble) LoseCreations(n, m int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost, e.dropped = n, m
}

// Cut cuts a client off, or joins it again. Its sessions go on until Expire; those that it has closed meanwhile expire when
// it is joined again, as they do when nobody keeps them alive.
func (e *Ensemble) Cut(client string, cut bool) {
	e.mu.Lock()
	e.cut[client] = cut
	var told []*session
	for _, s := range e.sorted() {
		if s.client.name == client {
			told = append(told, s)
		}
	}
	e.mu.Unlock()
	for _, s := range told {
		switch {
		case cut:
			s.states.TryPush(port.SessionDisconnected)
		case s.left:
			e.end(s, false)
		default:
			s.states.TryPush(port.SessionConnected)
		}
	}
}

// sorted lists the open sessions by ID. e.mu is held.
func (e *Ensemble) sorted() []*session {
	var list []*session
	for _, s := range e.open { // order: sorted below
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *session) int { return int(a.id - b.id) })
	return list
}

// Expire ends all sessions of a client. It learns of it unless it is cut off.
func (e *Ensemble) Expire(client string) {
	e.mu.Lock()
	var ended []*session
	for _, s := range e.sorted() {
		if s.client.name == client {
			ended = append(ended, s)
		}
	}
	tell := !e.cut[client]
	e.mu.Unlock()
	for _, s := range ended {
		e.end(s, tell)
	}
}

// end ends a session.
func (e *Ensemble) end(s *session, tell bool) {
	e.mu.Lock()
	delete(e.open, s.id)
	var gone []string
	for path, n := range e.nodes { // order: sorted below
		if n.stat.EphemeralOwner == s.id {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	var fire []watch
	for _, path := range gone {
		delete(e.nodes, path)
		fire = append(fire, e.fired(path)...)
	}
	e.mu.Unlock()
	complete(fire)
	if tell {
		s.states.TryPush(port.SessionExpired)
		s.states.Close()
	}
}

// Children lists the names below a path.
func (e *Ensemble) Children(path string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.children(path)
}

func (e *Ensemble) children(path string) []string {
	var names []string
	for p := range e.nodes { // order: sorted below
		if name, ok := strings.CutPrefix(p, path+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Remove deletes a znode, as an operator may.
func (e *Ensemble) Remove(path string) {
	e.mu.Lock()
	delete(e.nodes, path)
	fire := e.fired(path)
	e.mu.Unlock()
	complete(fire)
}

// watch is a one-shot watch.
type watch struct {
	path string
	f    *rt.Future[port.WatchEvent]
}

// fired takes the watches on a path out. e.mu is held.
func (e *Ensemble) fired(path string) []watch {
	var fire []watch
	for _, s := range e.sorted() {
		kept := s.watches[:0]
		for _, w := range s.watches {
			if w.path == path {
				fire = append(fire, w)
			} else {
				kept = append(kept, w)
			}
		}
		s.watches = kept
	}
	return fire
}

func complete(fire []watch) {
	for _, w := range fire {
		w.f.Complete(port.WatchEvent{Path: w.path}, nil)
	}
}

type client struct {
	e    *Ensemble
	r    rt.Runtime
	name string
}

// Connect implements [port.Coordination].
func (c *client) Connect(ctx context.Context, _ time.Duration) (port.Session, error) {
	for {
		c.e.mu.Lock()
		if !c.e.cut[c.name] {
			c.e.sessions++
			s := &session{client: c, e: c.e, id: c.e.sessions, states: rt.NewQueue[port.SessionState](c.r, 0)}
			c.e.open[s.id] = s
			c.e.mu.Unlock()
			s.states.TryPush(port.SessionConnected)
			return s, nil
		}
		c.e.mu.Unlock()
		if err := c.r.Sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("connect: %w: %w", port.ErrRefused, err)
		}
	}
}

// session implements what a lock uses of [port.Session].
type session struct {
	port.Session // what is not used
	client       *client
	e            *Ensemble
	id           int64
	states       *rt.Queue[port.SessionState]
	watches      []watch
	left         bool // closed without the ensemble's knowledge
}

func (s *session) ID() int64                            { return s.id }
func (s *session) States() *rt.Queue[port.SessionState] { return s.states }

// reach waits until the client reaches the ensemble, and locks it.
func (s *session) reach(ctx context.Context) error {
	for {
		s.e.mu.Lock()
		switch {
		case s.e.cut[s.client.name]:
		case s.e.open[s.id] == nil:
			s.e.mu.Unlock()
			return fmt.Errorf("%w: %w", port.ErrSessionExpired, port.ErrRefused)
		default:
			return nil
		}
		s.e.mu.Unlock()
		if err := s.client.r.Sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("no answer: %w: %w", port.ErrUnknown, err)
		}
	}
}

func (s *session) Create(ctx context.Context, path string, data []byte, mode port.CreateMode) (string, error) {
	if err := s.reach(ctx); err != nil {
		return "", err
	}
	e := s.e
	sequential := mode == port.EphemeralSequential || mode == port.PersistentSequential
	up := path[:strings.LastIndexByte(path, '/')]
	parent := e.nodes[up]
	if sequential && parent != nil {
		if e.lost == 0 && e.dropped > 0 {
			e.dropped--
			e.mu.Unlock()
			return "", fmt.Errorf("connection closed: %w", port.ErrUnknown)
		}
		path = fmt.Sprintf("%s%010d", path, parent.nextSeq)
	}
	switch {
	case parent == nil:
		e.mu.Unlock()
		return "", fmt.Errorf("%w: %w", port.ErrNoNode, port.ErrRefused)
	case e.nodes[path] != nil:
		e.mu.Unlock()
		return "", fmt.Errorf("%w: %w", port.ErrNodeExists, port.ErrRefused)
	}
	parent.nextSeq++
	e.zxid++
	n := &znode{data: data, stat: port.Stat{Czxid: e.zxid, Mzxid: e.zxid}}
	if mode == port.Ephemeral || mode == port.EphemeralSequential {
		n.stat.EphemeralOwner = s.id
	}
	e.nodes[path] = n
	fire := e.fired(path)
	lost := sequential && e.lost > 0
	if lost {
		e.lost--
	}
	e.mu.Unlock()
	complete(fire)
	if lost {
		return "", fmt.Errorf("connection closed: %w", port.ErrUnknown)
	}
	return path, nil
}

func (s *session) Exists(ctx context.Context, path string) (port.Stat, error) {
	if err := s.reach(ctx); err != nil {
		return port.Stat{}, err
	}
	defer s.e.mu.Unlock()
	if n := s.e.nodes[path]; n != nil {
		return n.stat, nil
	}
	return port.Stat{}, fmt.Errorf("%w: %w", port.ErrNoNode, port.ErrRefused)
}

func (s *session) ExistsW(ctx context.Context, path string) (port.Stat, *rt.Future[port.WatchEvent], error) {
	if err := s.reach(ctx); err != nil {
		return port.Stat{}, nil, err
	}
	defer s.e.mu.Unlock()
	w := watch{path, rt.NewFuture[port.WatchEvent](s.client.r)}
	s.watches = append(s.watches, w)
	if n := s.e.nodes[path]; n != nil {
		return n.stat, w.f, nil
	}
	return port.Stat{}, w.f, fmt.Errorf("%w: %w", port.ErrNoNode, port.ErrRefused)
}

func (s *session) Children(ctx context.Context, path string) ([]string, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.e.mu.Unlock()
	if s.e.nodes[path] == nil {
		return nil, fmt.Errorf("%w: %w", port.ErrNoNode, port.ErrRefused)
	}
	return s.e.children(path), nil
}

func (s *session) Delete(ctx context.Context, path string, _ int32) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	if s.e.nodes[path] == nil {
		s.e.mu.Unlock()
		return fmt.Errorf("%w: %w", port.ErrNoNode, port.ErrRefused)
	}
	delete(s.e.nodes, path)
	fire := s.e.fired(path)
	s.e.mu.Unlock()
	complete(fire)
	return nil
}

func (s *session) Sync(ctx context.Context, _ string) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	s.e.mu.Unlock()
	return nil
}

func (s *session) Close(ctx context.Context) error {
	if err := s.reach(ctx); err != nil {
		s.e.mu.Lock()
		s.left = true
		s.e.mu.Unlock()
		return err
	}
	s.e.mu.Unlock()
	s.e.end(s, false)
	s.states.Close()
	return nil
}
