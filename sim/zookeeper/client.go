package zookeeper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// client opens sessions from one process.
type client struct {
	e       *Ensemble
	node    *simnet.Node
	p       *sched.Process
	servers []string
}

// Client returns the Coordination port of process p on the given network node. It behaves as Ratel's real port does,
// which is go-zookeeper/zk with its pitfalls met.
func (e *Ensemble) Client(node *simnet.Node, p *sched.Process) port.Coordination {
	return e.ClientOf(e.Nodes(), node, p)
}

// ClientOf is a Client that knows some of the ensemble's nodes only.
func (e *Ensemble) ClientOf(servers []string, node *simnet.Node, p *sched.Process) port.Coordination {
	return &client{e: e, node: node, p: p, servers: servers}
}

// ProbeService is a service on which a server that is part of a working ensemble answers one message with another, and
// any other server nothing: for health checks from outside.
func (e *Ensemble) ProbeService() string { return serviceProbe }

// Connect implements [port.Coordination].
func (c *client) Connect(ctx context.Context, timeout time.Duration) (port.Session, error) {
	rt.Check(c.p)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("zookeeper: connect: %w (%w)", err, port.ErrRefused)
	}
	c.e.nclients++
	s := &session{
		p: c.p, node: c.node, servers: slices.Clone(c.servers), current: -1, last: -1,
		states: rt.NewQueue[port.SessionState](c.p, 0), opened: rt.NewFuture[struct{}](c.p),
		watches: map[watchKey][]*rt.Future[port.WatchEvent]{},
	}
	c.e.sim.Rand(fmt.Sprintf("zookeeper/client/%s/%d", c.node.Name(), c.e.nclients)).Shuffle(len(s.servers), func(i, j int) {
		s.servers[i], s.servers[j] = s.servers[j], s.servers[i]
	})
	s.timeout = timeout
	s.next()
	if _, err := s.opened.Wait(ctx); err != nil {
		s.shut(errClosed)
		return nil, fmt.Errorf("zookeeper: connect to %v: no session: %w (%w)", c.servers, err, port.ErrUnknown)
	}
	return s, nil
}
