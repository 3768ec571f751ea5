package containers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// A broker exits when it cannot get what it needs of ZooKeeper in time: its own registration, or a session at all. Where brokers run for good,
// a supervisor starts them again (systemd with Restart=on-failure, say), so that is done here too. All other nodes wait for what they need.
const (
	// startTries bounds how often a broker is started while the topology starts: one that has a bad configuration never gets ready.
	startTries = 4
	// reviveTries bounds how often one is started that comes back after a fault. Without ZooKeeper each try takes its
	// zookeeper.connection.timeout.ms, so these are some minutes of an absent ensemble; then it stays down, as its healing tells.
	reviveTries = 12
	// restartPause is how long after an exit it is started again.
	restartPause = 500 * time.Millisecond
)

// supervised says whether a node is started again when it exits before it has answered.
func supervised(n *node) bool { return n.Role == system.RoleKafka }

// startAgain starts a supervised node that has exited, and says what it said.
func (w *World) startAgain(ctx context.Context, n *node, code, tried, tries int) error {
	last := lastWords(w.engine.Tail(ctx, n.ctr.GetContainerID(), 60))
	w.say("%s exited with code %d while it was starting (start %d of at most %d), and is started again; it said: %s", n.Name, code, tried, tries, last)
	if err := pause(ctx, restartPause); err != nil {
		return fmt.Errorf("start %s again: %w", n.Name, err)
	}
	n.lost()
	return w.start(ctx, n)
}

// lastWords are the lines that say most about why a server ended: its first error of those that it printed last, with the exception behind it; else its last line.
func lastWords(text string) string {
	grave, last := "", ""
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case line == "":
		case grave != "" && strings.Contains(line, "Exception: "):
			return grave + " " + line
		case grave == "" && (strings.Contains(line, "ERROR") || strings.Contains(line, "FATAL")):
			grave, last = line, line
		case grave == "":
			last = line
		}
	}
	return last
}

// nurse starts a revived broker again that exits before it has answered: because its old registration was still there, or because ZooKeeper was away.
func (w *World) nurse(n *node) {
	const pauseBetween = 250 * time.Millisecond
	ctx := w.logs.ctx
	for tried := 1; ; {
		if w.wall.Sleep(ctx, pauseBetween) != nil {
			return
		}
		again, exited := w.nurseOnce(ctx, n, tried)
		if !again {
			return
		}
		if exited {
			tried++
		}
	}
}

// nurseDeadline bounds how long the engine may take each time that a broker is looked after, and started again.
const nurseDeadline = time.Minute

// nurseOnce looks after a broker once and tells whether it is still to be looked after, and whether it had exited.
func (w *World) nurseOnce(ctx context.Context, n *node, tried int) (again, exited bool) {
	ctx, cancel := context.WithTimeout(ctx, nurseDeadline)
	defer cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.down) > 0 || n.ctr == nil {
		return false, false // it is meant to be down
	}
	st, err := w.engine.State(ctx, n.ctr.GetContainerID())
	if err != nil {
		return false, false
	}
	if st.Running {
		if st.Paused {
			return true, false
		}
		reach, _ := w.probe(ctx, n)
		return reach != system.Answers, false
	}
	if tried >= reviveTries {
		w.say("%s has exited %d times and is not started again; its last output:\n%s", n.Name, tried, w.engine.Tail(ctx, n.ctr.GetContainerID(), 20))
		return false, true
	}
	if err := w.startAgain(ctx, n, st.ExitCode, tried, reviveTries); err != nil {
		w.say("%v", err)
		return false, true
	}
	return true, true
}
