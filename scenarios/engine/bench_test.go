//go:build unix

package engine_test

import (
	"context"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/engine"
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

// BenchmarkBrokerLoss is the default broker-loss scenario in the simulated world, start to collected evidence: the default
// topology with every role and a pair of retrievers for each partition, 65 virtual seconds, 100 batches of 10 events in each.
// The goal is virtual/real >= 500: 130 ms of processor time a run, 20 µs a batch.
//
//   - decoded: requests travel as decoded events, as in most seeds
//   - http: requests are the bytes of the real HTTP API, as in the seeds for which sim.TravelsOverHTTP holds
func BenchmarkBrokerLoss(b *testing.B) {
	for _, c := range []struct {
		name     string
		overHTTP bool
	}{{"decoded", false}, {"http", true}} {
		b.Run(c.name, func(b *testing.B) { brokerLoss(b, c.overHTTP) })
	}
}

func brokerLoss(b *testing.B, overHTTP bool) {
	script, err := library.Find("broker-loss")
	if err != nil {
		b.Fatal(err)
	}
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
