package process

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/planted"
)

// alone is a role whose servers are not there: nobody listens on these ports.
func alone(t *testing.T, role system.Role) Config {
	t.Helper()
	c := good()
	c.Role, c.Node, c.Listen, c.Data = role, string(role)+"3", freeAddress(t), t.TempDir()
	c.Peers["retriever3"] = freeAddress(t)
	if c.PeerListen = ""; role == system.RoleRetriever || role == system.RoleQuery {
		c.PeerListen = freeAddress(t)
	}
	c.Kafka, c.ZooKeeper = []string{freeAddress(t)}, []string{freeAddress(t)}
	c.MySQL, c.S3.Endpoint = "u:p@tcp("+freeAddress(t)+")/db", "http://"+freeAddress(t)
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A role bears with servers that are not up yet, answers meanwhile, and ends cleanly. A shepherd is well without them; a
// retriever says that it does not hold its claim.
func TestARoleServesWithoutItsServers(t *testing.T) {
	t.Parallel()
	for role, health := range map[system.Role]int{
		system.RoleShepherd: http.StatusOK, system.RoleRetriever: http.StatusServiceUnavailable, system.RoleQuery: http.StatusOK,
	} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			c := alone(t, role)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, c, planted.Set{}, slog.New(slog.DiscardHandler)) }()
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
			for {
				res, err := client.Get("http://" + c.Listen + "/healthz")
				if err == nil {
					res.Body.Close()
					if res.StatusCode != health {
						t.Errorf("healthz: %s, expected %d", res.Status, health)
					}
					break
				}
				select {
				case err := <-ended:
					t.Fatalf("it ended: %v", err)
				case <-time.After(10 * time.Millisecond):
				}
			}
			// What peers ask, which takes no key, is served at an address of its own and nowhere else.
			for address, served := range map[string]bool{c.Listen: false, c.PeerListen: true} {
				if address == "" {
					continue
				}
				res, err := client.Post("http://"+address+pathPeer+"none", "application/octet-stream", strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if got := res.StatusCode == statusPeerError; got != served {
					t.Errorf("%s answers a peer with %s, served: %v", address, res.Status, served)
				}
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("a clean end: %v", err)
			}
			if c, err := net.Dial("tcp4", c.Listen); err == nil {
				c.Close()
				t.Error("it still listens after its end")
			}
		})
	}
}

func TestARoleWhosePortIsTakenSaysSo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := alone(t, system.RoleRetriever)
	c.Listen = l.Addr().String()
	if err := Run(t.Context(), c, planted.Set{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
	c.Node = ""
	if err := Run(t.Context(), c, planted.Set{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "node: missing") {
		t.Errorf("got %v", err)
	}
}
