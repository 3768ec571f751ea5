package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/telemetry"
)

type counted struct{ taken, refused int }

func (c *counted) Observed(_ string, events []observer.Event) { c.taken += len(events) }
func (c *counted) Refused(events int)                         { c.refused += events }

// TestFaultsOnTheObserver: what a sender of telemetry sees of an observer that is well, slow, faulty, frozen, away and overloaded.
func TestFaultsOnTheObserver(t *testing.T) {
	t.Parallel()
	w := New(Options{Seed: 3})
	sink := &counted{}
	w.Observe(sink)
	w.topology = system.Default()
	w.topology.Telemetry, w.topology.Observer = telemetry.DefaultConfig(), observer.Config{EventsPerSecond: 10, Queue: 5}
	node, _ := w.topology.Node("observer")
	w.observer = w.newObserver(node)
	batch := []byte(`[{"data":{}}]`)
	err := w.Drive(context.Background(), func(ctx context.Context) error {
		w.observer.Start()
		if err := w.harness.Sleep(ctx, time.Second); err != nil {
			return err
		}
		client := &observers{p: w.harness, from: w.home, node: node.Name}
		send := func() (time.Duration, error) {
			began := w.harness.Now()
			ctx, cancel := w.harness.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			err := client.Observe(ctx, "query", batch)
			return w.harness.Now().Sub(began), err
		}
		under := func(f system.Fault, look func(err error, took time.Duration) bool) {
			f.Node = node.Name
			if err := w.Inject(ctx, f); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			if took, err := send(); !look(err, took) {
				t.Errorf("%s: %v after %v", f, err, took)
			}
			if err := errors.Join(w.Heal(ctx, f), w.harness.Sleep(ctx, 2*time.Second)); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			if took, err := send(); err != nil || took > 200*time.Millisecond {
				t.Errorf("%s is healed: %v after %v", f, err, took)
			}
		}
		under(system.Fault{Kind: system.FaultSlow, Delay: time.Second}, func(err error, took time.Duration) bool { return err == nil && took > time.Second })
		under(system.Fault{Kind: system.FaultErrors, Rate: 1}, func(err error, _ time.Duration) bool { return err != nil })
		under(system.Fault{Kind: system.FaultPause}, func(err error, took time.Duration) bool { return err != nil && took >= 2*time.Second })
		under(system.Fault{Kind: system.FaultKill}, func(err error, _ time.Duration) bool { return err != nil })
		before := sink.taken
		for range 20 {
			w.harness.Go("burst", func(context.Context) { _, _ = send() })
		}
		if err := w.harness.Sleep(ctx, 5*time.Second); err != nil {
			return err
		}
		if taken := sink.taken - before; sink.refused < 10 || taken+sink.refused != 20 || taken < 5 {
			t.Errorf("of 20 at once it took %d and refused %d", taken, sink.refused)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
