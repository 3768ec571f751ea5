package library_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

func all(t *testing.T) []*lang.Script {
	t.Helper()
	list, err := library.List()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func planOf(t *testing.T, s *lang.Script, set map[string]string, seed uint64) *plan.Plan {
	t.Helper()
	p, err := s.Plan(set, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestNames(t *testing.T) {
	t.Parallel()
	got := library.Names()
	if !slices.IsSorted(got) {
		t.Errorf("%v is not sorted", got)
	}
	for _, name := range []string{"broker-loss", "double-failover", "leader-isolated", "quiet"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not in %v", name, got)
		}
	}
}

func TestEveryScriptIsDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		for _, word := range []string{"Hypothesis:", "Source:"} {
			if !strings.Contains(s.Doc, word) {
				t.Errorf("%s: the docstring has no %q", s.Name, word)
			}
		}
		for _, p := range s.Params {
			if p.Doc == "" {
				t.Errorf("%s: the docstring does not say what parameter %s is", s.Name, p.Name)
			}
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		first := encode(t, planOf(t, s, nil, 7))
		again, err := library.Find(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		if second := encode(t, planOf(t, again, nil, 7)); !bytes.Equal(first, second) {
			t.Errorf("%s: two evaluations differ:\n%s\n%s", s.Name, first, second)
		}
		if second := encode(t, planOf(t, s, nil, 7)); !bytes.Equal(first, second) {
			t.Errorf("%s: evaluating one script twice differs", s.Name)
		}
	}
}

func TestPlansAreReadBack(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		p := planOf(t, s, nil, 1)
		data := encode(t, p)
		back, err := plan.Decode("plan.json", data)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if again := encode(t, back); !bytes.Equal(data, again) || back.Hash() != p.Hash() {
			t.Errorf("%s: read back it is another plan:\n%s\n%s", s.Name, data, again)
		}
	}
}

func TestWorlds(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		want := "sim containers"
		if s.Name == "double-failover" || s.Name == "retriever-crash" || s.Name == "lock-churn" {
			want = "sim"
		}
		if got := strings.Join(planOf(t, s, nil, 1).Worlds, " "); got != want {
			t.Errorf("%s runs in %q, want %q", s.Name, got, want)
		}
	}
}

func TestBrokerLossPlan(t *testing.T) {
	t.Parallel()
	s, err := library.Find("broker-loss")
	if err != nil {
		t.Fatal(err)
	}
	got := encode(t, planOf(t, s, map[string]string{"outage": "20s"}, 1))
	golden := filepath.Join("testdata", "broker-loss.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the plan differs from %s; if it should, run go test -update:\n%s", golden, got)
	}
}

func TestSmallSystems(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		set := map[string]string{"rate": "1"}
		for _, p := range s.Params {
			switch p.Name {
			case "brokers":
				set[p.Name] = "2"
			case "partitions":
				set[p.Name] = "1"
			}
		}
		if p := planOf(t, s, set, 1); !slices.ContainsFunc(p.Traffic, func(l plan.Traffic) bool { return l.EventsPerSecond == 1 }) {
			t.Errorf("%s: no load has the rate of 1", s.Name)
		}
	}
}

func TestFindNames(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"broker-loss", "broker_loss"} {
		if s, err := library.Find(ref); err != nil || s.Name != "broker-loss" {
			t.Errorf("Find(%q): %v", ref, err)
		}
	}
	var missing *library.NotFoundError
	if _, err := library.Find("broker-los"); !errors.As(err, &missing) || missing.Hint != "did you mean broker-loss?" {
		t.Errorf("got %v", err)
	}
	if _, err := library.Find("something-else"); !errors.As(err, &missing) || !strings.Contains(missing.Hint, "quiet") {
		t.Errorf("got %v", err)
	}
	if _, err := library.Find(""); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
}

func TestFromDiskIsTheSame(t *testing.T) {
	t.Parallel()
	for _, s := range all(t) {
		file := filepath.Base(s.File)
		disk, err := library.Find("./" + file)
		if err != nil {
			t.Fatal(err)
		}
		a, b := planOf(t, s, nil, 3), planOf(t, disk, nil, 3)
		if a.Hash() != b.Hash() || b.Pos.File != "./"+file {
			t.Errorf("%s: from disk it is another plan, at %s", s.Name, b.Pos)
		}
	}
}

func TestFromDiskLoadsOnlyBelowItsFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.star", "RATE = 5\n")
	write("in/lib/rates.star", "RATE = 500\n")
	const body = "\ndef scenario(s):\n    s.traffic(\"t\", events_per_second = RATE)\n    s.phase(\"p\", \"1s\")\n    s.check(durability())\n"
	write("in/good.star", `load("//lib/rates.star", "RATE")`+body)
	write("in/up.star", `load("//../secret.star", "RATE")`+body)
	write("in/link.star", `load("//lib/link.star", "RATE")`+body)
	if err := os.Symlink(filepath.Join(root, "secret.star"), filepath.Join(root, "in", "lib", "link.star")); err != nil {
		t.Fatal(err)
	}

	s, err := library.Find(filepath.Join(root, "in", "good.star"))
	if err != nil {
		t.Fatal(err)
	}
	if p := planOf(t, s, nil, 1); p.Traffic[0].EventsPerSecond != 500 || p.Scenario != "good" {
		t.Errorf("got %+v", p.Traffic[0])
	}
	var wrong *lang.Error
	for _, name := range []string{"up.star", "link.star"} {
		if _, err := library.Find(filepath.Join(root, "in", name)); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	if _, err := library.Find(filepath.Join(root, "none.star")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
