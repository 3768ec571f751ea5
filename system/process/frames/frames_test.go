package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// wire is what a connection has written, and how often.
type wire struct {
	net.Conn
	bytes.Buffer
	writes int
	err    error
}

func (w *wire) Write(p []byte) (int, error) {
	w.writes++
	if w.err != nil {
		return 0, w.err
	}
	return w.Buffer.Write(p)
}

func (w *wire) Read(p []byte) (int, error) { return w.Buffer.Read(p) }

// frame is one frame, and whether somebody waits for it by itself.
type frame struct {
	bytes   []byte
	awaited bool
	grants  int // bytes that the client may send more
}

func made(write func(f *http2.Framer) error) []byte {
	var out bytes.Buffer
	if err := write(http2.NewFramer(&out, nil)); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func message(size int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(size)), make([]byte, size)...)
}

func head(first byte, end bool) []byte {
	return made(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{first, 0xbf, 0xbe}, EndStream: end, EndHeaders: true})
	})
}

func data(content []byte, end bool) []byte {
	return made(func(f *http2.Framer) error { return f.WriteData(3, end, content) })
}

func granted(stream uint32, n int) []byte {
	return made(func(f *http2.Framer) error { return f.WriteWindowUpdate(stream, uint32(n)) })
}

const window = 1000

// TestWhatNobodyWaitsFor is which frames are held.
func TestWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		frame []byte
		held  bool
	}{
		"an answer's head":            {head(statusOK, false), true},
		"a head that is all":          {head(statusOK, true), false},
		"go on":                       {head(0x08, false), false}, // a status that is no 200
		"trailers":                    {head(0xbf, true), false},
		"no head at all":              {made(func(f *http2.Framer) error { return f.WriteContinuation(3, true, nil) }), false},
		"a message":                   {data(message(0), false), true},
		"a message of some length":    {data(message(700), false), true},
		"the last message":            {data(message(0), true), false},
		"a part of a message":         {data(message(700)[:100], false), false},
		"less than a message's head":  {data([]byte{0, 0}, false), false},
		"nothing":                     {data(nil, false), false},
		"two messages":                {data(append(message(3), message(4)...), false), false},
		"a message too long to hold":  {data(message(mostHeld), false), false},
		"settings":                    {made(func(f *http2.Framer) error { return f.WriteSettings() }), false},
		"an answer to a ping":         {made(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1}) }), false},
		"the end of a stream":         {made(func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeCancel) }), false},
		"the end of all":              {made(func(f *http2.Framer) error { return f.WriteGoAway(3, http2.ErrCodeNo, nil) }), false},
		"a little more to send":       {granted(0, window/4), true},
		"a lot more to send":          {granted(0, window/4+1), false},
		"more to send for a stream":   {granted(3, window), true},
		"what is not HTTP/2":          {[]byte("HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n"), false},
		"what is not HTTP/2 or short": {[]byte("HTTP/1.1 505 HT"), false},
	} {
		w := &wire{}
		conn := &conn{Conn: w, most: window / 4}
		n, err := conn.Write(c.frame)
		if held := w.Len() == 0; n != len(c.frame) || err != nil || held != c.held {
			t.Errorf("%s: %d of %d bytes, %v, held: %v", name, n, len(c.frame), err, held)
		}
	}
}

// TestFramesAreWrittenInOrder: whatever pieces frames are written in, all of them come out as they are, at the latest with the next that
// somebody waits for, and a client never lacks more than a quarter of its window.
func TestFramesAreWrittenInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &wire{}
		conn := &conn{Conn: w, most: window / 4}
		kinds := rapid.SampledFrom([]frame{
			{bytes: head(statusOK, false)}, {bytes: head(0xbf, true), awaited: true}, {bytes: data(message(9), false)}, {bytes: data(message(9)[:8], false), awaited: true},
			{bytes: granted(0, 100), grants: 100}, {bytes: granted(3, 100)}, {bytes: data(message(1500), false)},
			{bytes: made(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) }), awaited: true},
		})
		var want []byte
		untold := 0
		for range rapid.IntRange(1, 40).Draw(t, "frames") {
			f := kinds.Draw(t, "frame")
			want = append(want, f.bytes...)
			before := w.writes
			for p := f.bytes; len(p) > 0; {
				n := rapid.IntRange(1, len(p)).Draw(t, "piece")
				if written, err := conn.Write(p[:n]); written != n || err != nil {
					t.Fatal(written, err)
				}
				p = p[n:]
			}
			if untold += f.grants; w.writes > before {
				untold = 0
			}
			if !bytes.HasPrefix(want, w.Bytes()) {
				t.Fatal("something else was written")
			}
			held := len(want) - w.Len()
			if f.awaited && held > 0 || held > mostHeld || untold > window/4 {
				t.Fatalf("%d bytes are held, the client does not know of %d", held, untold)
			}
		}
		if _, err := conn.Write(made(func(f *http2.Framer) error { return f.WriteSettingsAck() })); err != nil || !bytes.Equal(w.Bytes(), append(want, made(func(f *http2.Framer) error { return f.WriteSettingsAck() })...)) {
			t.Fatalf("%d of %d bytes, %v", w.Len(), len(want), err)
		}
	})
}

// TestErrorsAreTold, of a write also for what was held.
func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	conn := &conn{Conn: &wire{err: broken}, most: window / 4}
	if _, err := conn.Write(head(statusOK, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(head(0xbf, true)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// counted counts what a server asks of its connections.
type counted struct {
	net.Listener
	reads, writes atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countedConn{c, l}, err
}

type countedConn struct {
	net.Conn
	l *counted
}

func (c countedConn) Read(p []byte) (int, error) {
	c.l.reads.Add(1)
	return c.Conn.Read(p)
}

func (c countedConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	return c.Conn.Write(p)
}

// TestARealClient has a gRPC client send messages below and far above the window, all at once and one after the other.
func TestARealClient(t *testing.T) {
	t.Parallel()
	at, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const window = 256 << 10
	l := &counted{Listener: at}
	s := &http.Server{ReadHeaderTimeout: time.Second, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: window, MaxReceiveBufferPerStream: window}}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		answer := fmt.Appendf(nil, "\x0a%c%d", len(fmt.Sprint(n)), n) // a StringValue
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(answer))), answer...))
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(Listen(l, window)) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	c, err := grpc.NewClient(at.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	call := func(ctx context.Context, size int) error {
		var out wrapperspb.StringValue
		err := c.Invoke(ctx, "/a/b", wrapperspb.Bytes(make([]byte, size)), &out)
		if err == nil && len(out.Value) == 0 {
			err = errors.New("no answer")
		}
		return err
	}
	done := make(chan error)
	const atOnce = 40
	for i := range atOnce {
		go func() { done <- call(t.Context(), i*50_000) }()
	}
	for range atOnce {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	const calls = 200
	reads, writes := l.reads.Load(), l.writes.Load()
	for range calls {
		if err := call(t.Context(), 50_000); err != nil {
			t.Fatal(err)
		}
	}
	// Of each call there is one write for the answer, and mostly one for a ping by which the client finds out how far it is.
	if n := l.writes.Load() - writes; n > 3*calls {
		t.Errorf("%d writes for %d calls", n, calls)
	}
	t.Logf("%d reads and %d writes for %d calls", l.reads.Load()-reads, l.writes.Load()-writes, calls)
}
