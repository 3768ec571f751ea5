//go:build containers

package containers

import (
	"context"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/reaper"
)

// A run whose network others have joined, running ones and stopped ones, goes all the same, and they stay and can be started.
func TestContainersReapLeavesTheNetworksOfOthers(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	mine := func(o *Options) { o.CacheDir = cache }
	observer := newWorld(t, mine)
	if err := observer.Drive(t.Context(), func(ctx context.Context) error {
		if err := observer.makeSomething(ctx); err != nil {
			return err
		}
		guests := []string{"running", "stopped"}
		for _, guest := range guests {
			if err := observer.makeGuest(ctx, guest); err != nil {
				return err
			}
		}
		// One that is killed, as far as the engine can tell: nothing of it is removed before the next run's sweep.
		dead := newWorld(t, mine, func(o *Options) { o.Keep = true })
		if err := dead.Drive(ctx, func(ctx context.Context) error {
			if err := dead.makeSomething(ctx); err != nil {
				return err
			}
			for _, guest := range guests {
				if _, err := dead.engine.NetworkConnect(ctx, dead.network, client.NetworkConnectOptions{Container: containerName(observer.run, guest), EndpointConfig: &network.EndpointSettings{}}); err != nil {
					return err
				}
			}
			_, err := dead.engine.ContainerStop(ctx, containerName(observer.run, "stopped"), client.ContainerStopOptions{Signal: "KILL"})
			return err
		}); err != nil {
			return err
		}
		if swept, err := reaper.Sweep(ctx, observer.engine, cache); err != nil || !slices.Equal(swept, []string{dead.RunID()}) {
			t.Errorf("swept %v, want %s: %v", swept, dead.RunID(), err)
		}
		if left := leftOf(t, dead.RunID()); !left.Empty() {
			t.Errorf("left behind: %s", left)
		}
		if _, err := observer.engine.ContainerStart(ctx, containerName(observer.run, "stopped"), client.ContainerStartOptions{}); err != nil {
			t.Errorf("what had been stopped does not start again: %v", err)
		}
		for _, guest := range guests {
			if st, err := observer.engine.State(ctx, containerName(observer.run, guest)); err != nil || !st.Running {
				t.Errorf("%s runs: %v, %v", guest, st.Running, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left := leftOf(t, observer.RunID()); !left.Empty() {
		t.Errorf("left behind: %s", left)
	}
}

// makeGuest starts a container that does nothing in the run's network.
func (w *World) makeGuest(ctx context.Context, name string) error {
	created, err := w.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:             containerName(w.run, name),
		Config:           &container.Config{Image: w.images.kafka, Entrypoint: []string{"sleep"}, Cmd: []string{"infinity"}, Labels: w.labels()},
		HostConfig:       &container.HostConfig{NetworkMode: container.NetworkMode(w.network)},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{w.network: {}}},
	})
	if err != nil {
		return err
	}
	_, err = w.engine.ContainerStart(ctx, created.ID, client.ContainerStartOptions{})
	return err
}
