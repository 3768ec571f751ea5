package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	tc "github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/netfilter"
)

// isolation is one injected cut of a node.
type isolation struct {
	cut     netfilter.Cut
	applied bool  // it is in force in the node's present network namespace
	dropped int64 // packets dropped in namespaces that are gone
}

// isolate drops packets between a node and others, in the node's own network namespace; those of MySQL and S3 in that of
// the proxy through which the others reach it.
func (w *World) isolate(ctx context.Context, n *node, f system.Fault) error {
	if n.cuts[f.Key()] != nil && n.cuts[f.Key()].applied {
		return nil
	}
	cut, err := w.cut(f)
	if err != nil {
		return err
	}
	iso := &isolation{cut: cut}
	n.cuts[f.Key()] = iso
	if n.front == nil && len(n.down) > 0 {
		return nil // it comes into force when the node starts
	}
	if err := w.filter(n).Apply(ctx, cut); err != nil {
		delete(n.cuts, f.Key())
		return err
	}
	iso.applied = true
	return nil
}

// cut resolves a fault's nodes to addresses.
func (w *World) cut(f system.Fault) (netfilter.Cut, error) {
	h := fnv.New32a()
	_, _ = io.WriteString(h, f.Key())
	cut := netfilter.Cut{Name: strconv.FormatUint(uint64(h.Sum32()), 16)}
	switch f.Direction {
	case system.Both, "":
		cut.In, cut.Out = true, true
	case system.Inbound:
		cut.In = true
	case system.Outbound:
		cut.Out = true
	default:
		return cut, fmt.Errorf("no direction %q: there are %s, %s and %s", f.Direction, system.Both, system.Inbound, system.Outbound)
	}
	for _, name := range f.From {
		peer, err := w.node(name)
		if err != nil {
			return cut, err
		}
		if name != f.Node { // a node cannot be cut off from itself
			cut.Peers = append(cut.Peers, peer.ip)
			if peer.front != nil {
				cut.Peers = append(cut.Peers, peer.front.ip)
			}
		}
	}
	if len(cut.Peers) == 0 {
		return cut, errors.New("an isolation needs nodes to be cut off from")
	}
	return cut, nil
}

// rejoin takes a cut away.
func (w *World) rejoin(ctx context.Context, n *node, f system.Fault) error {
	iso := n.cuts[f.Key()]
	if iso == nil {
		return errors.New("it was not injected")
	}
	if iso.applied {
		dropped, err := w.filter(n).Remove(ctx, iso.cut)
		if err != nil {
			return err
		}
		iso.dropped += dropped
	}
	delete(n.cuts, f.Key())
	w.healed.Store(f.Key(), iso.dropped)
	return nil
}

// recut puts a node's cuts into force again after a start, which gave it a new network namespace.
func (w *World) recut(ctx context.Context, n *node) error {
	names := make([]string, 0, len(n.cuts))
	for name := range n.cuts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		iso := n.cuts[name]
		if iso.applied {
			continue
		}
		if err := w.filter(n).Apply(ctx, iso.cut); err != nil {
			return docker.Explain("isolate "+n.Name+" again after its start", err)
		}
		iso.applied = true
	}
	return nil
}

// Dropped implements the engine's World: the packets that an isolation has dropped, the requests that a fault has made
// fail or wait, or how often a starved process was frozen. What was dropped in a network namespace that ended with its process is not counted.
func (w *World) Dropped(ctx context.Context, f system.Fault) (int64, error) {
	if w.isObserver(f.Node) {
		return w.collector.disturbed(f), nil
	}
	n, err := w.node(f.Node)
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if d, ok := n.degraded[f.Key()]; ok {
		now, err := w.control(n).Counts(ctx)
		return d.met(now), err
	}
	if s := n.starved[f.Key()]; s != nil {
		return s.turns.Load(), nil
	}
	iso := n.cuts[f.Key()]
	if iso == nil {
		if dropped, ok := w.healed.Load(f.Key()); ok {
			return dropped.(int64), nil
		}
		return 0, fmt.Errorf("%s was not injected", f)
	}
	if !iso.applied {
		return iso.dropped, nil
	}
	now, err := w.filter(n).Dropped(ctx, iso.cut)
	return iso.dropped + now, err
}

// filter returns a packet filter for a node's present network namespace.
func (w *World) filter(n *node) *netfilter.Filter {
	if n.front != nil {
		n = n.front
	}
	return netfilter.New(&namespace{w: w, n: n})
}

// namespace enters a node's network namespace: directly where this process is root on the engine's machine, else through
// a helper container that shares it.
type namespace struct {
	w *World
	n *node
}

// Exec implements netfilter.Namespace.
func (s *namespace) Exec(ctx context.Context, stdin string, argv ...string) (string, error) {
	pid, err := s.w.enterable(ctx, s.n)
	if err != nil {
		return "", err
	}
	if pid > 0 {
		return nsenter(ctx, pid, stdin, argv)
	}
	return s.w.inSidecar(ctx, s.n, stdin, argv)
}

// enterable returns the process whose namespace can be entered from here; 0 if that is not possible.
func (w *World) enterable(ctx context.Context, n *node) (int, error) {
	st, err := w.engine.State(ctx, n.ctr.GetContainerID())
	if err != nil {
		return 0, err
	}
	if !st.Running {
		return 0, fmt.Errorf("%s does not run", n.Name)
	}
	if w.opt.ForceSidecar || os.Geteuid() != 0 {
		return 0, nil
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		return 0, nil //nolint:nilerr // then the helper container does it
	}
	// The engine may run elsewhere, or in a virtual machine: then the number is of another process here, or of none.
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", st.Pid))
	if err != nil || !strings.Contains(string(groups), n.ctr.GetContainerID()) {
		return 0, nil //nolint:nilerr // then the helper container does it
	}
	if _, err := exec.LookPath("iptables-legacy"); err != nil {
		if _, err := exec.LookPath("iptables"); err != nil {
			return 0, nil //nolint:nilerr // then the helper container does it
		}
	}
	return st.Pid, nil
}

func nsenter(ctx context.Context, pid int, stdin string, argv []string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-n", "--"}, argv...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// inSidecar runs a program in a helper container that shares the node's network namespace. The helper is made when first
// needed, and anew after the node has started again, because its namespace is another then.
func (w *World) inSidecar(ctx context.Context, n *node, stdin string, argv []string) (string, error) {
	st, err := w.engine.State(ctx, n.ctr.GetContainerID())
	if err != nil {
		return "", err
	}
	if n.sidecar == nil || n.sidecarOf != st.StartedAt {
		if n.sidecar != nil {
			if err := w.engine.Destroy(ctx, n.sidecar.GetContainerID(), ""); err != nil {
				return "", err
			}
			n.sidecar = nil
		}
		target := n.ctr.GetContainerID()
		ctr, err := tc.Run(ctx, w.images.kafka,
			tc.WithName(fmt.Sprintf("ratel-%s-%s-filter", w.run, n.Name)),
			tc.WithLabels(w.labels()),
			tc.WithEntrypoint("sleep"), tc.WithCmd("infinity"),
			tc.WithHostConfigModifier(func(hc *container.HostConfig) {
				hc.NetworkMode = container.NetworkMode("container:" + target)
				hc.CapAdd = append(hc.CapAdd, "NET_ADMIN", "NET_RAW")
			}))
		if err != nil {
			return "", fmt.Errorf("start a helper container in the network of %s: %w", n.Name, err)
		}
		n.sidecar, n.sidecarOf = ctr, st.StartedAt
	}
	// The input is passed as an argument: it is a few hundred bytes, and quoting is left to printf.
	full := append([]string{"sh", "-c", `input=$1; shift; printf %s "$input" | "$@"`, "sh", stdin}, argv...)
	code, out, err := n.sidecar.Exec(ctx, full, tcexec.Multiplexed())
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	if code != 0 {
		return "", fmt.Errorf("%s: exit code %d: %s", strings.Join(argv, " "), code, strings.TrimSpace(string(text)))
	}
	return string(text), nil
}
