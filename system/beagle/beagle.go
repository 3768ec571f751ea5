package beagle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

const (
	// Consumer is the name of the group, and of its rows of progress.
	Consumer = "beagle"
	// drainFor bounds how long a partition that is given up may take to commit what it has gathered.
	drainFor = 2 * time.Second
	// leaveFor bounds the farewell to the group's coordinator.
	leaveFor = time.Second
	// joinPause is how long a worker that the coordinator will not have waits before it tries again.
	joinPause = time.Second
)

// membership is what a worker needs of package group.
type membership interface {
	Join(ctx context.Context, owned []int32) (group.Assignment, error)
	Leave(ctx context.Context) error
	Cooperative() bool
	Trouble() string
}

// Beagle is one worker of the group.
type Beagle struct {
	r          rt.Runtime
	log        port.Log
	counts     port.Counts
	events     port.Events
	cfg        Config
	topic      string
	name       string
	bugs       planted.Set
	member     membership
	objectives *objectives
	progress   *progress
	reread     int64               // rereadBytes
	telemetry  *telemetry.Recorder // nil: off

	mu         sync.Mutex // never held across a blocking call
	parts      []*partition
	generation int32
	memberID   string
	trouble    string
	away       bool   // the metadata store did not answer when last asked
	past       Totals // of partitions that were given up
	joined     int64  // assignments that it was given
	good       int64  // events by sample rate that were committed as good, for each SLO
	relevant   int64  // the same of all that were relevant
	// kept are the partitions that were given up for the present rebalance with everything committed: if one is given
	// back and nobody has moved its progress, its window need not be read again.
	kept map[int32]*partition
}

// New makes a worker. name is its node's, under which it announces and marks progress. Errors: a configuration that cannot
// work.
func New(r rt.Runtime, ports port.Ports, cfg Config, topic, name string, bugs planted.Set) (*Beagle, error) {
	if ports.Events == nil {
		ports.Events = port.Discard{}
	}
	in := group.Config{
		ClientID: name, Group: Consumer, Topic: topic, Assignor: cfg.Assignor,
		SessionTimeout: cfg.SessionTimeout, HeartbeatEvery: cfg.HeartbeatEvery, RebalanceTimeout: cfg.RebalanceTimeout,
	}
	if cfg.Static {
		in.Instance = name
	}
	if bugs.Has(planted.RangeAssignment) {
		in.Assignor = group.Range
	}
	if bugs.Has(planted.SeriesAssignment) {
		in.Assignor, in.InSeries = group.Range, true
	}
	member, err := group.NewMember(r, ports.Groups, in, ports.Events, name)
	if err = errors.Join(err, cfg.check()); err != nil {
		return nil, fmt.Errorf("beagle %s: %w", name, err)
	}
	return newWith(r, ports, cfg, topic, name, bugs, member), nil
}

func newWith(r rt.Runtime, ports port.Ports, cfg Config, topic, name string, bugs planted.Set, member membership) *Beagle {
	b := &Beagle{
		r: r, log: ports.Log, counts: ports.Counts, events: ports.Events, cfg: cfg, topic: topic, name: name, bugs: bugs,
		member: member, generation: -1, reread: rereadBytes, kept: map[int32]*partition{}, telemetry: ports.Telemetry,
	}
	b.telemetry.OnTick(b.tick)
	b.telemetry.OnLoops(b.loops)
	b.objectives = newObjectives(r, ports.Definitions, &b.cfg, bugs)
	b.objectives.told = b.told
	b.objectives.announce = func(kind, detail string) {
		b.events.Announce(port.Event{Kind: kind, Node: b.name, Detail: detail})
	}
	b.progress = newProgress(r, ports.Counts, topic)
	b.progress.told = b.told
	return b
}

// Run takes part in the group and counts the partitions that it is given, until ctx ends: what was gathered is then
// committed and the group left. It returns an error if another process runs under the same static name.
func (b *Beagle) Run(ctx context.Context) error {
	tasks, inner := rt.NewGroup(b.r, ctx)
	tasks.Go("group member", func(ctx context.Context) error { return b.belong(ctx, tasks) })
	// The tasks end by themselves when ctx does, and are waited for.
	err := tasks.Wait(context.WithoutCancel(inner))
	leaving, cancel := b.r.WithTimeout(context.WithoutCancel(ctx), leaveFor)
	defer cancel()
	_ = b.member.Leave(leaving) // if nobody hears it, the session runs out
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // ended as asked
	}
	return err
}

// belong joins the group again and again, and starts and stops the counting of partitions as they are given and taken.
func (b *Beagle) belong(ctx context.Context, tasks *rt.Group) error {
	for {
		a, err := b.member.Join(ctx, b.owned())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, port.ErrFencedInstance):
			return fmt.Errorf("beagle %s: another process is member of the group by this name: %w", b.name, err)
		case err != nil:
			b.note(err.Error())
			b.revoke(ctx, func(*partition) bool { return true })
			if err := b.r.Sleep(ctx, joinPause); err != nil {
				return err
			}
			continue
		}
		// Whatever others may have had meanwhile is begun anew, also if it is given back.
		b.revoke(ctx, func(p *partition) bool { return a.Lost || !slices.Contains(a.Partitions, p.id) })
		b.take(ctx, tasks, a)
		if a.Rejoin {
			continue
		}
		why, err := a.Over.Wait(ctx)
		if err != nil {
			return err
		}
		out := !errors.Is(why, port.ErrRebalanceInProgress)
		if out {
			b.note(why.Error())
		}
		if out || !b.member.Cooperative() {
			b.revoke(ctx, func(*partition) bool { return true })
		}
	}
}

// take begins counting what a new assignment has brought.
func (b *Beagle) take(ctx context.Context, tasks *rt.Group, a group.Assignment) {
	b.mu.Lock()
	b.generation, b.memberID, b.trouble = a.Generation, a.Member, ""
	b.joined++
	var fresh []*partition
	for _, id := range a.Partitions {
		if !slices.ContainsFunc(b.parts, func(p *partition) bool { return p.id == id }) {
			p := newPartition(b, id)
			p.before = b.kept[id]
			fresh = append(fresh, p)
		}
	}
	clear(b.kept)
	b.parts = append(b.parts, fresh...)
	slices.SortFunc(b.parts, func(p, q *partition) int { return int(p.id) - int(q.id) })
	b.mu.Unlock()
	for _, p := range fresh {
		counting, cancel := b.r.WithCancel(ctx)
		p.cancel = cancel
		tasks.Go(fmt.Sprintf("count %s/%d", b.topic, p.id), func(context.Context) error {
			defer p.ended.Complete(struct{}{}, nil)
			return p.run(counting)
		})
	}
}

// revoke stops the counting of partitions. When it returns, nothing of them is under way any more: what was gathered is
// committed, or given up for the next owner to count.
func (b *Beagle) revoke(ctx context.Context, which func(*partition) bool) {
	b.mu.Lock()
	var gone []*partition
	b.parts = slices.DeleteFunc(b.parts, func(p *partition) bool {
		if which(p) {
			gone = append(gone, p)
			return true
		}
		return false
	})
	b.mu.Unlock()
	for _, p := range gone {
		p.cancel()
	}
	for _, p := range gone {
		if _, err := p.ended.Wait(context.WithoutCancel(ctx)); err != nil {
			return // the process is dead
		}
		b.mu.Lock()
		b.past.add(&p.shown.totals)
		if p.begun && !p.dirty() {
			b.kept[p.id] = p
		}
		b.mu.Unlock()
	}
}

func (b *Beagle) owned() []int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]int32, len(b.parts))
	for i, p := range b.parts {
		ids[i] = p.id
	}
	return ids
}

func (b *Beagle) note(trouble string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.generation, b.memberID, b.trouble = -1, "", trouble
}

// told hears how a question to the metadata store ended, and announces when it goes away and comes back.
// One that nobody wanted to be answered any more, as ctx says, does not count.
func (b *Beagle) told(ctx context.Context, err error) {
	answered := err == nil || errors.Is(err, port.ErrNotFound) || errors.Is(err, port.ErrNotThere)
	if !answered && ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	changed := b.away == answered
	b.away = !answered
	b.mu.Unlock()
	switch {
	case !changed:
	case answered:
		b.events.Announce(port.Event{Kind: port.EventCatalogBack, Node: b.name, Detail: "it answers again"})
	default:
		b.events.Announce(port.Event{Kind: port.EventCatalogAway, Node: b.name, Detail: err.Error()})
	}
}

// Status says how far the worker is.
func (b *Beagle) Status() Status {
	st := Status{Node: b.name}
	b.objectives.fill(&st)
	b.mu.Lock()
	defer b.mu.Unlock()
	st.Member, st.Generation, st.Trouble, st.Totals = b.memberID, b.generation, b.trouble, b.past
	if st.Member == "" {
		st.Trouble = cmp.Or(b.member.Trouble(), st.Trouble) // the latest is why it cannot join
	}
	st.Partitions = make([]PartitionStatus, 0, len(b.parts))
	for _, p := range b.parts {
		st.Partitions = append(st.Partitions, p.shown.status)
		st.Totals.add(&p.shown.totals)
	}
	return st
}
