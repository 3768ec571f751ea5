package zookeeper

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func connect(t *testing.T, timeout time.Duration, servers ...string) (*Coordination, *session) {
	t.Helper()
	c, err := New(rt.NewWall(1), Config{Servers: servers, AnswerTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Connect(t.Context(), timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return c, s.(*session)
}

func (s *session) next(t *testing.T) (port.SessionState, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return s.states.Pop(ctx)
}

// go-zookeeper alone would wait 6.7 session timeouts, here 400 s, for each silent server.
func TestSilentServersAreLeftSoon(t *testing.T) {
	t.Parallel()
	silent, other, works := newFakeServer(t), newFakeServer(t), newFakeServer(t)
	for _, f := range []*fakeServer{silent, other} {
		f.set(func(f *fakeServer) { f.silent = true })
	}
	within(t, 30*time.Second, "connect past silent servers", func() {
		_, s := connect(t, time.Minute, silent.addr, other.addr, works.addr)
		if s.ID() != 0x1234 {
			t.Errorf("session 0x%x", s.ID())
		}
	})
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent := newFakeServer(t)
	silent.set(func(f *fakeServer) { f.silent = true })
	c, err := New(rt.NewWall(1), Config{Servers: []string{silent.addr}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 30*time.Second, "connect", func() {
		if _, err := c.Connect(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, port.ErrUnknown) {
			t.Errorf("connect: %v", err)
		}
	})
}

// go-zookeeper would go on with a new session, and send on it what was meant for the old one.
func TestExpiryIsFinal(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	_, s := connect(t, 10*time.Second, f.addr)
	f.set(func(f *fakeServer) { f.expired = true })
	f.drop()
	for _, want := range []port.SessionState{port.SessionConnected, port.SessionDisconnected, port.SessionExpired} {
		if got, err := s.next(t); got != want || err != nil {
			t.Fatalf("state %v (%v), expected %v", got, err, want)
		}
	}
	if _, err := s.next(t); !errors.Is(err, rt.ErrClosed) {
		t.Errorf("after expiry: %v", err)
	}
	err := s.Sync(t.Context(), "/")
	if !errors.Is(err, port.ErrSessionExpired) || !errors.Is(err, port.ErrRefused) {
		t.Errorf("sync: %v", err)
	}
	// Every later dial is refused before it is made.
	if _, err := s.dialer.dial("tcp", f.addr, time.Second); !errors.Is(err, errOver) {
		t.Errorf("dial: %v", err)
	}
	if n := f.dialled(); n != 2 {
		t.Errorf("%d connections, expected 2", n)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	_, s := connect(t, time.Minute, f.addr)
	if err := s.Sync(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fakeServer) { f.mute = true })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	within(t, 30*time.Second, "sync", func() {
		err := s.Sync(ctx, "/")
		if !errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrRefused) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("sync: %v", err)
		}
	})
	cancel()
	if err := s.Sync(ctx, "/"); !errors.Is(err, port.ErrRefused) {
		t.Errorf("sync with an ended context: %v", err)
	}
}

func TestLostConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	_, s := connect(t, time.Minute, f.addr)
	f.set(func(f *fakeServer) { f.mute = true })
	done := make(chan error)
	go func() { done <- s.Sync(t.Context(), "/") }()
	for answered := false; !answered; {
		f.drop() // again and again: the first may come before the request is sent
		select {
		case err := <-done:
			answered = true
			if !errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrRefused) {
				t.Errorf("sync: %v", err)
			}
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestCloseSaysWhetherItWasAnswered(t *testing.T) {
	t.Parallel()
	for _, mute := range []bool{false, true} {
		f := newFakeServer(t)
		_, s := connect(t, time.Minute, f.addr)
		f.set(func(f *fakeServer) { f.mute = mute })
		err := s.Close(t.Context())
		if mute != errors.Is(err, port.ErrUnknown) || !mute && err != nil {
			t.Errorf("no answers %v: close: %v", mute, err)
		}
		if err := s.Sync(t.Context(), "/"); !errors.Is(err, port.ErrRefused) {
			t.Errorf("sync after close: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("second close: %v", err)
		}
	}
}

func TestNewRefusesBadAddresses(t *testing.T) {
	t.Parallel()
	for _, servers := range [][]string{nil, {"zk1"}, {"zk1:2181", ""}} {
		if _, err := New(rt.NewWall(1), Config{Servers: servers}); err == nil {
			t.Errorf("%q accepted", servers)
		}
	}
}

// All servers are tried before the client pauses, and again from the next after one that worked.
func TestServersTakeTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "servers")
		addrs := make([]string, n)
		for i := range addrs {
			addrs[i] = string(rune('a' + i))
		}
		p := &servers{}
		if err := p.Init(addrs); err != nil || p.Len() != n {
			t.Fatal(err, p.Len())
		}
		round := n + 1 // the first pause comes before the second attempt at the first server
		for range 4 {
			tried := map[string]bool{}
			for i := range rapid.IntRange(1, round).Draw(t, "attempts") {
				addr, pause := p.Next()
				if pause != (i == round-1) {
					t.Fatalf("attempt %d of a round of %d: pause %v", i+1, round, pause)
				}
				if tried[addr] && !pause {
					t.Fatalf("%s tried twice without a pause", addr)
				}
				tried[addr] = true
			}
			p.Connected()
			round = n // the server that worked last comes last
		}
	})
}

// Frames are seen whole however the stream is cut.
func TestFramesFollowTheStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		heads := rapid.SliceOfN(rapid.Uint32(), 0, 10).Draw(t, "heads")
		var stream []byte
		for _, h := range heads {
			rest := rapid.IntRange(0, 20).Draw(t, "rest")
			stream = binary.BigEndian.AppendUint32(stream, uint32(4+rest))
			stream = binary.BigEndian.AppendUint32(stream, h)
			stream = append(stream, make([]byte, rest)...)
		}
		var f frames
		var got []uint32
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "read")
			f.feed(stream[:n], func(h uint32) { got = append(got, h) })
			stream = stream[n:]
		}
		if len(got) != len(heads) {
			t.Fatalf("%d frames, expected %d", len(got), len(heads))
		}
		for i := range got {
			if got[i] != heads[i] {
				t.Fatalf("frame %d begins with %x, expected %x", i, got[i], heads[i])
			}
		}
	})
}
