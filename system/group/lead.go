package group

import (
	"context"
	"errors"
	"slices"

	"github.com/ratel-sim/ratel/system/port"
)

// subscription is the member's metadata. It is called with m.mu held. Its generation makes it differ from what the member
// joined with before: a coordinator does not rebalance for a follower that joins again with the same.
func (m *Member) subscription(owned []int32) Subscription {
	s := Subscription{Version: newest, Topics: []string{m.cfg.Topic}, Generation: m.lastIn}
	switch m.cfg.Assignor {
	case Sticky:
		s.UserData = stickyData{last: one(m.cfg.Topic, m.last), generation: m.lastIn}.encode()
	case CooperativeSticky:
		s.Owned = one(m.cfg.Topic, owned)
		w := writer{}
		w.int32(m.lastIn) // where Kafka's assignor has it from members that speak version 1
		s.UserData = w.b
	}
	return s
}

func one(topic string, partitions []int32) []TopicPartitions {
	if len(partitions) == 0 {
		return nil
	}
	return []TopicPartitions{{Topic: topic, Partitions: partitions}}
}

// encodeSizes says how many partitions topics have: what an assignment was made from.
func encodeSizes(sizes []TopicPartitions) []byte {
	w := writer{}
	w.topics(sizes)
	return w.b
}

// decodeSize reads how many partitions an assignment shared out; leaders of another make do not say.
func decodeSize(userData []byte, topic string) int32 {
	r := reader{b: userData}
	sizes := r.topics()
	i := slices.IndexFunc(sizes, func(t TopicPartitions) bool { return t.Topic == topic && len(t.Partitions) == 1 })
	if r.err != nil || i < 0 {
		return unknownSize
	}
	return sizes[i].Partitions[0]
}

// lead makes the generation's assignment: each topic is shared out among those who subscribe to it.
func (m *Member) lead(ctx context.Context, reply port.JoinReply) ([]port.GroupAssignment, error) {
	subscriptions := make([]Subscription, len(reply.Members))
	var topics []string
	for i, member := range reply.Members {
		s, err := DecodeSubscription(member.Metadata)
		if err != nil {
			continue // a member that cannot be understood gets nothing, the others what there is
		}
		subscriptions[i] = s
		topics = append(topics, s.Topics...)
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	assigned := make([]Assigned, len(reply.Members))
	var sizes []TopicPartitions
	for _, topic := range topics {
		n, err := m.size(ctx, topic)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, TopicPartitions{Topic: topic, Partitions: []int32{n}})
		var candidates []Candidate
		var who []int
		for i, s := range subscriptions {
			if slices.Contains(s.Topics, topic) {
				candidates = append(candidates, m.candidate(reply.Members[i], s, topic))
				who = append(who, i)
			}
		}
		for k, partitions := range m.assign(n, candidates) {
			if len(partitions) > 0 {
				assigned[who[k]].Topics = append(assigned[who[k]].Topics, TopicPartitions{Topic: topic, Partitions: partitions})
			}
		}
	}
	out := make([]port.GroupAssignment, len(reply.Members))
	for i, member := range reply.Members {
		assigned[i].Version, assigned[i].UserData = newest, encodeSizes(sizes)
		out[i] = port.GroupAssignment{Member: member.Member, Assignment: assigned[i].Encode()}
	}
	return out, nil
}

// candidate is a member as the assignor sees it.
func (m *Member) candidate(member port.JoinedMember, s Subscription, topic string) Candidate {
	c := Candidate{Member: member.Member, Instance: member.Instance, Generation: s.Generation}
	switch m.cfg.Assignor {
	case Sticky:
		if d, err := decodeStickyData(s.UserData); err == nil {
			c.Had, c.Generation = partitionsOf(d.last, topic), d.generation
		}
	case CooperativeSticky:
		c.Holds = partitionsOf(s.Owned, topic)
		c.Had = c.Holds
		if s.Version == 1 {
			r := reader{b: s.UserData}
			if generation := r.int32(); r.err == nil {
				c.Generation = generation
			}
		}
	}
	return c
}

func partitionsOf(all []TopicPartitions, topic string) []int32 {
	var out []int32
	for _, t := range all {
		if t.Topic == topic {
			out = append(out, t.Partitions...)
		}
	}
	return out
}

// size looks up how many partitions a topic has, until ctx ends. A topic that does not exist has none.
func (m *Member) size(ctx context.Context, topic string) (int32, error) {
	for {
		n, err := m.g.Partitions(ctx, topic)
		switch {
		case errors.Is(err, port.ErrNoTopic):
			n = 0
		case err != nil:
			if err := m.r.Sleep(ctx, retryAfter); err != nil {
				return 0, err
			}
			continue
		}
		return n, nil
	}
}
