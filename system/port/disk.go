package port

import (
	"context"
	"errors"
)

// Errors of the Disk port.
var (
	ErrNotExist = errors.New("file does not exist")
	ErrDiskFull = errors.New("no space left on device")
	ErrCorrupt  = errors.New("stored bytes do not match their checksum")
)

// Disk is a process's own directory on a local disk. What is not synced may be gone, torn or reordered after a crash of
// the machine; a crash of the process alone keeps what was written. Names are flat or slash-separated, relative.
type Disk interface {
	// Create makes or truncates a file. The name is durable after SyncDir.
	Create(ctx context.Context, name string) (File, error)
	// Open opens a file for reading and appending. ErrNotExist if it is not there.
	Open(ctx context.Context, name string) (File, error)
	// Rename replaces atomically; durable after SyncDir.
	Rename(ctx context.Context, from, to string) error
	Remove(ctx context.Context, name string) error
	// List returns all names, sorted.
	List(ctx context.Context) ([]string, error)
	// SyncDir makes creations, renames and removals durable.
	SyncDir(ctx context.Context) error
}

// File is an open file.
type File interface {
	// Append writes p at the end. On error a prefix of p may have been written. The file keeps no reference to p.
	Append(ctx context.Context, p []byte) error
	// ReadAt fills p from off; io.EOF if fewer bytes are there.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size(ctx context.Context) (int64, error)
	Truncate(ctx context.Context, size int64) error
	// Sync makes everything appended so far durable (fsync).
	Sync(ctx context.Context) error
	Close() error
}
