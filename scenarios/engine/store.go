package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// storedSeal is a seal as it was read back from the object store.
type storedSeal struct {
	seal   manifest.Seal
	marks  []evidence.HeldMark // by offset
	absent []string            // objects of it that are not there or damaged
}

// readSeals reads every segment that the partition's manifest names back from the object store and marks its events, but
// for seals that were read before. A segment that is not there or damaged is told by name: the events that should be in it
// will be missed.
func (a *auditor) readSeals(ctx context.Context) (manifest.Loaded, error) {
	m, err := manifest.NewStore(a.r.w.Blobs()).Load(ctx, a.partition)
	if err != nil {
		return m, fmt.Errorf("the manifest: %w", err)
	}
	stored := make([]storedSeal, 0, len(m.Seals))
	for i := range m.Seals {
		seal := &m.Seals[i]
		if known := a.storedAs(seal.First); known != nil && known.seal.Same(seal) {
			stored = append(stored, *known)
			continue
		}
		s := storedSeal{seal: *seal}
		a.marks = a.marks[:0]
		for _, info := range seal.Segments {
			switch err := a.readSegment(ctx, info); {
			case errors.Is(err, port.ErrNoBlob), errors.Is(err, port.ErrCorrupt):
				s.absent = append(s.absent, fmt.Sprintf("%s: %v", info.Key, err))
			case err != nil: // it may well be there
				return m, fmt.Errorf("%s: %w", info.Key, err)
			}
		}
		s.marks = sorted(a.marks, seal.First, seal.Next)
		stored = append(stored, s)
	}
	a.stored = stored
	return m, nil
}

// storedAs finds the seal that was read back and begins at an offset; nil if there is none.
func (a *auditor) storedAs(first int64) *storedSeal {
	i, ok := slices.BinarySearchFunc(a.stored, first, func(s storedSeal, first int64) int { return cmp.Compare(s.seal.First, first) })
	if !ok {
		return nil
	}
	return &a.stored[i]
}

// readStore makes what the object store holds, as the manifest now says, evidence.
func (a *auditor) readStore(ctx context.Context) error {
	m, err := a.readSeals(ctx)
	if err != nil {
		return err
	}
	a.r.commits.look(ctx, m.Manifest)
	var absent []string
	for i := range a.stored {
		a.r.ev.Held, absent = append(a.r.ev.Held, a.stored[i].marks...), append(absent, a.stored[i].absent...)
	}
	if m.Generation > 0 {
		a.r.commits.add(evidence.Commit{
			At: a.r.rec.now(), Partition: a.partition, Generation: m.Generation, Next: m.Next, Writer: m.Writer, Absent: absent, Durable: -1, Final: true,
		})
	}
	return nil
}

// readSegment adds the marks of a segment's events.
func (a *auditor) readSegment(ctx context.Context, info segment.Info) error {
	data, _, err := a.r.w.Blobs().Get(ctx, info.Key)
	if err != nil {
		return err
	}
	s, err := segment.Open(info, data)
	if err != nil {
		return err
	}
	return a.columns.Segment(ctx, s, func(offset int64, producer uint32, seq uint64, state loadgen.State) {
		a.marks = append(a.marks, evidence.HeldMark{Retriever: evidence.StoreS3, Partition: a.partition, Offset: offset, Producer: producer, Seq: seq, State: markOf(state)})
	})
}

// sorted returns the marks of the offsets first to next-1 in the order of their offsets, those of one offset as they were.
func sorted(marks []evidence.HeldMark, first, next int64) []evidence.HeldMark {
	byOffset := func(x, y evidence.HeldMark) int { return cmp.Compare(x.Offset, y.Offset) }
	outside := func(m evidence.HeldMark) bool { return m.Offset < first || m.Offset >= next }
	list := make([]evidence.HeldMark, len(marks))
	if slices.IsSortedFunc(marks, byOffset) || next-first > 4*int64(len(marks)) || slices.ContainsFunc(marks, outside) {
		copy(list, marks)
		slices.SortStableFunc(list, byOffset)
		return list
	}
	// The marks of a few segments, each in order, of offsets that are dense: they are counted to their places.
	at := make([]int32, next-first+1)
	for i := range marks {
		at[marks[i].Offset-first+1]++
	}
	for i := 1; i < len(at); i++ {
		at[i] += at[i-1]
	}
	for i := range marks {
		place := &at[marks[i].Offset-first]
		list[*place] = marks[i]
		*place++
	}
	return list
}

// commits looks at every manifest soon after it was written: whether all that it names is there.
type commits struct {
	r     *run
	watch *watcher

	mu   sync.Mutex
	seen map[string]bool   // objects that were there
	last map[int32]version // by partition
	list []evidence.Commit
}

// version tells one manifest of a partition from another. Two of one generation must never be seen, which is why the
// generation alone does not.
type version struct {
	generation, next int64
	writer           string
}

func newCommits(r *run) *commits {
	return &commits{r: r, watch: r.rec.watch(port.EventManifestWritten), seen: map[string]bool{}, last: map[int32]version{}}
}

func (c *commits) run(ctx context.Context) {
	defer c.r.rec.unwatch(c.watch)
	for {
		e, err := c.watch.queue.Pop(ctx)
		if err != nil {
			return
		}
		loadCtx, cancel := c.r.w.Runtime().WithTimeout(ctx, sampleDeadline)
		if m, err := manifest.NewStore(c.r.w.Blobs()).Load(loadCtx, e.Part); err == nil {
			c.look(loadCtx, m.Manifest)
		}
		cancel()
	}
}

// look checks one manifest. What cannot be asked for in time is not called absent.
func (c *commits) look(ctx context.Context, m manifest.Manifest) {
	todo := c.unseen(&m)
	if todo == nil {
		return
	}
	commit := evidence.Commit{At: c.r.rec.now(), Partition: m.Partition, Generation: m.Generation, Next: m.Next, Writer: m.Writer, Durable: -1}
	var present []string
	for i := range todo {
		switch wrong, known := c.check(ctx, &todo[i]); {
		case wrong != "":
			commit.Absent = append(commit.Absent, wrong)
		case known:
			present = append(present, todo[i].Key)
		}
	}
	if len(commit.Absent) > 0 {
		// Retention may have taken it out of the manifest meanwhile, and then it may go.
		if now, err := manifest.NewStore(c.r.w.Blobs()).Load(ctx, m.Partition); err != nil || now.Generation != m.Generation {
			commit.Absent = nil
		}
	}
	if h := c.r.w.Holder(m.Writer); h != nil {
		// One that has nothing open, as while it starts, says nothing about what it had when it wrote the manifest.
		if st, err := h.Status(ctx); err == nil && st.Durable > 0 {
			commit.Durable = st.Durable
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range present {
		c.seen[key] = true
	}
	c.list = append(c.list, commit)
}

// unseen lists the segments of a manifest that were not seen yet; nil if the manifest itself was looked at last.
func (c *commits) unseen(m *manifest.Manifest) []segment.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	// One that goes back, or is of a generation that there was, is told too: it ought not to be.
	v := version{m.Generation, m.Next, m.Writer}
	if m.Generation == 0 || c.last[m.Partition] == v {
		return nil
	}
	c.last[m.Partition] = v
	todo := []segment.Info{}
	for _, seal := range m.Seals {
		for _, info := range seal.Segments {
			if !c.seen[info.Key] {
				todo = append(todo, info)
			}
		}
	}
	return todo
}

// check asks for one object. wrong says what is wrong with it; known that it could be asked for.
func (c *commits) check(ctx context.Context, info *segment.Info) (wrong string, known bool) {
	head, err := c.r.w.Blobs().Head(ctx, info.Key)
	switch {
	case errors.Is(err, port.ErrNoBlob):
		return info.Key + " is not there", true
	case err != nil:
		return "", false
	case head.Size != info.Bytes:
		return fmt.Sprintf("%s has %d bytes, not %d", info.Key, head.Size, info.Bytes), true
	}
	return "", true
}

func (c *commits) add(commit evidence.Commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, commit)
}

// taken is what was seen so far.
func (c *commits) taken() []evidence.Commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// places notes where every retriever says that it runs.
func (r *run) places(ctx context.Context) {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	for p := range r.topology().Kafka.Partitions {
		for _, name := range r.p.System.Retrievers(p) {
			if st, err := r.w.Holder(name).Status(ctx); err == nil {
				r.ev.Places = append(r.ev.Places, evidence.Place{At: r.rec.now(), Retriever: name, Partition: p, Zone: st.Zone, Claimed: st.Claimed})
			}
		}
	}
}
