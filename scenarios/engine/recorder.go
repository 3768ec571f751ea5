package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// recorder stamps what happens with the run's clock. Several tasks and real clients' callbacks write to it.
type recorder struct {
	rtm   rt.Runtime
	start time.Time

	mu       sync.Mutex
	timeline []evidence.Entry
	samples  []evidence.Sample
	watchers []*watcher
}

// watcher waits for announced events of one kind.
type watcher struct {
	kind  string
	queue *rt.Queue[port.Event]
}

func newRecorder(rtm rt.Runtime) *recorder {
	return &recorder{rtm: rtm, start: rtm.Now()}
}

func (c *recorder) now() time.Duration { return c.since(c.rtm.Now()) }

func (c *recorder) since(t time.Time) time.Duration { return t.Sub(c.start) }

func (c *recorder) add(e evidence.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.At = c.now() // under the lock, so that the timeline is in order of time
	c.timeline = append(c.timeline, e)
}

func (c *recorder) sample(values map[string]float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := evidence.Sample{At: c.now(), Values: values}
	c.samples = append(c.samples, s)
}

// Announce implements port.Events.
func (c *recorder) Announce(e port.Event) {
	entry := evidence.Entry{Kind: evidence.Announced, Node: e.Node, Event: e.Kind, Topic: e.Topic, Detail: e.Detail}
	if e.Topic != "" {
		entry.Part = e.Part
	}
	c.add(entry)
	c.mu.Lock()
	watchers := slices.Clone(c.watchers)
	c.mu.Unlock()
	for _, w := range watchers {
		if w.kind == e.Kind {
			w.queue.TryPush(e)
		}
	}
}

func (c *recorder) watch(kind string) *watcher {
	w := &watcher{kind: kind, queue: rt.NewQueue[port.Event](c.rtm, 0)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = append(c.watchers, w)
	return w
}

func (c *recorder) unwatch(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = slices.DeleteFunc(c.watchers, func(x *watcher) bool { return x == w })
}

func (c *recorder) entries() []evidence.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.timeline)
}

// phaseBegan is when a phase began; 0 if it has not.
func (c *recorder) phaseBegan(name string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.timeline {
		if e := &c.timeline[i]; e.Kind == evidence.PhaseBegan && e.Phase == name {
			return e.At
		}
	}
	return 0
}

func (c *recorder) samplesTaken() []evidence.Sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.samples)
}
