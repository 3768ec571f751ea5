package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// serving starts a proxy in front of target and returns it with its control client.
func serving(t *testing.T, kind Kind, target string) (*Proxy, *Client) {
	t.Helper()
	p, err := Listen(Config{Kind: kind, Listen: "127.0.0.1:0", Target: target, Control: "127.0.0.1:0", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		transport.CloseIdleConnections()
	})
	c := NewClient("http://"+p.ControlAddr(), transport)
	if err := c.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, c
}

func set(t *testing.T, c *Client, f Faults) {
	t.Helper()
	if err := c.Set(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func counts(t *testing.T, c *Client) Counts {
	t.Helper()
	n, err := c.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// store is an object store that counts what it has done.
func store(t *testing.T) (addr string, done *atomic.Int64) {
	t.Helper()
	done = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		done.Add(1)
		w.Header().Set("Seen", r.Host+"|"+r.Header.Get("Accept-Encoding")+"|"+r.Header.Get("User-Agent"))
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), done
}

// put sends an object as an SDK does; seen is what the store says of the request.
func put(t *testing.T, addr, body string) (status int, seen, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+"/b/k", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "signed:9000"
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "sdk")
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header.Get("Seen"), string(data), err
}

func TestS3PassesRequestsAsTheyAre(t *testing.T) {
	t.Parallel()
	target, done := store(t)
	p, c := serving(t, KindS3, target)
	_, seen, text, err := put(t, p.Addr(), "data")
	if err != nil || text != "data" || seen != "signed:9000|identity|sdk" || done.Load() != 1 {
		t.Errorf("got %v %q %q, done %d", err, text, seen, done.Load())
	}
	if n := counts(t, c); n != (Counts{Requests: 1}) {
		t.Errorf("counts %+v", n)
	}
}

func TestS3FailuresAreRefusedOrWithheld(t *testing.T) {
	t.Parallel()
	target, done := store(t)
	p, c := serving(t, KindS3, target)
	set(t, c, Faults{Errors: 1})
	var refused, cut int64
	for range 40 {
		before := done.Load()
		status, _, text, err := put(t, p.Addr(), "data")
		switch {
		case err != nil: // no answer
			cut++
			if done.Load() != before+1 {
				t.Error("an answer was withheld of a request that the store never had")
			}
		case status == http.StatusServiceUnavailable && strings.Contains(text, "<Code>SlowDown</Code>"):
			refused++
			if done.Load() != before {
				t.Error("a refused request reached the store")
			}
		default:
			t.Errorf("got %d %q", status, text)
		}
	}
	if n := counts(t, c); n.Refused != refused || n.Cut != cut || refused == 0 || cut == 0 || n.Requests != 40 {
		t.Errorf("clients saw %d refused and %d without an answer, the proxy counts %+v", refused, cut, n)
	}
	set(t, c, Faults{})
	if _, _, text, err := put(t, p.Addr(), "data"); err != nil || text != "data" {
		t.Errorf("after the fault: %q %v", text, err)
	}
}

func TestS3Delay(t *testing.T) {
	t.Parallel()
	target, _ := store(t)
	p, c := serving(t, KindS3, target)
	const delay = 60 * time.Millisecond
	set(t, c, Faults{Delay: delay})
	began := time.Now()
	if _, _, _, err := put(t, p.Addr(), "x"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("answered after %v, want %v at least", took, delay)
	}
	if n := counts(t, c); n.Delayed != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestS3WithNobodyBehind(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p, _ := serving(t, KindS3, addr)
	if status, _, _, err := put(t, p.Addr(), "x"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("got %d %v, want 503: the request certainly had no effect", status, err)
	}
}

// database is a server that speaks just enough of MySQL's protocol: it greets, accepts whoever comes, and answers every
// command with OK and a count.
type database struct {
	mu   sync.Mutex
	done int
}

func (d *database) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(c)
		}
	}()
	return l.Addr().String()
}

// greeting offers encryption and compression.
func greeting() []byte {
	g := append([]byte{10}, "9.7.4\x00"...)
	g = append(g, 1, 0, 0, 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 0)
	return append(g, 0xff, 0xff, 0xff, 2, 0, 0xff, 0xff)
}

func packet(seq byte, body []byte) []byte {
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), seq}, body...)
}

func readPacket(c io.Reader) (seq byte, body []byte, err error) {
	var h [4]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, length(h[:]))
	_, err = io.ReadFull(c, body)
	return h[3], body, err
}

func (d *database) serve(c net.Conn) {
	defer c.Close()
	_, _ = c.Write(packet(0, greeting()))
	if _, _, err := readPacket(c); err != nil { // the handshake's response
		return
	}
	_, _ = c.Write(packet(2, []byte{0}))
	for {
		_, body, err := readPacket(c)
		if err != nil || body[0] == comQuit {
			return
		}
		if body[0] == comStmtClose {
			continue
		}
		d.mu.Lock()
		d.done++
		d.mu.Unlock()
		_, _ = c.Write(packet(1, append([]byte{0}, body[1:]...)))
	}
}

func (d *database) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// login connects through a proxy as a client does.
func login(t *testing.T, addr string) (net.Conn, []byte) {
	t.Helper()
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, hello, err := readPacket(c)
	if err != nil {
		t.Fatal(err)
	}
	if hello[0] == 0xff {
		return c, hello
	}
	_, _ = c.Write(packet(1, []byte("me")))
	if seq, body, err := readPacket(c); err != nil || seq != 2 || body[0] != 0 {
		t.Fatalf("login: %d %q %v", seq, body, err)
	}
	return c, hello
}

// ask sends a statement and returns the first byte of the answer: 0 is OK, 0xff an error.
func ask(c net.Conn, text string) (byte, string, error) {
	if _, err := c.Write(packet(0, append([]byte{3}, text...))); err != nil {
		return 0, "", err
	}
	_, body, err := readPacket(c)
	if err != nil {
		return 0, "", err
	}
	return body[0], string(body[1:]), nil
}

func TestMySQLPassesCommands(t *testing.T) {
	t.Parallel()
	db := &database{}
	p, control := serving(t, KindMySQL, db.listen(t))
	c, hello := login(t, p.Addr())
	if caps := uint16(hello[20]) | uint16(hello[21])<<8; caps != 0xffff&^(clientSSL|clientCompress) {
		t.Errorf("the greeting offers %#x", caps)
	}
	for range 3 {
		if code, text, err := ask(c, "SELECT 1"); err != nil || code != 0 || text != "SELECT 1" {
			t.Errorf("got %d %q %v", code, text, err)
		}
		_, _ = c.Write(packet(0, []byte{comStmtClose, 1, 0, 0, 0}))
	}
	if n := counts(t, control); n != (Counts{Requests: 3}) {
		t.Errorf("counts %+v", n)
	}
}

func TestMySQLFailuresAreRefusedOrWithheld(t *testing.T) {
	t.Parallel()
	db := &database{}
	p, control := serving(t, KindMySQL, db.listen(t))
	var refused, cut int64
	for range 40 {
		set(t, control, Faults{})
		c, _ := login(t, p.Addr())
		if _, _, err := ask(c, "BEGIN"); err != nil {
			t.Fatal(err)
		}
		set(t, control, Faults{Errors: 1})
		before := db.count()
		code, text, err := ask(c, "INSERT")
		switch {
		case err != nil:
			cut++
			if db.count() != before+1 {
				t.Error("an answer was withheld of a statement that the server never had")
			}
		case code == 0xff && strings.Contains(text, "shutdown"):
			refused++
			if db.count() != before {
				t.Error("a refused statement reached the server")
			}
			if _, _, err := ask(c, "COMMIT"); err == nil {
				t.Error("the connection goes on after a refusal: what it had begun could still take effect")
			}
		default:
			t.Errorf("got %d %q", code, text)
		}
	}
	if n := counts(t, control); n.Refused != refused || n.Cut != cut || refused == 0 || cut == 0 {
		t.Errorf("clients saw %d refused and %d without an answer, the proxy counts %+v", refused, cut, n)
	}
}

func TestMySQLDelayAndNobodyBehind(t *testing.T) {
	t.Parallel()
	db := &database{}
	p, control := serving(t, KindMySQL, db.listen(t))
	c, _ := login(t, p.Addr())
	const delay = 60 * time.Millisecond
	set(t, control, Faults{Delay: delay})
	began := time.Now()
	if code, _, err := ask(c, "SELECT 1"); err != nil || code != 0 || time.Since(began) < delay {
		t.Errorf("%d %v after %v", code, err, time.Since(began))
	}
	alone, _ := serving(t, KindMySQL, "127.0.0.1:1")
	if _, hello := login(t, alone.Addr()); hello[0] != 0xff {
		t.Errorf("with nobody behind the greeting is %q, want an error that is certain", hello)
	}
}

// A packet of any size and content passes unchanged, and only whole commands are counted.
func TestMySQLPacketsOfAnySize(t *testing.T) {
	t.Parallel()
	db := &database{}
	p, _ := serving(t, KindMySQL, db.listen(t))
	c, _ := login(t, p.Addr())
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 2000, -1).Draw(t, "text")
		if code, got, err := ask(c, text); err != nil || code != 0 || got != text {
			t.Fatalf("got %d %q %v", code, got, err)
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add(greeting())
	f.Add([]byte{10, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		before := len(data)
		mask(data)
		if len(data) != before {
			t.Error("the greeting's length changed")
		}
	})
}

func TestControlRefusesNonsense(t *testing.T) {
	t.Parallel()
	target, _ := store(t)
	p, c := serving(t, KindS3, target)
	for _, f := range []Faults{{Errors: 1.5}, {Errors: -1}, {Delay: -1}, {Delay: 2 * MaxDelay}} {
		if err := c.Set(t.Context(), f); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%+v: %v", f, err)
		}
	}
	for _, body := range []string{"", "{", `{"rate":1}`, strings.Repeat(" ", maxBody+1) + "{}"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+p.ControlAddr()+pathFaults, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: %s", body, res.Status)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if err := (Config{}).Check(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("an empty configuration should tell all of its faults, got %v", err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(Config{Kind: KindS3, Listen: l.Addr().String(), Target: "a:1", Control: "127.0.0.1:0"})
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("a port that is taken: %v", err)
	}
}
