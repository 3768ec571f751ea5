package retriever

import (
	"context"
	"slices"
	"sync"

	"github.com/ratel-sim/ratel/system/segment"
)

// Bounds of the segments that stay open for the next query.
const (
	cacheSegments = 32
	cacheBytes    = 64 << 20
)

// cache holds the segments that were opened last. They are immutable and checked.
type cache struct {
	mu    sync.Mutex         // never held across a blocking call
	open  []*segment.Segment // the one used last at the end
	bytes int64
}

func newCache() *cache { return &cache{} }

func (c *cache) get(key string) *segment.Segment {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.open, func(s *segment.Segment) bool { return s.Info().Key == key })
	if i < 0 {
		return nil
	}
	s := c.open[i]
	c.open = append(slices.Delete(c.open, i, i+1), s)
	return s
}

func (c *cache) put(s *segment.Segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.bytes = append(c.open, s), c.bytes+s.Info().Bytes
	for len(c.open) > cacheSegments || c.bytes > cacheBytes {
		c.bytes -= c.open[0].Info().Bytes
		c.open = slices.Delete(c.open, 0, 1)
	}
}

func (c *cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(s *segment.Segment) bool {
		if s.Info().Key != key {
			return false
		}
		c.bytes -= s.Info().Bytes
		return true
	})
}

// lazy is a local segment that is opened when something of it is needed. It implements [segment.Source].
type lazy struct {
	re   *Retriever
	seal *localSeal
	i    int
}

// Info implements [segment.Source].
func (l *lazy) Info() segment.Info { return l.seal.Segments[l.i] }

// Scan implements [segment.Source].
func (l *lazy) Scan(ctx context.Context, columns []string, visit func(*segment.Block) error) error {
	info := &l.seal.Segments[l.i]
	s := l.re.cache.get(info.Key)
	if s == nil {
		data, err := l.re.readSegment(ctx, l.seal, l.i)
		if err != nil {
			return err
		}
		if s, err = segment.Open(*info, data); err != nil {
			return err
		}
		l.re.cache.put(s)
	}
	return s.Scan(ctx, columns, visit)
}
