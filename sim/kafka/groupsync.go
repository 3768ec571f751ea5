package kafka

import (
	"slices"
)

// serve hands out the assignment: to the leader once what it brought is in the log, to the others when the leader's is.
func (r *syncGroupRequest) serve(co *coordinator, c *srvConn) {
	gen := c.gen
	answer := func(resp *syncGroupResponse) {
		c.respondGroup(gen, resp, 10+len(resp.assignment), groupSum(uint64(resp.code), resp.assignment))
	}
	result := co.check(r.Group)
	if result == codeCoordinatorLoadInProgress {
		result = codeRebalanceInProgress // the state of the rebalance is lost: everybody begins anew, here
	}
	if result != codeNone {
		answer(&syncGroupResponse{code: result})
		return
	}
	g := co.groups[r.Group]
	if g == nil {
		answer(&syncGroupResponse{code: codeUnknownMemberID})
		return
	}
	if result := g.current(r.Member, r.Instance, r.Generation); result != codeNone {
		answer(&syncGroupResponse{code: result})
		return
	}
	m := g.member(r.Member)
	switch g.state {
	case groupPreparing:
		answer(&syncGroupResponse{code: codeRebalanceInProgress})
	case groupCompleting:
		m.synced = answer
		g.hasSynced(m)
		if m.id == g.leader {
			g.assign(r)
		}
	case groupStable:
		g.hasSynced(m)
		answer(&syncGroupResponse{assignment: m.assignment})
		g.expectHeartbeat(m, m.sessionTimeout)
	default:
		answer(&syncGroupResponse{code: codeUnknownMemberID})
	}
}

// current checks a request's member and generation.
func (g *group) current(id, instance string, generation int32) code {
	if result := g.known(id, instance); result != codeNone {
		return result
	}
	if generation != g.generation {
		return codeIllegalGeneration
	}
	return codeNone
}

func (g *group) hasSynced(m *member) {
	g.unsynced = slices.DeleteFunc(g.unsynced, func(id string) bool { return id == m.id })
	if len(g.unsynced) == 0 {
		g.syncing.clear()
	}
}

// assign writes the leader's assignment to the log; only then is anybody told. Members that it left out get nothing.
func (g *group) assign(r *syncGroupRequest) {
	meta := g.snapshot()
	for i := range meta.members {
		m := &meta.members[i]
		m.assignment = nil
		for _, a := range r.assignments {
			if a.Member == m.id {
				m.assignment = a.Assignment
			}
		}
	}
	g.store(meta, func(result code) {
		// Somebody may have joined meanwhile; then this generation is over, whatever became of its assignment.
		if g.state != groupCompleting || g.generation != meta.generation {
			return
		}
		if result != codeNone {
			g.failSyncs(result)
			g.maybePrepareRebalance("the assignment could not be stored")
			return
		}
		for _, x := range meta.members {
			if m := g.member(x.id); m != nil {
				m.assignment = x.assignment
			}
		}
		g.state = groupStable
		for _, m := range g.members {
			m.answerSync(&syncGroupResponse{assignment: m.assignment})
			// An expiry while it waited was passed over: from now on it has to be heard of again.
			g.expectHeartbeat(m, m.sessionTimeout)
		}
	})
}

// failSyncs answers all syncs that wait with an error: this generation gets no assignment.
func (g *group) failSyncs(why code) {
	for _, m := range g.members {
		m.assignment = nil
		m.answerSync(&syncGroupResponse{code: why})
		g.expectHeartbeat(m, m.sessionTimeout)
	}
}

// syncsOver removes those who have joined a generation and never synced.
func (g *group) syncsOver() {
	if g.state != groupCompleting && g.state != groupStable || len(g.unsynced) == 0 {
		return
	}
	gone := slices.Clone(g.unsynced)
	for _, id := range gone {
		if m := g.member(id); m != nil {
			g.announceNotSynced(m)
			g.drop(m)
		}
	}
	g.prepareRebalance("members that have not synced were removed")
}

// serve notes that a member lives, and tells it whether it has to join again.
func (r *heartbeatRequest) serve(co *coordinator, c *srvConn) {
	c.respond(&groupAckResponse{co.heartbeat(r)}, 4, memberSum(&r.GroupMember))
}

func (co *coordinator) heartbeat(r *heartbeatRequest) code {
	switch result := co.check(r.Group); result {
	case codeNone:
	case codeCoordinatorLoadInProgress:
		return codeNone // all sessions begin anew when it is loaded
	default:
		return result
	}
	g := co.groups[r.Group]
	if g == nil {
		return codeUnknownMemberID
	}
	if result := g.current(r.Member, r.Instance, r.Generation); result != codeNone {
		return result
	}
	if g.state == groupEmpty {
		return codeUnknownMemberID
	}
	m := g.member(r.Member)
	g.expectHeartbeat(m, m.sessionTimeout)
	if g.state == groupPreparing {
		return codeRebalanceInProgress
	}
	return codeNone
}

// serve ends a membership.
func (r *leaveGroupRequest) serve(co *coordinator, c *srvConn) {
	c.respond(&groupAckResponse{co.leave(r)}, 4, memberSum(&r.GroupMember))
}

func (co *coordinator) leave(r *leaveGroupRequest) code {
	if result := co.check(r.Group); result != codeNone {
		return result
	}
	g := co.groups[r.Group]
	if g == nil {
		return codeUnknownMemberID
	}
	if i := slices.IndexFunc(g.pending, func(p *pendingMember) bool { return p.id == r.Member }); i >= 0 {
		g.pending[i].expires.clear()
		g.pendingOver(g.pending[i])
		return codeNone
	}
	id := r.Member
	if m := g.static(r.Instance); m != nil && id == "" { // an operator names the instance alone
		id = m.id
	}
	if result := g.known(id, r.Instance); result != codeNone {
		return result
	}
	m := g.member(id)
	g.remove(m, "member "+m.id+" leaves")
	return codeNone
}
