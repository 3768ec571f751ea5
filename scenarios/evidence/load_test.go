package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/plan"
)

// saved saves some evidence and returns its folder.
func saved(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	e := rapid.Custom(drawEvidence).Example(5)
	for e.Ops == nil || e.Held == nil || e.Log == nil || e.Timeline == nil {
		e = rapid.Custom(drawEvidence).Example(6)
	}
	if err := Save(dir, e); err != nil {
		t.Fatal(err)
	}
	return dir
}

func edit(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatIsNotWholeIsRefusedByName(t *testing.T) {
	t.Parallel()
	replace := func(old, new string) func([]byte) []byte {
		return func(data []byte) []byte { return bytes.Replace(data, []byte(old), []byte(new), 1) }
	}
	manifest := func(f func([]byte) []byte) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string { edit(t, filepath.Join(dir, ManifestFile), f); return dir }
	}
	for name, c := range map[string]struct {
		ruin func(t *testing.T, dir string) string // what to load
		kind error
		says string
	}{
		"missing folder": {func(_ *testing.T, dir string) string { return dir + "-not" }, fs.ErrNotExist, "run-not"},
		"a file":         {func(_ *testing.T, dir string) string { return filepath.Join(dir, RunFile) }, ErrForeign, "give the folder"},
		"another folder": {func(_ *testing.T, dir string) string { return filepath.Dir(dir) }, ErrForeign, ManifestFile},
		"no folder":      {func(*testing.T, string) string { return "" }, ErrForeign, "runs/latest"},
		"a pipe": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, RunFile)
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, ErrDamaged, "not a regular file"},
		"a manifest that is a pipe": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, ManifestFile)
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, ErrDamaged, "not a regular file"},
		"missing file": {func(t *testing.T, dir string) string {
			if err := os.Remove(filepath.Join(dir, HeldFile)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, ErrDamaged, HeldFile},
		"a folder for a file": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, HeldFile)
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, ErrDamaged, "not a regular file"},
		"cut short": {func(t *testing.T, dir string) string {
			edit(t, filepath.Join(dir, HistoryFile), func(d []byte) []byte { return d[:len(d)-1] })
			return dir
		}, ErrDamaged, HistoryFile},
		"altered": {func(t *testing.T, dir string) string {
			edit(t, filepath.Join(dir, EventsFile), func(d []byte) []byte { d[len(d)/2] ^= 1; return d })
			return dir
		}, ErrDamaged, "SHA-256"},
		"empty manifest":         {manifest(func([]byte) []byte { return nil }), ErrDamaged, "not a manifest"},
		"huge manifest":          {manifest(func([]byte) []byte { return make([]byte, maxManifest+1) }), ErrForeign, ManifestFile},
		"other JSON":             {manifest(func([]byte) []byte { return []byte(`{"format": "tar"}`) }), ErrForeign, `"tar"`},
		"newer version":          {manifest(replace(`"version": 5`, `"version": 6`)), ErrVersion, "use the build that wrote it"},
		"no version":             {manifest(replace(`"version": 5,`, ``)), ErrVersion, "0"},
		"path out of the folder": {manifest(replace(`"plan.json"`, `"../plan.json"`)), ErrDamaged, "no file of a run"},
		"file listed twice":      {manifest(replace(`"gaps.jsonl"`, `"run.json"`)), ErrDamaged, "does not list"},
		"unknown key":            {manifest(replace(`"files"`, `"more": 1, "files"`)), ErrDamaged, "more"},
		"negative size":          {manifest(replace(`"content_size": `, `"content_size": -`)), ErrDamaged, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(c.ruin(t, saved(t)))
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %v saying %q, got %v", c.kind, c.says, err)
			}
		})
	}
}

// TestAnyBitFlippedIsNoticed flips bits all over the folder.
func TestAnyBitFlippedIsNoticed(t *testing.T) {
	t.Parallel()
	dir := saved(t)
	whole, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(append(files(), ManifestFile)).Draw(rt, "file")
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		if len(data) == 0 {
			rt.Skip("an empty file has no bits")
		}
		ruined := bytes.Clone(data)
		ruined[rapid.IntRange(0, len(data)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if err := os.WriteFile(path, ruined, 0o600); err != nil {
			rt.Fatal(err)
		}
		got, err := Load(dir)
		if errWrite := os.WriteFile(path, data, 0o600); errWrite != nil {
			rt.Fatal(errWrite)
		}
		if err == nil && (name != ManifestFile || FirstDifference(whole, got).Found()) {
			rt.Fatalf("a flipped bit of %s went unnoticed", name)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrVersion) {
			rt.Fatalf("%s: %v is of no kind", name, err)
		}
	})
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	dir := saved(t)
	if _, err := LoadLimited(dir, Limits{Memory: 100, Line: 1 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("little memory: %v", err)
	}
	if _, err := LoadLimited(dir, Limits{Memory: 1 << 20, Line: 10}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("short lines: %v", err)
	}
}

func TestFirstDifferenceNamesThePlace(t *testing.T) {
	t.Parallel()
	load := func(dir string) *Evidence {
		e, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	dir := saved(t)
	a := load(dir)
	if d := FirstDifference(a, load(dir)); d.Found() || d.String() != "no difference" {
		t.Error(d)
	}
	for name, c := range map[string]struct {
		change func(e *Evidence)
		file   string
		record int
	}{
		"plan":     {func(e *Evidence) { e.Plan.Doc = "Other." }, PlanFile, 4},
		"timeline": {func(e *Evidence) { e.Timeline[0].Pos = &plan.Pos{Line: 99}; e.Ops[0].Count++ }, EventsFile, 1},
		"op":       {func(e *Evidence) { e.Ops[len(e.Ops)-1].Done++; e.Held[0].Seq++ }, HistoryFile, len(a.Ops)},
		"op gone":  {func(e *Evidence) { e.Ops = e.Ops[:len(e.Ops)-1] }, HistoryFile, len(a.Ops)},
		"log":      {func(e *Evidence) { e.Log = append(e.Log, LogMark{}) }, LogFile, len(a.Log) + 1},
		"held":     {func(e *Evidence) { e.Held[0].State ^= 1 }, HeldFile, 1},
		"gap":      {func(e *Evidence) { e.Gaps = append(e.Gaps, Gap{What: "held"}) }, GapsFile, len(a.Gaps) + 1},
		"sample":   {func(e *Evidence) { e.Samples = append(e.Samples, Sample{At: 1}) }, MetricsFile, len(a.Samples) + 1},
		"query":    {func(e *Evidence) { e.Queries = append(e.Queries, Query{Shape: "fresh"}); e.Held[0].Seq++ }, QueriesFile, len(a.Queries) + 1},
		"commit":   {func(e *Evidence) { e.Commits = append(e.Commits, Commit{Next: 1}) }, CommitsFile, len(a.Commits) + 1},
		"pair":     {func(e *Evidence) { e.Pairs = append(e.Pairs, PairRange{Next: 1}) }, PairsFile, len(a.Pairs) + 1},
		"place":    {func(e *Evidence) { e.Places = append(e.Places, Place{Zone: "a"}) }, PlacesFile, len(a.Places) + 1},
		"slo":      {func(e *Evidence) { e.SLOs = append(e.SLOs, SLO{Name: "x"}); e.Ops[0].Count++ }, SLOsFile, len(a.SLOs) + 1},
		"alert":    {func(e *Evidence) { e.Alerts = append(e.Alerts, Alert{Name: "x"}); e.Ops[0].Count++ }, AlertsFile, len(a.Alerts) + 1},
		"count":    {func(e *Evidence) { e.Counts = append(e.Counts, SLOCount{Good: 1}) }, CountsFile, len(a.Counts) + 1},
		"progress": {func(e *Evidence) { e.Progress = append(e.Progress, Progress{Next: 1}) }, ProgressFile, len(a.Progress) + 1},
		"window":   {func(e *Evidence) { e.Evaluations = append(e.Evaluations, Evaluation{Value: math.NaN()}) }, EvaluationsFile, len(a.Evaluations) + 1},
		"delivery": {func(e *Evidence) { e.Deliveries = append(e.Deliveries, Delivery{Key: "k", Body: []byte("{")}) }, DeliveriesFile, len(a.Deliveries) + 1},
		"telling":  {func(e *Evidence) { e.Telemetry = append(e.Telemetry, Telemetry{Data: []byte("{}")}) }, TelemetryFile, len(a.Telemetry) + 1},
		"epoch":    {func(e *Evidence) { e.Run.Epoch = e.Run.Epoch.Add(1) }, RunFile, 0},
		"run":      {func(e *Evidence) { e.Run.Seed++ }, RunFile, 0},
	} {
		b := load(dir)
		c.change(b)
		if d := FirstDifference(a, b); d.File != c.file || d.Record != c.record || d.A == d.B {
			t.Errorf("%s: want %s record %d, got %+v", name, c.file, c.record, d)
		}
	}
}

// content is one file's bytes before compression.
func content(tb testing.TB, e *Evidence, name string) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := e.encode(name, &b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// FuzzContent decodes hostile content of each file: it ends without a panic, within the limits, and what it accepts it
// would write again and read as the same.
func FuzzContent(f *testing.F) {
	e := rapid.Custom(drawEvidence).Example(5)
	for i, name := range files() {
		f.Add(uint8(i), content(f, e, name))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := files()[int(which)%len(files())]
		limits := Limits{Memory: 1 << 20, Line: 1 << 16}
		budget := limits.Memory
		got := Evidence{Plan: samplePlan()}
		if err := got.decodeContent(name, bytes.NewReader(data), limits, &budget); err != nil {
			if errors.Is(err, ErrDamaged) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrVersion) {
				return
			}
			t.Fatalf("%s: %v is of no kind", name, err)
		}
		if name == PlanFile || name == RunFile {
			return // what they mean is for their readers
		}
		var again Evidence
		budget = limits.Memory
		if err := again.decodeContent(name, bytes.NewReader(content(t, &got, name)), limits, &budget); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%s: accepted, written and refused: %v", name, err)
		} else if err == nil {
			again.Plan = got.Plan
			if d := FirstDifference(&got, &again); d.Found() {
				t.Fatal(d)
			}
		}
	})
}

// FuzzManifest reads hostile manifests.
func FuzzManifest(f *testing.F) {
	digests, err := DigestsOf(rapid.Custom(drawEvidence).Example(5))
	if err != nil {
		f.Fatal(err)
	}
	data, err := json.Marshal(manifest{Format: formatName, Version: Version, Files: digests})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%v is of no kind", err)
			}
			return
		}
		if len(m.Files) != len(filesOf(m.Version)) {
			t.Fatalf("accepted with %d files", len(m.Files))
		}
	})
}

// FuzzCompressed reads hostile compressed files, which may want to become very large.
func FuzzCompressed(f *testing.F) {
	e := rapid.Custom(drawEvidence).Example(5)
	for _, name := range []string{HistoryFile, QueriesFile, LogFile, HeldFile} {
		var b bytes.Buffer
		if _, err := digest(&b, name, func(w io.Writer) error { return e.encode(name, w) }); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), int64(len(content(f, e, name))))
	}
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		for _, name := range []string{HistoryFile, QueriesFile, LogFile, HeldFile} {
			budget := int64(1 << 20)
			var got Evidence
			err := got.decode(name, bytes.NewReader(data), min(max(size, 0), 1<<20), Limits{Memory: 1 << 20, Line: 1 << 16}, &budget)
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s: %v is of no kind", name, err)
			}
		}
	})
}
