package process

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// echo answers "echo" with what it was sent; other services fail.
type echo struct{ began chan context.Context }

// ServePeer implements port.PeerServer.
func (e echo) ServePeer(ctx context.Context, service string, request []byte) ([]byte, error) {
	switch service {
	case "echo":
		return request, nil
	case "hang":
		e.began <- ctx
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("no such service as " + service)
}

func serving(t *testing.T) (*peers, *rt.Wall, echo) {
	t.Helper()
	wall := rt.NewWall(1)
	t.Cleanup(wall.Kill)
	e := echo{began: make(chan context.Context, 1)}
	srv := httptest.NewServer(servePeers(wall, e))
	t.Cleanup(srv.Close)
	p := newPeers(wall, map[string]string{"r1": strings.TrimPrefix(srv.URL, "http://"), "gone": freeAddress(t)})
	t.Cleanup(p.close)
	return p, wall, e
}

func TestPeersGetReplies(t *testing.T) {
	t.Parallel()
	p, _, _ := serving(t)
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, 4000).Draw(rt, "request")
		got, err := p.Call(t.Context(), "r1", "echo", want)
		if err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("got %v %v, want %v", got, err, want)
		}
	})
}

func TestPeersFailures(t *testing.T) {
	t.Parallel()
	p, wall, e := serving(t)
	_, err := p.Call(t.Context(), "r1", "dance/now", nil)
	var own *port.PeerError
	if !errors.As(err, &own) || own.Node != "r1" || own.Service != "dance/now" || !strings.Contains(own.Text, "no such service as dance/now") || errors.Is(err, port.ErrRefused) {
		t.Errorf("a service's error: %v", err)
	}
	for _, node := range []string{"gone", "nobody"} {
		if _, err := p.Call(t.Context(), node, "echo", nil); !errors.Is(err, port.ErrRefused) {
			t.Errorf("%s: %v, want it refused", node, err)
		}
	}
	if _, err := p.Call(t.Context(), "r1", "echo", make([]byte, maxPeerRequest+1)); !errors.Is(err, port.ErrRefused) {
		t.Errorf("a request too long: %v", err)
	}
	// The server is told how long the caller waits.
	ctx, cancel := wall.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := p.Call(ctx, "r1", "hang", nil); err == nil || errors.Is(err, port.ErrRefused) {
		t.Errorf("a call that timed out: %v, want an unknown outcome", err)
	}
	served := <-e.began
	<-served.Done() // it ends too
	if _, ok := served.Deadline(); !ok {
		t.Error("the service was not told of the caller's deadline")
	}
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	p, _, _ := serving(t)
	post := func(body string, timeout string) int {
		req, err := http.NewRequest(http.MethodPost, "http://"+p.addresses["r1"]+pathPeer+"echo", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(headerTimeout, timeout)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := post(strings.Repeat("x", maxPeerRequest+1), "1000"); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too long: %d", got)
	}
	for _, bad := range []string{"soon", "-1", "0", "99999999999999999999"} {
		if got := post("x", bad); got != http.StatusBadRequest {
			t.Errorf("timeout %q: %d", bad, got)
		}
	}
	for _, size := range []int64{-1, 11} {
		if _, err := readBounded(strings.NewReader("0123456789x"), size, 10); !errors.Is(err, errTooLong) {
			t.Errorf("eleven of ten bytes, announced as %d: %v", size, err)
		}
	}
	// An announced length is not believed.
	if got, err := readBounded(strings.NewReader("abc"), 1<<40, 1<<41); err != nil || string(got) != "abc" {
		t.Errorf("got %q %v", got, err)
	}
}
