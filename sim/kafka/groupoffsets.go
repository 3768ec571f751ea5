package kafka

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/port"
)

// serve stores offsets: they count once they are in the log of all in-sync replicas.
func (r *offsetCommitRequest) serve(co *coordinator, c *srvConn) {
	gen := c.gen
	answer := func(resp *offsetCommitResponse) {
		c.respondGroup(gen, resp, 10+6*len(r.offsets), memberSum(&r.GroupMember)+uint64(resp.code))
	}
	b := co.b
	resp := &offsetCommitResponse{parts: make([]code, len(r.offsets))}
	var stored []partOffset
	refs := b.meta.topics[r.topic]
	for i, o := range r.offsets {
		if o.part < 0 || int(o.part) >= len(refs) || refs[o.part] == nil {
			resp.parts[i] = codeUnknownTopicOrPartition
			continue
		}
		stored = append(stored, o)
	}
	if len(stored) == 0 { // the coordinator is not even asked
		answer(resp)
		return
	}
	g, result := co.mayCommit(r)
	if result != codeNone {
		answer(&offsetCommitResponse{code: result})
		return
	}
	recs := make([]port.Record, len(stored))
	for i, o := range stored {
		recs[i] = offsetRecord(g.id, r.topic, o, b.p.Now())
	}
	b.host(g.ref).appendLocally(recs, b.cfg.OffsetsCommitTimeout, func(result code) {
		switch result {
		case codeNone:
			if g.state == groupDead {
				resp.code = codeNotCoordinator // the new one has them
				break
			}
			for _, o := range stored {
				g.setOffset(r.topic, o)
			}
		case codeUnknownTopicOrPartition, codeNotEnoughReplicas, codeNotEnoughReplicasAfterAppend:
			resp.code = codeCoordinatorNotAvailable
		case codeNotLeaderOrFollower:
			resp.code = codeNotCoordinator
		default:
			resp.code = result
		}
		answer(resp)
	})
}

// mayCommit checks who commits. Generation -1 without a member is a consumer that assigns its partitions itself.
func (co *coordinator) mayCommit(r *offsetCommitRequest) (*group, code) {
	if result := co.check(r.Group); result != codeNone {
		return nil, result
	}
	g := co.groups[r.Group]
	if g == nil {
		if r.Generation >= 0 {
			return nil, codeIllegalGeneration
		}
		return co.add(r.Group), codeNone
	}
	if r.Generation < 0 && g.state == groupEmpty {
		return g, codeNone
	}
	if r.Generation >= 0 || r.Member != "" || r.Instance != "" {
		if result := g.known(r.Member, r.Instance); result != codeNone {
			return nil, result
		}
	}
	switch {
	case r.Generation != g.generation:
		return nil, codeIllegalGeneration
	case g.state == groupCompleting:
		return nil, codeRebalanceInProgress
	case g.state == groupEmpty:
		return nil, codeUnknownMemberID
	}
	m := g.member(r.Member)
	g.expectHeartbeat(m, m.sessionTimeout)
	return g, codeNone
}

// serve reads offsets as they were committed.
func (r *offsetFetchRequest) serve(co *coordinator, c *srvConn) {
	resp := &offsetFetchResponse{code: co.check(r.group)}
	sum := uint64(resp.code)
	if g := co.groups[r.group]; resp.code == codeNone && g != nil {
		for _, o := range g.offsets {
			if o.topic == r.topic {
				resp.offsets = append(resp.offsets, o.partOffset)
				sum = sum*31 + uint64(o.next)<<8 + uint64(uint32(o.part))
			}
		}
	}
	c.respond(resp, 10+12*len(resp.offsets), sum)
}

// setOffset notes a committed offset, in order of topics and partitions.
func (g *group) setOffset(topic string, o partOffset) {
	i, ok := slices.BinarySearchFunc(g.offsets, o.part, func(x committedOffset, part int32) int {
		return cmp.Or(cmp.Compare(x.topic, topic), cmp.Compare(x.part, part))
	})
	if !ok {
		g.offsets = slices.Insert(g.offsets, i, committedOffset{topic: topic})
	}
	g.offsets[i].partOffset = o
}

func (g *group) announceNotSynced(m *member) {
	g.announce(port.EventGroupEvicted, "member %s has not synced, in generation %d", m.id, g.generation)
}

// String names a partition and its offset, for messages.
func (o partOffset) String() string { return fmt.Sprintf("%d: %d", o.part, o.next) }
