package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// GroupsRow is one behaviour of the Groups port.
type GroupsRow struct {
	Name  string
	Check func(ctx context.Context, e *GroupsEnv) error
}

// GroupsEnv is what a row of the Groups table runs in: a cluster of three brokers whose group.initial.rebalance.delay.ms is
// 0 and whose group.min.session.timeout.ms is at most a second.
type GroupsEnv struct {
	Runtime rt.Runtime
	Log     port.Log
	// Topic and Group are names that no other row uses.
	Topic, Group string
	// Client returns a client with connections of its own, as another process has.
	Client func() (port.Groups, error)
	// Kill kills a broker by its ID, Pause freezes it. Restart and Resume return when it is registered.
	Kill, Restart, Pause, Resume func(ctx context.Context, broker int32) error
}

// Groups is the table of the Groups port. Sources: Kafka 3.9's protocol guide and the KIPs that system/port names.
func Groups() []GroupsRow {
	return []GroupsRow{
		{"the first member leads generation 1 under an ID that it was given", firstMember},
		{"a second member makes everybody join again", secondMember},
		{"the leader's assignment reaches every member as it was handed in", assignmentsArrive},
		{"a leader that does not hand in anything is removed", leaderNeverSyncs},
		{"who does not join again within the rebalance timeout is removed", lateJoin},
		{"who is silent for the session timeout is removed", silentMember},
		{"who leaves is gone at once", leaver},
		{"a group takes the protocol that all can do, and nobody without one", protocols},
		{"nobody takes part under an ID that he made up", strangers},
		{"a static member that comes back has what it had, and who it was is fenced", staticMember},
		{"commits are fenced by member and generation", fencedCommits},
		{"a group without members takes commits from whoever reads alone", loneCommits},
		{"groups and topics have offsets of their own", ownCommits},
		{"members, generation and offsets survive the coordinator's death", coordinatorKilled},
		{"a frozen coordinator leaves outcomes unknown", coordinatorPaused},
		{"a topic has its partitions", topicPartitions},
	}
}

// away is how long a group may be without a coordinator: the offsets topic is created on first use, and a dead broker's
// session has to expire.
const away = 40 * time.Second

// steady repeats a call while the group has no coordinator, and while it is not known whether the call was heard.
func steady[T any](ctx context.Context, e *GroupsEnv, f func() (T, error)) (T, error) {
	for end := e.Runtime.Now().Add(away); ; {
		v, err := f()
		if !errors.Is(err, port.ErrCoordinatorAway) && !errors.Is(err, port.ErrUnknown) || e.Runtime.Now().After(end) {
			return v, err
		}
		if err := e.Runtime.Sleep(ctx, 100*time.Millisecond); err != nil {
			return v, err
		}
	}
}

// groupMember is one member and its client.
type groupMember struct {
	e     *GroupsEnv
	c     port.Groups
	req   port.JoinRequest
	reply port.JoinReply
}

// subscription is what a member says of itself. It must be in the consumers' own encoding: Kafka's coordinator reads the
// topics in it, and a group whose members send anything else never gets beyond its first rebalance.
func subscription(about string) []byte {
	return group.Subscription{Topics: []string{"conformance"}, UserData: []byte(about)}.Encode()
}

// member makes a member that has not joined.
func (e *GroupsEnv) member(instance string, change ...func(*port.JoinRequest)) (*groupMember, error) {
	c, err := e.Client()
	m := &groupMember{e: e, c: c, req: port.JoinRequest{
		Group: e.Group, Instance: instance, ClientID: "conformance", SessionTimeout: 20 * time.Second, RebalanceTimeout: 10 * time.Second,
		Protocols: []port.GroupProtocol{{Name: "range", Metadata: subscription("what I can do")}},
	}}
	for _, f := range change {
		f(&m.req)
	}
	return m, err
}

func (m *groupMember) id() port.GroupMember {
	return port.GroupMember{Group: m.e.Group, Member: m.reply.Member, Instance: m.req.Instance, Generation: m.reply.Generation}
}

func (m *groupMember) leads() bool { return m.reply.Leader == m.reply.Member }

// join joins the next generation, without syncing.
func (m *groupMember) join(ctx context.Context) error {
	reply, err := steady(ctx, m.e, func() (port.JoinReply, error) {
		reply, err := m.c.Join(ctx, m.req)
		if reply.Member != "" {
			m.req.Member = reply.Member
		}
		return reply, err
	})
	if err == nil {
		m.reply = reply
	}
	return err
}

// sync hands in what every member is to get, if this one leads: its own ID.
func (m *groupMember) sync(ctx context.Context) ([]byte, error) {
	var all []port.GroupAssignment
	for _, x := range m.reply.Members {
		all = append(all, port.GroupAssignment{Member: x.Member, Assignment: []byte("for " + x.Member)})
	}
	return m.c.Sync(ctx, m.id(), all)
}

// in joins and syncs until it is in a stable generation.
func (m *groupMember) in(ctx context.Context) error {
	for {
		if err := m.join(ctx); err != nil {
			return err
		}
		got, err := m.sync(ctx)
		if errors.Is(err, port.ErrRebalanceInProgress) {
			continue
		}
		if want := "for " + m.reply.Member; err == nil && string(got) != want {
			err = fmt.Errorf("assigned %q, expected %q", got, want)
		}
		return err
	}
}

// started is a call that runs as a task.
func (m *groupMember) started(f func(ctx context.Context) error) *rt.Future[struct{}] {
	done := rt.NewFuture[struct{}](m.e.Runtime)
	m.e.Runtime.Go("member", func(ctx context.Context) { done.Complete(struct{}{}, f(ctx)) })
	return done
}

// heartbeats waits until heartbeats are answered with want; nil is that all is well.
func (m *groupMember) heartbeats(ctx context.Context, limit time.Duration, want error) error {
	whole := &Env{Runtime: m.e.Runtime}
	return whole.eventually(ctx, limit, fmt.Sprintf("heartbeats answered with %q", fmt.Sprint(want)), func() (bool, error) {
		err := m.c.Heartbeat(ctx, m.id())
		return err == nil && want == nil || want != nil && errors.Is(err, want), err
	})
}

// two brings two members into one generation.
func (e *GroupsEnv) two(ctx context.Context, change ...func(*port.JoinRequest)) (a, b *groupMember, err error) {
	if a, err = e.member("", change...); err == nil {
		if b, err = e.member("", change...); err == nil {
			err = a.in(ctx)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	second := b.started(b.in)
	if err := a.heartbeats(ctx, 5*time.Second, port.ErrRebalanceInProgress); err != nil {
		return nil, nil, err
	}
	if err := a.in(ctx); err != nil {
		return nil, nil, err
	}
	_, err = second.Wait(ctx)
	if err == nil && a.reply.Generation != b.reply.Generation {
		err = fmt.Errorf("generations %d and %d", a.reply.Generation, b.reply.Generation)
	}
	return a, b, err
}

// topic creates the row's topic, if need be by asking twice: a broker may just have been away.
func (e *GroupsEnv) topic(ctx context.Context) error {
	_, err := steady(ctx, e, func() (struct{}, error) {
		return struct{}{}, e.Log.Admin().CreateTopic(ctx, port.TopicSpec{Name: e.Topic, Partitions: 3, Replication: 3, MinISR: 2})
	})
	return err
}

// coordinator is the broker that has to coordinate the group: the leader of its partition of the offsets topic.
func (e *GroupsEnv) coordinator(ctx context.Context) (int32, error) {
	parts, err := e.Log.Admin().Describe(ctx, "__consumer_offsets")
	if err != nil {
		return 0, err
	}
	return parts[kafka.OffsetsPartition(e.Group, int32(len(parts)))].Leader, nil
}

// fails checks that an error is the one that was expected.
func fails(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: %w, expected %q", what, orNone(err), want.Error())
	}
	return nil
}

func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// holds checks committed offsets.
func (e *GroupsEnv) holds(ctx context.Context, c port.Groups, group, topic string, want map[int32]int64) error {
	got, err := steady(ctx, e, func() (map[int32]int64, error) { return c.Committed(ctx, group, topic) })
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("group %s has committed %v of %s, expected %v", group, got, topic, want)
	}
	return err
}

func firstMember(ctx context.Context, e *GroupsEnv) error {
	a, err := e.member("")
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	r := a.reply
	if r.Generation != 1 || r.Member == "" || !a.leads() || r.Protocol != "range" || len(r.Members) != 1 || r.Members[0].Member != r.Member || !bytes.Equal(r.Members[0].Metadata, subscription("what I can do")) {
		return fmt.Errorf("the reply was %+v", r)
	}
	return a.heartbeats(ctx, time.Second, nil)
}

func secondMember(ctx context.Context, e *GroupsEnv) error {
	a, b, err := e.two(ctx)
	if err != nil {
		return err
	}
	if a.reply.Generation != 2 || a.reply.Leader != b.reply.Leader || a.leads() == b.leads() || a.reply.Member == b.reply.Member {
		return fmt.Errorf("replies %+v and %+v", a.reply, b.reply)
	}
	leader, other := a, b
	if b.leads() {
		leader, other = b, a
	}
	members := leader.reply.Members
	if len(members) != 2 || members[0].Member >= members[1].Member || other.reply.Members != nil {
		return fmt.Errorf("the leader was told of %+v, the other of %+v", members, other.reply.Members)
	}
	old := a.id()
	old.Generation--
	return errors.Join(
		fails("a heartbeat of the generation before", a.c.Heartbeat(ctx, old), port.ErrIllegalGeneration),
		a.heartbeats(ctx, time.Second, nil), b.heartbeats(ctx, time.Second, nil))
}

func assignmentsArrive(ctx context.Context, e *GroupsEnv) error {
	a, b, err := e.two(ctx)
	if err != nil {
		return err
	}
	leader, other := a, b
	if b.leads() {
		leader, other = b, a
	}
	// The leader of a stable group may ask for another generation by joining again.
	again := other.started(func(ctx context.Context) error {
		return errors.Join(other.heartbeats(ctx, 5*time.Second, port.ErrRebalanceInProgress), other.join(ctx))
	})
	if err := leader.join(ctx); err != nil {
		return err
	}
	if _, err := again.Wait(ctx); err != nil {
		return err
	}
	var got []byte
	waiting := other.started(func(ctx context.Context) (err error) { got, err = other.sync(ctx); return err })
	if err := e.Runtime.Sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if waiting.Done() {
		return errors.New("a sync was answered before the leader had handed in the assignment")
	}
	mine, err := leader.c.Sync(ctx, leader.id(), []port.GroupAssignment{{Member: leader.reply.Member, Assignment: []byte{0, 1, 255}}})
	if err != nil || !slices.Equal(mine, []byte{0, 1, 255}) {
		return fmt.Errorf("the leader got %v, %w", mine, err)
	}
	if _, err := waiting.Wait(ctx); err != nil || len(got) != 0 {
		return fmt.Errorf("who was left out got %v, %w", got, err)
	}
	if got, err = other.sync(ctx); err != nil || len(got) != 0 {
		return fmt.Errorf("asking again: %v, %w", got, err)
	}
	return nil
}
