package lang

import (
	"errors"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// TestPanicInBuiltin shows that a defect of a builtin is told as such, at the place in the script, and ends nothing else.
func TestPanicInBuiltin(t *testing.T) {
	t.Parallel()
	b := &Builtin{Name: "explode", run: func(*call) (starlark.Value, error) { panic("boom") }}
	u := &unit{file: "x.star", sources: map[string]*source{}}
	const text = "def f():\n    explode()\n\nf()\n"
	program, err := parseWith(u, text, b)
	if err != nil {
		t.Fatal(err)
	}
	thread := newThread("x.star")
	thread.SetLocal(unitKey, u)
	_, err = program.Init(thread, starlark.StringDict{"explode": b.value()})
	told := u.explain(err)
	if len(told.Problems) != 1 || !strings.HasPrefix(told.Error(), "x.star:2:5: internal error in explode: boom\n") || !strings.Contains(told.Error(), "defect of Ratel") {
		t.Fatalf("got %v", told)
	}
}

func parseWith(u *unit, text string, b *Builtin) (*starlark.Program, error) {
	f, err := options().Parse(u.file, text, 0)
	if err != nil {
		return nil, err
	}
	u.sources[u.file] = newSource([]byte(text), f)
	return starlark.FileProgram(f, func(name string) bool { return name == b.Name })
}

func TestPanicOutsideBuiltins(t *testing.T) {
	t.Parallel()
	_, err := guarded(func() (starlark.Value, error) { panic(errors.New("boom")) })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
}

// TestCatalogue holds the descriptions of builtins together: what can be said without a name comes first, and nothing
// that must be given comes after something that need not.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range Builtins() {
		if seen[b.Name] {
			t.Errorf("%s is there twice", b.Name)
		}
		seen[b.Name] = true
		if b.Doc == "" || b.Group == "" || b.run == nil {
			t.Errorf("%s lacks something", b.Name)
		}
		if b.Positional > len(b.Args) || b.Variadic != "" && b.Positional > 0 {
			t.Errorf("%s: %d arguments without a name", b.Name, b.Positional)
		}
		for _, a := range b.Args {
			if a.Name == "" || a.Type == "" {
				t.Errorf("%s: an argument lacks something", b.Name)
			}
		}
	}
}
