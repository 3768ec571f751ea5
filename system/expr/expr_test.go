package expr

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

var at = time.Unix(1_700_000_000, 250_000_000)

func null() event.Value { return event.Value{} }

func row() event.Event {
	i, f, s, b := event.IntValue, event.FloatValue, event.StringValue, event.BoolValue
	return event.Event{Time: at, Fields: []event.Field{
		{Name: "i", Value: i(7)}, {Name: "f", Value: f(2.5)}, {Name: "s", Value: s("hello")}, {Name: "t", Value: b(true)}, {Name: "n", Value: null()},
		{Name: "name with spaces", Value: i(1)}, {Name: "http.status-code", Value: i(200)}, {Name: "1st", Value: s("first")}, {Name: "q\"é\n", Value: i(9)},
		{Name: "nan", Value: f(math.NaN())}, {Name: "inf", Value: f(math.Inf(1))}, {Name: "max", Value: i(math.MaxInt64)}, {Name: "min", Value: i(math.MinInt64)},
		{Name: "when", Value: s("2017-07-20T11:22:44.888Z")}, {Name: "true", Value: s("true")}, {Name: "num", Value: s("12.5")}, {Name: "long", Value: s(strings.Repeat("é", 20_000))},
	}}
}

func TestEval(t *testing.T) {
	t.Parallel()
	i, f, s, b := event.IntValue, event.FloatValue, event.StringValue, event.BoolValue
	ev := row()
	for _, c := range []struct {
		text string
		typ  Type
		want event.Value
	}{
		{`1`, Int, i(1)}, {`-9223372036854775808`, Int, i(math.MinInt64)}, {`.5`, Float, f(.5)}, {`4e+2`, Float, f(400)}, {`-4.82`, Float, f(-4.82)},
		{`true`, Bool, b(true)}, {`null`, Null, null()}, {"`a\\d`", String, s(`a\d`)}, {`"a\n\"\u00e9\x41\'\101"`, String, s("a\n\"éA'A")},
		{`$i`, Any, i(7)}, {`$"name with spaces"`, Any, i(1)}, {`$http.status-code`, Any, i(200)}, {"$`1st`", Any, s("first")}, {`$"q\"é\n"`, Any, i(9)}, {`$missing`, Any, null()},

		{`1 + 2 * 3`, Int, i(7)}, {`(1 + 2) * 3`, Int, i(9)}, {`10 - 3 - 2`, Int, i(5)}, {`7 - -2`, Int, i(9)}, {`7 -2`, Int, i(5)}, {`7 / 2`, Float, f(3.5)}, {`7 % 4 * 2`, Int, i(6)},
		{`$i + 1`, Float, i(8)}, {`$i + $f`, Float, f(9.5)}, {`$i + $n`, Float, null()}, {`$i + $s`, Float, null()}, {`$max + 1`, Float, null()}, {`$min - 1`, Float, null()}, {`0 - $min`, Float, null()},
		{`$min * -1`, Float, null()}, {`-1 * $min`, Float, null()}, {`$max * 2`, Float, null()}, {`3 * $i * 2`, Float, i(42)}, {`$max * 0`, Float, i(0)}, {`1 / 0`, Float, null()}, {`$i % 0`, Float, null()}, {`$min % -1`, Float, i(0)}, {`7.5 % 2`, Float, f(1.5)},
		{`1e308 * 10`, Float, null()}, {`$nan + 1`, Float, null()}, {`SUM($inf)`, Float, null()}, {`MUL(2)`, Int, i(2)}, {`SUM(1, 2, 3.5,)`, Float, f(6.5)},
		{`ABS(-3)`, Int, i(3)}, {`ABS($min)`, Float, null()}, {`ABS(-2.5)`, Float, f(2.5)}, {`ABS($s)`, Float, null()},

		{`$i = 7`, Bool, b(true)}, {`$i = 7.0`, Bool, b(true)}, {`$i != 7`, Bool, b(false)}, {`$n = 7`, Bool, b(false)}, {`$n != 7`, Bool, b(true)}, {`$n = $missing`, Bool, b(false)}, {`$s = 7`, Bool, b(false)},
		{`$nan = $nan`, Bool, b(false)}, {`$max = 9223372036854775807`, Bool, b(true)}, {`$max = 9.223372036854775807e18`, Bool, b(false)}, {`$max < 9.3e18`, Bool, b(true)}, {`$max > 5e18`, Bool, b(true)}, {`$min < -5e18`, Bool, b(true)}, {`$min > -9.3e18`, Bool, b(true)},
		{`$i < 8`, Bool, b(true)}, {`$i <= 7`, Bool, b(true)}, {`$i > 7`, Bool, b(false)}, {`$i >= 7.5`, Bool, b(false)}, {`$i > 6.5`, Bool, b(true)}, {`$missing < 8`, Bool, b(false)}, {`$missing >= 8`, Bool, b(false)},
		{`$s < "i"`, Bool, b(true)}, {`$s < 1`, Bool, b(false)}, {`$t < $t`, Bool, b(false)}, {`$t >= $t`, Bool, b(false)}, {`$t = true`, Bool, b(true)}, {`$nan <= 1`, Bool, b(false)},
		{`IN($i, 1, 7)`, Bool, b(true)}, {`IN($s, "a", "b")`, Bool, b(false)}, {`IN($missing, "a")`, Bool, b(false)},

		{`true AND $i`, Bool, b(true)}, {`$n AND true`, Bool, b(false)}, {`$n OR $true`, Bool, b(true)}, {`$s OR 0`, Bool, b(false)}, {`NOT($n)`, Bool, b(true)}, {`!$t`, Bool, b(false)}, {`!!$t`, Bool, b(true)},
		{`false OR true AND false`, Bool, b(false)}, {`$i = 7 AND $f > 2 OR false`, Bool, b(true)}, {`!($i = 7)`, Bool, b(false)}, {`BOOL($nan)`, Bool, b(false)},

		{`IF($i > 5, "big", "small")`, String, s("big")}, {`IF($n, 1)`, Int, null()}, {`IF(false, 1, true, 2.5)`, Float, f(2.5)}, {`IF(false, 1, false, 2, "x")`, Any, s("x")}, {`IF(EXISTS($n), $n < 1)`, Bool, null()}, {`IF(true, null)`, Null, null()},
		{`SWITCH($i, 6, "six", 7, "seven", "?")`, String, s("seven")}, {`SWITCH($i, 1, "a")`, String, null()}, {`SWITCH($n, 1, "a", "b")`, String, s("b")},
		{`COALESCE($n, $missing, 3)`, Any, i(3)}, {`COALESCE(null, 3)`, Int, i(3)}, {`COALESCE($n)`, Any, null()}, {`EXISTS($n)`, Bool, b(false)}, {`EXISTS($t)`, Bool, b(true)},
		{`MIN($i, $f, 9)`, Any, f(2.5)}, {`MAX($n, $s, $i, "a")`, Any, s("hello")}, {`MAX($t, $n)`, Any, null()}, {`MIN(3, 3.0)`, Float, i(3)}, {`MAX($nan, 1)`, Any, i(1)},

		{`BUCKET($i, 5)`, String, s("5 - 10")}, {`BUCKET(-1, 5)`, String, s("-5 - 0")}, {`BUCKET($f, 0.5, 0, 2)`, String, s(">= 2")}, {`BUCKET($f, 2, 3)`, String, s("< 3")}, {`BUCKET(9, 4, 0, 10)`, String, s("8 - 10")}, {`BUCKET($n, 1)`, String, null()}, {`BUCKET($inf, 1)`, String, null()},
		{`CONCAT($s, "-", $i, $n, $f, $t)`, String, s("hello-72.5true")}, {`CONCAT($n)`, String, s("")}, {`CONCAT($long, $long)`, String, null()}, {`TO_LOWER("ÄB")`, String, s("äb")}, {`TO_LOWER($i)`, String, null()}, {`LENGTH("é")`, Int, i(2)}, {`LENGTH($i)`, Int, null()},
		{`STARTS_WITH($s, "he")`, Bool, b(true)}, {`ENDS_WITH($s, "lo")`, Bool, b(true)}, {`CONTAINS($s, "ll")`, Bool, b(true)}, {`CONTAINS($i, "7")`, Bool, b(false)}, {`STARTS_WITH($n, "")`, Bool, b(false)},
		{"REG_MATCH($s, `^h.*o$`)", Bool, b(true)}, {"REG_MATCH($i, `7`)", Bool, b(false)}, {"REG_MATCH($long, `^(é)+$`)", Bool, b(true)},
		{`INT("12")`, Int, i(12)}, {`INT($num)`, Int, i(12)}, {`INT(-2.9)`, Int, i(-2)}, {`INT($inf)`, Int, null()}, {`INT("0x10")`, Int, null()}, {`INT($n)`, Int, null()}, {`INT($t)`, Int, i(1)}, {`INT("")`, Int, null()},
		{`FLOAT($num)`, Float, f(12.5)}, {`FLOAT($i)`, Float, f(7)}, {`FLOAT("inf")`, Float, null()}, {`FLOAT("1e999")`, Float, null()}, {`BOOL($n)`, Bool, null()}, {`BOOL($s)`, Bool, b(false)}, {`STRING(1.5)`, String, s("1.5")}, {`STRING($n)`, String, null()},
		{`UNIX_TIMESTAMP($when)`, Float, f(1500549764.888)}, {`UNIX_TIMESTAMP($s)`, Float, null()}, {`EVENT_TIMESTAMP()`, Float, f(1700000000.25)},
	} {
		e, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := e.Event(&ev); !got.Equal(c.want) || e.Type() != c.typ {
			t.Errorf("%s: got %s %v of %s, expected %s %v of %s", c.text, got.Kind(), got, e.Type(), c.want.Kind(), c.want, c.typ)
		}
		again, err := Parse(e.String())
		if err != nil || again.String() != e.String() || !again.Event(&ev).Equal(e.Event(&ev)) {
			t.Errorf("%s: printed as %s, read back with %v as %v", c.text, e, err, again)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("(", 101) + "1" + strings.Repeat(")", 101)
	for _, c := range []struct{ text, want string }{
		{``, "line 1, column 1: found the end: expected a function, a $column or a literal"},
		{"IF($a,\n  LTT($b, 1))", "line 2, column 3: there is no function LTT: did you mean \"LT\"?"},
		{`lt($a, 1)`, "did you mean \"LT\"?"}, {`QQQQQQ(1)`, "there are IF, SWITCH"},
		{`é`, "line 1, column 1: 'é' does not belong here"}, {`"é" § 1`, "line 1, column 5: '§'"},
		{`$a == 1`, "line 1, column 4: there is no operator ==: write ="}, {`$a && $b`, "write AND"}, {`$a || $b`, "write OR"}, {`$a <> $b`, "write !="},
		{`$a=200`, `column 3: the name of column a=200 contains '=': if it is an operator, put spaces around it`}, {`$a+1`, "spaces"},
		{`$`, "a column is missing"}, {`$""`, "a column is missing"}, {`$` + strings.Repeat("a", 1001), "1001 bytes: at most 1000"},
		{`duration < 5`, "found the word duration: a column is written $duration"}, {`TRUE`, "did you mean true?"}, {`Null`, "did you mean null?"}, {`EXIST`, "did you mean EXISTS(…)?"},
		{`NOT $a`, "NOT is a function, found the column a after it: expected ( as in NOT(condition)"},
		{`1st`, "1s is not a number"}, {`1.2.3`, "is not a number"}, {`1e400`, "1e400 does not fit"}, {`9223372036854775808`, "does not fit"}, {`-$a`, "subtract from 0"}, {`- 5`, "subtract from 0"},
		{`"abc`, `a string does not end: expected a closing "`}, {"`abc", "expected a closing `"}, {"\"a\nb\"", "line break"}, {`"\q"`, `column 2: \q is not an escape`}, {`"\xff"`, "not UTF-8"}, {`"\400"`, "not an escape"}, {"\"a\xff\"", "column 3: the expression is not UTF-8"},
		{`1 < 2 < 3`, "< follows the comparison <"}, {`$a = $b != $c`, "put parentheses"},
		{`(1 + 2`, "( is not closed, found the end"}, {`MIN(1, 2`, "MIN( is not closed"}, {`MIN(1 2)`, "found the number 2"}, {`1 2`, "found the number 2 after the expression"}, {`MIN(,)`, "found ,"}, {`MIN()`, "MIN has 0 arguments: write MIN(a, …)"},
		{`IF($a)`, "IF has 1 arguments: write IF(condition, then"}, {`NOT(1, 2)`, "NOT has 2"}, {`EVENT_TIMESTAMP(1)`, "has 1 arguments"},
		{`"a" + 1`, `column 1: found "a": SUM takes a number here`}, {`1 + ($b = 2)`, "found a boolean: SUM takes a number"}, {`LENGTH(5)`, "found 5: LENGTH takes a string here"}, {`true < false`, "LT takes numbers or strings"},
		{`$a = null`, "nothing compares with null"}, {`"a" = 1`, `EQUALS compares "a" with 1`}, {`IN($a, 1, "b")`, "IN compares 1 with"}, {`MIN(1, "b")`, "MIN compares"}, {`SWITCH($a, 1, 2, "x", 3)`, "SWITCH compares"}, {`IF($a, "b") = 1`, "a string"},
		{`REG_MATCH($a, $b)`, "regular expression as a string literal"}, {"REG_MATCH($a, `(`)", "cannot be read"}, {"REG_MATCH($a, `(x{100}){50}`)", "cannot be read"}, {"REG_MATCH($a, `x{900}y{900}`)", "more than 500 instructions"}, {"REG_MATCH($a, `" + strings.Repeat("a", 1001) + "`)", "1001 bytes"},
		{`BUCKET($a, 0)`, "a literal number above 0"}, {`BUCKET($a, $b)`, "a literal number above 0"}, {`BUCKET($a, 1, $b)`, "a literal number here"}, {`BUCKET($a, 1, 5, 5)`, "the maximum must be above"},
		{deep, "column 101: the expression is nested too deeply"}, {strings.Repeat("!", 101) + "true", "nested too deeply"}, {strings.Repeat("NOT(", 101) + "1" + strings.Repeat(")", 101), "nested too deeply"}, {"1" + strings.Repeat(" - 1", 101), "nested too deeply"},
		{"MAX(" + strings.Repeat("1,", 1000) + ")", "too large: at most 1000"}, {strings.Repeat(" ", MaxBytes) + "1", "16385 bytes: at most 16384"},
	} {
		e, err := Parse(c.text)
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%s: parsed as %v", short(c.text), e)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, expected %q", short(c.text), err, c.want)
		}
	}
	if _, err := Parse("1" + strings.Repeat(" OR 1", 900)); err != nil {
		t.Errorf("a long chain is one call: %v", err)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	e, err := Parse(`IF($b > 1, $a = $"c d", EXISTS($b))`)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(e.Columns(), "|"); got != "a|b|c d" {
		t.Error(got)
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v              event.Value
		good, relevant bool
	}{{event.BoolValue(true), true, true}, {event.BoolValue(false), false, true}, {null(), false, false}, {event.IntValue(1), false, false}} {
		if g, r := Good(c.v); g != c.good || r != c.relevant {
			t.Errorf("%v: %v %v", c.v, g, r)
		}
	}
}

// TestTable holds the order of the functions to that of their constants.
func TestTable(t *testing.T) {
	t.Parallel()
	for i := range functions {
		if f := &functions[i]; f.op.function() != f || !strings.HasPrefix(f.usage, f.name+"(") {
			t.Errorf("row %d (%s) is out of order", i, f.name)
		}
	}
}

// TestDocumented: the page about expressions names every function, and shows errors as they are.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names() {
		if !strings.Contains(string(page), "`"+name+"(") && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
	for _, text := range []string{"IF($a,\n  LTT($b, 1))", `$a=200`, `$a = null`, `"a" + 1`} {
		if _, err := Parse(text); err == nil || !strings.Contains(string(page), "\n"+err.Error()+"\n") {
			t.Errorf("%s: the page does not show %v", text, err)
		}
	}
	for _, block := range strings.Split(string(page), "```")[1:2] {
		if _, err := Parse(block); err != nil {
			t.Errorf("%s: %v", block, err)
		}
	}
}
