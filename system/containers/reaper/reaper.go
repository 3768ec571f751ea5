// Package reaper sees to it that a run leaves no containers, networks or volumes behind, however it ends.
//
// Everything that a run makes carries its label. A run that ends in order calls [Reap]. For one that is killed there is a
// watcher: a small detached process that holds the read end of a pipe whose write end only the run has; when the pipe
// breaks, the run is gone and the watcher reaps. For a machine that lost both, [Sweep] at the start of the next run
// reaps what belongs to runs whose lock nobody holds any more.
package reaper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/filelock"
)

const (
	// RunLabel carries the run's id.
	RunLabel = "ratel.run"
	// OwnerLabel says whose run it is: runs are swept only by their owner, since only the owner sees the run's lock.
	OwnerLabel = "ratel.owner"
)

// Labels are what everything of a run must carry. dir is the cache folder that holds the run's lock.
func Labels(run, dir string) map[string]string {
	return map[string]string{RunLabel: run, OwnerLabel: owner(dir)}
}

// owner names a cache folder on a machine: the same on each start, different for others who share the engine.
func owner(dir string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + ":" + dir
}

func lockPath(dir, run string) string   { return filepath.Join(dir, "runs", run+".lock") }
func markerPath(dir, run string) string { return filepath.Join(dir, "runs", run+".up") }

// Detach marks a run as meant to go on after its process: neither its watcher nor a sweep removes it, until [Forget].
func Detach(dir, run string) error {
	if err := os.MkdirAll(filepath.Dir(markerPath(dir, run)), 0o755); err != nil {
		return docker.Explain("mark the run as standing", err)
	}
	return docker.Explain("mark the run as standing", os.WriteFile(markerPath(dir, run), nil, 0o644))
}

// Detached tells whether a run is marked so.
func Detached(dir, run string) bool {
	_, err := os.Stat(markerPath(dir, run))
	return err == nil
}

// DetachedRuns lists the runs that are marked so, sorted.
func DetachedRuns(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(markerPath(dir, "")))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, docker.Explain("look for standing runs", err)
	}
	var runs []string
	for _, e := range entries {
		if run, ok := strings.CutSuffix(e.Name(), ".up"); ok {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// Forget takes the mark back, after the run was reaped.
func Forget(dir, run string) error {
	for _, path := range []string{markerPath(dir, run), lockPath(dir, run)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget run %s: %w", run, err)
		}
	}
	return nil
}

// Claim takes the lock that says that the run lives. It must be held before the run's first container is made.
func Claim(dir, run string) (*filelock.Lock, error) {
	l, err := filelock.Try(lockPath(dir, run))
	if err != nil {
		return nil, docker.Explain("mark the run as living", err)
	}
	return l, nil
}

// Left is what a run has on the engine.
type Left struct{ Containers, Volumes, Networks []string }

// Empty tells whether there is nothing.
func (l Left) Empty() bool { return len(l.Containers)+len(l.Volumes)+len(l.Networks) == 0 }

// String counts what there is.
func (l Left) String() string {
	return fmt.Sprintf("%d containers, %d volumes, %d networks", len(l.Containers), len(l.Volumes), len(l.Networks))
}

// List finds everything that a run has on the engine.
func List(ctx context.Context, engine *docker.Engine, run string) (Left, error) {
	var left Left
	byRun := client.Filters{}.Add("label", RunLabel+"="+run)
	containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: byRun})
	if err != nil {
		return left, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers.Items {
		left.Containers = append(left.Containers, c.ID)
	}
	volumes, err := engine.VolumeList(ctx, client.VolumeListOptions{Filters: byRun})
	if err != nil {
		return left, fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes.Items {
		left.Volumes = append(left.Volumes, v.Name)
	}
	networks, err := engine.NetworkList(ctx, client.NetworkListOptions{Filters: byRun})
	if err != nil {
		return left, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks.Items {
		left.Networks = append(left.Networks, n.ID)
	}
	return left, nil
}

// Reap removes everything that a run has on the engine and returns when nothing of it is left. What is still being made
// while it looks is found on the next look; it keeps looking until ctx ends.
func Reap(ctx context.Context, engine *docker.Engine, run string) error {
	for {
		left, err := List(ctx, engine, run)
		if err == nil {
			if left.Empty() {
				return nil
			}
			err = remove(ctx, engine, run, left)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("run %s could not be removed in time (%s left): %w", run, left, errors.Join(ctx.Err(), err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// remove takes away containers first, since they hold the volumes and the networks. Then it takes other runs' containers out
// of the networks, where they would be in the way. It does one thing at a time: when many containers leave one network at once,
// Docker Engine 20.10 now and then locks up for good (moby issue 46661: of two of its locks, a container that leaves takes one
// first and the removal of an endpoint the other).
func remove(ctx context.Context, engine *docker.Engine, run string, left Left) error {
	var errs []error
	for _, id := range left.Containers {
		_, err := engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, ignoreGone(err))
	}
	for _, name := range left.Volumes {
		_, err := engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{Force: true})
		errs = append(errs, ignoreGone(err))
	}
	for _, id := range left.Networks {
		errs = append(errs, disconnect(ctx, engine, run, id))
		_, err := engine.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
		errs = append(errs, ignoreGone(err))
	}
	return errors.Join(errs...)
}

// disconnect takes everybody out of a run's network who is not of that run: a standing world that this one was observed by, or
// what a person has put there. Also those that do not run now: the engine would not start them again without the network.
func disconnect(ctx context.Context, engine *docker.Engine, run, network string) error {
	there, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("network", network)})
	if err != nil {
		return fmt.Errorf("look who else is in the network: %w", err)
	}
	var errs []error
	for _, c := range there.Items {
		if c.Labels[RunLabel] == run {
			continue // it could not be removed, or is just being made
		}
		_, err := engine.NetworkDisconnect(ctx, network, client.NetworkDisconnectOptions{Container: c.ID, Force: true})
		errs = append(errs, ignoreGone(err))
	}
	return errors.Join(errs...)
}

// ignoreGone forgives that somebody else was quicker.
func ignoreGone(err error) error {
	if cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
		return nil
	}
	return err
}

// Survey tells this owner's dead runs that have left something on the engine from those that live.
func Survey(ctx context.Context, engine *docker.Engine, dir string) (dead, living []string, err error) {
	runs, err := Runs(ctx, engine, dir)
	if err != nil {
		return nil, nil, err
	}
	for _, run := range runs {
		lock, err := filelock.Try(lockPath(dir, run))
		switch {
		case errors.Is(err, filelock.ErrHeld):
			living = append(living, run)
		case err != nil:
			return nil, nil, err
		case Detached(dir, run):
			living = append(living, run)
			_ = lock.Release()
		default:
			dead = append(dead, run)
			_ = lock.Release()
		}
	}
	return dead, living, nil
}

// Sweep reaps the runs of this cache folder's owner that no longer live, and returns their ids.
func Sweep(ctx context.Context, engine *docker.Engine, dir string) ([]string, error) {
	runs, err := Runs(ctx, engine, dir)
	if err != nil {
		return nil, err
	}
	var swept []string
	for _, run := range runs {
		lock, err := filelock.Try(lockPath(dir, run))
		if errors.Is(err, filelock.ErrHeld) {
			continue // it lives
		}
		if err != nil {
			return swept, err
		}
		if Detached(dir, run) { // asked under the lock, which a run holds until it has marked itself
			_ = lock.Release()
			continue
		}
		err = Reap(ctx, engine, run)
		_ = lock.Remove()
		if err != nil {
			return swept, err
		}
		swept = append(swept, run)
	}
	return swept, nil
}

// Runs lists the ids of this owner's runs that have something on the engine, living or dead, sorted.
func Runs(ctx context.Context, engine *docker.Engine, dir string) ([]string, error) {
	mine := client.Filters{}.Add("label", OwnerLabel+"="+owner(dir))
	var runs []string
	note := func(labels map[string]string) {
		if run := labels[RunLabel]; run != "" && !slices.Contains(runs, run) {
			runs = append(runs, run)
		}
	}
	containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: mine})
	if err != nil {
		return nil, docker.Explain("look for runs", err)
	}
	for _, c := range containers.Items {
		note(c.Labels)
	}
	networks, err := engine.NetworkList(ctx, client.NetworkListOptions{Filters: mine})
	if err != nil {
		return nil, docker.Explain("look for runs", err)
	}
	for _, n := range networks.Items {
		note(n.Labels)
	}
	volumes, err := engine.VolumeList(ctx, client.VolumeListOptions{Filters: mine})
	if err != nil {
		return nil, docker.Explain("look for runs", err)
	}
	for _, v := range volumes.Items {
		note(v.Labels)
	}
	slices.Sort(runs)
	return runs, nil
}
