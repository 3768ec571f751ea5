package ratel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// Workers that count SLOs meet a simulated group, log and database here, which know nothing of one another, under faults
// drawn at random. What is counted in the end is held against the log itself.

const countedSLI = `AND(LT($ms, 500), NOT(EQUALS($code, 500)))`

// minuteOfSLO is a minute of one dataset's only SLO.
type minuteOfSLO struct{ dataset, minute int64 }

// tallies are good and total.
type tallies map[minuteOfSLO][2]int64

// counting is one run: events are sent for a minute while faults come and go.
type counting struct {
	w          *sim.World
	partitions int32
	slos       map[int64]int64 // by dataset
}

// define makes two datasets with an SLO each; events of a third are not counted.
func (c *counting) define(ctx context.Context) error {
	team, err := c.w.Catalog().TeamByKey(ctx, system.TeamKey(system.DefaultTeam))
	if err != nil {
		return err
	}
	for _, name := range []string{"one", "two"} {
		ds, _, err := c.w.Catalog().CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: name, Spread: 3, Of: c.partitions})
		if err != nil {
			return err
		}
		define := func(kind port.DefinitionKind, name string, body any) error {
			data, err := json.Marshal(body)
			if err != nil {
				return err
			}
			def, err := c.w.Catalog().Define(ctx, port.Definition{Team: team.ID, Dataset: ds.ID, Kind: kind, Name: name, Body: data})
			c.slos[ds.ID] = def.ID // that of the last
			return err
		}
		if err := define(port.KindDerivedColumn, "sli", definition.DerivedColumn{Alias: "sli", Expression: countedSLI}); err != nil {
			return err
		}
		if err := define(port.KindSLO, "slo", definition.SLO{Name: "slo", SLI: definition.SLI{Alias: "sli"}, TargetPerMillion: 990_000, TimePeriodDays: 30}); err != nil {
			return err
		}
	}
	return nil
}

// client sends requests of random events of the last minutes.
func (c *counting) client(ctx context.Context, number int) {
	r := c.w.Runtime()
	for i := range 300 {
		_ = r.Sleep(ctx, 200*time.Millisecond)
		req := shepherd.Request{Team: system.TeamKey(system.DefaultTeam), Dataset: []string{"one", "two", "other"}[r.Rand().IntN(3)]}
		for range 1 + r.Rand().IntN(20) {
			req.Events = append(req.Events, event.Event{Time: r.Now().Add(-time.Duration(r.Rand().IntN(100)) * time.Second), SampleRate: 1 + r.Rand().Int64N(20), Fields: []event.Field{
				{Name: "ms", Value: event.IntValue(r.Rand().Int64N(1000))}, {Name: "code", Value: event.IntValue([]int64{200, 200, 500}[r.Rand().IntN(3)])},
			}})
		}
		limited, cancel := r.WithTimeout(ctx, 10*time.Second)
		_, _ = c.w.Ingests()[(number+i)%2].Send(limited, req)
		cancel()
	}
}

// fault draws what happens next: mostly to a worker, else to a broker or the database.
func (c *counting) fault() system.Fault {
	rnd := c.w.Runtime().Rand()
	kinds := []system.FaultKind{system.FaultKill, system.FaultStop, system.FaultPause, system.FaultPause}
	f := system.Fault{Kind: kinds[rnd.IntN(len(kinds))], Node: system.NodeName(system.RoleBeagle, 1+rnd.IntN(3))}
	mysql := system.NodeName(system.RoleMySQL, 1)
	switch rnd.IntN(8) {
	case 0:
		f.Node = system.NodeName(system.RoleKafka, 1+rnd.IntN(3))
	case 1:
		f = system.Fault{Kind: system.FaultErrors, Node: mysql, Rate: 0.5}
	case 2:
		f = system.Fault{Kind: system.FaultPause, Node: mysql}
	case 3:
		f = system.Fault{Kind: system.FaultSlow, Node: mysql, Delay: 500 * time.Millisecond}
	case 4:
		f = system.Fault{Kind: system.FaultIsolate, Node: f.Node, From: []string{"kafka1", "kafka2"}, Direction: system.Both}
	}
	return f
}

// settle waits until all partitions are counted to their end, then a while for what may still be under way.
func (c *counting) settle(ctx context.Context) error {
	r := c.w.Runtime()
	for began := r.Now(); ; {
		rows, err := c.w.Catalog().ProgressOf(ctx, beagle.Consumer, system.EventsTopic)
		done := err == nil && len(rows) == int(c.partitions)
		for _, row := range rows {
			_, high, err := c.w.Log().Admin().Offsets(ctx, system.EventsTopic, row.Partition)
			done = done && err == nil && row.Next == high
		}
		if done {
			return r.Sleep(ctx, 8*time.Second)
		}
		if r.Now().Sub(began) > 90*time.Second {
			return fmt.Errorf("not counted to the end 90 s after the last fault: %+v", rows)
		}
		if err := r.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// truth counts the distinct events of the log.
func (c *counting) truth(ctx context.Context) (tallies, error) {
	sli, err := expr.Parse(countedSLI)
	if err != nil {
		return nil, err
	}
	counts, seen := tallies{}, map[event.ID]bool{}
	for p := range c.partitions {
		_, high, err := c.w.Log().Admin().Offsets(ctx, system.EventsTopic, p)
		if err != nil {
			return nil, err
		}
		reader, err := c.w.Log().NewReader(port.DefaultReaderConfig("truth"), system.EventsTopic, p, 0)
		if err != nil {
			return nil, err
		}
		for reader.Offset() < high {
			batch, err := reader.Fetch(ctx)
			if err != nil {
				return nil, err
			}
			for _, rec := range batch.Records {
				chunk, err := event.DecodeChunk(rec.Value)
				if err != nil {
					return nil, err
				}
				for i := range chunk.Events {
					e := &chunk.Events[i]
					good, relevant := expr.Good(sli.Event(e))
					if seen[e.ID] || c.slos[chunk.Dataset.ID] == 0 || !relevant {
						continue
					}
					seen[e.ID] = true
					at := minuteOfSLO{chunk.Dataset.ID, e.Time.Unix() / 60 * 60}
					n := counts[at]
					n[1] += e.SampleRate
					if good {
						n[0] += e.SampleRate
					}
					counts[at] = n
				}
			}
		}
		reader.Close()
	}
	return counts, nil
}

// run returns what was counted and what should have been, and the run's hash.
func (c *counting) run(seed uint64, assignor string, static bool, bugs planted.Set) (got, want tallies, hash uint64, err error) {
	c.w, c.slos = sim.New(sim.Options{Seed: seed, Planted: bugs}), map[int64]int64{}
	topology := system.Default()
	topology.Beagles, topology.Queries, topology.Shepherds, topology.Replicas = 3, 0, 2, 1
	topology.Beagle.Assignor, topology.Beagle.Static = assignor, static
	topology.Beagle.SessionTimeout, topology.Beagle.HeartbeatEvery, topology.Beagle.RebalanceTimeout = 3*time.Second, 500*time.Millisecond, 6*time.Second
	c.partitions = topology.Kafka.Partitions
	err = c.w.Drive(context.Background(), func(ctx context.Context) error {
		r := c.w.Runtime()
		if err := c.w.Start(ctx, topology); err != nil {
			return err
		}
		if err := c.define(ctx); err != nil {
			return err
		}
		sending := 4
		for i := range sending {
			r.Go("client", func(ctx context.Context) { c.client(ctx, i); sending-- })
		}
		for sending > 0 {
			_ = r.Sleep(ctx, time.Duration(1000+r.Rand().IntN(3000))*time.Millisecond)
			f := c.fault()
			if err := c.w.Inject(ctx, f); err != nil {
				return err
			}
			_ = r.Sleep(ctx, time.Duration(200+r.Rand().IntN(7000))*time.Millisecond)
			if err := c.w.Heal(ctx, f); err != nil {
				return err
			}
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
		if want, err = c.truth(ctx); err != nil {
			return err
		}
		got = tallies{}
		for _, dataset := range slices.Sorted(maps.Keys(c.slos)) {
			rows, err := c.w.Catalog().SLOCounts(ctx, c.slos[dataset], 0, 1<<60)
			if err != nil {
				return err
			}
			for _, row := range rows {
				got[minuteOfSLO{dataset, row.Minute}] = [2]int64{row.Good, row.Total}
			}
		}
		return nil
	})
	hash, _, _ = c.w.Trace()
	return got, want, hash, err
}

func TestCountsAreTheLogs(t *testing.T) {
	t.Parallel()
	for i, assignor := range group.Assignors() {
		for _, static := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,static=%v", assignor, static), func(t *testing.T) {
				t.Parallel()
				seed := uint64(i) + 1
				got, want, hash, err := new(counting).run(seed, assignor, static, planted.Set{})
				if err != nil || !maps.Equal(got, want) || len(want) < 4 {
					t.Fatalf("counted %v, the log has %v: %v", got, want, err)
				}
				if i > 0 {
					return
				}
				if _, _, again, _ := new(counting).run(seed, assignor, static, planted.Set{}); again != hash {
					t.Errorf("two runs of seed %d have the hashes %x and %x", seed, hash, again)
				}
			})
		}
	}
}

func TestCountsShowPlantedBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{planted.UndrainedRebalance, planted.ZombieCommits, planted.SLOByProcessingTime, planted.SampleRatesIgnored} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			set, err := planted.Parse(bug)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(5) {
				if got, want, _, err := new(counting).run(seed, group.CooperativeSticky, false, set); err == nil && !maps.Equal(got, want) {
					return
				}
			}
			t.Error("counts were right in 5 seeds")
		})
	}
}
