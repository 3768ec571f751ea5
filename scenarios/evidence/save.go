package evidence

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// Save writes the evidence as the folder dir, which must not exist; its parents are made. It writes a hidden temporary
// folder beside it, syncs it and renames it, so that a crash or a full disk leaves either the whole folder or none. The
// bytes depend on nothing but the evidence. Errors match [ErrExists], [ErrNoSpace] or fs.ErrPermission where it is that.
func Save(dir string, e *Evidence) error { return save(osFS{}, dir, e) }

func save(fsys fileSystem, dir string, e *Evidence) (err error) {
	if e == nil || e.Plan == nil {
		return fmt.Errorf("save %s: the evidence has no plan: this is a defect of Ratel", dir)
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if err := fsys.MkdirAll(parent); err != nil {
		return fault("make folder", parent, err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("save %s: it %w: remove it or save elsewhere", dir, ErrExists)
	}
	temp, err := fsys.MkdirTemp(parent, ".saving-"+filepath.Base(dir)+"-")
	if err != nil {
		return fault("make a temporary folder in", parent, err)
	}
	defer func() {
		if err != nil {
			// What cannot be removed either is hidden, has no manifest, and so is never taken for a run.
			err = errors.Join(err, fsys.RemoveAll(temp))
		}
	}()
	if err := writeFolder(fsys, temp, e); err != nil {
		return fault("save", dir, err)
	}
	if err := fsys.Rename(temp, dir); err != nil {
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("save %s: it %w: remove it or save elsewhere", dir, ErrExists)
		}
		return fault("rename the saved folder to", dir, err)
	}
	if err := fsys.SyncDir(parent); err != nil {
		return fault("sync the folder of", dir, err)
	}
	return nil
}

// writeFolder writes all files and the manifest into an existing folder and syncs it.
func writeFolder(fsys fileSystem, dir string, e *Evidence) error {
	m := manifest{Format: formatName, Version: Version}
	for _, name := range files() {
		d, err := writeFile(fsys, filepath.Join(dir, name), name, func(w io.Writer) error { return e.encode(name, w) })
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		m.Files = append(m.Files, d)
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", ManifestFile, err)
	}
	write := func(w io.Writer) error { _, err := w.Write(append(data, '\n')); return err }
	if _, err := writeFile(fsys, filepath.Join(dir, ManifestFile), ManifestFile, write); err != nil {
		return fmt.Errorf("write %s: %w", ManifestFile, err)
	}
	return fsys.SyncDir(dir)
}

// writeFile writes and syncs one file.
func writeFile(fsys fileSystem, path, name string, encode func(io.Writer) error) (d Digest, err error) {
	f, err := fsys.Create(path)
	if err != nil {
		return Digest{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	d, err = digest(f, name, encode)
	if err != nil {
		return Digest{}, err
	}
	return d, f.Sync()
}

// digest encodes one file to w, compressed if its name says so, and describes it.
func digest(w io.Writer, name string, encode func(io.Writer) error) (Digest, error) {
	stored := counter{w: w, sum: sha256.New()}
	buffered := bufio.NewWriterSize(&stored, 1<<16)
	if !strings.HasSuffix(name, ".zst") {
		if err := encode(buffered); err != nil {
			return Digest{}, err
		}
		if err := buffered.Flush(); err != nil {
			return Digest{}, err
		}
		return Digest{Name: name, Size: stored.n, SHA256: stored.hex(), ContentSize: stored.n, Content: stored.hex()}, nil
	}
	// One goroutine, so that the blocks and with them the bytes are always the same.
	z, err := zstd.NewWriter(buffered, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return Digest{}, err
	}
	content := counter{w: z, sum: sha256.New()}
	plain := bufio.NewWriterSize(&content, 1<<16)
	err = encode(plain)
	if err == nil {
		err = plain.Flush()
	}
	if closed := z.Close(); err == nil {
		err = closed // after a failed write, closing fails for the same reason
	}
	if err != nil {
		return Digest{}, err
	}
	if err := buffered.Flush(); err != nil {
		return Digest{}, err
	}
	return Digest{Name: name, Size: stored.n, SHA256: stored.hex(), ContentSize: content.n, Content: content.hex()}, nil
}

// counter counts and hashes what is written through it.
type counter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	return n, err
}

func (c *counter) hex() string { return hex.EncodeToString(c.sum.Sum(nil)) }

// saved is what is written of a run: in this build's version, and its epoch without what only a process knows.
func (r Run) saved() Run {
	r.Version = Version
	if !r.Epoch.IsZero() {
		r.Epoch = r.Epoch.UTC().Round(0)
	}
	return r
}

// encode writes one file's content.
func (e *Evidence) encode(name string, w io.Writer) error {
	switch name {
	case RunFile:
		run := e.Run.saved()
		data, err := json.MarshalIndent(run, "", "  ")
		if err != nil {
			return err
		}
		_, err = w.Write(append(data, '\n'))
		return err
	case PlanFile:
		data, err := e.Plan.Encode()
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	case HistoryFile:
		return writeLines(w, e.Ops)
	case LogFile:
		return writeLog(w, e.Log)
	case HeldFile:
		return writeHeld(w, e.Held)
	case QueriesFile:
		return writeLines(w, e.Queries)
	case CommitsFile:
		return writeLines(w, e.Commits)
	case PairsFile:
		return writeLines(w, e.Pairs)
	case PlacesFile:
		return writeLines(w, e.Places)
	case SLOsFile:
		return writeLines(w, e.SLOs)
	case CountsFile:
		return writeLines(w, e.Counts)
	case ProgressFile:
		return writeLines(w, e.Progress)
	case AlertsFile:
		return writeLines(w, e.Alerts)
	case EvaluationsFile:
		return writeLines(w, e.Evaluations)
	case DeliveriesFile:
		return writeLines(w, e.Deliveries)
	case TelemetryFile:
		return writeLines(w, e.Telemetry)
	case RecordsFile:
		return writeLines(w, e.Records)
	case MetricsFile:
		return writeLines(w, finite(e.Samples))
	case EventsFile:
		return writeLines(w, e.Timeline)
	case GapsFile:
		return writeLines(w, e.Gaps)
	}
	return fmt.Errorf("no such evidence file: %s", name)
}
