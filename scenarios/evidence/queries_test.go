package evidence

import (
	"encoding/json"
	"math"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// drawQuery draws a query with any answer that survives being saved.
func drawQuery(t *rapid.T, text *rapid.Generator[string], moment *rapid.Generator[time.Duration]) Query {
	value := rapid.OneOf(
		rapid.Just(event.Value{}), rapid.Map(rapid.Bool(), event.BoolValue), rapid.Map(rapid.Int64(), event.IntValue),
		rapid.Map(rapid.Float64(), event.FloatValue), rapid.Map(text, event.StringValue),
	)
	cell := rapid.Custom(func(t *rapid.T) exec.Cell {
		if rapid.Bool().Draw(t, "plain") {
			return exec.Cell{Value: value.Draw(t, "value")}
		}
		c := exec.Cell{Heatmap: []exec.Bucket{}}
		for range rapid.IntRange(0, 3).Draw(t, "buckets") {
			c.Heatmap = append(c.Heatmap, exec.Bucket{From: rapid.Float64().Draw(t, "from"), To: math.Inf(1), Count: float64(rapid.IntRange(0, 99).Draw(t, "count"))})
		}
		return c
	})
	row := rapid.Custom(func(t *rapid.T) exec.Row {
		return exec.Row{Group: orNil(rapid.SliceOfN(value, 0, 2).Draw(t, "group")), Values: orNil(rapid.SliceOfN(cell, 0, 2).Draw(t, "values"))}
	})
	q := Query{
		Reader: rapid.IntRange(0, 3).Draw(t, "reader"), Shape: text.Draw(t, "shape"), Team: text.Draw(t, "team"), Dataset: text.Draw(t, "dataset"), Target: text.Draw(t, "target"),
		Intended: moment.Draw(t, "intended"), Sent: moment.Draw(t, "sent"), Done: moment.Draw(t, "done"), Code: rapid.IntRange(0, 599).Draw(t, "code"),
		Error: text.Draw(t, "error"), Complete: rapid.Bool().Draw(t, "complete"),
	}
	q.Spec = rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage(`{"calculations":[{"op":"COUNT"}]}`), json.RawMessage("not JSON {")}).Draw(t, "spec")
	for range rapid.IntRange(0, 2).Draw(t, "missing") {
		q.Missing = append(q.Missing, query.Missing{Partition: rapid.Int32().Draw(t, "partition"), From: rapid.Int64().Draw(t, "from"), To: rapid.Int64().Draw(t, "to"), Why: text.Draw(t, "why")})
	}
	if rapid.Bool().Draw(t, "answered") {
		q.Result = &exec.Result{Columns: orNil(rapid.SliceOfN(text, 0, 2).Draw(t, "columns")), Rows: orNil(rapid.SliceOfN(row, 0, 3).Draw(t, "rows"))}
		for range rapid.IntRange(0, 2).Draw(t, "points") {
			q.Result.Series = append(q.Result.Series, exec.Point{Start: rapid.Int64().Draw(t, "start"), Row: row.Draw(t, "row")})
		}
	}
	return q
}

func TestValuesKeepTheirKinds(t *testing.T) {
	t.Parallel()
	for text, v := range map[string]event.Value{
		"null": {}, "true": event.BoolValue(true), "7": event.IntValue(7), "-9223372036854775808": event.IntValue(math.MinInt64), "7.0": event.FloatValue(7),
		"1e+300": event.FloatValue(1e300), "-0.0": event.FloatValue(math.Copysign(0, -1)), `"7"`: event.StringValue("7"), `{"float":"+Inf"}`: event.FloatValue(math.Inf(1)),
	} {
		data, err := json.Marshal(savedValue(v))
		if err != nil || string(data) != text {
			t.Errorf("%v is written %s (%v), want %s", v, data, err, text)
		}
		var back savedValue
		if err := json.Unmarshal(data, &back); err != nil || event.Value(back) != v {
			t.Errorf("%s is read as %v (%v)", data, event.Value(back), err)
		}
	}
	for _, wrong := range []string{`{"float":"much"}`, `{}`, `99999999999999999999`, `[1]`, `{"heatmap":[1,2]}`} {
		var c savedCell
		if err := json.Unmarshal([]byte(wrong), &c); err == nil {
			t.Errorf("%s is read as %+v", wrong, c)
		}
	}
}

// TestVersion1IsStillRead: runs that were saved before there were queries keep their meaning.
func TestVersion1IsStillRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "check", "testdata", "histories", "clean")
	e, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if e.Run.Version != 1 || len(e.Ops) == 0 || len(e.Held) == 0 || e.Queries != nil || e.Pairs != nil {
		t.Fatalf("version %d, %d requests, %d held, %d queries", e.Run.Version, len(e.Ops), len(e.Held), len(e.Queries))
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := Save(again, e); err != nil {
		t.Fatal(err)
	}
	got, err := Load(again)
	if err != nil || got.Run.Version != Version || FirstDifference(e, got).Found() || !reflect.DeepEqual(e.Held, got.Held) {
		t.Fatalf("saved anew it is another: %v, %v", err, FirstDifference(e, got))
	}
}
