package duckdb

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// hour is that of all events.
const hour = 400_000

// file is a segment on disk, where DuckDB finds it, and opened.
type file struct {
	path string
	seg  *segment.Segment
}

func write(t testing.TB, rows []segment.Row, name string, compress bool) file {
	t.Helper()
	b := segment.NewBuilder(1, 2, hour)
	for i := range rows {
		b.Append(&rows[i])
	}
	data, info, err := b.Encode(0, int64(len(rows)), segment.Options{Compress: compress})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	seg, err := segment.Open(info, data)
	if err != nil {
		t.Fatal(err)
	}
	return file{path, seg}
}

// open is DuckDB on one thread.
func open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, set := range []string{"SET threads=1", "SET TimeZone='UTC'"} {
		if _, err := db.Exec(set); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// from is a table function over files.
func from(files ...file) string {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = "'" + f.path + "'"
	}
	return "read_parquet([" + strings.Join(paths, ", ") + "], union_by_name=true)"
}

// wide makes rows of 30 columns as services send them: ten strings that repeat, three ids, nine ints, five floats, three
// booleans; three columns are absent in a third of the rows. They are spread over the hour. rate is the highest sample rate.
func wide(seed uint64, n int, rate int64) []segment.Row {
	rng := rand.New(rand.NewPCG(seed, 2))
	rows := make([]segment.Row, n)
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprintf("value-%04d", i)
	}
	for i := range rows {
		f := make([]event.Field, 0, 30)
		add := func(v event.Value) { f = append(f, event.Field{Name: name(len(f)), Value: v}) }
		for j := range 10 {
			add(event.StringValue(values[rng.IntN([]int{20, 5, 50, 200, 3, 1000, 10, 100, 2, 30}[j])]))
		}
		add(event.StringValue(fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())))
		add(event.StringValue(fmt.Sprintf("%016x", rng.Uint64())))
		add(event.StringValue(fmt.Sprintf("%011x", rng.Uint64()>>20)))
		for j := range 9 {
			add(event.IntValue(rng.Int64N(int64(10) << (3 * j))))
		}
		for range 5 {
			// Two decimals, as clients round; multiples of 1/4 have exact sums in any order, so results can be compared bit for bit.
			add(event.FloatValue(math.Round(rng.ExpFloat64()*80) / 4))
		}
		for range 3 {
			add(event.BoolValue(rng.IntN(10) == 0))
		}
		for _, j := range []int{25, 15, 3} {
			if rng.IntN(3) == 0 {
				f = append(f[:j], f[j+1:]...)
			}
		}
		rows[i] = segment.Row{Offset: int64(i / 50), Index: int32(i % 50), Event: event.Event{
			ID:   event.ID{Source: uint64(i/50%3) << 62, Seq: uint64(i)},
			Time: time.Unix(hour*3600, int64(i)*int64(time.Hour)/int64(n)+rng.Int64N(1000)), SampleRate: 1 + rng.Int64N(rate), Fields: f}}
	}
	return rows
}

func name(column int) string {
	switch column {
	case 0:
		return "service.name"
	case 22:
		return "duration_ms"
	}
	return fmt.Sprintf("app.field_%02d", column)
}

// TestDuckDBReadsEveryCell compares files cell by cell with what was put in: uncompressed and compressed, with one block
// and with several, nulls, booleans, ids without a dictionary.
func TestDuckDBReadsEveryCell(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, n := range []int{1, 7, 100, 20_000} {
		for _, compress := range []bool{false, true} {
			rows := wide(uint64(n), n, 3)
			f := write(t, rows, fmt.Sprint(n), compress)
			got, err := db.Query("SELECT * FROM " + from(f))
			if err != nil {
				t.Fatal(err)
			}
			names, _ := got.Columns()
			cells := make([]any, len(names))
			into := make([]any, len(names))
			for i := range into {
				into[i] = &cells[i]
			}
			count := 0
			for got.Next() {
				if err := got.Scan(into...); err != nil {
					t.Fatal(err)
				}
				checkRow(t, names, cells, &rows[count])
				count++
			}
			if err := got.Err(); err != nil || count != n {
				t.Fatalf("%d rows of %d, %v", count, n, err)
			}
		}
	}
}

func checkRow(t *testing.T, names []string, cells []any, row *segment.Row) {
	t.Helper()
	e := &row.Event
	found := 0
	for i, name := range names {
		var want any
		switch name {
		case "_offset":
			want = row.Offset
		case "_index":
			want = int64(row.Index)
		case "_source":
			want = e.ID.Source
		case "_seq":
			want = e.ID.Seq
		case "_sample_rate":
			want = e.SampleRate
		case "_time":
			// DuckDB's instants have microseconds, whatever the file says.
			at, ok := cells[i].(time.Time)
			if !ok || !at.Equal(e.Time.Truncate(time.Microsecond)) {
				t.Fatalf("_time is %v, want %v", cells[i], e.Time)
			}
			continue
		default:
			v, ok := e.Get(name)
			if ok {
				found++
			}
			switch v.Kind() {
			case event.Int:
				want = v.Int()
			case event.Float:
				want = v.Float()
			case event.String:
				want = v.Str()
			case event.Bool:
				want = v.Bool()
			case event.Null:
			}
		}
		if cells[i] != want {
			t.Fatalf("%s is %v (%T), want %v (%T)", name, cells[i], cells[i], want, want)
		}
	}
	if found != len(e.Fields) {
		t.Fatalf("%d of %d fields are there", found, len(e.Fields))
	}
}

// TestDuckDBReadsOddNames: names that DuckDB or Parquet might stumble over, and values of mixed kinds.
func TestDuckDBReadsOddNames(t *testing.T) {
	t.Parallel()
	db := open(t)
	rows := make([]segment.Row, 100)
	for i := range rows {
		mixed := []event.Value{event.IntValue(int64(i)), event.StringValue("x"), {}, event.FloatValue(0.5), event.BoolValue(true)}[i%5]
		rows[i] = segment.Row{Event: event.Event{SampleRate: 1, Time: time.Unix(hour*3600, 0), Fields: []event.Field{
			{Name: "", Value: event.IntValue(1)}, {Name: "a", Value: event.IntValue(2)}, {Name: "A", Value: event.IntValue(3)}, {Name: "_offset", Value: event.IntValue(4)},
			{Name: "\xff", Value: event.StringValue("\xff")}, {Name: "quo\"te 'x'", Value: event.StringValue("")}, {Name: "mixed", Value: mixed},
			{Name: "null", Value: event.Value{}}, {Name: "nan", Value: event.FloatValue(math.NaN())},
		}}}
	}
	f := write(t, rows, "odd", true)
	var ints, floats, texts, bools, nulls, offset, upper, nan, empty int64
	err := db.QueryRow(`SELECT count("mixed (int)"), count("mixed (float)"), count("mixed (string)"), count("mixed (bool)"), count_if("mixed (null)"),
		sum("_offset (2)"), sum(COLUMNS('^A(_1)?$')), count_if(isnan("nan")), count_if("quo""te 'x'" = '') FROM `+from(f)).
		Scan(&ints, &floats, &texts, &bools, &nulls, &offset, &upper, &nan, &empty)
	if err != nil {
		t.Fatal(err)
	}
	if upper != 300 || ints != 20 || floats != 20 || texts != 20 || bools != 20 || nulls != 20 || offset != 400 || nan != 100 || empty != 100 {
		t.Error(ints, floats, texts, bools, nulls, offset, upper, nan, empty)
	}
}
