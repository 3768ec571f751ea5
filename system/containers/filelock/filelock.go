// Package filelock is an exclusive lock between processes that goes when its holder does, however it ends. It tells a
// run whether another run still lives.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrHeld says that another process (or another lock of this one) holds the lock.
var ErrHeld = errors.New("lock is held")

// Lock is a held lock.
type Lock struct{ f *os.File }

// Try takes the lock of the file at path, which it makes if need be, or returns ErrHeld at once.
func Try(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of a lock: %w", err)
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open a lock: %w", err)
		}
		if err := tryLock(f); err != nil {
			_ = f.Close()
			return nil, err
		}
		// Its former holder may have removed the file between opening and locking; then this lock would guard nothing.
		mine, errA := f.Stat()
		named, errB := os.Stat(path)
		if errA == nil && errB == nil && os.SameFile(mine, named) {
			return &Lock{f: f}, nil
		}
		_ = f.Close()
		if errB != nil && !errors.Is(errB, os.ErrNotExist) {
			return nil, fmt.Errorf("open a lock: %w", errB)
		}
	}
}

// Remove deletes the file and lets the lock go.
func (l *Lock) Remove() error {
	return errors.Join(os.Remove(l.f.Name()), l.f.Close())
}

// Release lets the lock go; the file stays.
func (l *Lock) Release() error { return l.f.Close() }
