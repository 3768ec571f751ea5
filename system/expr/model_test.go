package expr

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
)

// tree is an expression of the model: slow, plain, and written apart from the package. Its values are nil, bool, int64,
// float64 and string.
type tree struct {
	fn   string // "lit", "col", or a function's name
	lit  any
	col  string
	args []*tree
}

func holds(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v < 0 || v > 0
	}
	return v == "true"
}

// exact is a finite number as a fraction; nil for all else.
func exact(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case float64:
		return new(big.Rat).SetFloat64(v) // nil if it is not finite
	}
	return nil
}

// ordered is whether two values compare, and how.
func (m *tree) ordered(a, b any) (int, bool) {
	if s, ok := a.(string); ok {
		o, ok := b.(string)
		return strings.Compare(s, o), ok
	}
	if p, ok := a.(bool); ok {
		q, ok := b.(bool)
		return map[bool]int{true: 1}[p] - map[bool]int{true: 1}[q], ok
	}
	x, y := exact(a), exact(b)
	if x != nil && y != nil {
		return x.Cmp(y), true
	}
	f, isF := a.(float64)
	g, isG := b.(float64)
	if _, whole := a.(int64); whole {
		f, isF = 0, true
	}
	if _, whole := b.(int64); whole {
		g, isG = 0, true
	}
	if !isF || !isG || math.IsNaN(f) || math.IsNaN(g) {
		return 0, false
	}
	// At least one is infinite: where the other is, it may be taken for any finite number.
	switch limit := func(f float64) int {
		if math.IsInf(f, 1) {
			return 1
		}
		if math.IsInf(f, -1) {
			return -1
		}
		return 0
	}; {
	case limit(f) < limit(g):
		return -1, true
	case limit(f) > limit(g):
		return 1, true
	}
	return 0, true
}

func (m *tree) same(a, b any) bool {
	c, ok := m.ordered(a, b)
	return ok && c == 0
}

func real(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	f, _ := v.(float64)
	return f
}

func sound(f float64) any {
	if f-f != 0 {
		return nil
	}
	return f
}

// arithmetic of two numbers, whole ones by big integers.
func arithmetic(op string, a, b any) any {
	_, an := a.(int64)
	_, bn := b.(int64)
	_, af := a.(float64)
	_, bf := b.(float64)
	if !an && !af || !bn && !bf {
		return nil
	}
	x, y := real(a), real(b)
	if (op == "DIV" || op == "MOD") && y == 0 {
		return nil
	}
	if an && bn && op != "DIV" {
		p, q, r := big.NewInt(a.(int64)), big.NewInt(b.(int64)), new(big.Int)
		switch op {
		case "SUM":
			r.Add(p, q)
		case "SUB":
			r.Sub(p, q)
		case "MUL":
			r.Mul(p, q)
		case "MOD":
			r.Rem(p, q)
		}
		if !r.IsInt64() {
			return nil
		}
		return r.Int64()
	}
	switch op {
	case "SUM":
		return sound(x + y)
	case "SUB":
		return sound(x - y)
	case "MUL":
		return sound(x * y)
	case "DIV":
		return sound(x / y)
	}
	return sound(math.Mod(x, y))
}

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

func (m *tree) value(columns map[string]any) any {
	var args []any
	for _, a := range m.args {
		args = append(args, a.value(columns)) // all of them: nothing here has effects
	}
	switch m.fn {
	case "lit":
		return m.lit
	case "col":
		return columns[m.col]
	case "IF":
		for len(args) > 1 {
			if holds(args[0]) {
				return args[1]
			}
			args = args[2:]
		}
		return append(args, nil)[0]
	case "SWITCH":
		v := args[0]
		args = args[1:]
		for len(args) > 1 {
			if m.same(v, args[0]) {
				return args[1]
			}
			args = args[2:]
		}
		return append(args, nil)[0]
	case "COALESCE":
		for _, v := range args {
			if v != nil {
				return v
			}
		}
		return nil
	case "AND", "OR":
		n := 0
		for _, v := range args {
			if holds(v) {
				n++
			}
		}
		return m.fn == "AND" && n == len(args) || m.fn == "OR" && n > 0
	case "NOT":
		return !holds(args[0])
	case "EXISTS":
		return args[0] != nil
	case "EQUALS":
		return m.same(args[0], args[1])
	case "IN":
		for _, v := range args[1:] {
			if m.same(args[0], v) {
				return true
			}
		}
		return false
	case "LT", "LTE", "GT", "GTE":
		c, ok := m.ordered(args[0], args[1])
		if _, b := args[0].(bool); b || !ok {
			return false
		}
		return strings.Contains(map[int]string{-1: "LT LTE", 0: "LTE GTE", 1: "GT GTE"}[c]+" ", m.fn+" ")
	case "MIN", "MAX":
		var best any
		for _, v := range args {
			if _, b := v.(bool); v == nil || b || v != v {
				continue
			}
			c, ok := m.ordered(v, best)
			if best == nil || ok && c != 0 && (c < 0) == (m.fn == "MIN") {
				best = v
			}
		}
		return best
	case "SUM", "MUL":
		v := arithmetic("SUB", args[0], int64(0)) // itself, or null
		for _, w := range args[1:] {
			v = arithmetic(m.fn, v, w)
		}
		return v
	case "SUB", "DIV", "MOD":
		return arithmetic(m.fn, args[0], args[1])
	case "ABS":
		if holds(m.same(args[0], args[0])) && real(args[0]) < 0 {
			return arithmetic("SUB", int64(0), args[0])
		}
		v := arithmetic("SUB", args[0], int64(0))
		if f, ok := v.(float64); ok {
			return math.Abs(f)
		}
		return v
	case "CONCAT":
		s := ""
		for _, v := range args {
			s += textOf(v)
		}
		return s
	case "STRING":
		if args[0] == nil {
			return nil
		}
		return textOf(args[0])
	case "BOOL":
		if args[0] == nil {
			return nil
		}
		return holds(args[0])
	}
	s, ok := args[0].(string)
	part := ""
	if len(args) > 1 {
		var both bool
		part, both = args[1].(string)
		ok = ok && both
	}
	switch m.fn {
	case "LENGTH":
		if !ok {
			return nil
		}
		return int64(len(s))
	case "STARTS_WITH":
		return ok && len(s) >= len(part) && s[:len(part)] == part
	case "ENDS_WITH":
		return ok && len(s) >= len(part) && s[len(s)-len(part):] == part
	case "CONTAINS":
		return ok && len(strings.Split(s, part)) > 1 || ok && part == ""
	case "REG_MATCH":
		return ok && regexp.MustCompile(part).FindStringIndex(s) != nil
	}
	panic("no model of " + m.fn)
}

// shapes of trees: what a function takes (b boolean, n number, s string, a any, p pattern; + one or more of the last) and
// what it gives.
var shapes = []struct{ fn, takes, gives string }{
	{"AND", "a+", "b"}, {"OR", "a+", "b"}, {"NOT", "a", "b"}, {"EXISTS", "a", "b"}, {"EQUALS", "nn", "b"}, {"EQUALS", "ss", "b"}, {"EQUALS", "bb", "b"}, {"IN", "nn+", "b"}, {"IN", "ss+", "b"},
	{"LT", "nn", "b"}, {"LTE", "nn", "b"}, {"GT", "ss", "b"}, {"GTE", "nn", "b"}, {"BOOL", "a", "b"}, {"STARTS_WITH", "ss", "b"}, {"ENDS_WITH", "ss", "b"}, {"CONTAINS", "ss", "b"}, {"REG_MATCH", "sp", "b"}, {"IF", "ab", "b"}, {"IF", "bbb", "b"}, {"IF", "bbabb", "b"},
	{"SUM", "n+", "n"}, {"SUB", "nn", "n"}, {"MUL", "n+", "n"}, {"DIV", "nn", "n"}, {"MOD", "nn", "n"}, {"ABS", "n", "n"}, {"MIN", "n+", "n"}, {"MAX", "nn", "n"}, {"LENGTH", "s", "n"}, {"IF", "bnn", "n"}, {"SWITCH", "nnnnn", "n"}, {"COALESCE", "nn", "n"},
	{"CONCAT", "a+", "s"}, {"STRING", "a", "s"}, {"MIN", "s+", "s"}, {"IF", "bs", "s"}, {"SWITCH", "sssss", "s"}, {"COALESCE", "ss+", "s"},
}

var columnNames = []string{"a", "b.c", "d-e", "name with spaces", "1st", `q"\`, "missing"}

func draw(t *rapid.T, want byte, depth int) *tree {
	switch want {
	case 'a':
		want = rapid.SampledFrom([]byte("bns")).Draw(t, "type")
	case 'p':
		return &tree{fn: "lit", lit: rapid.SampledFrom([]string{"a", "^a.*b$", "[0-9]+", ""}).Draw(t, "pattern")}
	}
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 || kind < 2 {
		if kind%2 == 0 {
			return &tree{fn: "col", col: rapid.SampledFrom(columnNames).Draw(t, "column")}
		}
		switch want {
		case 'b':
			return &tree{fn: "lit", lit: rapid.Bool().Draw(t, "bool")}
		case 's':
			return &tree{fn: "lit", lit: someText().Draw(t, "text")}
		}
		if rapid.Bool().Draw(t, "whole") {
			return &tree{fn: "lit", lit: someInt().Draw(t, "int")}
		}
		return &tree{fn: "lit", lit: rapid.Float64().Draw(t, "float")}
	}
	var fit []int
	for i := range shapes {
		if shapes[i].gives[0] == want {
			fit = append(fit, i)
		}
	}
	s := shapes[rapid.SampledFrom(fit).Draw(t, "function")]
	m := &tree{fn: s.fn}
	for i := range len(s.takes) {
		if s.takes[i] == '+' {
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				m.args = append(m.args, draw(t, s.takes[i-1], depth-1))
			}
			break
		}
		m.args = append(m.args, draw(t, s.takes[i], depth-1))
	}
	return m
}

func someText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "ab", "true", "12", `"\`, "é\n\x00"}), rapid.StringN(0, 4, 8))
}

func someInt() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1}))
}

// someValue is what a column may hold.
func someValue(t *rapid.T) any {
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return someInt().Draw(t, "int")
	case 3:
		return rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), math.NaN(), 0.5, 3, 1 << 53, 1 << 63})).Draw(t, "float")
	}
	return someText().Draw(t, "text")
}

var signs = map[string]struct {
	sign     string
	strength int
}{"OR": {"OR", 1}, "AND": {"AND", 2}, "EQUALS": {"=", 3}, "LT": {"<", 3}, "LTE": {"<=", 3}, "GT": {">", 3}, "GTE": {">=", 3}, "SUM": {"+", 4}, "SUB": {"-", 4}, "MUL": {"*", 5}, "DIV": {"/", 5}, "MOD": {"%", 5}}

// write writes a tree in one of the many ways in which it can be, for a place where operators must bind tighter than strength.
func (m *tree) write(t *rapid.T, strength int) string {
	space := func() string { return rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space") }
	between := func() string { return " " + space() }
	var s string
	switch sign, ok := signs[m.fn]; {
	case m.fn == "lit":
		switch v := m.lit.(type) {
		case string:
			if s = strconv.Quote(v); !strings.ContainsRune(v, '`') && rapid.Bool().Draw(t, "raw") {
				s = "`" + v + "`"
			}
		case float64:
			s = strconv.FormatFloat(v, rapid.SampledFrom([]byte("eg")).Draw(t, "format"), -1, 64)
			if !strings.ContainsAny(s, ".e") {
				s += ".0"
			}
		default:
			s = fmt.Sprint(v)
		}
	case m.fn == "col":
		s = "$" + strconv.Quote(m.col)
		if len(m.col) < 4 && m.col[0] != '1' && m.col[0] != 'q' && rapid.Bool().Draw(t, "plain") {
			s = "$" + m.col
		}
	case ok && len(m.args) == 2 && rapid.Bool().Draw(t, "infix"):
		left := sign.strength - 1
		if sign.strength == 3 {
			left = 3
		}
		s = m.args[0].write(t, left) + between() + sign.sign + between() + m.args[1].write(t, sign.strength)
		if sign.strength <= strength {
			s = "(" + space() + s + space() + ")"
		}
	case m.fn == "NOT" && rapid.Bool().Draw(t, "prefix"):
		s = "!" + space() + m.args[0].write(t, 9)
	default:
		s = m.fn + space() + "("
		for i, a := range m.args {
			if i > 0 {
				s += space() + "," + space()
			}
			s += a.write(t, 0)
		}
		s += rapid.SampledFrom([]string{"", ","}).Draw(t, "comma") + space() + ")"
	}
	if rapid.IntRange(0, 4).Draw(t, "parentheses") == 0 {
		s = "(" + s + ")"
	}
	return s
}

func asValue(v any) event.Value {
	switch v := v.(type) {
	case bool:
		return event.BoolValue(v)
	case int64:
		return event.IntValue(v)
	case float64:
		return event.FloatValue(v)
	case string:
		return event.StringValue(v)
	}
	return event.Value{}
}

// TestModel: however an expression is written, it is worth what the model says; it prints as something that is worth the
// same; and its value is of the type that was promised.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := draw(t, 'a', 4)
		text := m.write(t, 0)
		e, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := Parse(e.String())
		if err != nil || again.String() != e.String() || again.Type() != e.Type() {
			t.Fatalf("%s was printed as %s, read back as %v: %v", text, e, again, err)
		}
		for range 3 {
			columns := map[string]any{}
			for _, name := range columnNames[:len(columnNames)-1] {
				columns[name] = someValue(t)
			}
			find := func(name string) (event.Value, bool) {
				v, ok := columns[name]
				return asValue(v), ok
			}
			got, want := e.Eval(find, time.Time{}), asValue(m.value(columns))
			if !got.Equal(want) || !again.Eval(find, time.Time{}).Equal(want) {
				t.Fatalf("%s with %v: got %s %v, the model says %s %v", text, columns, got.Kind(), got, want.Kind(), want)
			}
			if !kept(e.Type(), got) {
				t.Fatalf("%s with %v: promised %s, got %s", text, columns, e.Type(), got.Kind())
			}
		}
	})
}

// kept says whether a value is what a type promises.
func kept(t Type, v event.Value) bool {
	switch v.Kind() {
	case event.Null:
		return true
	case event.Bool:
		return t == Bool || t == Any
	case event.Int:
		return t == Int || t == Float || t == Any
	case event.Float:
		return t == Float || t == Any
	}
	return t == String || t == Any
}
