package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

// unknownTopicTries is how many brokers in a row must deny a topic before a reader believes it: one that has just been
// created is not known everywhere.
const unknownTopicTries = 4

// readerMaxDial is how long a reader waits for a connection.
const readerMaxDial = time.Second

// reader implements port.Reader over one client.
type reader struct {
	k      *client
	cfg    port.ReaderConfig
	ref    *tpRef
	offset int64
	req    *fetchRequest // the last one, if it was answered
}

// Offset implements port.Reader.
func (r *reader) Offset() int64 { return r.offset }

// Close implements port.Reader. What shared readers have in common stays open for the others.
func (r *reader) Close() {
	if !r.cfg.Shared {
		r.k.close()
	}
}

// Fetch implements port.Reader.
func (r *reader) Fetch(ctx context.Context) (port.Batch, error) {
	denied := 0
	for {
		if err := ctx.Err(); err != nil {
			return port.Batch{}, err
		}
		l, ok := r.k.leader(r.ref)
		if !ok {
			if err := r.k.refreshWait(ctx, r.ref.topic); err == nil {
				if l, ok = r.k.leader(r.ref); !ok && r.k.view(r.ref.topic).code == codeUnknownTopicOrPartition {
					denied++
				}
			}
			if denied >= unknownTopicTries {
				return port.Batch{}, fmt.Errorf("kafka: fetch %s/%d: %w", r.ref.topic, r.ref.part, port.ErrNoTopic)
			}
			if !ok {
				if err := r.pause(ctx); err != nil {
					return port.Batch{}, err
				}
				continue
			}
		}
		got, err := r.fetchFrom(ctx, l)
		switch {
		case err != nil && ctx.Err() != nil:
			return port.Batch{}, ctx.Err()
		case err == nil && got.code == codeNone:
			return r.take(got), nil
		case err == nil && got.code == codeOffsetOutOfRange && r.confirmed(ctx, l):
			return port.Batch{}, fmt.Errorf("kafka: fetch %s/%d at offset %d, log starts at %d, high watermark %d: %w",
				r.ref.topic, r.ref.part, r.offset, got.start, got.hw, port.ErrOffsetOutOfRange)
		}
		r.k.forget(r.ref)
		if err := r.pause(ctx); err != nil {
			return port.Batch{}, err
		}
	}
}

// confirmed asks all brokers whether the leader that called the offset out of range is the leader: one that has been
// deposed and cut off ends where it was cut off, and neither it nor the metadata it gives knows better.
func (r *reader) confirmed(ctx context.Context, l leaderOf) bool {
	resps, err := r.k.everyone(ctx, []string{r.ref.topic})
	if err != nil {
		return false
	}
	for _, resp := range resps {
		r.k.take(resp)
	}
	now := r.k.leaders[r.ref.idx]
	return now.epoch == l.epoch && now.id == l.id
}

func (r *reader) pause(ctx context.Context) error {
	return r.k.p.Sleep(ctx, max(r.cfg.Backoff, time.Millisecond))
}

// fetchFrom asks the leader once. What it returns is good until the next call: a request that was answered, and the answer, are
// used again.
func (r *reader) fetchFrom(ctx context.Context, l leaderOf) (*fetchedPart, error) {
	req := r.req
	if r.req = nil; req == nil {
		req = &fetchRequest{replica: noBroker, maxWait: r.cfg.MaxWait, maxBytes: r.cfg.MaxBytes}
	}
	req.parts = append(req.inline[:0], fetchPart{r.ref, r.offset, l.epoch})
	body, err := r.k.ask(ctx, l.id, simnet.Message{Body: req, Size: headerBytes + perPartBytes, Sum: uint64(r.offset)})
	if err != nil {
		return nil, err
	}
	resp := body.(*fetchResponse)
	req.spent, r.req = resp, req
	if len(resp.parts) == 0 {
		return nil, errors.New("fetch response without the partition asked for")
	}
	return &resp.parts[0], nil
}

// take returns what was fetched, a single batch as it lies in the log. A batch that begins before the offset asked for comes
// whole; the client leaves out its beginning.
func (r *reader) take(got *fetchedPart) port.Batch {
	out := port.Batch{HighWatermark: got.hw}
	n := 0
	for _, b := range got.batches {
		n += len(b.recs)
	}
	if n == 0 {
		return out
	}
	first := got.batches[0]
	out.Records = slices.Clip(first.recs[max(r.offset-first.base, 0):])
	if rest := got.batches[1:]; len(rest) > 0 {
		out.Records = append(make([]port.Fetched, 0, n), out.Records...)
		for _, b := range rest {
			out.Records = append(out.Records, b.recs...)
		}
	}
	r.offset = got.batches[len(got.batches)-1].next()
	return out
}

// forget drops what is known of a partition's leader, so that the metadata is asked for again.
func (k *client) forget(ref *tpRef) {
	if ref.idx < len(k.leaders) {
		k.leaders[ref.idx].known = false
	}
}
