package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/scenarios/plan"
)

// errBudget is matched by ErrTooLarge errors that come from the limit of memory.
var errBudget = fmt.Errorf("%w: the evidence needs more memory than the limit; raise it if this run is to be trusted", ErrTooLarge)

// Load reads the run's folder that Save wrote, after it has compared every file with the manifest. It reads format
// versions 1 to 5. Errors match [ErrForeign], [ErrVersion], [ErrDamaged], [ErrTooLarge], fs.ErrNotExist or fs.ErrPermission.
func Load(dir string) (*Evidence, error) { return LoadLimited(dir, DefaultLimits()) }

// LoadLimited is Load with other limits than the default ones.
func LoadLimited(dir string, limits Limits) (*Evidence, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range m.Files {
		if err := verify(filepath.Join(dir, d.Name), d); err != nil {
			return nil, err
		}
	}
	e := &Evidence{}
	budget := limits.Memory
	for _, d := range m.Files {
		path := filepath.Join(dir, d.Name)
		if err := e.loadFile(path, d, limits, &budget); err != nil {
			return nil, fmt.Errorf("load %s: %w", path, err)
		}
	}
	return e, nil
}

// readManifest reads and checks the manifest; its files are the known ones, each once.
func readManifest(dir string) (manifest, error) {
	if dir == "" {
		return manifest{}, fmt.Errorf("load: %w: no folder was named; give one such as runs/latest", ErrForeign)
	}
	path := filepath.Join(dir, ManifestFile)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return manifest{}, fault("load run", dir, err)
	case !info.IsDir():
		return manifest{}, fmt.Errorf("load %s: %w: it is a file; give the folder that a run was saved as", dir, ErrForeign)
	}
	f, _, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, fmt.Errorf("load %s: %w: it has no %s; give a folder such as runs/latest", dir, ErrForeign, ManifestFile)
	}
	if errors.Is(err, ErrDamaged) {
		return manifest{}, fmt.Errorf("load %s: %w", path, err)
	}
	if err != nil {
		return manifest{}, fault("open", path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return manifest{}, fault("read", path, err)
	}
	if len(data) > maxManifest {
		return manifest{}, fmt.Errorf("load %s: %w: it has more than %d bytes", path, ErrForeign, maxManifest)
	}
	m, err := parseManifest(data)
	if err != nil {
		return manifest{}, fmt.Errorf("load %s: %w", path, err)
	}
	return m, nil
}

func parseManifest(data []byte) (manifest, error) {
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return manifest{}, fmt.Errorf("%w: it is not a manifest: %w", ErrDamaged, err)
	}
	if head.Format != formatName {
		return manifest{}, fmt.Errorf("%w: its format is %.40q, expected %q", ErrForeign, head.Format, formatName)
	}
	if head.Version < 1 || head.Version > Version {
		return manifest{}, fmt.Errorf("%w: %d; this build reads 1 to %d: use the build that wrote it", ErrVersion, head.Version, Version)
	}
	known := filesOf(head.Version)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m manifest
	if err := dec.Decode(&m); err != nil {
		return manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var names []string
	for _, d := range m.Files {
		names = append(names, d.Name)
		if !slices.Contains(known, d.Name) {
			return manifest{}, fmt.Errorf("%w: it lists %.60q, which is no file of a run", ErrDamaged, d.Name)
		}
		if d.Size < 0 || d.ContentSize < 0 {
			return manifest{}, fmt.Errorf("%w: %s has a negative size", ErrDamaged, d.Name)
		}
	}
	for _, name := range known {
		switch slices.Index(names, name) {
		case -1:
			return manifest{}, fmt.Errorf("%w: it does not list %s", ErrDamaged, name)
		default:
			names = slices.Delete(names, slices.Index(names, name), slices.Index(names, name)+1)
		}
	}
	if len(names) > 0 {
		return manifest{}, fmt.Errorf("%w: it lists %s twice", ErrDamaged, names[0])
	}
	return m, nil
}

// verify compares a stored file with its digest.
func verify(path string, d Digest) error {
	f, info, err := openRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("load %s: %w: the file is missing: restore it, or run the scenario again", path, ErrDamaged)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("load %s: %w", path, err)
	case err != nil:
		return fault("open", path, err)
	}
	defer f.Close()
	if info.Size() != d.Size {
		return fmt.Errorf("load %s: %w: it has %d bytes, expected %d: restore it, or run the scenario again", path, ErrDamaged, info.Size(), d.Size)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fault("read", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.SHA256 {
		return fmt.Errorf("load %s: %w: its SHA-256 is %s…, expected %.12s…: restore it, or run the scenario again", path, ErrDamaged, got[:12], d.SHA256)
	}
	return nil
}

// openRegular opens a regular file for reading. Anything else is an error that matches [ErrDamaged]; opening a named pipe
// does not wait for somebody to write into it.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: it is not a regular file: restore it, or run the scenario again", ErrDamaged)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (e *Evidence) loadFile(path string, d Digest, limits Limits, budget *int64) (err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return e.decode(d.Name, f, d.ContentSize, limits, budget)
}

// decode reads one file. size is that of its content, and no more is decompressed.
func (e *Evidence) decode(name string, r io.Reader, size int64, limits Limits, budget *int64) error {
	if strings.HasSuffix(name, ".zst") {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return err
		}
		defer z.Close()
		r = damagedReader{z}
	}
	sized := &io.LimitedReader{R: r, N: size + 1}
	err := e.decodeContent(name, sized, limits, budget)
	if err == nil && sized.N != 1 {
		err = fmt.Errorf("%w: its content has not the %d bytes that the manifest says", ErrDamaged, size)
	}
	return err
}

func (e *Evidence) decodeContent(name string, r io.Reader, limits Limits, budget *int64) (err error) {
	switch name {
	case RunFile:
		return readObject(r, limits, &e.Run)
	case PlanFile:
		e.Plan = &plan.Plan{}
		return readObject(r, limits, e.Plan)
	case HistoryFile:
		e.Ops, err = readLines(r, limits, budget, sizeOfOp)
	case LogFile:
		e.Log, err = readLog(r, budget)
	case HeldFile:
		e.Held, err = readHeld(r, budget)
	case QueriesFile:
		e.Queries, err = readLines(r, limits, budget, sizeOfQuery)
	case CommitsFile:
		e.Commits, err = readLines(r, limits, budget, sizeOfCommit)
	case PairsFile:
		e.Pairs, err = readLines(r, limits, budget, func(p *PairRange) int64 { return int64(unsafe.Sizeof(*p)) + int64(len(p.Retriever)) })
	case PlacesFile:
		e.Places, err = readLines(r, limits, budget, func(p *Place) int64 { return int64(unsafe.Sizeof(*p)) + int64(len(p.Retriever)+len(p.Zone)) })
	case SLOsFile:
		e.SLOs, err = readLines(r, limits, budget, sizeOfSLO)
	case CountsFile:
		e.Counts, err = readLines(r, limits, budget, func(c *SLOCount) int64 { return int64(unsafe.Sizeof(*c)) })
	case ProgressFile:
		e.Progress, err = readLines(r, limits, budget, func(p *Progress) int64 { return int64(unsafe.Sizeof(*p)) + int64(len(p.By)) })
	case AlertsFile:
		e.Alerts, err = readLines(r, limits, budget, sizeOfAlert)
	case EvaluationsFile:
		e.Evaluations, err = readLines(r, limits, budget, sizeOfEvaluation)
	case DeliveriesFile:
		e.Deliveries, err = readLines(r, limits, budget, func(d *Delivery) int64 { return int64(unsafe.Sizeof(*d)) + int64(len(d.Key)+len(d.Body)) })
	case TelemetryFile:
		e.Telemetry, err = readLines(r, limits, budget, sizeOfTelemetry)
	case RecordsFile:
		e.Records, err = readLines(r, limits, budget, sizeOfRecord)
	case MetricsFile:
		e.Samples, err = readLines(r, limits, budget, sizeOfSample)
	case EventsFile:
		e.Timeline, err = readLines(r, limits, budget, sizeOfEntry)
	case GapsFile:
		e.Gaps, err = readLines(r, limits, budget, func(g *Gap) int64 { return int64(unsafe.Sizeof(*g)) + int64(len(g.What)+len(g.Why)) })
	default:
		err = fmt.Errorf("%w: no such evidence file", ErrDamaged)
	}
	return err
}

// readObject reads a file that is one JSON object.
func readObject(r io.Reader, limits Limits, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, int64(limits.Line)+1))
	if err != nil {
		return err
	}
	if len(data) > limits.Line {
		return fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limits.Line)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Estimates of memory. They count what a hostile file can inflate.

func sizeOfOp(o *Op) int64 {
	n := int64(unsafe.Sizeof(*o)) + int64(cap(o.Parts))*int64(unsafe.Sizeof(Part{})) + int64(len(o.Dataset)+len(o.Target)+len(o.Error))
	for i := range o.Parts {
		n += int64(len(o.Parts[i].Error))
	}
	return n
}

func sizeOfCommit(c *Commit) int64 {
	n := int64(unsafe.Sizeof(*c)) + int64(len(c.Writer))
	for _, s := range c.Absent {
		n += 16 + int64(len(s))
	}
	return n
}

func sizeOfSample(s *Sample) int64 {
	n := int64(unsafe.Sizeof(*s)) + 48
	for k := range s.Values {
		n += 64 + int64(len(k))
	}
	return n
}

func sizeOfEntry(e *Entry) int64 {
	return int64(unsafe.Sizeof(*e)) + 48 + int64(len(e.Kind)+len(e.Phase)+len(e.Fault)+len(e.Node)+len(e.Event)+len(e.Topic)+len(e.Detail))
}

// damagedReader makes every error of a decompressor one of damage.
type damagedReader struct{ r io.Reader }

func (d damagedReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it cannot be decompressed: %w", ErrDamaged, err)
	}
	return n, err
}
