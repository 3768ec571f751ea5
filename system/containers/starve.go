package containers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// starvation freezes a node's container and lets it go on in turns, until it is healed. A quota of the processor would do
// the same within a tenth of a second and depend on how fast the machine is; how long these turns last does not.
type starvation struct {
	turns atomic.Int64 // how often it was frozen
	end   context.CancelFunc
	ended chan struct{}
}

// starve begins the turns with a frozen one. The node's lock is held.
func (w *World) starve(ctx context.Context, n *node, f system.Fault) error {
	if !(f.Rate > 0 && f.Rate < 1) || f.Delay <= 0 {
		return fmt.Errorf("a share of %v and a stall of %v, expected a share between 0 and 1 and a stall of more than 0", f.Rate, f.Delay)
	}
	if n.starved[f.Key()] != nil {
		return nil
	}
	s := &starvation{ended: make(chan struct{})}
	if err := w.freeze(ctx, n, f); err != nil {
		return err
	}
	s.turns.Add(1)
	turns, end := context.WithCancel(w.logs.ctx)
	s.end = end
	n.starved[f.Key()] = s
	go w.turns(turns, n, f, s)
	return nil
}

// turnDeadline bounds how long the engine may take to freeze a container or to let it go on.
const turnDeadline = 30 * time.Second

// turns goes on from a frozen turn until ctx ends. What it asks of the engine is not cut short by that: nobody would know
// whether the container is frozen.
func (w *World) turns(ctx context.Context, n *node, f system.Fault, s *starvation) {
	defer close(s.ended)
	turn := func(do func(context.Context, *node, system.Fault) error) error {
		limited, cancel := context.WithTimeout(w.logs.ctx, turnDeadline)
		defer cancel()
		return do(limited, n, f)
	}
	for {
		if pause(ctx, f.Delay) != nil {
			return
		}
		n.mu.Lock()
		err := turn(w.thaw)
		n.mu.Unlock()
		w.mishap(ctx, n, err)
		if pause(ctx, f.Turn()) != nil {
			return
		}
		err = nil
		n.mu.Lock()
		if n.ctr != nil && len(n.down) == 0 { // a process that is down has nothing to freeze; the next is on the same machine
			if err = turn(w.freeze); err == nil {
				s.turns.Add(1)
			}
		}
		n.mu.Unlock()
		w.mishap(ctx, n, err)
	}
}

// mishap tells of a turn that could not be taken, as of a node that was ending just then. The next is tried all the same.
func (w *World) mishap(ctx context.Context, n *node, err error) {
	if err != nil && ctx.Err() == nil {
		w.say("starving %s: %v", n.Name, err)
	}
}

// freeze pauses a container for a fault, unless another has already. The node's lock is held.
func (w *World) freeze(ctx context.Context, n *node, f system.Fault) error {
	if len(n.frozen) == 0 {
		if err := w.engine.Pause(ctx, n.ctr.GetContainerID()); err != nil {
			return err
		}
	}
	n.frozen[f.Key()] = true
	return nil
}

// thaw ends what freeze began, unless another fault keeps the container paused. The node's lock is held.
func (w *World) thaw(ctx context.Context, n *node, f system.Fault) error {
	if !n.frozen[f.Key()] {
		return nil // it was killed meanwhile, which ended the pause
	}
	delete(n.frozen, f.Key())
	if len(n.frozen) > 0 {
		return nil
	}
	return w.engine.Unpause(ctx, n.ctr.GetContainerID())
}

// feed ends the turns. The node's lock is not held: a turn may be waiting for it.
func (w *World) feed(ctx context.Context, n *node, f system.Fault) error {
	n.mu.Lock()
	s := n.starved[f.Key()]
	delete(n.starved, f.Key())
	n.mu.Unlock()
	if s == nil {
		return errors.New("it was not injected")
	}
	s.end()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return fmt.Errorf("its last turn did not end: %w", ctx.Err())
	}
	w.healed.Store(f.Key(), s.turns.Load())
	n.mu.Lock()
	defer n.mu.Unlock()
	return w.thaw(ctx, n, f)
}
