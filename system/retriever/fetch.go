package retriever

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// Bounds of calls to S3 and to the peers.
const (
	blobTimeout  = 10 * time.Second
	peerTimeout  = 2 * time.Second
	fetchTries   = 5 // before an object that S3 says is not there, or is damaged, is given up
	loadPauseMin = 200 * time.Millisecond
	loadPauseMax = 5 * time.Second
)

// blob calls S3 with a deadline.
func (re *Retriever) blob(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := re.r.WithTimeout(ctx, blobTimeout)
	defer cancel()
	return f(ctx)
}

// setKnown notes the manifest as it was last seen.
func (re *Retriever) setKnown(l manifest.Loaded) {
	re.mu.Lock()
	defer re.mu.Unlock()
	re.known = l
}

// loadManifest reads the partition's manifest, however long S3 takes to answer. A damaged one is replaced by what the
// peer knows, else given up: then everything that Kafka still has is read again.
func (re *Retriever) loadManifest(ctx context.Context) (manifest.Loaded, error) {
	pause, told := loadPauseMin, false
	for tries := 0; ; {
		var loaded manifest.Loaded
		err := re.blob(ctx, func(ctx context.Context) (err error) {
			loaded, err = re.manifests.Load(ctx, re.place.Partition)
			return err
		})
		if errors.Is(err, port.ErrCorrupt) {
			if tries++; tries >= fetchTries {
				loaded, err = re.mendManifest(ctx, loaded, err)
			}
		}
		if err == nil {
			re.setKnown(loaded)
			return loaded, nil
		}
		if !told {
			re.announce(port.EventSnapshotFailed, fmt.Sprintf("the manifest cannot be read: %v", err))
			told = true
		}
		if err := re.r.Sleep(ctx, pause); err != nil {
			return manifest.Loaded{}, err
		}
		pause = min(2*pause, loadPauseMax)
	}
}

// mendManifest replaces a manifest whose bytes are damaged by one that is known here or to a peer.
func (re *Retriever) mendManifest(ctx context.Context, damaged manifest.Loaded, why error) (manifest.Loaded, error) {
	re.announce(port.EventSegmentDamaged, why.Error())
	re.mu.Lock()
	good := re.known.Manifest
	re.mu.Unlock()
	from := "what is known here"
	for _, peer := range re.place.Peers {
		data, err := re.call(ctx, peer, serviceManifest, nil)
		if err != nil {
			continue
		}
		if m, err := manifest.Decode(data); err == nil && m.Partition == re.place.Partition && m.Generation > good.Generation {
			good, from = m, peer
		}
	}
	if good.Generation == 0 {
		good, from = manifest.Manifest{Partition: re.place.Partition}, "nothing: reading again all that Kafka has"
	}
	good.Writer = re.place.Node
	damaged.Generation = good.Generation
	var loaded manifest.Loaded
	err := re.blob(ctx, func(ctx context.Context) (err error) {
		loaded, err = re.manifests.Write(ctx, good, damaged)
		return err
	})
	if err != nil {
		return manifest.Loaded{}, err
	}
	re.mended(manifest.Key(re.place.Partition), from)
	return loaded, nil
}

// mended tells that something damaged was had again.
func (re *Retriever) mended(what, from string) {
	re.mu.Lock()
	re.repaired++
	re.mu.Unlock()
	re.announce(port.EventSegmentRepaired, fmt.Sprintf("%s, from %s", what, from))
}

// call asks a peer.
func (re *Retriever) call(ctx context.Context, peer, service string, request []byte) ([]byte, error) {
	if re.peers == nil {
		return nil, fmt.Errorf("%s: %w: there is no way to peers", peer, port.ErrRefused)
	}
	ctx, cancel := re.r.WithTimeout(ctx, peerTimeout)
	defer cancel()
	return re.peers.Call(ctx, peer, service, request)
}

// peerAnswers says whether a peer has data to copy.
func (re *Retriever) peerAnswers(ctx context.Context) bool {
	for _, peer := range re.place.Peers {
		if _, err := re.call(ctx, peer, serviceReady, nil); err == nil {
			return true
		}
	}
	return false
}

// fetch gets the bytes of a key from the peers, else from S3; good says whether they are what is wanted.
func (re *Retriever) fetch(ctx context.Context, key string, good func(data []byte) bool) (data []byte, from string, err error) {
	for _, peer := range re.place.Peers {
		data, err := re.call(ctx, peer, serviceSegment, []byte(key))
		if err == nil && good(data) {
			return data, peer, nil
		}
	}
	err = re.blob(ctx, func(ctx context.Context) (err error) {
		data, _, err = re.blobs.Get(ctx, key)
		return err
	})
	if err == nil && !good(data) {
		err = fmt.Errorf("object %s: %w", key, port.ErrCorrupt)
	}
	if err != nil {
		return nil, "", err
	}
	return data, "S3", nil
}

// whole says whether bytes are those of a segment.
func whole(info *segment.Info) func(data []byte) bool {
	return func(data []byte) bool {
		return int64(len(data)) == info.Bytes && crc32.Checksum(data, castagnoli) == info.CRC
	}
}

// fetchIDs gets the IDs of a seal that the manifest names: from their object, or a peer, else from the rows of its
// segments. If none of them is there, it goes on without, and says so.
func (re *Retriever) fetchIDs(ctx context.Context, seal *manifest.Seal) ([]event.ID, error) {
	pause, lost := loadPauseMin, 0
	for {
		var data []byte
		err := re.blob(ctx, func(ctx context.Context) (err error) {
			data, _, err = re.blobs.Get(ctx, seal.IDs)
			return err
		})
		if err == nil {
			var ids []event.ID
			if ids, err = decodeIDs(data); err == nil {
				return ids, nil
			}
		}
		if errors.Is(err, port.ErrNoBlob) || errors.Is(err, port.ErrCorrupt) {
			if lost++; lost == 1 {
				re.announce(port.EventSegmentDamaged, fmt.Sprintf("object %s: %v", seal.IDs, err))
			}
			ids, from, again := re.otherIDs(ctx, seal)
			if again == nil {
				re.mended(seal.IDs, from)
				return ids, nil
			}
			if lost >= fetchTries {
				return nil, nil
			}
		}
		if err := re.r.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, loadPauseMax)
	}
}

// otherIDs gets the IDs of a seal without their object.
func (re *Retriever) otherIDs(ctx context.Context, seal *manifest.Seal) ([]event.ID, string, error) {
	for _, peer := range re.place.Peers {
		if data, err := re.call(ctx, peer, serviceSegment, []byte(seal.IDs)); err == nil {
			if ids, err := decodeIDs(data); err == nil && int64(len(ids)) == seal.Rows() {
				return ids, peer, nil
			}
		}
	}
	var rows []datasetRow
	for i := range seal.Segments {
		info := &seal.Segments[i]
		data, _, err := re.fetch(ctx, info.Key, whole(info))
		if err != nil {
			return nil, "", err
		}
		if rows, err = appendRows(ctx, rows, info, data); err != nil {
			return nil, "", err
		}
	}
	sortRows(rows)
	ids := make([]event.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Event.ID
	}
	return ids, "its segments", nil
}
