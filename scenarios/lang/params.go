package lang

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/nearest"
	"go.starlark.net/starlark"
)

// Param is a parameter of a scenario: a keyword default of its function.
type Param struct {
	Name    string
	Type    string // "string", "int", "float" or "bool"
	Default string // as it would follow --set NAME=
	Doc     string // from the docstring's section "Parameters:"; may be empty

	value starlark.Value
}

// readParams takes the parameters from the function, and what the docstring says about them.
func (s *Script) readParams() *Error {
	wrong := func(i int, what, hint string) *Error {
		pos := s.pos
		if i < s.fn.NumParams() {
			_, p := s.fn.Param(i)
			pos = position(p)
		}
		return &Error{Problems: []Problem{s.unit.problem(pos, what, hint)}}
	}
	n := s.fn.NumParams()
	if s.fn.HasVarargs() || s.fn.HasKwargs() {
		return wrong(n-1, "scenario must not have *args or **kwargs", "name each parameter and give it a default")
	}
	if n == 0 || s.fn.ParamDefault(0) != nil || s.fn.NumKwonlyParams() == n {
		return wrong(0, "the first parameter of scenario must be s, without a default", "write def scenario(s, outage = \"20s\")")
	}
	docs := paramDocs(s.Doc)
	for i := 1; i < n; i++ {
		name, _ := s.fn.Param(i)
		def := s.fn.ParamDefault(i)
		if def == nil {
			return wrong(i, fmt.Sprintf("parameter %q has no default", name), fmt.Sprintf("write such as %s = \"20s\": every parameter can be left out", name))
		}
		switch def.(type) {
		case starlark.String, starlark.Int, starlark.Float, starlark.Bool:
		default:
			return wrong(i, fmt.Sprintf("the default of parameter %q is a %s", name, def.Type()), "write a string, a number, True or False: --set must be able to give it")
		}
		s.Params = append(s.Params, Param{Name: name, Type: def.Type(), Default: text(def), Doc: docs[name], value: def})
	}
	return nil
}

// paramDocs reads "Parameters:" and the lines "name: text" below it, which go on where they are indented more.
func paramDocs(doc string) map[string]string {
	docs := map[string]string{}
	_, section, ok := strings.Cut(doc, "\nParameters:\n")
	if !ok {
		return docs
	}
	name, indent := "", -1
	for line := range strings.Lines(section) {
		body := strings.TrimLeft(line, " ")
		if strings.TrimSpace(body) == "" {
			break
		}
		in := len(line) - len(body)
		body = strings.TrimSpace(body)
		if in > indent && indent >= 0 {
			docs[name] += " " + body
			continue
		}
		key, what, ok := strings.Cut(body, ": ")
		if !ok {
			break
		}
		name, indent = key, in
		docs[name] = what
	}
	return docs
}

// text is a value as it would follow --set NAME=.
func text(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return string(v)
	case starlark.Bool:
		return strconv.FormatBool(bool(v))
	}
	return v.String()
}

// parameters are the script's with the values of set.
func (s *Script) parameters(set map[string]string) ([]Param, error) {
	params := slices.Clone(s.Params)
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
	}
	given := make([]string, 0, len(set))
	for name := range set {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		i := slices.Index(names, name)
		if i < 0 {
			e := &ParamError{Scenario: s.Name, Name: name, What: "does not exist", Hint: "it has " + strings.Join(names, ", ")}
			if len(names) == 0 {
				e.Hint = "it has none"
			}
			if near, ok := nearest.Name(name, names); ok {
				e.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			return nil, e
		}
		value, want := parse(params[i].Type, set[name])
		if value == nil {
			return nil, &ParamError{Scenario: s.Name, Name: name, What: fmt.Sprintf("takes %s, not %q", want, set[name]), Hint: fmt.Sprintf("its default is %s", params[i].Default)}
		}
		params[i].value = value
	}
	return params, nil
}

// parse reads a value of a type, or says what the type wants.
func parse(typ, s string) (value starlark.Value, want string) {
	switch typ {
	case "int":
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return starlark.MakeInt64(n), ""
		}
		return nil, "a whole number"
	case "float":
		if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return starlark.Float(f), ""
		}
		return nil, "a number"
	case "bool":
		switch strings.ToLower(s) {
		case "true":
			return starlark.True, ""
		case "false":
			return starlark.False, ""
		}
		return nil, "true or false"
	}
	return starlark.String(s), ""
}
