package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// conn is a connection as the HTTP client holds it: one request at a time.
type conn struct {
	c     *simnet.Conn
	since time.Duration // idle
	reply *rt.Future[*reply]
}

// errNotSent: no connection could be made, so that nothing was sent.
var errNotSent = errors.New("no connection")

// take returns an idle connection that is known to be open, the newest first, or a new one.
func (c *client) take(ctx context.Context) (*conn, error) {
	for len(c.idle) > 0 {
		k := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if k.c.Open() && c.now()-k.since < idleTimeout {
			return k, nil
		}
		k.c.Close()
	}
	k := &conn{c: c.node.Dial(c.srv.cfg.Node, serviceS3)}
	opened := rt.NewFuture[struct{}](c.p)
	k.c.OnOpen(func() { opened.Complete(struct{}{}, nil) })
	k.c.OnClose(func(err error) { opened.Complete(struct{}{}, err) })
	limited, cancel := c.p.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := opened.Wait(limited); err != nil {
		k.c.Close()
		return nil, fmt.Errorf("%w to %s: %w (%w)", errNotSent, c.srv.cfg.Node, err, port.ErrRefused)
	}
	k.c.OnMessage(func(m simnet.Message) { k.answered(m.Body.(*reply), nil) })
	k.c.OnClose(func(err error) { k.answered(nil, err) })
	return k, nil
}

func (k *conn) answered(a *reply, err error) {
	if f := k.reply; f != nil {
		k.reply = nil
		f.Complete(a, err)
	}
}

// attempt sends a request once and waits for its answer.
func (c *client) attempt(ctx context.Context, r *request) (*reply, error) {
	if err := c.conns.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("no connection is free: %w (%w)", err, port.ErrRefused)
	}
	defer c.conns.Release(1)
	ctx, cancel := c.p.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	k, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	f := rt.NewFuture[*reply](c.p)
	k.reply = f
	k.c.Send(r.message())
	a, err := f.Wait(ctx)
	if err != nil {
		k.c.Close()
		return nil, fmt.Errorf("no answer: %w (%w)", err, port.ErrUnknown)
	}
	k.since = c.now()
	c.idle = append(c.idle, k) // never more than maxConns
	return a, nil
}

func (c *client) now() time.Duration { return c.p.Sim().Now() }
