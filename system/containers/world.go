// Package containers is the containers world: real Kafka, ZooKeeper, MySQL and S3 and the pipeline's roles, each node a container
// of its own that this package starts through testcontainers, with faults injected into them and observed.
//
// Nothing is left behind: everything of a run carries its label and is removed when [World.Drive] returns, by the
// package reaper when the run is killed.
package containers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/filelock"
	"github.com/ratel-sim/ratel/system/containers/hostports"
	"github.com/ratel-sim/ratel/system/containers/images"
	"github.com/ratel-sim/ratel/system/containers/reaper"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/process"
	"github.com/ratel-sim/ratel/system/rt"
)

// Bounds on waiting. The engine's own deadlines come on top through ctx.
const (
	cleanupDeadline = 2 * time.Minute  // to remove everything of a run
	portPatience    = 15 * time.Second // for a fixed port that somebody else has taken meanwhile
	probeDeadline   = time.Second      // of one probe of one node
	stopPatience    = 30 * time.Second // for a clean stop, before the engine kills
	saidDeadline    = 5 * time.Second  // for what a node printed
)

// Options set the containers world up. The zero value decides by what the machine has.
type Options struct {
	// Planted are bugs that the roles are started with.
	Planted planted.Set
	// Log is told what takes long, a line at a time. May be nil.
	Log io.Writer
	// Base is a public Debian 12 image to build on, for machines with a registry. Empty: one is made with debootstrap.
	Base string
	// MySQLImage and S3Image are public images of MySQL and MinIO, for machines with a registry. Empty: they are built.
	MySQLImage string
	S3Image    string
	// Mirror is the Debian mirror for debootstrap, a URL. Empty: that of this machine's apt.
	Mirror string
	// RoleBinary is a static ratel binary for the roles. Empty: this program if it is one, else one built from source.
	RoleBinary string
	// CacheDir keeps jars, the base and the locks. Empty: $XDG_CACHE_HOME/ratel, else ~/.cache/ratel.
	CacheDir string
	// Reaper is the command that starts a process which calls [RunReaper]. Empty: this program with the argument "reaper".
	Reaper []string
	// Observe is whom roles tell about themselves, where the topology's telemetry is enabled. Its address must be one that
	// containers reach.
	Observe process.Observe
	// ObserveInto is the name of a standing world of this machine that roles tell about themselves, instead of Observe. Its
	// shepherds are joined to this world's network while this world is there. Where the topology's telemetry is enabled.
	ObserveInto string
	// LogDir, if set, gets every node's output as <node>.log.
	LogDir string
	// Keep leaves everything running when Drive returns, for a person to look at; the next run's sweep removes it.
	Keep bool
	// ForceSidecar cuts nodes off through a helper container even where this process could enter their network
	// namespace itself.
	ForceSidecar bool
}

// World is the containers world. One World is for one run: Drive is called once.
type World struct {
	opt    Options
	engine *docker.Engine
	cache  string
	run    string // the run's id, on everything that it makes
	began  time.Time

	lock    *filelock.Lock
	watcher *reaper.Watcher
	ports   *hostports.Block
	images  struct{ kafka, role, mysql, s3 string }
	network string // its name
	joined  joined
	stands  bool // it outlives this process
	wall    *rt.Wall
	broken  context.CancelCauseFunc

	topology  system.Topology
	nodes     map[string]*node
	order     []*node
	helpers   []*node // proxies, which are no nodes of the topology
	clients   *clients
	gateway   netip.Addr // this machine's address in the run's network
	hookPort  int        // set aside for whoever receives the webhooks of a world that is up; 0 without trigger workers
	receiver  *receiver
	observed  observer.Sink
	collector *collector // nil: nobody observes
	sinks     sinks
	logs      followers
	healed    sync.Map       // what faults that are healed have hit, by fault
	rejoins   sync.WaitGroup // brokers on their way back
	sayMu     sync.Mutex     // one line at a time
}

// testcontainersOnce guards testcontainers' process-wide settings, which are read once, at its first use.
var testcontainersOnce sync.Once //nolint:gochecknoglobals // it guards another package's globals

// prepareTestcontainers sets what testcontainers would otherwise guess wrongly: that an engine which shares this
// machine's network is reached at a gateway's address, and that its own reaper's image can be had.
func prepareTestcontainers() error {
	var err error
	testcontainersOnce.Do(func() {
		if os.Getenv("TESTCONTAINERS_HOST_OVERRIDE") == "" {
			err = os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
		}
		err = errors.Join(err, os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"))
		tclog.SetDefault(tclog.NewNoopLogger())
	})
	return err
}

// New connects to the machine's Docker engine. An error says what the machine lacks and what to do.
func New(opt Options) (*World, error) {
	if err := prepareTestcontainers(); err != nil {
		return nil, fmt.Errorf("set up testcontainers: %w", err)
	}
	cache, err := images.CacheDir(opt.CacheDir)
	if err != nil {
		return nil, err
	}
	engine, err := docker.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("choose a run id: %w", err)
	}
	if len(opt.Reaper) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program, to start the reaper: %w", err)
		}
		opt.Reaper = []string{self, "reaper"}
	}
	return &World{opt: opt, engine: engine, cache: cache, run: hex.EncodeToString(id[:]), nodes: map[string]*node{}}, nil
}

// Close lets the connection to the engine go. It is not needed after Drive.
func (w *World) Close() error { return w.engine.Close() }

// Name implements the engine's World.
func (w *World) Name() string { return "containers" }

// RunID is the id that everything of this run carries as the label "ratel.run".
func (w *World) RunID() string { return w.run }

// Runtime is the harness's process: the wall clock.
func (w *World) Runtime() rt.Runtime { return w.wall }

// Trace says that a run on real servers has no reproducible trace.
func (w *World) Trace() (hash, steps uint64, ok bool) { return 0, 0, false }

// Subscribe hands every event announced from now on to sink.
func (w *World) Subscribe(sink port.Events) { w.sinks.add(sink) }

// Can implements the engine's World: what this world cannot do is said before anything starts.
func (w *World) Can(kind system.FaultKind, r system.Role, aimed bool) error {
	if aimed {
		return errors.New("a fault on real servers cannot be aimed at a protocol event: it is seen only after it has happened; use the simulated world")
	}
	if r == system.RoleObserver && kind == system.FaultIsolate {
		return errObserverIsolated
	}
	if r == system.RoleObserver && kind == system.FaultStarve {
		return fmt.Errorf("no fault %q on %s: it is a part of this process; make it slow, or pause it", kind, r)
	}
	storage := r == system.RoleMySQL || r == system.RoleS3
	switch kind {
	case system.FaultKill, system.FaultStop, system.FaultPause, system.FaultStarve:
		return nil
	case system.FaultReplace:
		if storage {
			return fmt.Errorf("no fault %q on %s: its disk is the only copy of what it holds, and an empty one would not come back to service; kill or stop it instead", kind, r)
		}
		return nil
	case system.FaultIsolate:
		return nil // through the node's network namespace where this process may enter it, else through a helper container
	case system.FaultErrors, system.FaultSlow:
		if !storage && r != system.RoleObserver {
			return fmt.Errorf("no fault %q on %s: only %s and %s are reached through a proxy that can make requests fail or wait", kind, r, system.RoleMySQL, system.RoleS3)
		}
		return nil
	case system.FaultRecreate, system.FaultPoison:
		return nil
	}
	return fmt.Errorf("no fault %q on %s here", kind, r)
}

func (w *World) labels() map[string]string { return reaper.Labels(w.run, w.cache) }

func (w *World) say(format string, args ...any) {
	if w.opt.Log != nil {
		w.sayMu.Lock()
		defer w.sayMu.Unlock()
		fmt.Fprintf(w.opt.Log, format+"\n", args...)
	}
}

// Drive implements the engine's World. It sweeps what dead runs have left, builds what images are missing, runs f, and
// removes everything of this run, also when f fails or panics or ctx ends. What cannot be removed is said and left to the
// reaper and to the next run's sweep: it takes nothing away from what f has found out.
func (w *World) Drive(ctx context.Context, f func(ctx context.Context) error) (err error) {
	if w.wall != nil {
		return errors.New("a containers world drives one run only: make a new one")
	}
	w.began = time.Now()
	ctx, w.broken = context.WithCancelCause(ctx)
	defer w.broken(nil)
	w.wall = rt.NewWall(seed(w.run), rt.OnPanic(func(p *rt.PanicError) { w.broken(p) }))
	w.logs.prepare(w)
	defer func() {
		if cleanErr := w.cleanUp(); cleanErr != nil {
			w.say("not everything of run %s could be cleaned up; the reaper and the next run try again: %v", w.run, cleanErr)
		}
	}()
	if err := w.claim(ctx); err != nil {
		return err
	}
	if err := w.makeImages(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	w.wall.Go("harness", func(context.Context) {
		defer func() {
			if v := recover(); v != nil {
				done <- &rt.PanicError{Task: "harness", Value: v, Stack: debug.Stack()}
			}
		}()
		done <- f(ctx)
	})
	select {
	case err = <-done:
	case <-ctx.Done():
		// f sees the same context; it gets a moment to save what it has.
		select {
		case err = <-done:
		case <-time.After(10 * time.Second):
			err = ctx.Err()
		}
	}
	if ctx.Err() != nil {
		err = cutShort(context.Cause(ctx), err)
	}
	return err
}

// cutShort is the error of a run whose context has ended: because of an interrupt, or because a task has panicked. That
// what was under way then was canceled is no interrupt.
func cutShort(cause, err error) error {
	switch {
	case err == nil:
		return cause
	case errors.Is(err, context.Canceled) && !errors.Is(cause, context.Canceled):
		return fmt.Errorf("%w\nwhat was under way then: %v", cause, err) //nolint:errorlint // see above
	case errors.Is(err, cause):
		return err
	}
	return errors.Join(cause, err)
}

// claim marks the run as living, sweeps dead ones, and has this one watched, before anything is made.
func (w *World) claim(ctx context.Context) error {
	sweepCtx, cancel := context.WithTimeout(ctx, cleanupDeadline)
	defer cancel()
	swept, err := reaper.Sweep(sweepCtx, w.engine, w.cache)
	if err != nil {
		return docker.Explain("remove what earlier runs have left", err)
	}
	if len(swept) > 0 {
		w.say("removed what %d earlier runs had left behind", len(swept))
	}
	if w.lock, err = reaper.Claim(w.cache, w.run); err != nil {
		return err
	}
	if !w.opt.Keep {
		if w.watcher, err = reaper.Watch(w.opt.Reaper, w.cache, w.run); err != nil {
			return err
		}
	}
	w.ports, err = hostports.Acquire()
	return err
}

func (w *World) makeImages(ctx context.Context) error {
	b, err := images.New(w.engine, images.Options{
		Base: w.opt.Base, MySQL: w.opt.MySQLImage, S3: w.opt.S3Image, Mirror: w.opt.Mirror, RoleBinary: w.opt.RoleBinary, CacheDir: w.opt.CacheDir,
		Progress: func(line string) { w.say("%s", line) },
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var errs [4]error
	for i, make := range []struct {
		image *string
		build func(ctx context.Context) (string, error)
	}{{&w.images.kafka, b.Kafka}, {&w.images.role, b.Role}, {&w.images.mysql, b.MySQL}, {&w.images.s3, b.S3}} {
		wg.Go(func() { *make.image, errs[i] = make.build(ctx) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// cleanUp removes everything of the run. It has its own time, for the run's context may have ended long ago.
func (w *World) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupDeadline)
	defer cancel()
	w.wall.Kill()
	w.broken(context.Canceled)
	if w.clients != nil {
		w.receiver.close()
		w.collector.close()
		w.clients.close()
	}
	rejoined := make(chan struct{})
	go func() { w.rejoins.Wait(); close(rejoined) }()
	select {
	case <-rejoined:
	case <-ctx.Done(): // an engine that has locked up keeps nobody from saving what a run has found out
	}
	var err error
	if !w.opt.Keep {
		// The followers of the nodes' output end with the containers.
		if err = reaper.Reap(ctx, w.engine, w.run); err != nil {
			err = docker.Explain("remove the run's containers", err)
		}
	}
	w.logs.close()
	if w.watcher != nil {
		err = errors.Join(err, w.watcher.Stop())
	}
	if w.lock != nil {
		if err == nil && !w.opt.Keep {
			err = w.lock.Remove()
		} else {
			_ = w.lock.Release()
		}
	}
	if w.ports != nil {
		w.ports.Release()
	}
	return errors.Join(err, w.engine.Close())
}

// seed turns a run's id into a seed: on real servers nothing is reproduced, but two runs should differ.
func seed(run string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(run))
	return h.Sum64()
}

// RunReaper is what the process started by Options.Reaper runs: it waits on its standard input for its run's end and
// then removes what the run has left. It takes no arguments.
func RunReaper(_ context.Context, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("the reaper takes no arguments, got %q", args)
	}
	return reaper.Run(os.Stdin, os.Stdout)
}

// Unavailable tells whether an error says that this machine lacks something for the containers world, rather than that
// a run went wrong.
func Unavailable(err error) bool {
	var e *docker.Error
	return errors.As(err, &e)
}

// Sweep removes what dead runs of this user have left on the engine, and returns their ids. Each run begins with it.
func Sweep(ctx context.Context) ([]string, error) {
	cache, err := images.CacheDir("")
	if err != nil {
		return nil, err
	}
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	return reaper.Sweep(ctx, engine, cache)
}

// pause waits on the wall clock.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
