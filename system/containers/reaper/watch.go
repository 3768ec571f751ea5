package reaper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

// reapDeadline bounds how long a watcher tries.
const reapDeadline = 2 * time.Minute

// Run is the watcher's process. It reads the run's id and the cache folder from the first two lines of in, writes "ready"
// to out, waits until in ends, which is when the run's process has gone, and reaps, unless the run is meant to go on. It
// ignores the signals that a terminal sends to its group.
func Run(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	ctx := context.Background()
	engine, err := docker.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	pipe := bufio.NewReader(in)
	run, err := pipe.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the run did not name itself: %w", err)
	}
	dir, err := pipe.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the run did not name its folder: %w", err)
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return fmt.Errorf("tell the run that it is watched: %w", err)
	}
	if _, err := io.Copy(io.Discard, pipe); err != nil {
		return fmt.Errorf("wait for the run's end: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reapDeadline)
	defer cancel()
	run = strings.TrimSuffix(run, "\n")
	if Detached(strings.TrimSuffix(dir, "\n"), run) {
		return nil
	}
	if err := Reap(ctx, engine, run); err != nil {
		return err
	}
	// A container that the engine was just making when the run died shows up only now.
	time.Sleep(2 * time.Second)
	return Reap(ctx, engine, run)
}

// Watcher is the run's end of its watcher.
type Watcher struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// Watch starts a watcher for a run: command is how to start a process that calls [Run] with its standard input and
// output. It returns when the watcher watches. The watcher's complaints go to a file in dir.
func Watch(command []string, dir, run string) (*Watcher, error) {
	if len(command) == 0 {
		return nil, errors.New("no command to start the reaper with")
	}
	log, err := os.OpenFile(filepath.Join(dir, "reaper.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, docker.Explain("open the reaper's log", err)
	}
	defer log.Close()
	// The write end is closed in every other program that this process starts, so it breaks when this process ends.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, docker.Explain("start the reaper", err)
	}
	defer r.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stderr = r, log
	cmd.SysProcAttr = detached()
	out, err := cmd.StdoutPipe()
	if err != nil {
		_ = w.Close()
		return nil, docker.Explain("start the reaper", err)
	}
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, docker.Explain("start the reaper", err)
	}
	watcher := &Watcher{pipe: w, cmd: cmd}
	if _, err := fmt.Fprintf(w, "%s\n%s\n", run, dir); err != nil {
		return nil, errors.Join(docker.Explain("start the reaper", err), watcher.Stop())
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "ready" {
			return watcher, nil
		}
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
	}
	_ = w.Close()
	err = cmd.Wait()
	return nil, &docker.Error{What: "start the reaper, which removes containers when this run is killed", Err: err,
		Why: fmt.Sprintf("%q did not say that it is ready", strings.Join(command, " ")), Fix: "see " + log.Name()}
}

// Stop ends the watcher after the run has cleaned up: the watcher looks a last time for what is left, on its own.
func (w *Watcher) Stop() error {
	err := w.pipe.Close()
	// Nobody waits for it: it looks after things that come late. Its process is collected in the background.
	go func() { _ = w.cmd.Wait() }()
	return err
}
