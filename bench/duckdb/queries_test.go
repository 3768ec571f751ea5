package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// question is the same in both languages. The SQL has the group's columns first, then the calculations as DOUBLE.
type question struct {
	name string
	spec string // without the time range, which is the whole hour unless within says otherwise
	sql  string // FROM FILES stands for the files
	keys int    // breakdowns
	// near is the relative difference allowed in a calculation, by its index: for sketches. The others are equal to a rounding
	// of the last bits, which DuckDB's sums have.
	near map[int]float64
	// within is the time range in seconds of the hour.
	within [2]int64
	series bool // compares the time series: the SQL's first column is the interval's beginning in Unix seconds
}

// weighted is the value that at least that share of the weight does not exceed, by definition.
func weighted(column string, perMille int, by string) string {
	partition, keys := "", ""
	if by != "" {
		partition, keys = "PARTITION BY "+by, by+", "
	}
	return fmt.Sprintf(`SELECT %[3]smin(v)::DOUBLE FROM (SELECT %[3]s%[1]s::DOUBLE AS v, sum("_sample_rate") OVER (%[4]s ORDER BY %[1]s RANGE UNBOUNDED PRECEDING) AS c,
		sum("_sample_rate") OVER (%[4]s) AS t FROM FILES WHERE %[1]s IS NOT NULL) WHERE c * 1000 >= t * %[2]d`, column, perMille, keys, partition) + groupBy(by)
}

func groupBy(by string) string {
	if by == "" {
		return ""
	}
	return " GROUP BY " + by
}

func questions() []question {
	all := []question{
		{name: "everything of one group", spec: `"calculations": [{"op":"COUNT"},{"op":"SUM","column":"duration_ms"},{"op":"AVG","column":"duration_ms"},{"op":"MIN","column":"duration_ms"},
			{"op":"MAX","column":"duration_ms"},{"op":"SUM","column":"app.field_15"},{"op":"AVG","column":"app.field_15"},{"op":"COUNT_DISTINCT","column":"app.field_05"},
			{"op":"COUNT_DISTINCT","column":"app.field_10"},{"op":"MIN","column":"app.field_20"},{"op":"MAX","column":"app.field_20"}]`,
			sql: `SELECT sum("_sample_rate")::DOUBLE, sum(duration_ms * "_sample_rate"), sum(duration_ms * "_sample_rate") / sum("_sample_rate"), min(duration_ms), max(duration_ms),
			sum("app.field_15" * "_sample_rate")::DOUBLE, sum("app.field_15" * "_sample_rate") / sum("_sample_rate") FILTER ("app.field_15" IS NOT NULL),
			count(DISTINCT "app.field_05")::DOUBLE, count(DISTINCT "app.field_10")::DOUBLE, min("app.field_20")::DOUBLE, max("app.field_20")::DOUBLE FROM FILES`,
			near: map[int]float64{8: 0.05}},
		{name: "by service", keys: 1, spec: `"breakdowns": ["service.name"], "calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"},{"op":"COUNT_DISTINCT","column":"app.field_03"}]`,
			sql: `SELECT "service.name", sum("_sample_rate")::DOUBLE, sum(duration_ms * "_sample_rate") / sum("_sample_rate"), count(DISTINCT "app.field_03")::DOUBLE FROM FILES GROUP BY 1`},
		{name: "by what is absent at times", keys: 1, spec: `"breakdowns": ["app.field_03"], "calculations": [{"op":"COUNT"},{"op":"MAX","column":"app.field_14"}]`,
			sql: `SELECT "app.field_03", sum("_sample_rate")::DOUBLE, max("app.field_14")::DOUBLE FROM FILES GROUP BY 1`},
		{name: "by a boolean and an int", keys: 2, spec: `"breakdowns": ["app.field_27", "app.field_13"], "calculations": [{"op":"COUNT"},{"op":"SUM","column":"duration_ms"}]`,
			sql: `SELECT "app.field_27", "app.field_13", sum("_sample_rate")::DOUBLE, sum(duration_ms * "_sample_rate") FROM FILES GROUP BY 1, 2`},
		{name: "filters with and", keys: 1, spec: `"breakdowns": ["app.field_08"], "calculations": [{"op":"COUNT"}], "filters": [{"column":"duration_ms","op":">","value":12.25},{"column":"app.field_04","op":"!=","value":"value-0001"},
			{"column":"app.field_15","op":"exists"},{"column":"app.field_05","op":"starts-with","value":"value-00"}]`,
			sql: `SELECT "app.field_08", sum("_sample_rate")::DOUBLE FROM FILES WHERE duration_ms > 12.25 AND "app.field_04" <> 'value-0001' AND "app.field_15" IS NOT NULL AND "app.field_05" LIKE 'value-00%' GROUP BY 1`},
		{name: "filters with or", spec: `"calculations": [{"op":"COUNT"},{"op":"MIN","column":"app.field_16"}], "filter_combination": "OR", "filters": [{"column":"app.field_13","op":"<","value":3},
			{"column":"app.field_27","op":"=","value":true},{"column":"app.field_00","op":"in","value":["nothing"]},{"column":"app.field_01","op":"in","value":["value-0002","value-0003"]},{"column":"app.field_25","op":"does-not-exist"}]`,
			sql: `SELECT sum("_sample_rate")::DOUBLE, min("app.field_16")::DOUBLE FROM FILES WHERE "app.field_13" < 3 OR "app.field_27" OR "app.field_01" IN ('value-0002', 'value-0003') OR "app.field_25" IS NULL`},
		{name: "sums of columns with gaps", keys: 1, spec: `"breakdowns": ["service.name"], "calculations": [{"op":"SUM","column":"app.field_25"},{"op":"AVG","column":"app.field_25"},
			{"op":"SUM","column":"app.field_15"}], "filters": [{"column":"app.field_13","op":">","value":2}]`,
			sql: `SELECT "service.name", sum("app.field_25" * "_sample_rate"), sum("app.field_25" * "_sample_rate") / sum("_sample_rate") FILTER ("app.field_25" IS NOT NULL),
			sum("app.field_15" * "_sample_rate")::DOUBLE FROM FILES WHERE "app.field_13" > 2 GROUP BY 1`},
		{name: "part of the hour", within: [2]int64{601, 1823}, spec: `"calculations": [{"op":"COUNT"},{"op":"MAX","column":"duration_ms"}]`,
			sql: `SELECT sum("_sample_rate")::DOUBLE, max(duration_ms) FROM FILES WHERE epoch("_time") >= 1440000601 AND epoch("_time") < 1440001823`},
		{name: "series by service", keys: 1, series: true, spec: `"granularity": 60, "breakdowns": ["service.name"], "calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}]`,
			sql: `SELECT epoch_us("_time") // 60000000 * 60, "service.name", sum("_sample_rate")::DOUBLE, sum(duration_ms * "_sample_rate") / sum("_sample_rate") FROM FILES GROUP BY 1, 2`},
	}
	for _, perMille := range []int{10, 500, 950, 990} {
		op := map[int]string{10: "P01", 500: "P50", 950: "P95", 990: "P99"}[perMille]
		calc := fmt.Sprintf(`"calculations": [{"op":"%s","column":"duration_ms"}]`, op)
		near := map[int]float64{0: 1. / 127}
		all = append(all,
			question{name: op, spec: calc, sql: weighted("duration_ms", perMille, ""), near: near},
			question{name: op + " by service", keys: 1, spec: `"breakdowns": ["service.name"], ` + calc, sql: weighted("duration_ms", perMille, `"service.name"`), near: near},
			// A column of ten different numbers: the sketch is exact.
			question{name: op + " of few", keys: 1, spec: `"breakdowns": ["service.name"], ` + strings.Replace(calc, "duration_ms", "app.field_13", 1), sql: weighted(`"app.field_13"`, perMille, `"service.name"`)},
		)
	}
	return all
}

// TestQueriesAgree asks both, over several files whose columns differ.
func TestQueriesAgree(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, rate := range []int64{1, 20} {
		sets := map[string][]file{
			"one file":      {write(t, wide(7, 20_000, rate), "a", false)},
			"several files": {write(t, wide(8, 9_000, rate), "a", true), write(t, wide(9, 30, rate), "b", false), write(t, wide(10, 2, rate), "c", true), write(t, wide(11, 12_000, rate), "d", true)},
		}
		for set, files := range sets {
			for _, q := range questions() {
				t.Run(fmt.Sprintf("%s/rate up to %d/%s", set, rate, q.name), func(t *testing.T) {
					agree(t, db, &q, files)
				})
			}
		}
	}
}

// ask runs a query over the files as a query node does: a partial result of each, sent, merged.
func ask(t testing.TB, q *spec.Query, files []file) *exec.Result {
	t.Helper()
	var whole *exec.Partial
	for _, f := range files {
		a := exec.New(q, nil)
		if _, err := a.Add(context.Background(), f.seg); err != nil {
			t.Fatal(err)
		}
		p, err := exec.Decode(a.Partial().Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if whole == nil {
			whole = p
		} else if err := whole.Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	r, err := whole.Finish(q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t testing.TB, text string, from, to int64) *spec.Query {
	t.Helper()
	q, err := spec.Parse(fmt.Appendf(nil, `{%s, "start_time": %d, "end_time": %d}`, text, hour*3600+from, hour*3600+to), time.Unix(hour*3600, 0))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func agree(t *testing.T, db *sql.DB, q *question, files []file) {
	if q.within[1] == 0 {
		q.within[1] = 3600
	}
	parsed := parse(t, q.spec, q.within[0], q.within[1])
	result := ask(t, parsed, files)
	got := map[string][]exec.Cell{}
	for _, row := range result.Rows {
		got[key("", row.Group)] = row.Values
	}
	if q.series {
		clear(got)
		for _, p := range result.Series {
			got[key(fmt.Sprint(p.Start), p.Group)] = p.Values
		}
	}
	statement := strings.Replace(q.sql, "FILES", from(files...), 1)
	rows, err := db.Query(statement)
	if err != nil {
		t.Fatal(err, statement)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	first := q.keys
	if q.series {
		first++
	}
	cells, into := make([]any, len(names)), make([]any, len(names))
	for i := range into {
		into[i] = &cells[i]
	}
	groups := 0
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		groups++
		start, group := "", cells[:first]
		if q.series {
			start, group = fmt.Sprint(group[0]), group[1:]
		}
		k := key(start, values(group))
		mine, ok := got[k]
		if !ok {
			t.Fatalf("group %s is missing; there are %d", k, len(got))
		}
		for i, want := range cells[first:] {
			if !same(mine[i].Value, want, q.near[i]) {
				t.Errorf("group %s: %s is %v, DuckDB has %v", k, names[first+i], mine[i].Value, want)
			}
		}
	}
	if err := rows.Err(); err != nil || groups != len(got) || groups == 0 {
		t.Errorf("%d groups, DuckDB has %d, %v", len(got), groups, err)
	}
}

// values are DuckDB's cells as the project's.
func values(cells []any) []event.Value {
	var list []event.Value
	for _, c := range cells {
		v := event.Value{}
		switch c := c.(type) {
		case string:
			v = event.StringValue(c)
		case bool:
			v = event.BoolValue(c)
		case int64:
			v = event.IntValue(c)
		case float64:
			v = event.FloatValue(c)
		}
		list = append(list, v)
	}
	return list
}

func key(start string, group []event.Value) string {
	parts := []string{start}
	for _, v := range group {
		parts = append(parts, v.Kind().String()+" "+v.String())
	}
	return strings.Join(slices.Clip(parts), " | ")
}

// same compares a calculation: equal but for rounding, or within the relative difference allowed.
func same(mine event.Value, theirs any, near float64) bool {
	if theirs == nil {
		return mine.Kind() == event.Null
	}
	want, ok := theirs.(float64)
	if !ok || mine.Kind() != event.Int && mine.Kind() != event.Float {
		return false
	}
	return math.Abs(mine.Float()-want) <= max(near, 1e-12)*math.Abs(want)
}
