//go:build containers

package conformance

import (
	"net"
	"sync"
	"testing"
)

// proxies stand between one client host and the servers, so that the client can be cut off without a connection being
// closed: what is sent meanwhile is held, as by TCP, and delivered after healing.
type proxies struct {
	addrs []string

	mu   sync.Mutex
	cond *sync.Cond
	cut  bool
	over bool
}

// newProxies listens on loopback, once for each server.
func newProxies(t *testing.T, servers []string) *proxies {
	t.Helper()
	p := &proxies{}
	p.cond = sync.NewCond(&p.mu)
	for _, server := range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		p.addrs = append(p.addrs, l.Addr().String())
		go p.accept(l, server)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		p.over = true
		p.cond.Broadcast()
		p.mu.Unlock()
	})
	return p
}

func (p *proxies) set(cut bool) {
	p.mu.Lock()
	p.cut = cut
	p.cond.Broadcast()
	p.mu.Unlock()
}

// pass waits while the client is cut off; false at the end of the test.
func (p *proxies) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut && !p.over {
		p.cond.Wait()
	}
	return !p.over
}

func (p *proxies) accept(l net.Listener, server string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if !p.pass() {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			var both sync.WaitGroup
			both.Go(func() { p.pump(s, c) })
			both.Go(func() { p.pump(c, s) })
			both.Wait()
		}()
	}
}

// pump copies one direction, and closes both ends when it is over.
func (p *proxies) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass() { // also the end of a connection is not seen across a cut
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
