package containers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/reaper"
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
	w.joined = joined{key: s.Teams[0].Key}
	if w.joined.shepherds, err = join(ctx, w.engine, s, w.network, w.gateway); err != nil {
		return err
	}
	w.joined.StandingObserver = StandingObserver{Name: s.Name, Run: s.Run, Team: s.Teams[0].Name, Shepherds: len(w.joined.shepherds)}
	return nil
}

// join puts a standing world's shepherds into a network and says where they are there: at fixed addresses between the gateway's
// and those of the nodes that the network is of, so that they are found again after a restart.
func join(ctx context.Context, engine *docker.Engine, s *Standing, to string, gateway netip.Addr) ([]netip.AddrPort, error) {
	var joined []netip.AddrPort
	at := gateway
	for i, n := range s.Of(system.RoleShepherd) {
		if i == reservedAddresses {
			break
		}
		at = at.Next()
		if _, err := engine.NetworkConnect(ctx, to, client.NetworkConnectOptions{
			Container:      containerName(s.Run, n.Name),
			EndpointConfig: &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: at}},
		}); err != nil {
			return nil, docker.Explain(fmt.Sprintf("join %s of %q to a world's network", n.Name, s.Name), err)
		}
		joined = append(joined, netip.AddrPortFrom(at, rolePort))
	}
	return joined, nil
}

// takeOver has a world that has just come up observe those that described themselves into an earlier one of its name. A world
// that it cannot observe is told of, and goes on without.
func (w *World) takeOver(ctx context.Context, s *Standing) {
	names, err := standingNames(w.cache)
	if err != nil {
		w.say("%q does not observe whom an earlier world of its name did: %v", s.Name, err)
	}
	for _, name := range names {
		other, err := loadStanding(w.cache, name)
		if err != nil || other.Observer.Name != s.Name || other.Run == s.Run {
			continue
		}
		if err := takeOneOver(ctx, w.engine, w.cache, s, other); err != nil {
			w.say("%q does not observe %q as an earlier world of its name did: %v", s.Name, name, err)
		}
	}
}

func takeOneOver(ctx context.Context, engine *docker.Engine, cache string, s, other *Standing) error {
	if err := other.Observer.replaceableBy(s); err != nil {
		return err
	}
	left, err := reaper.List(ctx, engine, other.Run)
	if err != nil || len(left.Networks) != 1 {
		return errors.Join(err, fmt.Errorf("of that world there are %s", left))
	}
	seen, err := engine.NetworkInspect(ctx, left.Networks[0], client.NetworkInspectOptions{})
	if err != nil {
		return docker.Explain("look at its network", err)
	}
	subnet := subnetOf(seen.Network.IPAM)
	if !subnet.IsValid() {
		return errors.New("its network has no IPv4 subnet")
	}
	if _, err := join(ctx, engine, s, left.Networks[0], gatewayOf(subnet)); err != nil {
		return err
	}
	other.Observer.Run = s.Run
	return saveStanding(cache, other)
}

// replaceableBy tells why a world is not found by those who were configured for an earlier one of its name.
func (o StandingObserver) replaceableBy(s *Standing) error {
	if have := len(s.Of(system.RoleShepherd)); have < o.Shepherds {
		return fmt.Errorf("its roles tell %d shepherds, and there are %d", o.Shepherds, have)
	}
	for _, t := range s.Teams {
		if t.Name == o.Team {
			return nil
		}
	}
	return fmt.Errorf("its roles have the key of the team %q, and there is no such team", o.Team)
}
