package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
)

// Answers of a leader to a numbered batch.
var (
	ErrOutOfOrder = errors.New("OUT_OF_ORDER_SEQUENCE_NUMBER")
	ErrOldEpoch   = errors.New("INVALID_PRODUCER_EPOCH")
)

// Numbered speaks to brokers as an idempotent producer does, one request at a time (KIP-98).
type Numbered interface {
	// Begin returns a new producer ID; its epoch is 0. After an error it may be tried again.
	Begin(ctx context.Context) (id int64, err error)
	// Append sends one batch, with acks=all, to the partition's leader, and returns the offset that it answers with. Errors
	// match ErrOutOfOrder and ErrOldEpoch; after others it may be tried again.
	Append(ctx context.Context, topic string, partition int32, n kafka.Numbers, values ...string) (offset int64, err error)
}

// numberRows is the part of the Log table that is about idempotent producers.
func numberRows() []LogRow {
	return []LogRow{
		{"a numbered batch that is sent again is in the log once, and the answer says where", numberedAgain},
		{"a numbered batch behind a gap is refused, and so is one that overlaps", numberedGap},
		{"the last five numbered batches are known", numberedFive},
		{"an epoch begins at 0, and fences the one before", numberedEpochs},
		{"a producer that the leader does not know may begin anywhere", numberedAnywhere},
		{"numbers are known after a failover", numberedFailover},
	}
}

// step is a batch and what the leader has to answer.
type step struct {
	epoch  int16
	first  int32
	values []string
	offset int64
	err    error
}

// sendNumbered sends batches of one producer, one after the other.
func (e *LogEnv) sendNumbered(ctx context.Context, id int64, steps []step) error {
	for i, s := range steps {
		offset, err := e.append(ctx, kafka.Numbers{Producer: id, Epoch: s.epoch, First: s.first}, s.values)
		if !errors.Is(err, s.err) || err == nil && offset != s.offset {
			return fmt.Errorf("batch %d (epoch %d, number %d, %q): offset %d, %w; expected offset %d, %w", i+1, s.epoch, s.first, s.values, offset, err, s.offset, s.err)
		}
	}
	return nil
}

// begin asks for a producer ID until there is one: a broker that has just started has none to give.
func (e *LogEnv) begin(ctx context.Context) (id int64, err error) {
	err = (&Env{Runtime: e.Runtime}).eventually(ctx, 30*time.Second, "a producer ID", func() (bool, error) {
		id, err = e.Numbered.Begin(ctx)
		return err == nil, err
	})
	return id, err
}

// append sends a batch until its leader has answered.
func (e *LogEnv) append(ctx context.Context, n kafka.Numbers, values []string) (offset int64, answer error) {
	whole := &Env{Runtime: e.Runtime}
	err := whole.eventually(ctx, 30*time.Second, "an answer", func() (bool, error) {
		offset, answer = e.Numbered.Append(ctx, e.Topic, 0, n, values...)
		return answer == nil || errors.Is(answer, ErrOutOfOrder) || errors.Is(answer, ErrOldEpoch), answer
	})
	return offset, errors.Join(err, answer)
}

// sends is a row: a producer's batches, one after the other, and what must be in the log in the end.
func sends(steps []step, want ...string) func(context.Context, *LogEnv) error {
	return func(ctx context.Context, e *LogEnv) error {
		if err := e.create(ctx, 1); err != nil {
			return err
		}
		id, err := e.begin(ctx)
		if err != nil {
			return err
		}
		if err := e.sendNumbered(ctx, id, steps); err != nil {
			return err
		}
		return e.holds(ctx, want)
	}
}

// holds says whether exactly these values are in the log.
func (e *LogEnv) holds(ctx context.Context, want []string) error {
	records, err := e.readAll(ctx)
	if err != nil {
		return err
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r.Value))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("the log has %q, expected %q", got, want)
	}
	return nil
}

var numberedAgain = sends([]step{
	{0, 0, []string{"a", "b"}, 0, nil},
	{0, 0, []string{"a", "b"}, 0, nil},
	{0, 2, []string{"c"}, 2, nil},
	{0, 0, []string{"a", "b"}, 0, nil},
	{0, 2, []string{"c"}, 2, nil},
}, "a", "b", "c")

var numberedGap = sends([]step{
	{0, 0, []string{"a", "b"}, 0, nil},
	{0, 3, []string{"d"}, -1, ErrOutOfOrder},
	{0, 1, []string{"b", "c"}, -1, ErrOutOfOrder},
	{0, 0, []string{"a"}, -1, ErrOutOfOrder}, // a part of a batch is not that batch
	{0, 2, []string{"c"}, 2, nil},
}, "a", "b", "c")

var numberedFive = sends([]step{
	{0, 0, []string{"a"}, 0, nil}, {0, 1, []string{"b"}, 1, nil}, {0, 2, []string{"c"}, 2, nil},
	{0, 3, []string{"d"}, 3, nil}, {0, 4, []string{"e"}, 4, nil}, {0, 5, []string{"f"}, 5, nil},
	{0, 1, []string{"b"}, 1, nil},
	{0, 0, []string{"a"}, -1, ErrOutOfOrder},
}, "a", "b", "c", "d", "e", "f")

var numberedEpochs = sends([]step{
	{0, 0, []string{"a"}, 0, nil},
	{1, 1, []string{"b"}, -1, ErrOutOfOrder},
	{1, 0, []string{"b"}, 1, nil},
	{0, 1, []string{"c"}, -1, ErrOldEpoch},
	{0, 0, []string{"a"}, -1, ErrOldEpoch},
	{1, 1, []string{"c"}, 2, nil},
}, "a", "b", "c")

var numberedAnywhere = sends([]step{
	{0, 41, []string{"a"}, 0, nil},
	{0, 0, []string{"b"}, -1, ErrOutOfOrder},
	{0, 42, []string{"b"}, 1, nil},
}, "a", "b")

// numberedFailover: what a leader knows of producers, its followers know by their logs (KIP-98).
func numberedFailover(ctx context.Context, e *LogEnv) error {
	if err := e.create(ctx, 1); err != nil {
		return err
	}
	id, err := e.begin(ctx)
	if err != nil {
		return err
	}
	if err := e.sendNumbered(ctx, id, []step{{0, 0, []string{"a"}, 0, nil}, {0, 1, []string{"b", "c"}, 1, nil}}); err != nil {
		return err
	}
	parts, err := e.Log.Admin().Describe(ctx, e.Topic)
	if err != nil {
		return err
	}
	if err := e.Kill(ctx, parts[0].Leader); err != nil {
		return err
	}
	err = e.sendNumbered(ctx, id, []step{
		{0, 1, []string{"b", "c"}, 1, nil},
		{0, 0, []string{"a"}, 0, nil},
		{0, 4, []string{"e"}, -1, ErrOutOfOrder},
		{0, 3, []string{"d"}, 3, nil},
	})
	if err == nil {
		err = e.holds(ctx, []string{"a", "b", "c", "d"})
	}
	return errors.Join(err, e.Restart(ctx, parts[0].Leader))
}
