//go:build unix

package engine_test

import (
	"context"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/sim"
)

// processorTime is what this process has used of all cores so far: unlike wall time, it does not grow with what else
// runs on the machine, and it counts what the garbage collector does on other cores.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wholeScript is every role of the pipeline in three zones, with objectives, alerts and readers, 100 batches of 10 events in each
// second, and nothing that fails.
const wholeScript = `
def scenario(s):
    s.system(beagles = 2, triggers = 2)
    s.traffic("steady", events_per_second = 1000)
    s.readers("dashboards")
    s.objective("fast", "LT($duration_ms, 500)", target = "90%")
    s.alert("busy", query = '{"calculations": [{"op": "COUNT"}], "time_range": 60}', value = 1, type = "on_true")
    s.phase("steady", "60s")
    s.check(durability(), queries(), slo_counts(), alerts())
`

// sliceScript is the pipeline's first slice: shepherds, Kafka and one retriever for each partition, which only follows the log, with
// a broker that is lost; the same load.
const sliceScript = `
def scenario(s):
    s.system(replicas = 1, retriever = retriever(seal_every = "1h", snapshot_every = "1h"))
    s.traffic("steady", events_per_second = 1000)
    s.phase("baseline", "20s")
    s.phase("outage", "15s", faults = [replace(leader_of("events", 0))])
    s.phase("recovery", "30s")
    s.check(durability())
`

// BenchmarkScenario runs scripts in the simulated world, start to collected evidence. The goals, in virtual/real per core:
// 500 for broker-loss and whole (at 100 batches a virtual second: 20 µs of processor time a batch), 1,000 for the slice.
//
//   - http: requests are the bytes of the real HTTP API, as in the seeds for which sim.TravelsOverHTTP holds; otherwise they
//     travel as decoded events, as in most seeds
func BenchmarkScenario(b *testing.B) {
	for _, name := range []string{"quiet", "broker-loss", "retriever-loss", "rebalance-storm"} {
		b.Run(name, func(b *testing.B) { runs(b, find(b, name), false) })
	}
	b.Run("broker-loss-http", func(b *testing.B) { runs(b, find(b, "broker-loss"), true) })
	b.Run("whole", func(b *testing.B) { runs(b, load(b, "whole", wholeScript), false) })
	b.Run("slice", func(b *testing.B) { runs(b, load(b, "slice", sliceScript), false) })
}

func find(b testing.TB, name string) *lang.Script {
	b.Helper()
	script, err := library.Find(name)
	if err != nil {
		b.Fatal(err)
	}
	return script
}

func load(b testing.TB, name, text string) *lang.Script {
	b.Helper()
	script, err := lang.Load(name+lang.Extension, []byte(text), nil)
	if err != nil {
		b.Fatal(err)
	}
	return script
}

func runs(b *testing.B, script *lang.Script, overHTTP bool) {
	var virtual time.Duration
	var batches int
	var steps, seed uint64
	b.ReportAllocs()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the command line has it
	before := processorTime(b)
	for b.Loop() {
		seed++
		p, err := script.Plan(nil, seed)
		if err != nil {
			b.Fatal(err)
		}
		ev, err := engine.Run(context.Background(), sim.New(sim.Options{Seed: seed, OverHTTP: overHTTP}), p, engine.Options{Seed: seed})
		if err != nil {
			b.Fatal(err)
		}
		if len(ev.Held) == 0 || len(ev.Log) == 0 {
			b.Fatalf("seed %d: %d events in the log, %d held", seed, len(ev.Log), len(ev.Held))
		}
		virtual += ev.Run.Length
		batches += len(ev.Ops)
		steps += ev.Run.Steps
	}
	used := processorTime(b) - before
	b.ReportMetric(virtual.Seconds()/used.Seconds(), "virtual/real")
	b.ReportMetric(float64(used.Nanoseconds())/float64(batches), "cpu-ns/batch")
	b.ReportMetric(float64(used.Nanoseconds())/float64(steps), "cpu-ns/step")
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/run")
}
