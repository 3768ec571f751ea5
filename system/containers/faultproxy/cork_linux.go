package faultproxy

import (
	"net"
	"syscall"
)

// cork holds back what is written, so that it travels in one segment with the connection's end: whoever reads the last
// word then sees the end with it, and does not use the connection once more.
func cork(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// Without it all works too, with a client now and then a moment late to notice.
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
}
