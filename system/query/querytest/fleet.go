// Package querytest is the data of a small deployment in memory, behind the ports that a query node uses: retrievers that
// hold what is young, an object store with manifests and segments that holds what is old, and a catalog. It can be slow,
// fail and be damaged, on any runtime, so that a query node can be tested alone.
package querytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// Key is the API key of the one team, whose datasets are Datasets.
const Key = "0123456789abcdef0123456789abcdef"

// Datasets are the names of the datasets 1, 2, …
var Datasets = []string{"first", "second"}

// Row is one event of the log.
type Row struct {
	Dataset int64
	Event   event.Event
}

// Node is how a retriever behaves.
type Node struct {
	Err     error
	Delay   time.Duration
	Floor   int64    // where its local data begins: the end of a seal, or 0
	Damaged []string // segments that it leaves out
	FreshTo int64    // as it is answered
	Calls   int
}

// Fleet is a deployment. Its fields may be changed with Set while it is in use.
type Fleet struct {
	r          rt.Runtime
	partitions int32

	mu       sync.Mutex // never held across a blocking call
	rows     [][]Row    // by partition; the index is the Kafka offset
	Nodes    map[string]*Node
	objects  map[string][]byte
	GetErr   error                    // of every read of the object store
	GetFails int                      // how many more reads fail with ErrRefused
	Slow     map[string]time.Duration // first read of an object takes so long
	GetDelay time.Duration
	Gets     map[string]int
	reading  int
	MostRead int // most reads at once
	Events   []port.Event
	Catalog  Catalog
}

// NewFleet makes a fleet of empty partitions, with two retrievers each.
func NewFleet(r rt.Runtime, partitions int32) *Fleet {
	f := &Fleet{r: r, partitions: partitions, rows: make([][]Row, partitions), Nodes: map[string]*Node{}, objects: map[string][]byte{}, Slow: map[string]time.Duration{}, Gets: map[string]int{}}
	for p := range partitions {
		for _, name := range f.Retrievers(p) {
			f.Nodes[name] = &Node{}
		}
	}
	return f
}

// Retrievers names a partition's retrievers.
func (f *Fleet) Retrievers(p int32) []string {
	return []string{fmt.Sprintf("retriever%d", 2*p+1), fmt.Sprintf("retriever%d", 2*p+2)}
}

// Ports is the fleet as a query node sees it.
func (f *Fleet) Ports() port.Ports {
	return port.Ports{Catalog: &f.Catalog, Blobs: blobs{f: f}, Peers: peers{f}, Events: f}
}

// Set changes something while others may look at it.
func (f *Fleet) Set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Announce implements port.Events.
func (f *Fleet) Announce(e port.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Events = append(f.Events, e)
}

// Append adds rows to a partition's log.
func (f *Fleet) Append(p int32, rows ...Row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[p] = append(f.rows[p], rows...)
}

// Rows is a partition's log.
func (f *Fleet) Rows(p int32) []Row {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rows[p]
}

// builders groups rows from offset first to next-1 by dataset and hour, in a stable order.
func builders(p int32, rows []Row, first, next int64) []*segment.Builder {
	type place struct{ dataset, hour int64 }
	at := map[place]*segment.Builder{}
	var list []*segment.Builder
	for o := first; o < next; o++ {
		row := &rows[o]
		k := place{row.Dataset, row.Event.Time.Unix() / 3600}
		if at[k] == nil {
			at[k] = segment.NewBuilder(p, k.dataset, k.hour)
			list = append(list, at[k])
		}
		at[k].Append(&segment.Row{Offset: o, Event: row.Event})
	}
	return list
}

// Seal writes all rows up to an offset that no seal has yet into the object store, as one seal made at a time.
func (f *Fleet) Seal(p int32, next int64, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := manifest.Manifest{Partition: p}
	if data := f.objects[manifest.Key(p)]; data != nil {
		var err error
		if m, err = manifest.Decode(data); err != nil {
			return err
		}
	}
	seal := manifest.Seal{First: m.Next, Next: next, At: at.UnixNano(), Records: next - m.Next}
	for _, b := range builders(p, f.rows[p], m.Next, next) {
		data, info, err := b.Encode(m.Next, next, segment.Options{})
		if err != nil {
			return err
		}
		info.Key = manifest.SegmentKey(info)
		f.objects[info.Key] = data
		seal.Segments = append(seal.Segments, info)
	}
	m.Seals = append(m.Seals, seal)
	m.Next, m.SealedAt, m.Generation, m.Writer = next, at.UnixNano(), m.Generation+1, "querytest"
	f.objects[manifest.Key(p)] = m.Encode()
	return nil
}

// Manifest is a partition's manifest.
func (f *Fleet) Manifest(p int32) manifest.Manifest {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := manifest.Decode(f.objects[manifest.Key(p)])
	if err != nil {
		return manifest.Manifest{Partition: p}
	}
	return m
}

// Object is an object's bytes, to be damaged; Remove and Put change what is there.
func (f *Fleet) Object(key string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.objects[key]
}

// Put replaces an object; without data it is removed.
func (f *Fleet) Put(key string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if data == nil {
		delete(f.objects, key)
		return
	}
	f.objects[key] = data
}

type peers struct{ f *Fleet }

// Call implements port.Peers.
func (c peers) Call(ctx context.Context, node, service string, request []byte) ([]byte, error) {
	f := c.f
	f.mu.Lock()
	n := f.Nodes[node]
	if n == nil {
		f.mu.Unlock()
		return nil, fmt.Errorf("there is no node %s: %w", node, port.ErrRefused)
	}
	n.Calls++
	behaviour := *n
	f.mu.Unlock()
	if err := f.r.Sleep(ctx, behaviour.Delay); err != nil {
		return nil, fmt.Errorf("%w: %w", port.ErrUnknown, err)
	}
	if behaviour.Err != nil {
		return nil, behaviour.Err
	}
	for p := range f.partitions {
		for _, name := range f.Retrievers(p) {
			if name == node {
				return f.serve(ctx, p, &behaviour, service, request)
			}
		}
	}
	return nil, fmt.Errorf("%s follows no partition", node)
}

func (f *Fleet) serve(ctx context.Context, p int32, n *Node, service string, request []byte) ([]byte, error) {
	m := f.Manifest(p)
	switch service {
	case "manifest":
		return m.Encode(), nil
	case "query":
		return f.ask(ctx, p, n, &m, request)
	}
	return nil, &port.PeerError{Service: service, Text: "there is no such service"}
}

func (f *Fleet) ask(ctx context.Context, p int32, n *Node, m *manifest.Manifest, request []byte) ([]byte, error) {
	req, err := retriever.DecodeAsk(request)
	if err != nil {
		return nil, err
	}
	q, err := spec.Decode(req.Query)
	if err != nil {
		return nil, err
	}
	rows := f.Rows(p)
	a := exec.New(q, nil)
	reply := retriever.AskReply{Floor: n.Floor, Next: int64(len(rows)), Committed: m.Next, Generation: m.Generation, Damaged: n.Damaged, FreshTo: n.FreshTo}
	reply.Before = 1
	for _, b := range builders(p, rows, 0, n.Floor) {
		if info := b.View().Info(); contains(req.Datasets, info.Dataset) {
			reply.Before = max(reply.Before, info.MaxTime+1)
		}
	}
	for _, b := range builders(p, rows, n.Floor, int64(len(rows))) {
		if !contains(req.Datasets, b.View().Info().Dataset) {
			continue
		}
		src := leaveOut(p, rows, b, m, n.Damaged)
		if src == nil {
			continue
		}
		skipped, err := a.Add(ctx, src)
		if err != nil {
			return nil, err
		}
		if skipped {
			reply.Skipped++
		} else {
			reply.Segments++
		}
	}
	reply.RowsScanned = a.Rows()
	reply.Partial = a.Partial().Encode()
	return retriever.EncodeAskReply(reply), nil
}

// leaveOut is a builder's rows without those in damaged segments.
func leaveOut(p int32, rows []Row, b *segment.Builder, m *manifest.Manifest, damaged []string) segment.Source {
	if len(damaged) == 0 {
		return b.View()
	}
	info := b.View().Info()
	kept := segment.NewBuilder(p, info.Dataset, info.Hour)
	for o := info.First; o < info.Next; o++ {
		if rows[o].Dataset != info.Dataset || rows[o].Event.Time.Unix()/3600 != info.Hour {
			continue
		}
		lost := false
		for i := range m.Seals {
			for _, s := range m.Seals[i].Segments {
				lost = lost || contains(damaged, s.Key) && s.Dataset == info.Dataset && s.Hour == info.Hour && o >= s.First && o < s.Next
			}
		}
		if !lost {
			kept.Append(&segment.Row{Offset: o, Event: rows[o].Event})
		}
	}
	if kept.Rows() == 0 {
		return nil
	}
	return kept.View()
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// blobs is the object store, for reading.
type blobs struct {
	port.Blobs // what is not needed
	f          *Fleet
}

// Get implements port.Blobs.
func (b blobs) Get(ctx context.Context, key string) ([]byte, port.BlobInfo, error) {
	f := b.f
	f.mu.Lock()
	f.Gets[key]++
	f.reading++
	f.MostRead = max(f.MostRead, f.reading)
	delay := f.GetDelay
	if f.Gets[key] == 1 {
		delay += f.Slow[key]
	}
	f.mu.Unlock()
	err := f.r.Sleep(ctx, delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading--
	switch {
	case err != nil:
		return nil, port.BlobInfo{}, fmt.Errorf("%w: %w", port.ErrUnknown, err)
	case f.GetErr != nil:
		return nil, port.BlobInfo{}, f.GetErr
	case f.GetFails > 0:
		f.GetFails--
		return nil, port.BlobInfo{}, fmt.Errorf("%w: %w", port.ErrSlowDown, port.ErrRefused)
	}
	data, ok := f.objects[key]
	if !ok {
		return nil, port.BlobInfo{}, fmt.Errorf("%s: %w", key, port.ErrNoBlob)
	}
	return data, port.BlobInfo{Key: key, Size: int64(len(data)), ETag: "1"}, nil
}

// Catalog has one team with all datasets.
type Catalog struct {
	port.Catalog // what is not needed
	mu           sync.Mutex
	away         bool
}

// SetAway makes the catalog answer nothing.
func (c *Catalog) SetAway(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

var errAway = errors.New("connection refused")

func (c *Catalog) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return fmt.Errorf("%w: %w", errAway, port.ErrRefused)
	}
	return nil
}

// TeamByKey implements port.Catalog.
func (c *Catalog) TeamByKey(_ context.Context, key string) (port.Team, error) {
	if err := c.err(); err != nil {
		return port.Team{}, err
	}
	if key != Key {
		return port.Team{}, port.ErrNotFound
	}
	return port.Team{ID: 1, Name: "team"}, nil
}

// Dataset implements port.Catalog.
func (c *Catalog) Dataset(_ context.Context, _ int64, slug string) (port.Dataset, error) {
	if err := c.err(); err != nil {
		return port.Dataset{}, err
	}
	for i, name := range Datasets {
		if name == slug {
			return port.Dataset{ID: int64(i + 1), Team: 1, Name: name, Slug: slug}, nil
		}
	}
	return port.Dataset{}, port.ErrNotFound
}

// DatasetByID implements port.Catalog.
func (c *Catalog) DatasetByID(_ context.Context, id int64) (port.Dataset, error) {
	if err := c.err(); err != nil {
		return port.Dataset{}, err
	}
	if id < 1 || id > int64(len(Datasets)) {
		return port.Dataset{}, port.ErrNotFound
	}
	name := Datasets[id-1]
	return port.Dataset{ID: id, Team: 1, Name: name, Slug: name}, nil
}

// Datasets implements port.Catalog.
func (c *Catalog) Datasets(context.Context, int64) ([]port.Dataset, error) {
	var list []port.Dataset
	for i, name := range Datasets {
		list = append(list, port.Dataset{ID: int64(i + 1), Team: 1, Name: name, Slug: name})
	}
	return list, c.err()
}
