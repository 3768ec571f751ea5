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
	"github.com/ratel-sim/ratel/system/port"
)

func TestGroupsOnTheModel(t *testing.T) {
	t.Parallel()
	for _, row := range Groups() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				if err := groupsOnModel(seed, row); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// groupsOnModel runs one row on a fresh cluster.
func groupsOnModel(seed uint64, row GroupsRow) error {
	m := newStorageModel(seed)
	defer m.s.Close()
	zk := zookeeper.New(m.s, m.n, zookeeper.Config{Nodes: []string{"zk1", "zk2", "zk3"}})
	for _, name := range zk.Nodes() {
		zk.StartNode(name)
	}
	cluster := kafka.New(m.s, m.n, zk, kafka.DefaultConfig())
	name := func(id int32) string { return fmt.Sprint("kafka", id) }
	for id := range int32(3) {
		if err := cluster.StartBroker(name(id + 1)); err != nil {
			return err
		}
	}
	e := &GroupsEnv{Runtime: m.p[0], Log: cluster.Client(m.nodes[0], m.p[0]), Topic: "row", Group: "row-group"}
	e.Client = func() (port.Groups, error) {
		return cluster.Client(m.nodes[0], m.p[0]).(interface{ Groups() port.Groups }).Groups(), nil
	}
	registered := func(ctx context.Context, want ...int32) error {
		ids, err := e.Log.Admin().Brokers(ctx)
		for _, id := range want {
			if err == nil && !slices.Contains(ids, id) {
				err = fmt.Errorf("broker %d is not among %v", id, ids)
			}
		}
		return err
	}
	back := func(ctx context.Context, id int32, err error) error {
		return errors.Join(err, m.await(ctx, func(ctx context.Context) error { return registered(ctx, id) }))
	}
	e.Kill = func(_ context.Context, id int32) error { return cluster.KillBroker(name(id)) }
	e.Pause = func(_ context.Context, id int32) error { return cluster.PauseBroker(name(id)) }
	e.Restart = func(ctx context.Context, id int32) error { return back(ctx, id, cluster.StartBroker(name(id))) }
	e.Resume = func(ctx context.Context, id int32) error { return back(ctx, id, cluster.ResumeBroker(name(id))) }
	return m.run(func(ctx context.Context) error { return registered(ctx, 1, 2, 3) }, func(ctx context.Context) error {
		ctx, cancel := m.p[0].WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		return row.Check(ctx, e)
	})
}
