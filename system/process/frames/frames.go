// Package frames is the connections of a gRPC server on net/http without TLS, with fewer system calls. HTTP/2 there reads a
// frame's head and its content one after the other from the connection, and writes what there is whenever a frame is done: an
// answer's head, message and trailers each for itself, and what the client may send each time that something was read. Here
// frames are read together, and those that nobody waits for are written with the next that somebody does.
package frames

import (
	"bufio"
	"encoding/binary"
	"net"
)

const (
	// readBuffer is what a connection reads at once, and takes for as long as it lives.
	readBuffer = 32 << 10
	// mostHeld is how much is written later at most.
	mostHeld = 4 << 10
)

// Listen makes the connections that l accepts read and write frames together. window is how much the server lets a client
// send ahead: a quarter of it may have been read without the client's being told.
func Listen(l net.Listener, window int) net.Listener { return &listener{l, window / 4} }

type listener struct {
	net.Listener
	untold int
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, readBuffer), most: l.untold}, nil
}

// conn is a connection that one goroutine at a time reads and one at a time writes, as a server does.
type conn struct {
	net.Conn
	in *bufio.Reader

	held   []byte // to be written with what comes next
	most   int    // of untold
	untold int    // bytes that the client may send and was not told yet
	start  []byte // of the frame that is being written, until it is known what it is
	left   int    // bytes of that frame that come after its start
	urgent bool   // somebody waits for that frame
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write implements net.Conn. An error may be that of an earlier one.
func (c *conn) Write(p []byte) (int, error) {
	awaited := c.follow(p)
	if !awaited && len(c.held)+len(p) <= mostHeld {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	out := p
	if len(c.held) > 0 {
		c.held = append(c.held, p...)
		out = c.held
	}
	c.held, c.untold = c.held[:0], 0
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Of HTTP/2 (RFC 9113, sections 4.1 and 6) and gRPC.
const (
	sizeOfHead    = 9 // of a frame: the length of its content, type, flags, stream
	sizeOfMessage = 5 // of a message's head: whether it is compressed, its length
	sizeOfStart   = sizeOfHead + sizeOfMessage
	typeData      = 0
	typeHeaders   = 1
	typeWindow    = 8
	flagEnd       = 1
	statusOK      = 0x88 // ":status: 200" as the first field of an answer's head (RFC 7541, appendix A)
	maxIncrement  = 1<<31 - 1
)

// follow goes through what is written and says whether somebody waits for it.
func (c *conn) follow(p []byte) (awaited bool) {
	for len(p) > 0 {
		if c.left > 0 {
			n := min(c.left, len(p))
			p, c.left = p[n:], c.left-n
			awaited = awaited || c.urgent
			continue
		}
		n := min(c.missing(), len(p))
		c.start, p = append(c.start, p[:n]...), p[n:]
		if c.missing() > 0 {
			continue
		}
		c.left = sizeOfHead + c.length() - len(c.start)
		c.urgent = c.awaited()
		awaited = awaited || c.urgent
		c.start = c.start[:0]
	}
	return awaited
}

// missing is how many bytes of the frame's start are still to come.
func (c *conn) missing() int {
	if len(c.start) < sizeOfHead {
		return sizeOfHead - len(c.start)
	}
	return min(sizeOfStart, sizeOfHead+c.length()) - len(c.start)
}

// length is that of the frame's content.
func (c *conn) length() int { return int(c.start[0])<<16 | int(c.start[1])<<8 | int(c.start[2]) }

// awaited says whether somebody waits for the frame that has begun. Nobody does for the head of an answer, which its message
// follows, nor for a message that is there as a whole, which the trailers follow; a part of one may be all that the client lets
// the server send. A client waits for being told what it may send only when it may send nothing more.
func (c *conn) awaited() bool {
	content := c.start[sizeOfHead:]
	switch end := c.start[4]&flagEnd != 0; {
	case end:
	case c.start[3] == typeData && len(content) == sizeOfMessage:
		return c.length() != sizeOfMessage+int(binary.BigEndian.Uint32(content[1:]))
	case c.start[3] == typeHeaders && len(content) > 0:
		return content[0] != statusOK
	case c.start[3] == typeWindow && len(content) == 4:
		if binary.BigEndian.Uint32(c.start[5:]) == 0 { // for the connection: its streams are told as much, or less
			c.untold += int(binary.BigEndian.Uint32(content) & maxIncrement)
		}
		return c.untold > c.most
	}
	return true
}
