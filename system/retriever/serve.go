package retriever

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// Services that a retriever offers to its peers.
const (
	serviceQuery    = "query"    // AskRequest, AskReply
	serviceSegment  = "segment"  // a key; the bytes of the segment, or of the IDs, that it names
	serviceManifest = "manifest" // nothing; the manifest as it was last seen
	serviceReady    = "ready"    // nothing; nothing, once there is something to serve
)

// staleAfter is how long ago a retriever must last have known that it has everything of its partition, to answer a query:
// one that catches up, or is cut off from Kafka, would leave out what the other of the pair has.
const staleAfter = 8 * time.Second

// ErrStale is matched by the error for a query that comes while too much is not read yet: the other of the pair may know.
var ErrStale = errors.New("not up to date")

// ServePeer implements [port.PeerServer]: the services "query", "segment", "manifest" and "ready".
func (re *Retriever) ServePeer(ctx context.Context, service string, request []byte) ([]byte, error) {
	switch service {
	case serviceQuery:
		q, err := DecodeAsk(request)
		if err != nil {
			return nil, err
		}
		a, err := re.Ask(ctx, q)
		if err != nil {
			return nil, err
		}
		return EncodeAskReply(a), nil
	case serviceSegment:
		return re.serveSegment(ctx, string(request))
	case serviceManifest:
		re.mu.Lock()
		m := re.known.Manifest
		re.mu.Unlock()
		m.Partition = re.place.Partition
		return m.Encode(), nil
	case serviceReady:
		if re.present() == nil {
			return nil, errors.New("the local data is not open yet")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("no service %q: there are %s, %s, %s and %s", service, serviceQuery, serviceSegment, serviceManifest, serviceReady)
}

// serveSegment returns the bytes of a local segment or of a seal's IDs.
func (re *Retriever) serveSegment(ctx context.Context, key string) ([]byte, error) {
	_, seals, release := re.pin()
	defer release()
	for i := range seals {
		s := &seals[i]
		if s.IDs == key && key != "" {
			return re.ownIDs(ctx, s)
		}
		for j := range s.Segments {
			if s.Segments[j].Key != key {
				continue
			}
			data, err := re.readSegment(ctx, s, j)
			if errors.Is(err, port.ErrCorrupt) {
				re.found(key, err)
			}
			return data, err
		}
	}
	return nil, fmt.Errorf("segment %s is not here", key)
}

// before is the first event time, Unix nanoseconds, that no row of the datasets below the floor has, as far as the manifest
// that is known here reaches; 0 if it does not reach to the floor.
func before(m *manifest.Manifest, floor int64, datasets []int64) int64 {
	if m.Next < floor {
		return 0
	}
	last := int64(0)
	for i := range m.Seals {
		if m.Seals[i].Next > floor {
			break
		}
		for j := range m.Seals[i].Segments {
			if info := &m.Seals[i].Segments[j]; slices.Contains(datasets, info.Dataset) {
				last = max(last, info.MaxTime)
			}
		}
	}
	return last + 1
}

// Ask answers a query over everything that is here: sealed segments, and what was read since, also what is not synced
// yet, for Kafka has that.
func (re *Retriever) Ask(ctx context.Context, q AskRequest) (AskReply, error) {
	query, err := spec.Decode(q.Query)
	if err != nil {
		return AskReply{}, fmt.Errorf("the query: %w", err)
	}
	// All of what is answered is of one moment.
	re.mu.Lock()
	st, seals, release := re.pinLocked()
	if st == nil {
		re.mu.Unlock()
		return AskReply{}, fmt.Errorf("%w: the local data is not open yet", ErrStale)
	}
	if re.freshAt.IsZero() || re.r.Now().Sub(re.freshAt) > staleAfter {
		next, high := re.next, re.highWater
		re.mu.Unlock()
		release()
		return AskReply{}, fmt.Errorf("%w: at offset %d of %d, or cut off from Kafka", ErrStale, next, high)
	}
	a := AskReply{Floor: st.floor(), Next: st.part.next, Committed: re.known.Next, Generation: re.known.Generation}
	a.Before, a.FreshTo = before(&re.known.Manifest, a.Floor, q.Datasets), unixNano(re.freshTo)
	var sources []segment.Source
	for _, key := range st.part.keys() {
		if slices.Contains(q.Datasets, key.dataset) {
			sources = append(sources, st.part.builders[key].View())
		}
	}
	re.mu.Unlock()
	defer release()
	local := make([]segment.Source, 0, len(sources))
	for i := range seals {
		for j := range seals[i].Segments {
			if slices.Contains(q.Datasets, seals[i].Segments[j].Dataset) {
				local = append(local, &lazy{re, &seals[i], j})
			}
		}
	}
	share := re.room.Share()
	defer share.Close()
	sum := exec.New(query, share)
	for _, src := range append(local, sources...) {
		info := src.Info()
		if info.Key != "" && re.isDamaged(info.Key) {
			a.Damaged = append(a.Damaged, info.Key)
			continue
		}
		skipped, err := sum.Add(ctx, src)
		switch {
		case errors.Is(err, port.ErrCorrupt) && info.Key != "":
			// It is checked as a whole before its first row is seen, so none of it was counted.
			re.found(info.Key, err)
			a.Damaged = append(a.Damaged, info.Key)
		case err != nil:
			return AskReply{}, err
		case skipped:
			a.Skipped++
		default:
			a.Segments++
			a.RowsScanned += info.Rows
		}
	}
	partial := sum.Partial()
	if err := share.Take(partial.Memory()); err != nil { // for the encoding
		return AskReply{}, err
	}
	a.Partial = partial.Encode()
	return a, nil
}
