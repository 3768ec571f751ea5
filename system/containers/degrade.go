package containers

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/faultproxy"
)

// degradation is one injected fault of the requests to a server.
type degradation struct {
	fault system.Fault
	base  faultproxy.Counts // when it began
}

// met is how many requests a fault has met.
func (d degradation) met(now faultproxy.Counts) int64 {
	if d.fault.Kind == system.FaultSlow {
		return now.Delayed - d.base.Delayed
	}
	return now.Refused + now.Cut - d.base.Refused - d.base.Cut
}

// control is the client of a server's proxy.
func (w *World) control(n *node) *faultproxy.Client {
	return faultproxy.NewClient("http://"+n.front.host(), w.clients.transport)
}

// degrade makes requests to a server fail or wait.
func (w *World) degrade(ctx context.Context, n *node, f system.Fault) error {
	if err := w.Can(f.Kind, n.Role, false); err != nil {
		return err
	}
	if f.Kind == system.FaultErrors && !(f.Rate > 0 && f.Rate <= 1) {
		return fmt.Errorf("a rate of %v, expected above 0 and up to 1", f.Rate)
	}
	if f.Kind == system.FaultSlow && f.Delay <= 0 {
		return fmt.Errorf("a delay of %v, expected more than 0", f.Delay)
	}
	if _, twice := n.degraded[f.Key()]; twice {
		return nil
	}
	base, err := w.control(n).Counts(ctx)
	if err != nil {
		return err
	}
	n.degraded[f.Key()] = degradation{fault: f, base: base}
	if err := w.control(n).Set(ctx, n.faults()); err != nil {
		delete(n.degraded, f.Key())
		return err
	}
	return nil
}

// faults is what all injected faults together do to a request.
func (n *node) faults() faultproxy.Faults {
	var on []system.Fault
	for _, d := range n.degraded {
		on = append(on, d.fault)
	}
	rate, delay := system.Degradation(on)
	return faultproxy.Faults{Errors: rate, Delay: delay}
}

// mend takes a degradation back.
func (w *World) mend(ctx context.Context, n *node, f system.Fault) error {
	d, ok := n.degraded[f.Key()]
	if !ok {
		return errors.New("it was not injected")
	}
	delete(n.degraded, f.Key())
	if err := w.control(n).Set(ctx, n.faults()); err != nil {
		n.degraded[f.Key()] = d
		return err
	}
	if now, err := w.control(n).Counts(ctx); err == nil {
		w.healed.Store(f.Key(), d.met(now))
	}
	return nil
}
