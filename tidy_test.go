package ratel_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/ratel-sim/ratel/"

// maxLines is how long a source file may be: longer, and it holds more than one idea.
const maxLines = 500

// layers orders the house from the ground up: a package may import its own layer's folders and lower ones as the
// architecture draws them, never higher ones.
var mayImport = map[string][]string{
	"system":    {"system"},
	"sim":       {"sim", "system"},
	"loadgen":   {"loadgen", "system"},
	"scenarios": {"scenarios", "sim", "loadgen", "system"},
	"reports":   {"reports", "scenarios", "sim", "loadgen", "system"},
	"cmd":       {"cmd", "reports", "scenarios", "sim", "loadgen", "system"},
}

// realWorld are the folders of system that face real servers and real time; all else in system and sim is deterministic.
var realWorld = []string{"system/kafka", "system/zookeeper", "system/mysql", "system/s3", "system/localdisk", "system/containers"}

// realFiles are single files that face real time or real goroutines inside deterministic folders, with the reason.
var realFiles = map[string]string{
	"system/rt/wall.go":       "the wall clock's implementation of rt",
	"sim/sched/coro_baton.go": "the coroutines' fallback on goroutines, behind a build tag",
	"sim/sched/watchdog.go":   "watches real time to name a task that hangs; never touches the simulation",
	"sim/sched/coro_pull.go":  "stops a coroutine from a throw-away goroutine, so that its exit cannot end the scheduler's",
}

type source struct {
	path string // relative, slashes
	file *ast.File
	fset *token.FileSet
	text []byte
}

func (s *source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "runs" || name == "bin" || (strings.HasPrefix(name, ".") && name != ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, &source{path: filepath.ToSlash(path), file: f, fset: fset, text: text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d source files: the test does not run at the module's root", len(all))
	}
	return all
}

func TestTidyImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		top, _, _ := strings.Cut(s.path, "/")
		allowed, known := mayImport[top]
		if !known {
			continue
		}
		for _, imp := range s.file.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			rest, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if to, _, _ := strings.Cut(rest, "/"); !slices.Contains(allowed, to) {
				t.Errorf("%s: %s imports %s: imports run cmd → reports → scenarios → {sim, loadgen} → system", s.at(imp), top, rest)
			}
		}
	}
}

func TestTidyFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := strings.Count(string(s.text), "\n"); n > maxLines {
			t.Errorf("%s: %d lines: split it by idea, at most %d", s.path, n, maxLines)
		}
	}
}

func TestTidyPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		dir := filepath.Dir(s.path)
		seen[dir] = true
		if s.file.Doc != nil {
			documented[dir] = true
		}
	}
	for dir := range seen {
		if !documented[dir] {
			t.Errorf("%s: no package comment says what the package is for", dir)
		}
	}
}

// TestTidyDeterminism holds the rules that make a run repeatable: in the roles and in the models no real time, no
// goroutines, no channels, no global randomness, and no order taken from a map.
func TestTidyDeterminism(t *testing.T) {
	t.Parallel()
	ranges := mapRanges(t)
	for _, s := range sources(t) {
		if deterministic(s.path) {
			checkDeterminism(t, s, ranges)
		}
	}
}

func deterministic(path string) bool {
	if strings.HasSuffix(path, "_test.go") || realFiles[path] != "" {
		return false
	}
	if !strings.HasPrefix(path, "system/") && !strings.HasPrefix(path, "sim/") && !strings.HasPrefix(path, "loadgen/") {
		return false
	}
	return !slices.ContainsFunc(realWorld, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
}

// bannedCalls are functions of other packages that take time or randomness from outside the simulation.
var bannedCalls = map[string]string{
	"time.Now": "rt.Runtime.Now", "time.Sleep": "rt.Runtime.Sleep", "time.After": "rt.Runtime.WithTimeout",
	"time.AfterFunc": "rt.Runtime.Go and Sleep", "time.NewTimer": "rt.Runtime.WithTimeout", "time.NewTicker": "rt.Ticker",
	"time.Tick": "rt.Ticker", "time.Since": "rt.Runtime.Now", "time.Until": "rt.Runtime.Now",
	"context.WithTimeout": "rt.Runtime.WithTimeout", "context.WithDeadline": "rt.Runtime.WithTimeout",
	"context.WithCancel": "rt.Runtime.WithCancel", "context.AfterFunc": "rt.Runtime.Go",
}

// allowedRand are the constructors of seeded generators; everything else of math/rand/v2 draws from a global one.
var allowedRand = []string{"New", "NewPCG", "NewChaCha8", "Rand", "PCG", "Source", "Zipf", "NewZipf"}

func checkDeterminism(t *testing.T, s *source, ranges map[string]bool) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a bare go statement: use rt.Runtime.Go", s.at(n))
		case *ast.SelectStmt:
			t.Errorf("%s: a select statement: use rt.WaitAny", s.at(n))
		case *ast.ChanType, *ast.SendStmt:
			if !justified(s, n) {
				t.Errorf("%s: a channel: use rt.Queue or rt.Future", s.at(n))
			}
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				t.Errorf("%s: a channel receive: use rt.Queue or rt.Future", s.at(n))
			}
		case *ast.RangeStmt:
			if ranges[s.at(n)] && !justified(s, n) {
				t.Errorf("%s: ranges over a map, whose order is random: sort the keys, or say on the line before why the order cannot be seen (// order: …)", s.at(n))
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + n.Sel.Name
			if better, banned := bannedCalls[name]; banned && importsPackage(s, pkg.Name) {
				t.Errorf("%s: %s is outside the simulation's control: use %s", s.at(n), name, better)
			}
			if pkg.Name == "rand" && importsPackage(s, "rand") && !slices.Contains(allowedRand, n.Sel.Name) {
				t.Errorf("%s: %s draws from a global generator: use rt.Runtime.Rand", s.at(n), name)
			}
		}
		return true
	})
}

// mapRanges finds the places of the deterministic packages at which a map, or an iterator over one, is ranged over.
func mapRanges(t *testing.T) map[string]bool {
	t.Helper()
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports},
		"./system/...", "./sim/...", "./loadgen/...")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, pkg := range pkgs {
		for _, e := range pkg.Errors {
			t.Errorf("%s: %v", pkg.PkgPath, e)
		}
		for _, file := range pkg.Syntax {
			ast.Inspect(file, func(n ast.Node) bool {
				r, ok := n.(*ast.RangeStmt)
				if !ok || !unordered(pkg.TypesInfo, r.X) {
					return true
				}
				pos := pkg.Fset.Position(r.Pos())
				rel, err := filepath.Rel(here, pos.Filename)
				if err != nil {
					t.Fatal(err)
				}
				found[filepath.ToSlash(rel)+":"+strconv.Itoa(pos.Line)] = true
				return true
			})
		}
	}
	return found
}

func unordered(info *types.Info, x ast.Expr) bool {
	if call, ok := x.(*ast.CallExpr); ok {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "maps"
	}
	typ := info.TypeOf(x)
	if typ == nil {
		return false
	}
	_, isMap := typ.Underlying().(*types.Map)
	return isMap
}

func justified(s *source, n ast.Node) bool {
	line := s.fset.Position(n.Pos()).Line
	for _, g := range s.file.Comments {
		for _, c := range g.List {
			if at := s.fset.Position(c.Pos()).Line; (at == line || at == line-1) && (strings.HasPrefix(c.Text, "// order:") || strings.HasPrefix(c.Text, "// channel:")) {
				return true
			}
		}
	}
	return false
}

func importsPackage(s *source, name string) bool {
	for _, imp := range s.file.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		base := strings.TrimSuffix(path, "/v2")
		if imp.Name != nil && imp.Name.Name == name || imp.Name == nil && base[strings.LastIndex(base, "/")+1:] == name {
			return true
		}
	}
	return false
}

// TestTidyFileMap holds docs/architecture.md's file map to the folders that exist.
func TestTidyFileMap(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(doc), "## File map")
	if !found {
		t.Fatal("docs/architecture.md has no section \"## File map\"")
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed[m[1]] = true
	}
	exists := map[string]bool{}
	for _, s := range sources(t) {
		if dir := filepath.ToSlash(filepath.Dir(s.path)); dir != "." {
			exists[dir] = true
		}
	}
	for dir := range exists {
		if !listed[dir] {
			t.Errorf("docs/architecture.md: the file map lacks %s", dir)
		}
	}
	for dir := range listed {
		if !exists[dir] {
			t.Errorf("docs/architecture.md: the file map lists %s, which has no Go files", dir)
		}
	}
}

// TestTidyNoNamesOfHosts keeps the tree free of machine paths and of registries' hosts.
func TestTidyNoNamesOfHosts(t *testing.T) {
	t.Parallel()
	banned := regexp.MustCompile(`/root/|/work/main|proxy\.golang\.org|repo1?\.maven|deb\.debian\.org|registry\.npmjs|docker\.io/`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == ".git" || n == "runs" || n == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if path == "tidy_test.go" || !slices.Contains([]string{".go", ".md", ".sh", ".star", ".txtar", "", ".yml", ".Dockerfile", ".xml"}, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := banned.Find(text); m != nil {
			t.Errorf("%s: names %q", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
