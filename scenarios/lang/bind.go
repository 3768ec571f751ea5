package lang

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/duration"
	"github.com/ratel-sim/ratel/system/nearest"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Builtin describes a builtin: the reference in docs/writing-scenarios.md is made from it, and arguments are read by it.
type Builtin struct {
	Name   string
	Method bool   // of s
	Group  string // steps, parts, selectors, faults, checks, others
	Doc    string
	Args   []Arg
	// Positional is how many of Args may be given without a name.
	Positional int
	// Variadic, if not empty, names what all positional arguments are; then Args can only be given by name.
	Variadic string

	run func(*call) (starlark.Value, error)
}

// Arg describes an argument.
type Arg struct {
	Name    string
	Type    string         // for people
	Default starlark.Value // nil: must be given; None: may be left out
	Doc     string
}

// value makes the builtin callable.
func (b *Builtin) value() *starlark.Builtin {
	return starlark.NewBuiltin(b.Name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = mistakes{{what: fmt.Sprintf("internal error in %s: %v", b.Name, r), hint: "this is a defect of Ratel, not of the script; please report it with the stack that follows\n" + string(debug.Stack())}}
			}
		}()
		c, err := bind(thread, b, args, kwargs)
		if err != nil {
			return nil, err
		}
		v, err = b.run(c)
		if len(c.wrong) > 0 {
			return nil, c.wrong
		}
		return v, err
	})
}

// call is one call of a builtin. Its readers of arguments note what is wrong in wrong and return a zero value, so that a
// builtin reads all its arguments before it fails.
type call struct {
	b      *Builtin
	build  *build // nil outside scenario
	read   Reader // of files below the script's folder
	pos    plan.Pos
	values map[string]starlark.Value
	rest   starlark.Tuple // variadic arguments
	given  map[string]bool
	exprs  map[string]syntax.Expr // where arguments stand in the script, as far as can be told
	source string                 // file of exprs
	wrong  mistakes
}

func bind(thread *starlark.Thread, b *Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*call, error) {
	c := &call{b: b, values: map[string]starlark.Value{}, given: map[string]bool{}, exprs: map[string]syntax.Expr{}}
	c.build, _ = thread.Local(buildKey).(*build)
	c.locate(thread)
	if b.Variadic != "" {
		c.rest, args = args, nil
	}
	if len(args) > b.Positional {
		hint := "it takes none without a name"
		if b.Positional < len(b.Args) {
			hint = fmt.Sprintf("give others by name, such as %s = …", b.Args[b.Positional].Name)
		}
		pos := c.pos
		if e := c.exprs[fmt.Sprint(b.Positional)]; e != nil {
			pos = c.at(e)
		}
		return nil, mistakes{{pos: pos, what: fmt.Sprintf("%s takes at most %d %s without a name, not %d", b.Name, b.Positional, plural("argument", b.Positional), len(args)), hint: hint}}
	}
	for i, v := range args {
		name := b.Args[i].Name
		c.values[name], c.given[name] = v, true
		if e := c.exprs[fmt.Sprint(i)]; e != nil && c.exprs[name] == nil {
			c.exprs[name] = e
		}
	}
	var known []string
	for _, a := range b.Args {
		known = append(known, a.Name)
	}
	for _, kw := range kwargs {
		name := string(kw[0].(starlark.String))
		switch {
		case !slices.Contains(known, name):
			c.fail(name, unknownHint(name, known), "%s has no argument %q", b.Name, name)
		case c.given[name]:
			c.fail(name, "give it once", "%s has the argument %q twice", b.Name, name)
		default:
			c.values[name], c.given[name] = kw[1], true
		}
	}
	for _, a := range b.Args {
		switch {
		case c.given[a.Name]:
		case a.Default == nil && len(c.wrong) > 0: // probably what was misspelt
		case a.Default == nil:
			c.fail("", fmt.Sprintf("add %s = … (%s)", a.Name, a.Type), "%s needs the argument %q", b.Name, a.Name)
		default:
			c.values[a.Name] = a.Default
		}
	}
	if len(c.wrong) > 0 {
		return nil, c.wrong
	}
	return c, nil
}

func unknownHint(name string, known []string) string {
	if near, ok := nearest.Name(name, known); ok {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if len(known) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(known, ", ")
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// locate finds the call in the script. A builtin may be called by another, such as sorted; then the place is that one's.
func (c *call) locate(thread *starlark.Thread) {
	u, _ := thread.Local(unitKey).(*unit)
	if u == nil {
		return
	}
	c.read = u.read
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		p := position(thread.CallFrame(depth).Pos)
		if u.sources[p.File] == nil {
			continue
		}
		c.pos, c.source = u.start(p), p.File
		if expr := u.call(p); expr != nil && depth == 1 {
			c.arguments(expr)
		}
		return
	}
}

// arguments notes where arguments stand: by name, or by number from 0. After *args numbers cannot be told.
func (c *call) arguments(expr *syntax.CallExpr) {
	for i, arg := range expr.Args {
		switch arg := arg.(type) {
		case *syntax.BinaryExpr:
			if name, ok := arg.X.(*syntax.Ident); ok && arg.Op == syntax.EQ {
				c.exprs[name.Name] = arg.Y
				continue
			}
		case *syntax.UnaryExpr:
			if arg.Op == syntax.STAR || arg.Op == syntax.STARSTAR {
				return
			}
		}
		c.exprs[fmt.Sprint(i)] = arg
	}
}

// at is where an expression of the call stands.
func (c *call) at(e syntax.Expr) plan.Pos {
	begin, _ := e.Span()
	return plan.Pos{File: c.source, Line: int(begin.Line), Col: int(begin.Col)}
}

// where is where an argument stands, or the call.
func (c *call) where(arg string) plan.Pos {
	if e := c.exprs[arg]; e != nil {
		return c.at(e)
	}
	return c.pos
}

// fail notes that an argument is wrong.
func (c *call) fail(arg, hint, format string, args ...any) {
	c.wrong = append(c.wrong, mistake{pos: c.where(arg), what: fmt.Sprintf(format, args...), hint: hint})
}

// problems notes what a part of the plan has against itself, at the arguments that it came from.
func (c *call) problems(list plan.Problems) {
	for _, p := range list {
		pos := c.where(p.Field)
		if p.Pos != (plan.Pos{}) && p.Pos != c.pos { // of a part made by another call
			pos = p.Pos
		}
		c.wrong = append(c.wrong, mistake{pos: pos, what: p.What, hint: p.Hint})
	}
}

// type errors are told with what the value is.
func (c *call) wants(arg, want, hint string) {
	c.fail(arg, hint, "%s: %s must be %s, not %s", c.b.Name, arg, want, named(c.values[arg]))
}

// named says what a value of the wrong type is.
func named(v starlark.Value) string {
	switch v := v.(type) {
	case *opaque:
		return "a " + v.typ
	case starlark.Callable:
		return fmt.Sprintf("the function %s itself: it is not called", v.Name())
	case starlark.NoneType:
		return "None"
	}
	return fmt.Sprintf("the %s %s", v.Type(), describe(v))
}

func (c *call) str(arg string) string {
	s, ok := starlark.AsString(c.values[arg])
	if !ok {
		c.wants(arg, "a string", "put it in quotes")
	}
	return s
}

// text is a string or, left out, empty.
func (c *call) text(arg string) string {
	if c.values[arg] == starlark.None {
		return ""
	}
	return c.str(arg)
}

// duration reads a string with a unit. Left out, it is 0.
func (c *call) duration(arg string) plan.Duration {
	v := c.values[arg]
	if v == starlark.None {
		return 0
	}
	s, ok := starlark.AsString(v)
	if !ok {
		hint := duration.Forms
		switch v.(type) {
		case starlark.Int, starlark.Float:
			hint = fmt.Sprintf(`write "%ss" if you mean seconds`, v)
		}
		c.wants(arg, "a duration", hint)
		return 0
	}
	d, err := duration.Parse(s)
	if err != nil {
		c.fail(arg, duration.Forms, "%s: %s %v", c.b.Name, arg, err)
	}
	return plan.Duration(d)
}

// span is a duration for configurations, which have the standard type.
func (c *call) span(arg string) time.Duration { return time.Duration(c.duration(arg)) }

func (c *call) integer(arg string) int {
	n, ok := c.values[arg].(starlark.Int)
	i, fits := int64(0), false
	if ok {
		i, fits = n.Int64()
	}
	if !ok || !fits {
		c.wants(arg, "a whole number", "")
		return 0
	}
	return int(i)
}

// small is an integer that must fit in 31 bits, 15 bits and so on; what it means is checked by the plan.
func (c *call) small(arg string, limit int) int {
	n := c.integer(arg)
	if n > limit || n < -limit {
		c.fail(arg, "", "%s: %s must be from %d to %d, not %d", c.b.Name, arg, -limit, limit, n)
		return 0
	}
	return n
}

func (c *call) number(arg string) float64 {
	switch v := c.values[arg].(type) {
	case starlark.Float:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case starlark.Int:
		return float64(v.Float())
	}
	hint := ""
	if s, ok := starlark.AsString(c.values[arg]); ok && strings.Trim(s, "0123456789.") == "" {
		hint = "write it without quotes"
	}
	c.wants(arg, "a number", hint)
	return 0
}

func (c *call) boolean(arg string) bool {
	b, ok := c.values[arg].(starlark.Bool)
	if !ok {
		c.wants(arg, "True or False", "")
	}
	return bool(b)
}

// list reads a list or tuple.
func (c *call) list(arg, hint string) []starlark.Value {
	switch v := c.values[arg].(type) {
	case *starlark.List:
		return slices.Collect(v.Elements())
	case starlark.Tuple:
		return slices.Clone(v)
	}
	c.wants(arg, "a list", hint)
	return nil
}

// element is the i-th element of a list that is written out as an argument; nil if it is not.
func (c *call) element(arg string, i int) syntax.Expr {
	list, ok := c.exprs[arg].(*syntax.ListExpr)
	if !ok || i >= len(list.List) {
		return nil
	}
	return list.List[i]
}

// inside is the position of a byte of a string literal, or of the literal if that cannot be told.
func (c *call) inside(e syntax.Expr, offset int) plan.Pos {
	pos := c.at(e)
	lit, ok := e.(*syntax.Literal)
	if ok && lit.Token == syntax.STRING && len(lit.Raw) > 1 && !strings.HasPrefix(lit.Raw, `"""`) && !strings.Contains(lit.Raw, "\\") &&
		(lit.Raw[0] == '"' || lit.Raw[0] == '\'') && offset < len(lit.Raw)-1 {
		pos.Col += 1 + len([]rune(lit.Raw[1:1+offset]))
	}
	return pos
}

// thing reads a value that another builtin made.
func thing[T any](c *call, arg, want, hint string) (v T) {
	o, ok := c.values[arg].(*opaque)
	if ok {
		if v, ok = o.v.(T); ok {
			return v
		}
	}
	c.wants(arg, want, hint)
	return v
}
