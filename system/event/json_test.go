package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func decodeOne(t *testing.T, element string) Item {
	t.Helper()
	items, err := DecodeBatchJSON([]byte("["+element+"]"), now)
	if err != nil || len(items) != 1 {
		t.Fatalf("%s: %v, %d items", element, err, len(items))
	}
	return items[0]
}

func show(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s=%s:%s ", f.Name, f.Value.Kind(), f.Value)
	}
	return strings.TrimSpace(b.String())
}

func TestFieldsAreTyped(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"a":null,"b":true,"c":false}`:                         "a=null:null b=bool:true c=bool:false",
		`{"a":1,"b":-7,"c":9223372036854775807}`:                "a=int:1 b=int:-7 c=int:9223372036854775807",
		`{"a":9223372036854775808,"b":1.5,"c":1e3,"d":-0.0}`:    "a=float:9.223372036854776e+18 b=float:1.5 c=float:1000 d=float:-0",
		`{"a":"x","b":"","c":"q\"\\\/\b\f\n\r\té\ud83d\ude00"}`: "a=string:x b=string: c=string:q\"\\/\b\f\n\r\té😀",
		`{"a":"\ud800","b":"\ud800A","c":"\ude00\ud83d"}`:       "a=string:� b=string:�A c=string:��",
		`{"a":{"b":{"c":1}},"d":2}`:                             "a.b.c=int:1 d=int:2",
		`{"a":{"b":{"c":{"d":{"e":5}}}}}`:                       "a.b.c.d.e=int:5",
		`{"a":{"b":{"c":{"d":{"e":{"f": 6 }}}}}}`:               `a.b.c.d.e=string:{"f":6}`,
		`{"a":[1, "x y" ,{"b" : null}],"c":[]}`:                 `a=string:[1,"x y",{"b":null}] c=string:[]`,
		`{"a":{},"b":{ }}`:                                      `a=string:{} b=string:{}`,
		`{"a":1,"b":2,"a":3}`:                                   "a=int:3 b=int:2",
		`{"a.b":1,"a":{"b":2}}`:                                 "a.b=int:2",
		`{"":1}`:                                                "=int:1",
		"{ \"a\"\t:\n1\r}":                                      "a=int:1",
	} {
		item := decodeOne(t, `{"data":`+data+`}`)
		if got := show(item.Event.Fields); got != want || item.Problem != "" {
			t.Errorf("%s\n got %s %s\nwant %s", data, got, item.Problem, want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		at      string
		rate    int64
		problem string
	}{
		`{"data":{"a":1}}`: {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{"a":1},"time":null,"samplerate":null}`:          {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"time":"","samplerate":0,"data":{"a":1},"x":[{}]}`:      {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{"a":1},"time":"2020-01-02T03:04:05.678+01:00"}`: {at: "2020-01-02T02:04:05.678Z", rate: 1},
		`{"data":{"a":1},"time":"1577934245"}`:                    {at: "2020-01-02T03:04:05Z", rate: 1},
		`{"data":{"a":1},"time":1577934245}`:                      {at: "2020-01-02T03:04:05Z", rate: 1},
		`{"data":{"a":1},"time":1577934245678}`:                   {at: "2020-01-02T03:04:05.678Z", rate: 1},
		`{"data":{"a":1},"time":1577934245678901}`:                {at: "2020-01-02T03:04:05.678901Z", rate: 1},
		`{"data":{"a":1},"time":1577934245678901234}`:             {at: "2020-01-02T03:04:05.678901234Z", rate: 1},
		`{"data":{"a":1},"time":15779342456789012345}`:            {problem: "time"},
		`{"data":{"a":1},"time":"0x_1p30"}`:                       {problem: "0x_1p30"},
		`{"data":{"a":1},"time":1577934245.5}`:                    {at: "2020-01-02T03:04:05.5Z", rate: 1},
		`{"data":{"a":1},"time":"2026-03-04T06:06:07Z"}`:          {at: "2026-03-04T06:06:07Z", rate: 1},
		`{"data":{"a":1},"time":"2026-03-04T06:06:08Z"}`:          {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{"a":1},"samplerate":16}`:                        {at: "2026-03-04T05:06:07Z", rate: 16},
		`{"data":{"a":1},"samplerate":4.0}`:                       {at: "2026-03-04T05:06:07Z", rate: 4},
		`{"data":{"a":1},"samplerate":-1}`:                        {problem: "samplerate"},
		`{"data":{"a":1},"samplerate":1.5}`:                       {problem: "samplerate"},
		`{"data":{"a":1},"samplerate":"2"}`:                       {problem: "samplerate"},
		`{"data":{"a":1},"samplerate":1e99}`:                      {problem: "samplerate"},
		`{"data":{"a":1},"time":"yesterday"}`:                     {problem: "yesterday"},
		`{"data":{"a":1},"time":{}}`:                              {problem: "time"},
		`{"data":{"a":1},"time":1e300}`:                           {problem: "time"},
		`{"data":{"a":1},"time":"NaN"}`:                           {problem: "time"},
		`{"data":{"a":1},"time":NaN}`:                             {problem: "NaN"},
		`{"data":{"a":1},"time":"1969-12-31T23:59:59Z"}`:          {problem: "before 1970"},
		`{"data":{"a":1},"time":-1}`:                              {problem: "before 1970"},
		`{"data":{"a":1},"time":"0000-01-01T00:00:00Z"}`:          {problem: "cannot be read"},
		`{"data":{"a":1},"time":0}`:                               {at: "1970-01-01T00:00:00Z", rate: 1},
		`{"data":{"a":1},"time":"1970-01-01T00:00:00Z"}`:          {at: "1970-01-01T00:00:00Z", rate: 1},
		`{"data":{"a":1},"time":"9999-12-31T23:59:59Z"}`:          {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{}}`:          {problem: TextEmpty},
		`{"data":null}`:        {problem: TextEmpty},
		`{}`:                   {problem: TextEmpty},
		`{"data":7}`:           {problem: "must be an object"},
		`7`:                    {problem: "must be an object"},
		`[{"data":{"a":1}}]`:   {problem: "must be an object"},
		`{"data":{"a":1e999}}`: {problem: "1e999"},
		`{"data":{"a":"` + strings.Repeat("x", 65_536) + `"}}`:                                             {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{"a":"` + strings.Repeat("x", 65_537) + `"}}`:                                             {problem: "65537 bytes"},
		`{"data":{"` + strings.Repeat("x", 65_537) + `":1}}`:                                               {problem: "name is longer"},
		`{"data":{"a":[` + strings.Repeat("1,", 40_000) + `1]}}`:                                           {problem: "bytes, at most"},
		`{"data":{` + manyFields(2_000) + `}}`:                                                             {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{` + manyFields(2_001) + `}}`:                                                             {problem: TextColumns},
		`{"data":{` + manyFields(1_999) + `,"f1":2,"f1":3,"b":{}}}`:                                        {at: "2026-03-04T05:06:07Z", rate: 1},
		`{"data":{` + longFields(16) + `}}`:                                                                {problem: "too large"},
		`{"data":{"` + strings.Repeat("n", 60_000) + `":{` + manyFields(20) + `}}}`:                        {problem: "too large"},
		`{"data":{"` + strings.Repeat("n", 60_000) + `":{` + strings.Repeat(`"a":1,`, 50_000) + `"a":1}}}`: {problem: "too large"},
	} {
		item := decodeOne(t, in)
		if want.problem != "" {
			if !strings.Contains(item.Problem, want.problem) {
				t.Errorf("%.80s: problem %q, want one about %q", in, item.Problem, want.problem)
			}
			continue
		}
		if got := item.Event.Time.Format(time.RFC3339Nano); got != want.at || item.Event.SampleRate != want.rate || item.Problem != "" {
			t.Errorf("%.80s: time %s, rate %d, problem %q", in, got, item.Event.SampleRate, item.Problem)
		}
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return b.String()[1:]
}

func longFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":"%s"`, i, strings.Repeat("y", 65_000))
	}
	return b.String()[1:]
}

// TestOneBadEventSparesTheOthers: whatever is wrong with the event in the middle, those around it are decoded.
func TestOneBadEventSparesTheOthers(t *testing.T) {
	t.Parallel()
	nest := func(open, shut string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) }
	for name, c := range map[string]struct{ bad, about string }{
		"NaN":                        {`{"data":{"a":NaN}}`, "NaN or infinite"},
		"Infinity":                   {`{"data":{"a":Infinity}}`, "NaN or infinite"},
		"minus Infinity in an array": {`{"data":{"a":[1,-Infinity]}}`, "NaN or infinite"},
		"NaN in an unknown member":   {`{"data":{"a":1},"more":[{"x":NaN}]}`, "NaN or infinite"},
		"NaN sample rate":            {`{"data":{"a":1},"samplerate":NaN}`, "samplerate"},
		"huge number":                {`{"data":{"a":-1e400}}`, "64 bits"},
		"many digits":                {`{"data":{"a":` + strings.Repeat("9", 400) + `}}`, "64 bits"},
		"huge exponent":              {`{"data":{"a":1e99999999999999999999}}`, "64 bits"},
		"deep arrays":                {`{"data":{"a":` + nest("[", "]", 100_000) + `}}`, "1000 levels"},
		"deep objects":               {`{"data":` + nest(`{"a":`, "}", 100_000) + `}`, "1000 levels"},
		"deep unknown member":        {`{"data":{"a":1},"x":` + nest("[", "]", 5000) + `}`, "1000 levels"},
		"deep, with brackets quoted": {`{"data":{"a":` + strings.Repeat("[", 2000) + `"]\"]\\"` + strings.Repeat("]", 2000) + `}}`, "1000 levels"},
		"2,001 columns":              {`{"data":{` + manyFields(2_001) + `}}`, TextColumns},
		"2,001 nested columns":       {`{"data":{"o":{` + manyFields(2_001) + `}}}`, TextColumns},
		"long string":                {`{"data":{"a":"` + strings.Repeat("x", 65<<10) + `"}}`, "66560 bytes"},
		"long name":                  {`{"data":{"` + strings.Repeat("x", 65<<10) + `":1}}`, "name is longer"},
		"not UTF-8":                  {"{\"data\":{\"a\":\"\xff\"}}", "UTF-8"},
		"name not UTF-8":             {"{\"data\":{\"\xc3\x28\":1}}", "UTF-8"},
		"time before 1970":           {`{"data":{"a":1},"time":-62135596800}`, "before 1970"},
		"absurd time":                {`{"data":{"a":1},"time":1e30}`, "cannot be read"},
		"an array":                   {`[{"data":{"a":1}}]`, "must be an object"},
		"no data":                    {`{"time":1}`, TextEmpty},
	} {
		items, err := DecodeBatchJSON([]byte(`[{"data":{"a":1}},`+c.bad+`,{"data":{"b":2}}]`), now)
		if err != nil || len(items) != 3 {
			t.Errorf("%s: %v, %d items", name, err, len(items))
			continue
		}
		if items[0].Problem != "" || !strings.Contains(items[1].Problem, c.about) || items[2].Problem != "" || show(items[2].Event.Fields) != "b=int:2" {
			t.Errorf("%s: %q, %q, %q; want one about %q", name, items[0].Problem, items[1].Problem, items[2].Problem, c.about)
		}
	}
	items, err := DecodeBatchJSON([]byte(`[{"data":{"a":1}},{"data":{"a":1e999}},{"data":{"b":2}}]`), now)
	if err != nil || len(items) != 3 {
		t.Fatal(err, items)
	}
	if items[0].Problem != "" || items[1].Problem == "" || items[2].Problem != "" || show(items[2].Event.Fields) != "b=int:2" {
		t.Errorf("%+v", items)
	}
}

func TestOneEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, at, rate string
		want           string // fields, time, rate
		problem        string
		err            error
	}{
		"plain":            {body: `{"a":1,"b":{"c":"x"}}`, want: "a=int:1 b.c=string:x 2026-03-04T05:06:07Z 1"},
		"time and rate":    {body: ` {"a":1} `, at: "1577934245.5", rate: "16", want: "a=int:1 2020-01-02T03:04:05.5Z 16"},
		"rate of zero":     {body: `{"a":1}`, rate: "0", want: "a=int:1 2026-03-04T05:06:07Z 1"},
		"far ahead":        {body: `{"a":1}`, at: "2036-01-01T00:00:00Z", want: "a=int:1 2026-03-04T05:06:07Z 1"},
		"odd time":         {body: `{"a":1}`, at: "noon", problem: `"noon"`},
		"odd rate":         {body: `{"a":1}`, rate: "many", problem: `"many"`},
		"fractional rate":  {body: `{"a":1}`, rate: "1.5", problem: "samplerate"},
		"rate with a tail": {body: `{"a":1}`, rate: "1x", problem: "samplerate"},
		"NaN":              {body: `{"a":NaN}`, problem: "NaN"},
		"not UTF-8":        {body: "{\"a\":\"\xff\"}", problem: "UTF-8"},
		"no fields":        {body: `{}`, problem: TextEmpty},
		"empty":            {body: ` `, err: ErrEmpty},
		"an array":         {body: `[{"a":1}]`, err: ErrMalformed},
		"two":              {body: `{"a":1}{"a":1}`, err: ErrMalformed},
		"cut":              {body: `{"a":1`, err: ErrMalformed},
	} {
		item, err := DecodeEvent([]byte(c.body), c.at, c.rate, Options{Now: now})
		got := show(item.Event.Fields) + item.Event.Time.Format(" "+time.RFC3339Nano) + fmt.Sprint(" ", item.Event.SampleRate)
		switch {
		case !errors.Is(err, c.err):
			t.Errorf("%s: %v, want %v", name, err, c.err)
		case c.problem != "" && !strings.Contains(item.Problem, c.problem):
			t.Errorf("%s: problem %q, want one about %q", name, item.Problem, c.problem)
		case c.want != "" && (got != c.want || item.Problem != ""):
			t.Errorf("%s: %s %q, want %s", name, got, item.Problem, c.want)
		}
	}
}

var malformed = []string{
	`{`, `[`, `[}`, `[{]`, `[{"data":{"a":1}}`, `[{"data":{"a":1}}]]`, `[{"data":{"a":1}},]`, `[,]`, `[{"data":{"a":1}} {}]`,
	`{"data":{"a":1}}`, `null`, `7`, `"x"`, `[{"data":{"a":01}}]`, `[{"data":{"a":1.}}]`, `[{"data":{"a":.5}}]`, `[{"data":{"a":+1}}]`,
	`[{"data":{"a":1e}}]`, `[{"data":{"a":-}}]`, `[{"data":{"a":nan}}]`, `[{"data":{"a":Inf}}]`, `[{"data":{"a":tru}}]`, `[{"data":{a:1}}]`, `[{"data":{'a':1}}]`,
	`[{"data":{"a" 1}}]`, `[{"data":{"a":1,}}]`, `[{"data":{"a":"x}}]`, "[{\"data\":{\"a\":\"x\ny\"}}]", `[{"data":{"a":"\x"}}]`,
	`[{"data":{"a":"\u12"}}]`, `[{"data":{"a":"\u12g4"}}]`, `[{"data":{"a":"\`, "[{\"data\":{\"a\":\xff}}]", "[{\"data\":{\"a\":1}}]\x00", "\xef\xbb\xbf[]",
	`[{"data":{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 1999) + `}}]`,
}

func TestMalformedBatches(t *testing.T) {
	t.Parallel()
	for _, in := range malformed {
		if items, err := DecodeBatchJSON([]byte(in), now); !errors.Is(err, ErrMalformed) || items != nil {
			t.Errorf("%.60q: %v", in, err)
		}
	}
	for _, in := range []string{"", " \n", "[]", "[ ]"} {
		if _, err := DecodeBatchJSON([]byte(in), now); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := DecodeBatchJSON([]byte("["+strings.Repeat("{},", MaxBatchEvents)+"{}]"), now); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "50000") {
		t.Errorf("%v", err)
	}
}

func TestBatchJSONRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := genEvents(t)
		if len(events) == 0 {
			return
		}
		for i := range events {
			events[i].ID = ID{}
			events[i].Time = time.Unix(rapid.Int64Range(0, now.Unix()).Draw(t, "sec"), int64(events[i].Time.Nanosecond())).UTC()
			if len(events[i].Fields) == 0 {
				events[i].Fields = []Field{{"x", IntValue(1)}}
			}
		}
		items, err := DecodeBatchJSON(AppendBatchJSON(nil, events), now)
		if err != nil {
			t.Fatal(err)
		}
		for i := range items {
			if items[i].Problem != "" || !items[i].Event.Equal(&events[i]) {
				t.Fatalf("%s\n got %+v\nwant %+v", AppendBatchJSON(nil, events[i:i+1]), items[i], events[i])
			}
		}
	})
}

// TestDecodedDoesNotReferToBody: a body's buffer may be reused.
func TestDecodedDoesNotReferToBody(t *testing.T) {
	t.Parallel()
	body := []byte(`[{"data":{"name":"value"}}]`)
	items, err := DecodeBatchJSON(body, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = '#'
	}
	if got := show(items[0].Event.Fields); got != "name=string:value" {
		t.Error(got)
	}
}

// FuzzBatchJSON compares what is accepted, and every simple field, with encoding/json.
func FuzzBatchJSON(f *testing.F) {
	for _, s := range malformed {
		f.Add([]byte(s))
	}
	f.Add([]byte(`[{"data":{"a":1,"b":{"c":[1,2]},"d":"é😀"},"time":1577934245,"samplerate":3},{"data":{"x":-1.5e3}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := DecodeBatchJSON(body, now)
		var reference []json.RawMessage
		valid := utf8.Valid(body) && json.Unmarshal(body, &reference) == nil && reference != nil
		switch {
		case err != nil && valid && len(reference) > 0 && len(body) < 1000:
			t.Fatalf("encoding/json takes %q, we say %v", body, err)
		case err == nil && !valid:
			if !slices.ContainsFunc(items, func(i Item) bool { return strings.Contains(i.Problem, "malformed") }) {
				t.Fatalf("encoding/json refuses %q", body)
			}
			return
		case err != nil:
			return
		case len(items) != len(reference):
			t.Fatalf("%d items of %d elements", len(items), len(reference))
		}
		for i := range items {
			compareFlat(t, &items[i], reference[i])
		}
		// What is accepted can be encoded and comes back.
		var events []Event
		for _, item := range items {
			if item.Problem == "" {
				events = append(events, item.Event)
			}
		}
		if len(events) > 0 {
			again, err := DecodeChunk(AppendChunk(nil, Dataset{1, "d"}, events))
			if err != nil || len(again.Events) != len(events) {
				t.Fatal(err)
			}
		}
	})
}

// compareFlat compares the fields of an element whose data has no nesting and no repeated names with encoding/json's view.
func compareFlat(t *testing.T, item *Item, element json.RawMessage) {
	if item.Problem != "" {
		return
	}
	dec := json.NewDecoder(bytes.NewReader(element))
	var env struct {
		Data map[string]any `json:"data"`
	}
	dec.UseNumber()
	if dec.Decode(&env) != nil {
		return
	}
	for i := range item.Event.Fields {
		f := &item.Event.Fields[i]
		ref, ok := env.Data[f.Name]
		if !ok {
			continue // flattened, or encoding/json folded the case of "data"
		}
		switch ref := ref.(type) {
		case string:
			if len(env.Data) == len(item.Event.Fields) && f.Value.Kind() == String && f.Value.Str() != ref {
				t.Fatalf("field %q of %s: %q, want %q", f.Name, element, f.Value.Str(), ref)
			}
		case json.Number:
			if n, err := ref.Float64(); len(env.Data) == len(item.Event.Fields) && (f.Value.Kind() == Int || f.Value.Kind() == Float) && err == nil && f.Value.Float() != n && !math.IsNaN(n) {
				t.Fatalf("field %q of %s: %v, want %v", f.Name, element, f.Value, ref)
			}
		}
	}
}

func BenchmarkDecodeBatchJSON(b *testing.B) {
	body := AppendBatchJSON(nil, benchEvents())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBatchJSON(body, now); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTextEndsWhereItDoes compares the search eight bytes at a time with one byte at a time.
func TestTextEndsWhereItDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.SampledFrom([]byte("ab\"\\\x00\x1f \x20\x21\x7f\x80\xa2\xdc\xff"))).Draw(t, "text"))
		from := rapid.IntRange(0, len(s)).Draw(t, "from")
		got := plainEnd(s, from)
		for i := from; i < got; i++ {
			if s[i] == '"' || s[i] == '\\' || s[i] < ' ' {
				t.Fatalf("%q from %d: %d, passed byte %d", s, from, got, i)
			}
		}
		if got+8 <= len(s) && s[got] != '"' && s[got] != '\\' && s[got] >= ' ' {
			t.Fatalf("%q from %d: stopped at %d", s, from, got)
		}
	})
}

// TestNamesLikeTheEventBefore: names are looked for again as soon as they differ from the event before.
func TestNamesLikeTheEventBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var body strings.Builder
		var want []string
		for i := range rapid.IntRange(1, 5).Draw(t, "events") {
			order := []string{}
			last := map[string]int{}
			body.WriteString([]string{"[", ","}[min(i, 1)] + `{"data":{`)
			for j := range rapid.IntRange(1, 60).Draw(t, "fields") {
				name := fmt.Sprint("f", j)
				if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
					name = fmt.Sprint("f", rapid.IntRange(0, 60).Draw(t, "name"))
				}
				if _, ok := last[name]; !ok {
					order = append(order, name)
				}
				last[name] = j
				fmt.Fprintf(&body, `%s"%s":%d`, []string{"", ","}[min(j, 1)], name, j)
			}
			body.WriteString("}}")
			fields := ""
			for _, name := range order {
				fields += fmt.Sprintf(" %s=int:%d", name, last[name])
			}
			want = append(want, fields[1:])
		}
		items, err := DecodeBatchJSON([]byte(body.String()+"]"), now)
		if err != nil || len(items) != len(want) {
			t.Fatal(err, len(items))
		}
		for i := range items {
			if got := show(items[i].Event.Fields); got != want[i] {
				t.Fatalf("event %d of %s]\n got %s\nwant %s", i, body.String(), got, want[i])
			}
		}
	})
}
