package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/mysql"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

func TestCatalogOnTheModel(t *testing.T) {
	t.Parallel()
	for _, row := range Metadata() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				if err := catalogOnModel(seed, row); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// storageModel is a simulation with two clients' processes.
type storageModel struct {
	s     *sched.Sim
	n     *simnet.Network
	nodes [2]*simnet.Node
	p     [2]*sched.Process
}

func newStorageModel(seed uint64) *storageModel {
	m := &storageModel{s: sched.New(seed)}
	m.n = simnet.New(m.s, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 300 * time.Microsecond, BytesPerSecond: 1 << 30})
	for i, name := range []string{"a", "b"} {
		m.nodes[i], m.p[i] = m.n.AddNode(name, ""), m.s.Process(name)
		m.nodes[i].Start(m.p[i])
	}
	return m
}

// run runs a row as a task of the first client, once ready says so.
func (m *storageModel) run(ready func(ctx context.Context) error, row func(ctx context.Context) error) error {
	failed := errors.New("the row did not finish within 10 minutes of virtual time")
	m.p[0].Foreground("row", func(ctx context.Context) {
		defer m.s.Stop()
		if failed = m.await(ctx, ready); failed == nil {
			failed = row(ctx)
		}
	})
	if err := m.s.Run(10 * time.Minute); err != nil {
		return err
	}
	return failed
}

// await waits until ready.
func (m *storageModel) await(ctx context.Context, ready func(ctx context.Context) error) error {
	e := &Env{Runtime: m.p[0]}
	return e.eventually(ctx, time.Minute, "the server is ready", func() (bool, error) {
		err := ready(ctx)
		return err == nil, err
	})
}

// catalogOnModel runs one row on a fresh database.
func catalogOnModel(seed uint64, row CatalogRow) error {
	m := newStorageModel(seed)
	defer m.s.Close()
	srv := mysql.New(m.s, m.n, mysql.Config{})
	srv.Start()
	e := &CatalogEnv{Runtime: m.p[0], A: srv.Client(m.nodes[0], m.p[0]), B: srv.Client(m.nodes[1], m.p[0]), Name: "row"}
	answers := func(ctx context.Context) error { _, err := e.B.SchemaVersion(ctx); return err }
	do := func(f func()) func(context.Context) error {
		return func(context.Context) error { f(); return nil }
	}
	e.New = func() (port.Metadata, error) { return srv.Client(m.nodes[0], m.p[0]), nil }
	e.Kill, e.Pause, e.Resume = do(srv.Kill), do(srv.Pause), do(srv.Resume)
	e.Errors = func(_ context.Context, rate float64) error { srv.SetErrors(rate); return nil }
	e.Slow = func(_ context.Context, delay time.Duration) error { srv.SetSlow(delay); return nil }
	e.Restart = func(ctx context.Context) error {
		srv.Start()
		return m.await(ctx, answers)
	}
	e.Hold = func(_ context.Context, id int64) (func(), error) {
		release, ok := srv.HoldDataset(id)
		if !ok {
			return nil, errors.New("the row cannot be locked")
		}
		return release, nil
	}
	e.SetSchema = func(_ context.Context, version int64) error { srv.Migrate(version); return nil }
	return m.run(answers, func(ctx context.Context) error { return row.Check(ctx, e) })
}
