package docker

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Kill ends a container's process at once, with SIGKILL. One that does not run is not an error.
func (e *Engine) Kill(ctx context.Context, id string) error {
	_, err := e.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
	if err != nil && !cerrdefs.IsConflict(err) {
		return err
	}
	return e.AwaitStopped(ctx, id)
}

// AwaitStopped returns when a container's process has ended.
func (e *Engine) AwaitStopped(ctx context.Context, id string) error {
	wait := e.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Destroy removes a container and a volume, running or not, there or not. An empty name of a volume means none.
func (e *Engine) Destroy(ctx context.Context, id, volume string) error {
	_, err := e.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	if volume == "" {
		return nil
	}
	_, err = e.VolumeRemove(ctx, volume, client.VolumeRemoveOptions{})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// State is what the engine knows of a container.
func (e *Engine) State(ctx context.Context, id string) (container.State, error) {
	res, err := e.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return container.State{}, err
	}
	if res.Container.State == nil {
		return container.State{}, fmt.Errorf("container %s has no state", id)
	}
	return *res.Container.State, nil
}

// Tail returns the last lines that a container printed, for error messages; it never fails.
func (e *Engine) Tail(ctx context.Context, id string, lines int) string {
	res, err := e.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return fmt.Sprintf("(its output could not be read: %v)", err)
	}
	defer res.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, res); err != nil {
		fmt.Fprintf(&out, "(its output broke off: %v)", err)
	}
	text := strings.TrimSpace(out.String())
	if text == "" {
		return "(it printed nothing)"
	}
	return text
}

// Pause freezes all processes of a container.
func (e *Engine) Pause(ctx context.Context, id string) error {
	_, err := e.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	return err
}

// Unpause lets a container go on.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	_, err := e.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	return err
}
