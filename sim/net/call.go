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
	l := from.line(pooled{to, service})
	reply := rt.NewFuture[Message](r)
	l.reply = reply
	c := l.c
	c.Send(m) // waits in the connection until it is open
	answer, err := reply.Wait(ctx)
	l.reply = nil
	if err == nil {
		l.keep()
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

// line is a connection that carries one call after another.
type line struct {
	c     *Conn
	idle  *idle
	reply *rt.Future[Message] // of the call that it carries; nil while it is idle
}

// idle is the idle connections to one service of one other node.
type idle struct{ lines []*line }

// line returns an idle connection, or a new one.
func (nd *Node) line(key pooled) *line {
	kept := nd.pool[key]
	if kept == nil {
		kept = &idle{}
		nd.pool[key] = kept
	}
	for n := len(kept.lines); n > 0; n = len(kept.lines) {
		l := kept.lines[n-1]
		kept.lines[n-1] = nil
		kept.lines = kept.lines[:n-1]
		if l.c.state == open {
			return l
		}
	}
	l := &line{c: nd.Dial(key.to, key.service), idle: kept}
	l.c.OnMessage(l.answered)
	l.c.OnClose(l.closed)
	return l
}

func (l *line) answered(m Message) {
	if l.reply == nil {
		l.c.Close() // nobody asked: the stream is out of step
		return
	}
	l.reply.Complete(m, nil)
}

func (l *line) closed(why error) {
	if l.reply != nil {
		l.reply.Complete(Message{}, why)
	}
}

// keep keeps the connection for the next Call. One that the other end ends meanwhile is noticed when it is taken.
func (l *line) keep() {
	switch c := l.c; {
	case c.state != open:
	case c.p != c.node.p || len(l.idle.lines) >= maxIdle:
		c.Close()
	default:
		l.idle.lines = append(l.idle.lines, l)
	}
}
