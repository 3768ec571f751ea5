package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func leaderNeverSyncs(ctx context.Context, e *GroupsEnv) error {
	short := func(r *port.JoinRequest) { r.RebalanceTimeout = 3 * time.Second }
	a, b, err := e.two(ctx, short)
	if err != nil {
		return err
	}
	leader, other := a, b
	if b.leads() {
		leader, other = b, a
	}
	again := other.started(func(ctx context.Context) error {
		return errors.Join(other.heartbeats(ctx, 5*time.Second, port.ErrRebalanceInProgress), other.join(ctx))
	})
	if err := leader.join(ctx); err != nil {
		return err
	}
	if _, err := again.Wait(ctx); err != nil {
		return err
	}
	began := e.Runtime.Now()
	_, err = other.sync(ctx)
	if took := e.Runtime.Now().Sub(began); !errors.Is(err, port.ErrRebalanceInProgress) || took < 2*time.Second || took > 8*time.Second {
		return fmt.Errorf("the sync of the other ended after %v with %w, expected a rebalance after 3 s", took, orNone(err))
	}
	if err := other.in(ctx); err != nil {
		return err
	}
	if !other.leads() || len(other.reply.Members) != 1 {
		return fmt.Errorf("the reply was %+v", other.reply)
	}
	return leader.heartbeats(ctx, time.Second, port.ErrUnknownMember)
}

func lateJoin(ctx context.Context, e *GroupsEnv) error {
	short := func(r *port.JoinRequest) { r.RebalanceTimeout = 3 * time.Second }
	a, err := e.member("", short)
	if err != nil {
		return err
	}
	b, err := e.member("", short)
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	began := e.Runtime.Now()
	second := b.started(b.in)
	for !second.Done() {
		err := a.c.Heartbeat(ctx, a.id()) // it lives, and does not join
		if err != nil && !errors.Is(err, port.ErrRebalanceInProgress) && !errors.Is(err, port.ErrUnknownMember) && !errors.Is(err, port.ErrIllegalGeneration) {
			return err
		}
		if err := e.Runtime.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if _, err := second.Wait(ctx); err != nil {
		return err
	}
	if took := e.Runtime.Now().Sub(began); took < 2*time.Second || took > 8*time.Second || !b.leads() || b.reply.Generation != 2 {
		return fmt.Errorf("%+v after %v, expected generation 2 without the other after 3 s", b.reply, took)
	}
	return a.heartbeats(ctx, time.Second, port.ErrUnknownMember)
}

func silentMember(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	a, b, err := e.two(ctx, func(r *port.JoinRequest) { r.SessionTimeout = 2 * time.Second })
	if err != nil {
		return err
	}
	began := e.Runtime.Now()
	if err := a.heartbeats(ctx, 8*time.Second, port.ErrRebalanceInProgress); err != nil {
		return err
	}
	if took := e.Runtime.Now().Sub(began); took < time.Second {
		return fmt.Errorf("a rebalance after %v of silence, the session timeout is 2 s", took)
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	if !a.leads() || len(a.reply.Members) != 1 {
		return fmt.Errorf("the reply was %+v", a.reply)
	}
	again := b.id()
	b.req.Member = again.Member
	_, err = b.c.Join(ctx, b.req)
	return errors.Join(
		fails("a join under the old ID", err, port.ErrUnknownMember),
		fails("a commit of who was removed", b.c.Commit(ctx, again, e.Topic, map[int32]int64{0: 1}), port.ErrUnknownMember))
}

func leaver(ctx context.Context, e *GroupsEnv) error {
	a, b, err := e.two(ctx)
	if err != nil {
		return err
	}
	if err := b.c.Leave(ctx, b.id()); err != nil {
		return err
	}
	if err := errors.Join(b.heartbeats(ctx, time.Second, port.ErrUnknownMember), a.heartbeats(ctx, 2*time.Second, port.ErrRebalanceInProgress)); err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	if a.reply.Generation != 3 || len(a.reply.Members) != 1 {
		return fmt.Errorf("the reply was %+v", a.reply)
	}
	return fails("leaving twice", b.c.Leave(ctx, b.id()), port.ErrUnknownMember)
}

func protocols(ctx context.Context, e *GroupsEnv) error {
	can := func(names ...string) func(*port.JoinRequest) {
		return func(r *port.JoinRequest) {
			r.Protocols = nil
			for _, n := range names {
				r.Protocols = append(r.Protocols, port.GroupProtocol{Name: n, Metadata: subscription("by " + n)})
			}
		}
	}
	a, err := e.member("", can("sticky", "range"))
	if err != nil {
		return err
	}
	b, err := e.member("", can("roundrobin", "range"))
	if err != nil {
		return err
	}
	c, err := e.member("", can("roundrobin"))
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil || a.reply.Protocol != "sticky" {
		return fmt.Errorf("alone: %+v, %w", a.reply, err)
	}
	_, err = c.c.Join(ctx, c.req)
	if err := refused("a join with no protocol in common", err, nil); err != nil {
		return err
	}
	second := b.started(b.in)
	if err := a.heartbeats(ctx, 5*time.Second, port.ErrRebalanceInProgress); err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	if _, err := second.Wait(ctx); err != nil || a.reply.Protocol != "range" || b.reply.Protocol != "range" {
		return fmt.Errorf("replies %+v and %+v, %w", a.reply, b.reply, err)
	}
	for _, m := range append(a.reply.Members, b.reply.Members...) {
		if !bytes.Equal(m.Metadata, subscription("by range")) {
			return fmt.Errorf("the leader was told %q", m.Metadata)
		}
	}
	c.req.SessionTimeout = time.Millisecond
	_, err = c.c.Join(ctx, c.req)
	return refused("a session timeout of 1 ms", err, nil)
}

func strangers(ctx context.Context, e *GroupsEnv) error {
	a, err := e.member("")
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	b, err := e.member("", func(r *port.JoinRequest) { r.Member = "conformance-made-up" })
	if err != nil {
		return err
	}
	_, joined := b.c.Join(ctx, b.req)
	b.reply = port.JoinReply{Member: b.req.Member, Generation: a.reply.Generation}
	_, synced := b.sync(ctx)
	return errors.Join(
		fails("join", joined, port.ErrUnknownMember), fails("sync", synced, port.ErrUnknownMember),
		fails("heartbeat", b.c.Heartbeat(ctx, b.id()), port.ErrUnknownMember), fails("leave", b.c.Leave(ctx, b.id()), port.ErrUnknownMember),
		a.heartbeats(ctx, time.Second, nil))
}

func staticMember(ctx context.Context, e *GroupsEnv) error {
	a, err := e.member("one")
	if err != nil {
		return err
	}
	b, err := e.member("one")
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	if err := b.join(ctx); err != nil {
		return err
	}
	got, err := b.sync(ctx)
	if err != nil || string(got) != "for "+a.reply.Member || b.reply.Generation != a.reply.Generation || b.reply.Member == a.reply.Member || b.leads() {
		return fmt.Errorf("it came back with %q in %+v, %w; before it was %+v", got, b.reply, err, a.reply)
	}
	if err := errors.Join(
		b.heartbeats(ctx, time.Second, nil),
		fails("a heartbeat of who it was", a.c.Heartbeat(ctx, a.id()), port.ErrFencedInstance),
	); err != nil {
		return err
	}
	_, err = a.c.Join(ctx, a.req)
	if err := errors.Join(fails("a join of who it was", err, port.ErrFencedInstance), b.c.Leave(ctx, b.id())); err != nil {
		return err
	}
	return fails("a heartbeat after leaving", b.c.Heartbeat(ctx, b.id()), port.ErrUnknownMember)
}

func fencedCommits(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	a, b, err := e.two(ctx)
	if err != nil {
		return err
	}
	if err := a.c.Commit(ctx, a.id(), e.Topic, map[int32]int64{0: 5, 2: 7}); err != nil {
		return err
	}
	before, wrong := a.id(), a.id()
	before.Generation--
	wrong.Member = "conformance-made-up"
	late := map[int32]int64{0: 99}
	if err := errors.Join(
		e.holds(ctx, b.c, e.Group, e.Topic, map[int32]int64{0: 5, 2: 7}),
		fails("a commit of the generation before", a.c.Commit(ctx, before, e.Topic, late), port.ErrIllegalGeneration),
		fails("a commit of a stranger", a.c.Commit(ctx, wrong, e.Topic, late), port.ErrUnknownMember),
		b.c.Leave(ctx, b.id()),
		fails("a commit of who has left", b.c.Commit(ctx, b.id(), e.Topic, late), port.ErrUnknownMember),
		a.heartbeats(ctx, 2*time.Second, port.ErrRebalanceInProgress),
		a.c.Commit(ctx, a.id(), e.Topic, map[int32]int64{0: 6}), // what was read may still be committed before joining again
	); err != nil {
		return err
	}
	if err := a.join(ctx); err != nil {
		return err
	}
	return errors.Join(
		fails("a commit before the assignment", a.c.Commit(ctx, a.id(), e.Topic, late), port.ErrRebalanceInProgress),
		e.holds(ctx, b.c, e.Group, e.Topic, map[int32]int64{0: 6, 2: 7}))
}

func loneCommits(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	a, err := e.member("")
	if err != nil {
		return err
	}
	alone := port.GroupMember{Group: e.Group, Generation: -1}
	commit := func(next int64) error { return a.c.Commit(ctx, alone, e.Topic, map[int32]int64{1: next}) }
	if _, err := steady(ctx, e, func() (struct{}, error) { return struct{}{}, commit(3) }); err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	if err := commit(4); err == nil {
		return errors.New("a commit without membership was taken, although the group has a member")
	}
	if err := errors.Join(e.holds(ctx, a.c, e.Group, e.Topic, map[int32]int64{1: 3}), a.c.Leave(ctx, a.id()), commit(2)); err != nil {
		return err
	}
	return e.holds(ctx, a.c, e.Group, e.Topic, map[int32]int64{1: 2}) // also backwards
}

func ownCommits(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	a, err := e.member("")
	if err != nil {
		return err
	}
	other := e.Group + "-other"
	if err := e.holds(ctx, a.c, other, e.Topic, map[int32]int64{}); err != nil {
		return err
	}
	commit := func(group string, next int64) error {
		_, err := steady(ctx, e, func() (struct{}, error) {
			return struct{}{}, a.c.Commit(ctx, port.GroupMember{Group: group, Generation: -1}, e.Topic, map[int32]int64{0: next})
		})
		return err
	}
	if err := errors.Join(commit(e.Group, 1), commit(other, 2)); err != nil {
		return err
	}
	nowhere := a.c.Commit(ctx, port.GroupMember{Group: other, Generation: -1}, e.Topic, map[int32]int64{17: 1})
	stranger := a.c.Commit(ctx, port.GroupMember{Group: other, Member: "conformance-made-up", Generation: 7}, e.Topic+"-none", map[int32]int64{0: 1})
	return errors.Join(
		fails("a commit of a partition that there is not", nowhere, port.ErrNoTopic),
		fails("a stranger's commit of a topic that there is not", stranger, port.ErrNoTopic), // looked at before who commits
		e.holds(ctx, a.c, e.Group, e.Topic, map[int32]int64{0: 1}), e.holds(ctx, a.c, other, e.Topic, map[int32]int64{0: 2}),
		e.holds(ctx, a.c, e.Group, e.Topic+"-none", map[int32]int64{}))
}

func coordinatorKilled(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	a, b, err := e.two(ctx, func(r *port.JoinRequest) { r.SessionTimeout, r.RebalanceTimeout = time.Minute, time.Minute })
	if err != nil {
		return err
	}
	if err := a.c.Commit(ctx, a.id(), e.Topic, map[int32]int64{1: 42}); err != nil {
		return err
	}
	old, err := e.coordinator(ctx)
	if err != nil {
		return err
	}
	if err := e.Kill(ctx, old); err != nil {
		return err
	}
	if err := errors.Join(a.heartbeats(ctx, away, nil), b.heartbeats(ctx, away, nil)); err != nil {
		return err
	}
	if now, err := e.coordinator(ctx); err != nil || now == old {
		return fmt.Errorf("the coordinator is broker %d, which was killed; %w", now, err)
	}
	if err := e.holds(ctx, b.c, e.Group, e.Topic, map[int32]int64{1: 42}); err != nil {
		return err
	}
	got, err := b.sync(ctx) // it is in the same generation, with what it had
	if err != nil || string(got) != "for "+b.reply.Member {
		return fmt.Errorf("asking for the assignment again: %q, %w", got, err)
	}
	if err := errors.Join(a.c.Commit(ctx, a.id(), e.Topic, map[int32]int64{1: 43}), b.c.Leave(ctx, b.id())); err != nil {
		return err
	}
	if err := a.in(ctx); err != nil || a.reply.Generation != 3 {
		return fmt.Errorf("after that: %+v, %w", a.reply, err)
	}
	return errors.Join(e.holds(ctx, a.c, e.Group, e.Topic, map[int32]int64{1: 43}), e.Restart(ctx, old))
}

func coordinatorPaused(ctx context.Context, e *GroupsEnv) error {
	a, err := e.member("", func(r *port.JoinRequest) { r.SessionTimeout = time.Minute })
	if err != nil {
		return err
	}
	if err := a.in(ctx); err != nil {
		return err
	}
	frozen, err := e.coordinator(ctx)
	if err != nil {
		return err
	}
	if err := e.Pause(ctx, frozen); err != nil {
		return err
	}
	within, cancel := e.Runtime.WithTimeout(ctx, 30*time.Second)
	err = a.c.Heartbeat(within, a.id())
	cancel()
	if err := uncertain("a heartbeat to a frozen coordinator", err); err != nil {
		return err
	}
	// Its partitions get another leader meanwhile, which knows the member.
	return errors.Join(a.heartbeats(ctx, away, nil), e.Resume(ctx, frozen), a.heartbeats(ctx, away, nil))
}

func topicPartitions(ctx context.Context, e *GroupsEnv) error {
	if err := e.topic(ctx); err != nil {
		return err
	}
	c, err := e.Client()
	if err != nil {
		return err
	}
	if n, err := c.Partitions(ctx, e.Topic); err != nil || n != 3 {
		return fmt.Errorf("%d partitions, %w; expected 3", n, err)
	}
	_, err = c.Partitions(ctx, e.Topic+"-none")
	return fails("partitions of a topic that there is not", err, port.ErrNoTopic)
}
