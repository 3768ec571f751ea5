package kafka

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// groupState is where a group is in its life (Kafka's GroupState).
type groupState uint8

const (
	groupEmpty      groupState = iota // no members; there may be offsets
	groupPreparing                    // PreparingRebalance: members join the next generation
	groupCompleting                   // CompletingRebalance: the leader has to hand in the assignment
	groupStable
	groupDead // its partition has moved to another broker
)

var groupStateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

// String implements fmt.Stringer.
func (s groupState) String() string { return groupStateNames[s] }

// newMemberJoinTimeout is how long a member that joins for the first time may wait (group.new.member.join.timeout of
// Kafka's coordinator).
const newMemberJoinTimeout = 5 * time.Minute

// group is a consumer group in its coordinator's memory.
type group struct {
	co         *coordinator
	id         string
	ref        *tpRef // its partition of the offsets topic
	state      groupState
	generation int32
	protocol   string
	leader     string
	members    []*member        // in order of their coming
	pending    []*pendingMember // have been given an ID and have not joined with it (KIP-394)
	offsets    []committedOffset

	joining     timer         // ends the rebalance
	initial     bool          // the rebalance is an empty group's first: it lasts its time
	initialLeft time.Duration // by how much that may still be extended
	newcomer    bool          // somebody joined during an initial rebalance
	syncing     timer         // who has not synced by then is removed
	unsynced    []string      // members of this generation that have not synced, by ID
}

// member is a member of a group.
type member struct {
	memberMetadata
	protocols []port.GroupProtocol
	isNew     bool // its first join has not been answered
	session   timer
	joined    func(*joinGroupResponse) // answers the join that waits
	synced    func(*syncGroupResponse) // answers the sync that waits
}

type pendingMember struct {
	id      string
	expires timer
}

// committedOffset is the next offset to read of a partition.
type committedOffset struct {
	topic string
	partOffset
}

func newGroup(co *coordinator, id string, ref *tpRef) *group {
	g := &group{co: co, id: id, ref: ref}
	g.joining.init(co.b.p, g.joinsOver)
	g.syncing.init(co.b.p, g.syncsOver)
	return g
}

// restore takes over what the log says of a group.
func (g *group) restore(meta *groupMetadata) {
	g.generation, g.protocol, g.leader = meta.generation, meta.protocol, meta.leader
	g.members = nil
	for _, m := range meta.members {
		g.enter(&member{memberMetadata: m, protocols: []port.GroupProtocol{{Name: meta.protocol, Metadata: m.subscription}}})
	}
	g.state = groupStable
	if len(g.members) == 0 {
		g.state = groupEmpty
	}
}

// enter adds a member to the list.
func (g *group) enter(m *member) {
	m.session.init(g.co.b.p, func() { g.sessionOver(m) })
	g.members = append(g.members, m)
}

// unload ends a group whose partition is led by another broker now: who waits is sent there.
func (g *group) unload() {
	g.state = groupDead
	g.joining.clear()
	g.syncing.clear()
	for _, m := range g.members {
		m.session.clear()
		m.answerJoin(&joinGroupResponse{code: codeNotCoordinator})
		m.answerSync(&syncGroupResponse{code: codeNotCoordinator})
	}
	for _, p := range g.pending {
		p.expires.clear()
	}
}

func (g *group) member(id string) *member {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// static returns the member with a group.instance.id.
func (g *group) static(instance string) *member {
	if instance == "" {
		return nil
	}
	for _, m := range g.members {
		if m.instance == instance {
			return m
		}
	}
	return nil
}

// known checks a request's member against the group (validateCurrentMember).
func (g *group) known(id, instance string) code {
	if instance != "" {
		switch m := g.static(instance); {
		case m == nil:
			return codeUnknownMemberID
		case m.id != id:
			return codeFencedInstanceID
		}
		return codeNone
	}
	if g.member(id) == nil {
		return codeUnknownMemberID
	}
	return codeNone
}

// newMemberID makes an ID as Kafka does: the client's or the instance's name and a random UUID.
func (g *group) newMemberID(clientID, instance string) string {
	name := clientID
	if instance != "" {
		name = instance
	}
	var u [16]byte
	for i := range u {
		u[i] = byte(g.co.b.rnd.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return name + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// rebalanceTimeout is the longest that a member asks for.
func (g *group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// canDo says whether a member that can do protocols fits the group.
func (g *group) canDo(protocols []port.GroupProtocol) bool {
	if len(g.members) == 0 || g.state == groupEmpty {
		return len(protocols) > 0
	}
	return slices.ContainsFunc(protocols, func(p port.GroupProtocol) bool { return g.allCanDo(p.Name) })
}

func (g *group) allCanDo(protocol string) bool {
	for _, m := range g.members {
		if m.metadata(protocol) == nil {
			return false
		}
	}
	return true
}

// vote selects the protocol that most members prefer among those that all can do; at a tie the one that was voted for
// first.
func (g *group) vote() string {
	var names []string
	var votes []int
	for _, m := range g.members {
		for _, p := range m.protocols {
			if !g.allCanDo(p.Name) {
				continue
			}
			i := slices.Index(names, p.Name)
			if i < 0 {
				i = len(names)
				names, votes = append(names, p.Name), append(votes, 0)
			}
			votes[i]++
			break
		}
	}
	best := ""
	most := 0
	for i, n := range votes {
		if n > most {
			best, most = names[i], n
		}
	}
	return best
}

// metadata is the member's for a protocol, or nil if it cannot do that.
func (m *member) metadata(protocol string) *port.GroupProtocol {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return &m.protocols[i]
		}
	}
	return nil
}

// same says whether a member can do exactly what it could, with the same metadata.
func (m *member) same(protocols []port.GroupProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b port.GroupProtocol) bool {
		return a.Name == b.Name && slices.Equal(a.Metadata, b.Metadata)
	})
}

func (m *member) answerJoin(r *joinGroupResponse) {
	if f := m.joined; f != nil {
		m.joined = nil
		f(r)
	}
}

func (m *member) answerSync(r *syncGroupResponse) {
	if f := m.synced; f != nil {
		m.synced = nil
		f(r)
	}
}

// snapshot is the group as it is written to the log.
func (g *group) snapshot() *groupMetadata {
	meta := &groupMetadata{generation: g.generation, protocol: g.protocol, leader: g.leader}
	for _, m := range g.members {
		x := m.memberMetadata
		x.subscription = nil
		if p := m.metadata(g.protocol); p != nil {
			x.subscription = p.Metadata
		}
		meta.members = append(meta.members, x)
	}
	return meta
}

// store writes the group to the log. done gets an error as the group protocol names it.
func (g *group) store(meta *groupMetadata, done func(code)) {
	b := g.co.b
	rec := metadataRecord(g.id, meta, b.p.Now())
	b.host(g.ref).appendLocally([]port.Record{rec}, b.cfg.OffsetsCommitTimeout, func(result code) {
		switch result {
		case codeUnknownTopicOrPartition, codeNotEnoughReplicas, codeNotEnoughReplicasAfterAppend:
			result = codeCoordinatorNotAvailable
		case codeNotLeaderOrFollower:
			result = codeNotCoordinator
		case codeRequestTimedOut:
			result = codeRebalanceInProgress
		case codeMessageTooLarge:
			result = codeUnknownServerError
		}
		done(result)
	})
}

// drop takes a member out of the list. Whoever leads next has joined longest ago.
func (g *group) drop(m *member) {
	m.session.clear()
	g.members = slices.DeleteFunc(g.members, func(x *member) bool { return x == m })
	g.unsynced = slices.DeleteFunc(g.unsynced, func(id string) bool { return id == m.id })
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// expectHeartbeat gives a member time until it has to be heard of again.
func (g *group) expectHeartbeat(m *member, within time.Duration) {
	now := g.co.b.s.Now()
	m.session.set(now, now+within)
}
