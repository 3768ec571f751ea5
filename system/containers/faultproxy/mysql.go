package faultproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout is short: on the same machine the kernel answers at once, or nobody is there.
const dialTimeout = 500 * time.Millisecond

// Commands of the MySQL protocol that get no answer, and the one that ends a connection.
const (
	comQuit             = 0x01
	comStmtSendLongData = 0x18
	comStmtClose        = 0x19
)

// maxPacket is the largest payload of one packet; longer payloads continue in the next.
const maxPacket = 1<<24 - 1

// mysqlProxy carries MySQL connections.
type mysqlProxy struct {
	target string
	dice   *dice
}

// serve accepts connections until the listener is closed, and then ends them all.
func (p *mysqlProxy) serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		conns.Go(func() { p.carry(ctx, c) })
	}
}

// carry carries one connection to its end.
func (p *mysqlProxy) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil {
		// A server may answer a connection with an error instead of a greeting. Nobody is behind: certain for the client.
		_, _ = client.Write(errPacket(0, errShutdown, "08S01", "the server behind the proxy is away"))
		return
	}
	defer server.Close()
	go func() { // whatever ends first ends both
		<-ctx.Done()
		_ = client.Close()
		_ = server.Close()
	}()
	if !greet(client, server) {
		return
	}
	s := &session{proxy: p, client: client, server: server, gone: cancel}
	var answers sync.WaitGroup
	answers.Go(s.answers)
	s.commands(ctx)
	cancel()
	answers.Wait()
}

// session is one connection after its greeting. Its client asks one thing at a time: it sends a command only after it has
// read the answer to the one before.
type session struct {
	proxy          *mysqlProxy
	client, server net.Conn
	withhold       atomic.Bool // the next bytes from the server are an answer that must not arrive
	gone           context.CancelFunc
}

// commands passes what the client sends, each command to its fate, until the connection ends.
func (s *session) commands(ctx context.Context) {
	var header [5]byte // of a packet: length, sequence number; and a command's first byte
	for {
		if _, err := io.ReadFull(s.client, header[:4]); err != nil {
			return
		}
		size, seq := length(header[:]), header[3]
		if seq != 0 || size == 0 { // a part of the handshake, or the rest of a command
			if !s.pass(header[:4], size) {
				return
			}
			continue
		}
		if _, err := io.ReadFull(s.client, header[4:]); err != nil {
			return
		}
		switch header[4] {
		case comQuit, comStmtClose, comStmtSendLongData:
		default:
			f := s.proxy.dice.roll()
			if !hold(ctx, f.delay) {
				return
			}
			if f.refuse {
				s.refuse(size)
				return
			}
			s.withhold.Store(f.cut)
		}
		if !s.pass(header[:], size-1) {
			return
		}
	}
}

// pass sends what was read of a packet, and the rest of it, to the server.
func (s *session) pass(read []byte, rest int) bool {
	if _, err := s.server.Write(read); err != nil {
		return false
	}
	_, err := io.CopyN(s.server, s.client, int64(rest))
	return err == nil
}

// refuse answers a command with an error and ends the connection, so that the server rolls back what the connection had
// begun: nothing of it can take effect later.
func (s *session) refuse(size int) {
	for rest := size - 1; ; { // closing while bytes are unread would reset the connection, and the answer with it
		if _, err := io.CopyN(io.Discard, s.client, int64(rest)); err != nil {
			return
		}
		if size < maxPacket {
			break
		}
		var header [4]byte
		if _, err := io.ReadFull(s.client, header[:]); err != nil {
			return
		}
		size = length(header[:])
		rest = size
	}
	s.proxy.dice.refused()
	cork(s.client)
	_, _ = s.client.Write(errPacket(1, errShutdown, "08S01", "Server shutdown in progress"))
}

// answers passes what the server sends.
func (s *session) answers() {
	defer s.gone()
	buf := make([]byte, 32<<10)
	for {
		n, err := s.server.Read(buf)
		if n > 0 && s.withhold.Load() {
			// The answer has come, so the server has done it.
			s.proxy.dice.cut()
			return
		}
		if n > 0 {
			if _, err := s.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Capabilities that would hide what goes over the connection.
const (
	clientCompress = 0x0020
	clientSSL      = 0x0800
)

// greet passes the server's first packet on, without the offer of encryption and compression.
func greet(client io.Writer, server io.Reader) bool {
	var header [4]byte
	if _, err := io.ReadFull(server, header[:]); err != nil {
		return false
	}
	size := length(header[:])
	if size > 64<<10 {
		return false // no greeting is that long
	}
	packet := make([]byte, 4+size)
	copy(packet, header[:])
	if _, err := io.ReadFull(server, packet[4:]); err != nil {
		return false
	}
	mask(packet[4:])
	_, err := client.Write(packet)
	return err == nil
}

// mask clears capabilities in a greeting of protocol version 10: its number, the server's version ending in a zero, 4 bytes
// of connection, 8 of a challenge, a zero, and then the lower half of the capabilities.
func mask(greeting []byte) {
	if len(greeting) == 0 || greeting[0] != 10 {
		return
	}
	for i := 1; i < len(greeting); i++ {
		if greeting[i] != 0 {
			continue
		}
		if at := i + 1 + 4 + 8 + 1; at+2 <= len(greeting) {
			caps := binary.LittleEndian.Uint16(greeting[at:])
			binary.LittleEndian.PutUint16(greeting[at:], caps&^(clientSSL|clientCompress))
		}
		return
	}
}

// length is that of a packet's payload.
func length(header []byte) int { return int(header[0]) | int(header[1])<<8 | int(header[2])<<16 }

// errShutdown is ER_SERVER_SHUTDOWN: what a server answers that is about to go away.
const errShutdown = 1053

// errPacket encodes an error as a server sends it. In place of a greeting (seq 0) it carries no state.
func errPacket(seq byte, code uint16, state, text string) []byte {
	body := []byte{0xff, byte(code), byte(code >> 8)}
	if seq > 0 {
		body = append(append(body, '#'), state...)
	}
	body = append(body, text...)
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), seq}, body...)
}
