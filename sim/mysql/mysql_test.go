package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// world is a server and two clients on nodes of their own.
type world struct {
	t    testing.TB
	sim  *sched.Sim
	net  *simnet.Network
	srv  *Server
	p, q *sched.Process
	c, d port.Metadata
}

func newWorld(t testing.TB, seed uint64, cfg Config) *world {
	w := &world{t: t, sim: sched.New(seed)}
	w.net = simnet.New(w.sim, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})
	w.srv = New(w.sim, w.net, cfg)
	w.srv.Start()
	client := func(name string) (*sched.Process, port.Metadata) {
		node, p := w.net.AddNode(name, ""), w.sim.Process(name)
		node.Start(p)
		return p, w.srv.Client(node, p)
	}
	w.p, w.c = client("c")
	w.q, w.d = client("d")
	return w
}

// run runs f as a task, once the server has booted.
func (w *world) run(f func(ctx context.Context)) {
	w.t.Helper()
	defer w.sim.Close()
	ended := false
	w.p.Foreground("test", func(ctx context.Context) {
		w.sleep(ctx, 3*time.Second)
		f(ctx)
		ended = true
		w.sim.Stop()
	})
	if err := w.sim.Run(time.Hour); err != nil {
		w.t.Fatal(err)
	}
	if !ended {
		w.t.Fatal("the test's task did not end within an hour of virtual time")
	}
}

func (w *world) sleep(ctx context.Context, d time.Duration) { _ = w.p.Sleep(ctx, d) }

// team creates the team of the test.
func (w *world) team(ctx context.Context) port.Team {
	w.t.Helper()
	team, err := w.c.CreateTeam(ctx, port.NewTeam{Name: "t", Key: "key"})
	if err != nil {
		w.t.Error(err)
	}
	return team
}

type operation struct {
	Kind string
	Name int
}

// TestAgainstAMap: random operations, with errors and restarts and without, against a map of the datasets' names. A
// certain outcome must be what is there; an unknown one may be either.
func TestAgainstAMap(t *testing.T) {
	t.Parallel()
	one := rapid.Custom(func(t *rapid.T) operation {
		return operation{
			Kind: rapid.SampledFrom([]string{"create", "create", "delete", "lookup", "columns", "limits", "crash"}).Draw(t, "kind"),
			Name: rapid.IntRange(0, 2).Draw(t, "name"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		ops := rapid.SliceOfN(one, 0, 40).Draw(rt, "operations")
		rate := rapid.SampledFrom([]float64{0, 0.3}).Draw(rt, "errors")
		w := newWorld(t, seed, Config{})
		var failed error
		w.run(func(ctx context.Context) {
			r := reference{w: w, team: w.team(ctx).ID, rate: rate, ids: map[string]int64{}, used: map[int64]bool{}}
			for i, op := range ops {
				if failed = r.step(ctx, op); failed != nil {
					failed = fmt.Errorf("operation %d, %+v: %w", i, op, failed)
					return
				}
			}
		})
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

type reference struct {
	w    *world
	team int64
	rate float64
	ids  map[string]int64
	used map[int64]bool
}

func (r *reference) step(ctx context.Context, op operation) error {
	name := []string{"one", "Two", "three/four"}[op.Name]
	id := r.ids[name]
	r.w.srv.SetErrors(r.rate)
	var err error
	switch op.Kind {
	case "create":
		var ds port.Dataset
		var created bool
		ds, created, err = r.w.c.CreateDataset(ctx, port.NewDataset{Team: r.team, Name: name, Spread: 2, Of: 5})
		switch {
		case err != nil:
		case created != (id == 0) || id != 0 && ds.ID != id || created && r.used[ds.ID]:
			return fmt.Errorf("created %v with ID %d, expected the dataset %d", created, ds.ID, id)
		case !slices.Equal(ds.Partitions, catalog.PartitionSet(ds.ID, 2, 5)) || ds.Slug != catalog.Slug(name) || ds.Team != r.team:
			return fmt.Errorf("created %+v", ds)
		}
	case "delete":
		err = r.w.c.DeleteDataset(ctx, id)
		if err == nil && id == 0 || errors.Is(err, port.ErrNotFound) && id != 0 {
			return fmt.Errorf("delete of %d: %w", id, err)
		}
	case "columns":
		err = r.w.c.AddColumns(ctx, id, []port.Column{{Name: "x", Types: port.ColumnInt}})
		if err == nil && id == 0 || errors.Is(err, port.ErrNotFound) && id != 0 {
			return fmt.Errorf("columns of %d: %w", id, err)
		}
	case "limits":
		err = r.w.c.SetDatasetLimits(ctx, id, port.Limits{EventsPerSecond: 5})
		if err == nil && id == 0 || errors.Is(err, port.ErrNotFound) && id != 0 {
			return fmt.Errorf("limits of %d: %w", id, err)
		}
	case "crash":
		r.w.srv.Kill()
		r.w.srv.Start()
	}
	return r.look(ctx, name, op, err)
}

// look compares what is there with what the operation's outcome says, and follows it.
func (r *reference) look(ctx context.Context, name string, op operation, outcome error) error {
	r.w.srv.SetErrors(0)
	var ds port.Dataset
	var err error
	for {
		if ds, err = r.w.c.Dataset(ctx, r.team, catalog.Slug(name)); err == nil || errors.Is(err, port.ErrNotFound) {
			break
		}
		r.w.sleep(ctx, 100*time.Millisecond)
	}
	before := ds.ID == r.ids[name]
	after := before
	switch op.Kind {
	case "create":
		after = ds.ID != 0
	case "delete":
		after = ds.ID == 0
	}
	switch {
	case outcome == nil && !after:
		return fmt.Errorf("succeeded and left %+v", ds)
	case (errors.Is(outcome, port.ErrRefused) || errors.Is(outcome, port.ErrNotFound)) && !before:
		return fmt.Errorf("%w; the dataset was %d and is %d", outcome, r.ids[name], ds.ID)
	case !before && !after:
		return fmt.Errorf("%w; the dataset was %d and is %d", outcome, r.ids[name], ds.ID)
	}
	r.ids[name] = ds.ID
	r.used[ds.ID] = true
	return nil
}

// TestStuckTransaction: a client that stops between its work and its commit holds its lock, so that others run into the
// lock wait timeout; once its connection is gone they go on, and nothing of it is there.
func TestStuckTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{LockWait: time.Second})
	w.run(func(ctx context.Context) {
		team := w.team(ctx)
		stuck := w.d.(*client)
		w.q.Go("stuck", func(ctx context.Context) {
			k, err := stuck.take(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := stuck.call(ctx, k, &request{op: opCreateDataset, team: team.ID, name: "d", spread: 1, of: 1}); err != nil {
				t.Error(err)
			}
		})
		w.sleep(ctx, 100*time.Millisecond)
		began := w.sim.Now()
		_, _, err := w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "D", Spread: 1, Of: 1})
		if !errors.Is(err, port.ErrRefused) || w.sim.Now()-began < maxAttempts*time.Second {
			t.Errorf("create while another holds the lock: %v after %v", err, w.sim.Now()-began)
		}
		if _, created, err := w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "other", Spread: 1, Of: 1}); err != nil || !created {
			t.Errorf("another row: %v", err)
		}
		w.q.Kill()
		ds, created, err := w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "D", Spread: 1, Of: 1})
		if err != nil || !created {
			t.Errorf("after the end of the stuck client: %+v, %v, %v", ds, created, err)
		}
		if len(w.srv.run.locks) != 0 {
			t.Errorf("%d locks are left", len(w.srv.run.locks))
		}
	})
}

// TestSilentTransaction: a client that a cut link has silenced holds its lock until the server gives its connection up.
func TestSilentTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{})
	w.run(func(ctx context.Context) {
		team := w.team(ctx)
		stuck := w.d.(*client)
		w.q.Go("stuck", func(ctx context.Context) {
			if k, err := stuck.take(ctx); err == nil {
				_, _ = stuck.call(ctx, k, &request{op: opSetTeamLimits, team: team.ID, limits: port.Limits{EventsPerSecond: 1}})
			}
			w.net.Cut("d", "mysql")
		})
		w.sleep(ctx, 100*time.Millisecond)
		if err := w.c.SetTeamLimits(ctx, team.ID, port.Limits{}, port.Limits{}); !errors.Is(err, port.ErrRefused) {
			t.Errorf("while the lock is held: %v", err)
		}
		w.sleep(ctx, 30*time.Second)
		if err := w.c.SetTeamLimits(ctx, team.ID, port.Limits{EventsPerSecond: 2}, port.Limits{}); err != nil {
			t.Errorf("after wait_timeout: %v", err)
		}
	})
}

// TestAmbiguousCommit: over many crashes at any moment of a commit, what was told certainly is so, and both outcomes of
// the unknown ones occur.
func TestAmbiguousCommit(t *testing.T) {
	t.Parallel()
	there, gone := 0, 0
	for seed := range uint64(150) {
		w := newWorld(t, seed, Config{Fsync: 2 * time.Millisecond})
		w.run(func(ctx context.Context) {
			team := w.team(ctx)
			done := rt.NewFuture[error](w.p)
			w.p.Go("create", func(ctx context.Context) {
				_, _, err := w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "d", Spread: 1, Of: 1})
				done.Complete(err, nil)
			})
			w.sleep(ctx, time.Duration(seed)*30*time.Microsecond)
			w.srv.Kill()
			w.srv.Start()
			outcome, _ := done.Wait(ctx)
			w.sleep(ctx, 3*time.Second)
			_, err := w.c.Dataset(ctx, team.ID, "d")
			switch {
			case outcome == nil && err != nil:
				t.Errorf("seed %d: created, then %v", seed, err)
			case errors.Is(outcome, port.ErrRefused) && !errors.Is(err, port.ErrNotFound):
				t.Errorf("seed %d: refused (%v), then %v", seed, outcome, err)
			case errors.Is(outcome, port.ErrUnknown) && err == nil:
				there++
			case errors.Is(outcome, port.ErrUnknown):
				gone++
			}
		})
	}
	if there == 0 || gone == 0 {
		t.Errorf("unknown commits: %d took effect, %d did not; expected both", there, gone)
	}
}

func TestMissingSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{Unmigrated: true})
	w.run(func(ctx context.Context) {
		if v, err := w.c.SchemaVersion(ctx); err != nil || v != 0 {
			t.Errorf("version %d, %v", v, err)
		}
		if _, err := w.c.CreateTeam(ctx, port.NewTeam{Name: "t", Key: "k"}); !errors.Is(err, port.ErrSchema) {
			t.Errorf("create team without a schema: %v", err)
		}
		w.srv.Migrate(catalog.Schema)
		team := w.team(ctx)
		w.srv.Wipe()
		w.srv.Start()
		w.sleep(ctx, 3*time.Second)
		if _, err := w.c.TeamByKey(ctx, "key"); !errors.Is(err, port.ErrSchema) {
			t.Errorf("team %d after a replacement: %v", team.ID, err)
		}
	})
}

func TestAwayPausedSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{})
	w.run(func(ctx context.Context) {
		team := w.team(ctx)
		w.srv.Pause()
		began := w.sim.Now()
		if _, err := w.c.TeamByKey(ctx, "key"); !errors.Is(err, port.ErrRefused) || w.sim.Now()-began < readTimeout {
			t.Errorf("read of a paused server: %v after %v", err, w.sim.Now()-began)
		}
		w.srv.Resume()
		w.srv.SetSlow(500 * time.Millisecond)
		began = w.sim.Now()
		if err := w.c.SetTeamLimits(ctx, team.ID, port.Limits{}, port.Limits{}); err != nil || w.sim.Now()-began < time.Second {
			t.Errorf("a slow write: %v after %v", err, w.sim.Now()-began)
		}
		w.srv.SetSlow(0)
		w.srv.Kill()
		w.sleep(ctx, 10*time.Millisecond)
		began = w.sim.Now()
		if _, err := w.c.TeamByKey(ctx, "key"); !errors.Is(err, port.ErrRefused) || w.sim.Now()-began > 10*time.Millisecond {
			t.Errorf("read of a server that is down: %v after %v", err, w.sim.Now()-began)
		}
		w.srv.Start()
		w.sleep(ctx, 3*time.Second)
		if got, err := w.c.TeamByKey(ctx, "key"); err != nil || got != team {
			t.Errorf("after a restart: %+v, %v", got, err)
		}
	})
}

func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	hash := func() uint64 {
		w := newWorld(t, 7, Config{})
		w.run(func(ctx context.Context) {
			team := w.team(ctx)
			w.srv.SetErrors(0.3)
			for i := range 50 {
				_, _, _ = w.c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: fmt.Sprint(i % 20), Spread: 2, Of: 7})
			}
		})
		return w.sim.Hash()
	}
	if a, b := hash(), hash(); a != b {
		t.Errorf("hashes %x and %x", a, b)
	}
}

// TestStuckCounting: who stops between its work and its commit holds the partition's progress and the SLOs that it has
// counted for. Who waits for several of them needs every one, and others are not held up.
func TestStuckCounting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{})
	w.run(func(ctx context.Context) {
		team := w.team(ctx)
		var slos []int64
		for i := range 2 {
			d, err := w.c.Define(ctx, port.Definition{Team: team.ID, Kind: port.KindSLO, Name: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
			}
			slos = append(slos, d.ID)
		}
		step := func(partition int32, from int64, slos ...int64) port.Advance {
			a := port.Advance{Consumer: "c", Topic: "t", Partition: partition, From: from, To: from + 1}
			for _, id := range slos {
				a.Counts = append(a.Counts, port.SLOCount{SLO: id, Total: 1})
			}
			return a
		}
		// stop does the work of a step and returns how to commit it.
		stop := func(a port.Advance) func() {
			stuck := w.c.(*client)
			k, err := stuck.take(ctx)
			if err == nil {
				_, err = stuck.call(ctx, k, &request{op: opAdvance, advance: &a})
			}
			if err != nil {
				t.Error(err)
			}
			return func() {
				if _, err := stuck.call(ctx, k, &request{op: opCommit}); err != nil {
					t.Error(err)
				}
			}
		}
		first, second := stop(step(0, 0)), stop(step(1, 0, slos[0]))
		done := rt.NewFuture[struct{}](w.q)
		w.q.Go("waiter", func(ctx context.Context) { done.Complete(struct{}{}, w.d.Advance(ctx, step(0, 1, slos...))) })
		w.sleep(ctx, 500*time.Millisecond)
		if err := w.c.Advance(ctx, step(2, 0, slos[1])); err != nil {
			t.Errorf("beside them: %v", err)
		}
		first()
		w.sleep(ctx, 500*time.Millisecond)
		if done.Done() {
			t.Error("a step went on while an SLO of its was locked")
		}
		if err := w.c.Advance(ctx, step(2, 1)); err != nil {
			t.Errorf("beside them: %v", err)
		}
		second()
		if _, err := done.Wait(ctx); err != nil {
			t.Errorf("the waiter: %v", err)
		}
		for i, want := range []int64{2, 2} {
			counts, err := w.c.SLOCounts(ctx, slos[i], 0, 1)
			if err != nil || len(counts) != 1 || counts[0].Total != want {
				t.Errorf("SLO %d: %v, %v; expected %d", i, counts, err, want)
			}
		}
		third := stop(step(1, 1, slos[0]))
		if err := w.d.Undefine(ctx, slos[0]); !errors.Is(err, port.ErrRefused) {
			t.Errorf("undefine while it is counted for: %v", err)
		}
		if err := w.d.Advance(ctx, step(1, 1)); !errors.Is(err, port.ErrRefused) {
			t.Errorf("a step from where another is about to go: %v", err)
		}
		third()
		if err := w.d.Undefine(ctx, slos[0]); err != nil {
			t.Error(err)
		}
		if len(w.srv.run.locks) != 0 {
			t.Errorf("%d locks are left", len(w.srv.run.locks))
		}
	})
}
