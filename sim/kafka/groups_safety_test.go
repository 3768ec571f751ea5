package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// groupChaos is one run of a group under faults, and what its members were told.
type groupChaos struct {
	*chaos
	assignor string // of the pipeline's own members; "" for the test's
	orderly  bool   // no coordinator may be deposed without knowing it: what members are told is in order, too
	members  []*chaosMember
	owners   map[[2]int32]string // by generation and partition
	latest   int32               // the highest generation that anybody has synced
	commits  int                 // values are unique
	acks     []commitAck
	reads    []committedRead
	syncs    int
}

type commitAck struct {
	part  int32
	value int64
}

// committedRead is what somebody was told, and how many commits had been acknowledged before it asked.
type committedRead struct {
	acked int
	part  int32
	value int64
}

// chaosMember is a host on which a member runs, in one process after another.
type chaosMember struct {
	g        *groupChaos
	name     string
	instance string
	p        *sched.Process
	// What the running process has, for the test to see.
	generation int32
	parts      []int32
	stable     bool
	last       int32 // generation of the last sync of this process
}

func (m *chaosMember) start() {
	m.p = m.g.s.Process(m.name)
	m.g.n.Node(m.name).Start(m.p)
	m.stable, m.last = false, -1
	groups := m.g.c.Client(m.g.n.Node(m.name), m.p).(interface{ Groups() port.Groups }).Groups()
	p := m.p
	p.Go("member", func(ctx context.Context) {
		if m.g.assignor != "" {
			m.runMember(ctx, p, groups)
		} else {
			m.run(ctx, p, groups)
		}
	})
}

func (m *chaosMember) kill() {
	m.p.Kill()
	m.g.n.Node(m.name).Stop()
	m.stable = false
}

func (m *chaosMember) run(ctx context.Context, p *sched.Process, groups port.Groups) {
	req := port.JoinRequest{Group: "g", Instance: m.instance, ClientID: m.name, SessionTimeout: 2 * time.Second, RebalanceTimeout: 4 * time.Second,
		Protocols: []port.GroupProtocol{{Name: "test", Metadata: []byte("events")}}}
	for {
		reply, err := groups.Join(ctx, req)
		id := port.GroupMember{Group: "g", Member: reply.Member, Instance: m.instance, Generation: reply.Generation}
		if err == nil {
			req.Member = reply.Member
			began := p.Sim().Now()
			var got []byte
			if got, err = groups.Sync(ctx, id, m.share(reply)); err == nil {
				m.has(reply.Generation, reply.Member, numbers(string(got)))
				err = m.work(ctx, p, groups, id, began)
				m.stable = false
			}
		}
		switch {
		case errors.Is(err, port.ErrUnknownMember), errors.Is(err, port.ErrFencedInstance):
			req.Member = ""
		case errors.Is(err, port.ErrRebalanceInProgress):
		case p.Sleep(ctx, 100*time.Millisecond) != nil:
			return
		}
	}
}

// share deals the partitions out, as a leader.
func (m *chaosMember) share(reply port.JoinReply) []port.GroupAssignment {
	var all []port.GroupAssignment
	for i, x := range reply.Members {
		var parts []string
		for part := i; part < m.g.parts; part += len(reply.Members) {
			parts = append(parts, strconv.Itoa(part))
		}
		all = append(all, port.GroupAssignment{Member: x.Member, Assignment: []byte(strings.Join(parts, ","))})
	}
	return all
}

func numbers(assignment string) []int32 {
	var parts []int32
	for s := range strings.SplitSeq(assignment, ",") {
		if part, err := strconv.Atoi(s); err == nil {
			parts = append(parts, int32(part))
		}
	}
	return parts
}

// has checks an assignment against all others.
func (m *chaosMember) has(generation int32, owner string, parts []int32) {
	g := m.g
	g.syncs++
	m.generation, m.parts, m.stable = generation, parts, true
	if m.instance != "" { // it may have a new ID and what it had
		owner = m.instance
	}
	for _, part := range m.parts {
		key := [2]int32{generation, part}
		if old := g.owners[key]; old != "" && old != owner {
			g.violate("generation %d: partition %d belongs to %s and to %s", generation, part, old, owner)
		}
		g.owners[key] = owner
	}
	if g.orderly && (generation < m.last || generation < g.latest-1) {
		g.violate("%s has synced generation %d after its %d; the group's is %d", m.name, generation, m.last, g.latest)
	}
	m.last, g.latest = generation, max(g.latest, generation)
}

// work commits and sends heartbeats until it may not any more.
func (m *chaosMember) work(ctx context.Context, p *sched.Process, groups port.Groups, id port.GroupMember, began time.Duration) error {
	g := m.g
	acked := len(g.acks)
	committed, err := groups.Committed(ctx, "g", topic)
	if err == nil && p.Sim().Now()-began < time.Second { // else it may be a deposed coordinator that answers
		for _, part := range m.parts {
			g.reads = append(g.reads, committedRead{acked, part, committed[part]})
		}
	}
	for {
		for _, part := range m.parts {
			g.commits++
			value := int64(g.commits)
			switch err := groups.Commit(ctx, id, topic, map[int32]int64{part: value}); {
			case err == nil:
				g.acks = append(g.acks, commitAck{part, value})
			case errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrCoordinatorAway):
			default:
				return err
			}
		}
		if err := p.Sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		if err := groups.Heartbeat(ctx, id); err != nil && !errors.Is(err, port.ErrUnknown) && !errors.Is(err, port.ErrCoordinatorAway) {
			return err
		}
	}
}

// runGroupChaos runs a seed.
func runGroupChaos(seed uint64, orderly bool, assignor string) (*groupChaos, error) {
	s := sched.New(seed)
	defer s.Close()
	g := &groupChaos{orderly: orderly, assignor: assignor, owners: map[[2]int32]string{}}
	g.chaos = &chaos{world: newWorldOn(s, nil), parts: 6}
	for i := range 4 {
		m := &chaosMember{g: g, name: fmt.Sprint("member", i+1)}
		if i >= 2 {
			m.instance = fmt.Sprint("static", i+1)
		}
		g.n.AddNode(m.name, "")
		g.members = append(g.members, m)
	}
	err := g.drive(func(ctx context.Context) {
		if err := g.ready(ctx, port.TopicSpec{Name: topic, Partitions: int32(g.parts), Replication: 3, MinISR: 2}); err != nil {
			g.violate("not ready: %v", err)
			return
		}
		g.runGroup(ctx)
	})
	return g, err
}

func (g *groupChaos) runGroup(ctx context.Context) {
	for _, m := range g.members {
		m.start()
	}
	_ = g.p.Sleep(ctx, 2*time.Second)
	faulty, cancel := g.p.WithTimeout(ctx, 25*time.Second)
	g.p.Go("member faults", func(context.Context) { g.strikeMembers(faulty, g.s.Rand("member faults")) })
	if g.orderly {
		g.killBrokers(faulty, g.s.Rand("faults"))
	} else {
		randomFaults(faulty, g.chaos, g.s.Rand("faults"))
	}
	cancel()
	_ = g.p.Sleep(ctx, 100*time.Millisecond)
	g.healAll()
	for _, m := range g.members {
		m.p.Resume()
		if !m.p.Alive() {
			m.start()
		}
	}
	if !g.eventually(ctx, 90*time.Second, func() bool { return g.calm() && g.fullISR(g.parts)() && g.whole() }) {
		g.violate("a minute and a half after the last fault: calm %v, members %s", g.calm(), g.describe())
		return
	}
	_ = g.p.Sleep(ctx, 5*time.Second)
	if !g.whole() {
		g.violate("the group does not stay whole: %s", g.describe())
	}
	for _, m := range g.members {
		m.kill()
	}
	_ = g.p.Sleep(ctx, time.Second)
	g.judgeGroup(ctx)
}

// strikeMembers kills, pauses and cuts off members.
func (g *groupChaos) strikeMembers(ctx context.Context, r *rand.Rand) {
	for g.p.Sleep(ctx, time.Duration(r.Int64N(int64(5*time.Second)))) == nil {
		m := g.members[r.IntN(len(g.members))]
		switch r.IntN(3) {
		case 0:
			m.kill()
			_ = g.p.Sleep(ctx, time.Duration(r.Int64N(int64(4*time.Second))))
			m.start()
		case 1:
			m.p.Pause()
			_ = g.p.Sleep(ctx, time.Duration(r.Int64N(int64(4*time.Second))))
			m.p.Resume()
		case 2:
			b := g.c.brokers[r.IntN(len(g.c.brokers))].name
			g.n.Cut(b, m.name) // the answers
			_ = g.p.Sleep(ctx, time.Duration(r.Int64N(int64(5*time.Second))))
			g.n.Heal(b, m.name)
		}
	}
}

// killBrokers kills brokers, the coordinator above all: whoever is deposed is dead.
func (g *groupChaos) killBrokers(ctx context.Context, r *rand.Rand) {
	for g.p.Sleep(ctx, time.Duration(r.Int64N(int64(6*time.Second)))) == nil {
		name := g.c.brokers[r.IntN(len(g.c.brokers))].name
		if co := g.c.Coordinator("g"); co != "" && r.IntN(2) == 0 {
			name = co
		}
		_ = g.c.KillBroker(name) // it may be down already
		_ = g.p.Sleep(ctx, time.Duration(r.Int64N(int64(6*time.Second))))
		if !g.c.Running(name) {
			_ = g.c.StartBroker(name)
		}
	}
}

// whole says that all members are in one generation and every partition has an owner.
func (g *groupChaos) whole() bool {
	n := 0
	for _, m := range g.members {
		if !m.stable || m.generation != g.members[0].generation {
			return false
		}
		n += len(m.parts)
	}
	return n == g.parts
}

func (g *groupChaos) describe() string {
	var b strings.Builder
	for _, m := range g.members {
		fmt.Fprintf(&b, "%s stable %v in %d with %v; ", m.name, m.stable, m.generation, m.parts)
	}
	return b.String()
}

// judgeGroup compares what was acknowledged with the log, in whose order it counts.
func (g *groupChaos) judgeGroup(ctx context.Context) {
	reps := g.c.Replicas(offsetsTopic, OffsetsPartition("g", g.c.cfg.OffsetsPartitions))
	at, final, generation := map[int64]int64{}, map[int32]int64{}, int32(0)
	for _, rec := range reps[0].Records {
		r, err := decodeGroupRecord(&rec.Record)
		switch {
		case err != nil:
			g.violate("%v", err)
		case r.meta == nil:
			at[r.offset.next], final[r.offset.part] = rec.Offset, r.offset.next
		default:
			if r.meta.generation < generation {
				g.violate("generation %d at offset %d, after generation %d", r.meta.generation, rec.Offset, generation)
			}
			generation = r.meta.generation
		}
	}
	newest := func(acks []commitAck, part int32) int64 {
		pos := int64(-1)
		for _, a := range acks {
			if a.part == part {
				pos = max(pos, at[a.value])
			}
		}
		return pos
	}
	for _, a := range g.acks {
		if _, ok := at[a.value]; !ok {
			g.violate("acknowledged commit %d of partition %d is not in the log", a.value, a.part)
		}
	}
	for _, r := range g.reads {
		if pos := newest(g.acks[:r.acked], r.part); pos >= 0 && (r.value == 0 || at[r.value] < pos) {
			g.violate("partition %d was told to be at %d (log offset %d), although log offset %d was acknowledged", r.part, r.value, at[r.value], pos)
		}
	}
	groups := g.log.(interface{ Groups() port.Groups }).Groups()
	got, err := away(ctx, g.p, func() (map[int32]int64, error) { return groups.Committed(ctx, "g", topic) })
	if err != nil {
		g.violate("committed offsets: %v", err)
	}
	for part := range int32(g.parts) {
		if got[part] != final[part] {
			g.violate("partition %d is committed at %d, the log's last is %d", part, got[part], final[part])
		}
	}
}

func TestGroupsUnderFaults(t *testing.T) {
	t.Parallel()
	const workers = 2
	n := seeds(t, 40)
	for w := range 2 * workers {
		orderly := w%2 == 0
		t.Run(fmt.Sprintf("worker%d orderly=%v", w, orderly), func(t *testing.T) {
			t.Parallel()
			syncs, acks, unknown, evicted, reads := 0, 0, 0, 0, 0
			for seed := w / 2; seed < n; seed += workers {
				g, err := runGroupChaos(uint64(seed), orderly, "")
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, v := range g.violations {
					t.Errorf("seed %d: %s", seed, v)
				}
				syncs, acks, unknown, reads = syncs+g.syncs, acks+len(g.acks), unknown+g.commits-len(g.acks), reads+len(g.reads)
				evicted += g.count(port.EventGroupEvicted)
			}
			t.Logf("%d syncs, %d acknowledged commits, %d others, %d reads, %d evictions", syncs, acks, unknown, reads, evicted)
			if runs := n / workers; acks < 100*runs || syncs < 8*runs || evicted < runs || reads < runs {
				t.Error("the faults hardly did anything, or too much")
			}
		})
	}
}

func TestGroupsSameSeedSameHash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds(t, 6)) {
		a, err := runGroupChaos(seed, false, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := runGroupChaos(seed, false, "")
		if err != nil {
			t.Fatal(err)
		}
		if a.s.Hash() != b.s.Hash() || a.s.Steps() != b.s.Steps() || !slices.Equal(a.acks, b.acks) {
			t.Errorf("seed %d: hash %x after %d steps, then %x after %d", seed, a.s.Hash(), a.s.Steps(), b.s.Hash(), b.s.Steps())
		}
	}
}
