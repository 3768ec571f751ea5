package retriever

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// restartPause is how long a retriever waits before it opens its log again after the disk has failed.
const restartPause = 500 * time.Millisecond

// Place says which retriever it is: one of those that follow a partition, each from a zone of its own.
type Place struct {
	Topic     string
	Partition int32
	Replica   int // from 0
	Node      string
	Zone      string
	Peers     []string // the nodes of the others that follow the partition
}

// Retriever follows one partition and keeps its events. It implements [RecordHolder] and [port.PeerServer].
type Retriever struct {
	r         rt.Runtime
	log       port.Log
	disk      port.Disk
	blobs     port.Blobs
	peers     port.Peers
	events    port.Events
	manifests *manifest.Store
	cfg       Config
	place     Place
	bugs      planted.Set
	claim     *claim
	indexing  *rt.Mutex // held while the disk's index changes
	cache     *cache
	room      *exec.Room          // for the queries that are answered
	telemetry *telemetry.Recorder // nil: off

	mu        sync.Mutex // never held across a blocking call
	st        *state     // nil before the first recovery
	next      int64
	highWater int64
	freshAt   time.Time // when everything up to the high watermark was last known to be here; zero: never
	newest    time.Time // the CreateTime of the record that was indexed last
	arrived   time.Time // when a record came last, or the local data was opened
	freshTo   time.Time // everything acknowledged before is here, see AskReply; zero: not known
	highest   int64     // the highest high watermark since the local data was opened
	known     manifest.Loaded
	repaired  int64
	damaged   []string             // keys of local segments that are not served
	restart   string               // why the local data must be given up for what the manifest has; else empty
	pages     *sealPage            // the seal that was read for a page last
	wake      *rt.Future[struct{}] // done when the keeper should look at once
	paused    bool                 // reading waits for local space

	collected int64 // of the keeper alone: objects below this offset that the manifest does not name are removed

	// Of the following task alone.
	decoder event.Decoder
	kept    []event.Event
	sealed  []byte // segments
	places  []int32
}

// state is the local data as it was opened once.
type state struct {
	store *store
	seen  *window
	part  *part  // changed and viewed under Retriever.mu
	index *index // replaced, never changed, under Retriever.mu; by who holds indexing
	pins  map[string]int
	gone  []string // files that the index does not name any more
}

var (
	_ RecordHolder    = (*Retriever)(nil)
	_ port.PeerServer = (*Retriever)(nil)
)

// New makes a retriever. Errors: a configuration or a place that cannot work.
func New(r rt.Runtime, ports port.Ports, cfg Config, place Place, bugs planted.Set) (*Retriever, error) {
	errs := []error{cfg.check()}
	if place.Partition < 0 {
		errs = append(errs, fmt.Errorf("retriever: partition is %d, expected 0 or more", place.Partition))
	}
	for _, name := range []struct{ what, text string }{{"topic", place.Topic}, {"node", place.Node}, {"zone", place.Zone}} {
		if name.text == "" || strings.Contains(name.text, "/") {
			errs = append(errs, fmt.Errorf("retriever: %s is %q, expected a name without a slash", name.what, name.text))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	re := &Retriever{
		r: r, log: ports.Log, disk: ports.Disk, blobs: ports.Blobs, peers: ports.Peers, events: ports.Events,
		manifests: manifest.NewStore(ports.Blobs), cfg: cfg, place: place, bugs: bugs,
		indexing: rt.NewMutex(r), cache: newCache(), room: exec.NewRoom(exec.DefaultRoom), wake: rt.NewFuture[struct{}](r), telemetry: ports.Telemetry,
	}
	re.telemetry.OnTick(re.tick)
	if re.events == nil {
		re.events = port.Discard{}
	}
	re.claim = &claim{
		r: r, zk: ports.Coordination, timeout: cfg.SessionTimeout, announce: re.announce, topic: place.Topic, partition: place.Partition, place: place.Zone,
		// The clock keeps two incarnations apart even if their random sources were seeded alike.
		owner:   fmt.Sprintf("%s-%016x-%x", place.Node, r.Rand().Uint64(), r.Now().UnixNano()),
		changed: rt.NewFuture[struct{}](r),
	}
	if bugs.Has(planted.SameZonePair) {
		re.claim.place = place.Node
	}
	return re, nil
}

func (re *Retriever) announce(kind, detail string) {
	re.events.Announce(port.Event{Kind: kind, Node: re.place.Node, Topic: re.place.Topic, Part: re.place.Partition, Detail: detail})
}

// Run recovers what is on the local disk or begins from the snapshot, claims the partition and follows it until ctx ends;
// what it has then is made durable. It returns an error if the local disk cannot be read or written, or if at the end it
// cannot be synced.
func (re *Retriever) Run(ctx context.Context) error {
	group, inner := rt.NewGroup(re.r, ctx)
	group.Go("follow", re.run)
	group.Go("keep", re.keeper)
	group.Go("claim", re.claim.run)
	group.Go("mark", re.marker)
	// The group ends by itself when ctx does, and is waited for.
	err := group.Wait(context.WithoutCancel(inner))
	if errors.Is(err, ctx.Err()) {
		err = nil // ended as asked
	}
	return err
}

// errStartOver is matched when the local data was given up.
var errStartOver = errors.New("starting over from the snapshot")

// run follows the partition, and begins again from what is durable when the disk has failed.
func (re *Retriever) run(ctx context.Context) error {
	limit := int64(-1)
	for {
		st, err := re.open(ctx, limit)
		if err != nil {
			return err
		}
		err = re.follow(ctx, st)
		st.store.close()
		if ctx.Err() != nil {
			return err
		}
		limit = st.store.published().end
		if errors.Is(err, errStartOver) {
			limit = -1
		} else {
			re.announce(port.EventDiskCorrupt, fmt.Sprintf("the local log failed, going back to what is durable, position %d: %v", limit, err))
		}
		if err := re.r.Sleep(ctx, restartPause); err != nil {
			return err
		}
	}
}

// present is the local data as it is open now; nil before that.
func (re *Retriever) present() *state {
	re.mu.Lock()
	defer re.mu.Unlock()
	return re.st
}

// Status implements [Holder].
func (re *Retriever) Status(context.Context) (Status, error) {
	st := Status{Partition: re.place.Partition, Zone: re.place.Zone, Claimed: re.claim.holds()}
	re.mu.Lock()
	defer re.mu.Unlock()
	st.Next, st.HighWater, st.Repaired = re.next, re.highWater, re.repaired
	st.Committed, st.Generation = re.known.Next, re.known.Generation
	if re.st == nil {
		return st, nil
	}
	t := re.st.store.published()
	st.Next = max(st.Next, t.next) // a sync publishes what is durable before the batch that it was part of counts as read
	st.Durable, st.Held, st.Duplicates, st.Corrupt, st.Missed = max(t.next, st.Committed), t.held, t.duplicates, t.corrupt, t.missed
	for i := range re.st.index.seals {
		st.Held += re.st.index.seals[i].Rows()
	}
	st.Floor = re.st.floor()
	st.LocalBytes = re.st.localBytes()
	st.MemBytes = re.st.part.bytes()
	st.Sealed, st.Open = re.st.part.first, re.st.part.rows
	return st, nil
}

// floor is the Kafka offset at which what is here begins.
func (st *state) floor() int64 {
	if len(st.index.seals) > 0 {
		return st.index.seals[0].First
	}
	return st.part.first
}

// localBytes is about what is used of the disk.
func (st *state) localBytes() int64 {
	n := st.store.published().end - st.index.wal
	for i := range st.index.seals {
		n += st.index.seals[i].Bytes()
	}
	for _, f := range st.index.window {
		n += f.count * idBytes
	}
	return n
}
