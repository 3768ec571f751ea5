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
)

const (
	groupDialTimeout = time.Second
	groupReadTimeout = 4 * time.Second
	// noReadTimeout leaves it to the caller to wait: what is a late answer depends on the request.
	noReadTimeout = 24 * time.Hour
)

// groups implements port.Groups over one client: one connection to each broker, on which a join that waits holds back
// what is sent after it. The members of one process share it.
type groups struct {
	k            *client
	coordinators map[string]int32 // by group, as last heard
	patience     time.Duration    // how long a sync is waited for: the longest rebalance that was asked for
}

// Groups returns the group client, which has connections of its own.
func (l *logClient) Groups() port.Groups {
	if l.groups == nil {
		l.groups = &groups{k: l.c.newClient(l.node, l.p, groupDialTimeout, noReadTimeout), coordinators: map[string]int32{}, patience: groupReadTimeout}
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

// coordinator finds the broker that coordinates a group, asking brokers in random order until one names it.
func (g *groups) coordinator(ctx context.Context, group string) (int32, error) {
	if id, ok := g.coordinators[group]; ok {
		return id, nil
	}
	why := errors.New("no broker answers")
	for _, id := range g.k.order() {
		m := simnet.Message{Body: &findCoordinatorRequest{group}, Size: headerBytes + len(group), Sum: groupSum(0, []byte(group))}
		body, err := g.request(ctx, id, m, groupReadTimeout)
		if err != nil {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			why = err
			continue
		}
		resp := body.(*findCoordinatorResponse)
		switch resp.code {
		case codeNone:
			g.coordinators[group] = resp.broker
			return resp.broker, nil
		case codeCoordinatorNotAvailable:
			why = fmt.Errorf("broker %d answered %v", id, resp.code)
		default:
			return 0, errOf(resp.code)
		}
	}
	return 0, fmt.Errorf("%w: %w", port.ErrCoordinatorAway, why)
}

// request sends a request to a broker and waits for its answer. A caller that gives up closes the connection, as a read
// deadline does: what else is in flight on it is lost.
func (g *groups) request(ctx context.Context, broker int32, m simnet.Message, timeout time.Duration) (any, error) {
	conn := g.k.conn(broker)
	within, cancel := g.k.p.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := g.k.ask(within, broker, m)
	if within.Err() != nil && err != nil {
		conn.fail(fmt.Errorf("no answer within %v", timeout))
		if ctx.Err() == nil {
			err = fmt.Errorf("%w to %s: no answer within %v", errLost, conn.peer, timeout)
		}
	}
	return body, err
}

// ask sends a request to a group's coordinator.
func (g *groups) ask(ctx context.Context, group string, m simnet.Message, timeout time.Duration) (any, error) {
	id, err := g.coordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	body, err := g.request(ctx, id, m, timeout)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, errNotSent):
		delete(g.coordinators, group)
		return nil, fmt.Errorf("%w: %w", port.ErrCoordinatorAway, err)
	}
	delete(g.coordinators, group)
	return nil, fmt.Errorf("%w: %w", port.ErrUnknown, err)
}

// result turns a coordinator's code into an error, forgetting a coordinator that is none.
func (g *groups) result(group string, c code) error {
	if c == codeNotCoordinator || c == codeCoordinatorNotAvailable {
		delete(g.coordinators, group)
	}
	return errOf(c)
}

// Join implements port.Groups. With an error the reply still has the member ID, if the coordinator has given one.
func (g *groups) Join(ctx context.Context, r port.JoinRequest) (port.JoinReply, error) {
	g.patience = max(g.patience, r.RebalanceTimeout+minJoinLapse)
	for first := true; ; first = false {
		size, sum := headerBytes+30+len(r.Member)+len(r.ClientID), groupSum(0, []byte(r.Group), []byte(r.Member), []byte(r.Instance))
		for _, p := range r.Protocols {
			size += 6 + len(p.Name) + len(p.Metadata)
			sum = groupSum(sum, []byte(p.Name), p.Metadata)
		}
		req := &joinGroupRequest{r}
		req.Protocols = slices.Clone(r.Protocols)
		body, err := g.ask(ctx, r.Group, simnet.Message{Body: req, Size: size, Sum: sum}, r.RebalanceTimeout+minJoinLapse)
		if err != nil {
			return port.JoinReply{Member: r.Member}, fmt.Errorf("kafka: join group %s: %w", r.Group, err)
		}
		resp := body.(*joinGroupResponse)
		if resp.code == codeMemberIDRequired && first {
			r.Member = resp.reply.Member
			continue
		}
		if err := g.result(r.Group, resp.code); err != nil {
			return port.JoinReply{Member: r.Member}, fmt.Errorf("kafka: join group %s as %q: %w", r.Group, r.Member, err)
		}
		reply := resp.reply
		reply.Members = slices.Clone(reply.Members)
		slices.SortFunc(reply.Members, func(a, b port.JoinedMember) int { return cmp.Compare(a.Member, b.Member) })
		return reply, nil
	}
}

// Sync implements port.Groups.
func (g *groups) Sync(ctx context.Context, m port.GroupMember, assignments []port.GroupAssignment) ([]byte, error) {
	size, sum := memberSize(&m), memberSum(&m)
	for _, a := range assignments {
		size += 6 + len(a.Member) + len(a.Assignment)
		sum = groupSum(sum, []byte(a.Member), a.Assignment)
	}
	req := &syncGroupRequest{m, slices.Clone(assignments)}
	body, err := g.ask(ctx, m.Group, simnet.Message{Body: req, Size: size, Sum: sum}, g.patience)
	if err == nil {
		resp := body.(*syncGroupResponse)
		if err = g.result(m.Group, resp.code); err == nil {
			return resp.assignment, nil
		}
	}
	return nil, fmt.Errorf("kafka: sync group %s, generation %d: %w", m.Group, m.Generation, err)
}

// Heartbeat implements port.Groups.
func (g *groups) Heartbeat(ctx context.Context, m port.GroupMember) error {
	return g.acked(ctx, "heartbeat to", m, &heartbeatRequest{m})
}

// Leave implements port.Groups.
func (g *groups) Leave(ctx context.Context, m port.GroupMember) error {
	return g.acked(ctx, "leave", m, &leaveGroupRequest{m})
}

func (g *groups) acked(ctx context.Context, what string, m port.GroupMember, req any) error {
	body, err := g.ask(ctx, m.Group, simnet.Message{Body: req, Size: memberSize(&m), Sum: memberSum(&m)}, groupReadTimeout)
	if err == nil {
		err = g.result(m.Group, body.(*groupAckResponse).code)
	}
	if err != nil {
		return fmt.Errorf("kafka: %s group %s, generation %d: %w", what, m.Group, m.Generation, err)
	}
	return nil
}

// Commit implements port.Groups. If the coordinator goes away with the commit in its log the outcome is unknown: the
// error then matches ErrUnknown beside ErrCoordinatorAway.
func (g *groups) Commit(ctx context.Context, m port.GroupMember, topic string, offsets map[int32]int64) error {
	req := &offsetCommitRequest{GroupMember: m, topic: topic}
	for part, next := range offsets { // order: sorted below
		req.offsets = append(req.offsets, partOffset{part, next})
	}
	slices.SortFunc(req.offsets, func(a, b partOffset) int { return cmp.Compare(a.part, b.part) })
	sum := memberSum(&m)
	for _, o := range req.offsets {
		sum = sum*31 + uint64(o.next)<<8 + uint64(uint32(o.part))
	}
	body, err := g.ask(ctx, m.Group, simnet.Message{Body: req, Size: memberSize(&m) + len(topic) + 16*len(req.offsets), Sum: sum}, groupReadTimeout)
	if err == nil {
		resp := body.(*offsetCommitResponse)
		err = g.result(m.Group, resp.code)
		if resp.code == codeNotCoordinator || resp.code == codeCoordinatorNotAvailable {
			err = fmt.Errorf("%w, %w", err, port.ErrUnknown)
		}
		for i, c := range resp.parts {
			if err == nil && c != codeNone {
				err = fmt.Errorf("partition %d: %w", req.offsets[i].part, errOf(c))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("kafka: commit offsets of %s for group %s, generation %d: %w", topic, m.Group, m.Generation, err)
	}
	return nil
}

// Committed implements port.Groups.
func (g *groups) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	req := &offsetFetchRequest{group, topic}
	m := simnet.Message{Body: req, Size: headerBytes + len(group) + len(topic), Sum: groupSum(0, []byte(group), []byte(topic))}
	body, err := g.ask(ctx, group, m, groupReadTimeout)
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
	return nil, fmt.Errorf("kafka: offsets of %s committed by group %s: %w", topic, group, err)
}

// Partitions implements port.Groups: as the first broker that answers and knows the topic has it.
func (g *groups) Partitions(ctx context.Context, topic string) (int32, error) {
	denied := false
	why := errors.New("no broker answers")
	for _, id := range g.k.order() {
		m := simnet.Message{Body: &metadataRequest{topics: []string{topic}}, Size: headerBytes + 16, Sum: 1}
		body, err := g.request(ctx, id, m, groupReadTimeout)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil {
			why = err
			continue
		}
		resp := body.(*metadataResponse)
		if len(resp.brokers) == 0 { // it has just started and knows nothing yet
			continue
		}
		if n := len(resp.topics[0].parts); n > 0 {
			return int32(n), nil
		}
		denied = true
	}
	if denied {
		why = port.ErrNoTopic
	}
	return 0, fmt.Errorf("kafka: partitions of %s: %w", topic, why)
}
