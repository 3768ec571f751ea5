package lang

import (
	"slices"

	"go.starlark.net/starlark"
)

// Groups of builtins, in the order in which they are told.
const (
	groupSteps     = "Steps"
	groupParts     = "Parts of the system"
	groupSelectors = "Selectors"
	groupFaults    = "Faults"
	groupRunbook   = "Runbook"
	groupChecks    = "Checks"
	groupOthers    = "Others"
)

// Builtins lists all that a script can call, beside the language's own functions.
func Builtins() []*Builtin {
	return slices.Concat(steps(), parts(), selectors(), faults(), runbook(), checks(), others())
}

// predeclared are the builtins that are not methods.
func predeclared() starlark.StringDict {
	d := starlark.StringDict{}
	for _, b := range Builtins() {
		if !b.Method {
			d[b.Name] = b.value()
		}
	}
	return d
}

func methodNames() []string {
	var names []string
	for _, b := range Builtins() {
		if b.Method {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Shorthands for defaults.
func str(s string) starlark.Value    { return starlark.String(s) }
func integer(n int64) starlark.Value { return starlark.MakeInt64(n) }
func empty() starlark.Value          { return starlark.NewList(nil) }

var none = starlark.None
