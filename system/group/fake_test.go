package group

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const topic = "events"

// coordinator is a group coordinator in memory: the states of Kafka's classic protocol for one group.
type coordinator struct {
	r rt.Runtime

	mu         sync.Mutex
	partitions int32
	away       bool
	state      string // empty, joining, syncing, stable
	generation int32
	leader     string
	members    map[string]*known
	made       int
	rebalances int
	evicted    []string
}

// known is a member as the coordinator knows it.
type known struct {
	req        port.JoinRequest
	seen       time.Time
	joined     *rt.Future[port.JoinReply] // while it waits for the generation
	synced     *rt.Future[[]byte]         // while it waits for the leader
	assignment []byte
}

var errCut = errors.New("connection reset")

// line is one process's way to the coordinator.
type line struct {
	*coordinator
	cut, dropReply bool
}

func newCoordinator(r rt.Runtime, partitions int32) *coordinator {
	c := &coordinator{r: r, partitions: partitions, state: "empty", members: map[string]*known{}}
	r.Go("sessions", func(ctx context.Context) {
		for r.Sleep(ctx, 100*time.Millisecond) == nil {
			c.mu.Lock()
			for _, id := range c.ids() {
				m := c.members[id]
				if m.joined == nil && r.Now().Sub(m.seen) > m.req.SessionTimeout {
					c.evict(id)
				}
			}
			c.mu.Unlock()
		}
	})
	return c
}

func (c *coordinator) ids() []string {
	var out []string
	for id := range c.members {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (c *coordinator) evict(id string) {
	c.evicted = append(c.evicted, id)
	c.remove(id)
}

func (c *coordinator) remove(id string) {
	m := c.members[id]
	delete(c.members, id)
	if m.synced != nil {
		m.synced.Complete(nil, port.ErrUnknownMember)
	}
	if len(c.members) == 0 {
		c.state = "empty"
		return
	}
	c.rebalance()
	c.maybeComplete()
}

// rebalance asks all members to join again; those that do not within their timeout are out.
func (c *coordinator) rebalance() {
	if c.state == "joining" {
		return
	}
	c.rebalances++
	c.state = "joining"
	patience := time.Duration(0)
	for _, m := range c.members {
		if m.synced != nil {
			m.synced.Complete(nil, port.ErrRebalanceInProgress)
			m.synced = nil
		}
		patience = max(patience, m.req.RebalanceTimeout)
	}
	round := c.rebalances
	c.r.Go("rebalance timeout", func(ctx context.Context) {
		if c.r.Sleep(ctx, patience) != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.state != "joining" || c.rebalances != round {
			return
		}
		for _, id := range c.ids() {
			if m := c.members[id]; m != nil && m.joined == nil {
				c.evict(id)
			}
		}
	})
}

func (c *coordinator) maybeComplete() {
	if c.state != "joining" || len(c.members) == 0 {
		return
	}
	var all []port.JoinedMember
	for _, id := range c.ids() {
		m := c.members[id]
		if m.joined == nil {
			return
		}
		all = append(all, port.JoinedMember{Member: id, Instance: m.req.Instance, Metadata: m.req.Protocols[0].Metadata})
	}
	c.generation++
	c.state = "syncing"
	if c.members[c.leader] == nil {
		c.leader = all[0].Member
	}
	for _, j := range all {
		m := c.members[j.Member]
		reply := port.JoinReply{Generation: c.generation, Member: j.Member, Leader: c.leader, Protocol: m.req.Protocols[0].Name}
		if j.Member == c.leader {
			reply.Members = all
		}
		m.seen = c.r.Now()
		m.joined.Complete(reply, nil)
		m.joined = nil
	}
}

func (l *line) Join(ctx context.Context, req port.JoinRequest) (port.JoinReply, error) {
	reply, err := l.join(ctx, req)
	if l.broken() {
		return port.JoinReply{Member: reply.Member}, errCut
	}
	return reply, err
}

func (l *line) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut || l.dropReply
}

func (l *line) join(ctx context.Context, req port.JoinRequest) (port.JoinReply, error) {
	c := l.coordinator
	c.mu.Lock()
	if l.cut {
		c.mu.Unlock()
		return port.JoinReply{}, errCut
	}
	if c.away {
		c.mu.Unlock()
		return port.JoinReply{}, port.ErrCoordinatorAway
	}
	id := req.Member
	if req.Instance != "" {
		for _, other := range c.ids() {
			if c.members[other].req.Instance != req.Instance || other == id {
				continue
			}
			if id != "" {
				c.mu.Unlock()
				return port.JoinReply{}, port.ErrFencedInstance
			}
			id = c.replace(other, req)
			if c.state == "stable" { // nothing moves; and the former leader's ID keeps the new one from assigning
				leader := c.leader
				if leader == id {
					leader = other
				}
				reply := port.JoinReply{Generation: c.generation, Member: id, Leader: leader, Protocol: req.Protocols[0].Name}
				c.mu.Unlock()
				return reply, nil
			}
		}
	}
	if id == "" {
		id = c.newID(req)
		c.members[id] = &known{req: req, seen: c.r.Now()}
	}
	m := c.members[id]
	if m == nil {
		c.mu.Unlock()
		return port.JoinReply{}, port.ErrUnknownMember
	}
	same := bytes.Equal(m.req.Protocols[0].Metadata, req.Protocols[0].Metadata)
	if c.state == "stable" && same && id != c.leader && m.assignment != nil {
		reply := port.JoinReply{Generation: c.generation, Member: id, Leader: c.leader, Protocol: req.Protocols[0].Name}
		c.mu.Unlock()
		return reply, nil
	}
	m.req, m.seen = req, c.r.Now()
	if m.joined == nil {
		m.joined = rt.NewFuture[port.JoinReply](c.r)
	}
	joined := m.joined
	c.rebalance()
	c.maybeComplete()
	c.mu.Unlock()
	reply, err := joined.Wait(ctx)
	if err != nil {
		reply.Member = id
	}
	return reply, err
}

func (c *coordinator) newID(req port.JoinRequest) string {
	c.made++
	return fmt.Sprintf("%s-%03d", req.ClientID, c.made)
}

// replace gives a static member that has come back a new ID in the old one's place.
func (c *coordinator) replace(old string, req port.JoinRequest) string {
	id := c.newID(req)
	m := c.members[old]
	delete(c.members, old)
	if m.joined != nil {
		m.joined.Complete(port.JoinReply{}, port.ErrFencedInstance)
		m.joined = nil
	}
	m.seen = c.r.Now()
	c.members[id] = m
	if c.leader == old {
		c.leader = id
	}
	return id
}

// check is what every request of a member of a generation is held against.
func (l *line) check(id port.GroupMember) (*known, error) {
	c := l.coordinator
	if l.cut {
		return nil, errCut
	}
	if c.away {
		return nil, port.ErrCoordinatorAway
	}
	m := c.members[id.Member]
	if m == nil {
		if id.Instance != "" {
			for _, other := range c.members {
				if other.req.Instance == id.Instance {
					return nil, port.ErrFencedInstance
				}
			}
		}
		return nil, port.ErrUnknownMember
	}
	m.seen = c.r.Now()
	if id.Generation != c.generation {
		return nil, port.ErrIllegalGeneration
	}
	return m, nil
}

func (l *line) Sync(ctx context.Context, id port.GroupMember, assignments []port.GroupAssignment) ([]byte, error) {
	c := l.coordinator
	c.mu.Lock()
	m, err := l.check(id)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	switch c.state {
	case "stable":
		defer c.mu.Unlock()
		return m.assignment, nil
	case "joining":
		c.mu.Unlock()
		return nil, port.ErrRebalanceInProgress
	}
	m.synced = rt.NewFuture[[]byte](c.r)
	synced := m.synced
	if id.Member == c.leader {
		c.state = "stable"
		for _, a := range assignments {
			if m := c.members[a.Member]; m != nil {
				m.assignment = a.Assignment
			}
		}
	}
	if c.state == "stable" {
		for _, m := range c.members {
			if m.synced != nil {
				m.seen = c.r.Now()
				m.synced.Complete(m.assignment, nil)
				m.synced = nil
			}
		}
	}
	c.mu.Unlock()
	return synced.Wait(ctx)
}

func (l *line) Heartbeat(_ context.Context, id port.GroupMember) error {
	c := l.coordinator
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := l.check(id); err != nil {
		return err
	}
	if c.state != "stable" {
		return port.ErrRebalanceInProgress
	}
	return nil
}

func (l *line) Leave(_ context.Context, id port.GroupMember) error {
	c := l.coordinator
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := l.check(id); err != nil && !errors.Is(err, port.ErrIllegalGeneration) {
		return err
	}
	c.remove(id.Member)
	return nil
}

func (l *line) Commit(_ context.Context, id port.GroupMember, _ string, _ map[int32]int64) error {
	c := l.coordinator
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := l.check(id)
	return err
}

func (*line) Committed(context.Context, string, string) (map[int32]int64, error) { return nil, nil }

func (l *line) Partitions(_ context.Context, name string) (int32, error) {
	c := l.coordinator
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case l.cut:
		return 0, errCut
	case name != topic:
		return 0, port.ErrNoTopic
	}
	return c.partitions, nil
}

// count is how many rebalances there have been, out who was evicted, present who is a member.
func (c *coordinator) count() (n int) { c.change(func() { n = c.rebalances }); return n }
func (c *coordinator) out() (ids []string) {
	c.change(func() { ids = slices.Clone(c.evicted) })
	return ids
}
func (c *coordinator) present() (ids []string) { c.change(func() { ids = c.ids() }); return ids }

func (c *coordinator) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func testConfig(client, assignor string) Config {
	return Config{
		ClientID: client, Group: "beagle", Topic: topic, Assignor: assignor,
		SessionTimeout: 6 * time.Second, HeartbeatEvery: time.Second, RebalanceTimeout: 15 * time.Second,
	}
}

func newTestMember(t interface{ Fatal(...any) }, r rt.Runtime, g port.Groups, cfg Config) *Member {
	m, err := NewMember(r, g, cfg, port.Discard{}, cfg.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// inBubble runs f as a process under a clock that moves only when everything waits.
func inBubble(t *testing.T, f func(ctx context.Context, t *testing.T, r *rt.Wall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rt.NewWall(1)
		defer func() { r.Kill(); r.Wait() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f(ctx, t, r)
	})
}
