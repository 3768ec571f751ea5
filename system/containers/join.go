package containers

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/process"
)

// joined is the standing world that this one describes itself into. Docker keeps networks apart, and a standing world's ports
// are published for this machine alone, so its shepherds are in both networks. They leave this one when it is removed (see
// [reaper.Reap]), and go of themselves when they are removed.
type joined struct {
	StandingObserver
	key       string
	shepherds []netip.AddrPort // in this world's network
}

// observe is whom the i-th node tells about itself: the nodes are shared out among the shepherds.
func (j joined) observe(i int) process.Observe {
	return process.Observe{URL: "http://" + j.shepherds[i%len(j.shepherds)].String(), Key: j.key}
}

// observerToJoin finds the standing world of Options.ObserveInto, and tells what it lacks to be one that observes.
func (w *World) observerToJoin(ctx context.Context) (*Standing, error) {
	s, err := standing(ctx, w.engine, w.cache, w.opt.ObserveInto)
	if err != nil {
		return nil, fmt.Errorf("observe into %q: %w", w.opt.ObserveInto, err)
	}
	if len(s.Of(system.RoleShepherd)) == 0 || len(s.Teams) == 0 {
		return nil, &docker.Error{What: fmt.Sprintf("observe into %q", s.Name), Why: "that world has no shepherd or no team", Fix: "start it from a topology with both"}
	}
	return s, nil
}

// joinObserver puts the shepherds of the world that observes into this world's network. It is called before any node is
// configured.
func (w *World) joinObserver(ctx context.Context) error {
	if w.opt.ObserveInto == "" {
		return nil
	}
	s, err := w.observerToJoin(ctx)
	if err != nil {
		return err
	}
	w.joined = joined{StandingObserver: StandingObserver{Name: s.Name, Run: s.Run}, key: s.Teams[0].Key}
	at := w.gateway
	for _, n := range s.Of(system.RoleShepherd)[:min(len(s.Of(system.RoleShepherd)), reservedAddresses)] {
		// A fixed address below those of this world's nodes, so that it is found again after a restart.
		at = at.Next()
		if _, err := w.engine.NetworkConnect(ctx, w.network, client.NetworkConnectOptions{
			Container:      containerName(s.Run, n.Name),
			EndpointConfig: &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: at}},
		}); err != nil {
			return docker.Explain(fmt.Sprintf("join %s of %q to this world's network", n.Name, s.Name), err)
		}
		w.joined.shepherds = append(w.joined.shepherds, netip.AddrPortFrom(at, rolePort))
	}
	return nil
}
