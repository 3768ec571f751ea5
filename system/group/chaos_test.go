package group

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
	"pgregory.net/rapid"
)

// TestChaos lets members crash, be cut off, come and go while the coordinator does, too. No partition is ever held by two
// who both have reason to think that they hold it, and once all is well again everything is held evenly.
func TestChaos(t *testing.T) {
	t.Parallel()
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ context.Context, t *testing.T, _ *rt.Wall) {
				// The bubble's clock has nothing to do with the test's deadline, which rapid would look at.
				rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { chaos(t, assignor) })
			})
		})
	}
}

func chaos(t *rapid.T, assignor string) {
	r := rt.NewWall(1)
	defer func() { r.Kill(); r.Wait() }()
	const n, slots = 7, 3
	c, f := newCoordinator(r, n), newField()
	lines := make([]*line, slots)
	workers := make([]*worker, slots)
	static := rapid.Bool().Draw(t, "static")
	started := 0
	start := func(i int) {
		started++
		cfg := testConfig(fmt.Sprintf("w%d-%d", i, started), assignor)
		if static {
			cfg.Instance = fmt.Sprint("i", i)
		}
		lines[i] = &line{coordinator: c}
		workers[i] = startWorker(t, r, lines[i], cfg, f, func(w *worker) {
			// A member that is cut off while it joins learns of its eviction afterwards only.
			w.unsure = true
			w.drain = time.Duration(rapid.IntRange(0, 3000).Draw(t, "drain")) * time.Millisecond
		})
	}
	stop := func(i int, leave bool) {
		workers[i].stop()
		if leave {
			_ = workers[i].m.Resign(context.Background())
		}
		workers[i] = nil
	}
	for range rapid.IntRange(1, 10).Draw(t, "steps") {
		i := rapid.IntRange(0, slots-1).Draw(t, "who")
		switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
		case workers[i] == nil:
			start(i)
		case what == 0:
			stop(i, rapid.Bool().Draw(t, "leave"))
		case what == 1:
			c.change(func() { lines[i].cut = !lines[i].cut })
		case what == 2:
			c.change(func() { lines[i].dropReply = !lines[i].dropReply })
		case what == 3:
			c.change(func() { c.away = !c.away })
		}
		time.Sleep(time.Duration(rapid.IntRange(0, 9000).Draw(t, "pause")) * time.Millisecond)
	}
	c.change(func() {
		c.away = false
		for _, l := range lines {
			if l != nil {
				l.cut, l.dropReply = false, false
			}
		}
	})
	for i := range workers {
		if workers[i] == nil {
			start(i)
		}
	}
	time.Sleep(time.Minute)
	if f.all() != n || len(f.clash) > 0 {
		t.Fatalf("%d of %d partitions are held; %v", f.all(), n, f.clash)
	}
	for i := range workers {
		if held := f.held(workers[i].name); held != n/slots && held != n/slots+1 {
			t.Errorf("worker %d holds %d of %d partitions", i, held, n)
		}
	}
	for i := range workers {
		stop(i, false)
	}
}
