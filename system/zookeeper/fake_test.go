package zookeeper

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// fakeServer speaks just enough of ZooKeeper's protocol to misbehave on purpose.
type fakeServer struct {
	addr string

	mu      sync.Mutex
	silent  bool // accepts connections and answers nothing
	expired bool // answers a session that comes back with its expiry
	mute    bool // answers no request after the connect response
	dials   int
	conns   []net.Conn
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{addr: l.Addr().String()}
	t.Cleanup(func() {
		_ = l.Close()
		f.drop()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.dials++
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			go f.serve(c)
		}
	}()
	return f
}

func (f *fakeServer) set(change func(f *fakeServer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// drop closes all connections.
func (f *fakeServer) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

func (f *fakeServer) dialled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

func readFrame(c net.Conn) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

func writeFrame(c net.Conn, b []byte) {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	_, _ = c.Write(append(out, b...))
}

func (f *fakeServer) serve(c net.Conn) {
	defer c.Close()
	b, err := readFrame(c)
	if err != nil {
		return
	}
	f.mu.Lock()
	silent, expired := f.silent, f.expired
	f.mu.Unlock()
	if silent {
		_, _ = io.Copy(io.Discard, c) // until the client gives up
		return
	}
	timeout := binary.BigEndian.Uint32(b[12:])
	id := uint64(0x1234)
	if binary.BigEndian.Uint64(b[16:]) != 0 && expired {
		id = 0
	}
	r := binary.BigEndian.AppendUint32(nil, 0)
	r = binary.BigEndian.AppendUint32(r, timeout)
	r = binary.BigEndian.AppendUint64(r, id)
	r = binary.BigEndian.AppendUint32(r, 16)
	writeFrame(c, append(r, make([]byte, 16)...))
	for {
		b, err := readFrame(c)
		if err != nil {
			return
		}
		f.mu.Lock()
		mute := f.mute
		f.mu.Unlock()
		if mute {
			continue
		}
		r := append([]byte(nil), b[:4]...) // the request's xid
		r = binary.BigEndian.AppendUint64(r, 1)
		r = binary.BigEndian.AppendUint32(r, 0)
		if int32(binary.BigEndian.Uint32(b[4:])) == 9 { // sync: the path comes back
			r = append(r, b[8:]...)
		}
		writeFrame(c, r)
	}
}

// within fails the test if f does not return in time; the limits are far from what is expected.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: not within %v", what, limit)
	}
}
