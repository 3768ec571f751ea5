package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/filelock"
	"github.com/ratel-sim/ratel/system/containers/images"
	"github.com/ratel-sim/ratel/system/containers/reaper"
	"github.com/ratel-sim/ratel/system/process"
)

// Standing is a world that [Up] has started and left running.
type Standing struct {
	Run      string          `json:"run"`
	Since    time.Time       `json:"since"`
	Topology system.Topology `json:"topology"`
	// Nodes are where each node is reached from this machine, in the order of the topology.
	Nodes []StandingNode `json:"nodes"`
	// Teams are the topology's teams with their API keys.
	Teams []StandingTeam `json:"teams"`
	// MySQL is the catalog's database as the driver's DSN. Bucket, AccessKey and SecretKey are S3's.
	MySQL     string `json:"mysql"`
	Bucket    string `json:"bucket"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	// Webhooks is a URL that the nodes reach this machine at. [Standing.ReceiveWebhooks] listens there; until somebody does,
	// deliveries to it are refused and tried again.
	Webhooks string `json:"webhooks,omitempty"`
}

// StandingNode is one node of a standing world.
type StandingNode struct {
	Name string      `json:"name"`
	Role system.Role `json:"role"`
	Zone string      `json:"zone,omitempty"`
	// Address is host:port. URL is set for what speaks HTTP: shepherds, retrievers, query nodes and S3.
	Address string `json:"address"`
	URL     string `json:"url,omitempty"`
	// GRPC is a shepherd's gRPC server for OTLP, as a URL.
	GRPC string `json:"grpc,omitempty"`
}

// StandingTeam is a team and its key.
type StandingTeam struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// Of lists the nodes of a role, in order.
func (s *Standing) Of(role system.Role) []StandingNode {
	var nodes []StandingNode
	for _, n := range s.Nodes {
		if n.Role == role {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Errors of Up and Down.
var (
	// ErrUp: a world is up already; there is one at a time for each cache folder.
	ErrUp = errors.New("a world is up already")
	// ErrNotUp: none is.
	ErrNotUp = errors.New("no world is up")
)

func standingPath(cache string) string { return filepath.Join(cache, "up.json") }

// Up starts a topology and leaves it running when this process ends, until [Down]. When it fails or is interrupted, nothing
// is left. Options.Keep and Options.LogDir do not matter: nobody reads the nodes' output any more.
func Up(ctx context.Context, t system.Topology, opt Options) (*Standing, error) {
	opt.Keep, opt.LogDir = false, ""
	w, err := New(opt)
	if err != nil {
		return nil, err
	}
	lock, err := lockStanding(w.cache)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	defer func() { _ = lock.Release() }()
	if old, err := standing(ctx, w.engine, w.cache); !errors.Is(err, ErrNotUp) {
		if err == nil {
			err = fmt.Errorf("%w, since %s (run %s): use it, or remove it with 'ratel down' first", ErrUp, old.Since.Format(time.DateTime), old.Run)
		}
		return nil, errors.Join(err, w.Close())
	}
	var up *Standing
	err = w.Drive(ctx, func(ctx context.Context) error {
		if err := w.Start(ctx, t); err != nil {
			return err
		}
		up = w.Standing()
		if err := saveStanding(w.cache, up); err != nil {
			return err
		}
		// From here on neither the reaper nor another run's sweep touches it.
		if err := reaper.Detach(w.cache, w.run); err != nil {
			return errors.Join(err, os.Remove(standingPath(w.cache)))
		}
		w.opt.Keep = true
		return nil
	})
	if err != nil {
		if up != nil && w.opt.Keep { // interrupted at the last moment
			err = errors.Join(err, takeDown(context.WithoutCancel(ctx), w.opt, w.cache, up))
		}
		return nil, err
	}
	return up, nil
}

// Standing describes this world as it was started: where everything is.
func (w *World) Standing() *Standing {
	s := &Standing{
		Run: w.run, Since: time.Now().UTC().Truncate(time.Second), Topology: w.topology,
		MySQL: dsn(w.of(system.RoleMySQL)[0].host()), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey,
	}
	for _, n := range w.order {
		sn := StandingNode{Name: n.Name, Role: n.Role, Zone: n.Zone, Address: n.host()}
		switch n.Role {
		case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleS3:
			sn.URL = n.url()
			if at := n.grpc(); at != "" {
				sn.GRPC = "http://" + at
			}
		case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, process.RoleProxy:
		}
		s.Nodes = append(s.Nodes, sn)
	}
	if w.hookPort != 0 {
		s.Webhooks = fmt.Sprintf("http://%s:%d%s", w.gateway, w.hookPort, webhookPath)
	}
	for _, t := range w.topology.Teams {
		s.Teams = append(s.Teams, StandingTeam{Name: t.Name, Key: system.TeamKey(t.Name)})
	}
	return s
}

// Down removes the world that is up, and returns what it was. ErrNotUp if there is none.
func Down(ctx context.Context, opt Options) (*Standing, error) {
	cache, engine, err := reach(ctx, opt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	lock, err := lockStanding(cache)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	s, err := loadStanding(cache)
	if err != nil {
		return nil, err
	}
	return s, takeDownOn(ctx, engine, cache, s.Run)
}

// IsUp returns the world that is up; ErrNotUp if there is none.
func IsUp(ctx context.Context, opt Options) (*Standing, error) {
	cache, engine, err := reach(ctx, opt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	return standing(ctx, engine, cache)
}

func reach(ctx context.Context, opt Options) (cache string, engine *docker.Engine, err error) {
	if cache, err = images.CacheDir(opt.CacheDir); err != nil {
		return "", nil, err
	}
	engine, err = docker.Connect(ctx)
	return cache, engine, err
}

// lockStanding keeps two of Up and Down from being at it at once.
func lockStanding(cache string) (*filelock.Lock, error) {
	lock, err := filelock.Try(filepath.Join(cache, "up.lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, &docker.Error{What: "cannot bring a world up or down now", Why: "another 'ratel up' or 'ratel down' is at it", Fix: "wait until it has ended"}
	}
	if err != nil {
		return nil, docker.Explain("look for a world that is up", err)
	}
	return lock, nil
}

// standing returns the world that is up. One of which nothing is left, say after the engine's data was removed, is
// forgotten.
func standing(ctx context.Context, engine *docker.Engine, cache string) (*Standing, error) {
	s, err := loadStanding(cache)
	if err != nil {
		return nil, err
	}
	left, err := reaper.List(ctx, engine, s.Run)
	if err != nil {
		return nil, docker.Explain("look for the world that is up", err)
	}
	if len(left.Containers) == 0 {
		if err := takeDownOn(ctx, engine, cache, s.Run); err != nil {
			return nil, err
		}
		return nil, ErrNotUp
	}
	return s, nil
}

func takeDown(ctx context.Context, opt Options, cache string, s *Standing) error {
	_, engine, err := reach(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	return takeDownOn(ctx, engine, cache, s.Run)
}

// takeDownOn removes everything of a run, and only then forgets it.
func takeDownOn(ctx context.Context, engine *docker.Engine, cache, run string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupDeadline)
	defer cancel()
	if err := reaper.Reap(ctx, engine, run); err != nil {
		return docker.Explain("remove the world that is up", err)
	}
	if err := errors.Join(reaper.Forget(cache, run), ignoreMissing(os.Remove(standingPath(cache)))); err != nil {
		return docker.Explain("forget the world that was up", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func saveStanding(cache string, s *Standing) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("describe the world that is up: %w", err)
	}
	tmp := standingPath(cache) + ".new"
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return docker.Explain("save what is up", err)
	}
	return docker.Explain("save what is up", os.Rename(tmp, standingPath(cache)))
}

func loadStanding(cache string) (*Standing, error) {
	text, err := os.ReadFile(standingPath(cache))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotUp
	}
	if err != nil {
		return nil, docker.Explain("read what is up", err)
	}
	var s Standing
	if err := json.Unmarshal(text, &s); err != nil || s.Run == "" {
		return nil, &docker.Error{What: "cannot tell what world is up", Why: standingPath(cache) + " is damaged", Err: err,
			Fix: "remove that file; the next run then removes what is left of the world"}
	}
	return &s, nil
}
