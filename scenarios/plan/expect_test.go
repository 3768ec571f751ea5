package plan_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"pgregory.net/rapid"
)

func TestParseExpectation(t *testing.T) {
	t.Parallel()
	s := func(n float64) plan.Duration { return plan.Duration(n * float64(time.Second)) }
	for source, want := range map[string]plan.Expectation{
		"ack.p99 < 150ms":                           {Metric: "ack.p99", Op: "<", Value: 0.15},
		"ack.p99<150ms":                             {Metric: "ack.p99", Op: "<", Value: 0.15},
		"  ack.max   <=  1m30s ":                    {Metric: "ack.max", Op: "<=", Value: 90},
		"ack.errors == 0":                           {Metric: "ack.errors", Op: "==", Value: 0},
		"ack.errors != 5 always":                    {Metric: "ack.errors", Op: "!=", Value: 5, When: "always"},
		"ack.error_rate < 1%":                       {Metric: "ack.error_rate", Op: "<", Value: 0.01},
		"ack.error_rate < 99.99%":                   {Metric: "ack.error_rate", Op: "<", Value: 0.9999},
		"ack.error_rate < 0.01":                     {Metric: "ack.error_rate", Op: "<", Value: 0.01},
		"ack.error_rate == 0":                       {Metric: "ack.error_rate", Op: "==", Value: 0},
		"ack.rate >= 900/s after 5s":                {Metric: "ack.rate", Op: ">=", Value: 900, When: "after", D: s(5)},
		"ack.rate > 0.5":                            {Metric: "ack.rate", Op: ">", Value: 0.5},
		"kafka.under_replicated == 0 within 60s":    {Metric: "kafka.under_replicated", Op: "==", Value: 0, When: "within", D: s(60)},
		"kafka.brokers>=3\tfor 1.5s":                {Metric: "kafka.brokers", Op: ">=", Value: 3, When: "for", D: s(1.5)},
		"retriever.lag < 9007199254740991 after 1h": {Metric: "retriever.lag", Op: "<", Value: 9007199254740991, When: "after", D: s(3600)},
	} {
		want.Source = source
		got, err := plan.ParseExpectation(source)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", source, got, err)
		}
	}
}

func TestExpectationErrors(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                               "column 1: a metric is missing",
		"ack":                            "column 1: there is no metric \"ack\"",
		"ack.p98 < 1s":                   "did you mean ack.p90?",
		"mysql.up == 1":                  "metrics are ack.p50",
		"kafka.replication_factor_x > 1": "kafka has kafka.under_replicated, kafka.offline",
		"ack.p99":                        "column 8: a comparison is missing",
		"ack.p99 <":                      "column 10: a value is missing",
		"ack.p99 < 150":                  "column 11: ack.p99 is a duration, and \"150\" is not",
		"ack.p99 < -1s":                  "ack.p99 is a duration, and \"-1s\" is not",
		"ack.p99 < 800h":                 "longer than any run",
		"ack.errors < 1s":                "ack.errors is a count, and \"1s\" is not",
		"ack.errors < 1e3":               "is a count",
		"ack.error_rate < 2":             "ratio from 0 to 1",
		"ack.error_rate < 0x1p-2":        "is a ratio",
		"ack.rate < 5/m":                 "is a rate",
		"ack.rate == 5/s":                "practically never equal",
		"ack.p99 = 1s":                   "\"=\" is not a comparison",
		"ack.p99 < 1s in 5s":             "\"in\" cannot follow the value",
		"ack.p99 < 1s alway":             "did you mean \"always\"?",
		"ack.p99 < 1s for 0s":            "longer than nothing",
		"ack.p99 < 1s for -1s":           "negative duration",
		"ack.p99 < 1s for 5s always":     "column 21: \"always\" is too much",
		"ack.p99 < 1s < 2s":              "\"<\" cannot follow",
		strings.Repeat("a", 300):         "longer than 200 bytes",
	} {
		_, err := plan.ParseExpectation(source)
		var wrong *plan.ExpectError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", source, err, want)
		}
	}
}

func TestCanonicalIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(plan.Metrics()).Draw(t, "metric")
		e := plan.Expectation{Metric: m.Name, Op: rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")}
		switch m.Unit {
		case plan.UnitDuration:
			e.Value = time.Duration(rapid.Int64Range(0, int64(plan.MaxLength)).Draw(t, "value")).Seconds()
		case plan.UnitRatio:
			e.Value = rapid.Float64Range(0, 1).Draw(t, "value")
		case plan.UnitCount:
			e.Value = float64(rapid.Int64Range(0, 1<<53-1).Draw(t, "value"))
		case plan.UnitRate:
			e.Value = rapid.Float64Range(0, 1e9).Draw(t, "value")
		}
		e.When = rapid.SampledFrom([]string{"", "always", "within", "after", "for"}).Draw(t, "when")
		if e.When != "" && e.When != "always" {
			e.D = plan.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "d"))
		}
		e.Source = e.Canonical()
		if len(e.Source) > 200 {
			return // tiny numbers that nobody writes
		}
		got, err := plan.ParseExpectation(e.Source)
		if err != nil || got != e {
			t.Fatalf("%+v\nbecame %+v (%v)", e, got, err)
		}
	})
}

// TestSampledMetrics holds the metrics of expectations to those that runs sample.
func TestSampledMetrics(t *testing.T) {
	t.Parallel()
	want := constants(t, "../evidence/metrics.go", "")
	var got []string
	for _, m := range plan.Metrics() {
		if m.Sampled {
			got = append(got, m.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || !slices.Contains(got, evidence.UnderReplicated) {
		t.Errorf("expectations can be about %v, and %v are sampled", got, want)
	}
}

// TestAimEvents holds the events that faults can be aimed at to those that are announced.
func TestAimEvents(t *testing.T) {
	t.Parallel()
	got := plan.AimEvents()
	slices.Sort(got)
	if want := constants(t, "../../system/port/port.go", "Event"); !slices.Equal(got, want) {
		t.Errorf("faults can be aimed at %v, and %v are announced", got, want)
	}
}

// constants are the values of a file's string constants whose names begin so, sorted.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, prefix) || len(v.Values) != 1 {
				continue
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, s)
			}
		}
	}
	slices.Sort(values)
	return values
}

// FuzzParseExpectation looks for panics, places outside the text, and readings that do not survive being written.
func FuzzParseExpectation(f *testing.F) {
	for _, s := range []string{"ack.p99 < 150ms", "ack.error_rate<1% within 5s", "kafka.offline == 0 always", "ack.rate >= 1.5/s for 1m", "ack.p99 =< x", "\xff < 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e, err := plan.ParseExpectation(source)
		if err != nil {
			var wrong *plan.ExpectError
			if !errors.As(err, &wrong) || wrong.Offset < 0 || wrong.Offset > len(source) || wrong.What == "" {
				t.Fatalf("%+v", err)
			}
			return
		}
		back, err := plan.ParseExpectation(e.Canonical())
		if len(e.Canonical()) <= 200 && (err != nil || back.Metric != e.Metric || back.Op != e.Op || back.Value != e.Value || back.When != e.When || back.D != e.D) {
			t.Fatalf("%q is %+v, written %q and read %+v (%v)", source, e, e.Canonical(), back, err)
		}
	})
}
