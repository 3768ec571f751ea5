package retriever

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/ratel-sim/ratel/system/port"
)

// memBlobs is an object store that can fail, with and without effect.
type memBlobs struct {
	mu      sync.Mutex
	objects map[string][]byte
	uploads map[string]map[int32][]byte
	n       int
	rand    *rand.Rand
	errors  float64 // share of operations that fail: half of them with effect
	away    bool    // everything is refused
	fail    func(op, key string) error
	deletes []string
	puts    map[string]int
}

func newMemBlobs() *memBlobs {
	return &memBlobs{objects: map[string][]byte{}, uploads: map[string]map[int32][]byte{}, rand: rand.New(rand.NewPCG(1, 2)), puts: map[string]int{}}
}

// begin decides how an operation goes: before fails it without effect, after with.
func (b *memBlobs) begin(op, key string) (before, after error) {
	if b.away {
		return fmt.Errorf("%s %s: %w", op, key, port.ErrRefused), nil
	}
	if b.fail != nil {
		if err := b.fail(op, key); err != nil {
			return err, nil
		}
	}
	if b.rand.Float64() >= b.errors {
		return nil, nil
	}
	if b.rand.IntN(2) == 0 {
		return fmt.Errorf("%s %s: %w", op, key, port.ErrRefused), nil
	}
	return nil, fmt.Errorf("%s %s: %w", op, key, port.ErrUnknown)
}

func (b *memBlobs) info(key string, data []byte) port.BlobInfo {
	return port.BlobInfo{Key: key, Size: int64(len(data)), ETag: fmt.Sprintf("%08x", crc32.ChecksumIEEE(data))}
}

func (b *memBlobs) holds(key string, cond port.Condition) error {
	data, ok := b.objects[key]
	if cond.IfAbsent && ok || cond.IfMatch != "" && (!ok || b.info(key, data).ETag != cond.IfMatch) {
		return fmt.Errorf("%s: %w", key, port.ErrPrecondition)
	}
	return nil
}

func (b *memBlobs) Put(_ context.Context, key string, data []byte, cond port.Condition) (port.BlobInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("put", key)
	if before != nil {
		return port.BlobInfo{}, before
	}
	if err := b.holds(key, cond); err != nil {
		return port.BlobInfo{}, err
	}
	b.puts[key]++
	b.objects[key] = bytes.Clone(data)
	return b.info(key, data), after
}

func (b *memBlobs) Get(_ context.Context, key string) ([]byte, port.BlobInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("get", key)
	if err := before; err != nil || after != nil {
		return nil, port.BlobInfo{}, fmt.Errorf("get %s: %w", key, port.ErrRefused)
	}
	data, ok := b.objects[key]
	if !ok {
		return nil, port.BlobInfo{}, fmt.Errorf("%s: %w", key, port.ErrNoBlob)
	}
	return bytes.Clone(data), b.info(key, data), nil
}

func (b *memBlobs) GetRange(ctx context.Context, key string, off, length int64) ([]byte, error) {
	data, _, err := b.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return data[min(off, int64(len(data))):min(off+length, int64(len(data)))], nil
}

func (b *memBlobs) Head(ctx context.Context, key string) (port.BlobInfo, error) {
	_, info, err := b.Get(ctx, key)
	return info, err
}

func (b *memBlobs) List(_ context.Context, prefix, after string, limit int) (page []port.BlobInfo, more bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, late := b.begin("list", prefix); before != nil || late != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, port.ErrRefused)
	}
	for _, key := range b.keysLocked() {
		if strings.HasPrefix(key, prefix) && key > after {
			if len(page) == limit {
				return page, true, nil
			}
			page = append(page, b.info(key, b.objects[key]))
		}
	}
	return page, false, nil
}

func (b *memBlobs) keysLocked() []string {
	var keys []string
	for key := range b.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (b *memBlobs) keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keysLocked()
}

func (b *memBlobs) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("delete", key)
	if before != nil {
		return before
	}
	delete(b.objects, key)
	b.deletes = append(b.deletes, key)
	return after
}

func (b *memBlobs) BeginUpload(_ context.Context, key string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("begin", key)
	if before != nil {
		return "", before
	}
	b.n++
	upload := fmt.Sprint(b.n)
	b.uploads[upload] = map[int32][]byte{}
	return upload, after
}

func (b *memBlobs) UploadPart(_ context.Context, key, upload string, number int32, data []byte) (port.Part, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("part", key)
	if before != nil {
		return port.Part{}, before
	}
	b.uploads[upload][number] = bytes.Clone(data)
	return port.Part{Number: number, ETag: b.info(key, data).ETag}, after
}

func (b *memBlobs) CompleteUpload(_ context.Context, key, upload string, parts []port.Part, cond port.Condition) (port.BlobInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := b.begin("complete", key)
	if before != nil {
		return port.BlobInfo{}, before
	}
	if err := b.holds(key, cond); err != nil {
		return port.BlobInfo{}, err
	}
	var data []byte
	for i, p := range parts {
		part := b.uploads[upload][p.Number]
		if i < len(parts)-1 && len(part) < 5<<20 {
			return port.BlobInfo{}, fmt.Errorf("part %d is too small: %w", p.Number, port.ErrRefused)
		}
		data = append(data, part...)
	}
	delete(b.uploads, upload)
	b.objects[key] = data
	return b.info(key, data), after
}

func (b *memBlobs) AbortUpload(_ context.Context, _, upload string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.uploads, upload)
	return nil
}

// change runs f over the objects.
func (b *memBlobs) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// memPeers calls retrievers of one process.
type memPeers struct {
	mu    sync.Mutex
	nodes map[string]port.PeerServer
}

func (p *memPeers) set(node string, s *Retriever) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, node)
	if s != nil {
		p.nodes[node] = s
	}
}

func (p *memPeers) Call(ctx context.Context, node, service string, request []byte) ([]byte, error) {
	p.mu.Lock()
	s := p.nodes[node]
	p.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("%s: %w", node, port.ErrRefused)
	}
	reply, err := s.ServePeer(ctx, service, request)
	if err != nil {
		return nil, &port.PeerError{Node: node, Service: service, Text: err.Error()}
	}
	return reply, nil
}
