package net

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// pooled names the idle connections that one Call can take over from another.
type pooled struct {
	to, service string
}

// maxIdle is how many idle connections a node keeps to one service of one other node.
const maxIdle = 8

// Call sends a request and waits for the one message that answers it, from a task of r, over an idle connection of an
// earlier Call or a new one, as an HTTP client with keep-alive does.
//
// Its error matches port.ErrRefused when the request was certainly not sent because the connection was refused or the
// host does not exist, and port.ErrUnknown once the request may have been sent. If ctx ends while the connection is
// still pending, the error matches ctx's and neither of them; the request was not sent then.
func Call(ctx context.Context, r rt.Runtime, from *Node, to, service string, m Message) (Message, error) {
	rt.Check(r)
	if err := ctx.Err(); err != nil {
		return Message{}, fmt.Errorf("call %s/%s: %w", to, service, err)
	}
	if from.p == nil {
		return Message{}, fmt.Errorf("call %s/%s from %s, which is down: %w", to, service, from.name, port.ErrRefused)
	}
	key := pooled{to, service}
	reply := rt.NewFuture[Message](r)
	c := from.takeIdle(key)
	if c == nil {
		c = from.Dial(to, service)
	}
	c.OnMessage(func(m Message) { reply.Complete(m, nil) })
	c.OnClose(func(why error) { reply.Complete(Message{}, why) })
	c.Send(m) // waits in the connection until it is open
	answer, err := reply.Wait(ctx)
	if err == nil {
		from.keepIdle(key, c)
		return answer, nil
	}
	switch pending := c.state == dialing; {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrUnreachable):
		return Message{}, fmt.Errorf("call %s/%s: %w: %w", to, service, port.ErrRefused, err)
	case pending:
		c.Close()
		return Message{}, fmt.Errorf("call %s/%s: still connecting: %w", to, service, err)
	}
	c.Close()
	return Message{}, fmt.Errorf("call %s/%s: %w: %w", to, service, port.ErrUnknown, err)
}

func (nd *Node) takeIdle(key pooled) *Conn {
	idle := nd.pool[key]
	for len(idle) > 0 {
		c := idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		if c.state == open {
			nd.pool[key] = idle
			return c
		}
	}
	if nd.pool != nil {
		nd.pool[key] = nil
	}
	return nil
}

// keepIdle keeps a connection for the next Call. One that the other end ends meanwhile is noticed when it is taken.
func (nd *Node) keepIdle(key pooled, c *Conn) {
	if c.state != open {
		return
	}
	c.OnMessage(func(Message) { c.Close() }) // nobody asked: the stream is out of step
	c.OnClose(nil)
	if nd.pool == nil || c.p != nd.p || len(nd.pool[key]) >= maxIdle {
		c.Close()
		return
	}
	nd.pool[key] = append(nd.pool[key], c)
}
