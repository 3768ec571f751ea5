package definition

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/document"
)

// parse reads a body of a kind and returns it encoded.
func parse(kind, body string, o Options) (string, error) {
	var encoded []byte
	var err error
	switch kind {
	case "column":
		encoded, err = encode(ParseDerivedColumn([]byte(body), o))
	case "slo":
		encoded, err = encode(ParseSLO([]byte(body), o))
	case "burn":
		encoded, err = encode(ParseBurnAlert([]byte(body), o))
	case "trigger":
		encoded, err = encode(ParseTrigger([]byte(body), o))
	case "marker":
		encoded, err = encode(ParseMarker([]byte(body), o))
	case "recipient":
		encoded, err = encode(ParseTeamRecipient([]byte(body), o))
	}
	return string(encoded), err
}

func encode[T Kinds](v T, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return Encode(v), nil
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, body, want string
		o                Options
	}{
		{"column", `{"alias":"ok","expression":"LT($d, 5)"}`, `{"alias":"ok","expression":"LT($d, 5)"}`, Options{}},
		{"column", `{"alias":"ok","expression":"$d < 5","description":"x","id":"7","created_at":"y","updated_at":null}`, `{"alias":"ok","expression":"$d < 5","description":"x"}`, Options{}},
		{"slo", `{"name":"fast","sli":{"alias":"ok"},"time_period_days":30,"target_per_million":999000,"tags":[{"key":"team","value":"a"}],"dataset_slugs":["d"]}`,
			`{"name":"fast","sli":{"alias":"ok"},"time_period_days":30,"target_per_million":999000,"tags":[{"key":"team","value":"a"}],"dataset_slugs":["d"]}`, Options{}},
		{"burn", `{"slo":{"id":"12"},"exhaustion_minutes":0}`, `{"alert_type":"exhaustion_time","slo":{"id":"12"},"exhaustion_minutes":0}`, Options{}},
		{"burn", `{"alert_type":"budget_rate","slo":{"id":"12"},"budget_rate_window_minutes":60,"budget_rate_decrease_threshold_per_million":50000,"recipients":[{"id":"3"}]}`,
			`{"alert_type":"budget_rate","slo":{"id":"12"},"budget_rate_window_minutes":60,"budget_rate_decrease_threshold_per_million":50000,"recipients":[{"id":"3"}]}`, Options{}},
		{"burn", `{"alert_type":"budget_rate","slo":{"id":"12"},"budget_rate_window_minutes":5,"budget_rate_decrease_threshold_per_million":1}`,
			`{"alert_type":"budget_rate","slo":{"id":"12"},"budget_rate_window_minutes":5,"budget_rate_decrease_threshold_per_million":1}`, Options{MinFrequency: 5}},
		{"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":1}}`,
			`{"name":"t","query":{"time_range":900},"threshold":{"op":">","value":1},"frequency":900,"alert_type":"on_change"}`, Options{}},
		{"trigger", `{"name":"t","disabled":true,"query":{"calculations":[{"op":"P95","column":"d"}], "filters":[{"column":"a<b","op":">","value":1}],"time_range":60},"threshold":{"op":"<=","value":1.5,"exceeded_limit":2},"frequency":60,"alert_type":"on_true","recipients":[{"type":"webhook","target":"http://r:1/x"}],"evaluation_schedule_type":"frequency","baseline_details":null,"triggered":false}`,
			`{"name":"t","disabled":true,"query":{"calculations":[{"op":"P95","column":"d"}],"filters":[{"column":"a<b","op":">","value":1}],"time_range":60},"threshold":{"op":"<=","value":1.5,"exceeded_limit":2},"frequency":60,"alert_type":"on_true","recipients":[{"type":"webhook","target":"http://r:1/x"}]}`, Options{}},
		{"trigger", `{"name":"t","query":{"breakdowns":["a"]},"threshold":{"op":">","value":1},"frequency":10}`,
			`{"name":"t","query":{"time_range":10,"breakdowns":["a"]},"threshold":{"op":">","value":1},"frequency":10,"alert_type":"on_change"}`, Options{MinFrequency: 5}},
		{"trigger", `{"name":"t","query":{"time_range":null,"breakdowns":["a"]},"threshold":{"op":">","value":1},"frequency":1800.0}`,
			`{"name":"t","query":{"time_range":1800,"breakdowns":["a"]},"threshold":{"op":">","value":1},"frequency":1800,"alert_type":"on_change"}`, Options{}},
		{"marker", `{"message":"deploy","type":"deploys","url":"https://ci/1"}`, `{"start_time":100,"message":"deploy","type":"deploys","url":"https://ci/1"}`, Options{Now: time.Unix(100, 5)}},
		{"marker", `{"start_time":5,"end_time":6,"color":"#fff"}`, `{"start_time":5,"end_time":6}`, Options{}},
		{"recipient", `{"type":"webhook","details":{"webhook_name":"hook","webhook_url":"http://r/","webhook_secret":""}}`, `{"type":"webhook","target":"http://r/","details":{"webhook_name":"hook","webhook_url":"http://r/"}}`, Options{}},
	} {
		got, err := parse(c.kind, c.body, c.o)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.body, err, got, c.want)
			continue
		}
		if again, err := parse(c.kind, got, c.o); err != nil || again != got {
			t.Errorf("%s: read back as %s (%v)", got, again, err)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	trigger := func(more string) string {
		return `{"name":"t","query":{"time_range":60},"threshold":{"op":">","value":1},"frequency":60` + more + `}`
	}
	query := func(query string) string {
		return `{"name":"t","query":` + query + `,"threshold":{"op":"<","value":0},"frequency":60}`
	}
	for _, c := range []struct{ kind, body, code, field, text string }{
		{"column", `[]`, document.CodeType, "", "expected an object, found an array"}, {"column", `{`, document.CodeInvalid, "", "not valid JSON"}, {"column", "{\"alias\":\"\xff\"}", document.CodeInvalid, "", "UTF-8"},
		{"column", strings.Repeat(" ", MaxBytes) + `{}`, document.CodeInvalid, "", "at most 65536"},
		{"column", `{"expression":"1"}`, document.CodeMissing, "alias", "needed"}, {"column", `{"alias":"","expression":"1"}`, document.CodeInvalid, "alias", "empty"}, {"column", `{"alias":5,"expression":"1"}`, document.CodeType, "alias", "expected a string, found a number"},
		{"column", `{"alias":"a"}`, document.CodeMissing, "expression", "an expression is needed"}, {"column", `{"alias":"a","expression":""}`, document.CodeInvalid, "expression", "empty"}, {"column", `{"alias":"a","expression":"LTT(1)"}`, document.CodeInvalid, "expression", "line 1, column 1: there is no function LTT: did you mean \"LT\"?"},
		{"column", `{"alias":"a","expression":"1","alias":"b"}`, document.CodeInvalid, "alias", "twice"}, {"column", `{"alias":"a","expresion":"1"}`, document.CodeUnknown, "expresion", "did you mean \"expression\"?"}, {"column", `{"alias":"` + strings.Repeat("é", 200) + `","expression":"1"}`, document.CodeInvalid, "alias", "400 bytes"},

		{"slo", `{"sli":{"alias":"a"},"time_period_days":30,"target_per_million":1}`, document.CodeMissing, "name", "needed"}, {"slo", `{"name":"n","time_period_days":30,"target_per_million":1}`, document.CodeMissing, "sli", "an SLI is needed"},
		{"slo", `{"name":"n","sli":{},"time_period_days":30,"target_per_million":1}`, document.CodeMissing, "sli.alias", "needed"}, {"slo", `{"name":"n","sli":"a","time_period_days":30,"target_per_million":1}`, document.CodeType, "sli", "expected an object"},
		{"slo", `{"name":"n","sli":{"alias":"a"},"target_per_million":1}`, document.CodeMissing, "time_period_days", "days"}, {"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":91,"target_per_million":1}`, document.CodeInvalid, "time_period_days", "1 to 90"},
		{"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":1,"target_per_million":1000000}`, document.CodeInvalid, "target_per_million", "1 to 999999"}, {"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":1.5,"target_per_million":1}`, document.CodeInvalid, "time_period_days", "1.5 is not a whole number"},
		{"slo", `{"name":"` + strings.Repeat("x", 121) + `","sli":{"alias":"a"},"time_period_days":1,"target_per_million":1}`, document.CodeInvalid, "name", "121 characters"}, {"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":1,"target_per_million":1,"tags":[{"key":"a","value":"b"},{"key":"a","value":"c"}]}`, document.CodeInvalid, "tags[1].key", "already"},
		{"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":1,"target_per_million":1,"dataset_slugs":[1]}`, document.CodeType, "dataset_slugs[0]", "a string"},
		{"slo", `{"name":"n","sli":{"alias":"a"},"time_period_days":1,"target_per_million":1,"dataset_slugs":[""]}`, document.CodeInvalid, "dataset_slugs[0]", "slug"},

		{"burn", `{"exhaustion_minutes":1}`, document.CodeMissing, "slo", "an SLO is needed"}, {"burn", `{"slo":{"id":"x"},"exhaustion_minutes":1}`, document.CodeInvalid, "slo.id", "no ID"}, {"burn", `{"slo":{"id":"1"}}`, document.CodeMissing, "exhaustion_minutes", "minutes"},
		{"burn", `{"slo":{"id":"1"},"exhaustion_minutes":-1}`, document.CodeInvalid, "exhaustion_minutes", "0 to 129600"}, {"burn", `{"slo":{"id":"1"},"exhaustion_minutes":1,"budget_rate_window_minutes":60}`, document.CodeInvalid, "budget_rate_window_minutes", "does not belong"},
		{"burn", `{"slo":{"id":"1"},"alert_type":"budget_rate","exhaustion_minutes":1}`, document.CodeMissing, "budget_rate_window_minutes", "window"}, {"burn", `{"slo":{"id":"1"},"alert_type":"budget_rate","budget_rate_window_minutes":59,"budget_rate_decrease_threshold_per_million":1}`, document.CodeInvalid, "budget_rate_window_minutes", "60 to"},
		{"burn", `{"slo":{"id":"1"},"alert_type":"budgetrate","exhaustion_minutes":1}`, document.CodeInvalid, "alert_type", "did you mean \"budget_rate\"?"},

		{"trigger", trigger(`,"frequency":60`), document.CodeInvalid, "frequency", "twice"}, {"trigger", trigger(`,"alert_type":"on_chnge"`), document.CodeInvalid, "alert_type", "did you mean \"on_change\"?"}, {"trigger", trigger(`,"query_id":"x"`), document.CodeUnsupported, "query_id", "not stored"},
		{"trigger", trigger(`,"baseline_details":{"type":"value","offset_minutes":60}`), document.CodeUnsupported, "baseline_details", "fixed"}, {"trigger", trigger(`,"evaluation_schedule_type":"window"`), document.CodeUnsupported, "evaluation_schedule_type", "all the time"}, {"trigger", trigger(`,"evaluation_schedule":{"window":{}}`), document.CodeUnsupported, "evaluation_schedule", "all the time"},
		{"trigger", trigger(`,"recipients":[{"type":"email","target":"a@b"}]`), document.CodeUnsupported, "recipients[0].type", "webhook"}, {"trigger", trigger(`,"recipients":[{"type":"webhook","target":"ftp://x"}]`), document.CodeInvalid, "recipients[0].target", "not the URL"}, {"trigger", trigger(`,"recipients":[{"type":"webhook","target":"http://u:p@x"}]`), document.CodeInvalid, "recipients[0].target", "user name"},
		{"trigger", trigger(`,"recipients":[{"type":"webhook"}]`), document.CodeMissing, "recipients[0].target", "URL"}, {"trigger", trigger(`,"recipients":[{}]`), document.CodeMissing, "recipients[0].type", "an id, or"}, {"trigger", trigger(`,"recipients":[{"id":"x"}]`), document.CodeInvalid, "recipients[0].id", "no ID"}, {"trigger", trigger(`,"recipients":[` + strings.Repeat("{},", 20) + `{}]`), document.CodeTooMany, "recipients", "21 elements"},
		{"trigger", trigger(`,"description":"` + strings.Repeat("x", 1024) + `"`), document.CodeInvalid, "description", "1024 characters"}, {"trigger", trigger(`,"disabled":1`), document.CodeType, "disabled", "a boolean"},
		{"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":1},"frequency":59}`, document.CodeInvalid, "frequency", "60 to 86400"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":1},"frequency":90}`, document.CodeInvalid, "frequency", "not a multiple of 60"},
		{"trigger", `{"name":"t","query":{}}`, document.CodeMissing, "threshold", "a threshold is needed"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":"=","value":1}}`, document.CodeInvalid, "threshold.op", "is not known"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":">"}}`, document.CodeMissing, "threshold.value", "number"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":1e999}}`, document.CodeInvalid, "threshold.value", "64 bits"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":"1"}}`, document.CodeType, "threshold.value", "a string"}, {"trigger", `{"name":"t","query":{},"threshold":{"op":">","value":1,"exceeded_limit":6}}`, document.CodeInvalid, "threshold.exceeded_limit", "0 to 5"},
		{"trigger", `{"name":"t","threshold":{"op":">","value":1}}`, document.CodeMissing, "query", "a query is needed"}, {"trigger", query(`5`), document.CodeType, "query", "an object"}, {"trigger", query(`{"limit":0}`), document.CodeInvalid, "query.limit", "out of bounds"}, {"trigger", query(`{"time_range":241}`), document.CodeInvalid, "query.time_range", "4 times the frequency (240 s)"},
		{"trigger", `{"name":"t","query":{"time_range":86401},"threshold":{"op":">","value":1},"frequency":86400}`, document.CodeInvalid, "query.time_range", "at most a day"}, {"trigger", query(`{"start_time":5,"time_range":60}`), document.CodeInvalid, "query.start_time", "time_range alone"}, {"trigger", query(`{"end_time":500,"time_range":60}`), document.CodeInvalid, "query.end_time", "time_range alone"},
		{"trigger", query(`{"calculations":[{"op":"HEATMAP","column":"d"}]}`), document.CodeInvalid, "query.calculations[0].op", "not one number"}, {"trigger", query(`{"calculations":[{"op":"CONCURRENCY"}]}`), document.CodeUnsupported, "query.calculations[0].op", "CONCURRENCY"}, {"trigger", query(`{"calculations":[{"op":"COUNT"},{"op":"SUM","column":"d"}]}`), document.CodeTooMany, "query.calculations", "exactly one"},
		{"trigger", query(`{}`), document.CodeInvalid, "threshold.value", "COUNT is never < 0"}, {"trigger", query(`{"time_range":60,"time_range":60}`), document.CodeInvalid, "query.time_range", "twice"},
		{"trigger", query(`{"time_range":null,"time_range":null}`), document.CodeInvalid, "query.time_range", "twice"}, {"trigger", query(`{"time_range":60,"time_range":null}`), document.CodeInvalid, "query.time_range", "twice"}, {"trigger", query(`{"time_range":null,"time_range":60}`), document.CodeInvalid, "query.time_range", "twice"},
		{"trigger", query(`{"breakdowns":["a"],"time_range":null,"breakdowns":["b"]}`), document.CodeInvalid, "query.breakdowns", "twice"},

		{"marker", `{"start_time":6,"end_time":5}`, document.CodeInvalid, "end_time", "before the start 1970-01-01T00:00:06Z"}, {"marker", `{"start_time":-1}`, document.CodeInvalid, "start_time", "0 to"}, {"marker", `{"url":"javascript:alert(1)"}`, document.CodeInvalid, "url", "not the URL"},
		{"recipient", `{}`, document.CodeMissing, "type", "webhook"}, {"recipient", `{"type":"webhook"}`, document.CodeMissing, "details", "webhook_name"}, {"recipient", `{"type":"webhook","details":{"webhook_name":"n"}}`, document.CodeMissing, "details.webhook_url", "URL"}, {"recipient", `{"type":"webhook","details":{"webhook_name":"n","webhook_url":"http://x","webhook_secret":"s"}}`, document.CodeUnsupported, "details.webhook_secret", "leave it out"},
		{"recipient", `{"type":"pagerduty","details":{}}`, document.CodeUnsupported, "type", "pagerduty"},
	} {
		got, err := parse(c.kind, c.body, Options{})
		var list *document.Error
		if !errors.As(err, &list) {
			t.Errorf("%s %s: read as %s", c.kind, document.Short(c.body), got)
			continue
		}
		if p := list.Problems[0]; p.Code != c.code || p.Field != c.field || !strings.Contains(p.Text, c.text) {
			t.Errorf("%s %s: got %+v, expected %s of %s about %q", c.kind, document.Short(c.body), list.Problems, c.code, c.field, c.text)
		}
	}
}

func TestAllProblemsAreTold(t *testing.T) {
	t.Parallel()
	_, err := ParseTrigger([]byte(`{"nam":"x","frequency":61,"threshold":{"op":"~"},"query":{"limit":0,"foo":1}}`), Options{})
	var list *document.Error
	if !errors.As(err, &list) || len(list.Problems) != 7 {
		t.Errorf("%v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	text := rapid.StringN(1, 20, 60)
	target := rapid.SampledFrom([]string{"http://a", "https://b:8/c?d=e&f=<g>"})
	rapid.Check(t, func(t *rapid.T) {
		frequency := rapid.IntRange(1, 1440).Draw(t, "frequency") * 60
		tr := Trigger{
			Name: text.Draw(t, "name"), Description: rapid.StringN(0, 20, 60).Draw(t, "description"), Disabled: rapid.Bool().Draw(t, "disabled"),
			Query:     []byte(`{"calculations":[{"op":"MAX","column":"a&b"}],"time_range":` + rapid.SampledFrom([]string{"60", "240"}).Draw(t, "range") + `}`),
			Threshold: Threshold{rapid.SampledFrom([]string{">", ">=", "<", "<="}).Draw(t, "op"), rapid.Float64Range(-1e300, 1e300).Draw(t, "value"), rapid.IntRange(0, 5).Draw(t, "limit")},
			Frequency: frequency, AlertType: rapid.SampledFrom([]AlertType{OnChange, OnTrue}).Draw(t, "type"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "recipients") {
			tr.Recipients = append(tr.Recipients, Recipient{ID: rapid.SampledFrom([]string{"", "5"}).Draw(t, "id"), Type: "webhook", Target: target.Draw(t, "target")})
		}
		back, err := ParseTrigger(Encode(tr), Options{})
		if err != nil || !reflect.DeepEqual(back, tr) {
			t.Fatalf("%v\n%+v\n%+v", err, tr, back)
		}
		s := SLO{Name: text.Draw(t, "name"), SLI: SLI{text.Draw(t, "alias")}, TimePeriodDays: rapid.IntRange(1, 90).Draw(t, "days"), TargetPerMillion: rapid.IntRange(1, 999_999).Draw(t, "target")}
		if again, err := ParseSLO(Encode(s), Options{}); err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%v\n%+v\n%+v", err, s, again)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"name":"t","query":{"calculations":[{"op":"P95","column":"d"}],"time_range":60},"threshold":{"op":">","value":1},"frequency":60,"recipients":[{"id":"1"},{"type":"webhook","target":"http://x"}],"tags":[{"key":"a","value":"b"}]}`,
		`{"name":"t","query":{"time_range":null},"threshold":{"op":">","value":-0}}`,
		`{"name":"fast","sli":{"alias":"ok"},"time_period_days":30,"target_per_million":999000,"dataset_slugs":["d"]}`,
		`{"slo":{"id":"12"},"exhaustion_minutes":0}`, `{"alert_type":"budget_rate","slo":{"id":"1"},"budget_rate_window_minutes":60,"budget_rate_decrease_threshold_per_million":1}`,
		`{"alias":"ok","expression":"LT($d, 5)"}`, `{"start_time":5,"end_time":6,"message":"m"}`, `{"type":"webhook","details":{"webhook_name":"n","webhook_url":"http://x"}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, kind := range []string{"column", "slo", "burn", "trigger", "marker", "recipient"} {
			got, err := parse(kind, body, Options{})
			if err != nil {
				var list *document.Error
				if !errors.As(err, &list) || len(list.Problems) == 0 || list.Problems[0].Text == "" || list.Problems[0].Code == "" {
					t.Fatalf("%s: an error without a problem: %v", kind, err)
				}
				continue
			}
			if again, err := parse(kind, got, Options{}); err != nil || again != got {
				t.Fatalf("%s: %s was read back as %s: %v", kind, got, again, err)
			}
		}
	})
}
