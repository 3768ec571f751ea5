//go:build containers

package containers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// said is what a world says of itself.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), text)
}

// A broker that exits while the topology starts, as one does that finds no ZooKeeper in time, is started again, and the start goes on.
func TestContainersBrokerThatExitsWhileStarting(t *testing.T) {
	words := &said{}
	w := newWorld(t, func(o *Options) { o.Log = io.MultiWriter(o.Log, words) })
	began := time.Now()
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		var wg sync.WaitGroup
		wg.Go(func() {
			name := fmt.Sprintf("ratel-%s-kafka1", w.run)
			for ctx.Err() == nil {
				if st, err := w.engine.State(ctx, name); err == nil && st.Running {
					if err := w.engine.Kill(ctx, name); err != nil {
						t.Error(err)
					}
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		err := w.Start(ctx, small())
		wg.Wait()
		if err != nil {
			return err
		}
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		if reach, detail := w.Probe(ctx, "kafka1"); reach != system.Answers {
			t.Errorf("kafka1 %s: %s", reach, detail)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := words.count("kafka1 exited with code 137 while it was starting (start 1 of at most 4), and is started again"); n != 1 {
		t.Errorf("that it was started again is said %d times", n)
	}
}

// A broker that is brought back while ZooKeeper is away exits once its patience with it is over, and is started again until it gets through.
func TestContainersBrokerThatComesBackWithoutZooKeeper(t *testing.T) {
	words := &said{}
	w := newWorld(t, func(o *Options) { o.Log = io.MultiWriter(o.Log, words) })
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, small()); err != nil {
			return err
		}
		ensemble, broker := system.Fault{Kind: system.FaultKill, Node: "zk1"}, system.Fault{Kind: system.FaultKill, Node: "kafka1"}
		for _, f := range []system.Fault{ensemble, broker} {
			if err := w.Inject(ctx, f); err != nil {
				return err
			}
		}
		if err := w.Heal(ctx, broker); err != nil {
			return err
		}
		began := time.Now()
		eventually(t, "the broker has given up and is started again", func() (string, bool) {
			n := words.count("kafka1 exited with code 1 while it was starting")
			return fmt.Sprintf("%d times", n), n > 0
		})
		t.Logf("it had given up after %v", time.Since(began).Round(time.Second))
		if err := w.Heal(ctx, ensemble); err != nil {
			return err
		}
		eventually(t, "the broker answers", func() (string, bool) {
			reach, detail := w.Probe(ctx, "kafka1")
			return detail, reach == system.Answers
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
