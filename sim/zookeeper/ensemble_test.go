package zookeeper

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func TestFirstSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{}, "a")
	w.run(time.Minute, "a", func(ctx context.Context) {
		s := w.connect(ctx, "a", 4*time.Second)
		t.Logf("connected after %v, leader %s", w.sim.Now(), w.zk.Leader())
		created, err := s.Create(ctx, "/x", []byte("v"), port.Persistent)
		w.check(err)
		if created != "/x" {
			t.Errorf("created %q", created)
		}
		data, stat, err := s.Get(ctx, "/x")
		w.check(err)
		if string(data) != "v" || stat.Version != 0 || stat.Czxid == 0 {
			t.Errorf("got %q %+v", data, stat)
		}
		_, err = s.Exists(ctx, "/y")
		if !errors.Is(err, port.ErrNoNode) || !errors.Is(err, port.ErrRefused) {
			t.Errorf("exists: %v", err)
		}
		w.check(s.Close(ctx))
	})
}

// Killing the leader of the real ensemble made a new leader visible after 0.42-0.45 s and writes possible after
// 1.07-1.14 s (three nodes, tick 500 ms).
func TestLeaderKillTakesAsLongAsMeasured(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w := newWorld(t, seed, Config{}, "a")
		w.run(time.Minute, "a", func(ctx context.Context) {
			s := w.connect(ctx, "a", 6*time.Second)
			old := w.zk.Leader()
			w.zk.KillNode(old)
			killed := w.sim.Now()
			took := w.until(ctx, "a", 5*time.Second, "new leader", func() bool { l := w.zk.Leader(); return l != "" && l != old })
			if took < 380*time.Millisecond || took > 500*time.Millisecond {
				t.Errorf("seed %d: new leader after %v, measured 0.42-0.45 s", seed, took)
			}
			var err error
			for {
				if _, err = s.Create(ctx, "/x", nil, port.Persistent); err == nil || !errors.Is(err, port.ErrUnknown) {
					break
				}
			}
			w.check(err)
			if took := w.sim.Now() - killed; took > 1300*time.Millisecond {
				t.Errorf("seed %d: first write after %v", seed, took)
			}
			if seed < 5 {
				t.Logf("seed %d: leader after %v, write after %v", seed, took, w.sim.Now()-killed)
			}
			w.zk.StartNode(old)
			took = w.until(ctx, "a", 5*time.Second, "follower again", func() bool { return w.zk.Serving(old) })
			if took > 1500*time.Millisecond {
				t.Errorf("seed %d: follower again after %v, measured 0.95-1.1 s", seed, took)
			}
			if seed < 5 {
				t.Logf("seed %d: follower again after %v", seed, took)
			}
		})
	}
}

func TestQuietStateIsCheap(t *testing.T) {
	t.Parallel()
	clients := []string{"a", "b", "c", "d", "e"}
	w := newWorld(t, 1, Config{}, clients...)
	w.run(10*time.Minute, "a", func(ctx context.Context) {
		for _, c := range clients {
			for range 3 {
				w.connect(ctx, c, 6*time.Second)
			}
		}
		before, at := w.sim.Steps(), w.sim.Now()
		_ = w.procs["a"].Sleep(ctx, time.Minute)
		rate := float64(w.sim.Steps()-before) / (w.sim.Now() - at).Seconds()
		t.Logf("%.1f steps per virtual second with 15 sessions", rate)
		if rate > 100 {
			t.Errorf("%.1f steps per virtual second, want at most 100", rate)
		}
	})
}
