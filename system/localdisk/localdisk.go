// Package localdisk is the real port.Disk: a directory of the local file system.
package localdisk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"

	"github.com/ratel-sim/ratel/system/port"
)

// Disk is a directory. Names cannot lead out of it, neither by their form nor through symbolic links. It is safe for
// concurrent use.
type Disk struct {
	root *os.Root
	// syncing is held while directories are synced: who finds nothing to do may have to wait for who does it.
	syncing sync.Mutex

	mu   sync.Mutex
	dirs map[string]bool // directories whose entries may not be durable
}

var _ port.Disk = (*Disk)(nil)

// Open opens the directory dir, creating it if it is not there.
func Open(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("localdisk: create the data directory: %w", translate(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("localdisk: open the data directory: %w", translate(err))
	}
	return &Disk{root: root, dirs: map[string]bool{".": true}}, nil
}

// Close releases the directory. Open files stay open.
func (d *Disk) Close() error { return d.root.Close() }

// Create implements port.Disk. Parent directories are created.
func (d *Disk) Create(ctx context.Context, name string) (port.File, error) {
	if err := begin(ctx, "create", name); err != nil {
		return nil, err
	}
	if err := d.parents(name); err != nil {
		return nil, wrap("create", name, err)
	}
	return d.open("create", name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC)
}

// Open implements port.Disk.
func (d *Disk) Open(ctx context.Context, name string) (port.File, error) {
	if err := begin(ctx, "open", name); err != nil {
		return nil, err
	}
	return d.open("open", name, os.O_RDWR|os.O_APPEND)
}

func (d *Disk) open(op, name string, flags int) (port.File, error) {
	f, err := d.root.OpenFile(name, flags, 0o644)
	if err != nil {
		return nil, wrap(op, name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", fs.ErrInvalid)
	}
	if err != nil {
		return nil, errors.Join(wrap(op, name, err), f.Close())
	}
	if flags&os.O_CREATE != 0 {
		d.touched(name)
	}
	return &file{f: f, name: name}, nil
}

// Rename implements port.Disk.
func (d *Disk) Rename(ctx context.Context, from, to string) error {
	if err := begin(ctx, "rename", from); err != nil {
		return err
	}
	if err := begin(ctx, "rename to", to); err != nil {
		return err
	}
	if _, err := d.root.Lstat(from); err != nil { // before a directory is made for nothing
		return wrap("rename", from, err)
	}
	if err := d.parents(to); err != nil {
		return wrap("rename to", to, err)
	}
	if err := d.root.Rename(from, to); err != nil {
		return wrap("rename", from, err)
	}
	d.touched(from)
	d.touched(to)
	return nil
}

// Remove implements port.Disk.
func (d *Disk) Remove(ctx context.Context, name string) error {
	if err := begin(ctx, "remove", name); err != nil {
		return err
	}
	info, err := d.root.Lstat(name)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist // directories are not names of this port
	}
	if err == nil {
		err = d.root.Remove(name)
	}
	if err != nil {
		return wrap("remove", name, err)
	}
	d.touched(name)
	return nil
}

// List implements port.Disk.
func (d *Disk) List(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var names []string
	err := fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name)
		}
		if errors.Is(err, fs.ErrNotExist) { // removed while we looked
			return nil
		}
		return err
	})
	if err != nil {
		return nil, wrap("list", ".", err)
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements port.Disk: it syncs every directory in which a name has changed.
func (d *Disk) SyncDir(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	dirs := make([]string, 0, len(d.dirs))
	for dir := range d.dirs {
		dirs = append(dirs, dir)
	}
	clear(d.dirs)
	d.mu.Unlock()
	slices.Sort(dirs)
	for i, dir := range dirs {
		if err := d.syncOne(dir); err != nil {
			d.mu.Lock()
			for _, left := range dirs[i:] {
				d.dirs[left] = true
			}
			d.mu.Unlock()
			return wrap("sync directory", dir, err)
		}
	}
	return nil
}

func (d *Disk) syncOne(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Disk) parents(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if _, err := d.root.Stat(dir); err == nil {
		return nil
	}
	if err := d.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for ; dir != "."; dir = path.Dir(dir) {
		d.touched(dir)
	}
	return nil
}

// touched notes that the entry's directory has to be synced.
func (d *Disk) touched(name string) {
	d.mu.Lock()
	d.dirs[path.Dir(name)] = true
	d.mu.Unlock()
}

func begin(ctx context.Context, op, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !fs.ValidPath(name) || name == "." {
		return wrap(op, name, fmt.Errorf("%w: expected a relative, slash-separated name without . and .. elements", fs.ErrInvalid))
	}
	return nil
}

func wrap(op, name string, err error) error {
	return fmt.Errorf("localdisk: %s %s: %w", op, name, translate(err))
}

// translate gives the operating system's errors the port's names. The original is kept.
func translate(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", port.ErrNotExist, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", port.ErrDiskFull, err)
	}
	return err
}

// file is an open file.
type file struct {
	f      *os.File
	name   string
	mu     sync.Mutex // guards failed
	failed error      // of the first sync that failed
}

// Append implements port.File.
func (f *file) Append(ctx context.Context, p []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := f.f.Write(p); err != nil {
		return wrap("append to", f.name, err)
	}
	return nil
}

// ReadAt implements port.File.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, wrap("read", f.name, err)
	}
	return n, err
}

// Size implements port.File.
func (f *file) Size(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := f.f.Stat()
	if err != nil {
		return 0, wrap("size of", f.name, err)
	}
	return info.Size(), nil
}

// Truncate implements port.File. It only shortens: a size beyond the end is refused.
func (f *file) Truncate(ctx context.Context, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	present, err := f.Size(ctx)
	if err != nil {
		return err
	}
	if size < 0 || size > present {
		return wrap("truncate", f.name, fmt.Errorf("%w: size %d, expected 0 to %d", fs.ErrInvalid, size, present))
	}
	if err := f.f.Truncate(size); err != nil {
		return wrap("truncate", f.name, err)
	}
	return nil
}

// Sync implements port.File with fsync. Linux reports a failed write-back once and then forgets it together with the
// data, so a later fsync would succeed without it: after a failure every Sync of this handle fails.
func (f *file) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = f.f.Sync()
	}
	if f.failed != nil {
		return wrap("sync", f.name, f.failed)
	}
	return nil
}

// Close implements port.File.
func (f *file) Close() error {
	if err := f.f.Close(); err != nil {
		return wrap("close", f.name, err)
	}
	return nil
}
