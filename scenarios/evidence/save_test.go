package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

func samplePlan() *plan.Plan {
	return &plan.Plan{
		Version: plan.Version, Scenario: "broker-loss", Doc: "Nothing is lost.",
		Params: []plan.Param{}, Worlds: []string{"sim"}, System: system.Default(),
		Traffic: []plan.Traffic{{Name: "steady", Shape: plan.Steady, EventsPerSecond: 100, EventsPerBatch: 10, EventBytes: 100, Datasets: 1, Clients: 2, Timeout: plan.Duration(time.Second)}},
		Phases:  []plan.Phase{{Name: "baseline", Length: plan.Duration(10 * time.Second), Stage: plan.Before}},
		Checks:  []plan.Check{{Name: plan.CheckDurability}},
	}
}

// drawEvidence draws evidence of any shape, sensible or not; what is drawn survives being saved.
func drawEvidence(t *rapid.T) *Evidence {
	text := rapid.StringMatching(`[a-z0-9 /"<>&é-]{0,12}`)
	moment := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "ns")) })
	part := rapid.Custom(func(t *rapid.T) Part {
		return Part{Count: rapid.IntRange(0, 10).Draw(t, "count"), Code: rapid.SampledFrom([]int{202, 429, 503, 504}).Draw(t, "code"),
			Error: text.Draw(t, "error"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset")}
	})
	op := rapid.Custom(func(t *rapid.T) Op {
		o := Op{
			Traffic: rapid.IntRange(0, 3).Draw(t, "traffic"), Producer: rapid.Uint32().Draw(t, "producer"), FirstSeq: rapid.Uint64().Draw(t, "seq"),
			Count: rapid.IntRange(0, 100).Draw(t, "count"), Dataset: text.Draw(t, "dataset"), Target: text.Draw(t, "target"),
			Intended: moment.Draw(t, "intended"), Sent: moment.Draw(t, "sent"), Done: moment.Draw(t, "done"),
			Code: rapid.IntRange(0, 599).Draw(t, "code"), Error: text.Draw(t, "error"), NotSent: rapid.Bool().Draw(t, "not sent"),
		}
		if parts := rapid.SliceOfN(part, 0, 4).Draw(t, "parts"); len(parts) > 0 {
			o.Parts = parts
		}
		return o
	})
	mark := rapid.Custom(func(t *rapid.T) HeldMark {
		return HeldMark{
			Retriever: rapid.SampledFrom([]string{"retriever1", "retriever2", StoreS3, ""}).Draw(t, "retriever"), Partition: rapid.Int32().Draw(t, "partition"),
			Offset: rapid.Int64().Draw(t, "offset"), Producer: rapid.Uint32().Draw(t, "producer"), Seq: rapid.Uint64().Draw(t, "seq"),
			State: MarkState(rapid.IntRange(0, int(Unreadable)).Draw(t, "state")),
		}
	})
	e := &Evidence{
		Run:  Run{Version: Version, Scenario: "broker-loss", World: "sim", Seed: rapid.Uint64().Draw(t, "seed"), Build: text.Draw(t, "build"), Length: moment.Draw(t, "length")},
		Plan: samplePlan(),
	}
	e.Ops = orNil(rapid.SliceOfN(op, 0, 8).Draw(t, "ops"))
	e.Held = orNil(rapid.SliceOfN(mark, 0, 20).Draw(t, "held"))
	for _, m := range rapid.SliceOfN(mark, 0, 20).Draw(t, "log") {
		e.Log = append(e.Log, LogMark{Partition: m.Partition, Offset: m.Offset, Producer: m.Producer, Seq: m.Seq, State: m.State})
	}
	for range rapid.IntRange(0, 4).Draw(t, "samples") {
		e.Samples = append(e.Samples, Sample{At: moment.Draw(t, "at"), Values: rapid.MapOf(text, rapid.Float64Range(-1e9, 1e9)).Draw(t, "values")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		entry := Entry{At: moment.Draw(t, "at"), Kind: FaultInjected, Fault: text.Draw(t, "fault"), Detail: text.Draw(t, "detail")}
		if rapid.Bool().Draw(t, "pos") {
			entry.Pos = &plan.Pos{File: "x.star", Line: 3, Col: 4}
		}
		e.Timeline = append(e.Timeline, entry)
	}
	for range rapid.IntRange(0, 3).Draw(t, "queries") {
		e.Queries = append(e.Queries, drawQuery(t, text, moment))
	}
	for range rapid.IntRange(0, 3).Draw(t, "commits") {
		e.Commits = append(e.Commits, Commit{
			At: moment.Draw(t, "at"), Partition: rapid.Int32().Draw(t, "partition"), Generation: rapid.Int64().Draw(t, "generation"), Next: rapid.Int64().Draw(t, "next"),
			Writer: text.Draw(t, "writer"), Absent: orNil(rapid.SliceOfN(text, 0, 3).Draw(t, "absent")), Durable: rapid.Int64().Draw(t, "durable"), Final: rapid.Bool().Draw(t, "final"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "pairs") {
		e.Pairs = append(e.Pairs, PairRange{
			Retriever: text.Draw(t, "retriever"), Partition: rapid.Int32().Draw(t, "partition"), First: rapid.Int64().Draw(t, "first"),
			Next: rapid.Int64().Draw(t, "next"), Rows: rapid.Int64().Draw(t, "rows"), Sum: rapid.Uint64().Draw(t, "sum"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "places") {
		e.Places = append(e.Places, Place{At: moment.Draw(t, "at"), Retriever: text.Draw(t, "retriever"), Partition: rapid.Int32().Draw(t, "partition"), Zone: text.Draw(t, "zone"), Claimed: rapid.Bool().Draw(t, "claimed")})
	}
	drawAlerting(t, e, text, moment)
	if rapid.Bool().Draw(t, "epoch") {
		e.Run.Epoch = time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "epoch s"), rapid.Int64Range(0, 1e9-1).Draw(t, "epoch ns")).UTC()
	}
	if rapid.Bool().Draw(t, "gap") {
		e.Gaps = []Gap{{What: "log", Why: text.Draw(t, "why")}}
	}
	return e
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func TestSavedEvidenceIsLoadedAsItWas(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := Save(dir, e); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d := FirstDifference(e, got); d.Found() {
			t.Fatal(d)
		}
		if !reflect.DeepEqual(e.Ops, got.Ops) || !reflect.DeepEqual(e.Held, got.Held) || !reflect.DeepEqual(e.Log, got.Log) || !reflect.DeepEqual(e.Timeline, got.Timeline) || !reflect.DeepEqual(e.Run, got.Run) ||
			!reflect.DeepEqual(e.Queries, got.Queries) || !reflect.DeepEqual(e.Commits, got.Commits) || !reflect.DeepEqual(e.Pairs, got.Pairs) || !reflect.DeepEqual(e.Places, got.Places) || !reflect.DeepEqual(e.Gaps, got.Gaps) ||
			!reflect.DeepEqual(e.Telemetry, got.Telemetry) || !reflect.DeepEqual(e.SLOs, got.SLOs) || !reflect.DeepEqual(e.Counts, got.Counts) || !reflect.DeepEqual(e.Progress, got.Progress) || len(e.Alerts) != len(got.Alerts) ||
			len(e.Evaluations) != len(got.Evaluations) || len(e.Deliveries) != len(got.Deliveries) {
			t.Fatalf("loaded\n%+v\nsaved\n%+v", got, e)
		}
		listed, err := Digests(dir)
		if err != nil {
			t.Fatal(err)
		}
		if computed, err := DigestsOf(got); err != nil || !reflect.DeepEqual(listed, computed) {
			t.Fatalf("digests %v differ from the manifest's %v (%v)", computed, listed, err)
		}
	})
}

func TestEqualRunsHaveEqualBytes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	e := rapid.Custom(drawEvidence).Example(7)
	for _, name := range []string{"a", "b"} {
		if err := Save(filepath.Join(root, name), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append(files(), ManifestFile) {
		a, errA := os.ReadFile(filepath.Join(root, "a", name))
		b, errB := os.ReadFile(filepath.Join(root, "b", name))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s differs between two saves of one run (%v, %v)", name, errA, errB)
		}
	}
}

func TestValuesThatAreNoNumbersAreLeftOut(t *testing.T) {
	t.Parallel()
	e := &Evidence{Plan: samplePlan(), Samples: []Sample{{At: 1, Values: map[string]float64{Offline: math.NaN(), BrokersLive: 3, RetrieverLag: math.Inf(1)}}}}
	dir := filepath.Join(t.TempDir(), "run")
	if err := Save(dir, e); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]float64{BrokersLive: 3}; !reflect.DeepEqual(got.Samples[0].Values, want) {
		t.Errorf("got %v, want %v", got.Samples[0].Values, want)
	}
	if len(e.Samples[0].Values) != 3 {
		t.Error("saving changed the evidence in memory")
	}
}

// breakingFS lets the n-th step fail.
type breakingFS struct {
	osFS
	steps, failAt int
	err           error
}

func (b *breakingFS) step() error {
	if b.steps++; b.steps == b.failAt {
		return b.err
	}
	return nil
}

func (b *breakingFS) MkdirTemp(dir, pattern string) (string, error) {
	if err := b.step(); err != nil {
		return "", err
	}
	return b.osFS.MkdirTemp(dir, pattern)
}

func (b *breakingFS) Create(path string) (file, error) {
	if err := b.step(); err != nil {
		return nil, err
	}
	f, err := b.osFS.Create(path)
	return &breakingFile{file: f, fs: b}, err
}

func (b *breakingFS) Rename(from, to string) error {
	if err := b.step(); err != nil {
		return err
	}
	return b.osFS.Rename(from, to)
}

func (b *breakingFS) SyncDir(path string) error {
	if err := b.step(); err != nil {
		return err
	}
	return b.osFS.SyncDir(path)
}

type breakingFile struct {
	file
	fs *breakingFS
}

func (f *breakingFile) Write(p []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.file.Write(p[:len(p)/2]) // a full disk takes a part
		return n, err
	}
	return f.file.Write(p)
}

func (f *breakingFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *breakingFile) Close() error {
	if err := f.fs.step(); err != nil {
		return errors.Join(err, f.file.Close())
	}
	return f.file.Close()
}

func TestAFailureAtAnyStepLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	e := rapid.Custom(drawEvidence).Example(3)
	whole := &breakingFS{}
	if err := save(whole, filepath.Join(t.TempDir(), "run"), e); err != nil {
		t.Fatal(err)
	}
	if whole.steps < 30 {
		t.Fatalf("only %d steps seen: the test does not reach the disk", whole.steps)
	}
	for n := 1; n <= whole.steps; n++ {
		root := t.TempDir()
		dir := filepath.Join(root, "run")
		err := save(&breakingFS{failAt: n, err: &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}}, dir, e)
		if err == nil {
			t.Fatalf("step %d of %d failed and Save did not", n, whole.steps)
		}
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("step %d: the error does not say what, where and what to do: %v", n, err)
		}
		left, _ := os.ReadDir(root)
		switch {
		case len(left) == 0:
		case len(left) == 1 && left[0].Name() == "run":
			if _, err := Load(dir); err != nil {
				t.Errorf("step %d left an incomplete folder: %v", n, err)
			}
		default:
			t.Errorf("step %d left %v", n, left)
		}
	}
}

func TestWriteFileAtomicKeepsTheOldFileUntilTheNewOneIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "verdict.json")
	if err := WriteFileAtomic(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 20; n++ {
		b := &breakingFS{failAt: n, err: syscall.ENOSPC}
		err := writeFileAtomic(b, path, []byte("new"))
		data, _ := os.ReadFile(path)
		if err != nil && string(data) != "old" && string(data) != "new" {
			t.Fatalf("step %d left %q", n, data)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Fatalf("step %d left %v", n, left)
		}
		if err == nil {
			if string(data) != "new" {
				t.Fatalf("the new file is %q", data)
			}
			return
		}
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("step %d: %v", n, err)
		}
	}
	t.Fatal("never succeeded")
}

func TestSaveRunNamesFoldersAndPointsToTheLatest(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "runs")
	at := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	e := &Evidence{Plan: samplePlan(), Run: Run{Scenario: "broker-loss", Seed: 8123}}
	for _, want := range []string{"20261121T150000Z-8123", "20261121T150000Z-8123-2", "20261121T150000Z-8123-3"} {
		dir, err := SaveRun(root, at, e)
		if err != nil {
			t.Fatal(err)
		}
		if dir != filepath.Join(root, "broker-loss", want) {
			t.Errorf("saved as %s, want …/%s", dir, want)
		}
		latest, err := filepath.EvalSymlinks(filepath.Join(root, LatestLink))
		real, errReal := filepath.EvalSymlinks(dir)
		if err != nil || errReal != nil || latest != real {
			t.Errorf("latest is %s (%v), want %s", latest, err, real)
		}
	}
	if err := Save(filepath.Join(root, "broker-loss", "20261121T150000Z-8123"), e); !errors.Is(err, ErrExists) {
		t.Errorf("saving over a run: %v", err)
	}
	for name, want := range map[string]string{"../../etc": "_.._etc", "": "scenario_", "latest": "scenario_latest", ".hidden": "hidden", "a b/ü": "a_b__"} {
		if got := filepath.Base(filepath.Dir(Folder(root, Run{Scenario: name}, at))); got != want {
			t.Errorf("scenario %q is saved under %q, want %q", name, got, want)
		}
	}
}

func TestPointLatestReplacesOnlyLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, LatestLink), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := PointLatest(root, filepath.Join(root, "a")); !errors.Is(err, ErrExists) {
		t.Errorf("replaced a folder: %v", err)
	}
	if err := PointLatest(root, filepath.Join(root, "..", "b")); err == nil {
		t.Error("pointed out of the root")
	}
}

func TestWritableSaysWhatSavingWouldRunInto(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	taken := filepath.Join(root, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root, filepath.Join(root, "a", "b")} {
		if err := Writable(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{taken, filepath.Join(taken, "below")} {
		if err := Writable(path); err == nil || !strings.Contains(err.Error(), "is a file, not a folder") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
