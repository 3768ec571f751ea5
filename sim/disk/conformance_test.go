package disk_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/sim/disk"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/localdisk"
	"github.com/ratel-sim/ratel/system/port"
)

// TestConformance runs one table on the model and on a real directory: what a role sees of a disk that nothing happens to.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, run := range conformance {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("model", func(t *testing.T) {
				t.Parallel()
				inTask(t, disk.Config{TornWrites: true}, func(ctx context.Context, e env) { run(t, ctx, e.port) })
			})
			t.Run("real", func(t *testing.T) {
				t.Parallel()
				d, err := localdisk.Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				run(t, context.Background(), d)
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// env is a model disk mounted by the running task's process.
type env struct {
	s    *sched.Sim
	p    *sched.Process
	d    *disk.Disk
	port port.Disk
}

// inTask runs f in a task of a fresh simulation.
func inTask(t tb, cfg disk.Config, f func(ctx context.Context, e env)) {
	t.Helper()
	inSeed(t, 1, cfg, f)
}

func inSeed(t tb, seed uint64, cfg disk.Config, f func(ctx context.Context, e env)) {
	t.Helper()
	s := sched.New(seed)
	defer s.Close()
	p := s.Process("p")
	d := disk.New(s, cfg)
	p.Foreground("test", func(ctx context.Context) { f(ctx, env{s, p, d, d.Mount(p)}) })
	if err := s.Run(0); err != nil {
		t.Errorf("%v", err)
	}
}

type tb interface {
	Helper()
	Errorf(format string, args ...any)
}

func ok(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
}

func fails(t tb, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, expected %v", err, want)
	}
}

// content reads a whole file.
func content(t tb, ctx context.Context, d port.Disk, name string) string {
	t.Helper()
	f, err := d.Open(ctx, name)
	if err != nil {
		t.Errorf("open %s: %v", name, err)
		return ""
	}
	size, err := f.Size(ctx)
	ok(t, err)
	buf := make([]byte, size)
	n, err := f.ReadAt(ctx, buf, 0)
	if err != nil && !errors.Is(err, io.EOF) || n != len(buf) {
		t.Errorf("read %s: %d of %d bytes, %v", name, n, len(buf), err)
	}
	ok(t, f.Close())
	return string(buf)
}

func write(t tb, ctx context.Context, d port.Disk, name, data string) port.File {
	t.Helper()
	f, err := d.Create(ctx, name)
	if err != nil {
		t.Errorf("create %s: %v", name, err)
		return nil
	}
	ok(t, f.Append(ctx, []byte(data)))
	return f
}

var conformance = map[string]func(t tb, ctx context.Context, d port.Disk){
	"append, read, size": func(t tb, ctx context.Context, d port.Disk) {
		f := write(t, ctx, d, "a", "hello")
		buf := []byte(" world")
		ok(t, f.Append(ctx, buf))
		copy(buf, "------") // the file keeps no reference
		ok(t, f.Append(ctx, nil))
		ok(t, f.Sync(ctx))
		ok(t, d.SyncDir(ctx))
		if got := content(t, ctx, d, "a"); got != "hello world" {
			t.Errorf("content is %q", got)
		}
		five := make([]byte, 5)
		if n, err := f.ReadAt(ctx, five, 6); n != 5 || err != nil || string(five) != "world" {
			t.Errorf("ReadAt 6: %d, %v, %q", n, err, five)
		}
		if n, err := f.ReadAt(ctx, five, 8); n != 3 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt 8: %d, %v", n, err)
		}
		if n, err := f.ReadAt(ctx, five, 100); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt 100: %d, %v", n, err)
		}
		if n, err := f.ReadAt(ctx, nil, 100); n != 0 || err != nil {
			t.Errorf("ReadAt of nothing: %d, %v", n, err)
		}
		if _, err := f.ReadAt(ctx, five, -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("ReadAt -1: %v", err)
		}
		ok(t, f.Close())
	},
	"a file is opened for appending at its end": func(t tb, ctx context.Context, d port.Disk) {
		ok(t, write(t, ctx, d, "a", "one").Close())
		g, err := d.Open(ctx, "a")
		ok(t, err)
		ok(t, g.Append(ctx, []byte("two")))
		h, err := d.Open(ctx, "a")
		ok(t, err)
		ok(t, h.Append(ctx, []byte("three")))
		ok(t, g.Append(ctx, []byte("four")))
		ok(t, errors.Join(g.Close(), h.Close()))
		if got := content(t, ctx, d, "a"); got != "onetwothreefour" {
			t.Errorf("content is %q", got)
		}
	},
	"create empties a file that is there": func(t tb, ctx context.Context, d port.Disk) {
		ok(t, write(t, ctx, d, "a", "old").Close())
		ok(t, write(t, ctx, d, "a", "n").Close())
		if got := content(t, ctx, d, "a"); got != "n" {
			t.Errorf("content is %q", got)
		}
	},
	"truncate only shortens": func(t tb, ctx context.Context, d port.Disk) {
		f := write(t, ctx, d, "a", "0123456789")
		ok(t, f.Truncate(ctx, 4))
		ok(t, f.Append(ctx, []byte("x")))
		fails(t, f.Truncate(ctx, 6), fs.ErrInvalid)
		fails(t, f.Truncate(ctx, -1), fs.ErrInvalid)
		ok(t, f.Truncate(ctx, 5))
		ok(t, f.Close())
		if got := content(t, ctx, d, "a"); got != "0123x" {
			t.Errorf("content is %q", got)
		}
	},
	"rename replaces, open files stay with the content": func(t tb, ctx context.Context, d port.Disk) {
		ok(t, write(t, ctx, d, "old", "old").Close())
		f := write(t, ctx, d, "new.tmp", "new")
		ok(t, d.Rename(ctx, "new.tmp", "old"))
		ok(t, f.Append(ctx, []byte("er")))
		ok(t, f.Close())
		if got := content(t, ctx, d, "old"); got != "newer" {
			t.Errorf("content is %q", got)
		}
		ok(t, d.Rename(ctx, "old", "old"))
		names, err := d.List(ctx)
		if ok(t, err); !slices.Equal(names, []string{"old"}) {
			t.Errorf("names are %q", names)
		}
	},
	"names are sorted, folders are made, and only files are names": func(t tb, ctx context.Context, d port.Disk) {
		for _, name := range []string{"b", "a/z", "a/deep/er", "c"} {
			ok(t, write(t, ctx, d, name, name).Close())
		}
		ok(t, d.Rename(ctx, "c", "x/c"))
		ok(t, d.SyncDir(ctx))
		names, err := d.List(ctx)
		if ok(t, err); !slices.Equal(names, []string{"a/deep/er", "a/z", "b", "x/c"}) {
			t.Errorf("names are %q", names)
		}
		fails(t, d.Remove(ctx, "a"), port.ErrNotExist)
		ok(t, d.Remove(ctx, "b"))
	},
	"what is not there": func(t tb, ctx context.Context, d port.Disk) {
		_, err := d.Open(ctx, "absent")
		fails(t, err, port.ErrNotExist)
		fails(t, d.Remove(ctx, "absent"), port.ErrNotExist)
		fails(t, d.Rename(ctx, "absent", "b"), port.ErrNotExist)
		names, err := d.List(ctx)
		if ok(t, err); len(names) != 0 {
			t.Errorf("names are %q", names)
		}
		ok(t, d.SyncDir(ctx))
	},
	"no name leads out": func(t tb, ctx context.Context, d port.Disk) {
		ok(t, write(t, ctx, d, "in", "x").Close())
		for _, name := range []string{"", ".", "..", "../out", "/etc/passwd", "a/../../out", "a//b", "a/", "./a"} {
			_, err := d.Create(ctx, name)
			fails(t, err, fs.ErrInvalid)
			_, err = d.Open(ctx, name)
			fails(t, err, fs.ErrInvalid)
			fails(t, d.Remove(ctx, name), fs.ErrInvalid)
			fails(t, d.Rename(ctx, name, "b"), fs.ErrInvalid)
			fails(t, d.Rename(ctx, "in", name), fs.ErrInvalid)
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q is not named in %v", name, err)
			}
		}
	},
	"a closed file": func(t tb, ctx context.Context, d port.Disk) {
		f := write(t, ctx, d, "a", "x")
		ok(t, f.Close())
		fails(t, f.Append(ctx, []byte("y")), fs.ErrClosed)
		fails(t, f.Sync(ctx), fs.ErrClosed)
		fails(t, f.Truncate(ctx, 0), fs.ErrClosed)
		fails(t, f.Close(), fs.ErrClosed)
		_, err := f.ReadAt(ctx, make([]byte, 1), 0)
		fails(t, err, fs.ErrClosed)
		_, err = f.Size(ctx)
		fails(t, err, fs.ErrClosed)
	},
}
