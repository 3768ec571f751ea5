package lang_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

var update = flag.Bool("update", false, "write the golden files and generated documentation anew")

// evaluate loads a script and makes its plan with its defaults.
func evaluate(file string, text []byte, read lang.Reader) (*plan.Plan, error) {
	s, err := lang.Load(file, text, read)
	if err != nil {
		return nil, err
	}
	return s.Plan(nil, 1)
}

// TestErrors evaluates every script of testdata/errors, each of which has a mistake, and compares what the user is told.
func TestErrors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/errors/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(lang.Name(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = evaluate(filepath.Base(file), text, func(name string) ([]byte, error) {
				text, err := os.ReadFile(filepath.Join(filepath.Dir(file), name))
				if errors.Is(err, os.ErrNotExist) {
					return nil, os.ErrNotExist // without the path, which differs between systems
				}
				return text, err
			})
			var told *lang.Error
			if !errors.As(err, &told) {
				t.Fatalf("got %v, want a *lang.Error", err)
			}
			for _, p := range told.Problems {
				if p.Pos.File == "" || p.Pos.Line == 0 || p.Pos.Col == 0 {
					t.Errorf("a problem has no place: %s", p.What)
				}
			}
			compare(t, strings.TrimSuffix(file, lang.Extension)+".golden", told.Error()+"\n")
		})
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant (%s; go test -update writes it anew)\n%s", got, golden, want)
	}
}
