package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// grouped is a world whose behaviours concern groups.
type grouped struct {
	*bench
	n int
}

// client is a process of its own with a group client.
func (b *grouped) client() port.Groups {
	b.n++
	name := fmt.Sprint("member", b.n)
	node := b.world.n.AddNode(name, "")
	p := b.s.Process(name)
	node.Start(p)
	return b.c.Client(node, p).(interface{ Groups() port.Groups }).Groups()
}

// away repeats a call while the group has no coordinator.
func away[T any](ctx context.Context, r rt.Runtime, f func() (T, error)) (T, error) {
	for {
		v, err := f()
		if !errors.Is(err, port.ErrCoordinatorAway) || r.Sleep(ctx, 50*time.Millisecond) != nil {
			return v, err
		}
	}
}

func joinOf(instance string) port.JoinRequest {
	return port.JoinRequest{Group: "g", Instance: instance, ClientID: "c", SessionTimeout: 3 * time.Second, RebalanceTimeout: 10 * time.Second,
		Protocols: []port.GroupProtocol{{Name: "range", Metadata: []byte("events")}}}
}

func memberOf(r port.JoinReply, instance string) port.GroupMember {
	return port.GroupMember{Group: "g", Member: r.Member, Instance: instance, Generation: r.Generation}
}

// join joins and syncs; a leader gives every member its own ID as assignment.
func (b *grouped) join(g port.Groups, r port.JoinRequest) (port.JoinReply, []byte, error) {
	for {
		reply, err := away(b.ctx, b.w(), func() (port.JoinReply, error) { return g.Join(b.ctx, r) })
		if err != nil {
			return reply, nil, err
		}
		r.Member = reply.Member
		got, err := g.Sync(b.ctx, memberOf(reply, r.Instance), assignIDs(reply))
		if errors.Is(err, port.ErrRebalanceInProgress) {
			continue
		}
		return reply, got, err
	}
}

func assignIDs(reply port.JoinReply) []port.GroupAssignment {
	var all []port.GroupAssignment
	for _, m := range reply.Members {
		all = append(all, port.GroupAssignment{Member: m.Member, Assignment: []byte(m.Member)})
	}
	return all
}

// joins starts a join as a task.
func (b *grouped) joins(g port.Groups, r port.JoinRequest) *rt.Future[port.JoinReply] {
	f := rt.NewFuture[port.JoinReply](b.w())
	b.w().Go("join", func(context.Context) {
		reply, got, err := b.join(g, r)
		if err == nil && string(got) != reply.Member {
			err = fmt.Errorf("assigned %q to %q", got, reply.Member)
		}
		f.Complete(reply, err)
	})
	return f
}

func (b *grouped) wait(f *rt.Future[port.JoinReply]) port.JoinReply {
	b.t.Helper()
	v, err := f.Wait(b.ctx)
	b.must(err)
	return v
}

func (b *grouped) is(what string, err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("%s: %v, expected %v", what, err, want)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  func(*Config)
		run  func(b *grouped)
	}{
		{name: "the offsets topic is created on first use, and its leader coordinates", run: func(b *grouped) {
			if b.c.Coordinator("g") != "" {
				b.t.Error("there is a coordinator before anybody asked")
			}
			_, err := b.client().(*groups).lookUp(b.ctx, "g")
			b.is("first question", err, port.ErrCoordinatorAway)
			b.soon(5*time.Second, "a coordinator", func() bool { return b.c.Coordinator("g") != "" })
			got, err := away(b.ctx, b.w(), func() (map[int32]int64, error) { return b.client().Committed(b.ctx, "g", topic) })
			if err != nil || len(got) != 0 {
				b.t.Errorf("%v, %v", got, err)
			}
			st, _ := b.c.State(offsetsTopic, 5)
			if len(st.Replicas) != 3 {
				b.t.Errorf("%+v", st)
			}
		}},
		{name: "without a delay the first member is alone in generation 1", run: func(b *grouped) {
			r := b.wait(b.joins(b.client(), joinOf("")))
			if r.Generation != 1 || r.Leader != r.Member || r.Protocol != "range" || !strings.HasPrefix(r.Member, "c-") || len(r.Member) != 38 || len(r.Members) != 1 {
				b.t.Errorf("%+v", r)
			}
		}},
		{name: "the initial delay gathers members", cfg: func(c *Config) { c.InitialRebalanceDelay = 3 * time.Second }, run: func(b *grouped) {
			b.settleTopic()
			at := b.s.Now()
			one := b.joins(b.client(), joinOf(""))
			b.sleep(2 * time.Second)
			two := b.joins(b.client(), joinOf(""))
			x, y := b.wait(one), b.wait(two)
			// The second came within the delay, so it is extended once.
			if d := b.s.Now() - at; x.Generation != 1 || y.Generation != 1 || d < 6*time.Second || d > 7*time.Second {
				b.t.Errorf("generations %d and %d after %v", x.Generation, y.Generation, d)
			}
		}},
		{name: "a second member makes the first join again", run: func(b *grouped) {
			g1 := b.client()
			x := b.wait(b.joins(g1, joinOf("")))
			two := b.joins(b.client(), joinOf(""))
			b.soon(time.Second, "the rebalance", func() bool {
				return errors.Is(g1.Heartbeat(b.ctx, memberOf(x, "")), port.ErrRebalanceInProgress)
			})
			again := joinOf("")
			again.Member = x.Member
			x2, y := b.wait(b.joins(g1, again)), b.wait(two)
			if x2.Generation != 2 || y.Generation != 2 || x2.Leader != x.Member || len(x2.Members) != 2 || y.Members != nil {
				b.t.Errorf("%+v and %+v", x2, y)
			}
			b.is("heartbeat of the old generation", g1.Heartbeat(b.ctx, memberOf(x, "")), port.ErrIllegalGeneration)
			b.must(g1.Heartbeat(b.ctx, memberOf(x2, "")))
		}},
		{name: "a member that does not join again in time is evicted", run: func(b *grouped) {
			g1 := b.client()
			r := joinOf("")
			r.RebalanceTimeout = 2 * time.Second
			x := b.wait(b.joins(g1, r))
			at := b.s.Now()
			two := b.joins(b.client(), r)
			stop := false
			b.w().Go("heartbeats", func(ctx context.Context) {
				for !stop {
					_ = g1.Heartbeat(ctx, memberOf(x, ""))
					b.sleep(200 * time.Millisecond)
				}
			})
			y := b.wait(two)
			stop = true
			if d := b.s.Now() - at; y.Generation != 2 || y.Leader != y.Member || d < 2*time.Second || d > 2500*time.Millisecond {
				b.t.Errorf("%+v after %v", y, d)
			}
			b.is("the evicted", g1.Heartbeat(b.ctx, memberOf(x, "")), port.ErrUnknownMember)
		}},
		{name: "a silent member is evicted after its session timeout", run: func(b *grouped) {
			g1, g2 := b.client(), b.client()
			r := joinOf("")
			r.SessionTimeout = 20 * time.Second
			x := b.wait(b.joins(g1, joinOf("")))
			two := b.joins(g2, r)
			again := joinOf("")
			again.Member = x.Member
			b.sleep(50 * time.Millisecond)
			b.wait(b.joins(g1, again))
			y := b.wait(two)
			at := b.s.Now()
			b.soon(4*time.Second, "the eviction", func() bool {
				return errors.Is(g2.Heartbeat(b.ctx, memberOf(y, "")), port.ErrRebalanceInProgress)
			})
			if d := b.s.Now() - at; d < 2900*time.Millisecond || b.count(port.EventGroupEvicted) != 1 {
				b.t.Errorf("evicted after %v, %d announcements", d, b.count(port.EventGroupEvicted))
			}
		}},
		{name: "who was given an ID and does not come back is not waited for longer than its session", run: func(b *grouped) {
			b.settleTopic()
			co := b.c.byName(b.c.Coordinator("g")).run.coordinator()
			ghost := joinOf("")
			co.add("g").joinNew(&ghost, func(*joinGroupResponse) {})
			x := b.wait(b.joins(b.client(), joinOf("")))
			if x.Generation != 1 {
				b.t.Errorf("%+v", x)
			}
			if n := len(co.groups["g"].pending); n != 1 {
				b.t.Errorf("%d pending", n)
			}
			b.sleep(3 * time.Second)
			if n := len(co.groups["g"].pending); n != 0 {
				b.t.Errorf("%d pending", n)
			}
		}},
		{name: "a leader without common protocol is refused", run: func(b *grouped) {
			b.wait(b.joins(b.client(), joinOf("")))
			r := joinOf("")
			r.Protocols = []port.GroupProtocol{{Name: "sticky"}}
			_, err := b.client().Join(b.ctx, r)
			b.is("another protocol", err, port.ErrRefused)
			r = joinOf("")
			r.SessionTimeout = time.Millisecond
			_, err = b.client().Join(b.ctx, r)
			b.is("a session that is too short", err, port.ErrRefused)
		}},
		{name: "leaving rebalances at once", run: func(b *grouped) {
			g1 := b.client()
			x := b.wait(b.joins(g1, joinOf("")))
			b.must(g1.Leave(b.ctx, memberOf(x, "")))
			b.is("heartbeat", g1.Heartbeat(b.ctx, memberOf(x, "")), port.ErrUnknownMember)
			y := b.wait(b.joins(g1, joinOf("")))
			if y.Generation != 3 { // 2 was the empty one
				b.t.Errorf("%+v", y)
			}
		}},
		{name: "a static member comes back without a rebalance and fences who it was", run: func(b *grouped) {
			g1, g2 := b.client(), b.client()
			x := b.wait(b.joins(g1, joinOf("one")))
			y, got, err := b.join(g2, joinOf("one"))
			b.must(err)
			if y.Generation != 1 || y.Member == x.Member || y.Leader != x.Member || string(got) != x.Member || b.count(port.EventGroupRebalance) != 1 {
				b.t.Errorf("%+v with %q, before %+v; %d rebalances", y, got, x, b.count(port.EventGroupRebalance))
			}
			b.is("the old one", g1.Heartbeat(b.ctx, memberOf(x, "one")), port.ErrFencedInstance)
			b.is("its commit", g1.Commit(b.ctx, memberOf(x, "one"), topic, map[int32]int64{0: 1}), port.ErrFencedInstance)
			b.must(g2.Heartbeat(b.ctx, memberOf(y, "one")))
			b.is("a stranger", g2.Heartbeat(b.ctx, memberOf(y, "two")), port.ErrUnknownMember)
		}},
		{name: "commits are fenced by member and generation", run: func(b *grouped) {
			g1 := b.client()
			x := b.wait(b.joins(g1, joinOf("")))
			m := memberOf(x, "")
			b.must(g1.Commit(b.ctx, m, topic, map[int32]int64{0: 5, 2: 7}))
			m.Generation++
			b.is("a wrong generation", g1.Commit(b.ctx, m, topic, map[int32]int64{0: 6}), port.ErrIllegalGeneration)
			m = memberOf(x, "")
			m.Member = "nobody"
			b.is("a wrong member", g1.Commit(b.ctx, m, topic, map[int32]int64{0: 6}), port.ErrUnknownMember)
			b.is("no such partition", g1.Commit(b.ctx, memberOf(x, ""), topic, map[int32]int64{9: 6}), port.ErrNoTopic)
			got, err := b.client().Committed(b.ctx, "g", topic)
			if err != nil || !maps.Equal(got, map[int32]int64{0: 5, 2: 7}) {
				b.t.Errorf("%v, %v", got, err)
			}
			b.must(g1.Commit(b.ctx, port.GroupMember{Group: "other", Generation: -1}, topic, map[int32]int64{1: 1}))
			n, err := g1.Partitions(b.ctx, topic)
			if n != 3 || err != nil {
				b.t.Errorf("%d partitions, %v", n, err)
			}
			_, err = g1.Partitions(b.ctx, "nothing")
			b.is("no such topic", err, port.ErrNoTopic)
		}},
		{name: "members and offsets survive the coordinator's death", run: func(b *grouped) {
			g1 := b.client()
			r := joinOf("")
			r.SessionTimeout = 20 * time.Second
			x := b.wait(b.joins(g1, r))
			m := memberOf(x, "")
			b.must(g1.Commit(b.ctx, m, topic, map[int32]int64{1: 42}))
			old := b.c.Coordinator("g")
			b.kill(old)
			_, err := away(b.ctx, b.w(), func() (int, error) {
				err := g1.Heartbeat(b.ctx, m)
				if errors.Is(err, port.ErrUnknown) {
					err = port.ErrCoordinatorAway
				}
				return 0, err
			})
			b.must(err)
			b.settleTopic() // while it loads, heartbeats are answered blindly
			if now := b.c.Coordinator("g"); now == old || now == "" {
				b.t.Errorf("coordinator %q, before %q", now, old)
			}
			got, err := g1.Committed(b.ctx, "g", topic)
			if err != nil || !maps.Equal(got, map[int32]int64{1: 42}) {
				b.t.Errorf("%v, %v", got, err)
			}
			b.must(g1.Commit(b.ctx, m, topic, map[int32]int64{1: 43}))
			again := r
			again.Member = x.Member
			if y := b.wait(b.joins(g1, again)); y.Generation != 2 || y.Member != x.Member {
				b.t.Errorf("%+v", y)
			}
		}},
		{name: "a silent member is evicted by the new coordinator, too", run: func(b *grouped) {
			g1 := b.client()
			b.wait(b.joins(g1, joinOf("")))
			b.kill(b.c.Coordinator("g"))
			b.soon(20*time.Second, "an eviction", func() bool { return b.count(port.EventGroupEvicted) == 1 })
			y := b.wait(b.joins(b.client(), joinOf("")))
			if y.Generation != 3 { // 2 was empty
				b.t.Errorf("%+v", y)
			}
		}},
		{name: "a deposed coordinator sends everybody away", run: func(b *grouped) {
			g1, g2 := b.client(), b.client()
			r := joinOf("")
			r.SessionTimeout = 30 * time.Second
			x := b.wait(b.joins(g1, r))
			waiting := rt.NewFuture[struct{}](b.w())
			b.w().Go("join", func(context.Context) {
				_, err := g2.Join(b.ctx, r)
				waiting.Complete(struct{}{}, err)
			})
			b.sleep(100 * time.Millisecond)
			old := b.c.Coordinator("g")
			b.must(b.c.PauseBroker(old))
			b.soon(10*time.Second, "another coordinator", func() bool { return b.c.Coordinator("g") != old })
			b.must(b.c.ResumeBroker(old))
			_, err := waiting.Wait(b.ctx)
			b.is("the join that waited", err, port.ErrCoordinatorAway)
			b.is("heartbeat to the old one", g1.Heartbeat(b.ctx, memberOf(x, "")), port.ErrCoordinatorAway)
			b.settleTopic()
			b.must(g1.Heartbeat(b.ctx, memberOf(x, "")))
		}},
		{name: "a paused coordinator answers nobody", run: func(b *grouped) {
			g1 := b.client()
			x := b.wait(b.joins(g1, joinOf("")))
			b.must(b.c.PauseBroker(b.c.Coordinator("g")))
			at := b.s.Now()
			err := g1.Heartbeat(b.ctx, memberOf(x, ""))
			b.is("heartbeat", err, port.ErrUnknown)
			if d := b.s.Now() - at; d < heartbeatPatience || d > heartbeatPatience+10*time.Millisecond {
				b.t.Errorf("after %v", d)
			}
		}},
		{name: "an isolated coordinator cannot commit, and the new one has what was acknowledged", run: func(b *grouped) {
			g1 := b.client()
			r := joinOf("")
			r.SessionTimeout = 30 * time.Second
			x := b.wait(b.joins(g1, r))
			m := memberOf(x, "")
			b.must(g1.Commit(b.ctx, m, topic, map[int32]int64{0: 1}))
			old := b.c.Coordinator("g")
			b.cutBroker(old)
			err := g1.Commit(b.ctx, m, topic, map[int32]int64{0: 2})
			b.is("commit", err, port.ErrUnknown)
			b.soon(20*time.Second, "another coordinator", func() bool { return b.c.Coordinator("g") != old })
			// The old one still believes that it coordinates, and cannot prove it.
			b.is("commit after the election", g1.Commit(b.ctx, m, topic, map[int32]int64{0: 2}), port.ErrUnknown)
			b.world.n.HealAll()
			b.soon(20*time.Second, "a commit", func() bool { return g1.Commit(b.ctx, m, topic, map[int32]int64{0: 3}) == nil })
			got, err := g1.Committed(b.ctx, "g", topic)
			if err != nil || got[0] != 3 {
				b.t.Errorf("%v, %v", got, err)
			}
		}},
		{name: "below min.insync.replicas nothing is committed", run: func(b *grouped) {
			g1 := b.client()
			x := b.wait(b.joins(g1, joinOf("")))
			for _, x := range b.c.brokers {
				if x.name != b.c.Coordinator("g") {
					b.kill(x.name)
				}
			}
			b.sleep(10 * time.Second)
			_ = x
			err := g1.Commit(b.ctx, port.GroupMember{Group: "g", Generation: -1}, topic, map[int32]int64{0: 2})
			b.is("commit", err, port.ErrCoordinatorAway)
			b.is("commit", err, port.ErrUnknown)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4) {
				w := newWorld(t, seed, func(c *Config) {
					c.ImbalanceInterval = -1
					if test.cfg != nil {
						test.cfg(c)
					}
				})
				w.run(t, func(ctx context.Context) {
					if err := w.ready(ctx, port.TopicSpec{}); err != nil {
						t.Error(err)
						return
					}
					w.until(ctx, t, 10*time.Second, "full ISRs", w.fullISR(3))
					test.run(&grouped{bench: &bench{world: w, t: t, ctx: ctx}})
				})
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func (b *grouped) soon(limit time.Duration, what string, ok func() bool) {
	b.t.Helper()
	b.until(b.ctx, b.t, limit, what, ok)
}

// settleTopic waits until the group has a coordinator that has loaded.
func (b *grouped) settleTopic() {
	_, err := away(b.ctx, b.w(), func() (map[int32]int64, error) { return b.client().Committed(b.ctx, "g", topic) })
	b.must(err)
}
