package net_test

import (
	"context"
	"errors"
	"testing"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

// asks runs f as a task of a.
func asks(l *lab, f func(ctx context.Context)) { l.pa.Foreground("caller", f) }

func call(ctx context.Context, l *lab, to, what string, timeout time.Duration) error {
	ctx, cancel := l.pa.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := simnet.Call(ctx, l.pa, l.a, to, "echo", text(what))
	if err == nil && m.Body != what {
		l.t.Errorf("the answer to %q is %v", what, m.Body)
	}
	return err
}

func TestCall(t *testing.T) {
	t.Parallel()
	cfg := simnet.Config{Latency: latency}
	for _, c := range []struct {
		name string
		act  func(l *lab, ctx context.Context)
		want []string
	}{
		{"an idle connection is used again", func(l *lab, ctx context.Context) {
			for _, what := range []string{"1", "2"} {
				if err := call(ctx, l, "b", what, time.Second); err != nil {
					l.t.Error(err)
				}
			}
		}, []string{"10ms b accepted a", "30ms b got 1", "50ms b got 2"}},
		{"two calls at a time need two connections", func(l *lab, ctx context.Context) {
			l.pa.Foreground("other", func(ctx context.Context) { _ = call(ctx, l, "b", "other", time.Second) })
			_ = l.pa.Sleep(ctx, time.Millisecond)
			if err := call(ctx, l, "b", "one", time.Second); err != nil {
				l.t.Error(err)
			}
		}, []string{"10ms b accepted a", "11ms b accepted a", "30ms b got other", "31ms b got one"}},
		{"refused and unknown hosts: certainly not sent", func(l *lab, ctx context.Context) {
			for _, to := range []struct {
				name string
				why  error
			}{{"a", simnet.ErrRefused}, {"nowhere", simnet.ErrUnreachable}} {
				if err := call(ctx, l, to.name, "x", time.Second); !errors.Is(err, port.ErrRefused) || !errors.Is(err, to.why) || errors.Is(err, port.ErrUnknown) {
					l.t.Errorf("call of %s: %v", to.name, err)
				}
			}
		}, nil},
		{"no answer in time: unknown", func(l *lab, ctx context.Context) {
			l.n.Cut("b", "a")
			l.n.Heal("b", "a")
			_ = call(ctx, l, "b", "warm", time.Second)
			l.n.Cut("b", "a")
			err := call(ctx, l, "b", "1", time.Second)
			if !errors.Is(err, port.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, port.ErrRefused) {
				l.t.Error(err)
			}
		}, []string{"10ms b accepted a", "30ms b got warm", "50ms b got 1", "1.05s b lost a: connection closed by peer"}},
		{"still connecting: neither refused nor unknown, and not sent", func(l *lab, ctx context.Context) {
			l.n.Cut("a", "b")
			err := call(ctx, l, "b", "1", time.Second)
			if errors.Is(err, port.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, port.ErrRefused) {
				l.t.Error(err)
			}
			l.n.HealAll()
		}, nil},
		{"the other end dies: unknown", func(l *lab, ctx context.Context) {
			l.at(35*time.Millisecond, l.pb.Kill)
			l.b.Listen("echo", func(c *simnet.Conn) { c.OnMessage(func(simnet.Message) { l.note("got it") }) })
			if err := call(ctx, l, "b", "1", time.Second); !errors.Is(err, port.ErrUnknown) || !errors.Is(err, simnet.ErrReset) {
				l.t.Error(err)
			}
		}, []string{"30ms got it"}},
		{"a restarted server is reached over a new connection", func(l *lab, ctx context.Context) {
			if err := call(ctx, l, "b", "1", time.Second); err != nil {
				l.t.Error(err)
			}
			l.pb.Kill()
			l.b.Start(l.s.Process("b"))
			l.echo(l.b)
			_ = l.pa.Sleep(ctx, 20*time.Millisecond) // the reset has come
			if err := call(ctx, l, "b", "2", time.Second); err != nil {
				l.t.Error(err)
			}
		}, []string{"10ms b accepted a", "30ms b got 1", "70ms b accepted a", "90ms b got 2"}},
		{"a caller whose node is down sends nothing", func(l *lab, ctx context.Context) {
			l.a.Stop()
			if err := call(ctx, l, "b", "1", time.Second); !errors.Is(err, port.ErrRefused) {
				l.t.Error(err)
			}
		}, nil},
		{"an ended context sends nothing", func(l *lab, ctx context.Context) {
			if err := call(ctx, l, "b", "1", 0); !errors.Is(err, context.DeadlineExceeded) {
				l.t.Error(err)
			}
		}, nil},
		{"an answer nobody waits for any more does not answer the next call", func(l *lab, ctx context.Context) {
			l.b.Listen("echo", func(c *simnet.Conn) {
				c.OnMessage(func(m simnet.Message) {
					c.Send(m)
					l.at(100*time.Millisecond, func() { c.Send(text("unasked")) })
				})
			})
			for _, what := range []string{"1", "2"} {
				if err := call(ctx, l, "b", what, time.Second); err != nil {
					l.t.Error(err)
				}
				_ = l.pa.Sleep(ctx, time.Second)
			}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect(t, play(t, cfg, func(l *lab) { asks(l, func(ctx context.Context) { c.act(l, ctx) }) }), c.want...)
		})
	}
}
