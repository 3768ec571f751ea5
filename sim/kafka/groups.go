package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// What the group client waits for, as system/kafka does.
const (
	groupDialTimeout  = time.Second
	heartbeatPatience = 2 * time.Second // for what a coordinator answers from memory, and for handshakes
	commitPatience    = 6 * time.Second // exceeds offsets.commit.timeout.ms
	syncPatience      = 5 * time.Minute
	joinMargin        = 5 * time.Second // beyond the rebalance timeout
	// lookups is how often in a row no coordinator must be found before the group has none.
	lookups = 5
)

// groups implements port.Groups. A broker answers the requests of a connection one after the other, so a request that
// the coordinator holds back (join, sync) has a connection of its own, and heartbeats and commits have one each.
type groups struct {
	l          *logClient
	where      map[string]int32 // the coordinator, by group
	avoid      map[string]int32 // the broker that was no coordinator when it was asked, by group
	heartbeats []*rpcConn       // by broker id
	commits    []*rpcConn
}

// Groups returns the group client.
func (l *logClient) Groups() port.Groups {
	if l.groups == nil {
		n := len(l.c.brokers) + 1
		l.groups = &groups{l: l, where: map[string]int32{}, avoid: map[string]int32{}, heartbeats: make([]*rpcConn, n), commits: make([]*rpcConn, n)}
	}
	return l.groups
}

// errOf says what a coordinator's error code means to a member.
func errOf(c code) error {
	switch c {
	case codeNone:
		return nil
	case codeRebalanceInProgress:
		return port.ErrRebalanceInProgress
	case codeUnknownMemberID:
		return port.ErrUnknownMember
	case codeIllegalGeneration:
		return port.ErrIllegalGeneration
	case codeFencedInstanceID:
		return port.ErrFencedInstance
	case codeCoordinatorNotAvailable, codeCoordinatorLoadInProgress, codeNotCoordinator:
		return fmt.Errorf("%w (%v)", port.ErrCoordinatorAway, c)
	case codeUnknownTopicOrPartition:
		return port.ErrNoTopic
	case codeRequestTimedOut, codeUnknownServerError:
		return fmt.Errorf("%w: coordinator answered %v", port.ErrUnknown, c)
	}
	return fmt.Errorf("%w: coordinator answered %v", port.ErrRefused, c)
}

// coordinator returns the broker that coordinates a group. It asks all brokers, and takes the first answer other than the
// one that proved wrong last: a broker that is cut off from the others does not know of the next coordinator.
func (g *groups) coordinator(ctx context.Context, group string) (int32, error) {
	if id, ok := g.where[group]; ok {
		return id, nil
	}
	for try := 1; ; try++ {
		id, err := g.lookUp(ctx, group)
		if err == nil {
			g.where[group] = id
			return id, nil
		}
		if !errors.Is(err, port.ErrCoordinatorAway) || try == lookups {
			return 0, err
		}
		if err := g.l.p.Sleep(ctx, adminBackoff); err != nil {
			return 0, err
		}
	}
}

func (g *groups) lookUp(ctx context.Context, group string) (int32, error) {
	_ = g.l.Admin()
	k := g.l.admin.k
	answers := rt.NewQueue[*findCoordinatorResponse](g.l.p, 0)
	order := k.order()
	for _, id := range order {
		m := simnet.Message{Body: &findCoordinatorRequest{group}, Size: headerBytes + len(group), Sum: groupSum(0, []byte(group))}
		k.conn(id).call(m, func(body any, _ error) {
			r, _ := body.(*findCoordinatorResponse)
			answers.TryPush(r)
		})
	}
	avoid, again := g.avoid[group]
	wait, second := ctx, noBroker
	for range order {
		r, err := answers.Pop(wait)
		if err != nil {
			break
		}
		switch {
		case r == nil || r.code == codeCoordinatorNotAvailable:
		case r.code != codeNone:
			return 0, errOf(r.code)
		case !again || r.broker != avoid:
			return r.broker, nil
		case second == noBroker:
			second = r.broker
			var cancel context.CancelFunc
			wait, cancel = g.l.p.WithTimeout(ctx, metadataPatience)
			defer cancel()
		}
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case second != noBroker:
		return second, nil
	}
	return 0, fmt.Errorf("%w: no broker names it", port.ErrCoordinatorAway)
}

// gone makes the next request look the coordinator up again.
func (g *groups) gone(group string, broker int32) {
	if g.where[group] == broker {
		delete(g.where, group)
		g.avoid[group] = broker
	}
}

func (g *groups) dial(broker int32, patience time.Duration) *rpcConn {
	l := g.l
	return dial(l.c.s, l.node, l.p, l.c.byID(broker).name, groupDialTimeout, patience, nil)
}

// wait sends a request over a connection and waits for its answer.
func (g *groups) wait(ctx context.Context, conn *rpcConn, m simnet.Message) (any, error) {
	f := rt.NewFuture[any](g.l.p)
	conn.call(m, func(body any, err error) { f.Complete(body, err) })
	return f.Wait(ctx)
}

// ask sends a request to a group's coordinator over a connection that is kept.
func (g *groups) ask(ctx context.Context, group string, kept []*rpcConn, patience time.Duration, m simnet.Message) (any, error) {
	id, err := g.coordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	if kept[id] == nil || kept[id].dead {
		kept[id] = g.dial(id, patience)
	}
	body, err := g.wait(ctx, kept[id], m)
	if err != nil {
		return nil, g.unanswered(ctx, group, id, err)
	}
	return body, nil
}

// hold opens a connection to a group's coordinator for requests that may be held back for as long as patience. Before
// that the broker has to show, by its handshake, that it answers at all. The caller closes the connection.
func (g *groups) hold(ctx context.Context, group string, patience time.Duration) (*rpcConn, int32, error) {
	id, err := g.coordinator(ctx, group)
	if err != nil {
		return nil, 0, err
	}
	conn := g.dial(id, heartbeatPatience)
	if _, err := g.wait(ctx, conn, simnet.Message{Body: &metadataRequest{}, Size: headerBytes}); err != nil {
		conn.close()
		return nil, 0, g.unanswered(ctx, group, id, err)
	}
	conn.readTimeout = patience
	return conn, id, nil
}

// unanswered gives a request that got no answer its outcome.
func (g *groups) unanswered(ctx context.Context, group string, broker int32, err error) error {
	if ctx.Err() == nil {
		g.gone(group, broker)
		if errors.Is(err, errNotSent) {
			return fmt.Errorf("%w: %w", port.ErrCoordinatorAway, err)
		}
	}
	return fmt.Errorf("%w: %w", port.ErrUnknown, err)
}

// result turns a coordinator's code into an error, forgetting a coordinator that is none.
func (g *groups) result(group string, c code) error {
	if id, ok := g.where[group]; ok && (c == codeNotCoordinator || c == codeCoordinatorNotAvailable) {
		g.gone(group, id)
	}
	return errOf(c)
}

// Join implements port.Groups.
func (g *groups) Join(ctx context.Context, r port.JoinRequest) (port.JoinReply, error) {
	reply, err := g.join(ctx, &r)
	switch {
	case errors.Is(err, port.ErrUnknownMember):
		return port.JoinReply{}, fmt.Errorf("kafka: group %s: join as %q: %w", r.Group, r.Member, err)
	case err != nil:
		return port.JoinReply{Member: r.Member}, fmt.Errorf("kafka: group %s: join as %q: %w", r.Group, r.Member, err)
	}
	reply.Members = slices.Clone(reply.Members)
	slices.SortFunc(reply.Members, func(a, b port.JoinedMember) int { return cmp.Compare(a.Member, b.Member) })
	return reply, nil
}

// join notes the ID that the coordinator gives in r, whatever becomes of the join.
func (g *groups) join(ctx context.Context, r *port.JoinRequest) (port.JoinReply, error) {
	conn, id, err := g.hold(ctx, r.Group, r.RebalanceTimeout+joinMargin)
	if err != nil {
		return port.JoinReply{}, err
	}
	defer conn.close()
	for given := false; ; given = true {
		size, sum := headerBytes+30+len(r.Member)+len(r.ClientID), groupSum(0, []byte(r.Group), []byte(r.Member), []byte(r.Instance))
		for _, p := range r.Protocols {
			size += 6 + len(p.Name) + len(p.Metadata)
			sum = groupSum(sum, []byte(p.Name), p.Metadata)
		}
		req := &joinGroupRequest{*r}
		req.Protocols = slices.Clone(r.Protocols)
		body, err := g.wait(ctx, conn, simnet.Message{Body: req, Size: size, Sum: sum})
		if err != nil {
			return port.JoinReply{}, g.unanswered(ctx, r.Group, id, err)
		}
		resp := body.(*joinGroupResponse)
		if resp.code != codeMemberIDRequired || given {
			return resp.reply, g.result(r.Group, resp.code)
		}
		r.Member = resp.reply.Member
	}
}

// Sync implements port.Groups.
func (g *groups) Sync(ctx context.Context, m port.GroupMember, assignments []port.GroupAssignment) ([]byte, error) {
	size, sum := memberSize(&m), memberSum(&m)
	for _, a := range assignments {
		size += 6 + len(a.Member) + len(a.Assignment)
		sum = groupSum(sum, []byte(a.Member), a.Assignment)
	}
	conn, id, err := g.hold(ctx, m.Group, syncPatience)
	if err != nil {
		return nil, failure("sync", &m, err)
	}
	defer conn.close()
	body, err := g.wait(ctx, conn, simnet.Message{Body: &syncGroupRequest{m, slices.Clone(assignments)}, Size: size, Sum: sum})
	if err != nil {
		return nil, failure("sync", &m, g.unanswered(ctx, m.Group, id, err))
	}
	resp := body.(*syncGroupResponse)
	return resp.assignment, failure("sync", &m, g.result(m.Group, resp.code))
}

// failure says of which member's which request an error is.
func failure(what string, m *port.GroupMember, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kafka: group %s: %s of %s in generation %d: %w", m.Group, what, m.Member, m.Generation, err)
}

// Heartbeat implements port.Groups.
func (g *groups) Heartbeat(ctx context.Context, m port.GroupMember) error {
	return g.acked(ctx, "heartbeat", m, &heartbeatRequest{m})
}

// Leave implements port.Groups.
func (g *groups) Leave(ctx context.Context, m port.GroupMember) error {
	return g.acked(ctx, "leave", m, &leaveGroupRequest{m})
}

func (g *groups) acked(ctx context.Context, what string, m port.GroupMember, req any) error {
	body, err := g.ask(ctx, m.Group, g.heartbeats, heartbeatPatience, simnet.Message{Body: req, Size: memberSize(&m), Sum: memberSum(&m)})
	if err == nil {
		err = g.result(m.Group, body.(*groupAckResponse).code)
	}
	return failure(what, &m, err)
}

// Commit implements port.Groups. That the coordinator is away may come after the append: then the error matches
// ErrUnknown, too. Nothing to commit is not sent.
func (g *groups) Commit(ctx context.Context, m port.GroupMember, topic string, offsets map[int32]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	req := &offsetCommitRequest{GroupMember: m, topic: topic}
	for part, next := range offsets { // order: sorted below
		req.offsets = append(req.offsets, partOffset{part, next})
	}
	slices.SortFunc(req.offsets, func(a, b partOffset) int { return cmp.Compare(a.part, b.part) })
	sum := memberSum(&m)
	for _, o := range req.offsets {
		sum = sum*31 + uint64(o.next)<<8 + uint64(uint32(o.part))
	}
	msg := simnet.Message{Body: req, Size: memberSize(&m) + len(topic) + 16*len(req.offsets), Sum: sum}
	body, err := g.ask(ctx, m.Group, g.commits, commitPatience, msg)
	if err == nil {
		resp := body.(*offsetCommitResponse)
		err = g.result(m.Group, resp.code)
		if resp.code == codeNotCoordinator || resp.code == codeCoordinatorNotAvailable {
			err = fmt.Errorf("%w: %w", port.ErrUnknown, err)
		}
		for i, c := range resp.parts {
			if err == nil && c != codeNone {
				err = fmt.Errorf("partition %d: %w", req.offsets[i].part, errOf(c))
			}
		}
	}
	return failure("commit of "+topic, &m, err)
}

// Committed implements port.Groups.
func (g *groups) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	req := &offsetFetchRequest{group, topic}
	m := simnet.Message{Body: req, Size: headerBytes + len(group) + len(topic), Sum: groupSum(0, []byte(group), []byte(topic))}
	body, err := g.ask(ctx, group, g.commits, commitPatience, m)
	if err == nil {
		resp := body.(*offsetFetchResponse)
		if err = g.result(group, resp.code); err == nil {
			out := make(map[int32]int64, len(resp.offsets))
			for _, o := range resp.offsets {
				out[o.part] = o.next
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("kafka: group %s: offsets of %s: %w", group, topic, err)
}

// Partitions implements port.Groups.
func (g *groups) Partitions(ctx context.Context, topic string) (int32, error) {
	parts, err := g.l.Admin().Describe(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("kafka: partitions of %s: %w", topic, err)
	}
	return int32(len(parts)), nil
}
