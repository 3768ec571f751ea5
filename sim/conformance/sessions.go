package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func watchRows() []Row {
	return []Row{
		{"a data watch fires once at a set", withBoth(dataWatch)},
		{"a data watch fires at the deletion", withBoth(deleteWatch)},
		{"an existence watch on nothing fires at the creation", withBoth(createWatch)},
		{"an existence watch on a znode fires at a set", withBoth(existsWatch)},
		{"a child watch fires at creation and deletion, not at a set", withBoth(childWatch)},
		{"two watches on one znode both fire", withBoth(twoWatches)},
		{"a watch survives a reconnection", withBoth(watchReconnect)},
	}
}

func sessionRows() []Row {
	return []Row{
		{"ephemeral znodes go at Close", withBoth(closeSession)},
		{"operations after Close are refused", with(afterClose)},
		{"a lost connection makes the outcome unknown", withBoth(connectionLoss)},
		{"a session outlives a short isolation", withBoth(shortIsolation)},
		{"a session expires in a long isolation, and its ephemeral znodes go", withBoth(expiry)},
		{"a context that has ended refuses, one that ends meanwhile leaves the outcome unknown", withBoth(contexts)},
		{"a session outlives the leader's death", withBoth(leaderDeath)},
	}
}

func dataWatch(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	_, _, w, err := a.GetW(ctx, p)
	if err != nil {
		return err
	}
	if err := e.silent(ctx, w, "nothing happened"); err != nil {
		return err
	}
	if _, err := b.Set(ctx, p, []byte("1"), -1); err != nil {
		return err
	}
	if err := e.fires(ctx, w, p); err != nil {
		return err
	}
	// The read after the event sees the change, and a watch set then does not see the old one.
	data, _, again, err := a.GetW(ctx, p)
	if err != nil {
		return err
	}
	if string(data) != "1" {
		return fmt.Errorf("read %q after the watch fired", data)
	}
	return e.silent(ctx, again, "it was set after the change")
}

func deleteWatch(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	_, _, w, err := a.GetW(ctx, p)
	if err != nil {
		return err
	}
	if err := b.Delete(ctx, p, -1); err != nil {
		return err
	}
	return e.fires(ctx, w, p)
}

func createWatch(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	_, w, err := a.ExistsW(ctx, p)
	if err := refused("exists", err, port.ErrNoNode); err != nil {
		return err
	}
	if w == nil {
		return errors.New("no watch came with ErrNoNode")
	}
	if _, err := b.Create(ctx, e.Path("other"), nil, port.Persistent); err != nil {
		return err
	}
	if err := e.silent(ctx, w, "another znode was created"); err != nil {
		return err
	}
	if _, err := b.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	return e.fires(ctx, w, p)
}

func existsWatch(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	_, w, err := a.ExistsW(ctx, p)
	if err != nil {
		return err
	}
	if _, err := b.Set(ctx, p, nil, -1); err != nil {
		return err
	}
	return e.fires(ctx, w, p)
}

func childWatch(ctx context.Context, e *Env, a, b port.Session) error {
	_, w, err := a.ChildrenW(ctx, e.Root)
	if err != nil {
		return err
	}
	if _, err := b.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	if err := e.fires(ctx, w, e.Root); err != nil {
		return err
	}
	names, w, err := a.ChildrenW(ctx, e.Root)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return fmt.Errorf("children %q after the watch fired", names)
	}
	if _, err := b.Set(ctx, e.Path("x"), nil, -1); err != nil {
		return err
	}
	if err := e.silent(ctx, w, "only a child's data changed"); err != nil {
		return err
	}
	if err := b.Delete(ctx, e.Path("x"), -1); err != nil {
		return err
	}
	return e.fires(ctx, w, e.Root)
}

func twoWatches(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	var watches []*rt.Future[port.WatchEvent]
	for _, s := range []port.Session{a, a, b} {
		_, _, w, err := s.GetW(ctx, p)
		if err != nil {
			return err
		}
		watches = append(watches, w)
	}
	if _, err := a.Set(ctx, p, nil, -1); err != nil {
		return err
	}
	for _, w := range watches {
		if err := e.fires(ctx, w, p); err != nil {
			return err
		}
	}
	return nil
}

func watchReconnect(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Persistent); err != nil {
		return err
	}
	_, _, w, err := a.GetW(ctx, p)
	if err != nil {
		return err
	}
	_, other, err := a.ExistsW(ctx, e.Path("never"))
	if err := refused("exists", err, port.ErrNoNode); err != nil {
		return err
	}
	err = e.isolateA(ctx, a)
	if err == nil {
		_, err = b.Set(ctx, p, nil, -1)
	}
	e.HealA()
	if err != nil {
		return err
	}
	if err := e.state(ctx, a, opening, port.SessionConnected); err != nil {
		return err
	}
	if err := e.fires(ctx, w, p); err != nil {
		return err
	}
	return e.silent(ctx, other, "its znode was not created")
}

func closeSession(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Ephemeral); err != nil {
		return err
	}
	if err := b.Sync(ctx, p); err != nil {
		return err
	}
	_, w, err := b.ExistsW(ctx, p)
	if err != nil {
		return err
	}
	start := e.Runtime.Now()
	if err := a.Close(ctx); err != nil {
		return err
	}
	if err := e.fires(ctx, w, p); err != nil {
		return err
	}
	if took := e.Runtime.Now().Sub(start); took > e.SessionTimeout/2 {
		return fmt.Errorf("gone only after %v", took)
	}
	_, err = b.Exists(ctx, p)
	return refused("exists", err, port.ErrNoNode)
}

func afterClose(ctx context.Context, e *Env, s port.Session) error {
	_, w, err := s.ChildrenW(ctx, e.Root)
	if err != nil {
		return err
	}
	if err := s.Close(ctx); err != nil {
		return err
	}
	_, err = s.Create(ctx, e.Path("x"), nil, port.Persistent)
	if err := refused("create", err, nil); err != nil {
		return err
	}
	ctx, cancel := e.Runtime.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if ev, err := w.Wait(ctx); err != nil || ev.Err == nil {
		return fmt.Errorf("a watch of the closed session ended with %+v (%w), expected an error in it", ev, err)
	}
	if err := e.state(ctx, s, time.Second, port.SessionConnected); err != nil {
		return err
	}
	if st, err := s.States().Pop(ctx); !errors.Is(err, rt.ErrClosed) {
		return fmt.Errorf("states: %v (%w), expected the end", st, err)
	}
	return nil
}

func connectionLoss(ctx context.Context, e *Env, a, b port.Session) error {
	e.CutA()
	_, err := a.Create(ctx, e.Path("x"), nil, port.Persistent)
	e.HealA()
	if err := uncertain("create over a lost connection", err); err != nil {
		return err
	}
	// It may be there or not; the session must find out.
	return e.eventually(ctx, opening, "reconnection", func() (bool, error) {
		_, err := a.Exists(ctx, e.Path("x"))
		return err == nil || errors.Is(err, port.ErrNoNode), err
	})
}

func shortIsolation(ctx context.Context, e *Env, a, b port.Session) error {
	p, id := e.Path("x"), a.ID()
	if _, err := a.Create(ctx, p, nil, port.Ephemeral); err != nil {
		return err
	}
	err := e.isolateA(ctx, a)
	e.HealA()
	if err != nil {
		return err
	}
	if err := e.state(ctx, a, opening, port.SessionConnected); err != nil {
		return err
	}
	if _, err := a.Set(ctx, p, nil, 0); err != nil {
		return err
	}
	if a.ID() != id {
		return fmt.Errorf("session 0x%x became 0x%x", id, a.ID())
	}
	return nil
}

func expiry(ctx context.Context, e *Env, a, b port.Session) error {
	p := e.Path("x")
	if _, err := a.Create(ctx, p, nil, port.Ephemeral); err != nil {
		return err
	}
	if err := b.Sync(ctx, p); err != nil {
		return err
	}
	_, gone, err := b.ExistsW(ctx, p)
	if err != nil {
		return err
	}
	_, w, err := a.ChildrenW(ctx, e.Root)
	if err != nil {
		return err
	}
	start := e.Runtime.Now()
	err = func() error {
		defer e.HealA()
		if err := e.isolateA(ctx, a); err != nil {
			return err
		}
		limited, cancel := e.Runtime.WithTimeout(ctx, 2*e.SessionTimeout)
		defer cancel()
		if _, err := gone.Wait(limited); err != nil {
			return fmt.Errorf("the ephemeral znode is still there: %w", err)
		}
		// The last sign of life was at most a ping interval before the cut.
		if took := e.Runtime.Now().Sub(start); took < e.SessionTimeout/2 {
			return fmt.Errorf("expired after %v already", took)
		}
		// The owner cannot know yet.
		if a.States().Len() != 0 {
			return errors.New("the isolated session has learned of its expiry")
		}
		return nil
	}()
	if err != nil {
		return err
	}
	if err := e.state(ctx, a, opening, port.SessionExpired); err != nil {
		return err
	}
	_, err = a.Create(ctx, p, nil, port.Ephemeral)
	if err := refused("create", err, port.ErrSessionExpired); err != nil {
		return err
	}
	limited, cancel := e.Runtime.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if ev, err := w.Wait(limited); err != nil || !errors.Is(ev.Err, port.ErrSessionExpired) {
		return fmt.Errorf("a watch of the expired session ended with %+v (%w), expected ErrSessionExpired in it", ev, err)
	}
	if st, err := a.States().Pop(limited); !errors.Is(err, rt.ErrClosed) {
		return fmt.Errorf("states: %v (%w), expected the end", st, err)
	}
	_, err = b.Exists(ctx, p)
	return refused("exists", err, port.ErrNoNode)
}

func contexts(ctx context.Context, e *Env, a, b port.Session) error {
	ended, cancel := e.Runtime.WithCancel(ctx)
	cancel()
	_, err := a.Create(ended, e.Path("x"), nil, port.Persistent)
	if err := refused("create with an ended context", err, context.Canceled); err != nil {
		return err
	}
	e.CutA()
	defer e.HealA()
	limit := e.SessionTimeout / 8
	short, cancel := e.Runtime.WithTimeout(ctx, limit)
	defer cancel()
	start := e.Runtime.Now()
	_, err = a.Create(short, e.Path("y"), nil, port.Persistent)
	if took := e.Runtime.Now().Sub(start); took > 3*limit {
		return fmt.Errorf("create returned after %v, its context ended after %v", took, limit)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("expected the context's error, got: %w", err)
	}
	return uncertain("create given up", err)
}

func leaderDeath(ctx context.Context, e *Env, a, b port.Session) error {
	p, id := e.Path("x"), a.ID()
	if _, err := a.Create(ctx, p, []byte("kept"), port.Ephemeral); err != nil {
		return err
	}
	if err := e.KillLeader(ctx); err != nil {
		return err
	}
	for _, s := range []port.Session{a, b} {
		if err := e.eventually(ctx, opening, "a write after the leader's death", func() (bool, error) {
			_, err := s.Set(ctx, p, []byte("kept"), -1)
			return err == nil, err
		}); err != nil {
			return err
		}
	}
	if err := b.Sync(ctx, p); err != nil {
		return err
	}
	data, st, err := b.Get(ctx, p)
	if err != nil {
		return err
	}
	if string(data) != "kept" || st.EphemeralOwner != id || a.ID() != id {
		return fmt.Errorf("%q owned by 0x%x, expected \"kept\" owned by 0x%x (now 0x%x)", data, st.EphemeralOwner, id, a.ID())
	}
	return e.RestartKilled(ctx)
}
