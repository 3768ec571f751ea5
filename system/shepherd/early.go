package shepherd

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// lingerOfBuffer is how long the planted buffer gathers chunks.
const lingerOfBuffer = 200 * time.Millisecond

// buffer is the planted bug AcceptBeforeKafka: it gathers chunks to send them together, and the events are called
// accepted as soon as they are in it. A crash loses what it holds, and a produce that fails later is noticed by nobody.
type buffer struct {
	s     *Shepherd
	queue *rt.Queue[consignment]
}

func newBuffer(s *Shepherd) *buffer { return &buffer{s: s, queue: rt.NewQueue[consignment](s.r, 0)} }

// take accepts chunks into the buffer.
func (b *buffer) take(chunks []consignment, statuses []Status) {
	for _, c := range chunks {
		fill(statuses[c.first:c.first+c.count], Accepted, "")
		b.queue.TryPush(c)
	}
}

// run sends what has gathered, again and again.
func (b *buffer) run(ctx context.Context) {
	for b.s.r.Sleep(ctx, lingerOfBuffer) == nil {
		for {
			c, ok := b.queue.TryPop()
			if !ok {
				break
			}
			b.s.ship(&c)
		}
	}
}
