// Package zookeeper is the Coordination port over a real ZooKeeper ensemble, through go-zookeeper/zk v1.0.4.
//
// What that client gets wrong or leaves open is met here, not passed on:
//   - It waits 6.7 session timeouts for a server's answer to the connect request, so that one hung server that still
//     accepts TCP costs the session. The dialer bounds the wait (Config.AnswerTimeout).
//   - Its event channel drops what is not read in time. States come from the callback.
//   - It resolves all names once and fails if one of them is unknown, as a stopped container's is. Names are resolved at
//     each dial.
//   - After an expiry it opens a new session by itself and sends on it what was meant for the old one. Here the session
//     is over: no server is dialled again.
//   - Its calls have no context and can block for long. Every call here ends with its context, with an unknown outcome.
//   - Its errors do not tell whether the operation may have taken effect. Here they match port.ErrRefused or
//     port.ErrUnknown.
//   - It does not say whether the ensemble has confirmed the end of a session. The connection is watched for the answer.
//
// An ephemeral znode whose creation ended unknown may be there: that is for the recipe to find out.
package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Config says how to reach an ensemble.
type Config struct {
	// Servers are the addresses of all servers, host:port. At least one.
	Servers []string
	// AnswerTimeout bounds the wait for a server's answer to the connect request. Default 500 ms.
	AnswerTimeout time.Duration
	// Log, if set, gets go-zookeeper's log lines.
	Log func(format string, args ...any)
}

// Coordination implements [port.Coordination].
type Coordination struct {
	r   rt.Runtime
	cfg Config
}

var _ port.Coordination = (*Coordination)(nil)

// New returns a port to the ensemble; it connects to nothing yet. The error says which address is malformed.
func New(r rt.Runtime, cfg Config) (*Coordination, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("zookeeper: no servers given: expected the host:port of every server of the ensemble")
	}
	for _, s := range cfg.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("zookeeper: server %q: expected host:port: %w", s, err)
		}
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = 500 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	cfg.Servers = slices.Clone(cfg.Servers)
	return &Coordination{r: r, cfg: cfg}, nil
}

// Connect implements [port.Coordination].
func (c *Coordination) Connect(ctx context.Context, timeout time.Duration) (port.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("zookeeper: connect: %w (%w)", err, port.ErrRefused)
	}
	s := &session{
		r: c.r, assigned: make(chan struct{}), dialer: &dialer{answerTimeout: c.cfg.AnswerTimeout},
		states: rt.NewQueue[port.SessionState](c.r, 0), opened: rt.NewFuture[struct{}](c.r),
	}
	conn, _, err := zk.Connect(c.cfg.Servers, timeout,
		zk.WithDialer(s.dialer.dial), zk.WithHostProvider(&servers{}), zk.WithEventCallback(s.event),
		zk.WithLogger(logger(c.cfg.Log)), zk.WithLogInfo(false))
	if err != nil {
		return nil, fmt.Errorf("zookeeper: connect to %v: %w (%w)", c.cfg.Servers, err, port.ErrRefused)
	}
	s.conn = conn
	close(s.assigned)
	if _, err := s.opened.Wait(ctx); err != nil {
		s.end(errClosed)
		go s.conn.Close()
		return nil, fmt.Errorf("zookeeper: connect to %v: no session: %w (%w)", c.cfg.Servers, err, port.ErrUnknown)
	}
	return s, nil
}

type logger func(format string, args ...any)

// Printf implements zk.Logger.
func (l logger) Printf(format string, args ...any) { l(format, args...) }

// servers is a zk.HostProvider that leaves names to the dialer. Its order is random, so that clients spread.
type servers struct {
	mu            sync.Mutex
	addresses     []string
	current, last int
}

// Init implements zk.HostProvider.
func (p *servers) Init(addresses []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addresses = slices.Clone(addresses)
	rand.Shuffle(len(p.addresses), func(i, j int) {
		p.addresses[i], p.addresses[j] = p.addresses[j], p.addresses[i]
	})
	p.current, p.last = -1, -1
	return nil
}

// Len implements zk.HostProvider.
func (p *servers) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.addresses)
}

// Next implements zk.HostProvider. retryStart tells that all have been tried since one worked; the client then pauses.
func (p *servers) Next() (server string, retryStart bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = (p.current + 1) % len(p.addresses)
	retryStart = p.current == p.last
	if p.last == -1 {
		p.last = 0
	}
	return p.addresses[p.current], retryStart
}

// Connected implements zk.HostProvider.
func (p *servers) Connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.current
}
