package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// unknownTopicTries is how often in a row a topic must be denied before a reader believes it: a broker may not have heard
// of one that was just created.
const unknownTopicTries = 4

// minBackoff keeps a reader from spinning when it is configured without a pause.
const minBackoff = time.Millisecond

// reader implements port.Reader by fetch requests of its own: Sarama's PartitionConsumer reads ahead into a channel and
// does not tell the high watermark of an empty answer, nor at once that an offset is out of range.
type reader struct {
	r      rt.Runtime
	cfg    port.ReaderConfig
	client sarama.Client
	shared *sharing // whose client it is; nil if it is the reader's own
	admin  *admin
	topic  string
	part   int32
	offset int64
	epoch  int32 // the highest leader epoch that an answer came from
	closed atomic.Bool
}

// NewReader implements [port.Log].
func (l *Log) NewReader(cfg port.ReaderConfig, topic string, partition int32, offset int64) (port.Reader, error) {
	if offset < 0 {
		return nil, fmt.Errorf("kafka: reader %q of %s/%d: offset %d is negative", cfg.ClientID, topic, partition, offset)
	}
	c, err := l.readerConfig(cfg)
	if err != nil {
		return nil, err
	}
	r := &reader{r: l.r, cfg: cfg, admin: l.admin, topic: topic, part: partition, offset: offset}
	if cfg.Shared {
		r.shared = &l.shared
		r.client, err = l.shared.open(l.seeds, c)
	} else {
		r.client, err = sarama.NewClient(l.seeds, c)
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: reader %q of %s/%d: %w", cfg.ClientID, topic, partition, err)
	}
	return r, nil
}

// Offset implements [port.Reader].
func (r *reader) Offset() int64 { return r.offset }

// Close implements [port.Reader].
func (r *reader) Close() {
	if !r.closed.Swap(true) && r.shared == nil {
		_ = r.client.Close()
	}
}

// await runs a blocking call of Sarama's, which knows no contexts, and waits for it no longer than ctx.
func await[T any](ctx context.Context, r rt.Runtime, f func() (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var zero T
		return zero, err
	}
	result := rt.NewFuture[T](r)
	go func() { result.Complete(f()) }()
	return result.Wait(ctx)
}

// Fetch implements [port.Reader].
func (r *reader) Fetch(ctx context.Context) (port.Batch, error) {
	denied := 0
	for {
		offset, atLeast := r.offset, r.epoch
		got, err := await(ctx, r.r, func() (fetched, error) { return r.fetch(offset, atLeast) })
		switch {
		case ctx.Err() != nil && err != nil:
			return port.Batch{}, ctx.Err()
		case errors.Is(err, sarama.ErrClosedClient):
			return port.Batch{}, fmt.Errorf("kafka: fetch %s/%d: %w", r.topic, r.part, errClosed)
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			if denied++; denied >= unknownTopicTries {
				return port.Batch{}, fmt.Errorf("kafka: fetch %s/%d: %w", r.topic, r.part, port.ErrNoTopic)
			}
		case errors.Is(err, sarama.ErrOffsetOutOfRange) && r.confirmed(ctx, got.epoch):
			return port.Batch{}, fmt.Errorf("kafka: fetch %s/%d at offset %d: %w", r.topic, r.part, offset, port.ErrOffsetOutOfRange)
		case err == nil:
			batch, next := unpack(got.block, offset)
			r.offset, r.epoch = next, got.epoch
			return batch, nil
		}
		if err := r.r.Sleep(ctx, max(r.cfg.Backoff, minBackoff)); err != nil {
			return port.Batch{}, err
		}
	}
}

// fetched is a leader's answer and the epoch under which it leads.
type fetched struct {
	block *sarama.FetchResponseBlock
	epoch int32
}

// errDeposed: the metadata names a leader that has been followed by another already.
var errDeposed = errors.New("kafka: the metadata is of a broker that does not know the present leader")

// confirmed asks all brokers whether the leader that called the offset out of range is the leader. One that has been
// deposed and cut off from its peers ends where it was cut off, and the metadata that it gives names itself.
func (r *reader) confirmed(ctx context.Context, epoch int32) bool {
	views, err := r.admin.everyone(ctx, r.topic)
	if err != nil {
		return false
	}
	parts := freshest(views, r.topic)
	if int(r.part) >= len(parts) || parts[r.part].LeaderEpoch < 0 {
		return false // nobody who answers knows the partition
	}
	if newest := parts[r.part].LeaderEpoch; newest > epoch {
		r.epoch = max(r.epoch, newest)
		return false
	}
	return true
}

// fetch asks the leader once, if it leads under at least the given epoch. After an error the metadata has been refreshed
// as far as that is possible.
func (r *reader) fetch(offset int64, atLeast int32) (fetched, error) {
	if r.closed.Load() {
		return fetched{}, sarama.ErrClosedClient
	}
	before := r.shared.closures()
	leader, epoch, err := r.client.LeaderAndEpoch(r.topic, r.part)
	if err != nil {
		return fetched{}, err // it has refreshed the metadata itself
	}
	if epoch < atLeast {
		_ = r.client.RefreshMetadata(r.topic) // the next look tells
		return fetched{}, errDeposed
	}
	req := &sarama.FetchRequest{
		Version: 11, MinBytes: 1, MaxWaitTime: int32(r.cfg.MaxWait / time.Millisecond), MaxBytes: int32(r.cfg.MaxBytes),
		Isolation: sarama.ReadUncommitted, SessionEpoch: -1, // no fetch session
	}
	req.AddBlock(r.topic, r.part, offset, int32(r.cfg.MaxBytes), epoch)
	resp, err := leader.Fetch(req)
	if err != nil {
		if r.shared.first(before) {
			_ = leader.Close() // it is opened again when it is next asked for
		}
		_ = r.client.RefreshMetadata(r.topic)
		return fetched{}, err
	}
	block := resp.GetBlock(r.topic, r.part)
	switch {
	case block == nil:
		return fetched{}, sarama.ErrIncompleteResponse
	case errors.Is(block.Err, sarama.ErrNoError):
		return fetched{block, epoch}, nil
	case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
		return fetched{epoch: epoch}, block.Err
	case errors.Is(block.Err, sarama.ErrUnknownTopicOrPartition):
		// From a broker that no longer holds the partition; whether the topic exists is for the metadata to say.
		if err := r.client.RefreshMetadata(r.topic); err != nil {
			return fetched{}, err
		}
		return fetched{}, sarama.ErrNotLeaderForPartition
	default:
		_ = r.client.RefreshMetadata(r.topic)
		return fetched{}, block.Err
	}
}

// unpack turns a fetch response into records from offset on, and says where to go on. A batch that begins before the
// offset comes whole, so its beginning is left out; control records are not for readers.
func unpack(block *sarama.FetchResponseBlock, offset int64) (port.Batch, int64) {
	out := port.Batch{HighWatermark: block.HighWaterMarkOffset}
	next := offset
	for _, set := range block.RecordsSet {
		b := set.RecordBatch
		if b == nil || b.PartialTrailingRecord && len(b.Records) == 0 {
			continue
		}
		if last := b.FirstOffset + int64(b.LastOffsetDelta) + 1; !b.PartialTrailingRecord && last > next {
			next = last
		}
		if b.Control {
			continue
		}
		out.Records = slices.Grow(out.Records, len(b.Records))
		for _, rec := range b.Records {
			o := b.FirstOffset + rec.OffsetDelta
			if o < offset {
				continue
			}
			at := b.FirstTimestamp.Add(rec.TimestampDelta)
			if b.LogAppendTime {
				at = b.MaxTimestamp
			}
			out.Records = append(out.Records, port.Fetched{Offset: o, Record: port.Record{Key: rec.Key, Value: rec.Value, Time: at, Number: numberOf(rec.Headers)}})
			next = max(next, o+1)
		}
	}
	return out, next
}
