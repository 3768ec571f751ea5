package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

// protocolType is what consumer groups call their protocol.
const protocolType = "consumer"

// answers are a coordinator's errors as the port has them.
var answers = map[sarama.KError]error{
	sarama.ErrRebalanceInProgress:             port.ErrRebalanceInProgress,
	sarama.ErrUnknownMemberId:                 port.ErrUnknownMember,
	sarama.ErrIllegalGeneration:               port.ErrIllegalGeneration,
	sarama.ErrFencedInstancedId:               port.ErrFencedInstance,
	sarama.ErrConsumerCoordinatorNotAvailable: port.ErrCoordinatorAway,
	sarama.ErrNotCoordinatorForConsumer:       port.ErrCoordinatorAway,
	sarama.ErrOffsetsLoadInProgress:           port.ErrCoordinatorAway,
	sarama.ErrUnknownTopicOrPartition:         port.ErrNoTopic,
	sarama.ErrInconsistentGroupProtocol:       port.ErrRefused,
	sarama.ErrInvalidSessionTimeout:           port.ErrRefused,
	sarama.ErrInvalidGroupId:                  port.ErrRefused,
	sarama.ErrGroupAuthorizationFailed:        port.ErrRefused,
	sarama.ErrTopicAuthorizationFailed:        port.ErrRefused,
	sarama.ErrGroupMaxSizeReached:             port.ErrRefused,
	sarama.ErrOffsetMetadataTooLarge:          port.ErrRefused,
	sarama.ErrInvalidCommitOffsetSize:         port.ErrRefused,
	sarama.ErrUnsupportedVersion:              port.ErrRefused,
	sarama.ErrInvalidRequest:                  port.ErrRefused,
}

// answer translates an error code. What is not known has an unknown outcome.
func answer(k sarama.KError) error {
	if errors.Is(k, sarama.ErrNoError) {
		return nil
	}
	if known := answers[k]; known != nil {
		return fmt.Errorf("%w: %w", known, k)
	}
	return fmt.Errorf("%w: %w", port.ErrUnknown, k)
}

// answered translates an error code of a coordinator's answer, and looks for another one if it is none.
func (g *groups) answered(group string, k sarama.KError) error {
	if errors.Is(k, sarama.ErrNotCoordinatorForConsumer) || errors.Is(k, sarama.ErrConsumerCoordinatorNotAvailable) {
		g.mu.Lock()
		address := g.where[group]
		g.mu.Unlock()
		g.gone(group, address)
	}
	return answer(k)
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Join implements [port.Groups].
func (g *groups) Join(ctx context.Context, r port.JoinRequest) (port.JoinReply, error) {
	member := r.Member
	req := func() *sarama.JoinGroupRequest {
		q := &sarama.JoinGroupRequest{
			Version: 5, // the first with instance IDs
			GroupId: r.Group, MemberId: member, GroupInstanceId: nullable(r.Instance), ProtocolType: protocolType,
			SessionTimeout: int32(r.SessionTimeout / time.Millisecond), RebalanceTimeout: int32(r.RebalanceTimeout / time.Millisecond),
		}
		for _, p := range r.Protocols {
			q.AddGroupProtocol(p.Name, p.Metadata)
		}
		return q
	}
	patience := r.RebalanceTimeout + joinMargin
	// The ID comes back on a channel of its own, since the second request may be under way when ctx ends.
	given := make(chan string, 1)
	resp, err := hold(ctx, g, r.Group, r.ClientID, patience, func(b *sarama.Broker) (*sarama.JoinGroupResponse, error) {
		resp, err := b.JoinGroup(req())
		if err == nil && errors.Is(resp.Err, sarama.ErrMemberIdRequired) && resp.MemberId != "" {
			member = resp.MemberId
			given <- member
			resp, err = b.JoinGroup(req())
		}
		return resp, err
	})
	known := r.Member
	select {
	case known = <-given:
	default:
	}
	if err == nil {
		err = g.answered(r.Group, resp.Err)
	}
	switch {
	case errors.Is(err, port.ErrUnknownMember):
		return port.JoinReply{}, fmt.Errorf("kafka: group %s: join as %q: %w", r.Group, known, err)
	case err != nil:
		return port.JoinReply{Member: known}, fmt.Errorf("kafka: group %s: join as %q: %w", r.Group, known, err)
	}
	reply := port.JoinReply{Generation: resp.GenerationId, Member: resp.MemberId, Leader: resp.LeaderId, Protocol: resp.GroupProtocol}
	for _, m := range resp.Members {
		j := port.JoinedMember{Member: m.MemberId, Metadata: m.Metadata}
		if m.GroupInstanceId != nil {
			j.Instance = *m.GroupInstanceId
		}
		reply.Members = append(reply.Members, j)
	}
	slices.SortFunc(reply.Members, func(a, b port.JoinedMember) int { return cmp.Compare(a.Member, b.Member) })
	return reply, nil
}

// Sync implements [port.Groups].
func (g *groups) Sync(ctx context.Context, m port.GroupMember, assignments []port.GroupAssignment) ([]byte, error) {
	req := &sarama.SyncGroupRequest{Version: 3, GroupId: m.Group, GenerationId: m.Generation, MemberId: m.Member, GroupInstanceId: nullable(m.Instance)}
	for _, a := range assignments {
		req.AddGroupAssignment(a.Member, a.Assignment)
	}
	resp, err := hold(ctx, g, m.Group, "ratel-group", syncPatience, func(b *sarama.Broker) (*sarama.SyncGroupResponse, error) { return b.SyncGroup(req) })
	if err == nil {
		err = g.answered(m.Group, resp.Err)
	}
	if err != nil {
		return nil, failure("sync", m, err)
	}
	return resp.MemberAssignment, nil
}

// Heartbeat implements [port.Groups].
func (g *groups) Heartbeat(ctx context.Context, m port.GroupMember) error {
	req := &sarama.HeartbeatRequest{Version: 3, GroupId: m.Group, GenerationId: m.Generation, MemberId: m.Member, GroupInstanceId: nullable(m.Instance)}
	resp, err := ask(ctx, g, m.Group, "heartbeat", heartbeatPatience, func(b *sarama.Broker) (*sarama.HeartbeatResponse, error) { return b.Heartbeat(req) })
	if err == nil {
		err = g.answered(m.Group, resp.Err)
	}
	return failure("heartbeat", m, err)
}

// Leave implements [port.Groups].
func (g *groups) Leave(ctx context.Context, m port.GroupMember) error {
	req := &sarama.LeaveGroupRequest{Version: 3, GroupId: m.Group, Members: []sarama.MemberIdentity{{MemberId: m.Member, GroupInstanceId: nullable(m.Instance)}}}
	resp, err := ask(ctx, g, m.Group, "heartbeat", heartbeatPatience, func(b *sarama.Broker) (*sarama.LeaveGroupResponse, error) { return b.LeaveGroup(req) })
	if err == nil {
		err = g.answered(m.Group, resp.Err)
	}
	if err == nil {
		for _, each := range resp.Members {
			err = errors.Join(err, answer(each.Err))
		}
	}
	return failure("leave", m, err)
}

// Commit implements [port.Groups]. That the coordinator is away may come after the append: then its outcome is unknown,
// too. Nothing to commit is not sent.
func (g *groups) Commit(ctx context.Context, m port.GroupMember, topic string, offsets map[int32]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	req := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: m.Group, ConsumerGroupGeneration: m.Generation, ConsumerID: m.Member, GroupInstanceId: nullable(m.Instance)}
	for p, offset := range offsets {
		req.AddBlockWithLeaderEpoch(topic, p, offset, -1, 0, "")
	}
	resp, err := ask(ctx, g, m.Group, "commit", commitPatience, func(b *sarama.Broker) (*sarama.OffsetCommitResponse, error) { return b.CommitOffset(req) })
	if err != nil {
		return failure("commit", m, err)
	}
	var errs []error
	var seen []sarama.KError // fencing is the same for all partitions
	for p := range offsets {
		k, there := resp.Errors[topic][p]
		if !there {
			k = sarama.ErrUnknown
		}
		if err := g.answered(m.Group, k); err != nil && !slices.Contains(seen, k) {
			seen = append(seen, k)
			errs = append(errs, fmt.Errorf("partition %d: %w", p, err))
		}
	}
	err = errors.Join(errs...)
	if errors.Is(err, port.ErrCoordinatorAway) && !errors.Is(err, sarama.ErrOffsetsLoadInProgress) {
		err = fmt.Errorf("%w: %w", port.ErrUnknown, err)
	}
	return failure("commit of "+topic, m, err)
}

// Committed implements [port.Groups].
func (g *groups) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	req := &sarama.OffsetFetchRequest{Version: 5, ConsumerGroup: group} // no partitions named: all that there are
	resp, err := ask(ctx, g, group, "commit", commitPatience, func(b *sarama.Broker) (*sarama.OffsetFetchResponse, error) { return b.FetchOffset(req) })
	if err == nil {
		err = g.answered(group, resp.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: group %s: offsets of %s: %w", group, topic, err)
	}
	out := map[int32]int64{}
	for p, block := range resp.Blocks[topic] {
		if err := g.answered(group, block.Err); err != nil {
			return nil, fmt.Errorf("kafka: group %s: offset of %s/%d: %w", group, topic, p, err)
		}
		if block.Offset >= 0 {
			out[p] = block.Offset
		}
	}
	return out, nil
}

// Partitions implements [port.Groups].
func (g *groups) Partitions(ctx context.Context, topic string) (int32, error) {
	views, err := g.l.admin.everyone(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("kafka: partitions of %s: %w", topic, err)
	}
	n := len(freshest(views, topic))
	if n == 0 {
		return 0, fmt.Errorf("kafka: partitions of %s: %w", topic, port.ErrNoTopic)
	}
	return int32(n), nil
}

// failure says of which member's which request an error is.
func failure(what string, m port.GroupMember, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kafka: group %s: %s of %s in generation %d: %w", m.Group, what, m.Member, m.Generation, err)
}
