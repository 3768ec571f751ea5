// Package lang evaluates scenario scripts. A script is Starlark, a small dialect of Python; its function scenario(s, …)
// builds a plan and does nothing else: it has no clock, no input or output, and never sees a running system. The same
// script with the same parameters and seed gives the same plan, byte for byte.
//
// Scripts are trusted as far as memory goes: steps and sizes are limited, but an expression may build a large string.
package lang

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Limits of scripts.
const (
	// MaxSource is the largest script in bytes.
	MaxSource = 256 << 10
	// maxSteps is how many steps of the interpreter one evaluation may take. broker-loss takes about two hundred.
	maxSteps = 1_000_000
	// maxModules is how many other scripts one may load.
	maxModules = 50
)

// Extension ends the names of files with scripts.
const Extension = ".star"

// Reader reads another script that one loads with load("//lib/x.star", …). name is slash-separated, clean, relative to
// the script's folder, and does not leave it.
type Reader func(name string) ([]byte, error)

// Script is a script that was read and is well so far: its top level has been run, its scenario has not.
// It may be used from several goroutines.
type Script struct {
	Name   string // such as broker-loss
	File   string
	Doc    string // docstring of the file, or else of its scenario
	Params []Param

	unit *unit
	fn   *starlark.Function
	pos  plan.Pos
}

// Name is the scenario's name for a script's file name: broker_loss.star holds broker-loss.
func Name(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), Extension), "_", "-")
}

// Load reads a script. file names it in positions and errors and gives the scenario its name; read may be nil if the script
// can load no others. Errors are *[Error].
func Load(file string, text []byte, read Reader) (*Script, error) {
	l := &loader{unit: &unit{file: file, sources: map[string]*source{}, read: read}, read: read, modules: map[string]*module{}}
	globals, err := l.run(file, text)
	if err != nil {
		return nil, l.unit.explain(err)
	}
	s := &Script{Name: Name(file), File: file, Doc: strings.TrimSpace(l.unit.sources[file].doc), unit: l.unit}
	fn, ok := globals["scenario"].(*starlark.Function)
	if !ok {
		return nil, &Error{Problems: []Problem{l.unit.problem(plan.Pos{File: file, Line: 1, Col: 1}, "the script has no function scenario", "write def scenario(s): and the steps below it")}}
	}
	s.fn, s.pos = fn, position(fn.Position())
	if s.Doc == "" {
		s.Doc = strings.TrimSpace(fn.Doc())
	}
	if e := s.readParams(); e != nil {
		return nil, e
	}
	return s, nil
}

// Plan evaluates the scenario. set gives parameters other values than their defaults, in the text that follows --set NAME=;
// seed is what choose draws from. Errors are *[ParamError] for what is wrong with set, and else *[Error].
func (s *Script) Plan(set map[string]string, seed uint64) (*plan.Plan, error) {
	params, err := s.parameters(set)
	if err != nil {
		return nil, err
	}
	b := newBuild(s, seed)
	kwargs := make([]starlark.Tuple, len(params))
	shown := make([]string, len(params))
	for i, p := range params {
		b.plan.Params = append(b.plan.Params, plan.Param{Name: p.Name, Default: p.Default, Value: text(p.value)})
		kwargs[i] = starlark.Tuple{starlark.String(p.Name), p.value}
		shown[i] = p.Name + "=" + p.value.String()
	}
	thread := newThread(s.Name)
	thread.SetLocal(buildKey, b)
	thread.SetLocal(unitKey, s.unit)
	_, err = guarded(func() (starlark.Value, error) {
		return starlark.Call(thread, s.fn, starlark.Tuple{&scenarioValue{b}}, kwargs)
	})
	if err == nil {
		var p *plan.Plan
		if p, err = b.finish(); err == nil {
			return p, nil
		}
	}
	e := s.unit.explain(err)
	e.Scenario = fmt.Sprintf("scenario(%s)", strings.Join(shown, ", "))
	return nil, e
}

// Keys of what builtins find in their thread.
const (
	buildKey = "build" // *build; absent while a script's top level runs
	unitKey  = "unit"  // *unit
)

func newThread(name string) *starlark.Thread {
	t := &starlark.Thread{Name: name}
	t.SetMaxExecutionSteps(maxSteps)
	return t
}

// guarded makes an error of a panic of the interpreter. Builtins have a guard of their own, which knows their place.
func guarded(f func() (starlark.Value, error)) (v starlark.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error in the interpreter: %v. This is a defect of Ratel", r)
		}
	}()
	return f()
}

// loader reads a script and those it loads.
type loader struct {
	unit    *unit
	read    Reader
	modules map[string]*module // by clean name
}

type module struct {
	globals starlark.StringDict // nil while it is being read
	err     error
}

func options() *syntax.FileOptions { return &syntax.FileOptions{Set: true} }

// run reads one file and runs its top level.
func (l *loader) run(file string, text []byte) (starlark.StringDict, error) {
	if len(text) > MaxSource {
		return nil, fmt.Errorf("the script has more than %d bytes", MaxSource) // no more is read of it
	}
	if err := l.unit.textual(file, text); err != nil {
		return nil, err
	}
	l.unit.sources[file] = newSource(text, nil) // for errors of the parser
	f, err := options().Parse(file, text, 0)
	if err != nil {
		return nil, err
	}
	l.unit.sources[file] = newSource(text, f)
	known := predeclared()
	program, err := starlark.FileProgram(f, known.Has)
	if err != nil {
		return nil, err
	}
	thread := newThread(file)
	thread.SetLocal(unitKey, l.unit)
	thread.Load = func(_ *starlark.Thread, name string) (starlark.StringDict, error) { return l.load(name) }
	var globals starlark.StringDict
	_, err = guarded(func() (starlark.Value, error) {
		var err error
		globals, err = program.Init(thread, known)
		return starlark.None, err
	})
	globals.Freeze()
	return globals, err
}

// below is the clean path of a file below the script's folder, as a script names it: //lib/faults.star.
func below(name string) (clean string, ok bool) {
	clean, ok = strings.CutPrefix(name, "//")
	return clean, ok && clean != "" && path.Clean(clean) == clean && clean != ".." && !strings.HasPrefix(clean, "../") && !path.IsAbs(clean) && !strings.Contains(clean, "\\")
}

// load is what load("//…") does.
func (l *loader) load(name string) (starlark.StringDict, error) {
	clean, ok := below(name)
	if !ok || !strings.HasSuffix(clean, Extension) {
		return nil, mistakes{{what: fmt.Sprintf("%q cannot be loaded", name), hint: `write such as load("//lib/faults.star", "name"): a path below the script's folder`}}
	}
	if m := l.modules[clean]; m != nil {
		if m.globals == nil && m.err == nil {
			return nil, mistakes{{what: fmt.Sprintf("%q loads itself, directly or through another", name)}}
		}
		return m.globals, m.err
	}
	if l.read == nil {
		return nil, mistakes{{what: fmt.Sprintf("%q cannot be loaded: this script can load no others", name)}}
	}
	if len(l.modules) >= maxModules {
		return nil, mistakes{{what: fmt.Sprintf("more than %d scripts are loaded", maxModules)}}
	}
	text, err := l.read(clean)
	if err != nil {
		return nil, mistakes{{what: fmt.Sprintf("%q cannot be read: %v", name, err), hint: "the path is below the script's folder"}}
	}
	m := &module{}
	l.modules[clean] = m
	file := path.Join(path.Dir(l.unit.file), clean)
	m.globals, m.err = l.run(file, text)
	if m.err != nil && !errors.As(m.err, new(*Error)) {
		m.err = l.unit.explain(m.err)
	}
	return m.globals, m.err
}
