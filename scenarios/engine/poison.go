package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// poison appends the records of a poison and returns when Kafka has acknowledged each of them. One whose outcome is unknown
// is appended once more: its key tells whatever copies there are in the log.
func (r *run) poison(ctx context.Context, id string, f system.Fault) error {
	producer, err := r.w.Log().NewProducer(port.DefaultProducerConfig("ratel-poison"))
	if err != nil {
		return fmt.Errorf("make a producer: %w", err)
	}
	defer func() { _ = producer.Close(ctx) }() // every record was waited for
	random := r.random("poison " + id)
	var left []poison
	for n := range f.Records {
		value, kind := loadgen.Poison(f.Record, n, random)
		left = append(left, poison{key: fmt.Sprintf("%s%s/%s/%d", system.PoisonKey, kind, id, n), value: value})
	}
	for {
		offsets := make([]*rt.Future[int64], len(left))
		for i, p := range left {
			offsets[i] = producer.Produce(system.EventsTopic, f.Partition, port.Record{Key: []byte(p.key), Value: p.value, Time: r.w.Runtime().Now()})
		}
		var failed []poison
		for i, p := range left {
			offset, perr := offsets[i].Wait(ctx)
			if perr != nil {
				failed, err = append(failed, p), perr
				continue
			}
			r.poisoned(f.Partition, offset, p.key)
		}
		if left = failed; len(left) == 0 {
			return nil
		}
		if r.w.Runtime().Sleep(ctx, effectPollPeriod) != nil {
			return fmt.Errorf("%d records were not acknowledged: %w", len(left), err)
		}
	}
}

// poison is one record that is no good.
type poison struct {
	key   string
	value []byte
}

// poisons are the records of the harness's own that are known to be in the log.
type poisons struct {
	mu    sync.Mutex
	known []place
}

// place is an offset of a partition of the events topic.
type place struct {
	partition int32
	offset    int64
}

// poisoned notes that the log has a record of the harness's own at an offset, unless it was noted before.
func (r *run) poisoned(partition int32, offset int64, key string) {
	at := place{partition, offset}
	r.poisons.mu.Lock()
	known := slices.Contains(r.poisons.known, at)
	if !known {
		r.poisons.known = append(r.poisons.known, at)
	}
	r.poisons.mu.Unlock()
	if !known {
		r.rec.add(evidence.Entry{Kind: evidence.Poisoned, Topic: system.EventsTopic, Part: partition, Offset: offset, Detail: strings.TrimPrefix(key, system.PoisonKey)})
	}
}
