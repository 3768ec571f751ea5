package spec

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/wire"
)

var now = time.Unix(1_900_000_000, 500_000_000)

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	q, err := Parse([]byte(`{}`), now)
	if err != nil {
		t.Fatal(err)
	}
	want := &Query{
		Calculations: []Calculation{{Op: Count, Name: "COUNT"}}, Limit: 1000,
		Start: time.Unix(1_900_000_001-7200, 0).UTC(), End: time.Unix(1_900_000_001, 0).UTC(), Granularity: time.Minute,
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("%+v", q)
	}
}

func TestParseAll(t *testing.T) {
	t.Parallel()
	q, err := Parse([]byte(`{"calculations":[{"op":"P95","column":"duration_ms"},{"op":"COUNT","name":"errors","filters":[{"column":"error","op":"=","value":true}],"filter_combination":"OR"}],
		"filters":[{"column":"a","op":"in","value":[1,"x",2.5]},{"column":"b","op":"exists"}],"filter_combination":"OR","breakdowns":["service.name"],
		"orders":[{"op":"P95","column":"duration_ms","order":"descending"},{"column":"service.name"}],
		"havings":[{"calculate_op":"COUNT","op":">","value":3}],"limit":10,"start_time":1000,"time_range":100,"granularity":5,"formulas":null,"calculated_fields":[]}`), now)
	if err != nil {
		t.Fatal(err)
	}
	want := &Query{
		Calculations: []Calculation{{Op: "P95", Column: "duration_ms", Name: "P95(duration_ms)"}, {Op: Count, Name: "errors", Filters: []Filter{{"error", "=", []event.Value{event.BoolValue(true)}}}, Or: true}},
		Filters:      []Filter{{"a", "in", []event.Value{event.IntValue(1), event.StringValue("x"), event.FloatValue(2.5)}}, {"b", "exists", nil}}, Or: true,
		Breakdowns: []string{"service.name"}, Orders: []Order{{"P95", "duration_ms", true}, {Column: "service.name"}}, Havings: []Having{{Count, "", ">", 3}}, Limit: 10,
		Start: time.Unix(1000, 0).UTC(), End: time.Unix(1100, 0).UTC(), Granularity: 5 * time.Second,
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got  %+v\nwant %+v", q, want)
	}
	if got := fmt.Sprint(q.Reads()); got != "[duration_ms error a b service.name]" {
		t.Errorf("reads %s", got)
	}
	back, err := Decode(Encode(q))
	if err != nil || !reflect.DeepEqual(back, q) {
		t.Errorf("decoded: %v %+v", err, back)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	names := make([]string, 101)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprint("c", i))
	}
	for _, c := range []struct{ json, field, code, text string }{
		{``, "", document.CodeInvalid, "not valid JSON"},
		{`{`, "", document.CodeInvalid, "not valid JSON"},
		{`{} {}`, "", document.CodeInvalid, "not valid JSON"},
		{`[]`, "", document.CodeType, "expected an object, found an array"},
		{"{\"breakdowns\":[\"\xff\"]}", "", document.CodeInvalid, "UTF-8"},
		{`{"breakdowns":["` + strings.Repeat("x", MaxBytes) + `"]}`, "", document.CodeInvalid, "at most"},
		{`{"calculation":[]}`, "calculation", document.CodeUnknown, `did you mean "calculations"?`},
		{`{"zzzzzzzzzzzzzzzzz":1}`, "zzzzzzzzzzzzzzzzz", document.CodeUnknown, "there are"},
		{`{"limit":1,"limit":2}`, "limit", document.CodeInvalid, "twice"},
		{`{"limit":0}`, "limit", document.CodeInvalid, "1 to 1000"},
		{`{"limit":1001}`, "limit", document.CodeInvalid, "1 to 1000"},
		{`{"limit":1.5}`, "limit", document.CodeInvalid, "whole"},
		{`{"limit":"1"}`, "limit", document.CodeType, "found a string"},
		{`{"limit":1e400}`, "limit", document.CodeInvalid, "whole"},
		{`{"calculations":{}}`, "calculations", document.CodeType, "array"},
		{`{"calculations":[3]}`, "calculations[0]", document.CodeType, "object"},
		{`{"calculations":[{}]}`, "calculations[0].op", document.CodeMissing, "missing"},
		{`{"calculations":[{"op":"P96","column":"a"}]}`, "calculations[0].op", document.CodeInvalid, "did you mean"},
		{`{"calculations":[{"op":"CONCURRENCY"}]}`, "calculations[0].op", document.CodeUnsupported, "CONCURRENCY"},
		{`{"calculations":[{"op":"COUNT","column":"a"}]}`, "calculations[0].column", document.CodeInvalid, "no column"},
		{`{"calculations":[{"op":"SUM"}]}`, "calculations[0].column", document.CodeMissing, "needs a column"},
		{`{"calculations":[{"op":"SUM","column":""}]}`, "calculations[0].column", document.CodeInvalid, "empty"},
		{`{"calculations":[{"op":"SUM","column":7}]}`, "calculations[0].column", document.CodeType, "string"},
		{`{"calculations":[{"op":"COUNT"},{"op":"COUNT"}]}`, "calculations[1]", document.CodeInvalid, "another name"},
		{`{"breakdowns":["COUNT"]}`, "calculations[0]", document.CodeInvalid, "another name"},
		{`{"calculations":[{"op":"COUNT","filters":[{"column":"a","op":"is"}]}]}`, "calculations[0].filters[0].op", document.CodeInvalid, "did you mean"},
		{`{"calculations":[` + many(51, `{"op":"COUNT"}`) + `]}`, "calculations", document.CodeTooMany, "at most 50"},
		{`{"breakdowns":[` + strings.Join(names, ",") + `]}`, "breakdowns", document.CodeTooMany, "at most 100"},
		{`{"breakdowns":["a","a"]}`, "breakdowns[1]", document.CodeInvalid, "already"},
		{`{"breakdowns":[null]}`, "breakdowns[0]", document.CodeType, "null"},
		{`{"breakdowns":"a"}`, "breakdowns", document.CodeType, "array"},
		{`{"breakdowns":["` + strings.Repeat("x", 2000) + `"]}`, "breakdowns[0]", document.CodeInvalid, "at most 1024"},
		{`{"filters":[{"op":"exists"}]}`, "filters[0].column", document.CodeMissing, "column"},
		{`{"filters":[{"column":"a"}]}`, "filters[0].op", document.CodeMissing, "operator"},
		{`{"filters":[{"column":"a","op":"=="}]}`, "filters[0].op", document.CodeInvalid, `did you mean "="?`},
		{`{"filters":[{"column":"a","op":"="}]}`, "filters[0].value", document.CodeMissing, "does-not-exist"},
		{`{"filters":[{"column":"a","op":"=","value":{}}]}`, "filters[0].value", document.CodeType, "an object"},
		{`{"filters":[{"column":"a","op":"=","value":[1]}]}`, "filters[0].value", document.CodeType, "use in"},
		{`{"filters":[{"column":"a","op":"=","value":1e999}]}`, "filters[0].value", document.CodeInvalid, "64 bits"},
		{`{"filters":[{"column":"a","op":"in","value":1}]}`, "filters[0].value", document.CodeType, "array"},
		{`{"filters":[{"column":"a","op":"in","value":[]}]}`, "filters[0].value", document.CodeInvalid, "at least one"},
		{`{"filters":[{"column":"a","op":"in","value":[null]}]}`, "filters[0].value[0]", document.CodeType, "null"},
		{`{"filters":[{"column":"a","op":"in","value":[` + many(1001, "1") + `]}]}`, "filters[0].value", document.CodeTooMany, "1000"},
		{`{"filters":[{"column":"a","op":"exists","value":1}]}`, "filters[0].value", document.CodeInvalid, "no value"},
		{`{"filters":[{"column":"a","op":"contains","value":1}]}`, "filters[0].value", document.CodeType, "a string"},
		{`{"filters":[{"column":"a","op":">","value":true}]}`, "filters[0].value", document.CodeType, "boolean"},
		{`{"filter_combination":"XOR"}`, "filter_combination", document.CodeInvalid, `did you mean "OR"?`},
		{`{"orders":[{"column":"a"}]}`, "orders[0].column", document.CodeInvalid, "not one of the breakdowns"},
		{`{"orders":[{}]}`, "orders[0]", document.CodeMissing, "breakdown"},
		{`{"orders":[{"op":"SUM","column":"a"}]}`, "orders[0]", document.CodeInvalid, "not one of the calculations"},
		{`{"orders":[{"op":"COUNT","order":"down"}]}`, "orders[0].order", document.CodeInvalid, "there are"},
		{`{"calculations":[{"op":"HEATMAP","column":"a"}],"orders":[{"op":"HEATMAP","column":"a"}]}`, "orders[0].op", document.CodeInvalid, "not one number"},
		{`{"havings":[{"calculate_op":"SUM","column":"a","op":">","value":1}]}`, "havings[0]", document.CodeInvalid, "not one of the calculations"},
		{`{"havings":[{"calculate_op":"COUNT","op":"in","value":1}]}`, "havings[0].op", document.CodeInvalid, "not known"},
		{`{"havings":[{"calculate_op":"COUNT","value":1}]}`, "havings[0].op", document.CodeMissing, "comparison"},
		{`{"havings":[{"calculate_op":"COUNT","op":">","value":"1"}]}`, "havings[0].value", document.CodeType, "number"},
		{`{"havings":[{"calculate_op":"COUNT","op":">"}]}`, "havings[0].value", document.CodeMissing, "missing"},
		{`{"time_range":0}`, "time_range", document.CodeInvalid, "1 to 604800"},
		{`{"time_range":604801}`, "time_range", document.CodeInvalid, "1 to 604800"},
		{`{"time_range":-5}`, "time_range", document.CodeInvalid, "1 to"},
		{`{"start_time":1,"end_time":2,"time_range":1}`, "time_range", document.CodeInvalid, "leave one out"},
		{`{"start_time":2,"end_time":2}`, "end_time", document.CodeInvalid, "not after"},
		{`{"start_time":1,"end_time":604802}`, "end_time", document.CodeInvalid, "7 days"},
		{`{"end_time":5}`, "time_range", document.CodeInvalid, "1970"},
		{`{"start_time":99999999999}`, "start_time", document.CodeInvalid, "out of bounds"},
		{`{"start_time":"2020-01-01"}`, "start_time", document.CodeType, "string"},
		{`{"granularity":7}`, "granularity", document.CodeInvalid, "8 to 720"},
		{`{"granularity":721}`, "granularity", document.CodeInvalid, "8 to 720"},
		{`{"calculated_fields":[{"name":"x","expression":"1"}]}`, "calculated_fields", document.CodeUnsupported, "not supported"},
		{`{"formulas":[1]}`, "formulas", document.CodeUnsupported, "not supported"},
		{`{"compare_time_offset_seconds":3600}`, "compare_time_offset_seconds", document.CodeUnsupported, "not supported"},
	} {
		_, err := Parse([]byte(c.json), now)
		var e *document.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", document.Short(c.json), err)
			continue
		}
		if p := e.Problems[0]; p.Field != c.field || p.Code != c.code || !strings.Contains(p.Text, c.text) {
			t.Errorf("%s: got %+v, expected %s %s about %q", document.Short(c.json), e.Problems, c.field, c.code, c.text)
		}
	}
}

func TestParseTellsAll(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`{"limit":0,"foo":1,"calculations":[{"op":"SUM"},{"op":"NO"}],"filters":[{}]}`), now)
	var e *document.Error
	if !errors.As(err, &e) || len(e.Problems) != 6 || !strings.Contains(err.Error(), "calculations[1].op: ") {
		t.Errorf("%v", err)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json       string
		start, end int64
		step       time.Duration
	}{
		{`{"start_time":100,"end_time":101}`, 100, 101, time.Second},
		{`{"start_time":1000}`, 1000, 8200, time.Minute},
		{`{"end_time":8200}`, 1000, 8200, time.Minute},
		{`{"end_time":8200,"time_range":600.0}`, 7600, 8200, 5 * time.Second},
		{`{"start_time":0,"time_range":604800}`, 0, 604800, 2 * time.Hour},
		{`{"start_time":0,"time_range":604800,"granularity":605}`, 0, 604800, 605 * time.Second},
	} {
		q, err := Parse([]byte(c.json), now)
		if err != nil || q.Start.Unix() != c.start || q.End.Unix() != c.end || q.Granularity != c.step {
			t.Errorf("%s: %v %+v", c.json, err, q)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	i, f, s, b, null := event.IntValue, event.FloatValue, event.StringValue, event.BoolValue, event.Value{}
	for _, c := range []struct {
		op   string
		with []event.Value
		yes  []event.Value
		no   []event.Value
	}{
		{"=", []event.Value{i(1)}, []event.Value{i(1), f(1)}, []event.Value{null, s("1"), b(true), i(2), f(math.NaN())}},
		{"=", []event.Value{b(true)}, []event.Value{b(true)}, []event.Value{null, b(false), i(1), s("true")}},
		{"=", []event.Value{i(1<<53 + 1)}, []event.Value{i(1<<53 + 1)}, []event.Value{f(1 << 53)}},
		{">", []event.Value{f(1.5)}, []event.Value{i(2), f(1.6), f(math.Inf(1))}, []event.Value{i(1), s("9"), null, b(true), f(math.NaN())}},
		{"<=", []event.Value{s("m")}, []event.Value{s("m"), s("a"), s("")}, []event.Value{s("n"), i(1), null}},
		{"starts-with", []event.Value{s("ab")}, []event.Value{s("ab"), s("abc")}, []event.Value{s("a"), i(1), null}},
		{"ends-with", []event.Value{s("ab")}, []event.Value{s("ab"), s("cab")}, []event.Value{s("b"), null}},
		{"contains", []event.Value{s("b")}, []event.Value{s("abc")}, []event.Value{s("a"), null}},
		{"exists", nil, []event.Value{b(false), s(""), i(0)}, []event.Value{null}},
		{"in", []event.Value{i(1), s("x")}, []event.Value{f(1), s("x")}, []event.Value{s("1"), null}},
	} {
		filter := Filter{Op: c.op, Values: c.with}
		for _, v := range c.yes {
			if !filter.Match(v) {
				t.Errorf("%v %s %v is false", v, c.op, c.with)
			}
		}
		for _, v := range c.no {
			if filter.Match(v) {
				t.Errorf("%v %s %v is true", v, c.op, c.with)
			}
		}
		for _, op := range FilterOps() {
			if positive, negated := Positive(op); negated && positive == c.op {
				opposite := Filter{Op: op, Values: c.with}
				if opposite.Match(c.yes[0]) || !opposite.Match(c.no[0]) {
					t.Errorf("%s is not the opposite of %s", op, c.op)
				}
			}
		}
	}
}

func anyValue() *rapid.Generator[event.Value] {
	return rapid.OneOf(
		rapid.Just(event.Value{}), rapid.Map(rapid.Bool(), event.BoolValue), rapid.Map(rapid.Int64(), event.IntValue),
		rapid.Map(rapid.Int64Range(-3, 3), event.IntValue), rapid.Map(rapid.Float64(), event.FloatValue),
		rapid.Map(rapid.Int64Range(-6, 6), func(i int64) event.Value { return event.FloatValue(float64(i) / 2) }),
		rapid.Just(event.FloatValue(math.NaN())), rapid.Map(rapid.StringN(0, 3, 6), event.StringValue),
	)
}

func TestCompareIsAnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyValue().Draw(t, "a"), anyValue().Draw(t, "b"), anyValue().Draw(t, "c")
		if Compare(a, b) != -Compare(b, a) || Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("not an order: %v %v %v", a, b, c)
		}
		if same := Canonical(a) == Canonical(b); same != (Compare(a, b) == 0) {
			t.Fatalf("%v and %v: canonical equal %v, compared %d", a, b, same, Compare(a, b))
		}
		r := wire.NewReader(AppendValue(nil, a))
		if v := ReadValue(&r); r.End() != nil || v != a {
			t.Fatalf("%v was read back as %v: %v", a, v, r.Err())
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"calculations":[{"op":"P95","column":"d"},{"op":"HEATMAP","column":"d"}],"breakdowns":["a","b"],"orders":[{"op":"P95","column":"d"}]}`,
		`{"filters":[{"column":"a","op":"in","value":[1,"x",true,1.5]}],"havings":[{"calculate_op":"COUNT","op":">=","value":2}],"time_range":600,"granularity":7}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := Parse(data, now)
		if err != nil {
			var e *document.Error
			if !errors.As(err, &e) || len(e.Problems) == 0 || e.Error() == "" {
				t.Fatalf("an error without a problem: %v", err)
			}
			return
		}
		back, err := Decode(Encode(q))
		if err != nil || !reflect.DeepEqual(back, q) {
			t.Fatalf("encoded and decoded: %v\n%+v\n%+v", err, q, back)
		}
	})
}

func FuzzDecode(f *testing.F) {
	q, _ := Parse([]byte(`{"calculations":[{"op":"AVG","column":"d","filters":[{"column":"a","op":"in","value":[1,"x"]}]}],"breakdowns":["a"],"orders":[{"column":"a"}],"havings":[{"calculate_op":"AVG","column":"d","op":">","value":1}]}`), now)
	f.Add(Encode(q))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatal(err)
			}
			return
		}
		if again, err := Decode(Encode(q)); err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("encoded again: %v", err)
		}
	})
}
