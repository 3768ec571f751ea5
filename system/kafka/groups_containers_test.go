//go:build containers

package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/port"
)

// TestRealServersGroups: members of a group on real Kafka, with each assignor: three share a topic out, a static restart
// moves nothing, one that does not respond is evicted and finds back, commits are fenced, and nothing is ever held twice.
func TestRealServersGroups(t *testing.T) {
	w, err := containers.New(containers.Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	top := system.Default()
	top.Shepherds, top.Replicas, top.Queries, top.Kafka.Partitions = 0, 0, 0, 1
	err = w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		for _, assignor := range group.Assignors() {
			t.Run(assignor, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
				defer cancel()
				began := time.Now()
				g := &realGroup{t: t, ctx: ctx, w: w, assignor: assignor, holder: map[int32]int{}}
				g.play()
				t.Logf("took %v", time.Since(began).Round(time.Millisecond))
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const groupPartitions = 6

// realGroup is three members, and who holds what.
type realGroup struct {
	t        *testing.T
	ctx      context.Context
	w        *containers.World
	assignor string

	mu     sync.Mutex
	holder map[int32]int
	clash  []string
}

func (g *realGroup) name() string { return "group-" + g.assignor }

// consumer is one process with a member.
type consumer struct {
	g      *realGroup
	i      int
	l      *kafka.Log
	m      *group.Member
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
	given []group.Assignment
	ids   []port.GroupMember
}

func (g *realGroup) start(i int) *consumer {
	c := &consumer{g: g, i: i, done: make(chan struct{})}
	o := g.w.KafkaOptions()
	dial := o.Dial
	if dial == nil {
		dial = net.DialTimeout
	}
	o.Dial = func(network, address string, timeout time.Duration) (net.Conn, error) {
		conn, err := dial(network, address, timeout)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && c.cut {
			_ = conn.Close()
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("cut off")}
		}
		c.conns = append(c.conns, conn)
		return conn, err
	}
	var err error
	if c.l, err = kafka.New(g.w.Runtime(), o); err != nil {
		g.t.Fatal(err)
	}
	c.m, err = group.NewMember(g.w.Runtime(), c.l.Groups(), group.Config{
		ClientID: fmt.Sprint("consumer", i), Group: g.name(), Topic: g.name(), Instance: fmt.Sprint("instance", i), Assignor: g.assignor,
		SessionTimeout: 6 * time.Second, HeartbeatEvery: 500 * time.Millisecond, RebalanceTimeout: 20 * time.Second,
	}, port.Discard{}, fmt.Sprint("consumer", i))
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.ctx)
	c.cancel = cancel
	go func() {
		defer close(c.done)
		if err := c.run(ctx); err != nil && ctx.Err() == nil {
			g.t.Errorf("consumer %d: %v", i, err)
		}
	}()
	return c
}

func (c *consumer) run(ctx context.Context) error {
	defer c.g.hold(c.i, nil)
	var owned []int32
	for {
		a, err := c.m.Join(ctx, owned)
		if err != nil {
			return err
		}
		owned = a.Partitions
		c.g.hold(c.i, owned)
		c.mu.Lock()
		c.given, c.ids = append(c.given, a), append(c.ids, c.m.ID())
		c.mu.Unlock()
		if a.Rejoin {
			continue
		}
		why, err := a.Over.Wait(ctx)
		if err != nil {
			return err
		}
		if !errors.Is(why, port.ErrRebalanceInProgress) || !c.m.Cooperative() {
			owned = nil
			c.g.hold(c.i, nil)
		}
	}
}

// stop ends the process as a restart does.
func (c *consumer) stop() {
	c.cancel()
	<-c.done
	_ = c.m.Leave(c.g.ctx)
	_ = c.l.Close()
}

func (c *consumer) setCut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for _, conn := range c.conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
		c.conns = nil
	}
}

func (c *consumer) last() (a group.Assignment, id port.GroupMember, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = len(c.given); n > 0 {
		a, id = c.given[n-1], c.ids[n-1]
	}
	return a, id, n
}

// hold takes in what a consumer holds now.
func (g *realGroup) hold(i int, partitions []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, holder := range g.holder {
		if holder == i && !slices.Contains(partitions, p) {
			delete(g.holder, p)
		}
	}
	for _, p := range partitions {
		if other, held := g.holder[p]; held && other != i {
			g.clash = append(g.clash, fmt.Sprintf("%d got partition %d from under %d", i, p, other))
		}
		g.holder[p] = i
	}
}

// shares waits until the consumers hold as many partitions as said.
func (g *realGroup) shares(want ...int) {
	g.t.Helper()
	var got []int
	for {
		got = make([]int, len(want))
		g.mu.Lock()
		for _, i := range g.holder {
			got[i]++
		}
		g.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if err := g.w.Runtime().Sleep(g.ctx, 50*time.Millisecond); err != nil {
			g.t.Fatalf("%v are held, waited for %v: %v", got, want, err)
		}
	}
}

func (g *realGroup) play() {
	t, ctx := g.t, g.ctx
	spec := port.TopicSpec{Name: g.name(), Partitions: groupPartitions, Replication: 3, MinISR: 2}
	if err := g.w.Log().Admin().CreateTopic(ctx, spec); err != nil {
		t.Fatal(err)
	}
	consumers := []*consumer{g.start(0), g.start(1), g.start(2)}
	g.shares(2, 2, 2)

	// Each in turn is restarted, the leader too: nothing moves.
	for i, c := range consumers {
		before, _, _ := c.last()
		c.stop()
		consumers[i] = g.start(i)
		g.shares(2, 2, 2)
		after, id, n := consumers[i].last()
		if !slices.Equal(after.Partitions, before.Partitions) || after.Generation != before.Generation || after.Member == before.Member || n != 1 || id.Member != after.Member {
			t.Errorf("restart of %d: %+v became %+v after %d joins", i, before, after, n)
		}
	}

	// One is cut off: its own clock tells it, then the coordinator gives what it had to the others.
	lost := consumers[2]
	_, old, _ := lost.last()
	if err := consumers[2].l.Groups().Commit(ctx, old, g.name(), map[int32]int64{0: 7}); err != nil {
		t.Errorf("a member's commit: %v", err)
	}
	lost.setCut(true)
	g.shares(3, 3, 0)
	if a, _, _ := lost.last(); !a.Over.Done() {
		t.Error("the one that was cut off does not know that its assignment is over")
	}
	alive := consumers[0].l.Groups()
	if err := alive.Commit(ctx, old, g.name(), map[int32]int64{0: 8}); !errors.Is(err, port.ErrUnknownMember) && !errors.Is(err, port.ErrFencedInstance) {
		t.Errorf("the evicted member's commit: %v", err)
	}
	if err := alive.Heartbeat(ctx, old); !errors.Is(err, port.ErrUnknownMember) && !errors.Is(err, port.ErrFencedInstance) {
		t.Errorf("the evicted member's heartbeat: %v", err)
	}
	_, current, _ := consumers[0].last()
	stale := current
	stale.Generation--
	if err := alive.Commit(ctx, stale, g.name(), map[int32]int64{0: 9}); !errors.Is(err, port.ErrIllegalGeneration) {
		t.Errorf("a commit of the generation before: %v", err)
	}
	if got, err := alive.Committed(ctx, g.name(), g.name()); err != nil || len(got) != 1 || got[0] != 7 {
		t.Errorf("committed offsets %v, %v", got, err)
	}
	lost.setCut(false)
	g.shares(2, 2, 2)
	lost.mu.Lock()
	if !slices.ContainsFunc(lost.given, func(a group.Assignment) bool { return a.Lost }) {
		t.Errorf("the evicted member was not told that it had lost what it had: %+v", lost.given)
	}
	lost.mu.Unlock()

	// One that leaves for good is not waited for.
	consumers[1].cancel()
	<-consumers[1].done
	if err := consumers[1].m.Resign(ctx); err != nil {
		t.Error(err)
	}
	g.shares(3, 0, 3)
	for _, c := range consumers {
		c.stop()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.clash) > 0 {
		t.Error(g.clash)
	}
}
