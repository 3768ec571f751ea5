package hostports

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

func TestTwoRunsGetDifferentBlocksAndSkipPortsInUse(t *testing.T) {
	t.Parallel()
	a, err := Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	b, err := Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if a.start == b.start {
		t.Fatalf("two runs share the block at %d", a.start)
	}
	// If another program has the port already, that serves the test as well.
	if l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", b.next)); err == nil {
		defer l.Close()
	}
	taken := b.next
	port, err := b.Take()
	if err != nil {
		t.Fatal(err)
	}
	if port == taken {
		t.Fatalf("got port %d, which is in use", port)
	}
	if port < first || port > last {
		t.Fatalf("port %d is outside %d to %d", port, first, last)
	}
}

func TestExhaustedBlockSaysWhy(t *testing.T) {
	t.Parallel()
	b, err := Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	for range size + 1 {
		if _, err = b.Take(); err != nil {
			break
		}
	}
	var explained *docker.Error
	if !errors.As(err, &explained) || !strings.Contains(err.Error(), "127.0.0.1:") {
		t.Fatalf("got %v, want an explained error with the range", err)
	}
}
