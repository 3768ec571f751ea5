package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

var update = flag.Bool("update", false, "write the golden files from what the tests get")

// kept keeps the pages that tests make, for looking at them.
var kept = flag.String("keep", "", "folder to write the fixtures' reports into")

type fixture struct {
	name string
	make func() (*evidence.Evidence, *check.Judgement)
}

func fixtures() []fixture {
	return []fixture{{"pass", passing}, {"fail", failing}, {"inconclusive", inconclusive}}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was; run go test ./reports -update and look at the difference\n%s", path, firstDifference(got, want))
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return "got:  " + clip(a, 300) + "\nwant: " + clip(b, 300)
		}
	}
	return "no line differs"
}

func render(t *testing.T, write func(io.Writer, *evidence.Evidence, *check.Judgement) error, ev *evidence.Evidence, j *check.Judgement) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, ev, j); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReportsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			ev, j := f.make()
			var b bytes.Buffer
			if err := Text(&b, ev, j, TextOptions{Report: "runs/broker-loss/latest/report.html", Wall: 84 * time.Millisecond, Width: 100}); err != nil {
				t.Fatal(err)
			}
			golden(t, f.name+".txt", b.Bytes())
			golden(t, f.name+".json", render(t, JSON, ev, j))
			golden(t, f.name+".xml", render(t, JUnit, ev, j))
			page := render(t, HTML, ev, j)
			for _, asset := range []string{uplotScript, uplotStyle, pageScript, pageStyle} {
				if !bytes.Contains(page, []byte(asset)) {
					t.Error("an asset is not in the page as it is in the tree")
				}
				page = bytes.Replace(page, []byte(asset), []byte("…"), 1)
			}
			golden(t, f.name+".html", page)
		})
	}
}

func TestSameEvidenceSameBytes(t *testing.T) {
	t.Parallel()
	for _, write := range []func(io.Writer, *evidence.Evidence, *check.Judgement) error{JSON, JUnit, HTML} {
		ev, j := failing()
		ev2, j2 := failing()
		if !bytes.Equal(render(t, write, ev, j), render(t, write, ev2, j2)) {
			t.Error("the same evidence gave two reports")
		}
	}
}

func TestWritePutsWholeFilesIntoTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range fixtures() {
		ev, j := f.make()
		if err := Write(dir, ev, j); err != nil { // the second and third time over an earlier judgement
			t.Fatal(err)
		}
		if *kept != "" {
			if err := Write(filepath.Join(*kept, f.name), ev, j); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(dir, VerdictFile))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, render(t, JSON, ev, j)) {
			t.Errorf("%s: %s is not the latest judgement", f.name, VerdictFile)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("the folder has %d entries: something was left behind or is missing", len(entries))
	}
	ev, j := passing()
	if err := Write(filepath.Join(dir, "not", "there"), ev, j); err == nil {
		t.Error("writing into a folder that is not there went unnoticed")
	}
}

func TestVerdictFileCanBeReadBack(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures() {
		ev, j := f.make()
		var back struct {
			check.Judgement
			Replay string
		}
		if err := json.Unmarshal(render(t, JSON, ev, j), &back); err != nil {
			t.Fatal(err)
		}
		if back.Verdict != j.Verdict || len(back.Results) != len(j.Results) || len(back.Series.Columns) != len(j.Series.Columns) || back.Replay != Replay(ev) {
			t.Errorf("%s: read back as %v with %d results and %d columns", f.name, back.Verdict, len(back.Results), len(back.Series.Columns))
		}
		for i, c := range j.Series.Columns {
			if len(back.Series.Columns[i].Values) != len(c.Values) {
				t.Errorf("%s: column %s has lost values", f.name, c.Name)
			}
		}
	}
}

func TestEveryFieldOfTheVerdictIsDescribed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "verdict.md"))
	if err != nil {
		t.Fatal(err)
	}
	ev, j := failing()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(render(t, JSON, ev, j), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/verdict.md does not describe %q", name)
		}
	}
	if !strings.Contains(string(page), fmt.Sprintf("Version %d.", check.Version)) {
		t.Errorf("docs/verdict.md is not of version %d", check.Version)
	}
}

// TestAFullMachineIsTold: who reads that a run did not pass reads, too, that its machine was full; a run that passed had enough.
func TestAFullMachineIsTold(t *testing.T) {
	t.Parallel()
	const much = "its processors had nothing left in 83% of the seconds"
	for _, f := range fixtures() {
		ev, j := f.make()
		if len(j.Phases) < 2 {
			continue
		}
		for _, full := range []bool{false, true} {
			j.Phases[1].Machine = &check.MachineStats{Samples: 30, CPU: 0.9}
			if full {
				j.Phases[1].Machine.TooMuch = much
			}
			var text bytes.Buffer
			if err := Text(&text, ev, j, TextOptions{}); err != nil {
				t.Fatal(err)
			}
			told := full && j.Verdict != check.Pass
			want := "in " + j.Phases[1].Name + " " + much
			if got := strings.Contains(text.String(), "!! THIS MACHINE: "+want); got != told {
				t.Errorf("%s, full %v: told in the summary: %v", f.name, full, got)
			}
			if got := strings.Contains(string(render(t, HTML, ev, j)), "<b>This machine:</b> "+want); got != told {
				t.Errorf("%s, full %v: told in the report: %v", f.name, full, got)
			}
		}
	}
}

func TestJUnitCountsWhatDidNotPass(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures() {
		ev, j := f.make()
		var doc junitSuites
		if err := xml.Unmarshal(render(t, JUnit, ev, j), &doc); err != nil {
			t.Fatal(err)
		}
		failures, errors := 0, 0
		for _, c := range doc.Suite.Cases {
			for _, trouble := range []*junitTrouble{c.Failure, c.Error} {
				if trouble != nil && !strings.Contains(trouble.Text, Replay(ev)) {
					t.Errorf("%s: case %s does not say how to replay", f.name, c.Name)
				}
			}
			if c.Failure != nil {
				failures++
			}
			if c.Error != nil {
				errors++
			}
		}
		if failures != doc.Failures || errors != doc.Errors || (failures > 0) != (j.Verdict == check.Fail) || (errors > 0) != (f.name == "inconclusive") {
			t.Errorf("%s: %d failures, %d errors, counted as %d and %d", f.name, failures, errors, doc.Failures, doc.Errors)
		}
	}
}

func TestTextIsNoWiderThanTheTerminal(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures() {
		for _, width := range []int{24, 40, 60, 80, 120, 200} {
			ev, j := f.make()
			var b bytes.Buffer
			if err := Text(&b, ev, j, TextOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			for _, line := range lines {
				if utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "replay  ") {
					t.Errorf("%s at %d: %q", f.name, width, line)
				}
			}
			word := strings.ToUpper(j.Verdict.String())
			if last := len(lines) - 1; width < 30 && !strings.HasPrefix(lines[last], word) {
				lines[last] = lines[last-1] // the scenario's name has wrapped
			}
			if !strings.HasPrefix(lines[0], word) || !strings.HasPrefix(lines[len(lines)-1], word) {
				t.Errorf("%s: the verdict is not both first and last", f.name)
			}
		}
	}
}

func TestColoursOnlyPaint(t *testing.T) {
	t.Parallel()
	ev, j := failing()
	var plain, painted bytes.Buffer
	if err := Text(&plain, ev, j, TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := Text(&painted, ev, j, TextOptions{Width: 100, Color: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("the plain summary has escapes")
	}
	stripped := painted.String()
	for _, code := range []string{"1", "1;31", "1;32", "1;33", "0"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+code+"m", "")
	}
	if stripped != plain.String() {
		t.Error("without its colours the coloured summary is another text")
	}
	if !strings.Contains(painted.String(), "\x1b[1;31mFAIL") {
		t.Error("the failure is not painted")
	}
}

func TestReplayIsWhatAShellUnderstands(t *testing.T) {
	t.Parallel()
	ev, _ := failing()
	if got, want := Replay(ev), "ratel run broker-loss --world sim --seed 8123 --set outage=45s --planted K1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ev.Plan.Params[0].Value = "it's; rm -rf $HOME"
	if got, want := Replay(ev), `--set 'outage=it'\''s; rm -rf $HOME'`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}
