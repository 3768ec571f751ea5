package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Errors of a connection.
var (
	errConnection = errors.New("invalid connection")
	errPool       = errors.New("no connection is free")
)

// conn is a connection as the driver holds it.
type conn struct {
	c     *simnet.Conn
	since time.Duration // idle
	reply *rt.Future[*reply]
}

// take returns an idle connection that is known to be open, the newest first, or a new one.
func (c *client) take(ctx context.Context) (*conn, error) {
	for len(c.idle) > 0 {
		k := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if k.c.Open() && c.now()-k.since < maxIdleTime {
			return k, nil
		}
		k.c.Close()
	}
	return c.dial(ctx)
}

// dial connects and shakes hands.
func (c *client) dial(ctx context.Context) (*conn, error) {
	k := &conn{c: c.node.Dial(c.srv.cfg.Node, serviceMySQL)}
	opened := rt.NewFuture[struct{}](c.p)
	k.c.OnOpen(func() { opened.Complete(struct{}{}, nil) })
	k.c.OnClose(func(err error) { opened.Complete(struct{}{}, err) })
	limited, cancel := c.p.WithTimeout(ctx, dialTimeout)
	_, err := opened.Wait(limited)
	cancel()
	if err == nil {
		k.c.OnMessage(func(m simnet.Message) { k.answered(m.Body.(*reply), nil) })
		k.c.OnClose(func(err error) { k.answered(nil, err) })
		_, err = c.call(ctx, k, &request{op: opHello})
	}
	if err != nil {
		k.c.Close()
		return nil, fmt.Errorf("connect to %s: %w", c.srv.cfg.Node, err)
	}
	return k, nil
}

func (k *conn) answered(a *reply, err error) {
	if f := k.reply; f != nil {
		k.reply = nil
		f.Complete(a, err)
	}
}

// call sends a statement and waits for its answer. After an error the connection must be closed.
func (c *client) call(ctx context.Context, k *conn, r *request) (*reply, error) {
	k.reply = rt.NewFuture[*reply](c.p)
	f := k.reply
	k.c.Send(r.message())
	if !k.c.Open() {
		return nil, errConnection
	}
	limited, cancel := c.p.WithTimeout(ctx, readTimeout)
	defer cancel()
	a, err := f.Wait(limited)
	switch {
	case err == nil:
		return a, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, fmt.Errorf("%w: %w", errConnection, err)
	}
}

// keep gives a connection back to the pool.
func (c *client) keep(k *conn) {
	k.since = c.now()
	if len(c.idle) < maxIdle && k.c.Open() {
		c.idle = append(c.idle, k)
		return
	}
	k.c.Close()
}

func (c *client) now() time.Duration { return c.p.Sim().Now() }

// refused marks a failure before the commit was sent: what a transaction did without it is rolled back.
func refused(err error) error { return fmt.Errorf("%w (%w)", err, port.ErrRefused) }
