package lang

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// opaque is a value that a builtin made for another: a selector, a fault, a check, a part of the system. A script can
// hand it on and nothing else. Comparing two is an error: what a selector names is known only when the run gets there,
// and a comparison that is silently false would be believed.
type opaque struct {
	typ string
	v   any
}

var _ starlark.Comparable = (*opaque)(nil)

func (o *opaque) String() string        { return fmt.Sprintf("<%s>", o.typ) }
func (o *opaque) Type() string          { return o.typ }
func (o *opaque) Freeze()               {}
func (o *opaque) Truth() starlark.Bool  { return starlark.True }
func (o *opaque) Hash() (uint32, error) { return 0, fmt.Errorf("a %s cannot be a key", o.typ) }

// CompareSameType implements starlark.Comparable, to refuse.
func (o *opaque) CompareSameType(syntax.Token, starlark.Value, int) (bool, error) {
	return false, mistakes{{what: fmt.Sprintf("a %s cannot be compared", o.typ), hint: "what it stands for is known only during the run"}}
}

// scenarioValue is s, the first argument of scenario.
type scenarioValue struct{ b *build }

var _ starlark.HasAttrs = (*scenarioValue)(nil)

func (*scenarioValue) String() string        { return "<scenario>" }
func (*scenarioValue) Type() string          { return "scenario" }
func (*scenarioValue) Freeze()               {}
func (*scenarioValue) Truth() starlark.Bool  { return starlark.True }
func (*scenarioValue) Hash() (uint32, error) { return 0, fmt.Errorf("a scenario cannot be a key") }

// Attr implements starlark.HasAttrs.
func (*scenarioValue) Attr(name string) (starlark.Value, error) {
	for _, b := range Builtins() {
		if b.Method && b.Name == name {
			return b.value(), nil
		}
	}
	return nil, nil
}

// AttrNames implements starlark.HasAttrs.
func (*scenarioValue) AttrNames() []string { return methodNames() }
