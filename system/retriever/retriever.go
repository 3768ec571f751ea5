package retriever

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// restartPause is how long a retriever waits before it opens its log again after the disk has failed.
const restartPause = 500 * time.Millisecond

// Retriever follows one partition and keeps its events. It implements [Holder].
type Retriever struct {
	r         rt.Runtime
	log       port.Log
	disk      port.Disk
	events    port.Events
	cfg       Config
	topic     string
	partition int32
	name      string
	claim     *claim

	mu        sync.Mutex // never held across a blocking call
	store     *store     // nil before the first recovery
	next      int64
	highWater int64

	// Of the following task alone.
	seen  *window
	ids   []event.ID
	fresh []event.Event
}

var _ Holder = (*Retriever)(nil)

// New makes a retriever of one partition of a topic. name is its node's. Errors: a configuration that cannot work.
func New(r rt.Runtime, ports port.Ports, cfg Config, topic string, partition int32, name string) (*Retriever, error) {
	var errs []error
	if cfg.SyncEvery <= 0 {
		errs = append(errs, fmt.Errorf("retriever configuration: sync_every is %v, expected more than 0", cfg.SyncEvery))
	}
	if cfg.DedupWindow < 1 || cfg.DedupWindow > 1<<30 {
		errs = append(errs, fmt.Errorf("retriever configuration: dedup_window is %d, expected 1 to %d", cfg.DedupWindow, 1<<30))
	}
	if cfg.SessionTimeout <= 0 {
		errs = append(errs, fmt.Errorf("retriever configuration: session_timeout is %v, expected more than 0", cfg.SessionTimeout))
	}
	if partition < 0 {
		errs = append(errs, fmt.Errorf("retriever: partition is %d, expected 0 or more", partition))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	re := &Retriever{
		r: r, log: ports.Log, disk: ports.Disk, events: ports.Events, cfg: cfg, topic: topic, partition: partition, name: name,
	}
	if re.events == nil {
		re.events = port.Discard{}
	}
	re.claim = &claim{
		r: r, zk: ports.Coordination, timeout: cfg.SessionTimeout, announce: re.announce, topic: topic, partition: partition,
		// The clock keeps two incarnations apart even if their random sources were seeded alike.
		owner:   fmt.Sprintf("%s-%016x-%x", name, r.Rand().Uint64(), r.Now().UnixNano()),
		changed: rt.NewFuture[struct{}](r),
	}
	return re, nil
}

func (re *Retriever) announce(kind, detail string) {
	re.events.Announce(port.Event{Kind: kind, Node: re.name, Topic: re.topic, Part: re.partition, Detail: detail})
}

// Run recovers the local log, claims the partition and follows it until ctx ends; what it has then is made durable. It
// returns an error if the local log cannot be opened, or if at the end it cannot be synced.
func (re *Retriever) Run(ctx context.Context) error {
	group, inner := rt.NewGroup(re.r, ctx)
	group.Go("follow", re.run)
	group.Go("claim", re.claim.run)
	// The group ends by itself when ctx does, and is waited for.
	err := group.Wait(context.WithoutCancel(inner))
	if errors.Is(err, ctx.Err()) {
		err = nil // ended as asked
	}
	return err
}

// run follows the partition, and begins again from what is durable when the disk has failed.
func (re *Retriever) run(ctx context.Context) error {
	limit := int64(-1)
	for {
		re.seen = newWindow(re.cfg.DedupWindow)
		s, err := openStore(ctx, re.r, re.disk, re.partition, limit, re.seen, re.announce)
		if err != nil {
			return err
		}
		re.mu.Lock()
		re.store, re.next = s, s.durable.next
		re.mu.Unlock()
		err = re.follow(ctx, s)
		s.close()
		if ctx.Err() != nil {
			return err
		}
		re.announce(port.EventDiskCorrupt, fmt.Sprintf("the local log failed, going back to what is durable, position %d: %v", s.published().end, err))
		limit = s.published().end
		if err := re.r.Sleep(ctx, restartPause); err != nil {
			return err
		}
	}
}

// Status implements [Holder].
func (re *Retriever) Status(context.Context) (Status, error) {
	st := Status{Partition: re.partition, Claimed: re.claim.holds()}
	re.mu.Lock()
	s := re.store
	st.Next, st.HighWater = re.next, re.highWater
	re.mu.Unlock()
	if s != nil {
		t := s.published()
		st.Durable, st.Held, st.Duplicates, st.Corrupt, st.Missed = t.next, t.held, t.duplicates, t.corrupt, t.missed
	}
	return st, nil
}
