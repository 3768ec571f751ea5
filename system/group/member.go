package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// retryAfter is the pause before a request to the coordinator is repeated.
const retryAfter = 200 * time.Millisecond

// Member is one member of a consumer group. Join, Leave and Resign are for one task; the others for any.
type Member struct {
	r        rt.Runtime
	g        port.Groups
	cfg      Config
	announce port.Events
	node     string
	assign   Assignor

	mu     sync.Mutex       // never held across a blocking call
	id     port.GroupMember // of the last assignment, also when that is over: what is committed by it is fenced
	joinAs string           // the member ID to join by; "" is as a new member
	why    string           // why the last attempt to join failed; empty once one has not
	lost   bool             // others may have been given what this member had: it can claim nothing
	beat   *beating
	// last and lastIn are the last assignment and its generation; sized is how many partitions it shared out
	// (unknownSize if the leader did not say).
	last   []int32
	lastIn int32
	sized  int32
}

const unknownSize = -1

// Assignment is what a member has in one generation.
type Assignment struct {
	Generation int32
	Member     string
	// Partitions of the topic, ascending.
	Partitions []int32
	// Over completes when the assignment is over, with
	//   - port.ErrRebalanceInProgress: the group is to have another generation. Heartbeats go on until the next Join, which
	//     must come within RebalanceTimeout.
	//   - port.ErrUnknownMember: evicted, or without a successful heartbeat for SessionTimeout by the member's own clock
	//   - port.ErrIllegalGeneration: the group has gone on without this member
	//   - port.ErrFencedInstance: another process has this member's instance ID; Join will say so, too.
	// After all but the first the partitions may be another member's already.
	// The reason is the future's value, not its error.
	Over *rt.Future[error]
	// Rejoin: some of what Join was told to be owned is not in Partitions, and waits to be given to others. Give it up and
	// join again at once (cooperative protocols).
	Rejoin bool
	// Lost: between the last assignment and this one the member was evicted, so others may have had any of the
	// partitions meanwhile, also those that were owned and are in Partitions again.
	Lost bool
	// Leader: this member has made the generation's assignment.
	Leader bool
}

// NewMember makes a member, which takes part in nothing before Join. node is the name under which it announces itself.
func NewMember(r rt.Runtime, g port.Groups, cfg Config, announce port.Events, node string) (*Member, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.RefreshEvery == 0 {
		cfg.RefreshEvery = defaultRefresh
	}
	return &Member{
		r: r, g: g, cfg: cfg, announce: announce, node: node, assign: cfg.assign(),
		id:     port.GroupMember{Group: cfg.Group, Instance: cfg.Instance, Generation: noGeneration},
		lastIn: noGeneration, sized: unknownSize,
	}, nil
}

// ID names the member in its last assignment's generation, for commits. After an eviction it is still that one, so that
// the coordinator refuses what is late. It must not be committed by before the first Join.
func (m *Member) ID() port.GroupMember {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// Cooperative reports whether what is kept over a rebalance need not be given up before Join.
func (m *Member) Cooperative() bool { return m.cfg.Assignor == CooperativeSticky }

// Trouble is why the last attempt to join failed; empty if it did not. Join keeps on trying.
func (m *Member) Trouble() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

// Join joins the group's next generation and returns what the member has in it. owned is what the caller still holds;
// with an assignor that is not cooperative it must have given everything up. Join retries while the coordinator is
// away and whenever the group rebalances meanwhile, until ctx ends. An evicted member joins as a new one.
//
// It returns port.ErrFencedInstance and what matches port.ErrRefused (the coordinator will not have such a member) at
// once, else only ctx's end and an assignment that cannot be read.
func (m *Member) Join(ctx context.Context, owned []int32) (Assignment, error) {
	m.endHeartbeats(port.ErrRebalanceInProgress)
	if !m.Cooperative() {
		owned = nil
	}
	atOnce := retriesAtOnce
	for {
		if m.isLost() {
			owned = nil
		}
		a, err := m.once(ctx, owned)
		switch {
		case err == nil:
			a.Rejoin = m.Cooperative() && slices.ContainsFunc(owned, func(p int32) bool { return !slices.Contains(a.Partitions, p) })
			m.start(&a)
			return a, nil
		case ctx.Err() != nil:
			return Assignment{}, fmt.Errorf("group %s: join: %w", m.cfg.Group, ctx.Err())
		case errors.Is(err, port.ErrFencedInstance), errors.Is(err, port.ErrRefused), errors.Is(err, errUnreadable), errors.Is(err, rt.ErrKilled):
			return Assignment{}, fmt.Errorf("group %s: join: %w", m.cfg.Group, err)
		}
		if m.failed(err) && atOnce > 0 {
			atOnce--
			continue
		}
		if err := m.r.Sleep(ctx, retryAfter); err != nil {
			return Assignment{}, fmt.Errorf("group %s: join: %w", m.cfg.Group, err)
		}
	}
}

// retriesAtOnce is how often Join tries again without a pause after answers that ask for it.
const retriesAtOnce = 3

// errUnreadable: the leader's assignment cannot be decoded. Another attempt would bring the same.
var errUnreadable = errors.New("the leader's assignment cannot be read")

// once goes through join and sync once.
func (m *Member) once(ctx context.Context, owned []int32) (Assignment, error) {
	// The coordinator answers within the rebalance timeout; a bit more is for the way.
	joining, cancel := m.r.WithTimeout(ctx, m.cfg.RebalanceTimeout+m.cfg.SessionTimeout)
	defer cancel()
	reply, err := m.g.Join(joining, m.request(owned))
	m.mu.Lock()
	if reply.Member != "" { // also with an error: the coordinator knows the member by it already
		m.joinAs = reply.Member
	}
	m.mu.Unlock()
	if err != nil {
		return Assignment{}, err
	}
	leader := reply.Leader == reply.Member
	var assignments []port.GroupAssignment
	if leader {
		if assignments, err = m.lead(joining, reply); err != nil {
			return Assignment{}, err
		}
	}
	cancel()
	syncing, cancel := m.r.WithTimeout(ctx, m.cfg.RebalanceTimeout+m.cfg.SessionTimeout)
	defer cancel()
	id := port.GroupMember{Group: m.cfg.Group, Member: reply.Member, Instance: m.cfg.Instance, Generation: reply.Generation}
	given, err := m.g.Sync(syncing, id, assignments)
	if err != nil {
		return Assignment{}, err
	}
	assigned, err := DecodeAssigned(given)
	if err != nil {
		return Assignment{}, fmt.Errorf("%w: generation %d, leader %s: %w", errUnreadable, reply.Generation, reply.Leader, err)
	}
	a := Assignment{Generation: reply.Generation, Member: reply.Member, Partitions: []int32{}, Over: rt.NewFuture[error](m.r), Leader: leader}
	for _, t := range assigned.Topics {
		if t.Topic == m.cfg.Topic {
			a.Partitions = append(a.Partitions, t.Partitions...)
		}
	}
	slices.Sort(a.Partitions)
	a.Partitions = slices.Compact(a.Partitions)
	m.mu.Lock()
	a.Lost = m.lost && m.lastIn != noGeneration
	m.id, m.lost, m.why = id, false, ""
	m.last, m.lastIn, m.sized = slices.Clone(a.Partitions), reply.Generation, decodeSize(assigned.UserData, m.cfg.Topic)
	m.mu.Unlock()
	return a, nil
}

// request is the member's request to join.
func (m *Member) request(owned []int32) port.JoinRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return port.JoinRequest{
		Group: m.cfg.Group, Member: m.joinAs, Instance: m.cfg.Instance, ClientID: m.cfg.ClientID,
		SessionTimeout: m.cfg.SessionTimeout, RebalanceTimeout: m.cfg.RebalanceTimeout,
		Protocols: []port.GroupProtocol{{Name: m.cfg.Assignor, Metadata: m.subscription(owned).Encode()}},
	}
}

// failed takes in how an attempt to join ended, and reports whether the next one need not be put off.
func (m *Member) failed(err error) (again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = err.Error()
	switch {
	case errors.Is(err, port.ErrUnknownMember):
		m.joinAs, m.lost = "", true
		return true
	case errors.Is(err, port.ErrIllegalGeneration):
		m.lost = true
	case errors.Is(err, port.ErrRebalanceInProgress):
		return true
	}
	return false
}

func (m *Member) isLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Leave ends the heartbeats. A dynamic member's partitions are given to others at once; a static one says nothing, so that
// it may come back within SessionTimeout and have the same (see Resign).
func (m *Member) Leave(ctx context.Context) error {
	m.endHeartbeats(port.ErrUnknownMember)
	if m.cfg.Instance != "" {
		return nil
	}
	return m.Resign(ctx)
}

// Resign leaves the group for good, a static member too: it gives its instance ID up.
func (m *Member) Resign(ctx context.Context) error {
	m.endHeartbeats(port.ErrUnknownMember)
	m.mu.Lock()
	id := m.id
	id.Member, m.joinAs, m.lost = m.joinAs, "", true
	m.mu.Unlock()
	if id.Member == "" {
		return nil
	}
	err := m.g.Leave(ctx, id)
	if err == nil || errors.Is(err, port.ErrUnknownMember) {
		return nil
	}
	return fmt.Errorf("group %s: %s leaves: %w", m.cfg.Group, id.Member, err)
}
