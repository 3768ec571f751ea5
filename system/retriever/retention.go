package retriever

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// Bounds of what goes.
const (
	keepSeals   = 2   // stay on local disk, however old
	orphanEvery = 16  // manifests between two looks at all objects
	listAtOnce  = 500 // objects
)

// age lets local seals go that the manifest names and that are old by the log's time, or stand in the way of new ones.
// Floor moves by whole seals, and only to where the manifest reaches.
func (re *Retriever) age(ctx context.Context, st *state) error {
	re.mu.Lock()
	seals, m := st.index.seals, re.known.Manifest
	now, used := sealedAt(st.part.bucket, re.cfg.SealEvery), st.localBytes()
	re.mu.Unlock()
	n := 0
	for n < len(seals)-keepSeals {
		s := &seals[n]
		there, ok := m.Seal(s.First)
		named := ok && there.Same(&s.Seal) || s.Next <= m.Next && len(m.Seals) > 0 && s.Next <= m.Seals[0].First
		if !named || time.Duration(now-s.At) < re.cfg.KeepLocal && used <= re.cfg.MaxLocalBytes {
			break
		}
		used -= s.Bytes()
		n++
	}
	if n == 0 {
		return re.sweep(ctx, st)
	}
	err := re.changeIndex(ctx, st, func(x *index) { x.seals = x.seals[n:] }, func() {
		for i := range seals[:n] {
			if seals[i].pack != "" {
				st.gone = append(st.gone, seals[i].pack)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("let local segments go: %w", err)
	}
	re.announce(port.EventSegmentAged, fmt.Sprintf("offsets %d to %d are in S3 alone", seals[0].First, seals[n-1].Next))
	return re.sweep(ctx, st)
}

// expire takes seals that are older than the retention, by the log's time, out of a manifest. The latest stay: their IDs
// are needed for deduplication. Their objects are removed a manifest later, when no reader of the present one needs them.
func (re *Retriever) expire(next *manifest.Manifest) {
	if re.cfg.Retention <= 0 {
		return
	}
	n := 0
	for n < len(next.Seals)-dedupSeals && time.Duration(next.SealedAt-next.Seals[n].At) > re.cfg.Retention {
		n++
	}
	next.Seals = next.Seals[n:]
}

// collect removes objects that neither the manifest just written nor the one before names. It never touches what lies
// beyond them: the other may be uploading that.
func (re *Retriever) collect(ctx context.Context, before, now *manifest.Manifest) error {
	eager := re.bugs.Has(planted.RetentionTooEager)
	expired := firstOf(before)
	if expired <= re.collected && now.Generation%orphanEvery != 0 && !eager {
		return nil
	}
	limit := min(before.Next, now.Next)
	for after, more := "", true; more; {
		var page []port.BlobInfo
		err := re.blob(ctx, func(ctx context.Context) (err error) {
			page, more, err = re.blobs.List(ctx, manifest.Folder(re.place.Partition), after, listAtOnce)
			return err
		})
		if err != nil {
			return fmt.Errorf("list objects that are not needed any more: %w", err)
		}
		for _, o := range page {
			after = o.Key
			_, end, ours := manifest.RangeOf(o.Key)
			needed := !ours || end > limit || before.Names(o.Key) || now.Names(o.Key)
			if eager {
				needed = !ours || !oldByAge(now, re.cfg.KeepLocal, end)
			}
			if needed {
				continue
			}
			err := re.blob(ctx, func(ctx context.Context) error { return re.blobs.Delete(ctx, o.Key) })
			if err != nil {
				return fmt.Errorf("delete object %s, which no manifest names: %w", o.Key, err)
			}
		}
		more = more && len(page) > 0
	}
	re.collected = expired
	return nil
}

func firstOf(m *manifest.Manifest) int64 {
	if len(m.Seals) == 0 {
		return m.Next
	}
	return m.Seals[0].First
}

// oldByAge is the bug RetentionTooEager: what is old is not needed, whoever names it.
func oldByAge(now *manifest.Manifest, keep time.Duration, end int64) bool {
	for i := range now.Seals {
		if now.Seals[i].Next == end {
			return time.Duration(now.SealedAt-now.Seals[i].At) > keep
		}
	}
	return false
}

// cutManifest makes the manifest end at or before an offset: the log ends there, so what was read beyond it is not the
// truth any more.
func (re *Retriever) cutManifest(ctx context.Context, high int64) error {
	loaded, err := re.loadManifest(ctx)
	if err != nil {
		return err
	}
	if loaded.Next <= high {
		return nil
	}
	next := loaded.Manifest
	n := len(next.Seals)
	for n > 0 && next.Seals[n-1].Next > high {
		n--
	}
	if n > 0 {
		next.Next, next.SealedAt = next.Seals[n-1].Next, next.Seals[n-1].At
	} else {
		next.Next, next.SealedAt = 0, 0 // nothing of it is left: the log is another one
	}
	next.Seals, next.Writer = slices.Clone(next.Seals[:n]), re.place.Node
	return re.writeManifest(ctx, next, loaded)
}

// errDamaged is matched when something local is damaged and could not be had again yet.
var errDamaged = errors.New("still damaged")
