package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

const (
	// heartbeatPatience is how long an answer is waited for that a coordinator gives from memory.
	heartbeatPatience = 2 * time.Second
	// commitPatience exceeds offsets.commit.timeout.ms, the time that the coordinator's append may take.
	commitPatience = 6 * time.Second
	// joinMargin is added to the rebalance timeout for the way to the coordinator and back.
	joinMargin = 5 * time.Second
	// syncPatience is how long a member waits for the leader at most; its context ends the wait earlier.
	syncPatience = 5 * time.Minute
	// lookups is how often in a row no coordinator must be found before the group has none.
	lookups = 5
)

// groups implements [port.Groups].
//
// A broker answers the requests of a connection one after the other, and Sarama waits for an answer before it sends the
// next one. So a request that the coordinator holds back (join, sync) has a connection of its own, and neither heartbeats
// nor commits wait for one another.
type groups struct {
	l *Log

	mu     sync.Mutex
	where  map[string]string      // the coordinator's address, by group
	avoid  map[string]string      // the address that was no coordinator when it was asked, by group
	kept   map[string]*connection // by purpose and address
	closed bool
}

// connection is a connection that is kept for one purpose.
type connection struct {
	broker *sarama.Broker
	config *sarama.Config
}

func newGroups(l *Log) *groups {
	return &groups{l: l, where: map[string]string{}, avoid: map[string]string{}, kept: map[string]*connection{}}
}

func (g *groups) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.kept {
		go func() { _ = c.broker.Close() }() // it waits for a request that is under way
	}
}

// coordinator returns the address of the broker that coordinates a group. It asks all brokers, and takes the first
// answer other than the address that proved wrong last: a broker that is cut off from the others does not know of the
// next coordinator.
func (g *groups) coordinator(ctx context.Context, group string) (string, error) {
	g.mu.Lock()
	address, avoid, closed := g.where[group], g.avoid[group], g.closed
	g.mu.Unlock()
	if closed {
		return "", errClosed
	}
	if address != "" {
		return address, nil
	}
	var err error
	for range lookups {
		if address, err = g.lookUp(ctx, group, avoid); err == nil {
			g.mu.Lock()
			g.where[group] = address
			g.mu.Unlock()
			return address, nil
		}
		if !errors.Is(err, port.ErrCoordinatorAway) {
			break
		}
		if slept := g.l.r.Sleep(ctx, adminBackoff); slept != nil {
			return "", slept
		}
	}
	return "", err
}

func (g *groups) lookUp(ctx context.Context, group, avoid string) (string, error) {
	type answer struct {
		address string
		err     error
	}
	addresses := g.l.admin.addresses()
	answers := make(chan answer, len(addresses))
	for _, address := range addresses {
		go func() {
			found, err := g.askWhere(address, group)
			answers <- answer{found, err}
		}()
	}
	second := ""
	var errs []error
	var enough <-chan time.Time
collect:
	for range addresses {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-enough:
			break collect
		case a := <-answers:
			switch {
			case a.err != nil:
				errs = append(errs, a.err)
			case a.address != avoid:
				return a.address, nil
			case second == "":
				second, enough = a.address, time.After(metadataPatience)
			}
		}
	}
	if second != "" {
		return second, nil
	}
	err := errors.Join(errs...)
	if errors.Is(err, port.ErrRefused) {
		return "", err
	}
	return "", fmt.Errorf("%w: %w", port.ErrCoordinatorAway, err)
}

// askWhere asks one broker for a group's coordinator. The first time that anybody asks, the brokers create the topic of
// the offsets.
func (g *groups) askWhere(address, group string) (string, error) {
	b, err := g.l.admin.connection(address)
	if err != nil {
		return "", fmt.Errorf("%s: %w", address, err)
	}
	resp, err := b.FindCoordinator(&sarama.FindCoordinatorRequest{Version: 2, CoordinatorKey: group, CoordinatorType: sarama.CoordinatorGroup})
	if err != nil {
		_ = b.Close()
		return "", fmt.Errorf("%s: %w", address, err)
	}
	if err := answer(resp.Err); err != nil {
		return "", fmt.Errorf("%s: %w", address, err)
	}
	if resp.Coordinator == nil {
		return "", fmt.Errorf("%s names no coordinator: %w", address, port.ErrCoordinatorAway)
	}
	return resp.Coordinator.Addr(), nil
}

// gone makes the next request look the coordinator up again.
func (g *groups) gone(group, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.where[group] == address {
		delete(g.where, group)
		g.avoid[group] = address
	}
}

// keep returns the connection for a purpose to an address, opened.
func (g *groups) keep(purpose, address string, patience time.Duration) (*connection, error) {
	key := purpose + " " + address
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, errClosed
	}
	c := g.kept[key]
	if c == nil {
		c = &connection{sarama.NewBroker(address), g.l.base("ratel-group", maxDial, patience)}
		g.kept[key] = c
	}
	g.mu.Unlock()
	if err := c.broker.Open(c.config); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		return nil, err
	}
	return c, nil
}

// ask sends one request to a group's coordinator over a connection that is kept.
func ask[T any](ctx context.Context, g *groups, group, purpose string, patience time.Duration, send func(*sarama.Broker) (T, error)) (T, error) {
	var zero T
	address, err := g.coordinator(ctx, group)
	if err != nil {
		return zero, err
	}
	resp, err := await(ctx, g.l.r, func() (T, error) {
		c, err := g.keep(purpose, address, patience)
		if err != nil {
			return zero, err
		}
		resp, err := send(c.broker)
		if err != nil {
			_ = c.broker.Close() // else its answer would be taken for the next one's
		}
		return resp, err
	})
	if err != nil {
		return zero, g.unanswered(ctx, group, address, err)
	}
	return resp, nil
}

// hold sends requests that the coordinator may hold back for as long as patience, over a connection of their own, which
// is cut when ctx ends.
func hold[T any](ctx context.Context, g *groups, group, clientID string, patience time.Duration, send func(*sarama.Broker) (T, error)) (T, error) {
	var zero T
	address, err := g.coordinator(ctx, group)
	if err != nil {
		return zero, err
	}
	line := &line{dial: g.l.dial}
	defer line.cut()
	resp, err := await(ctx, g.l.r, func() (T, error) {
		config := g.l.base(clientID, maxDial, patience)
		config.Net.Proxy.Dialer = line
		b := sarama.NewBroker(address)
		if err := b.Open(config); err != nil {
			return zero, err
		}
		defer func() { _ = b.Close() }()
		if _, err := b.Connected(); err != nil {
			return zero, err
		}
		line.patient.Store(true)
		return send(b)
	})
	if err != nil {
		return zero, g.unanswered(ctx, group, address, err)
	}
	return resp, nil
}

// unanswered gives a request that got no answer its outcome.
func (g *groups) unanswered(ctx context.Context, group, address string, err error) error {
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", port.ErrUnknown, err)
	case errors.Is(err, errClosed):
		return err
	case errors.As(err, &op) && op.Op == "dial":
		g.gone(group, address)
		return fmt.Errorf("%w: %w", port.ErrCoordinatorAway, err)
	}
	g.gone(group, address)
	return fmt.Errorf("%w: %w", port.ErrUnknown, err)
}

// line is the one connection of a request that is held back. It can be cut from outside, which Sarama's own Close
// cannot do: it waits for the answer.
type line struct {
	dial    Dial
	patient atomic.Bool // the broker has shown that it answers: what comes now may take its time

	mu   sync.Mutex
	conn net.Conn
	dead bool
}

// Dial implements Sarama's proxy dialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	conn, err := l.dial(network, address, maxDial)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.conn = conn
	return lineConn{conn, l}, nil
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

type lineConn struct {
	net.Conn
	l *line
}

// SetReadDeadline keeps the handshake from being waited for as long as the request that follows it.
func (c lineConn) SetReadDeadline(t time.Time) error {
	if soon := time.Now().Add(heartbeatPatience); !c.l.patient.Load() && t.After(soon) {
		t = soon
	}
	return c.Conn.SetReadDeadline(t)
}
