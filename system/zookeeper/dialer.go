package zookeeper

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// dialer opens the connections of one session, one at a time, and none once the session is over.
type dialer struct {
	answerTimeout time.Duration

	mu      sync.Mutex
	over    bool
	current net.Conn
	closed  bool // the ensemble has answered the session's close request
}

var errOver = errors.New("the session is over")

func (d *dialer) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	d.mu.Lock()
	over := d.over
	d.mu.Unlock()
	if over {
		return nil, errOver
	}
	c, err := (&net.Dialer{Timeout: timeout}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	w := &conn{Conn: c, d: d, until: time.Now().Add(d.answerTimeout)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		_ = c.Close()
		return nil, errOver
	}
	d.current = w
	return w, nil
}

// stop refuses further connections.
func (d *dialer) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}

// cut closes the connection there is, if any.
func (d *dialer) cut() {
	d.mu.Lock()
	c := d.current
	d.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

func (d *dialer) closeAnswered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// opClose is the operation code that ends a session (ZooDefs.OpCode.closeSession).
const opClose = -11

// conn bounds the wait for the connect response, which is the first frame, and watches for the answer to the close
// request. go-zookeeper reads from one goroutine, and writes each request whole.
type conn struct {
	net.Conn
	d     *dialer
	until time.Time // for the connect response

	mu         sync.Mutex
	answered   bool // the connect response is complete
	writes     int
	closing    bool
	closingXID int32

	frame frames // used by the reader only
}

// SetReadDeadline implements net.Conn. Before the connect response no deadline, or none at all, goes beyond its bound.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	answered := c.answered
	c.mu.Unlock()
	if !answered && (t.IsZero() || t.After(c.until)) {
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.frame.feed(b[:n], func(head uint32) {
		c.mu.Lock()
		first := !c.answered
		c.answered = true
		ended := !first && c.closing && int32(head) == c.closingXID
		c.mu.Unlock()
		if first {
			_ = c.Conn.SetReadDeadline(time.Time{})
		}
		if ended {
			c.d.mu.Lock()
			c.d.closed = true
			c.d.mu.Unlock()
		}
	})
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	if c.writes > 1 && len(b) >= 12 && int32(binary.BigEndian.Uint32(b[8:])) == opClose {
		c.closing, c.closingXID = true, int32(binary.BigEndian.Uint32(b[4:]))
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// frames follows a stream of length-prefixed frames.
type frames struct {
	prefix [4]byte
	head   [4]byte // the first bytes of the frame
	read   int     // of the frame with its prefix
	length int
}

// feed calls done for each frame that is complete, with its first four bytes.
func (f *frames) feed(b []byte, done func(head uint32)) {
	for len(b) > 0 {
		if f.read < 4 {
			n := copy(f.prefix[f.read:], b)
			f.read += n
			b = b[n:]
			if f.read == 4 {
				f.length = int(binary.BigEndian.Uint32(f.prefix[:]))
			}
		} else {
			n := min(len(b), 4+f.length-f.read)
			if f.read < 8 {
				copy(f.head[f.read-4:], b[:n])
			}
			f.read += n
			b = b[n:]
		}
		if f.read >= 4 && f.read == 4+f.length {
			done(binary.BigEndian.Uint32(f.head[:]))
			*f = frames{}
		}
	}
}
