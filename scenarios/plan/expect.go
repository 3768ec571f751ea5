package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
	"github.com/ratel-sim/ratel/system/nearest"
)

// The grammar of expectations:
//
//	expectation = metric op value [ when ] .
//	metric      = subject "." stat .                   // one of Metrics
//	op          = "<" | "<=" | ">" | ">=" | "==" | "!=" .
//	value       = duration | ratio | count | rate .    // by the metric's unit
//	duration    = number unit { number unit } .        // unit: ns us ms s m h
//	ratio       = number "%" | number .                // "1%" is "0.01"; from 0 to 1
//	count       = digits .
//	rate        = number [ "/s" ] .
//	when        = "always" | ( "within" | "after" | "for" ) duration .
//
// Tokens are parted by spaces, which may be left out around op. "==" and "!=" are only for counts and ratios: a measured
// time or rate is practically never equal to anything.

// maxExpectation bounds the length of an expectation.
const maxExpectation = 200

// ExpectError says where in an expectation it is wrong.
type ExpectError struct {
	Source string
	Offset int // in bytes, from 0
	What   string
	Hint   string
}

// Error shows the place by its column from 1.
func (e *ExpectError) Error() string {
	s := fmt.Sprintf("expectation %q, column %d: %s", e.Source, e.Offset+1, e.What)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// ParseExpectation reads an expectation; Pos is left empty. Its errors are *[ExpectError].
func ParseExpectation(source string) (Expectation, error) {
	p := expectParser{source: source}
	e, err := p.parse()
	if err != nil {
		return Expectation{}, err
	}
	return e, nil
}

type expectParser struct {
	source string
	pos    int
}

func (p *expectParser) fail(at int, hint, format string, args ...any) *ExpectError {
	return &ExpectError{Source: p.source, Offset: min(at, len(p.source)), What: fmt.Sprintf(format, args...), Hint: hint}
}

func isOp(c byte) bool { return strings.IndexByte("<>=!", c) >= 0 }

// token is the next token and where it begins; at the end it is empty.
func (p *expectParser) token() (tok string, at int) {
	for p.pos < len(p.source) && (p.source[p.pos] == ' ' || p.source[p.pos] == '\t') {
		p.pos++
	}
	at = p.pos
	if at < len(p.source) && isOp(p.source[at]) {
		for p.pos < len(p.source) && isOp(p.source[p.pos]) {
			p.pos++
		}
		return p.source[at:p.pos], at
	}
	for p.pos < len(p.source) && p.source[p.pos] != ' ' && p.source[p.pos] != '\t' && !isOp(p.source[p.pos]) {
		p.pos++
	}
	return p.source[at:p.pos], at
}

func (p *expectParser) parse() (Expectation, *ExpectError) {
	e := Expectation{Source: p.source}
	if len(p.source) > maxExpectation {
		return e, p.fail(maxExpectation, "", "longer than %d bytes", maxExpectation)
	}
	name, at := p.token()
	metric, ok := MetricByName(name)
	if !ok {
		return e, p.noMetric(name, at)
	}
	e.Metric = name
	op, at := p.token()
	switch op {
	case "<", "<=", ">", ">=":
	case "==", "!=":
		if metric.Unit == UnitDuration || metric.Unit == UnitRate {
			return e, p.fail(at, "write <, <=, > or >=", "a measured %s is practically never equal to a value", metric.Unit)
		}
	case "":
		return e, p.fail(at, fmt.Sprintf("write such as %q", name+metric.Unit.example()), "a comparison is missing")
	default:
		return e, p.fail(at, "write <, <=, >, >=, == or !=", "%q is not a comparison", op)
	}
	e.Op = op
	text, at := p.token()
	value, err := p.value(metric, text, at)
	if err != nil {
		return e, err
	}
	e.Value = value
	err = p.when(&e)
	return e, err
}

func (p *expectParser) noMetric(name string, at int) *ExpectError {
	names := make([]string, 0, len(Metrics()))
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	known := "metrics are " + strings.Join(names, ", ")
	if name == "" {
		return p.fail(at, known, "a metric is missing")
	}
	if near, ok := nearest.Name(name, names); ok {
		return p.fail(at, fmt.Sprintf("did you mean %s?", near), "there is no metric %q", name)
	}
	subject, _, _ := strings.Cut(name, ".")
	var stats []string
	for _, n := range names {
		if strings.HasPrefix(n, subject+".") {
			stats = append(stats, n)
		}
	}
	if len(stats) > 0 {
		known = subject + " has " + strings.Join(stats, ", ")
	}
	return p.fail(at, known, "there is no metric %q", name)
}

// value reads text in the metric's unit.
func (p *expectParser) value(m Metric, text string, at int) (float64, *ExpectError) {
	hint := fmt.Sprintf("write such as %q", m.Name+m.Unit.example())
	if text == "" {
		return 0, p.fail(at, hint, "a value is missing")
	}
	wrong := p.fail(at, hint, "%s is a %s, and %q is not", m.Name, m.Unit, text)
	number, exponent := text, ""
	switch m.Unit {
	case UnitDuration:
		d, err := duration.Parse(text)
		if err != nil {
			return 0, wrong
		}
		if d > MaxLength {
			return 0, p.fail(at, hint, "%s is longer than any run may be", text)
		}
		return d.Seconds(), nil
	case UnitRatio:
		if n, ok := strings.CutSuffix(text, "%"); ok {
			number, exponent = n, "e-2" // dividing by 100 would make 0.9998999999999999 of 99.99%
		}
	case UnitRate:
		number = strings.TrimSuffix(text, "/s")
	case UnitCount:
		if n, err := strconv.ParseUint(text, 10, 53); err == nil {
			return float64(n), nil
		}
		return 0, wrong
	}
	for _, c := range []byte(number) {
		if (c < '0' || c > '9') && c != '.' { // no signs, exponents, infinities or hexadecimal
			return 0, wrong
		}
	}
	v, err := strconv.ParseFloat(number+exponent, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, wrong
	}
	if m.Unit == UnitRatio && v > 1 {
		return 0, p.fail(at, `write such as "1%"`, "%s is a ratio from 0 to 1 (0%% to 100%%), not %s", m.Name, text)
	}
	return v, nil
}

// when reads what follows the value.
func (p *expectParser) when(e *Expectation) *ExpectError {
	const hint = `write "within 30s", "after 30s", "for 30s" or "always"`
	word, at := p.token()
	switch word {
	case "":
		return nil
	case "always":
	case "within", "after", "for":
		text, at := p.token()
		if text == "" {
			return p.fail(at, hint, "%q needs a duration", word)
		}
		d, err := duration.Parse(text)
		if err != nil {
			return p.fail(at, hint, "%v", err)
		}
		if d <= 0 {
			return p.fail(at, hint, "%q needs a duration longer than nothing", word)
		}
		e.D = Duration(d)
	default:
		near := hint
		if name, ok := nearest.Name(word, []string{"within", "after", "for", "always"}); ok {
			near = fmt.Sprintf("did you mean %q?", name)
		}
		return p.fail(at, near, "%q cannot follow the value", word)
	}
	e.When = word
	if more, at := p.token(); more != "" {
		return p.fail(at, "give two expectations instead", "%q is too much", more)
	}
	return nil
}

// Canonical writes the expectation from its fields in the grammar. Parsing it gives the same fields; whoever edits an
// expectation sets Source to it.
func (e Expectation) Canonical() string {
	m, _ := MetricByName(e.Metric)
	value := strconv.FormatFloat(e.Value, 'f', -1, 64)
	switch m.Unit {
	case UnitDuration:
		value = duration.Format(time.Duration(math.Round(e.Value * float64(time.Second))))
	case UnitRate:
		value += "/s"
	case UnitCount, UnitRatio:
	}
	s := e.Metric + " " + e.Op + " " + value
	switch e.When {
	case "":
	case "always":
		s += " always"
	default:
		s += " " + e.When + " " + e.D.String()
	}
	return s
}

// same says whether two expectations mean the same, wherever and however written.
func (e Expectation) same(o Expectation) bool {
	return e.Metric == o.Metric && e.Op == o.Op && e.Value == o.Value && e.When == o.When && e.D == o.D
}
