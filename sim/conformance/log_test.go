package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/sim/zookeeper"
)

func TestLogOnTheModel(t *testing.T) {
	t.Parallel()
	for _, row := range Log() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				if err := logOnModel(seed, row); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// logOnModel runs one row on a fresh cluster.
func logOnModel(seed uint64, row LogRow) error {
	m := newStorageModel(seed)
	defer m.s.Close()
	zk := zookeeper.New(m.s, m.n, zookeeper.Config{Nodes: []string{"zk1", "zk2", "zk3"}})
	for _, name := range zk.Nodes() {
		zk.StartNode(name)
	}
	cfg := kafka.DefaultConfig()
	cluster := kafka.New(m.s, m.n, zk, cfg)
	for i := range cfg.Brokers {
		if err := cluster.StartBroker(fmt.Sprint("kafka", i+1)); err != nil {
			return err
		}
	}
	e := &LogEnv{Runtime: m.p[0], Log: cluster.Client(m.nodes[0], m.p[0]), Numbered: modelNumbers{cluster.Numbered(m.nodes[0], m.p[0])}, Topic: "row"}
	registered := func(ctx context.Context, want ...int32) error {
		ids, err := e.Log.Admin().Brokers(ctx)
		for _, id := range want {
			if err == nil && !slices.Contains(ids, id) {
				err = fmt.Errorf("broker %d is not among %v", id, ids)
			}
		}
		return err
	}
	e.Kill = func(_ context.Context, id int32) error { return cluster.KillBroker(fmt.Sprint("kafka", id)) }
	e.Restart = func(ctx context.Context, id int32) error {
		return errors.Join(cluster.StartBroker(fmt.Sprint("kafka", id)), m.await(ctx, func(ctx context.Context) error { return registered(ctx, id) }))
	}
	return m.run(func(ctx context.Context) error { return registered(ctx, 1, 2, 3) }, func(ctx context.Context) error {
		ctx, cancel := m.p[0].WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		return row.Check(ctx, e)
	})
}

// modelNumbers names the model's answers.
type modelNumbers struct{ *kafka.Numbered }

func (n modelNumbers) Append(ctx context.Context, topic string, partition int32, as kafka.Numbers, values ...string) (int64, error) {
	offset, err := n.Numbered.Append(ctx, topic, partition, as, values...)
	for _, known := range []error{ErrOutOfOrder, ErrOldEpoch} {
		if errors.Is(err, kafka.AnswerError(known.Error())) {
			return offset, known
		}
	}
	return offset, err
}
