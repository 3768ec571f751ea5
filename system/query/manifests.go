package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
)

// Pauses between attempts at the object store: the first, doubled up to the last.
const (
	retryFirst = 50 * time.Millisecond
	retryLast  = time.Second
)

// manifest finds a manifest that names every seal below the floor of a retriever's answer. Seals do not change, so one
// that was read before will do if it reaches that far; without an answer it is read anew. It is tried until ctx ends.
func (s *Server) manifest(ctx context.Context, p int32, f *fresh) (*manifest.Manifest, error) {
	s.mu.Lock()
	known, ok := s.known[p]
	s.mu.Unlock()
	if ok && f != nil && known.Next >= f.reply.Floor && allNamed(&known, f.reply.Damaged) {
		return &known, nil
	}
	return s.loadManifest(ctx, p, f)
}

func allNamed(m *manifest.Manifest, keys []string) bool {
	for _, key := range keys {
		if !m.Names(key) {
			return false
		}
	}
	return true
}

// loadManifest reads the manifest as it is now.
func (s *Server) loadManifest(ctx context.Context, p int32, f *fresh) (*manifest.Manifest, error) {
	var last error
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		loaded, err := s.manifests.Load(ctx, p)
		if errors.Is(err, port.ErrCorrupt) && f != nil {
			loaded.Manifest, err = s.manifestOf(ctx, p, f, err)
		}
		if err == nil {
			s.mu.Lock()
			s.known[p] = loaded.Manifest
			s.mu.Unlock()
			return &loaded.Manifest, nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if errors.Is(err, port.ErrCorrupt) || s.r.Sleep(ctx, pause) != nil {
			return nil, last
		}
	}
}

// manifestOf asks the retriever that answered for the manifest that it knows, because the object is damaged.
func (s *Server) manifestOf(ctx context.Context, p int32, f *fresh, damage error) (manifest.Manifest, error) {
	b, err := s.ports.Peers.Call(ctx, f.node, serviceManifest, nil)
	if err != nil {
		return manifest.Manifest{}, damage
	}
	m, err := manifest.Decode(b)
	if err != nil || m.Partition != p || m.Next < f.reply.Floor {
		return manifest.Manifest{}, fmt.Errorf("%w, and %s has none that will do", damage, f.node)
	}
	return m, nil
}
