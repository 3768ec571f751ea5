package containers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	tcnet "github.com/testcontainers/testcontainers-go/network"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/process"
)

const (
	readyPoll   = 100 * time.Millisecond // how often a node that is starting is asked
	askDeadline = 8 * time.Second        // of one question to it; longer than a client's own patience with one server
)

// Start implements the engine's World: it brings the topology up and returns when every node is ready.
func (w *World) Start(ctx context.Context, t system.Topology) error {
	subnet, err := w.makeNetwork(ctx)
	if err != nil {
		return err
	}
	if err := w.plan(t, subnet); err != nil {
		return err
	}
	if err := w.joinObserver(ctx); err != nil {
		return err
	}
	if err := w.startCollector(ctx); err != nil {
		return err
	}
	if err := w.connect(); err != nil {
		return err
	}
	w.say("starting %d containers", len(w.order)+len(w.helpers))
	var servers, brokers, roles []*node
	for _, n := range w.order {
		if t.Waits(n.Node) {
			continue
		}
		switch n.Role {
		case system.RoleZooKeeper, system.RoleMySQL, system.RoleS3:
			servers = append(servers, n)
		case system.RoleKafka:
			brokers = append(brokers, n)
		case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
			roles = append(roles, n)
		}
	}
	// Servers at once, for a ZooKeeper node is not ready before it has a quorum; brokers when it has one, for they do not wait for ever. Their
	// containers and the roles' are made meanwhile but started later: roles would only spin.
	if err := w.together(ctx,
		func(ctx context.Context) error { return w.each(ctx, servers, w.createAndStart) },
		func(ctx context.Context) error { return w.each(ctx, brokers, w.create) },
	); err != nil {
		return err
	}
	if err := w.together(ctx,
		func(ctx context.Context) error { return w.each(ctx, w.helpers, w.createAndStart) },
		func(ctx context.Context) error { return w.each(ctx, roles, w.create) },
		func(ctx context.Context) error { return w.startKafka(ctx, brokers) },
		func(ctx context.Context) error { return w.each(ctx, w.of(system.RoleMySQL), w.prepareMySQL) },
		func(ctx context.Context) error { return w.each(ctx, w.of(system.RoleS3), w.prepareS3) },
	); err != nil {
		return err
	}
	if err := w.each(ctx, append(roles, w.helpers...), func(ctx context.Context, n *node) error {
		if n.Role != process.RoleProxy {
			if err := w.start(ctx, n); err != nil {
				return err
			}
		}
		return w.awaitRole(ctx, n)
	}); err != nil {
		return err
	}
	w.say("all are ready, %v after the start", time.Since(w.began).Round(100*time.Millisecond))
	return nil
}

// StartNodes implements the engine's World: it starts retrievers that there was room for and that did not run so far.
func (w *World) StartNodes(ctx context.Context, names []string) error {
	nodes := make([]*node, len(names))
	for i, name := range names {
		if nodes[i] = w.nodes[name]; nodes[i] == nil {
			return fmt.Errorf("there is no node %s", name)
		}
	}
	return w.each(ctx, nodes, func(ctx context.Context, n *node) error {
		if n.ctr != nil {
			return fmt.Errorf("%s was started before", n.Name)
		}
		if err := w.createAndStart(ctx, n); err != nil {
			return err
		}
		return w.awaitRole(ctx, n)
	})
}

func (w *World) createAndStart(ctx context.Context, n *node) error {
	if err := w.create(ctx, n); err != nil {
		return err
	}
	return w.start(ctx, n)
}

// each does one thing to many nodes at once and returns all that went wrong.
func (w *World) each(ctx context.Context, nodes []*node, do func(ctx context.Context, n *node) error) error {
	todo := make([]func(ctx context.Context) error, len(nodes))
	for i, n := range nodes {
		todo[i] = func(ctx context.Context) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			return do(ctx, n)
		}
	}
	return w.together(ctx, todo...)
}

// together does several things at once, gives up on all when one fails, and returns all that went wrong.
func (w *World) together(ctx context.Context, todo ...func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(todo))
	var wg sync.WaitGroup
	for i, do := range todo {
		wg.Go(func() {
			if errs[i] = do(ctx); errs[i] != nil {
				cancel() // the others' effort is in vain
			}
		})
	}
	wg.Wait()
	// What was only cut short by another's failure is not worth telling.
	var told []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			told = append(told, err)
		}
	}
	if len(told) == 0 {
		return errors.Join(errs...)
	}
	return errors.Join(told...)
}

// makeNetwork makes the run's network with a subnet named explicitly, which the engine demands for fixed addresses. Which
// subnet is free the engine knows best, so it is asked first, by a network that is removed again.
func (w *World) makeNetwork(ctx context.Context) (netip.Prefix, error) {
	var last error
	for range 5 {
		probe, err := tcnet.New(ctx, tcnet.WithLabels(w.labels()))
		if err != nil {
			return netip.Prefix{}, docker.Explain("make the run's network", err)
		}
		seen, err := w.engine.NetworkInspect(ctx, probe.ID, client.NetworkInspectOptions{})
		if err := errors.Join(err, probe.Remove(ctx)); err != nil {
			return netip.Prefix{}, docker.Explain("make the run's network", err)
		}
		subnet := subnetOf(seen.Network.IPAM)
		if !subnet.IsValid() {
			return netip.Prefix{}, &docker.Error{What: "make the run's network", Why: "the engine gave it no IPv4 subnet", Fix: "check the engine's default-address-pools"}
		}
		name := networkName(w.began, w.run)
		if _, last = w.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{
			Driver: "bridge", Labels: w.labels(),
			IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: subnet, Gateway: gatewayOf(subnet)}}},
		}); last == nil {
			w.network = name
			return subnet, nil
		}
		if !strings.Contains(last.Error(), "overlaps") { // another run was quicker
			break
		}
	}
	return netip.Prefix{}, docker.Explain("make the run's network", last)
}

// networkName names a run's network. Of a container's networks the engine publishes its ports through the one whose name comes
// first, so names are in the order of time: a standing world's shepherd that later joins another's network keeps its own.
func networkName(began time.Time, run string) string {
	return fmt.Sprintf("ratel-%s-%s", began.UTC().Format("20060102t150405.000"), run)
}

// subnetOf is a network's IPv4 subnet; invalid if it has none.
func subnetOf(ipam network.IPAM) (subnet netip.Prefix) {
	for _, c := range ipam.Config {
		if c.Subnet.Addr().Is4() {
			subnet = c.Subnet
		}
	}
	return subnet
}

// gatewayOf is this machine's address in a network: its first.
func gatewayOf(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// await asks until a node is ready; when it exits instead, it is started again if it is supervised, and else that is told at once, with its last words.
func (w *World) await(ctx context.Context, n *node, what string, ready func(ctx context.Context) (string, bool)) error {
	var detail string
	for tried := 1; ; {
		askCtx, cancel := context.WithTimeout(ctx, askDeadline)
		var ok bool
		detail, ok = ready(askCtx)
		cancel()
		if ok {
			return nil
		}
		if st, err := w.engine.State(ctx, n.ctr.GetContainerID()); err == nil && !st.Running && st.Status != "created" {
			if supervised(n) && tried < startTries && ctx.Err() == nil {
				if err := w.startAgain(ctx, n, st.ExitCode, tried, startTries); err != nil {
					return err
				}
				tried++
				continue
			}
			return endedBy(n.Name, st, w.said(ctx, n))
		}
		if err := pause(ctx, readyPoll); err != nil {
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return err
			}
			return &NotReadyError{Node: n.Name, Why: fmt.Sprintf("did not become ready (%s): %s: %v", what, detail, err), Said: w.said(ctx, n), Machine: true, Err: err}
		}
	}
}

// said is what a node printed last, also when the time is up.
func (w *World) said(ctx context.Context, n *node) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saidDeadline)
	defer cancel()
	return strings.TrimSpace(w.engine.Tail(ctx, n.ctr.GetContainerID(), 20))
}

// awaitAnswer waits until a node answers a probe.
func (w *World) awaitAnswer(ctx context.Context, n *node) error {
	return w.await(ctx, n, "an answer to a probe", func(ctx context.Context) (string, bool) {
		reach, detail := w.probe(ctx, n)
		return detail, reach == system.Answers
	})
}

// startKafka waits for the ensemble, starts the brokers, makes the events topic and waits for full ISRs.
func (w *World) startKafka(ctx context.Context, brokers []*node) error {
	if err := w.each(ctx, w.of(system.RoleZooKeeper), w.awaitAnswer); err != nil {
		return err
	}
	if err := w.each(ctx, brokers, func(ctx context.Context, n *node) error {
		if err := w.start(ctx, n); err != nil {
			return err
		}
		return w.awaitAnswer(ctx, n)
	}); err != nil {
		return err
	}
	k := w.topology.Kafka
	if k.Brokers == 0 {
		return nil
	}
	admin := w.clients.log.Admin()
	first := w.of(system.RoleKafka)[0]
	if err := w.await(ctx, first, "all brokers in the metadata", func(ctx context.Context) (string, bool) {
		ids, err := admin.Brokers(ctx)
		return fmt.Sprintf("brokers %v, error %v", ids, err), err == nil && len(ids) == k.Brokers
	}); err != nil {
		return err
	}
	spec := k.TopicSpec()
	if err := w.await(ctx, first, "the events topic to be made", func(ctx context.Context) (string, bool) {
		err := admin.CreateTopic(ctx, spec)
		return fmt.Sprint(err), err == nil
	}); err != nil {
		return err
	}
	return w.await(ctx, first, "full ISRs", func(ctx context.Context) (string, bool) {
		parts, err := admin.Describe(ctx, system.EventsTopic)
		if err != nil {
			return err.Error(), false
		}
		full := 0
		for _, p := range parts {
			if p.Leader >= 0 && len(p.ISR) == int(k.Replication) {
				full++
			}
		}
		return fmt.Sprintf("%d of %d partitions have a leader and a full ISR", full, k.Partitions), full == int(k.Partitions)
	})
}

// awaitRole waits until a role answers, a retriever until it has its partition.
func (w *World) awaitRole(ctx context.Context, n *node) error {
	if err := w.awaitAnswer(ctx, n); err != nil || n.Role != system.RoleRetriever {
		return err
	}
	return w.await(ctx, n, "its claim", func(ctx context.Context) (string, bool) {
		askCtx, cancel := context.WithTimeout(ctx, probeDeadline)
		defer cancel()
		st, err := w.Holder(n.Name).Status(askCtx)
		return fmt.Sprintf("its partition is claimed: %v, error: %v", st.Claimed, err), err == nil && st.Claimed
	})
}
