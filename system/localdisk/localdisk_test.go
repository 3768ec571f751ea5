package localdisk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/system/port"
)

// The table of behaviours shared with the model runs in sim/disk. Here is what only a real file system does.

func open(t *testing.T) (*Disk, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deep", "data")
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, dir
}

func TestSymbolicLinksDoNotLeadOut(t *testing.T) {
	t.Parallel()
	d, dir := open(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("s"), 0o600), os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(secret, filepath.Join(dir, "file"))); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, name := range []string{"link/secret", "link/new", "file"} {
		if _, err := d.Create(ctx, name); err == nil {
			t.Errorf("created %s outside", name)
		}
		if _, err := d.Open(ctx, name); err == nil {
			t.Errorf("opened %s outside", name)
		}
	}
	if err := d.Remove(ctx, "link/secret"); err == nil {
		t.Error("removed a file outside")
	}
	if names, err := d.List(ctx); err != nil || len(names) != 0 {
		t.Errorf("List gives %q, %v", names, err)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "s" {
		t.Errorf("the file outside is %q, %v", data, err)
	}
}

// TestFullDevice appends to /dev/full, whose writes fail as those of a full disk do.
func TestFullDevice(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{f: full, name: "segment"}
	err = f.Append(context.Background(), []byte("x"))
	if !errors.Is(err, port.ErrDiskFull) || !strings.Contains(err.Error(), "segment") {
		t.Errorf("Append to a full device: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailedSyncStaysFailed: Linux tells a failed write-back once; the second fsync must not sound like success.
func TestFailedSyncStaysFailed(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe() // fsync of a pipe is EINVAL
	if err != nil {
		t.Fatal(err)
	}
	f := &file{f: w, name: "segment"}
	if err := f.Sync(context.Background()); err == nil {
		t.Fatal("fsync of a pipe succeeded")
	}
	good, err := os.Create(filepath.Join(t.TempDir(), "good"))
	if err != nil {
		t.Fatal(err)
	}
	f.f = good
	if err := f.Sync(context.Background()); err == nil {
		t.Error("Sync succeeded after a failed one")
	}
	if err := errors.Join(r.Close(), w.Close(), good.Close()); err != nil {
		t.Error(err)
	}
}

func TestEndedContextHasNoEffect(t *testing.T) {
	t.Parallel()
	d, dir := open(t)
	f, err := d.Create(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, create := d.Create(ctx, "b")
	_, list := d.List(ctx)
	_, size := f.Size(ctx)
	for name, err := range map[string]error{
		"create": create, "list": list, "size": size, "append": f.Append(ctx, []byte("x")), "sync": f.Sync(ctx),
		"truncate": f.Truncate(ctx, 0), "remove": d.Remove(ctx, "a"), "rename": d.Rename(ctx, "a", "c"), "sync dir": d.SyncDir(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || len(data) != 0 {
		t.Errorf("the file is %q, %v", data, err)
	}
}

func TestOpenTakesOverWhatIsThere(t *testing.T) {
	t.Parallel()
	d, dir := open(t)
	ctx := context.Background()
	f, err := d.Create(ctx, "sub/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Append(ctx, []byte("kept")), f.Sync(ctx), d.SyncDir(ctx), f.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	names, err := again.List(ctx)
	if err != nil || len(names) != 1 || names[0] != "sub/a" {
		t.Errorf("List gives %q, %v", names, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "sub", "a")); err == nil {
		t.Error("a file was opened as the data directory")
	}
	if _, err := d.Open(ctx, "sub"); !errors.Is(err, fs.ErrInvalid) && err == nil {
		t.Error("a folder was opened as a file")
	}
}

// TestConcurrentUse lets the race detector see all that tasks may do at a time.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	d, _ := open(t)
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("d%d/f%d", i%3, i)
			f, err := d.Create(ctx, name+".tmp")
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(f.Append(ctx, []byte(name)), f.Sync(ctx), d.Rename(ctx, name+".tmp", name), d.SyncDir(ctx), f.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names, err := d.List(ctx); err != nil || len(names) != 8 {
		t.Errorf("List gives %q, %v", names, err)
	}
}
