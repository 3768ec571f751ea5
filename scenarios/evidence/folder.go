package evidence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// LatestLink is the name of the symbolic link in the root of all runs to the one saved last.
const LatestLink = "latest"

// maxSameSecond bounds how many runs of one scenario and seed can be saved with the same stamp.
const maxSameSecond = 1000

// Folder is where a run that ended at the given time is saved: root/<scenario>/<stamp>-<seed>, the stamp in UTC to the second.
func Folder(root string, run Run, at time.Time) string {
	return filepath.Join(root, fileName(run.Scenario), fmt.Sprintf("%s-%d", at.UTC().Format("20060102T150405Z"), run.Seed))
}

// fileName makes a scenario's name one that is a single, visible path element everywhere.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
	if name = strings.TrimLeft(name, "."); name == "" || name == LatestLink {
		name = "scenario_" + name
	}
	return name[:min(len(name), 100)]
}

// SaveRun saves the evidence under root as [Folder] names it, with -2, -3, … where that is taken, and points root/latest to
// it. It returns the folder, also when only the link could not be made.
func SaveRun(root string, at time.Time, e *Evidence) (string, error) {
	first := Folder(root, e.Run, at)
	dir := first
	for n := 2; ; n++ {
		err := Save(dir, e)
		if err == nil {
			return dir, PointLatest(root, dir)
		}
		if !errors.Is(err, ErrExists) || n > maxSameSecond {
			return "", err
		}
		dir = fmt.Sprintf("%s-%d", first, n)
	}
}

// Writable says early what saving under root would run into: it makes and removes a hidden folder in root, or in the
// nearest folder above it that there is. Nothing is left behind, and root is not made.
func Writable(root string) error {
	at := filepath.Clean(root)
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		switch above := filepath.Dir(at); {
		case err == nil:
			temp, err := os.MkdirTemp(at, ".writable-")
			if err == nil {
				err = os.Remove(temp)
			}
			if err != nil {
				return fault("save under", root, err)
			}
			return nil
		case errors.Is(err, fs.ErrNotExist) && above != at:
			at = above
		default:
			return fault("save under", root, err)
		}
	}
}

// PointLatest makes root/latest a symbolic link to dir, which lies under root. It replaces the link in one step, and
// refuses to replace anything that is not a link.
func PointLatest(root, dir string) error {
	link := filepath.Join(root, LatestLink)
	target, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(target) {
		return fmt.Errorf("point %s to %s: it is not under %s", link, dir, root)
	}
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("point %s to %s: it %w and is not a symbolic link: rename it", link, dir, ErrExists)
	}
	temp, err := os.MkdirTemp(root, ".latest-")
	if err != nil {
		return fault("point "+link+" to", dir, err)
	}
	// The new link is made in a folder of its own, where its name cannot be taken, and moved over the old one.
	made := filepath.Join(temp, LatestLink)
	err = os.Symlink(target, made)
	if err == nil {
		err = os.Rename(made, link)
	}
	if err = errors.Join(err, os.RemoveAll(temp)); err != nil {
		return fault("point "+link+" to", dir, err)
	}
	return nil
}

// WriteFileAtomic writes a file such as verdict.json beside the evidence: whole and synced, or not at all. An existing
// file is replaced.
func WriteFileAtomic(path string, data []byte) error {
	return writeFileAtomic(osFS{}, path, data)
}

func writeFileAtomic(fsys fileSystem, path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	temp, err := fsys.MkdirTemp(dir, ".writing-")
	if err != nil {
		return fault("write", path, err)
	}
	defer func() { err = errors.Join(err, fsys.RemoveAll(temp)) }()
	made := filepath.Join(temp, filepath.Base(path))
	write := func(w io.Writer) error { _, err := w.Write(data); return err }
	if _, err := writeFile(fsys, made, "", write); err != nil {
		return fault("write", path, err)
	}
	if err := fsys.Rename(made, path); err != nil {
		return fault("write", path, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fault("sync the folder of", path, err)
	}
	return nil
}

// fileSystem is what saving does to a disk, so that tests can let each step fail.
type fileSystem interface {
	MkdirAll(path string) error
	MkdirTemp(dir, pattern string) (string, error)
	Create(path string) (file, error)
	Rename(from, to string) error
	SyncDir(path string) error
	RemoveAll(path string) error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

type osFS struct{}

func (osFS) MkdirAll(path string) error { return os.MkdirAll(path, 0o755) }

func (osFS) MkdirTemp(dir, pattern string) (string, error) {
	temp, err := os.MkdirTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	// Temporary folders are private; what becomes a run's folder is as readable as the files in it.
	return temp, os.Chmod(temp, 0o755)
}

func (osFS) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) RemoveAll(path string) error { return os.RemoveAll(path) }
