package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/filelock"
	"github.com/ratel-sim/ratel/system/containers/images"
	"github.com/ratel-sim/ratel/system/containers/reaper"
)

// Up starts a topology and leaves it running when this process ends, until [Down]. Worlds of several names can be up at once.
// When it fails or is interrupted, nothing is left. Options.Keep and Options.LogDir do not matter: nobody reads the nodes'
// output any more.
func Up(ctx context.Context, name string, t system.Topology, opt Options) (*Standing, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	opt.Keep, opt.LogDir = false, ""
	w, err := New(opt)
	if err != nil {
		return nil, err
	}
	w.stands = true
	lock, err := lockStanding(w.cache)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	defer func() { _ = lock.Release() }()
	if old, err := standing(ctx, w.engine, w.cache, name); !errors.Is(err, ErrNotUp) {
		if err == nil {
			err = fmt.Errorf("a world named %q %w, since %s (run %s): use it, remove it with 'ratel down %s' first, or give this one another name", name, ErrUp, old.Since.Format(time.DateTime), old.Run, name)
		}
		return nil, errors.Join(err, w.Close())
	}
	if opt.ObserveInto != "" { // asked again when there is a network to join; here before images are made in vain
		if _, err := w.observerToJoin(ctx); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	if err := disown(w.cache); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	var up *Standing
	err = w.Drive(ctx, func(ctx context.Context) error {
		if err := w.Start(ctx, t); err != nil {
			return err
		}
		up = w.Standing()
		up.Name = name
		if err := saveStanding(w.cache, up); err != nil {
			return err
		}
		// From here on neither the reaper nor another run's sweep touches it.
		if err := reaper.Detach(w.cache, w.run); err != nil {
			return errors.Join(err, os.Remove(standingPath(w.cache, name)))
		}
		w.opt.Keep = true
		w.takeOver(ctx, up)
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

// Down removes a world that is up, and returns what it was. The error is a [*NotUpError] if none of that name is.
func Down(ctx context.Context, name string, opt Options) (*Standing, error) {
	cache, engine, err := reach(ctx, name, opt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	lock, err := lockStanding(cache)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	s, err := loadStanding(cache, name)
	if err != nil {
		return nil, err
	}
	return s, takeDownOn(ctx, engine, cache, s)
}

// IsUp returns the world of a name; the error is a [*NotUpError] if it is not up.
func IsUp(ctx context.Context, name string, opt Options) (*Standing, error) {
	cache, engine, err := reach(ctx, name, opt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	return standing(ctx, engine, cache, name)
}

// AllUp returns the worlds that are up, the oldest first: one that observes itself into another comes after it.
func AllUp(ctx context.Context, opt Options) ([]*Standing, error) {
	cache, engine, err := reach(ctx, DefaultName, opt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	names, err := standingNames(cache)
	if err != nil {
		return nil, err
	}
	var all []*Standing
	for _, name := range names {
		s, err := standing(ctx, engine, cache, name)
		if errors.Is(err, ErrNotUp) { // its containers are gone
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b *Standing) int { return a.Since.Compare(b.Since) })
	return all, nil
}

func reach(ctx context.Context, name string, opt Options) (cache string, engine *docker.Engine, err error) {
	if err := CheckName(name); err != nil {
		return "", nil, err
	}
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

// standing returns the world of a name that is up. One of which nothing is left, say after the engine's data was removed, is
// forgotten.
func standing(ctx context.Context, engine *docker.Engine, cache, name string) (*Standing, error) {
	s, err := loadStanding(cache, name)
	if err != nil {
		return nil, err
	}
	left, err := reaper.List(ctx, engine, s.Run)
	if err != nil {
		return nil, docker.Explain("look for the world that is up", err)
	}
	if len(left.Containers) == 0 {
		if err := takeDownOn(ctx, engine, cache, s); err != nil {
			return nil, err
		}
		return loadStanding(cache, name) // which says that it is not, and what is
	}
	return s, nil
}

func takeDown(ctx context.Context, opt Options, cache string, s *Standing) error {
	_, engine, err := reach(ctx, s.Name, opt)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	return takeDownOn(ctx, engine, cache, s)
}

// takeDownOn removes everything of a standing world, and only then forgets it.
func takeDownOn(ctx context.Context, engine *docker.Engine, cache string, s *Standing) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupDeadline)
	defer cancel()
	if err := reaper.Reap(ctx, engine, s.Run); err != nil {
		return docker.Explain("remove the world that is up", err)
	}
	if err := errors.Join(reaper.Forget(cache, s.Run), ignoreMissing(os.Remove(standingPath(cache, s.Name)))); err != nil {
		return docker.Explain("forget the world that was up", err)
	}
	return nil
}
