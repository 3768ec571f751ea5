package kafka

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// serve takes a member into the group's next generation.
func (r *joinGroupRequest) serve(co *coordinator, c *srvConn) {
	gen := c.gen
	answer := func(resp *joinGroupResponse) {
		size, sum := 30+len(resp.reply.Member)+len(resp.reply.Leader), uint64(resp.code)
		sum = groupSum(sum+uint64(uint32(resp.reply.Generation))<<8, []byte(resp.reply.Member), []byte(resp.reply.Leader))
		for i := range resp.reply.Members {
			m := &resp.reply.Members[i]
			size += 8 + len(m.Member) + len(m.Instance) + len(m.Metadata)
			sum = groupSum(sum, []byte(m.Member), m.Metadata)
		}
		c.respondGroup(gen, resp, size, sum)
	}
	if result := co.check(r.Group); result != codeNone {
		answer(&joinGroupResponse{code: result})
		return
	}
	cfg := co.b.cfg
	if r.SessionTimeout < cfg.MinSessionTimeout || r.SessionTimeout > cfg.MaxSessionTimeout {
		answer(&joinGroupResponse{code: codeInvalidSessionTimeout})
		return
	}
	g := co.groups[r.Group]
	if g == nil {
		if r.Member != "" {
			answer(&joinGroupResponse{code: codeUnknownMemberID})
			return
		}
		g = co.add(r.Group)
	}
	if !g.canDo(r.Protocols) {
		answer(&joinGroupResponse{code: codeInconsistentGroupProtocol})
		return
	}
	if r.Member == "" {
		g.joinNew(&r.JoinRequest, answer)
	} else {
		g.joinAgain(&r.JoinRequest, answer)
	}
	g.tryCompleteJoin()
}

// joinNew takes in who has no member ID. A dynamic member is given one and has to come back with it (KIP-394), so that a
// join whose answer is lost leaves no ghost behind.
func (g *group) joinNew(r *port.JoinRequest, answer func(*joinGroupResponse)) {
	id := g.newMemberID(r.ClientID, r.Instance)
	if r.Instance == "" {
		p := &pendingMember{id: id}
		p.expires.init(g.co.b.p, func() { g.pendingOver(p) })
		now := g.co.b.s.Now()
		p.expires.set(now, now+r.SessionTimeout)
		g.pending = append(g.pending, p)
		answer(&joinGroupResponse{code: codeMemberIDRequired, reply: port.JoinReply{Generation: -1, Member: id}})
		return
	}
	if old := g.static(r.Instance); old != nil {
		g.replaceStatic(old, id, r, answer)
		return
	}
	g.addMember(id, r, answer)
}

// joinAgain takes in who has a member ID.
func (g *group) joinAgain(r *port.JoinRequest, answer func(*joinGroupResponse)) {
	if i := slices.IndexFunc(g.pending, func(p *pendingMember) bool { return p.id == r.Member }); i >= 0 {
		g.pending[i].expires.clear()
		g.pending = slices.Delete(g.pending, i, i+1)
		g.addMember(r.Member, r, answer)
		return
	}
	if result := g.known(r.Member, r.Instance); result != codeNone {
		answer(&joinGroupResponse{code: result, reply: port.JoinReply{Generation: -1, Member: r.Member}})
		return
	}
	m := g.member(r.Member)
	switch {
	case g.state == groupCompleting && m.same(r.Protocols): // it has not got the answer to its join
		answer(g.joinReply(m))
	case g.state == groupStable && g.leader != m.id && m.same(r.Protocols): // nothing new: it may sync
		answer(g.joinReply(m))
	case g.state == groupEmpty || g.state == groupDead:
		answer(&joinGroupResponse{code: codeUnknownMemberID, reply: port.JoinReply{Generation: -1, Member: r.Member}})
	default: // also the leader of a stable group: it may want another assignment
		m.update(r, answer)
		g.maybePrepareRebalance("member " + m.id + " joins again")
	}
}

// update takes over what a member says in a new join.
func (m *member) update(r *port.JoinRequest, answer func(*joinGroupResponse)) {
	m.clientID, m.rebalanceTimeout, m.sessionTimeout, m.protocols = r.ClientID, r.RebalanceTimeout, r.SessionTimeout, r.Protocols
	m.joined = answer
}

func (g *group) addMember(id string, r *port.JoinRequest, answer func(*joinGroupResponse)) {
	m := &member{memberMetadata: memberMetadata{id: id, instance: r.Instance}, isNew: true}
	m.update(r, answer)
	if g.state == groupPreparing && g.generation == 0 {
		g.newcomer = true
	}
	if len(g.members) == 0 {
		g.leader = id
	}
	g.enter(m)
	g.expectHeartbeat(m, newMemberJoinTimeout)
	g.maybePrepareRebalance("member " + id + " joins")
}

// replaceStatic gives a static member that has lost its ID, by a restart, a new one (KIP-345). Who still uses the old one
// is fenced. A stable group goes on without a rebalance if the selected protocol stays.
func (g *group) replaceStatic(m *member, id string, r *port.JoinRequest, answer func(*joinGroupResponse)) {
	leader, old := g.leader, *m
	rename := func(to string) {
		m.answerJoin(&joinGroupResponse{code: codeFencedInstanceID, reply: port.JoinReply{Generation: -1, Member: m.id}})
		m.answerSync(&syncGroupResponse{code: codeFencedInstanceID})
		if i := slices.Index(g.unsynced, m.id); i >= 0 {
			g.unsynced[i] = to
		}
		if g.leader == m.id {
			g.leader = to
		}
		m.id = to
	}
	rename(id)
	m.update(r, answer)
	g.expectHeartbeat(m, m.sessionTimeout)
	switch g.state {
	case groupCompleting:
		g.prepareRebalance("static member " + m.instance + " joins with a new ID")
		return
	case groupStable:
	default:
		return
	}
	if g.vote() != g.protocol {
		g.prepareRebalance("static member " + m.instance + " changes the protocol")
		return
	}
	g.store(g.snapshot(), func(result code) {
		if g.state == groupDead || m.id != id {
			return
		}
		if result != codeNone {
			m.answerJoin(&joinGroupResponse{code: result, reply: port.JoinReply{Generation: -1}})
			m.rebalanceTimeout, m.sessionTimeout, m.protocols = old.rebalanceTimeout, old.sessionTimeout, old.protocols
			rename(old.id)
			return
		}
		// The leader's old ID is told, so that a leader that was replaced does not think that it has to assign.
		resp := g.joinReply(m)
		resp.reply.Leader, resp.reply.Members = leader, nil
		m.answerJoin(resp)
	})
}

// joinReply is what a member is told of the generation.
func (g *group) joinReply(m *member) *joinGroupResponse {
	resp := &joinGroupResponse{reply: port.JoinReply{Generation: g.generation, Member: m.id, Leader: g.leader, Protocol: g.protocol}}
	if m.id == g.leader {
		for _, x := range g.members {
			j := port.JoinedMember{Member: x.id, Instance: x.instance}
			if p := x.metadata(g.protocol); p != nil {
				j.Metadata = p.Metadata
			}
			resp.reply.Members = append(resp.reply.Members, j)
		}
	}
	return resp
}

func (g *group) maybePrepareRebalance(why string) {
	switch g.state {
	case groupEmpty, groupCompleting, groupStable:
		g.prepareRebalance(why)
	}
}

// prepareRebalance has all members join again. An empty group waits its initial delay for more of them.
func (g *group) prepareRebalance(why string) {
	if g.state == groupCompleting {
		g.failSyncs(codeRebalanceInProgress)
	}
	g.syncing.clear()
	g.announce(port.EventGroupRebalance, "from generation %d (%v): %s", g.generation, g.state, why)
	now := g.co.b.s.Now()
	g.initial = g.state == groupEmpty
	g.state = groupPreparing
	if g.initial {
		delay := g.co.b.cfg.InitialRebalanceDelay
		g.initialLeft = max(g.rebalanceTimeout()-delay, 0)
		g.joining.set(now, now+delay)
		return
	}
	g.joining.set(now, now+g.rebalanceTimeout())
	g.tryCompleteJoin()
}

// tryCompleteJoin ends a rebalance as soon as everybody has joined.
func (g *group) tryCompleteJoin() {
	if g.state != groupPreparing || g.initial || len(g.pending) > 0 {
		return
	}
	for _, m := range g.members {
		if m.joined == nil {
			return
		}
	}
	g.completeJoin()
}

// joinsOver ends a rebalance by time. An initial one goes on while members keep coming.
func (g *group) joinsOver() {
	if g.state != groupPreparing {
		return
	}
	if g.initial && g.newcomer && g.initialLeft > 0 {
		delay := min(g.co.b.cfg.InitialRebalanceDelay, g.initialLeft)
		g.newcomer, g.initialLeft = false, g.initialLeft-delay
		now := g.co.b.s.Now()
		g.joining.set(now, now+delay)
		return
	}
	g.initial = false
	g.completeJoin()
}

// completeJoin begins the next generation with those who have joined.
func (g *group) completeJoin() {
	for _, m := range slices.Clone(g.members) {
		if m.joined == nil && m.instance == "" {
			g.announce(port.EventGroupEvicted, "member %s has not joined again within the rebalance timeout", m.id)
			g.drop(m)
		}
	}
	now := g.co.b.s.Now()
	if !g.electJoined() && len(g.members) > 0 { // static members alone, and none of them here: until their sessions end
		g.joining.set(now, now+g.rebalanceTimeout())
		return
	}
	g.joining.clear()
	g.generation++
	g.unsynced = nil
	if len(g.members) == 0 {
		g.state, g.protocol, g.leader = groupEmpty, "", ""
		g.store(g.snapshot(), func(code) {}) // if that fails, a new coordinator finds the members of before and evicts them
		return
	}
	g.state, g.protocol = groupCompleting, g.vote()
	for _, m := range g.members {
		g.unsynced = append(g.unsynced, m.id)
	}
	for _, m := range g.members {
		m.answerJoin(g.joinReply(m))
		m.isNew = false
		g.expectHeartbeat(m, m.sessionTimeout)
	}
	g.syncing.set(now, now+g.rebalanceTimeout())
}

// electJoined keeps the leader if it has joined, else the first who has leads; it reports whether anybody has.
func (g *group) electJoined() bool {
	if m := g.member(g.leader); m != nil && m.joined != nil {
		return true
	}
	for _, m := range g.members {
		if m.joined != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// pendingOver forgets a member ID that nobody has joined with.
func (g *group) pendingOver(p *pendingMember) {
	if g.state == groupDead {
		return
	}
	g.pending = slices.DeleteFunc(g.pending, func(x *pendingMember) bool { return x == p })
	g.tryCompleteJoin()
}

// sessionOver evicts a member that was not heard of in time. Who waits for the coordinator is alive.
func (g *group) sessionOver(m *member) {
	if g.state == groupDead || !m.isNew && (m.joined != nil || m.synced != nil) {
		return
	}
	within := m.sessionTimeout
	if m.isNew {
		within = newMemberJoinTimeout
	}
	g.announce(port.EventGroupEvicted, "member %s was not heard of for %v, in generation %d", m.id, within.Round(time.Millisecond), g.generation)
	g.remove(m, "member "+m.id+" was evicted")
}

// remove takes a member out of the group, which rebalances.
func (g *group) remove(m *member, why string) {
	m.answerJoin(&joinGroupResponse{code: codeUnknownMemberID, reply: port.JoinReply{Generation: -1}})
	m.answerSync(&syncGroupResponse{code: codeUnknownMemberID})
	g.drop(m)
	switch g.state {
	case groupStable, groupCompleting:
		g.prepareRebalance(why)
	case groupPreparing:
		g.tryCompleteJoin()
	}
}
