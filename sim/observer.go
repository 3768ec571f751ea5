package sim

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/ratel-sim/ratel/sim/host"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/port"
)

const serviceObserve = "observe"

// observerBoot is the mean time from the start of the observer's process until it listens.
const observerBoot = 500 * time.Millisecond

// observerHost is the machine on which the pipeline's observer runs.
type observerHost struct{ *host.Host }

// observation is a batch of telemetry on the wire.
type observation struct {
	dataset string
	batch   []byte
}

// Observe hands what the observer takes to sink. It is called before Start.
func (w *World) Observe(sink observer.Sink) { w.observed = sink }

// newObserver puts the observer on the network.
func (w *World) newObserver(n system.Node) *observerHost {
	o := &observerHost{}
	o.Host = host.New(w.sched, w.net, host.Config{
		Name: n.Name, Zone: n.Zone, Boot: observerBoot, Ended: func() {},
		Begin: func(p *sched.Process) {
			// What waited in a process that has ended is gone with it.
			c := observer.New(p, w.topology.Observer, w.observed)
			serve(p, o.Node(), serviceObserve, func(ctx context.Context, m simnet.Message) simnet.Message {
				return o.take(ctx, p, c, m.Body.(*observation))
			})
		},
	})
	return o
}

// take is one batch, with what faults make of it.
func (o *observerHost) take(ctx context.Context, p *sched.Process, c *observer.Collector, in *observation) simnet.Message {
	if delay := o.Slow(); delay > 0 {
		if err := p.Sleep(ctx, delay); err != nil {
			return simnet.Message{Body: remoteError{err}, Size: 200}
		}
	}
	fate := o.Fate()
	if fate == host.Refused {
		return simnet.Message{Body: remoteError{fmt.Errorf("the observer is unavailable: %w", port.ErrRefused)}, Size: 200}
	}
	if err := c.Observe(ctx, in.dataset, in.batch); err != nil {
		return simnet.Message{Body: remoteError{err}, Size: 200}
	}
	if fate == host.Lost {
		return simnet.Message{Body: remoteError{fmt.Errorf("the observer failed: %w", port.ErrUnknown)}, Size: 200}
	}
	return simnet.Message{Size: 200 + 20*len(in.batch)/500}
}

// Wipe ends the process: it keeps nothing.
func (o *observerHost) Wipe() { o.Kill() }

// observers hands telemetry to the observer over the simulated network. It implements port.Observer.
type observers struct {
	p    *sched.Process
	from *simnet.Node
	node string
}

// Observe implements port.Observer.
func (c *observers) Observe(ctx context.Context, dataset string, batch []byte) error {
	m := simnet.Message{Body: &observation{dataset, batch}, Size: 300 + len(batch), Sum: uint64(crc32.ChecksumIEEE(batch))}
	reply, err := simnet.Call(ctx, c.p, c.from, c.node, serviceObserve, m)
	if err != nil {
		return err
	}
	if failed, ok := reply.Body.(remoteError); ok {
		return failed.err
	}
	return nil
}

// observer is where a role's telemetry goes; nil where nobody observes.
func (r *role) observer(p *sched.Process) port.Observer {
	if !r.w.topology.Observed() {
		return nil
	}
	return &observers{p: p, from: r.net, node: system.NodeName(system.RoleObserver, 1)}
}
