package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// LogRow is one behaviour of the Log port.
type LogRow struct {
	Name  string
	Check func(ctx context.Context, e *LogEnv) error
}

// LogEnv is what a row of the Log table runs in: a cluster of three brokers.
type LogEnv struct {
	Runtime rt.Runtime
	Log     port.Log
	// Numbered is for the rows about idempotent producers.
	Numbered Numbered
	// Topic is a name that no other row uses. There is no such topic yet.
	Topic string
	// Kill kills a broker by its ID. Restart starts it again and returns when it is registered.
	Kill, Restart func(ctx context.Context, broker int32) error
}

// Log is the table of the Log port. Sources: the comments of system/port, Kafka 3.9's protocol guide and design
// documentation (replication, high watermark, KIP-101), and Sarama for what its clients add.
func Log() []LogRow {
	return append([]LogRow{
		{"offsets are dense and in the order of produce", denseOffsets},
		{"records come back as they were produced", sameRecords},
		{"partitions count for themselves", ownOffsets},
		{"a fetch ends at the high watermark", highWatermark},
		{"a fetch at the end waits and returns nothing", fetchAtEnd},
		{"an offset outside of the log is out of range", outOfRange},
		{"a small fetch still returns a record", smallFetch},
		{"a record that is too large is refused, and leaves nothing", tooLarge},
		{"acks=0 does not tell the offset", acksNone},
		{"what is missing is no topic", missingTopic},
		{"a topic is created once", createTwice},
		{"a topic grows: what is there stays, and new partitions are empty", growTopic},
		{"a topic does not shrink", shrinkTopic},
		{"a closed producer has sent what it was given", closedProducer},
		{"accepted records outlive their leader, in order", leaderKilled},
		{"too few in-sync replicas: nothing is accepted, and it goes on when they are back", underMinISR},
	}, numberRows()...)
}

func (e *LogEnv) create(ctx context.Context, partitions int32) error {
	spec := port.TopicSpec{Name: e.Topic, Partitions: partitions, Replication: 3, MinISR: 2}
	if err := e.Log.Admin().CreateTopic(ctx, spec); err != nil {
		return err
	}
	whole := &Env{Runtime: e.Runtime}
	return whole.eventually(ctx, 30*time.Second, "full ISRs", func() (bool, error) {
		parts, err := e.Log.Admin().Describe(ctx, e.Topic)
		if err != nil || len(parts) != int(partitions) {
			return false, err
		}
		for _, p := range parts {
			if p.Leader < 0 || len(p.ISR) != 3 {
				return false, nil
			}
		}
		return true, nil
	})
}

func (e *LogEnv) producer() (port.Producer, error) {
	return e.Log.NewProducer(port.DefaultProducerConfig("conformance"))
}

// produce sends values to a partition and waits for their offsets.
func (e *LogEnv) produce(ctx context.Context, p port.Producer, partition int32, values ...string) (offsets []int64, err error) {
	var futures []*rt.Future[int64]
	for _, v := range values {
		futures = append(futures, p.Produce(e.Topic, partition, port.Record{Value: []byte(v), Time: e.Runtime.Now()}))
	}
	for i, f := range futures {
		offset, err := f.Wait(ctx)
		if err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, len(futures), err)
		}
		offsets = append(offsets, offset)
	}
	return offsets, nil
}

// topic creates the row's topic with one partition and values in it.
func (e *LogEnv) topic(ctx context.Context, values ...string) (port.Producer, error) {
	if err := e.create(ctx, 1); err != nil {
		return nil, err
	}
	p, err := e.producer()
	if err != nil {
		return nil, err
	}
	_, err = e.produce(ctx, p, 0, values...)
	return p, err
}

func (e *LogEnv) reader(offset int64) (port.Reader, error) {
	return e.Log.NewReader(port.DefaultReaderConfig("conformance"), e.Topic, 0, offset)
}

// readAll reads the first partition's log up to its high watermark.
func (e *LogEnv) readAll(ctx context.Context) ([]port.Fetched, error) {
	_, high, err := e.Log.Admin().Offsets(ctx, e.Topic, 0)
	if err != nil {
		return nil, err
	}
	return e.read(ctx, 0, 0, int(high))
}

// read reads n records from an offset on and checks their offsets and the high watermark.
func (e *LogEnv) read(ctx context.Context, partition int32, from int64, n int) ([]port.Fetched, error) {
	r, err := e.Log.NewReader(port.DefaultReaderConfig("conformance"), e.Topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	ctx, cancel := e.Runtime.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var all []port.Fetched
	for len(all) < n {
		b, err := r.Fetch(ctx)
		if err != nil {
			return nil, fmt.Errorf("after %d of %d records: %w", len(all), n, err)
		}
		for _, rec := range b.Records {
			if want := from + int64(len(all)); rec.Offset != want || rec.Offset >= b.HighWatermark {
				return nil, fmt.Errorf("offset %d, expected %d, below the high watermark %d", rec.Offset, want, b.HighWatermark)
			}
			all = append(all, rec)
		}
		if want := from + int64(len(all)); r.Offset() != want {
			return nil, fmt.Errorf("the reader is at %d, expected %d", r.Offset(), want)
		}
	}
	return all, nil
}

func numbered(from, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("value ", from+i)
	}
	return values
}

func denseOffsets(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx)
	if err != nil {
		return err
	}
	offsets, err := e.produce(ctx, p, 0, numbered(0, 500)...)
	if err != nil {
		return err
	}
	for i, o := range offsets {
		if o != int64(i) {
			return fmt.Errorf("record %d is at offset %d", i, o)
		}
	}
	records, err := e.read(ctx, 0, 0, 500)
	if err != nil {
		return err
	}
	for i, r := range records {
		if string(r.Value) != fmt.Sprint("value ", i) {
			return fmt.Errorf("offset %d holds %q", i, r.Value)
		}
	}
	return p.Close(ctx)
}

func sameRecords(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx)
	if err != nil {
		return err
	}
	want := []port.Record{
		{Key: []byte("key"), Value: []byte("value"), Time: time.UnixMilli(1_700_000_000_123)},
		{Value: bytes.Repeat([]byte{0, 255, 'x'}, 100_000), Time: time.UnixMilli(1)},
		{Key: []byte{0}, Value: []byte{}, Time: time.UnixMilli(1_800_000_000_000)},
	}
	for _, r := range want {
		if _, err := p.Produce(e.Topic, 0, r).Wait(ctx); err != nil {
			return err
		}
	}
	got, err := e.read(ctx, 0, 0, len(want))
	if err != nil {
		return err
	}
	for i, w := range want {
		if g := got[i]; !bytes.Equal(g.Key, w.Key) || !bytes.Equal(g.Value, w.Value) || !g.Time.Equal(w.Time) {
			return fmt.Errorf("record %d: key %q, %d bytes, time %v; expected key %q, %d bytes, time %v", i, g.Key, len(g.Value), g.Time, w.Key, len(w.Value), w.Time)
		}
	}
	return p.Close(ctx)
}

func ownOffsets(ctx context.Context, e *LogEnv) error {
	if err := e.create(ctx, 3); err != nil {
		return err
	}
	p, err := e.producer()
	if err != nil {
		return err
	}
	for round := range int64(3) {
		for partition := range int32(3) {
			offsets, err := e.produce(ctx, p, partition, "x")
			if err != nil || offsets[0] != round {
				return fmt.Errorf("partition %d, round %d: offsets %v, %w", partition, round, offsets, err)
			}
		}
	}
	return p.Close(ctx)
}

func highWatermark(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, numbered(0, 100)...)
	if err != nil {
		return err
	}
	whole := &Env{Runtime: e.Runtime}
	if err := whole.eventually(ctx, 10*time.Second, "the offsets 0 to 100", func() (bool, error) {
		start, end, err := e.Log.Admin().Offsets(ctx, e.Topic, 0)
		return start == 0 && end == 100, fmt.Errorf("%d to %d, %w", start, end, err)
	}); err != nil {
		return err
	}
	if _, err := e.read(ctx, 0, 0, 100); err != nil {
		return err
	}
	return p.Close(ctx)
}

func fetchAtEnd(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, "one", "two")
	if err != nil {
		return err
	}
	r, err := e.reader(2)
	if err != nil {
		return err
	}
	defer r.Close()
	began := e.Runtime.Now()
	b, err := r.Fetch(ctx)
	if took := e.Runtime.Now().Sub(began); err != nil || len(b.Records) != 0 || took > 5*time.Second {
		return fmt.Errorf("a fetch at the end: %d records after %v, %w", len(b.Records), took, err)
	}
	if _, err := e.produce(ctx, p, 0, "three"); err != nil {
		return err
	}
	for range 50 {
		if b, err = r.Fetch(ctx); err != nil || len(b.Records) > 0 {
			break
		}
	}
	if err != nil || len(b.Records) != 1 || b.Records[0].Offset != 2 || string(b.Records[0].Value) != "three" {
		return fmt.Errorf("the record that came: %+v, %w", b.Records, err)
	}
	return p.Close(ctx)
}

func outOfRange(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, numbered(0, 5)...)
	if err != nil {
		return err
	}
	r, err := e.reader(105)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Fetch(ctx); !errors.Is(err, port.ErrOffsetOutOfRange) {
		return fmt.Errorf("fetch far beyond the end: %w, expected ErrOffsetOutOfRange", err)
	}
	if _, err := e.reader(-1); err == nil {
		return errors.New("a reader at offset -1 was taken")
	}
	return p.Close(ctx)
}

func smallFetch(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, string(bytes.Repeat([]byte("x"), 200_000)), "small")
	if err != nil {
		return err
	}
	cfg := port.DefaultReaderConfig("conformance")
	cfg.MaxBytes = 1000
	r, err := e.Log.NewReader(cfg, e.Topic, 0, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := e.Runtime.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for n := 0; n < 2; {
		b, err := r.Fetch(ctx)
		if err != nil {
			return fmt.Errorf("after %d records: %w", n, err)
		}
		n += len(b.Records)
	}
	return p.Close(ctx)
}

func tooLarge(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, "before")
	if err != nil {
		return err
	}
	_, err = p.Produce(e.Topic, 0, port.Record{Value: make([]byte, 3<<20)}).Wait(ctx)
	if err := refused("a record of 3 MiB", err, port.ErrTooLarge); err != nil {
		return err
	}
	offsets, err := e.produce(ctx, p, 0, "after")
	if err != nil || offsets[0] != 1 {
		return fmt.Errorf("the record after it: %v, %w; expected offset 1", offsets, err)
	}
	return p.Close(ctx)
}

func acksNone(ctx context.Context, e *LogEnv) error {
	if err := e.create(ctx, 1); err != nil {
		return err
	}
	cfg := port.DefaultProducerConfig("conformance")
	cfg.Acks, cfg.Idempotent = port.AcksNone, false
	p, err := e.Log.NewProducer(cfg)
	if err != nil {
		return err
	}
	offset, err := p.Produce(e.Topic, 0, port.Record{Value: []byte("x")}).Wait(ctx)
	if err != nil || offset != -1 {
		return fmt.Errorf("offset %d, %w; expected -1", offset, err)
	}
	if _, err := e.read(ctx, 0, 0, 1); err != nil {
		return err
	}
	return p.Close(ctx)
}

func missingTopic(ctx context.Context, e *LogEnv) error {
	r, err := e.reader(0)
	if err != nil {
		return err
	}
	defer r.Close()
	_, fetch := r.Fetch(ctx)
	_, describe := e.Log.Admin().Describe(ctx, e.Topic)
	_, _, offsets := e.Log.Admin().Offsets(ctx, e.Topic, 0)
	for what, err := range map[string]error{"fetch": fetch, "describe": describe, "offsets": offsets} { // order: any will do.
		if !errors.Is(err, port.ErrNoTopic) {
			return fmt.Errorf("%s: %w, expected ErrNoTopic", what, err)
		}
	}
	return nil
}

func createTwice(ctx context.Context, e *LogEnv) error {
	if err := e.create(ctx, 2); err != nil {
		return err
	}
	spec := port.TopicSpec{Name: e.Topic, Partitions: 2, Replication: 3, MinISR: 2}
	if err := e.Log.Admin().CreateTopic(ctx, spec); err != nil {
		return fmt.Errorf("again in the same shape: %w", err)
	}
	spec.Partitions = 3
	if err := e.Log.Admin().CreateTopic(ctx, spec); !errors.Is(err, port.ErrExists) {
		return fmt.Errorf("again in another shape: %w, expected ErrExists", err)
	}
	parts, err := e.Log.Admin().Describe(ctx, e.Topic)
	if err != nil || len(parts) != 2 {
		return fmt.Errorf("%d partitions, %w", len(parts), err)
	}
	for i, p := range parts {
		if p.Partition != int32(i) || len(p.Replicas) != 3 {
			return fmt.Errorf("partition %d: %+v", i, p)
		}
	}
	return nil
}

func closedProducer(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx)
	if err != nil {
		return err
	}
	var futures []*rt.Future[int64]
	for i := range 200 {
		futures = append(futures, p.Produce(e.Topic, 0, port.Record{Value: fmt.Append(nil, i)}))
	}
	if err := p.Close(ctx); err != nil {
		return err
	}
	for i, f := range futures {
		if offset, err, done := f.Peek(); !done || err != nil || offset != int64(i) {
			return fmt.Errorf("record %d after Close: done %v, offset %d, %w", i, done, offset, err)
		}
	}
	_, err = e.read(ctx, 0, 0, 200)
	return err
}

func leaderKilled(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, numbered(0, 100)...)
	if err != nil {
		return err
	}
	before, err := e.Log.Admin().Describe(ctx, e.Topic)
	if err != nil {
		return err
	}
	old := before[0].Leader
	if err := e.Kill(ctx, old); err != nil {
		return err
	}
	if _, err := e.produce(ctx, p, 0, numbered(100, 100)...); err != nil {
		return err
	}
	after, err := e.Log.Admin().Describe(ctx, e.Topic)
	if err != nil || after[0].Leader == old || after[0].LeaderEpoch <= before[0].LeaderEpoch {
		return fmt.Errorf("after the leader's death: %+v, %w; before: %+v", after, err, before)
	}
	records, err := e.readAll(ctx)
	if err != nil {
		return err
	}
	for i, r := range records {
		if string(r.Value) != fmt.Sprint("value ", i) {
			return fmt.Errorf("offset %d has %q: the producer is idempotent, so each record is there once, in order", i, r.Value)
		}
	}
	if len(records) != 200 {
		return fmt.Errorf("%d records, expected 200", len(records))
	}
	return errors.Join(p.Close(ctx), e.Restart(ctx, old))
}
