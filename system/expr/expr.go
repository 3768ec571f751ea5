package expr

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Bounds of an expression.
const (
	MaxBytes = 16 << 10 // of the text
	MaxNodes = 1000     // literals, columns and calls
	MaxDepth = 100      // of calls within calls, and of parentheses
	MaxName  = 1000     // bytes of a column's name
	// MaxPattern bounds the bytes of a regular expression, MaxInstructions what all those of an expression compile to.
	MaxPattern      = 1000
	MaxInstructions = 500
	// MaxMatch is how many bytes of a text a regular expression looks at.
	MaxMatch = 8 << 10
	// MaxText bounds the texts that are made; a longer one is null.
	MaxText = 64 << 10
)

// Type is what is known of an expression's values before it sees an event. Whatever its type, an expression may be null.
type Type uint8

// Types.
const (
	Null   Type = iota // always null
	Bool               //
	Int                // a whole number of 64 bits
	Float              // a number, whole or not
	String             //
	Any                // not known: that of a column, or of one of several
)

// String names the type with its article.
func (t Type) String() string {
	switch t {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case String:
		return "a string"
	}
	return "a value of any type"
}

// Expr is a checked expression. It does not change, and may be used by several tasks at once.
type Expr struct {
	root    *node
	columns []string
}

// Columns are the names of the columns that the expression reads, sorted, each once.
func (e *Expr) Columns() []string { return slices.Clone(e.columns) }

// Type is what the expression's values are.
func (e *Expr) Type() Type { return e.root.typ }

// Eval is the expression's value for an event: columns finds its fields by name, and at is its time. It never fails: what
// is absent or of the wrong type is null or false, as the table of the package says. Its cost is bounded by the
// expression's size times the lengths of the values.
func (e *Expr) Eval(columns func(name string) (event.Value, bool), at time.Time) event.Value {
	return e.root.eval(&scope{columns, at})
}

// Event is the expression's value for an event.
func (e *Expr) Event(ev *event.Event) event.Value { return e.Eval(ev.Get, ev.Time) }

// Good reads the value of an SLI: true is a good event, false a bad one, and anything else, null above all, is not
// relevant and does not count.
func Good(v event.Value) (good, relevant bool) { return v.Bool(), v.Kind() == event.Bool }

// Error is what is wrong with an expression, and where.
type Error struct {
	Offset       int    // in bytes, from 0
	Line, Column int    // from 1; columns are characters
	Text         string // what is wrong
	Want         string // what was expected, or what to do
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Text, e.Want)
}

// node is a literal, a column or a call.
type node struct {
	op      op
	typ     Type
	depth   uint8
	args    []*node
	value   event.Value    // of a literal
	name    string         // of a column
	pattern *regexp.Regexp // of REG_MATCH
	offset  int
}

// collect adds the columns of a node to a list.
func (n *node) collect(names []string) []string {
	if n.op == opColumn {
		names = append(names, n.name)
	}
	for _, a := range n.args {
		names = a.collect(names)
	}
	return names
}
