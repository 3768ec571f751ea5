package sim

import (
	"context"
	"errors"
	"fmt"
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

// inWorld runs a test in a world of its own, which has the default topology.
func inWorld(t *testing.T, test func(ctx context.Context, w *World) error) {
	t.Helper()
	w := New(Options{Seed: 3})
	err := w.Drive(context.Background(), func(ctx context.Context) error {
		if err := w.Start(ctx, system.Default()); err != nil {
			return err
		}
		return test(ctx, w)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onEachMachine runs a test on one node of each kind of machine, each in a world of its own.
func onEachMachine(t *testing.T, test func(ctx context.Context, t *testing.T, w *World, name string) error) {
	t.Helper()
	for _, name := range []string{"zk1", "kafka2", "retriever1", "mysql"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(ctx context.Context, w *World) error { return test(ctx, t, w, name) })
		})
	}
}

// TestFaultsOnOneNodeAreEachTheirOwn: what one fault does lasts until that one is healed, whatever else is healed meanwhile.
func TestFaultsOnOneNodeAreEachTheirOwn(t *testing.T) {
	t.Parallel()
	onEachMachine(t, func(ctx context.Context, t *testing.T, w *World, name string) error {
		kill, stop, replace := system.Fault{Kind: system.FaultKill, Node: name}, system.Fault{Kind: system.FaultStop, Node: name}, system.Fault{Kind: system.FaultReplace, Node: name}
		for _, step := range []struct {
			do   func(context.Context, system.Fault) error
			f    system.Fault
			runs bool
		}{
			{w.Inject, kill, false}, {w.Inject, stop, false}, {w.Inject, replace, false},
			{w.Heal, stop, false}, {w.Heal, kill, false}, {w.Heal, replace, true},
			{w.Inject, stop, false}, {w.Inject, kill, false}, {w.Heal, stop, false}, {w.Heal, kill, true},
		} {
			if err := errors.Join(step.do(ctx, step.f), w.harness.Sleep(ctx, 20*time.Second)); err != nil {
				return err
			}
			if reach, detail := w.Probe(ctx, name); (reach != system.Refuses) != step.runs {
				t.Errorf("after %s, %v of it: %s (%s)", step.f, step.runs, reach, detail)
			}
		}
		return nil
	})
}

// TestLikeFaultsAreEachTheirOwn: two that do the same to one node, of different places in a plan, are each healed for themselves.
func TestLikeFaultsAreEachTheirOwn(t *testing.T) {
	t.Parallel()
	onEachMachine(t, func(ctx context.Context, t *testing.T, w *World, name string) error {
		home := w.home.Name()
		for _, pair := range [][2]system.Fault{
			{{ID: "a", Kind: system.FaultKill, Node: name}, {ID: "b", Kind: system.FaultKill, Node: name}},
			{{ID: "a", Kind: system.FaultPause, Node: name}, {ID: "b", Kind: system.FaultPause, Node: name}},
			{{ID: "a", Kind: system.FaultIsolate, Node: name, From: []string{home}, Direction: system.Both}, {ID: "b", Kind: system.FaultIsolate, Node: name, From: []string{home}, Direction: system.Inbound}},
		} {
			for _, step := range []struct {
				do   func(context.Context, system.Fault) error
				f    system.Fault
				well bool
			}{{w.Inject, pair[0], false}, {w.Inject, pair[1], false}, {w.Heal, pair[0], false}, {w.Heal, pair[1], true}} {
				if err := errors.Join(step.do(ctx, step.f), w.harness.Sleep(ctx, 20*time.Second)); err != nil {
					return fmt.Errorf("%s: %w", step.f, err)
				}
				if reach, detail := w.Probe(ctx, name); (reach == system.Answers) != step.well {
					t.Errorf("after %s: %s (%s)", step.f.Key(), reach, detail)
				}
			}
		}
		return nil
	})
}

// TestALinkIsCutUntilNobodyCutsIt: isolations of both ends of a link are each their own, and each counts what it has held back.
func TestALinkIsCutUntilNobodyCutsIt(t *testing.T) {
	t.Parallel()
	inWorld(t, func(ctx context.Context, w *World) error {
		one := system.Fault{Kind: system.FaultIsolate, Node: "kafka2", From: []string{"zk1", "zk2", "zk3"}, Direction: system.Both}
		two := system.Fault{Kind: system.FaultIsolate, Node: "zk1", From: []string{"kafka1", "kafka2", "kafka3"}, Direction: system.Both}
		held := func(f system.Fault) int64 {
			n, err := w.Dropped(ctx, f)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		pause := func() error { return w.harness.Sleep(ctx, 20*time.Second) }
		if err := errors.Join(w.Inject(ctx, one), pause(), w.Inject(ctx, two)); err != nil {
			return err
		}
		if held(one) == 0 || held(two) != 0 {
			t.Errorf("one has held back %d, two %d at its beginning", held(one), held(two))
		}
		if err := errors.Join(pause(), w.Heal(ctx, one), pause()); err != nil {
			return err
		}
		if !w.isCut("kafka2", "zk1") || w.isCut("kafka2", "zk2") || held(two) == 0 {
			t.Errorf("after one is healed two has held back %d, and cuts kafka2 from zk1: %v, from zk2: %v", held(two), w.isCut("kafka2", "zk1"), w.isCut("kafka2", "zk2"))
		}
		return errors.Join(w.Heal(ctx, two), pause())
	})
}

// TestABrokerThatCannotStopIsKilled: one that is frozen does not hear that it is to end, and comes back all the same.
func TestABrokerThatCannotStopIsKilled(t *testing.T) {
	t.Parallel()
	inWorld(t, func(ctx context.Context, w *World) error {
		pause, stop := system.Fault{Kind: system.FaultPause, Node: "kafka2"}, system.Fault{Kind: system.FaultStop, Node: "kafka2"}
		if err := w.Inject(ctx, pause); err != nil {
			return err
		}
		limited, cancel := w.harness.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := errors.Join(w.Inject(limited, stop), w.Heal(ctx, stop), w.Heal(ctx, pause), w.harness.Sleep(ctx, 20*time.Second)); err != nil {
			return err
		}
		if reach, detail := w.Probe(ctx, "kafka2"); reach != system.Answers {
			t.Errorf("%s (%s)", reach, detail)
		}
		return nil
	})
}

// TestDisturbancesOfOneServerAddUp: two that slow it down are both felt, and each ends by itself.
func TestDisturbancesOfOneServerAddUp(t *testing.T) {
	t.Parallel()
	inWorld(t, func(ctx context.Context, w *World) error {
		one, two := system.Fault{Kind: system.FaultSlow, Node: "mysql", Delay: 100 * time.Millisecond}, system.Fault{Kind: system.FaultSlow, Node: "mysql", Delay: 300 * time.Millisecond}
		for _, step := range []struct {
			do   func(context.Context, system.Fault) error
			f    system.Fault
			took time.Duration
		}{{w.Inject, one, 100 * time.Millisecond}, {w.Inject, two, 400 * time.Millisecond}, {w.Heal, one, 300 * time.Millisecond}, {w.Heal, two, 0}} {
			if err := step.do(ctx, step.f); err != nil {
				return err
			}
			began := w.harness.Now()
			if _, err := w.catalog.SchemaVersion(ctx); err != nil {
				return err
			}
			if took := w.harness.Now().Sub(began).Truncate(100 * time.Millisecond); took != step.took {
				t.Errorf("after %s a request took %v, expected %v", step.f, took, step.took)
			}
		}
		return nil
	})
}

// TestFreezesOfOneNodeAreEachTheirOwn: a process that two faults have frozen stays so until both are healed; one that was killed
// meanwhile runs when it has been started again, whatever had frozen it.
func TestFreezesOfOneNodeAreEachTheirOwn(t *testing.T) {
	t.Parallel()
	onEachMachine(t, func(ctx context.Context, t *testing.T, w *World, name string) error {
		pause, kill := system.Fault{Kind: system.FaultPause, Node: name}, system.Fault{Kind: system.FaultKill, Node: name}
		starve := system.Fault{Kind: system.FaultStarve, Node: name, Delay: time.Minute, Rate: 0.5}
		for _, step := range []struct {
			do    func(context.Context, system.Fault) error
			f     system.Fault
			wait  time.Duration
			reach system.Reach
		}{
			{w.Inject, pause, time.Second, system.Silent}, {w.Inject, starve, time.Second, system.Silent},
			{w.Heal, pause, time.Second, system.Silent}, {w.Heal, starve, 20 * time.Second, system.Answers},
			{w.Inject, starve, time.Second, system.Silent}, {w.Inject, pause, 61 * time.Second, system.Silent}, // the turn is over
			{w.Heal, starve, time.Second, system.Silent}, {w.Heal, pause, 20 * time.Second, system.Answers},
			{w.Inject, pause, time.Second, system.Silent}, {w.Inject, kill, 20 * time.Second, system.Refuses},
			{w.Heal, kill, 20 * time.Second, system.Answers}, {w.Heal, pause, time.Second, system.Answers},
		} {
			if err := errors.Join(step.do(ctx, step.f), w.harness.Sleep(ctx, step.wait)); err != nil {
				return fmt.Errorf("%s: %w", step.f, err)
			}
			if reach, detail := w.Probe(ctx, name); reach != step.reach {
				t.Errorf("%s, %v later: %s (%s), expected %s", step.f, step.wait, reach, detail, step.reach)
			}
		}
		return nil
	})
}
