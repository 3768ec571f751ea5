package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func packedOf(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type anyMap = map[string]any

// genAny draws a value that JSON and MessagePack can both say.
func genAny(t *rapid.T, depth int) any {
	kinds := 8
	if depth > 7 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Int64().Draw(t, "int")
	case 3:
		return rapid.Int64Range(-40_000, 70_000).Draw(t, "small")
	case 4:
		return float64(rapid.Int32().Draw(t, "float")) + 0.5
	case 5:
		return rapid.StringN(0, 40, -1).Draw(t, "text")
	case 6:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, genAny(t, depth+1))
		}
		return list
	}
	return genMap(t, depth+1)
}

func genMap(t *rapid.T, depth int) anyMap {
	m := anyMap{}
	for range rapid.IntRange(0, 20/(depth+1)).Draw(t, "members") {
		m[rapid.StringN(0, 5, -1).Draw(t, "name")] = genAny(t, depth)
	}
	return m
}

// TestMsgpackIsLikeJSON: the same events, in either encoding, are decoded alike.
func TestMsgpackIsLikeJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var batch []any
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			e := anyMap{"data": genMap(t, 0)}
			if rapid.Bool().Draw(t, "rate") {
				e["samplerate"] = rapid.Int64Range(-2, 300).Draw(t, "samplerate")
			}
			switch rapid.IntRange(0, 4).Draw(t, "time") {
			case 0:
				e["time"] = now.Add(-time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "ago"))).Format(time.RFC3339Nano)
			case 1:
				e["time"] = rapid.Int64Range(-5, 2e15).Draw(t, "unix")
			case 2:
				e["time"] = float64(rapid.Int64Range(0, 1e9).Draw(t, "unix")) + 0.25
			case 3:
				e["time"] = nil
			}
			batch = append(batch, e)
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(batch); err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		p := msgpack.NewEncoder(&packed)
		p.SetSortMapKeys(true)
		p.UseCompactInts(rapid.Bool().Draw(t, "compact"))
		if err := p.Encode(batch); err != nil {
			t.Fatal(err)
		}
		want, err := DecodeBatch(text.Bytes(), Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBatchMsgpack(packed.Bytes(), Options{Now: now})
		if err != nil || len(got) != len(want) {
			t.Fatalf("%v, %d of %d items", err, len(got), len(want))
		}
		for i := range want {
			// Texts of JSON are as the client wrote them, those of MessagePack as this package writes JSON.
			if (got[i].Problem == "") != (want[i].Problem == "") || !sameFields(got[i].Event.Fields, want[i].Event.Fields) ||
				!got[i].Event.Time.Equal(want[i].Event.Time) || got[i].Event.SampleRate != want[i].Event.SampleRate {
				t.Fatalf("%s\n got %q %s\nwant %q %s", text.Bytes(), got[i].Problem, show(got[i].Event.Fields), want[i].Problem, show(want[i].Event.Fields))
			}
		}
	})
}

func sameFields(a, b []Field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name {
			return false
		}
		if a[i] != b[i] && !sameJSON(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

func sameJSON(a, b Value) bool {
	var x, y any
	return a.Kind() == String && b.Kind() == String && json.Unmarshal([]byte(a.Str()), &x) == nil && json.Unmarshal([]byte(b.Str()), &y) == nil &&
		fmt.Sprint(x) == fmt.Sprint(y)
}

func TestMsgpackEnvelope(t *testing.T) {
	t.Parallel()
	data := anyMap{"a": 1}
	at := time.Date(2020, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	stamp := func(b ...byte) msgpack.RawMessage { return b }
	deep := func(n int) any {
		var v any = 1
		for range n {
			v = []any{v}
		}
		return v
	}
	for name, c := range map[string]struct {
		event   any
		want    string // time, rate
		problem string
	}{
		"no time":              {event: anyMap{"data": data}, want: "2026-03-04T05:06:07Z 1"},
		"nil time":             {event: anyMap{"data": data, "time": nil, "samplerate": nil}, want: "2026-03-04T05:06:07Z 1"},
		"timestamp of 4 bytes": {event: anyMap{"data": data, "time": at.Truncate(time.Second)}, want: "2020-01-02T03:04:05Z 1"},
		"timestamp of 8 bytes": {event: anyMap{"data": data, "time": at}, want: "2020-01-02T03:04:05.678Z 1"},
		"timestamp of 12":      {event: anyMap{"data": data, "time": stamp(0xc7, 12, 0xff, 0, 0, 0, 7, 0, 0, 0, 0, 0x5e, 0x0d, 0x5f, 0x25)}, want: "2020-01-02T03:10:29.000000007Z 1"},
		"timestamp far ahead":  {event: anyMap{"data": data, "time": now.Add(2 * time.Hour)}, want: "2026-03-04T05:06:07Z 1"},
		"timestamp too early":  {event: anyMap{"data": data, "time": time.Unix(-1, 0)}, problem: "before 1970"},
		"timestamp too long":   {event: anyMap{"data": data, "time": stamp(0xc7, 3, 0xff, 1, 2, 3)}, problem: "cannot be read"},
		"timestamp of year 1e9": {event: anyMap{"data": data, "time": stamp(0xc7, 12, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0)},
			problem: "cannot be read"},
		"another extension":  {event: anyMap{"data": data, "time": stamp(0xd4, 5, 1)}, problem: "cannot be read"},
		"RFC 3339":           {event: anyMap{"data": data, "time": "2020-01-02T03:04:05.678+01:00"}, want: "2020-01-02T02:04:05.678Z 1"},
		"seconds":            {event: anyMap{"data": data, "time": 1577934245}, want: "2020-01-02T03:04:05Z 1"},
		"milliseconds":       {event: anyMap{"data": data, "time": uint64(1577934245678)}, want: "2020-01-02T03:04:05.678Z 1"},
		"microseconds":       {event: anyMap{"data": data, "time": 1577934245678901}, want: "2020-01-02T03:04:05.678901Z 1"},
		"a float":            {event: anyMap{"data": data, "time": 1577934245.5}, want: "2020-01-02T03:04:05.5Z 1"},
		"a whole float":      {event: anyMap{"data": data, "time": 1577934245678.0}, want: "2020-01-02T03:04:05.678Z 1"},
		"NaN":                {event: anyMap{"data": data, "time": math.NaN()}, problem: "time"},
		"a map":              {event: anyMap{"data": data, "time": anyMap{}}, problem: "time"},
		"rate":               {event: anyMap{"data": data, "samplerate": uint(16)}, want: "2026-03-04T05:06:07Z 16"},
		"rate as a float":    {event: anyMap{"data": data, "samplerate": 4.0}, want: "2026-03-04T05:06:07Z 4"},
		"rate of zero":       {event: anyMap{"data": data, "samplerate": 0}, want: "2026-03-04T05:06:07Z 1"},
		"rate below zero":    {event: anyMap{"data": data, "samplerate": -3}, problem: "samplerate"},
		"rate of 1.5":        {event: anyMap{"data": data, "samplerate": 1.5}, problem: "samplerate"},
		"rate of NaN":        {event: anyMap{"data": data, "samplerate": math.NaN()}, problem: "samplerate"},
		"rate as a text":     {event: anyMap{"data": data, "samplerate": "2"}, problem: "samplerate"},
		"no data":            {event: anyMap{"time": 1}, problem: TextEmpty},
		"nil data":           {event: anyMap{"data": nil}, problem: TextEmpty},
		"data a number":      {event: anyMap{"data": 7}, problem: "must be a map"},
		"not a map":          {event: 7, problem: "must be a map"},
		"an array":           {event: []any{anyMap{"data": data}}, problem: "must be a map"},
		"number as a name":   {event: map[any]any{1: 2, "data": data}, problem: "must be strings"},
		"number as a field":  {event: anyMap{"data": map[any]any{1: 2, "a": 1}}, problem: "not a string"},
		"deep number field":  {event: anyMap{"data": anyMap{"a": []any{map[any]any{1: 2}}}}, problem: "not a string"},
		"NaN in data":        {event: anyMap{"data": anyMap{"a": math.NaN()}}, problem: "NaN or infinite"},
		"Inf in an array":    {event: anyMap{"data": anyMap{"a": []any{1, float32(math.Inf(1))}}}, problem: "NaN or infinite"},
		"deep":               {event: anyMap{"data": anyMap{"a": deep(1500)}}, problem: "1000 levels"},
		"deeper":             {event: anyMap{"data": anyMap{"a": deep(30_000)}}, problem: "1000 levels"},
		"deep elsewhere":     {event: anyMap{"data": data, "x": deep(30_000)}, want: "2026-03-04T05:06:07Z 1"},
		"not UTF-8":          {event: anyMap{"data": anyMap{"a": "\xff"}}, problem: "UTF-8"},
		"name not UTF-8":     {event: anyMap{"data": anyMap{"a\xff": 1}}, problem: "UTF-8"},
		"deep not UTF-8":     {event: anyMap{"data": anyMap{"a": []any{"\xff"}}}, problem: "UTF-8"},
		"long string":        {event: anyMap{"data": anyMap{"a": strings.Repeat("x", 65_537)}}, problem: "65537 bytes"},
		"long binary":        {event: anyMap{"data": anyMap{"a": make([]byte, 60_000)}}, problem: "80000 bytes"},
		"long text in array": {event: anyMap{"data": anyMap{"a": []any{strings.Repeat("x", 65_537)}}}, problem: "more than 65536"},
		"long array":         {event: anyMap{"data": anyMap{"a": make([]int, 40_000)}}, problem: "more than 65536"},
		"extension":          {event: anyMap{"data": anyMap{"a": stamp(0xd6, 9, 1, 2, 3, 4)}}, problem: "extension"},
		"deep extension":     {event: anyMap{"data": anyMap{"a": []any{stamp(0xc8, 0, 2, 9, 1, 2)}}}, problem: "extension"},
	} {
		body := packedOf(t, []any{anyMap{"data": anyMap{"x": 0}}, c.event, anyMap{"data": anyMap{"y": 2}}})
		items, err := DecodeBatchMsgpack(body, Options{Now: now})
		if err != nil || len(items) != 3 {
			t.Errorf("%s: %v, %d items", name, err, len(items))
			continue
		}
		got := items[1].Event.Time.Format(time.RFC3339Nano) + fmt.Sprint(" ", items[1].Event.SampleRate)
		if c.problem == "" && (got != c.want || items[1].Problem != "") || !strings.Contains(items[1].Problem, c.problem) {
			t.Errorf("%s: %s %q, want %s %q", name, got, items[1].Problem, c.want, c.problem)
		}
		if show(items[2].Event.Fields) != "y=int:2" || items[0].Problem != "" { // the others are not affected
			t.Errorf("%s: the event after it: %+v", name, items[2])
		}
	}
}

func TestMsgpackValues(t *testing.T) {
	t.Parallel()
	at := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	body := packedOf(t, []any{anyMap{"data": anyMap{
		"a": uint64(math.MaxUint64), "b": int64(math.MinInt64), "c": float32(0.5), "d": []byte("hi"), "e": at, "f": []any{[]byte("hi"), at, "x", nil, true},
		"g": anyMap{"h": anyMap{"i": anyMap{"j": anyMap{"k": 1, "l": anyMap{"m": "n"}}}}}, "o": anyMap{}, "p": -129, "q": -1, "r": 200, "s": 70_000,
	}}})
	const want = `a=float:1.8446744073709552e+19 b=int:-9223372036854775808 c=float:0.5 d=string:aGk= e=string:2020-01-02T03:04:05.000000006Z ` +
		`f=string:["aGk=","2020-01-02T03:04:05.000000006Z","x",null,true] g.h.i.j.k=int:1 g.h.i.j.l=string:{"m":"n"} o=string:{} p=int:-129 q=int:-1 r=int:200 s=int:70000`
	items, err := DecodeBatchMsgpack(body, Options{Now: now})
	if err != nil || items[0].Problem != "" {
		t.Fatal(err, items)
	}
	if got := show(items[0].Event.Fields); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	// Of fields with one name the last wins.
	twice := []byte("\x91\x81\xa4data\x83\xa1a\x01\xa1b\x02\xa1a\x03")
	if items, err := DecodeBatchMsgpack(twice, Options{Now: now}); err != nil || show(items[0].Event.Fields) != "a=int:3 b=int:2" {
		t.Error(err, items)
	}
	item, err := DecodeEventMsgpack(packedOf(t, anyMap{"a": anyMap{"b": 1}}), "1577934245", "16", Options{Now: now})
	if err != nil || show(item.Event.Fields) != "a.b=int:1" || item.Event.SampleRate != 16 || item.Event.Time.Unix() != 1577934245 {
		t.Error(err, item)
	}
}

func TestMalformedMsgpack(t *testing.T) {
	t.Parallel()
	good := packedOf(t, []any{anyMap{"data": anyMap{"a": []any{1.5, "x", []byte("y"), now}}, "time": now}})
	for i := range good {
		if _, err := DecodeBatchMsgpack(good[:i], Options{Now: now}); i > 0 && !errors.Is(err, ErrMalformed) || i == 0 && !errors.Is(err, ErrEmpty) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
	for _, c := range []struct {
		body string
		want error
	}{
		{"", ErrEmpty}, {"\x90", ErrEmpty}, {"\x80", ErrMalformed}, {"\xc1", ErrMalformed}, {"\x07", ErrMalformed},
		{"\xdd\xff\xff\xff\xff", ErrMalformed},                  // 4 billion events
		{"\x91\xdf\xff\xff\xff\xff", ErrMalformed},              // 4 billion members
		{"\x91\x81\xa4data\xdb\xff\xff\xff\xffx", ErrMalformed}, // a name of 4 GB
		{"\x91\x81\xa4data\x81\xa1a\xc6\xff\xff\xff\xff", ErrMalformed},
		{"\x91\x81\xa4data\x81\xa1a\xc9\xff\xff\xff\xff", ErrMalformed},
		{"\x91\x81\xa4data\x81\xa1a\xc1", ErrMalformed},
		{string(good) + "\x00", ErrMalformed}, {`[{"data":{}}]`, ErrMalformed},
		{"\xdd\x00\x00\xc3\x51" + strings.Repeat("\x80", 50_001), ErrMalformed},
	} {
		if items, err := DecodeBatchMsgpack([]byte(c.body), Options{Now: now}); !errors.Is(err, c.want) || items != nil {
			t.Errorf("%.40q: %v, want %v", c.body, err, c.want)
		}
	}
	for _, c := range []struct {
		body string
		want error
	}{{"", ErrEmpty}, {"\x90", ErrMalformed}, {"\x81\xa1a", ErrMalformed}, {"\x81\xa1a\x01\x01", ErrMalformed}} {
		if _, err := DecodeEventMsgpack([]byte(c.body), "", "", Options{Now: now}); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.body, err, c.want)
		}
	}
}

// TestMsgpackMemoryIsGranted compares what decoding hostile bodies allocates with what was granted.
func TestMsgpackMemoryIsGranted(t *testing.T) { // not parallel: it measures the whole process's memory
	many := func(n int, v any) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = v
		}
		return list
	}
	wide := anyMap{}
	for i := range 2000 {
		wide[fmt.Sprint(i)] = 1
	}
	for name, batch := range map[string][]any{
		"empty events":    many(50_000, anyMap{}),
		"numbers":         many(50_000, 7),
		"tiny events":     many(50_000, anyMap{"data": anyMap{"": 1}}),
		"wide events":     many(100, anyMap{"data": wide}),
		"repeated prefix": many(10, anyMap{"data": anyMap{strings.Repeat("n", 60_000): anyMap{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}}}),
		"control bytes":   many(30, anyMap{"data": anyMap{"a": []any{strings.Repeat("\x00", 10_000)}}}),
		"nil arrays":      many(30, anyMap{"data": anyMap{"a": make([]any, 13_000)}}),
	} {
		body := packedOf(t, batch)
		asked := int64(0)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		items, err := DecodeBatchMsgpack(body, Options{Now: now, Reserve: func(n int64) bool { asked += n; return true }})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The text buffer's growth is bounded by the length of a field.
		if took := int64(after.TotalAlloc - before.TotalAlloc); took > 2*asked+1<<20 {
			t.Errorf("%s: %d bytes take %d, asked for %d", name, len(body), took, asked)
		}
		runtime.KeepAlive(items)
		for _, share := range []int64{0, 30, 90} {
			left := asked * share / 100
			if items, err := DecodeBatchMsgpack(body, Options{Now: now, Reserve: func(n int64) bool { left -= n; return left >= 0 }}); !errors.Is(err, ErrNoRoom) || items != nil {
				t.Errorf("%s with %d%%: %v", name, share, err)
			}
		}
	}
}

// FuzzMsgpack: whatever is decoded is within the limits and can be encoded.
func FuzzMsgpack(f *testing.F) {
	f.Add(packedOf(f, []any{anyMap{"data": anyMap{"a": 1, "b": []any{1.5, "x", nil, now}, "c": anyMap{"d": anyMap{}}}, "time": now, "samplerate": 3}}))
	f.Add([]byte("\x91\x81\xa4data\x83\xa1a\x01\xa1b\x02\xa1a\x03"))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := DecodeBatchMsgpack(body, Options{Now: now})
		if err != nil {
			if items != nil {
				t.Fatal("items beside an error")
			}
			return
		}
		var events []Event
		for _, item := range items {
			if item.Problem != "" {
				continue
			}
			if len(item.Event.Fields) == 0 || len(item.Event.Fields) > MaxFields || item.Event.SampleRate < 1 || item.Event.Time.Unix() < 0 {
				t.Fatalf("%+v", item.Event)
			}
			seen := map[string]bool{}
			for _, f := range item.Event.Fields {
				if seen[f.Name] || len(f.Name) > MaxStringBytes || len(f.Value.Str()) > MaxStringBytes {
					t.Fatalf("field %q", f.Name)
				}
				seen[f.Name] = true
			}
			events = append(events, item.Event)
		}
		again, err := DecodeChunk(AppendChunk(nil, Dataset{1, "d"}, events))
		if err != nil || len(again.Events) != len(events) {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecodeBatchMsgpack(b *testing.B) {
	var batch []any
	for _, e := range benchEvents() {
		data := anyMap{}
		for _, f := range e.Fields {
			switch f.Value.Kind() {
			case Bool:
				data[f.Name] = f.Value.Bool()
			case Int:
				data[f.Name] = f.Value.Int()
			case Float:
				data[f.Name] = f.Value.Float()
			default:
				data[f.Name] = f.Value.Str()
			}
		}
		batch = append(batch, anyMap{"data": data, "time": e.Time})
	}
	body := packedOf(b, batch)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBatchMsgpack(body, Options{Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}
