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

// TestWhatAFaultHasHitIsItsOwn: a second fault like the first has hit nothing yet, two at once count apart, and what one had hit is known after its end.
func TestWhatAFaultHasHitIsItsOwn(t *testing.T) {
	t.Parallel()
	w := New(Options{Seed: 3})
	w.Observe(&counted{})
	w.topology = system.Default()
	w.topology.Telemetry, w.topology.Observer = telemetry.DefaultConfig(), observer.Config{EventsPerSecond: 1000, Queue: 1000}
	node, _ := w.topology.Node("observer")
	w.observer = w.newObserver(node)
	err := w.Drive(context.Background(), func(ctx context.Context) error {
		w.observer.Start()
		if err := w.harness.Sleep(ctx, time.Second); err != nil {
			return err
		}
		client := &observers{p: w.harness, from: w.home, node: node.Name}
		send := func(n int) {
			for range n {
				_ = client.Observe(ctx, "query", []byte(`[{"data":{}}]`))
			}
		}
		slow, fails := system.Fault{Kind: system.FaultSlow, Node: node.Name, Delay: time.Millisecond}, system.Fault{Kind: system.FaultErrors, Node: node.Name, Rate: 1}
		hit := func(f system.Fault, want int64) {
			t.Helper()
			if n, err := w.Dropped(ctx, f); err != nil || n != want {
				t.Errorf("%s has hit %d (%v), expected %d", f, n, err, want)
			}
		}
		for range 2 {
			if err := w.Inject(ctx, slow); err != nil {
				return err
			}
			hit(slow, 0)
			send(3)
			hit(slow, 3)
			if err := w.Inject(ctx, fails); err != nil {
				return err
			}
			hit(fails, 0)
			send(2)
			hit(fails, 2)
			before, _ := w.Dropped(ctx, slow)
			if err := w.Heal(ctx, slow); err != nil {
				return err
			}
			send(2)
			hit(fails, 4)
			hit(slow, before)
			if err := w.Heal(ctx, fails); err != nil {
				return err
			}
			send(2)
			hit(fails, 4)
		}
		// An isolation likewise.
		cut := system.Fault{Kind: system.FaultIsolate, Node: node.Name, From: []string{w.home.Name()}, Direction: system.Both}
		for range 2 {
			if err := w.Inject(ctx, cut); err != nil {
				return err
			}
			hit(cut, 0)
			short, cancel := w.harness.WithTimeout(ctx, 100*time.Millisecond)
			_ = client.Observe(short, "query", []byte(`[{"data":{}}]`))
			cancel()
			if n, err := w.Dropped(ctx, cut); err != nil || n == 0 {
				t.Errorf("%s has hit %d (%v)", cut, n, err)
			}
			if err := errors.Join(w.Heal(ctx, cut), w.harness.Sleep(ctx, time.Second)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
