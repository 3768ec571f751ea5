package beagle

import (
	"context"
	"fmt"
	"sync"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// progress reads how far the topic's partitions are counted. Many partitions ask at once after a rebalance: one reading
// answers everybody who asked before it began.
type progress struct {
	r      rt.Runtime
	counts port.Counts
	topic  string
	told   func(context.Context, error)

	mu     sync.Mutex // never held across a blocking call
	issued int64      // how many have asked

	lock    *rt.Mutex // held while reading
	covered int64     // how many of those who asked the rows below may answer
	rows    []port.Progress
}

func newProgress(r rt.Runtime, counts port.Counts, topic string) *progress {
	return &progress{r: r, counts: counts, topic: topic, told: func(context.Context, error) {}, lock: rt.NewMutex(r)}
}

// of returns a partition's row as it was some time after the call; there is false if it has none. It waits for a catalog
// that is away; its only errors are ctx's.
func (p *progress) of(ctx context.Context, partition int32) (row port.Progress, there bool, err error) {
	p.mu.Lock()
	p.issued++
	ticket := p.issued
	p.mu.Unlock()
	if err := p.lock.Lock(ctx); err != nil {
		return port.Progress{}, false, fmt.Errorf("progress of partition %d: %w", partition, err)
	}
	defer p.lock.Unlock()
	for pause := firstPause; p.covered < ticket; pause = min(2*pause, longPause) {
		p.mu.Lock()
		covers := p.issued
		p.mu.Unlock()
		rows, err := p.ask(ctx)
		p.told(ctx, err)
		if err == nil {
			p.rows, p.covered = rows, covers
			break
		}
		if err := p.r.Sleep(ctx, pause); err != nil {
			return port.Progress{}, false, fmt.Errorf("progress of partition %d: %w", partition, err)
		}
	}
	for _, row := range p.rows {
		if row.Partition == partition {
			return row, true, nil
		}
	}
	return port.Progress{}, false, nil
}

func (p *progress) ask(ctx context.Context) ([]port.Progress, error) {
	ctx, cancel := p.r.WithTimeout(ctx, askFor)
	defer cancel()
	return p.counts.ProgressOf(ctx, Consumer, p.topic)
}
