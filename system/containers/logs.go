package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/port"
)

// sinks are who listens to events.
type sinks struct {
	mu   sync.Mutex
	list []port.Events
}

func (s *sinks) add(sink port.Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, sink)
}

// Announce implements port.Events.
func (s *sinks) Announce(e port.Event) {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	for _, sink := range list {
		sink.Announce(e)
	}
}

func (w *World) announceNode(n *node, started bool) {
	kind := port.EventNodeStopped
	if started {
		kind = port.EventNodeStarted
	}
	w.sinks.Announce(port.Event{Kind: kind, Node: n.Name})
}

// followers read what the nodes print: for events, and to save it.
type followers struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu    sync.Mutex
	files map[string]*os.File
}

func (f *followers) prepare(w *World) {
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.files = map[string]*os.File{}
	if w.opt.LogDir != "" {
		// A failure shows at the first file.
		_ = os.MkdirAll(w.opt.LogDir, 0o755)
	}
}

// close lets the readers come to the end of what removed containers printed, then ends them.
func (f *followers) close() {
	ended := make(chan struct{})
	go func() { f.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
	}
	f.stop()
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.files {
		_ = file.Close()
	}
}

// file returns a node's log file, shared by its incarnations; nil if none is wanted.
func (f *followers) file(dir, name string) (io.Writer, error) {
	if dir == "" {
		return io.Discard, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.files[name]; file != nil {
		return file, nil
	}
	file, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	f.files[name] = file
	return file, nil
}

// follow reads a node's output from the moment of a start until its container stops.
func (w *World) follow(n *node, since time.Time) {
	id := n.ctr.GetContainerID()
	file, err := w.logs.file(w.opt.LogDir, n.Name)
	if err != nil {
		w.say("the output of %s is not saved: %v", n.Name, err)
		file = io.Discard
	}
	read := reader(n.Node)
	w.logs.wg.Go(func() {
		res, err := w.engine.ContainerLogs(w.logs.ctx, id, client.ContainerLogsOptions{
			ShowStdout: true, ShowStderr: true, Follow: true, Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())})
		if err != nil {
			return // the container is gone already
		}
		defer res.Close()
		pr, pw := io.Pipe()
		var scan sync.WaitGroup
		scan.Go(func() {
			lines := bufio.NewReader(pr)
			for {
				line, err := lines.ReadString('\n')
				if e, ok := read(line); ok {
					w.sinks.Announce(e)
				}
				if err != nil {
					_, _ = io.Copy(io.Discard, pr)
					return
				}
			}
		})
		// Roles announce on standard output and talk on standard error; the servers print all on standard output.
		out := io.MultiWriter(file, pw)
		if _, err := stdcopy.StdCopy(out, file, res); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
			w.say("the output of %s broke off: %v", n.Name, err)
		}
		_ = pw.Close()
		scan.Wait()
	})
}
