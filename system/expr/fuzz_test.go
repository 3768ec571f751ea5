package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

var seeds = []string{
	`IF($http.route = "/health", null, AND($status < 500, $duration_ms <= 250))`, "REG_MATCH($a, `^(a|b)*$`) OR !IN($\"b c\", 1, 2.5, -3,)", `SWITCH($a, "x", 1, "y", 2) + 1 - 2 * 3 / 4 % 5`,
	`CONCAT(STRING($a), TO_LOWER($b), "é\n\u00e9\x41\'")`, `BUCKET($a, 10, 0, 100)`, `MIN($a, MAX($b, 1e3), ABS(-.5))`, `UNIX_TIMESTAMP($a) < EVENT_TIMESTAMP()`, `COALESCE(INT($a), FLOAT($b), BOOL($c), LENGTH("x"))`, `((((((1))))))`, `$a=1`, `1 < 2 < 3`, `"`, `EXISTS($)`,
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			var at *Error
			if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 || at.Offset < 0 || at.Offset > len(text) || at.Text == "" || at.Want == "" {
				t.Fatalf("%q: not an error with a place: %+v", text, err)
			}
			return
		}
		again, err := Parse(e.String())
		var at *Error
		if errors.As(err, &at) && (len(e.String()) > MaxBytes || strings.Contains(at.Text, "nested too deeply")) {
			return // functions are longer than operators, and have parentheses
		}
		if err != nil || again.String() != e.String() || again.Type() != e.Type() || strings.Join(again.Columns(), "\x00") != strings.Join(e.Columns(), "\x00") {
			t.Fatalf("%q was printed as %q, read back as %v: %v", text, e, again, err)
		}
	})
}

func FuzzEval(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, `{"a":"x","b":5,"c":true,"b c":2.5,"duration_ms":251,"status":200}`, int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, text, fields string, at int64) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		var values map[string]any
		if json.Unmarshal([]byte(fields), &values) != nil {
			return
		}
		find := func(name string) (event.Value, bool) {
			v, ok := values[name]
			if f, isF := v.(float64); isF && f == math.Trunc(f) && math.Abs(f) < 1<<62 {
				v = int64(f)
			}
			return asValue(v), ok
		}
		got, again := e.Eval(find, time.Unix(at, 0)), e.Eval(find, time.Unix(at, 0))
		if !got.Equal(again) || !kept(e.Type(), got) || len(got.Str()) > max(MaxText, len(fields), len(text)) {
			t.Fatalf("%s: %v, then %v, promised %s", e, got, again, e.Type())
		}
	})
}

// sli is an objective as teams write it.
const sli = `IF($http.route = "/health" OR NOT(EXISTS($duration_ms)), null, $http.status_code < 500 AND $duration_ms <= 250)`

func request(fields int) event.Event {
	ev := event.Event{Time: time.Unix(1_700_000_000, 0)}
	for i := range fields - 3 {
		ev.Fields = append(ev.Fields, event.Field{Name: fmt.Sprintf("app.field_%d", i), Value: event.StringValue("value")})
	}
	ev.Fields = append(ev.Fields, event.Field{Name: "http.route", Value: event.StringValue("/cart")}, event.Field{Name: "http.status_code", Value: event.IntValue(200)},
		event.Field{Name: "duration_ms", Value: event.FloatValue(35.2)})
	return ev
}

func BenchmarkSLI(b *testing.B) {
	e, err := Parse(sli)
	if err != nil {
		b.Fatal(err)
	}
	for _, fields := range []int{10, 50} {
		b.Run(fmt.Sprintf("%d fields", fields), func(b *testing.B) {
			ev := request(fields)
			b.ReportAllocs()
			for b.Loop() {
				if good, relevant := Good(e.Event(&ev)); !good || !relevant {
					b.Fatal("a good event is bad")
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(sli); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWorst is what a hostile expression can cost for one event: all instructions that regular expressions may have,
// over a text that keeps all of them busy.
func BenchmarkWorst(b *testing.B) {
	e, err := Parse("REG_MATCH($a, `(?:a?){150}a{150}b`)")
	if err != nil {
		b.Fatal(err)
	}
	ev := event.Event{Fields: []event.Field{{Name: "a", Value: event.StringValue(strings.Repeat("a", 64<<10))}}}
	for b.Loop() {
		if e.Event(&ev).Bool() {
			b.Fatal("it matches")
		}
	}
}
