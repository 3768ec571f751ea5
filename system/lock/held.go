package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Held is a lock that was acquired. It may be lost at any time.
type Held struct {
	// Epoch is the fencing epoch: higher than that of every holder before.
	Epoch int64
	// Lost is done once the lock is lost or may be lost, with the reason as its value; also when it is released.
	Lost *rt.Future[error]

	l       *Lock
	path    string // of the znode
	cancel  context.CancelFunc
	watched *rt.Future[struct{}] // done when the watching task has ended

	mu      sync.Mutex // never held across a blocking call
	session port.Session
	contact time.Time // the session was alive at some moment after this
}

// hold begins to watch over a lock that was just acquired by something that was sent at that time.
func (c *candidate) hold(ctx context.Context, epoch int64, sent time.Time) *Held {
	h := &Held{
		Epoch: epoch, Lost: rt.NewFuture[error](c.r), l: c.Lock, path: c.path + "/" + c.name, watched: rt.NewFuture[struct{}](c.r),
		session: c.session, contact: sent,
	}
	inner, cancel := c.r.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	c.r.Go("watch lock "+c.path, func(context.Context) {
		defer h.watched.Complete(struct{}{}, nil)
		h.watch(inner)
	})
	return h
}

// Err is nil as long as the lock is held for all that is known by now, by this node's own clock. A process that was paused
// learns here at once that its time is over, before any task has noticed.
func (h *Held) Err() error {
	if why, _, lost := h.Lost.Peek(); lost {
		return why
	}
	if h.l.bugs.Has(planted.SessionLossUnnoticed) || h.l.bugs.Has(planted.LeaderWithoutZnode) {
		return nil
	}
	if h.left() <= 0 {
		return ErrNoContact
	}
	return nil
}

// left is how long the session surely lasts, without another contact.
func (h *Held) left() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.contact.Add(h.l.timeout).Sub(h.l.r.Now())
}

// Release gives the lock back. It waits for two seconds at most; without an answer the lock becomes free when the session expires.
func (h *Held) Release(ctx context.Context) {
	h.Lost.Complete(ErrReleased, nil)
	h.cancel()
	limited, cancel := h.l.r.WithTimeout(context.WithoutCancel(ctx), byeTimeout)
	defer cancel()
	_, _ = h.watched.Wait(limited)
	h.mu.Lock()
	session := h.session
	h.mu.Unlock()
	// Closing the session removes the znode as well; what is deleted before is gone even if the closing's answer is lost.
	_ = session.Delete(limited, h.path, -1)
	h.l.bye(ctx, session)
}

// watch makes sure again and again that the session and the znode are there, until they are not.
func (h *Held) watch(ctx context.Context) {
	if h.l.bugs.Has(planted.SessionLossUnnoticed) {
		return
	}
	every := h.l.timeout / contacts
	for {
		why := h.pause(ctx, every)
		if why == nil {
			why = h.look(ctx)
		}
		switch {
		case ctx.Err() != nil || errors.Is(why, rt.ErrKilled):
			return
		case why == nil:
			continue
		case h.l.bugs.Has(planted.LeaderWithoutZnode):
			if h.another(ctx) != nil {
				return
			}
			continue
		}
		h.Lost.Complete(fmt.Errorf("lock %s: %w", h.l.path, why), nil)
		return
	}
}

// pause waits until it is time to look, and follows the session's state. It returns why the lock is lost.
func (h *Held) pause(ctx context.Context, every time.Duration) error {
	states := h.session.States()
	limited, cancel := h.l.r.WithTimeout(ctx, min(every, h.left()))
	defer cancel()
	for {
		state, err := states.Pop(limited)
		switch {
		case errors.Is(err, rt.ErrClosed) || err == nil && state == port.SessionExpired:
			return port.ErrSessionExpired
		case errors.Is(err, rt.ErrKilled):
			return err
		case err != nil || state == port.SessionConnected:
			return nil
		}
	}
}

// look asks the ensemble whether the lock is still held. Sync asks the leader, so that a server that was cut off from it
// cannot pass its own memory off as the ensemble's. No answer means that the lock is lost only once it has been so for too long.
func (h *Held) look(ctx context.Context) error {
	limited, cancel := h.l.r.WithTimeout(ctx, min(h.l.timeout/patience, h.left()))
	defer cancel()
	sent := h.l.r.Now()
	err := h.session.Sync(limited, h.path)
	if err == nil && !h.l.bugs.Has(planted.LeaderWithoutZnode) {
		_, err = h.session.Exists(limited, h.path)
	}
	switch {
	case err == nil:
		h.mu.Lock()
		h.contact = sent
		h.mu.Unlock()
	case errors.Is(err, port.ErrSessionExpired):
		return port.ErrSessionExpired
	case errors.Is(err, port.ErrNoNode):
		return ErrGone
	case h.left() <= 0:
		return ErrNoContact
	}
	return nil
}

// another is a planted bug: the holder goes on in a new session, without its znode.
func (h *Held) another(ctx context.Context) error {
	for {
		session, err := h.l.zk.Connect(ctx, h.l.timeout)
		if err == nil {
			h.mu.Lock()
			h.session, h.contact = session, h.l.r.Now()
			h.mu.Unlock()
			return nil
		}
		if err := h.l.r.Sleep(ctx, redialPause); err != nil {
			return err
		}
	}
}
