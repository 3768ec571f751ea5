package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// mount is the disk as one process sees it.
type mount struct {
	d *Disk
	p *sched.Process
}

// begin checks that an operation may have an effect.
func (m *mount) begin(ctx context.Context, op, name string) error {
	m.p.Check()
	if !m.p.Alive() {
		return at(op, name, rt.ErrKilled)
	}
	if err := ctx.Err(); err != nil {
		return at(op, name, err)
	}
	if !fs.ValidPath(name) || name == "." {
		return at(op, name, fs.ErrInvalid)
	}
	return nil
}

// Create implements port.Disk.
func (m *mount) Create(ctx context.Context, name string) (port.File, error) {
	if err := m.begin(ctx, "create", name); err != nil {
		return nil, err
	}
	f := m.d.names[name]
	if f != nil { // as O_TRUNC does: until the next sync the old content may come back
		m.d.used -= f.data.size
		f.truncate(0)
	} else {
		f = &inode{}
		m.d.change(nameChange{name: name, file: f})
	}
	return &file{m: m, name: name, f: f, boot: m.d.boots}, nil
}

// Open implements port.Disk.
func (m *mount) Open(ctx context.Context, name string) (port.File, error) {
	if err := m.begin(ctx, "open", name); err != nil {
		return nil, err
	}
	f := m.d.names[name]
	if f == nil {
		return nil, at("open", name, port.ErrNotExist)
	}
	return &file{m: m, name: name, f: f, boot: m.d.boots}, nil
}

// Rename implements port.Disk.
func (m *mount) Rename(ctx context.Context, from, to string) error {
	if err := m.begin(ctx, "rename", from); err != nil {
		return err
	}
	if !fs.ValidPath(to) || to == "." {
		return at("rename to", to, fs.ErrInvalid)
	}
	f := m.d.names[from]
	if f == nil {
		return at("rename", from, port.ErrNotExist)
	}
	if from != to {
		m.d.change(nameChange{name: to, file: f, from: from})
	}
	return nil
}

// Remove implements port.Disk.
func (m *mount) Remove(ctx context.Context, name string) error {
	if err := m.begin(ctx, "remove", name); err != nil {
		return err
	}
	if m.d.names[name] == nil {
		return at("remove", name, port.ErrNotExist)
	}
	m.d.change(nameChange{name: name})
	return nil
}

// List implements port.Disk.
func (m *mount) List(ctx context.Context) ([]string, error) {
	if err := m.begin(ctx, "list", "the disk"); err != nil {
		return nil, err
	}
	return sortedNames(m.d.names), nil
}

// SyncDir implements port.Disk.
func (m *mount) SyncDir(ctx context.Context) error {
	if err := m.begin(ctx, "sync", "the directory"); err != nil {
		return err
	}
	d := m.d
	upTo := d.done + uint64(len(d.changes))
	done := d.write(m.p, 0, func() { d.commit(upTo) })
	if _, err := done.Wait(ctx); err != nil {
		return at("sync", "the directory", err)
	}
	return nil
}

// file is an open file.
type file struct {
	m      *mount
	name   string
	f      *inode
	boot   int
	closed bool
}

func (f *file) begin(ctx context.Context, op string) error {
	if err := f.m.begin(ctx, op, f.name); err != nil {
		return err
	}
	if f.closed {
		return at(op, f.name, fs.ErrClosed)
	}
	if f.boot != f.m.d.boots {
		return at(op, f.name, ErrPowerLost)
	}
	return nil
}

// Append implements port.File.
func (f *file) Append(ctx context.Context, p []byte) error {
	if err := f.begin(ctx, "append to"); err != nil {
		return err
	}
	n := f.m.d.room(len(p))
	f.f.append(p[:n])
	if f.f.named {
		f.m.d.used += int64(n)
	}
	if n < len(p) {
		return at("append to", f.name, port.ErrDiskFull)
	}
	return nil
}

// ReadAt implements port.File.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := f.begin(ctx, "read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, at("read", f.name, errors.New("negative offset"))
	}
	if off >= f.f.data.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := f.f.data.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size implements port.File.
func (f *file) Size(ctx context.Context) (int64, error) {
	if err := f.begin(ctx, "size of"); err != nil {
		return 0, err
	}
	return f.f.data.size, nil
}

// Truncate implements port.File. It only shortens: a size beyond the end is refused.
func (f *file) Truncate(ctx context.Context, size int64) error {
	if err := f.begin(ctx, "truncate"); err != nil {
		return err
	}
	if size < 0 || size > f.f.data.size {
		return at("truncate", f.name, fs.ErrInvalid)
	}
	if f.f.named {
		f.m.d.used -= f.f.data.size - size
	}
	f.f.truncate(size)
	return nil
}

// Sync implements port.File. If ctx ends first the device goes on: the outcome is not known.
func (f *file) Sync(ctx context.Context) error {
	if err := f.begin(ctx, "sync"); err != nil {
		return err
	}
	done := f.m.d.write(f.m.p, f.f.dirty, f.f.snapshot())
	if _, err := done.Wait(ctx); err != nil {
		return at("sync", f.name, err)
	}
	return nil
}

// Close implements port.File.
func (f *file) Close() error {
	f.m.p.Check()
	if f.closed {
		return at("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}
