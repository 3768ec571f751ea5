// Package hostports gives a run fixed ports on this machine's loopback interface, so that a node that is restarted or
// replaced keeps its address.
//
// Ports come from below the range that the kernel gives to outgoing connections: while a node is down its port is free,
// and an outgoing connection could otherwise take it. Each run has a block of ports to itself, so two runs on one machine do
// not collide even while their nodes are down. It holds the block by listening on its first port: unlike a file, that is seen
// by whoever shares the ports, whatever folder each works in.
package hostports

import (
	"fmt"
	"net"
	"os"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

const (
	first  = 20_000
	last   = 31_999 // outgoing connections start at 32768 on Linux
	blocks = 100
	size   = (last - first + 1) / blocks
)

// Block is a run's own range of ports.
type Block struct {
	held       net.Listener
	next, end  int
	start      int
	used, busy int
}

// Acquire takes a block that no other run on this machine has.
func Acquire() (*Block, error) {
	// Runs begin at different places, so that a port just given back is not taken again at once.
	offset := os.Getpid() % blocks
	var last error
	for i := range blocks {
		start := first + (offset+i)%blocks*size
		held, err := net.Listen("tcp4", address(start))
		if err == nil {
			return &Block{held: held, start: start, next: start + 1, end: start + size}, nil
		}
		last = err
	}
	return nil, &docker.Error{What: "no free block of ports", Why: fmt.Sprintf("%d other runs on this machine hold them all", blocks),
		Fix: "wait for one of them to end", Err: last}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Take returns the next port of the block that nobody listens on.
func (b *Block) Take() (int, error) {
	for b.next < b.end {
		port := b.next
		b.next++
		if Free(port) {
			b.used++
			return port, nil
		}
		b.busy++
	}
	return 0, &docker.Error{What: "no free port", Fix: "stop what listens there (ss -ltnp), or make the topology smaller",
		Why: fmt.Sprintf("of 127.0.0.1:%d to %d this run has %d and other programs have %d", b.start, b.end-1, b.used, b.busy)}
}

// Free tells whether nobody listens on a loopback port now.
func Free(port int) bool {
	l, err := net.Listen("tcp4", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Release gives the block back.
func (b *Block) Release() { _ = b.held.Close() }
