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
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// Bounds of a snapshot.
const (
	uploaders     = 4 // at once
	sealsAtOnce   = 8 // per manifest: after a long outage of S3, what was uploaded counts before all is
	partBytes     = 8 << 20
	multipartFrom = 2 * partBytes
	retryMin      = 500 * time.Millisecond
	cleanUpTime   = 2 * time.Second
)

// keeper uploads sealed segments and writes the manifest on a schedule, lets local segments go that S3 has, removes what
// S3 need not have any more, and has damaged segments again. The replicas work in turns, so that usually one of them
// finds nothing left to do.
func (re *Retriever) keeper(ctx context.Context) error {
	every := re.cfg.SnapshotEvery
	turn := time.Duration(re.place.Replica%2) * every / 2
	pause := retryMin
	next := re.r.Now().Truncate(every).Add(every + turn)
	var checked *state
	for {
		re.mu.Lock()
		wake := re.wake
		at := next
		if re.st == nil || re.st != checked {
			at = re.r.Now().Add(retryMin)
		}
		re.mu.Unlock()
		if err := re.sleepUntil(ctx, at, wake); err != nil {
			return nil //nolint:nilerr // ended as asked
		}
		st := re.present()
		if st == nil {
			continue
		}
		if st != checked {
			re.scrub(ctx)
			checked = st
		}
		re.repair(ctx, st)
		if re.r.Now().Before(next) {
			continue
		}
		err := re.snapshot(ctx, st)
		// Also while S3 is away: what it has already may go.
		if aged := re.age(ctx, st); err == nil {
			err = aged
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ended as asked
		case err == nil:
			pause = retryMin
			for now := re.r.Now(); !next.After(now); next = next.Add(every) {
			}
		default:
			if !errors.Is(err, errReplaced) {
				re.announce(port.EventSnapshotFailed, err.Error())
			}
			next = re.r.Now().Add(pause)
			pause = min(2*pause, max(every, retryMin))
		}
	}
}

// sleepUntil waits until a moment, or until wake is done.
func (re *Retriever) sleepUntil(ctx context.Context, at time.Time, wake *rt.Future[struct{}]) error {
	limited, cancel := re.r.WithTimeout(ctx, at.Sub(re.r.Now()))
	defer cancel()
	_, _ = wake.Wait(limited)
	return ctx.Err()
}

// hurry lets the keeper look at once.
func (re *Retriever) hurry() {
	re.mu.Lock()
	wake := re.wake
	re.wake = rt.NewFuture[struct{}](re.r)
	re.mu.Unlock()
	wake.Complete(struct{}{}, nil)
}

// snapshot makes the manifest name everything that is sealed here.
func (re *Retriever) snapshot(ctx context.Context, st *state) error {
	for {
		loaded, err := re.lookUp(ctx)
		if err != nil {
			return err
		}
		pinned, seals, release := re.pin()
		if pinned != st {
			release()
			return errReplaced
		}
		todo, err := re.beyond(st, seals, &loaded.Manifest)
		if err != nil || len(todo) == 0 {
			release()
			return err
		}
		err = re.publish(ctx, loaded, todo[:min(len(todo), sealsAtOnce)])
		release()
		switch {
		case errors.Is(err, port.ErrPrecondition):
			re.announce(port.EventManifestLost, fmt.Sprintf("generation %d was written by the other", loaded.Generation+1))
		case err != nil:
			return err
		}
	}
}

// lookUp reads the manifest as it is now, and adopts it.
func (re *Retriever) lookUp(ctx context.Context) (manifest.Loaded, error) {
	re.mu.Lock()
	known := re.known
	re.mu.Unlock()
	if re.bugs.Has(planted.TwoSnapshotWriters) && known.Generation > 0 {
		return known, nil // whatever the other has written meanwhile
	}
	known.Partition = re.place.Partition // nothing may be known yet
	var loaded manifest.Loaded
	err := re.blob(ctx, func(ctx context.Context) (err error) {
		loaded, err = re.manifests.Refresh(ctx, known)
		return err
	})
	if errors.Is(err, port.ErrCorrupt) {
		loaded, err = re.mendManifest(ctx, loaded, err)
	}
	if err != nil {
		return loaded, err
	}
	re.setKnown(loaded)
	return loaded, nil
}

// beyond lists the local seals that the manifest does not have yet. A manifest that has other seals of the same offsets
// is the truth: whoever wrote it was first, so the local data is given up for it.
func (re *Retriever) beyond(st *state, seals []localSeal, m *manifest.Manifest) ([]localSeal, error) {
	for i := range seals {
		s := &seals[i].Seal
		if s.Next <= m.Next {
			if there, ok := m.Seal(s.First); ok && there.Same(s) || !ok && len(m.Seals) > 0 && s.Next <= m.Seals[0].First {
				continue
			}
		} else if s.First >= m.Next {
			if s.First == m.Next {
				return seals[i:], nil
			}
			return nil, fmt.Errorf("%s ends at offset %d, what is here begins at %d: nothing can be added to it", manifest.Key(re.place.Partition), m.Next, s.First)
		}
		why := fmt.Sprintf("generation %d of the manifest, up to offset %d, does not have the same seal of offsets %d to %d", m.Generation, m.Next, s.First, s.Next)
		re.mu.Lock()
		told := re.restart != ""
		if re.st == st {
			re.restart = why
		}
		re.mu.Unlock()
		if !told {
			re.announce(port.EventSealsDisagree, why)
		}
		return nil, nil
	}
	return nil, nil
}

// publish uploads seals and then writes the manifest that names them.
func (re *Retriever) publish(ctx context.Context, loaded manifest.Loaded, seals []localSeal) error {
	next := loaded.Manifest
	next.Seals = slices.Clone(next.Seals)
	next.Writer = re.place.Node
	for i := range seals {
		next.Seals = append(next.Seals, seals[i].Seal)
		next.Next, next.SealedAt = seals[i].Next, seals[i].At
	}
	re.expire(&next)
	if re.bugs.Has(planted.ManifestBeforeData) {
		if err := re.writeManifest(ctx, next, loaded); err != nil {
			return err
		}
		return re.uploadAll(ctx, seals)
	}
	if err := re.uploadAll(ctx, seals); err != nil && !re.bugs.Has(planted.CommitBeforeDurable) {
		return err
	}
	if err := re.writeManifest(ctx, next, loaded); err != nil {
		return err
	}
	next.Generation = loaded.Generation + 1
	return re.collect(ctx, &loaded.Manifest, &next)
}

func (re *Retriever) uploadAll(ctx context.Context, seals []localSeal) error {
	for i := range seals {
		if err := re.upload(ctx, &seals[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeManifest makes next the manifest, if over still is. What is known is changed by success alone.
func (re *Retriever) writeManifest(ctx context.Context, next manifest.Manifest, over manifest.Loaded) error {
	began := re.r.Now()
	var written manifest.Loaded
	err := re.blob(ctx, func(ctx context.Context) (err error) {
		if re.bugs.Has(planted.TwoSnapshotWriters) {
			next.Generation = over.Generation + 1
			info, err := re.blobs.Put(ctx, manifest.Key(next.Partition), next.Encode(), port.Condition{})
			written = manifest.Loaded{Manifest: next, ETag: info.ETag}
			return err
		}
		written, err = re.manifests.Write(ctx, next, over)
		return err
	})
	if err != nil {
		return err
	}
	re.setKnown(written)
	re.announce(port.EventManifestWritten, fmt.Sprintf("generation %d, up to Kafka offset %d", written.Generation, written.Next))
	if re.telemetry.On() {
		re.telemetry.Record(telemetry.KindSnapshot, 1,
			telemetry.Int("partition", int64(re.place.Partition)), telemetry.Int("generation", written.Generation), telemetry.Int("offset.next", written.Next),
			telemetry.Int("seals", int64(len(written.Seals))), telemetry.Millis("duration_ms", re.r.Now().Sub(began)))
	}
	return nil
}

// upload puts a seal's segments and IDs into S3. What is there already with the right size is left: keys are
// content-addressed, so it is the same.
func (re *Retriever) upload(ctx context.Context, s *localSeal) error {
	segment := func(ctx context.Context, i int) error {
		info := &s.Segments[i]
		return re.put(ctx, info.Key, info.Bytes, func() ([]byte, error) {
			data, err := re.readSegment(ctx, s, i)
			if errors.Is(err, port.ErrCorrupt) {
				re.found(info.Key, err)
			}
			return data, err
		})
	}
	group, inner := rt.NewGroup(re.r, ctx)
	for w := range min(uploaders, len(s.Segments)) {
		group.Go("upload", func(ctx context.Context) error {
			for i := w; i < len(s.Segments); i += uploaders {
				if err := segment(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(context.WithoutCancel(inner)); err != nil {
		return err
	}
	if s.IDs == "" {
		return nil
	}
	size := int64(len(idsMagic)+4) + idBytes*s.Rows()
	return re.put(ctx, s.IDs, size, func() ([]byte, error) { return re.idsBytes(ctx, s) })
}

// put makes sure that an object is there.
func (re *Retriever) put(ctx context.Context, key string, size int64, read func() ([]byte, error)) error {
	there := func(ctx context.Context) error {
		info, err := re.blobs.Head(ctx, key)
		if err == nil && info.Size != size {
			err = fmt.Errorf("it has %d bytes, %d are expected: %w", info.Size, size, port.ErrNoBlob)
		}
		return err
	}
	err := re.blob(ctx, there)
	if err == nil && !re.bugs.Has(planted.TwoSnapshotWriters) {
		return nil
	}
	if err != nil && !errors.Is(err, port.ErrNoBlob) {
		return fmt.Errorf("look for object %s: %w", key, err)
	}
	data, err := read()
	if err != nil {
		return err
	}
	if len(data) >= multipartFrom {
		err = re.putParts(ctx, key, data)
	} else {
		err = re.blob(ctx, func(ctx context.Context) error {
			_, err := re.blobs.Put(ctx, key, data, port.Condition{})
			return err
		})
	}
	if err == nil || errors.Is(err, port.ErrRefused) {
		return wrapKey(key, err)
	}
	// It may be there for all that.
	if again := re.blob(ctx, there); again == nil {
		return nil
	}
	return wrapKey(key, err)
}

func wrapKey(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("put object %s: %w", key, err)
}

// putParts uploads a large object in parts. It is invisible until all are there.
func (re *Retriever) putParts(ctx context.Context, key string, data []byte) error {
	var upload string
	err := re.blob(ctx, func(ctx context.Context) (err error) {
		upload, err = re.blobs.BeginUpload(ctx, key)
		return err
	})
	if err != nil {
		return err
	}
	var parts []port.Part
	for rest := data; err == nil && len(rest) > 0; {
		n := min(len(rest), partBytes)
		if len(rest)-n < partBytes {
			n = len(rest) // the last part takes what would be too small for one of its own
		}
		err = re.blob(ctx, func(ctx context.Context) error {
			part, err := re.blobs.UploadPart(ctx, key, upload, int32(len(parts)+1), rest[:n])
			parts = append(parts, part)
			return err
		})
		rest = rest[n:]
	}
	if err == nil {
		err = re.blob(ctx, func(ctx context.Context) error {
			_, err := re.blobs.CompleteUpload(ctx, key, upload, parts, port.Condition{})
			return err
		})
	}
	if err != nil {
		clean, cancel := re.r.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		// What is left of it costs space until the bucket's own rule for unfinished uploads removes it.
		_ = re.blobs.AbortUpload(clean, key, upload)
	}
	return err
}
