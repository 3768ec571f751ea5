// Command ingest compares a shepherd with the OpenTelemetry Collector (OTLP receiver to Kafka exporter, without a sending queue, so
// that for both an answer means that Kafka has acknowledged): accepted events for each second of CPU time that the server takes, in
// one run, on the same cores, into the same real Kafka, window after window in turn. See `make bench`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/port"
)

// options are the command line.
type options struct {
	ratel, collector string
	rounds           int
	window, warm     time.Duration
	senders          int
	linger           time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.ratel, "ratel", "bin/ratel", "the static ratel binary")
	flag.StringVar(&o.collector, "collector", "bin/collector", "the Collector, built from bench/collector")
	flag.IntVar(&o.rounds, "rounds", 3, "windows of each kind; medians are of these")
	flag.DurationVar(&o.window, "window", 6*time.Second, "what is measured at once")
	flag.DurationVar(&o.warm, "warm", time.Second, "load before each window")
	flag.IntVar(&o.senders, "senders", 16, "senders, each with one request under way")
	flag.DurationVar(&o.linger, "linger", 10*time.Millisecond, "how long either gathers records into one request to a broker (linger.ms); the default is the Collector's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ingest:", err)
		os.Exit(1)
	}
}

// Topics: the shepherd's is given; the Collector has one alike.
const collectorTopic = "collector"

func run(ctx context.Context, o options, out io.Writer) error {
	w, err := containers.New(containers.Options{RoleBinary: o.ratel, Reaper: []string{o.ratel, "reaper"}, Log: os.Stderr})
	if err != nil {
		return err
	}
	return w.Drive(ctx, func(ctx context.Context) error {
		top := system.Default()
		top.Shepherds, top.Replicas, top.Queries = 0, 0, 0
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		k := top.Kafka
		if err := w.Log().Admin().CreateTopic(ctx, port.TopicSpec{Name: collectorTopic, Partitions: k.Partitions, Replication: k.Replication, MinISR: k.MinISR}); err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "ratel-ingest-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		servers, err := start(ctx, o, w.Standing(), dir)
		defer func() {
			for _, s := range servers {
				s.end()
			}
		}()
		if err != nil {
			return err
		}
		results, err := measure(ctx, o, servers)
		if err != nil {
			return err
		}
		if err := stored(ctx, w.Log(), results); err != nil {
			return err
		}
		fmt.Fprintf(out, "%d senders, linger %s, %d windows of %s each\n", o.senders, o.linger, o.rounds, o.window)
		return report(out, results)
	})
}

// result is one kind of load on one server: its windows.
type result struct {
	load    load
	server  *server
	windows []window
	acked   int64 // requests, warm-up included
}

// window is what was measured at once.
type window struct {
	seconds, cpu float64 // by the clock, and of the server process
	events       int64
	failed       int64 // requests
	p50, p99     time.Duration
}

func (w window) perCPU() float64 { return float64(w.events) / w.cpu }

// measure puts each load on each server in turn, round after round: what else the machine does meets all of them.
func measure(ctx context.Context, o options, servers []*server) ([]*result, error) {
	var results []*result
	for _, l := range loads() {
		for _, s := range servers {
			if l.of(s) != "" {
				results = append(results, &result{load: l, server: s})
			}
		}
	}
	for round := range o.rounds {
		for _, r := range results {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s\n", round+1, o.rounds, r.server.name, r.load.name)
			win, acked, err := drive(ctx, o, r)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", r.server.name, r.load.name, err)
			}
			r.windows = append(r.windows, win)
			r.acked += acked
		}
	}
	return results, nil
}

// stored compares what servers have acknowledged with what the topics hold: who answers before Kafka has it is in another race.
func stored(ctx context.Context, log port.Log, results []*result) error {
	want := map[string]int64{} // records that a topic has at least
	for _, r := range results {
		want[r.server.topic] += r.acked * r.server.records
	}
	for topic, least := range want {
		parts, err := log.Admin().Describe(ctx, topic)
		if err != nil {
			return err
		}
		var have int64
		for partition := range parts {
			end, err := endOf(ctx, log, topic, int32(partition))
			if err != nil {
				return err
			}
			have += end
		}
		if have < least {
			return fmt.Errorf("topic %s holds %d records, and what was acknowledged makes %d: the answers were not Kafka's", topic, have, least)
		}
	}
	return nil
}

// endOf is how many records a partition has had.
func endOf(ctx context.Context, log port.Log, topic string, partition int32) (int64, error) {
	r, err := log.NewReader(port.DefaultReaderConfig("ingest"), topic, partition, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	b, err := r.Fetch(ctx)
	return b.HighWatermark, err
}

// leastCPU is the CPU time, in seconds, that a window must have for its ratio to say something: it is read in steps of 10 ms, and
// what a server does without load counts, too.
const leastCPU = 1.0

// median is the middle of some windows by a measure.
func median(windows []window, of func(window) float64) float64 {
	var list []float64
	for _, w := range windows {
		list = append(list, of(w))
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// report prints medians, and ratios against the Collector with the same load; MessagePack, which it does not speak, is held
// against its better protocol.
func report(out io.Writer, results []*result) error {
	base := map[string]float64{}
	best := 0.0
	for _, r := range results {
		if r.server.name == nameCollector {
			base[r.load.name] = median(r.windows, window.perCPU)
			best = max(best, base[r.load.name])
		}
	}
	if best == 0 {
		return errors.New("the Collector accepted nothing: there is nothing to compare with")
	}
	tw := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "SERVER\tLOAD\tEVENTS/CPU-S\tRATIO\tEVENTS/S\tCORES\tP50\tP99\tFAILED\tPEAK RSS\tWINDOWS (EVENTS/CPU-S)")
	for _, r := range results {
		than := base[r.load.name]
		if than == 0 {
			than = best
		}
		var each []string
		var failed int64
		for _, w := range r.windows {
			each = append(each, fmt.Sprintf("%.0f", w.perCPU()))
			failed += w.failed
		}
		perCPU := median(r.windows, window.perCPU)
		fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.2f\t%.0f\t%.2f\t%v\t%v\t%d\t%d MiB\t%s\n", r.server.name, r.load.name, perCPU, perCPU/than,
			median(r.windows, func(w window) float64 { return float64(w.events) / w.seconds }), median(r.windows, func(w window) float64 { return w.cpu / w.seconds }),
			time.Duration(median(r.windows, func(w window) float64 { return float64(w.p50) })).Round(100*time.Microsecond),
			time.Duration(median(r.windows, func(w window) float64 { return float64(w.p99) })).Round(100*time.Microsecond),
			failed, r.server.peak()>>20, strings.Join(each, " "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if cpu := median(r.windows, func(w window) float64 { return w.cpu }); cpu < leastCPU {
			_, err := fmt.Fprintf(out, "inconclusive: the %s had %.2f s of CPU time in a window (%s), less than %v s: something else took the cores\n", r.server.name, cpu, r.load.name, leastCPU)
			return err
		}
	}
	return nil
}
