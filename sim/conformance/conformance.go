// Package conformance is the table of behaviours that the simulation's models and the real servers must share. Each row
// is one behaviour, checked by the same code through a port: on the model in the ordinary tests, on the real servers in
// tests with the build tag "containers". A row that holds on one and not on the other is a fault of the model.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Row is one behaviour of the Coordination port.
type Row struct {
	Name  string
	Check func(ctx context.Context, e *Env) error
}

// Env is what a row of the Coordination table runs in: an ensemble of three servers and two client hosts, A and B.
type Env struct {
	Runtime rt.Runtime
	// A and B are the ports of two client hosts.
	A, B port.Coordination
	// Root is a persistent znode without children that no other row uses. The driver has created it.
	Root string
	// SessionTimeout is what sessions ask for, between the ensemble's bounds.
	SessionTimeout time.Duration
	// CutA separates host A from all servers, in both directions, without closing connections. HealA ends it.
	CutA, HealA func()
	// KillLeader kills the server that leads and waits for nothing. RestartKilled starts it again and returns when it
	// follows.
	KillLeader    func(ctx context.Context) error
	RestartKilled func(ctx context.Context) error
}

// Path returns the path of a znode under the row's root.
func (e *Env) Path(name string) string { return e.Root + "/" + name }

// opening is how long a session may take to open.
const opening = 15 * time.Second

func (e *Env) open(ctx context.Context, c port.Coordination) (port.Session, error) {
	ctx, cancel := e.Runtime.WithTimeout(ctx, opening)
	defer cancel()
	return c.Connect(ctx, e.SessionTimeout)
}

// with runs f with a session of A.
func with(f func(ctx context.Context, e *Env, s port.Session) error) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		s, err := e.open(ctx, e.A)
		if err != nil {
			return err
		}
		err = f(ctx, e, s)
		return errors.Join(err, s.Close(ctx))
	}
}

// withBoth runs f with a session of A and one of B.
func withBoth(f func(ctx context.Context, e *Env, a, b port.Session) error) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		a, err := e.open(ctx, e.A)
		if err != nil {
			return err
		}
		b, err := e.open(ctx, e.B)
		if err != nil {
			return err
		}
		err = f(ctx, e, a, b)
		_ = a.Close(ctx) // it may be gone already, as the row wants
		return errors.Join(err, b.Close(ctx))
	}
}

// eventually polls until done, or fails after limit.
func (e *Env) eventually(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	start := e.Runtime.Now()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if e.Runtime.Now().Sub(start) > limit {
			return fmt.Errorf("%s: not within %v (last error: %w)", what, limit, err)
		}
		if err := e.Runtime.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// fires waits for a watch.
func (e *Env) fires(ctx context.Context, w *rt.Future[port.WatchEvent], path string) error {
	ctx, cancel := e.Runtime.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := w.Wait(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("watch on %s did not fire within 5 s: %w", path, err)
	case got.Err != nil:
		return fmt.Errorf("watch on %s ended with %w, expected a change", path, got.Err)
	case got.Path != path:
		return fmt.Errorf("watch on %s fired for %q", path, got.Path)
	}
	return nil
}

// silent fails if a watch has fired; other sessions' changes are given a moment to come.
func (e *Env) silent(ctx context.Context, w *rt.Future[port.WatchEvent], why string) error {
	if err := e.Runtime.Sleep(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	if w.Done() {
		return fmt.Errorf("watch fired, although %s", why)
	}
	return nil
}

// refused checks that an operation failed for certain, for the expected reason (nil: any).
func refused(what string, err, reason error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s succeeded, expected it to be refused", what)
	case !errors.Is(err, port.ErrRefused):
		return fmt.Errorf("%s: error does not match port.ErrRefused: %w", what, err)
	case errors.Is(err, port.ErrUnknown):
		return fmt.Errorf("%s: error matches port.ErrUnknown too: %w", what, err)
	case reason != nil && !errors.Is(err, reason):
		return fmt.Errorf("%s: expected %q, got: %w", what, reason.Error(), err)
	}
	return nil
}

// uncertain checks that an operation's outcome was reported as unknown.
func uncertain(what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s succeeded, expected its outcome to be unknown", what)
	case errors.Is(err, port.ErrRefused) || !errors.Is(err, port.ErrUnknown):
		return fmt.Errorf("%s: expected an error that matches port.ErrUnknown only, got: %w", what, err)
	}
	return nil
}

// state waits for the session's next state and checks it.
func (e *Env) state(ctx context.Context, s port.Session, limit time.Duration, want port.SessionState) error {
	ctx, cancel := e.Runtime.WithTimeout(ctx, limit)
	defer cancel()
	got, err := s.States().Pop(ctx)
	if err != nil {
		return fmt.Errorf("state %v did not come within %v: %w", want, limit, err)
	}
	if got != want {
		return fmt.Errorf("state is %v, expected %v", got, want)
	}
	return nil
}

// isolateA cuts host A off, and waits until its session has noticed.
func (e *Env) isolateA(ctx context.Context, a port.Session) error {
	if err := e.state(ctx, a, time.Second, port.SessionConnected); err != nil {
		return err
	}
	e.CutA()
	return e.state(ctx, a, e.SessionTimeout, port.SessionDisconnected)
}
