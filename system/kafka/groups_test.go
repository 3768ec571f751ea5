package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const beagles = "beagle"

var member = port.GroupMember{Group: beagles, Member: "m1", Instance: "i1", Generation: 4}

// coordinator is a broker that coordinates the group.
func coordinator(t *testing.T, extra map[string]sarama.MockResponse) *sarama.MockBroker {
	t.Helper()
	b := broker(t, nil)
	handlers := map[string]sarama.MockResponse{
		"ApiVersionsRequest":     versions(t),
		"MetadataRequest":        sarama.NewMockMetadataResponse(t).SetController(1).SetBroker(b.Addr(), 1).SetLeader(topic, 0, 1).SetLeader(topic, 1, 1),
		"FindCoordinatorRequest": sarama.NewMockFindCoordinatorResponse(t).SetCoordinator(sarama.CoordinatorGroup, beagles, b),
		"HeartbeatRequest":       sarama.NewMockHeartbeatResponse(t),
	}
	for k, v := range extra {
		handlers[k] = v
	}
	b.SetHandlerByMap(handlers)
	return b
}

// requests returns the requests of one kind that a broker has been sent.
func requests[T any](b *sarama.MockBroker) []T {
	var out []T
	for _, h := range b.History() {
		if r, ok := h.Request.(T); ok {
			out = append(out, r)
		}
	}
	return out
}

func joinRequest() port.JoinRequest {
	return port.JoinRequest{
		Group: beagles, Instance: "i1", ClientID: "c1", SessionTimeout: 6 * time.Second, RebalanceTimeout: 15 * time.Second,
		Protocols: []port.GroupProtocol{{Name: "sticky", Metadata: []byte{1}}, {Name: "range", Metadata: []byte{2}}},
	}
}

func TestJoinIsAskedTwice(t *testing.T) {
	t.Parallel()
	good := sarama.NewMockJoinGroupResponse(t).SetMemberId("m7").SetLeaderId("m7").SetGenerationId(3).SetGroupProtocol("sticky")
	instance := "i7"
	good.Members = []sarama.GroupMember{{MemberId: "m9", Metadata: []byte{9}}, {MemberId: "m7", GroupInstanceId: &instance, Metadata: []byte{7}}}
	b := coordinator(t, map[string]sarama.MockResponse{"JoinGroupRequest": sarama.NewMockSequence(
		sarama.NewMockJoinGroupResponse(t).SetError(sarama.ErrMemberIdRequired).SetMemberId("m7"), good)})
	got, err := testLog(t, b.Addr()).Groups().Join(withinTest(t), joinRequest())
	want := port.JoinReply{Generation: 3, Member: "m7", Leader: "m7", Protocol: "sticky", Members: []port.JoinedMember{
		{Member: "m7", Instance: "i7", Metadata: []byte{7}}, {Member: "m9", Metadata: []byte{9}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; expected %+v", got, err, want)
	}
	sent := requests[*sarama.JoinGroupRequest](b)
	if len(sent) != 2 || sent[0].MemberId != "" || sent[1].MemberId != "m7" {
		t.Fatalf("sent %+v", sent)
	}
	last := sent[1]
	if last.Version != 5 || *last.GroupInstanceId != "i1" || last.SessionTimeout != 6000 || last.RebalanceTimeout != 15000 ||
		last.ProtocolType != "consumer" || len(last.OrderedGroupProtocols) != 2 || last.OrderedGroupProtocols[0].Name != "sticky" {
		t.Errorf("sent %+v", last)
	}
}

func TestFailedJoinTellsTheID(t *testing.T) {
	t.Parallel()
	required := sarama.NewMockJoinGroupResponse(t).SetError(sarama.ErrMemberIdRequired).SetMemberId("m7")
	for _, c := range []struct {
		code   sarama.KError
		want   error
		member string
	}{
		{sarama.ErrNotCoordinatorForConsumer, port.ErrCoordinatorAway, "m7"},
		{sarama.ErrUnknownMemberId, port.ErrUnknownMember, ""},
		{sarama.ErrInconsistentGroupProtocol, port.ErrRefused, "m7"},
	} {
		b := coordinator(t, map[string]sarama.MockResponse{"JoinGroupRequest": sarama.NewMockSequence(required, sarama.NewMockJoinGroupResponse(t).SetError(c.code))})
		if got, err := testLog(t, b.Addr()).Groups().Join(withinTest(t), joinRequest()); !errors.Is(err, c.want) || got.Member != c.member {
			t.Errorf("%v: %+v, %v", c.code, got, err)
		}
	}
}

// TestJoinThatIsHeldBack delays no heartbeats, ends with its context, and leaves no connection behind.
func TestJoinThatIsHeldBack(t *testing.T) {
	t.Parallel()
	required := sarama.NewMockJoinGroupResponse(t).SetError(sarama.ErrMemberIdRequired).SetMemberId("m7")
	b := coordinator(t, map[string]sarama.MockResponse{
		"JoinGroupRequest": sarama.NewMockSequence(required, sarama.NewMockWrapper(nil)), // the second one is never answered
		"SyncGroupRequest": sarama.NewMockWrapper(nil),
	})
	open := &openConns{}
	l, err := New(rt.NewWall(1), Options{Seeds: []string{b.Addr()}, Dial: open.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithCancel(withinTest(t))
	joined, synced := make(chan error, 1), make(chan error, 1)
	go func() {
		got, err := l.Groups().Join(ctx, joinRequest())
		if got.Member != "m7" {
			err = fmt.Errorf("the ID was lost: %+v, %w", got, err)
		}
		joined <- err
	}()
	go func() { _, err := l.Groups().Sync(ctx, member, nil); synced <- err }()
	until(t, func() bool {
		return len(requests[*sarama.JoinGroupRequest](b)) == 2 && len(requests[*sarama.SyncGroupRequest](b)) == 1
	})
	for range 3 {
		if err := l.Groups().Heartbeat(withinTest(t), member); err != nil {
			t.Error(err)
		}
	}
	if open.count() != 4 { // of the lookup, the heartbeats, join, sync
		t.Errorf("%d connections are open", open.count())
	}
	cancel()
	for _, ended := range []chan error{joined, synced} {
		if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, port.ErrUnknown) {
			t.Errorf("%v", err)
		}
	}
	until(t, func() bool { return open.count() == 2 })
}

func until(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}

// openConns counts connections.
type openConns struct {
	mu   sync.Mutex
	n    int
	made int
	last net.Conn
}

func (o *openConns) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	o.made++
	o.last = &countedConn{Conn: c, o: o}
	return o.last, nil
}

func (o *openConns) count() int { o.mu.Lock(); defer o.mu.Unlock(); return o.n }
func (o *openConns) total() int { o.mu.Lock(); defer o.mu.Unlock(); return o.made }

type countedConn struct {
	net.Conn
	o    *openConns
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.o.mu.Lock(); c.o.n--; c.o.mu.Unlock() })
	return c.Conn.Close()
}

func TestGroupErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[sarama.KError]error{
		sarama.ErrNoError:                         nil,
		sarama.ErrRebalanceInProgress:             port.ErrRebalanceInProgress,
		sarama.ErrUnknownMemberId:                 port.ErrUnknownMember,
		sarama.ErrIllegalGeneration:               port.ErrIllegalGeneration,
		sarama.ErrFencedInstancedId:               port.ErrFencedInstance,
		sarama.ErrConsumerCoordinatorNotAvailable: port.ErrCoordinatorAway,
		sarama.ErrNotCoordinatorForConsumer:       port.ErrCoordinatorAway,
		sarama.ErrOffsetsLoadInProgress:           port.ErrCoordinatorAway,
		sarama.ErrGroupAuthorizationFailed:        port.ErrRefused,
		sarama.ErrRequestTimedOut:                 port.ErrUnknown,
	} {
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			b := coordinator(t, map[string]sarama.MockResponse{
				"JoinGroupRequest":    sarama.NewMockJoinGroupResponse(t).SetError(code),
				"SyncGroupRequest":    sarama.NewMockSyncGroupResponse(t).SetError(code),
				"HeartbeatRequest":    sarama.NewMockHeartbeatResponse(t).SetError(code),
				"LeaveGroupRequest":   sarama.NewMockWrapper(&sarama.LeaveGroupResponse{Version: 3, Members: []sarama.MemberResponse{{MemberId: "m1", Err: code}}}),
				"OffsetCommitRequest": sarama.NewMockOffsetCommitResponse(t).SetError(beagles, topic, 1, code),
				"OffsetFetchRequest":  sarama.NewMockOffsetFetchResponse(t).SetError(code),
			})
			g, ctx := testLog(t, b.Addr()).Groups(), withinTest(t)
			_, join := g.Join(ctx, joinRequest())
			_, sync := g.Sync(ctx, member, nil)
			_, committed := g.Committed(ctx, beagles, topic)
			commit := g.Commit(ctx, member, topic, map[int32]int64{0: 5, 1: 6})
			for what, err := range map[string]error{"join": join, "sync": sync, "committed": committed, "commit": commit,
				"heartbeat": g.Heartbeat(ctx, member), "leave": g.Leave(ctx, member)} {
				if !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("%s: %v, expected %v", what, err, want)
				}
			}
			// The append to the offsets topic may have been under way when the coordinator went.
			if maybe := errors.Is(commit, port.ErrUnknown); maybe != (code == sarama.ErrConsumerCoordinatorNotAvailable || code == sarama.ErrNotCoordinatorForConsumer || code == sarama.ErrRequestTimedOut) {
				t.Errorf("commit has an unknown outcome: %v", maybe)
			}
		})
	}
}

func TestWhatIsSentToACoordinator(t *testing.T) {
	t.Parallel()
	b := coordinator(t, map[string]sarama.MockResponse{
		"SyncGroupRequest":    sarama.NewMockWrapper(&sarama.SyncGroupResponse{Version: 3, MemberAssignment: []byte{1, 2}}),
		"LeaveGroupRequest":   sarama.NewMockLeaveGroupResponse(t),
		"OffsetCommitRequest": sarama.NewMockOffsetCommitResponse(t),
		"OffsetFetchRequest":  sarama.NewMockOffsetFetchResponse(t).SetOffset(beagles, topic, 0, 12, "", sarama.ErrNoError).SetOffset(beagles, topic, 1, -1, "", sarama.ErrNoError).SetOffset(beagles, "other", 2, 9, "", sarama.ErrNoError),
	})
	g, ctx := testLog(t, b.Addr()).Groups(), withinTest(t)
	if got, err := g.Sync(ctx, member, []port.GroupAssignment{{Member: "m1", Assignment: []byte{5}}}); err != nil || !reflect.DeepEqual(got, []byte{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if s := requests[*sarama.SyncGroupRequest](b)[0]; s.GenerationId != 4 || s.MemberId != "m1" || *s.GroupInstanceId != "i1" || len(s.GroupAssignments) != 1 || s.GroupAssignments[0].Assignment[0] != 5 {
		t.Errorf("sync sent %+v", s)
	}
	if err := g.Heartbeat(ctx, member); err != nil {
		t.Error(err)
	}
	if h := requests[*sarama.HeartbeatRequest](b)[0]; h.GenerationId != 4 || h.MemberId != "m1" || *h.GroupInstanceId != "i1" {
		t.Errorf("heartbeat sent %+v", h)
	}
	if err := g.Commit(ctx, member, topic, map[int32]int64{1: 17}); err != nil {
		t.Error(err)
	}
	if err := g.Commit(ctx, member, topic, nil); err != nil {
		t.Error(err)
	}
	c := requests[*sarama.OffsetCommitRequest](b)
	if offset, _, err := c[0].Offset(topic, 1); len(c) != 1 || err != nil || offset != 17 || c[0].ConsumerGroupGeneration != 4 || c[0].ConsumerID != "m1" || *c[0].GroupInstanceId != "i1" {
		t.Errorf("commit sent %+v", c)
	}
	if got, err := g.Committed(ctx, beagles, topic); err != nil || !reflect.DeepEqual(got, map[int32]int64{0: 12}) {
		t.Errorf("%v, %v", got, err)
	}
	if err := g.Leave(ctx, member); err != nil {
		t.Error(err)
	}
	if l := requests[*sarama.LeaveGroupRequest](b)[0]; len(l.Members) != 1 || l.Members[0].MemberId != "m1" || *l.Members[0].GroupInstanceId != "i1" {
		t.Errorf("leave sent %+v", l)
	}
	if n, err := g.Partitions(ctx, topic); n != 2 || err != nil {
		t.Errorf("%d partitions, %v", n, err)
	}
	if _, err := g.Partitions(ctx, "nothing"); !errors.Is(err, port.ErrNoTopic) {
		t.Errorf("partitions of nothing: %v", err)
	}
}

// TestCoordinatorMoves: the broker that was the coordinator is cut off and still names itself; another one knows better.
func TestCoordinatorMoves(t *testing.T) {
	t.Parallel()
	old := coordinator(t, map[string]sarama.MockResponse{"HeartbeatRequest": sarama.NewMockHeartbeatResponse(t).SetError(sarama.ErrNotCoordinatorForConsumer)})
	now := coordinator(t, nil)
	l := testLog(t, old.Addr(), now.Addr())
	l.groups.where[beagles] = old.Addr()
	ctx := withinTest(t)
	if err := l.Groups().Heartbeat(ctx, member); !errors.Is(err, port.ErrCoordinatorAway) {
		t.Errorf("at the old coordinator: %v", err)
	}
	for range 3 {
		if err := l.Groups().Heartbeat(ctx, member); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	asked := len(requests[*sarama.HeartbeatRequest](now))
	handlers := map[string]sarama.MockResponse{
		"ApiVersionsRequest":     versions(t),
		"FindCoordinatorRequest": sarama.NewMockFindCoordinatorResponse(t).SetCoordinator(sarama.CoordinatorGroup, beagles, now),
		"HeartbeatRequest":       sarama.NewMockHeartbeatResponse(t).SetError(sarama.ErrNotCoordinatorForConsumer),
	}
	now.SetHandlerByMap(handlers)
	for range 4 { // each in turn, since neither is the coordinator
		if err := l.Groups().Heartbeat(ctx, member); !errors.Is(err, port.ErrCoordinatorAway) {
			t.Errorf("without a coordinator: %v", err)
		}
	}
	if a, b := len(requests[*sarama.HeartbeatRequest](old)), len(requests[*sarama.HeartbeatRequest](now))-asked; a != 3 || b != 2 {
		t.Errorf("the old one was asked %d times, the other %d; expected 3 and 2", a, b)
	}
}

func TestCoordinatorIsLookedFor(t *testing.T) {
	t.Parallel()
	none := sarama.NewMockFindCoordinatorResponse(t).SetError(sarama.CoordinatorGroup, beagles, sarama.ErrConsumerCoordinatorNotAvailable)
	b := coordinator(t, nil)
	found := sarama.NewMockFindCoordinatorResponse(t).SetCoordinator(sarama.CoordinatorGroup, beagles, b)
	b = coordinator(t, map[string]sarama.MockResponse{"FindCoordinatorRequest": sarama.NewMockSequence(none, none, found)})
	if err := testLog(t, b.Addr()).Groups().Heartbeat(withinTest(t), member); err != nil {
		t.Error(err)
	}
	if n := len(requests[*sarama.FindCoordinatorRequest](b)); n != 3 {
		t.Errorf("asked %d times, expected 3", n)
	}
	if err := testLog(t, "127.0.0.1:1").Groups().Heartbeat(withinTest(t), member); !errors.Is(err, port.ErrCoordinatorAway) {
		t.Errorf("nobody is there: %v", err)
	}
	for code, want := range map[sarama.KError]error{sarama.ErrConsumerCoordinatorNotAvailable: port.ErrCoordinatorAway, sarama.ErrGroupAuthorizationFailed: port.ErrRefused} {
		b := coordinator(t, map[string]sarama.MockResponse{"FindCoordinatorRequest": sarama.NewMockFindCoordinatorResponse(t).SetError(sarama.CoordinatorGroup, beagles, code)})
		if err := testLog(t, b.Addr()).Groups().Heartbeat(withinTest(t), member); !errors.Is(err, want) {
			t.Errorf("%v for ever: %v", code, err)
		}
	}
	l := testLog(t, b.Addr())
	_ = l.Close()
	if err := l.Groups().Heartbeat(withinTest(t), member); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}
