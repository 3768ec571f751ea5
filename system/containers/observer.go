package containers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/process"
)

// collector is the node that takes what the pipeline's roles say about themselves. It is this process's own server, so that
// it survives whatever happens to containers; faults on it are made here.
type collector struct {
	w       *World
	address netip.AddrPort // in the run's network

	mu     sync.Mutex
	server *http.Server // nil while it is down
	faults map[string]system.Fault
	resume chan struct{}    // closed when a pause ends; nil: not paused
	hits   map[string]int64 // by fault: requests that its errors or slowness have disturbed, also after it was healed
}

// Observe implements the engine's World: sink is told what the observer takes. It is called before Start.
func (w *World) Observe(sink observer.Sink) { w.observed = sink }

// deaf takes telemetry that nobody wants to hear.
type deaf struct{}

func (deaf) Observed(string, []observer.Event) {}
func (deaf) Refused(int)                       {}

// startCollector starts the observer, if the topology has one.
func (w *World) startCollector(ctx context.Context) error {
	if !w.topology.Observed() {
		return nil
	}
	if w.observed == nil {
		w.observed = deaf{}
	}
	w.collector = &collector{w: w, address: netip.AddrPortFrom(w.gateway, 0), faults: map[string]system.Fault{}, hits: map[string]int64{}}
	return w.collector.start(ctx)
}

// observe is whom a role tells about itself: who was asked for, else the run's own collector.
func (w *World) observe(n *node) process.Observe {
	if w.opt.ObserveInto != "" {
		return w.joined.observe(slices.Index(w.order, n))
	}
	if w.opt.Observe.URL != "" || w.collector == nil {
		return w.opt.Observe
	}
	return process.Observe{URL: "http://" + w.collector.address.String()}
}

// start begins a new incarnation, with an empty queue, at the address of the one before.
func (c *collector) start(ctx context.Context) error {
	var listener net.Listener
	began := time.Now()
	for {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.address.String()); err == nil {
			break
		}
		if c.address.Port() == 0 || time.Since(began) > portPatience {
			return &docker.Error{
				What: "start the observer", Why: fmt.Sprintf("nothing can listen at %s on this machine: %v", c.address, err),
				Fix: "run where the Docker engine runs, not in a machine beside it",
			}
		}
		if err := pause(ctx, readyPoll); err != nil {
			return err
		}
	}
	if at, ok := listener.Addr().(*net.TCPAddr); ok {
		c.address = at.AddrPort()
	}
	inner := observer.Handler(observer.New(c.w.wall, c.w.topology.Observer, c.w.observed))
	server := &http.Server{Handler: c.faulty(inner), ReadHeaderTimeout: time.Minute}
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
	return nil
}

// faulty is a handler with what faults make of requests.
func (c *collector) faulty(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		resume := c.resume
		rate, delay := system.Degradation(slices.Collect(maps.Values(c.faults)))
		probe := req.Method == http.MethodGet
		fails := !probe && rate > 0 && rand.Float64() < rate //nolint:gosec // which request fails is no secret
		for k, f := range c.faults {
			if !probe && (f.Kind == system.FaultSlow || f.Kind == system.FaultErrors && fails) {
				c.hits[k]++
			}
		}
		c.mu.Unlock()
		if resume != nil {
			select {
			case <-resume:
			case <-req.Context().Done():
				return
			}
		}
		if delay > 0 && !probe && pause(req.Context(), delay) != nil {
			return
		}
		if fails {
			if rand.IntN(2) == 0 { //nolint:gosec // likewise
				http.Error(rw, "a fault", http.StatusServiceUnavailable)
				return
			}
			inner.ServeHTTP(nowhere{http.Header{}}, req) // taken, and its sender does not learn of it
			http.Error(rw, "a fault", http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(rw, req)
	})
}

// nowhere is an answer that is lost.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// inject begins a fault on the observer.
func (c *collector) inject(f system.Fault) error {
	if err := c.w.Can(f.Kind, system.RoleObserver, false); err != nil {
		return fmt.Errorf("inject %s: %w", f, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[f.Key()] = f
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		if c.server != nil {
			_ = c.server.Close()
			c.server = nil
		}
	case system.FaultPause:
		if c.resume == nil {
			c.resume = make(chan struct{})
		}
	case system.FaultErrors, system.FaultSlow:
		c.hits[f.Key()] = 0 // also of one like it that was healed before
	case system.FaultIsolate, system.FaultStarve, system.FaultRecreate, system.FaultPoison:
	}
	return nil
}

// heal ends a fault on the observer.
func (c *collector) heal(ctx context.Context, f system.Fault) error {
	c.mu.Lock()
	if _, there := c.faults[f.Key()]; !there {
		c.mu.Unlock()
		return fmt.Errorf("heal %s: it was not injected", f)
	}
	delete(c.faults, f.Key())
	down, frozen := false, false
	for _, left := range c.faults {
		switch left.Kind {
		case system.FaultKill, system.FaultStop, system.FaultReplace:
			down = true
		case system.FaultPause:
			frozen = true
		case system.FaultErrors, system.FaultSlow, system.FaultIsolate, system.FaultRecreate:
		}
	}
	if c.resume != nil && !frozen {
		close(c.resume)
		c.resume = nil
	}
	start := c.server == nil && !down
	c.mu.Unlock()
	if start {
		return c.start(ctx)
	}
	return nil
}

// disturbed counts the requests that a fault of errors or slowness has hit.
func (c *collector) disturbed(f system.Fault) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits[f.Key()]
}

func (c *collector) probe(ctx context.Context) (system.Reach, string) {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	return probeHTTP(ctx, c.address.String(), "/healthz")
}

func (c *collector) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		_ = c.server.Close()
	}
	if c.resume != nil {
		close(c.resume)
		c.resume = nil
	}
}

// isObserver says whether a fault is on the observer, and that it is there.
func (w *World) isObserver(node string) bool {
	return w.collector != nil && node == system.NodeName(system.RoleObserver, 1)
}

// errObserverIsolated: the observer is no container, so it has no network of its own to cut.
var errObserverIsolated = errors.New("the observer runs in this process and has no network of its own to cut; kill or pause it instead")
