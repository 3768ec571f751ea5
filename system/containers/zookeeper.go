package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// fourLetters asks a ZooKeeper node one of its four-letter commands over a connection of its own.
func fourLetters(ctx context.Context, addr, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return "", err
	}
	if len(text) == 0 {
		return "", errNoProcess
	}
	return string(text), nil
}

// errNoProcess says that a connection was accepted and closed without a word: the engine's proxy listens, but nobody
// does inside the container.
var errNoProcess = errors.New("the connection was closed without an answer")

// zooKeeperState is what a node says of itself.
type zooKeeperState struct {
	mode string // leader, follower, standalone
	zxid uint64 // its upper half is the epoch of the leader that it follows
}

// parseSrvr reads the answer to "srvr"; ok is false if the node is in no quorum.
func parseSrvr(text string) (st zooKeeperState, ok bool) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "Mode":
			st.mode = value
		case "Zxid":
			st.zxid, _ = strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
		}
	}
	return st, st.mode != ""
}

// ZooKeeperLeader implements the engine's World. A leader that was paused or cut off may go on claiming to lead for a
// while, so of several the one with the highest epoch counts.
func (w *World) ZooKeeperLeader(ctx context.Context) (string, error) {
	n, err := w.zooKeeperLeader(ctx)
	if err != nil {
		return "", err
	}
	return n.Name, nil
}

func (w *World) zooKeeperLeader(ctx context.Context) (*node, error) {
	var leader *node
	var epoch uint64
	var errs []error
	for _, n := range w.of(system.RoleZooKeeper) {
		text, err := fourLetters(ctx, n.host(), "srvr")
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.Name, err))
			continue
		}
		st, _ := parseSrvr(text)
		if (st.mode == "leader" || st.mode == "standalone") && (leader == nil || st.zxid>>32 > epoch) {
			leader, epoch = n, st.zxid>>32
		}
	}
	if leader == nil {
		return nil, fmt.Errorf("no ZooKeeper node leads: %w", errors.Join(errs...))
	}
	return leader, nil
}

// ephemeral tells whether an ephemeral znode exists, as the ensemble's leader sees it.
func (w *World) ephemeral(ctx context.Context, znode string) (bool, error) {
	leader, err := w.zooKeeperLeader(ctx)
	if err != nil {
		return false, err
	}
	text, err := fourLetters(ctx, leader.host(), "dump")
	if err != nil {
		return false, err
	}
	if !strings.Contains(text, "Sessions with Ephemerals") {
		return false, fmt.Errorf("%s answered \"dump\" with %q", leader.Name, text)
	}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == znode {
			return true, nil
		}
	}
	return false, nil
}

// probeZooKeeper asks a ZooKeeper node for its mode.
func probeZooKeeper(ctx context.Context, addr string) (system.Reach, string) {
	began := time.Now()
	text, err := fourLetters(ctx, addr, "srvr")
	if err != nil {
		return reachOf(err), err.Error()
	}
	st, ok := parseSrvr(text)
	if !ok {
		return system.Silent, "it runs, but is in no quorum"
	}
	return system.Answers, fmt.Sprintf("%s, answered in %v", st.mode, time.Since(began).Round(time.Millisecond))
}

// ZooKeeperServers returns the addresses of all ZooKeeper nodes as clients on this machine reach them, in the order of
// the nodes.
func (w *World) ZooKeeperServers() []string {
	var addrs []string
	for _, n := range w.of(system.RoleZooKeeper) {
		addrs = append(addrs, n.host())
	}
	return addrs
}
