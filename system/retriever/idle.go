package retriever

import (
	"context"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// markPatience bounds one try to append a mark.
const markPatience = 10 * time.Second

// marker sees to it that what is not sealed does not stay so when nobody writes to the partition any more. A seal falls where the log's time goes
// on, and the log of an idle partition has none that goes on; so a record without events, a mark, is appended to it. Both of a pair then seal
// at the mark, and it stays true that seals are a function of the log alone. After a mark nothing is left to seal, so an idle partition gets one.
func (re *Retriever) marker(ctx context.Context) error {
	if re.cfg.SealIdle <= 0 || re.bugs.Has(planted.IdleNeverSealed) {
		return nil
	}
	// They wait differently long, so that usually all but the first find the mark of the first.
	patience := re.cfg.SealIdle + time.Duration(re.place.Replica)*re.cfg.SealIdle/4
	for re.r.Sleep(ctx, re.cfg.SealIdle/8) == nil {
		if !re.idles(patience) {
			continue
		}
		// What is not known to be in the log, or does not seal since clocks differ, is tried again after as long.
		if err := re.mark(ctx); err != nil && ctx.Err() == nil {
			re.announce(port.EventSnapshotFailed, fmt.Sprintf("the partition idles, and what is not sealed cannot be: %v", err))
		}
		re.mu.Lock()
		re.arrived = re.r.Now()
		re.mu.Unlock()
	}
	return nil
}

// idles says whether all that is in the log was read so long ago, and some of it is not sealed.
func (re *Retriever) idles(patience time.Duration) bool {
	if !re.claim.holds() {
		return false // its partition may go on without it
	}
	re.mu.Lock()
	defer re.mu.Unlock()
	return re.st != nil && re.st.part.rows > 0 && re.next >= re.highWater && re.r.Now().Sub(re.arrived) >= patience
}

// mark appends a record without events to the partition.
func (re *Retriever) mark(ctx context.Context) error {
	producer, err := re.log.NewProducer(port.DefaultProducerConfig(re.place.Node))
	if err != nil {
		return fmt.Errorf("make a producer: %w", err)
	}
	defer func() { _ = producer.Close(ctx) }() // its record was waited for
	limited, cancel := re.r.WithTimeout(ctx, markPatience)
	defer cancel()
	done := producer.Produce(re.place.Topic, re.place.Partition, port.Record{Value: event.AppendChunk(nil, event.Dataset{}, nil), Time: re.r.Now()})
	if _, err := done.Wait(limited); err != nil {
		return fmt.Errorf("append a mark: %w", err)
	}
	return nil
}
