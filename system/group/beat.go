package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// beating is the background work of one assignment: heartbeats, and a look now and then whether the topic has grown.
// All fields but over are guarded by the member's lock.
type beating struct {
	id      port.GroupMember
	over    *rt.Future[error]
	stopped bool
	cancels []context.CancelFunc
}

// start begins the background work of an assignment.
func (m *Member) start(a *Assignment) {
	m.mu.Lock()
	b := &beating{id: m.id, over: a.Over}
	m.beat = b
	m.mu.Unlock()
	role := "follower"
	if a.Leader {
		role = "leader"
	}
	m.announce.Announce(port.Event{Kind: port.EventGroupJoined, Node: m.node, Topic: m.cfg.Topic,
		Detail: fmt.Sprintf("group %s generation %d: %s %s has %v", m.cfg.Group, a.Generation, role, a.Member, a.Partitions)})
	m.r.Go("group heartbeat", func(ctx context.Context) { m.background(ctx, b, m.heartbeats) })
	m.r.Go("group refresh", func(ctx context.Context) { m.background(ctx, b, m.refresh) })
}

func (m *Member) background(ctx context.Context, b *beating, f func(context.Context, *beating)) {
	ctx, cancel := m.r.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	stopped := b.stopped
	b.cancels = append(b.cancels, cancel)
	m.mu.Unlock()
	if !stopped {
		f(ctx, b)
	}
}

// endHeartbeats ends the background work; an assignment that was not over ends with why.
func (m *Member) endHeartbeats(why error) {
	m.mu.Lock()
	b := m.beat
	m.beat = nil
	var cancels []context.CancelFunc
	if b != nil {
		b.stopped, cancels = true, b.cancels
	}
	m.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	if b != nil {
		b.over.Complete(why, nil)
	}
}

// heartbeats go on until the member is told that it is none any more, or has not been heard for SessionTimeout. The lease
// runs from the moment at which the last successful heartbeat was sent: the coordinator cannot have counted from earlier.
func (m *Member) heartbeats(ctx context.Context, b *beating) {
	lease, release := m.r.WithTimeout(ctx, m.cfg.SessionTimeout)
	defer func() { release() }()
	var last error
	pause := m.cfg.HeartbeatEvery
	for m.r.Sleep(lease, pause) == nil {
		next, releaseNext := m.r.WithTimeout(ctx, m.cfg.SessionTimeout)
		// A request that hangs leaves time for another one, perhaps to another coordinator.
		one, done := m.r.WithTimeout(lease, max(m.cfg.HeartbeatEvery, m.cfg.SessionTimeout/3))
		err := m.g.Heartbeat(one, b.id)
		done()
		pause = m.cfg.HeartbeatEvery
		switch {
		case err == nil, errors.Is(err, port.ErrRebalanceInProgress):
			release()
			lease, release = next, releaseNext
			if err != nil {
				b.over.Complete(err, nil)
			}
		case errors.Is(err, port.ErrUnknownMember), errors.Is(err, port.ErrIllegalGeneration), errors.Is(err, port.ErrFencedInstance):
			releaseNext()
			if errors.Is(err, port.ErrUnknownMember) {
				m.forget(b)
			}
			m.expelled(b, err)
			return
		default:
			releaseNext()
			last, pause = err, min(pause, retryAfter)
		}
	}
	if ctx.Err() != nil { // left, or joins again, or killed
		return
	}
	err := fmt.Errorf("no heartbeat of %s got through for %v: assumed to be evicted: %w", b.id.Member, m.cfg.SessionTimeout, port.ErrUnknownMember)
	if last != nil {
		err = fmt.Errorf("%w (last: %s)", err, last.Error())
	}
	m.expelled(b, err)
}

// forget makes the next Join one of a new member.
func (m *Member) forget(b *beating) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beat == b {
		m.joinAs = ""
	}
}

// expelled ends an assignment that others may have been given already.
func (m *Member) expelled(b *beating, err error) {
	m.mu.Lock()
	m.lost = m.lost || m.beat == b
	m.mu.Unlock()
	b.over.Complete(err, nil)
}

// refresh ends the assignment when the topic has more partitions than were shared out. Fewer are not believed: the
// metadata of a broker that has not heard yet show the topic as it was.
func (m *Member) refresh(ctx context.Context, b *beating) {
	for m.r.Sleep(ctx, m.cfg.RefreshEvery) == nil {
		looking, cancel := m.r.WithTimeout(ctx, m.cfg.SessionTimeout)
		n, err := m.g.Partitions(looking, m.cfg.Topic)
		cancel()
		if err != nil {
			continue // the next look tells
		}
		m.mu.Lock()
		current, sized := m.beat == b, m.sized
		if current && sized == unknownSize {
			m.sized = n
		}
		m.mu.Unlock()
		if current && sized != unknownSize && n > sized {
			b.over.Complete(fmt.Errorf("topic %s has %d partitions, %d are shared out: %w", m.cfg.Topic, n, sized, port.ErrRebalanceInProgress), nil)
			return
		}
	}
}
