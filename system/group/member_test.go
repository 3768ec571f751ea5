package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestGroupSharesOut(t *testing.T) {
	t.Parallel()
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
				c, f := newCoordinator(r, 10), newField()
				var workers []*worker
				shares := func(want ...int) {
					t.Helper()
					var got []int
					for _, w := range workers {
						got = append(got, f.held(w.name))
					}
					slices.Sort(got)
					if !slices.Equal(got, want) || len(f.clash) > 0 {
						t.Errorf("%d workers hold %v, expected %v; clashes: %v", len(workers), got, want, f.clash)
					}
				}
				for i := range 3 {
					workers = append(workers, startWorker(t, r, &line{coordinator: c}, testConfig(fmt.Sprint("w", i), assignor), f))
					time.Sleep(5 * time.Second)
					shares([][]int{{10}, {5, 5}, {3, 3, 4}}[i]...)
				}
				before := c.count()
				time.Sleep(time.Minute)
				if c.count() != before {
					t.Errorf("%d rebalances while nothing changed", c.count()-before)
				}
				gone := workers[1]
				gone.stop()
				if err := gone.m.Leave(t.Context()); err != nil {
					t.Error(err)
				}
				workers = slices.Delete(workers, 1, 2)
				time.Sleep(5 * time.Second)
				shares(5, 5)
				if len(c.out()) > 0 {
					t.Errorf("%v were evicted, although all were well", c.out())
				}
				for _, w := range workers {
					w.stop()
				}
			})
		})
	}
}

// TestCooperativeRevokesInTwoSteps: what moves is held by nobody in between, and what stays is never let go.
func TestCooperativeRevokesInTwoSteps(t *testing.T) {
	t.Parallel()
	inBubble(t, func(ctx context.Context, t *testing.T, r *rt.Wall) {
		c := newCoordinator(r, 4)
		a := newTestMember(t, r, &line{coordinator: c}, testConfig("a", CooperativeSticky))
		b := newTestMember(t, r, &line{coordinator: c}, testConfig("b", CooperativeSticky))
		join := func(m *Member, owned ...int32) *rt.Future[Assignment] {
			f := rt.NewFuture[Assignment](r)
			go func() { f.Complete(m.Join(ctx, owned)) }()
			return f
		}
		must := func(f *rt.Future[Assignment], rejoin bool, partitions ...int32) Assignment {
			t.Helper()
			got, err := f.Wait(ctx)
			if err != nil || !slices.Equal(got.Partitions, partitions) || got.Rejoin != rejoin || got.Lost {
				t.Fatalf("%+v, %v; expected partitions %v, rejoin %v", got, err, partitions, rejoin)
			}
			return got
		}
		first := must(join(a), false, 0, 1, 2, 3)
		bJoins := join(b)
		if why, _ := first.Over.Wait(ctx); !errors.Is(why, port.ErrRebalanceInProgress) {
			t.Errorf("a's assignment was over because of %v", why)
		}
		aKeeps := must(join(a, 0, 1, 2, 3), true, 0, 1)
		bWaits := must(bJoins, false)
		if aKeeps.Generation != bWaits.Generation || !aKeeps.Leader || bWaits.Leader {
			t.Errorf("%+v and %+v are not of one generation with one leader", aKeeps, bWaits)
		}
		aJoins := join(a, aKeeps.Partitions...)
		if why, _ := bWaits.Over.Wait(ctx); !errors.Is(why, port.ErrRebalanceInProgress) {
			t.Errorf("b's wait was over because of %v", why)
		}
		bGets := join(b)
		must(aJoins, false, 0, 1)
		must(bGets, false, 2, 3)
		_ = a.Leave(ctx)
		_ = b.Leave(ctx)
	})
}

func TestCoordinatorAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(ctx context.Context, t *testing.T, r *rt.Wall) {
		c, f := newCoordinator(r, 3), newField()
		c.away = true
		w := startWorker(t, r, &line{coordinator: c}, testConfig("w", Range), f)
		time.Sleep(time.Minute)
		if w.joins() != 0 {
			t.Error("joined a coordinator that is not there")
		}
		c.change(func() { c.away = false })
		time.Sleep(time.Second)
		if f.held("w") != 3 {
			t.Errorf("holds %d after the coordinator came", f.held("w"))
		}
		// A gap shorter than the session goes by unnoticed.
		c.change(func() { c.away = true })
		time.Sleep(4 * time.Second)
		c.change(func() { c.away = false })
		time.Sleep(10 * time.Second)
		if w.joins() != 1 || w.last().Over.Done() {
			t.Errorf("joined %d times, over: %v", w.joins(), w.last().Over.Done())
		}
		// A longer one ends the assignment, by the member's own clock.
		c.change(func() { c.away = true })
		// Its last heartbeat may have been as long before as it pauses between two.
		time.Sleep(4 * time.Second)
		if w.last().Over.Done() || f.held("w") != 3 {
			t.Error("gave up before the session was over")
		}
		time.Sleep(2500 * time.Millisecond)
		if why, _, done := w.last().Over.Peek(); !done || !errors.Is(why, port.ErrUnknownMember) || f.held("w") != 0 {
			t.Errorf("without heartbeats for a session: over %v (%v), holds %d", done, why, f.held("w"))
		}
		w.stop()
		ended, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := w.m.Join(ended, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Second {
			t.Errorf("Join returned %v after %v", err, time.Since(begin))
		}
	})
}

// TestUnresponsiveMemberIsEvicted: a member that is cut off loses its partitions to the other, knows it no later than
// the other gets them, and comes back as a new member that claims nothing.
func TestUnresponsiveMemberIsEvicted(t *testing.T) {
	t.Parallel()
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
				c, f := newCoordinator(r, 4), newField()
				bad := &line{coordinator: c}
				w0 := startWorker(t, r, bad, testConfig("w0", assignor), f)
				w1 := startWorker(t, r, &line{coordinator: c}, testConfig("w1", assignor), f)
				time.Sleep(5 * time.Second)
				old := w0.m.ID()
				c.change(func() { bad.cut = true })
				time.Sleep(20 * time.Second)
				if f.held("w0") != 0 || f.held("w1") != 4 || !slices.Equal(c.out(), []string{old.Member}) {
					t.Errorf("w0 holds %d, w1 %d, evicted %v", f.held("w0"), f.held("w1"), c.out())
				}
				if err := (&line{coordinator: c}).Commit(t.Context(), w0.m.ID(), topic, nil); !errors.Is(err, port.ErrUnknownMember) {
					t.Errorf("the evicted member's commit: %v", err)
				}
				c.change(func() { bad.cut = false })
				time.Sleep(10 * time.Second)
				if f.held("w0") != 2 || f.held("w1") != 2 || w0.m.ID().Member == old.Member || len(f.clash) > 0 {
					t.Errorf("w0 holds %d as %s, w1 %d; clashes %v", f.held("w0"), w0.m.ID().Member, f.held("w1"), f.clash)
				}
				if !slices.ContainsFunc(w0.all(), func(a Assignment) bool { return a.Lost }) || slices.ContainsFunc(w1.all(), func(a Assignment) bool { return a.Lost }) {
					t.Error("w0 alone should have been told that what it had may have been another's")
				}
				w0.stop()
				w1.stop()
			})
		})
	}
}

// TestSlowToGiveUp: a member may take longer than its session to give partitions up, since its heartbeats go on, but not
// longer than the rebalance timeout.
func TestSlowToGiveUp(t *testing.T) {
	t.Parallel()
	for drain, evicted := range map[time.Duration]bool{12 * time.Second: false, 20 * time.Second: true} {
		t.Run(drain.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
				c, f := newCoordinator(r, 4), newField()
				slow := startWorker(t, r, &line{coordinator: c}, testConfig("slow", Range), f, func(w *worker) { w.drain = drain })
				time.Sleep(2 * time.Second)
				w := startWorker(t, r, &line{coordinator: c}, testConfig("w", Range), f)
				time.Sleep(2 * time.Minute)
				if f.held("slow") != 2 || f.held("w") != 2 || (len(c.out()) > 0) != evicted {
					t.Errorf("slow holds %d, w %d, evicted %v", f.held("slow"), f.held("w"), c.out())
				}
				if !evicted && len(f.clash) > 0 {
					t.Error(f.clash)
				}
				slow.stop()
				w.stop()
			})
		})
	}
}

func static(instance, client, assignor string) Config {
	cfg := testConfig(client, assignor)
	cfg.Instance = instance
	return cfg
}

// TestStaticRestartMovesNothing also for the group's leader, and one that stays away is evicted in the end.
func TestStaticRestartMovesNothing(t *testing.T) {
	t.Parallel()
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
				c, f := newCoordinator(r, 6), newField()
				start := func(i int) *worker {
					return startWorker(t, r, &line{coordinator: c}, static(fmt.Sprint("i", i), fmt.Sprint("w", i), assignor), f)
				}
				workers := []*worker{start(0), start(1), start(2)}
				time.Sleep(5 * time.Second)
				for i := range workers {
					before, rebalances := workers[i].last(), c.count()
					workers[i].stop()
					if err := workers[i].m.Leave(t.Context()); err != nil {
						t.Error(err)
					}
					time.Sleep(4 * time.Second)
					workers[i] = start(i)
					time.Sleep(5 * time.Second)
					after := workers[i].last()
					if !slices.Equal(after.Partitions, before.Partitions) || after.Generation != before.Generation || after.Member == before.Member || c.count() != rebalances {
						t.Errorf("restart of %d: %+v became %+v, with %d rebalances", i, before, after, c.count()-rebalances)
					}
				}
				if f.all() != 6 || len(f.clash) > 0 || len(c.out()) > 0 {
					t.Errorf("%d of 6 are held; clashes %v; evicted %v", f.all(), f.clash, c.out())
				}
				workers[0].stop()
				time.Sleep(15 * time.Second)
				if len(c.out()) != 1 || f.held("w1") != 3 || f.held("w2") != 3 {
					t.Errorf("after one is gone for good: evicted %v, %d and %d are held", c.out(), f.held("w1"), f.held("w2"))
				}
				workers[1].stop()
				if err := workers[1].m.Resign(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Second)
				if f.held("w2") != 6 {
					t.Errorf("after one has resigned: %d are held", f.held("w2"))
				}
				workers[2].stop()
			})
		})
	}
}

func TestFencedInstance(t *testing.T) {
	t.Parallel()
	inBubble(t, func(ctx context.Context, t *testing.T, r *rt.Wall) {
		c := newCoordinator(r, 2)
		old := newTestMember(t, r, &line{coordinator: c}, static("i", "old", Range))
		first, err := old.Join(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		second, err := newTestMember(t, r, &line{coordinator: c}, static("i", "new", Range)).Join(ctx, nil)
		if err != nil || !slices.Equal(second.Partitions, []int32{0, 1}) {
			t.Errorf("%+v, %v", second, err)
		}
		if why, err := first.Over.Wait(ctx); err != nil || !errors.Is(why, port.ErrFencedInstance) {
			t.Errorf("the old one's assignment ended with %v, %v", why, err)
		}
		if _, err := old.Join(ctx, nil); !errors.Is(err, port.ErrFencedInstance) {
			t.Errorf("the old one's Join: %v", err)
		}
		time.Sleep(time.Minute)
		if second.Over.Done() {
			t.Error("the new one's assignment is over")
		}
	})
}

// TestTopicGrows: new partitions are found and shared out, also when only a follower looks, and when the leader is a
// static member that was restarted and so does not know that it leads.
func TestTopicGrows(t *testing.T) {
	t.Parallel()
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
				c, f := newCoordinator(r, 0), newField()
				leading := static("i0", "w0", assignor)
				leading.RefreshEvery = 24 * time.Hour
				w0 := startWorker(t, r, &line{coordinator: c}, leading, f)
				time.Sleep(time.Second) // the first one leads
				w1 := startWorker(t, r, &line{coordinator: c}, static("i1", "w1", assignor), f)
				for _, n := range []int32{4, 7} {
					time.Sleep(5 * time.Second)
					c.change(func() { c.partitions = n })
					time.Sleep(20 * time.Second)
					if f.all() != int(n) || f.held("w0") < int(n)/2 || f.held("w1") < int(n)/2 || len(f.clash) > 0 {
						t.Errorf("%d partitions: %d and %d are held; %v", n, f.held("w0"), f.held("w1"), f.clash)
					}
					w0.stop()
					w0 = startWorker(t, r, &line{coordinator: c}, leading, f)
				}
				before := c.count()
				c.change(func() { c.partitions = 5 }) // a broker that has not heard yet
				time.Sleep(time.Minute)
				if c.count() != before || f.all() != 7 {
					t.Errorf("fewer partitions were believed: %d rebalances, %d held", c.count()-before, f.all())
				}
				w0.stop()
				w1.stop()
			})
		})
	}
}

// TestAnswerToJoinIsLost: the member knows from the answer that never came whole what its ID is, and leaves no ghost.
func TestAnswerToJoinIsLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ context.Context, t *testing.T, r *rt.Wall) {
		c, f := newCoordinator(r, 2), newField()
		bad := &line{coordinator: c, dropReply: true}
		w := startWorker(t, r, bad, testConfig("w", CooperativeSticky), f)
		time.Sleep(3 * time.Second)
		c.change(func() { bad.dropReply = false })
		time.Sleep(10 * time.Second)
		if len(c.present()) != 1 || f.held("w") != 2 || len(c.out()) > 0 {
			t.Errorf("members %v, %d partitions held, evicted %v", c.present(), f.held("w"), c.out())
		}
		w.stop()
	})
}

// broken answers Join and Sync as it is told.
type broken struct {
	port.Groups
	join  error
	bytes []byte
}

func (b broken) Join(context.Context, port.JoinRequest) (port.JoinReply, error) {
	return port.JoinReply{Generation: 1, Member: "m", Leader: "other"}, b.join
}

func (b broken) Sync(context.Context, port.GroupMember, []port.GroupAssignment) ([]byte, error) {
	return b.bytes, nil
}

func TestJoinGivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(ctx context.Context, t *testing.T, r *rt.Wall) {
		refused := fmt.Errorf("session timeout too short: %w", port.ErrRefused)
		if _, err := newTestMember(t, r, broken{join: refused}, testConfig("w", Range)).Join(ctx, nil); !errors.Is(err, port.ErrRefused) {
			t.Errorf("refused: %v", err)
		}
		if _, err := newTestMember(t, r, broken{bytes: []byte{0, 1, 0}}, testConfig("w", Range)).Join(ctx, nil); !errors.Is(err, errUnreadable) {
			t.Errorf("an assignment that cannot be read: %v", err)
		}
		for _, e := range []error{port.ErrRebalanceInProgress, port.ErrUnknownMember, port.ErrIllegalGeneration, errCut} {
			begin := time.Now()
			ending, cancel := context.WithTimeout(ctx, time.Minute)
			if _, err := newTestMember(t, r, broken{join: e}, testConfig("w", Range)).Join(ending, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v for ever: %v", e, err)
			}
			if time.Since(begin) != time.Minute {
				t.Errorf("%v for ever: gave up after %v", e, time.Since(begin))
			}
			cancel()
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no group":           func(c *Config) { c.Group = "" },
		"no client ID":       func(c *Config) { c.ClientID = "" },
		"no topic":           func(c *Config) { c.Topic = "" },
		"unknown assignor":   func(c *Config) { c.Assignor = "best" },
		"no heartbeats":      func(c *Config) { c.HeartbeatEvery = 0 },
		"rare heartbeats":    func(c *Config) { c.HeartbeatEvery = c.SessionTimeout },
		"no rebalance":       func(c *Config) { c.RebalanceTimeout = 0 },
		"negative refreshes": func(c *Config) { c.RefreshEvery = -1 },
	} {
		cfg := testConfig("c", Range)
		change(&cfg)
		if _, err := NewMember(rt.NewWall(1), nil, cfg, port.Discard{}, "n"); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
}
