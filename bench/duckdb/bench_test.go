package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ratel-sim/ratel/system/segment"
)

// BenchmarkAgainstDuckDB asks both the same, of the same file (a million rows of 30 columns), in turn, in one process, on one
// thread each. It reports the medians as million rows a second of CPU, which other processes do not disturb, and their ratio:
// above 1, Ratel is faster. Ratel has the opened segment in memory, DuckDB the file in the page cache and its metadata cached;
// both times are up to the finished result, Ratel's with the partial result encoded and decoded as between two nodes.
// "by hand" is a scan without the query engine.
func BenchmarkAgainstDuckDB(b *testing.B) {
	const n = 1_000_000
	for _, compress := range []bool{false, true} {
		f := write(b, wide(1, n, 1), "million", compress)
		db := open(b)
		if _, err := db.Exec("SET parquet_metadata_cache=true"); err != nil {
			b.Fatal(err)
		}
		for _, q := range []question{
			{name: "count and average", spec: `"calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}]`,
				sql: `SELECT count(*), avg(duration_ms) FROM FILES`},
			{name: "count and average by service", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}]`,
				sql: `SELECT "service.name", count(*), avg(duration_ms) FROM FILES GROUP BY 1`},
			{name: "count and average by service, by hand", sql: `SELECT "service.name", count(*), avg(duration_ms) FROM FILES GROUP BY 1`},
			{name: "p95 by service", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"P95","column":"duration_ms"}]`,
				sql: `SELECT "service.name", approx_quantile(duration_ms, 0.95) FROM FILES GROUP BY 1`},
			{name: "p95 by service, DuckDB exact", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"P95","column":"duration_ms"}]`,
				sql: `SELECT "service.name", quantile_disc(duration_ms, 0.95) FROM FILES GROUP BY 1`},
			{name: "count and average by service of errors", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}], "filters": [{"column":"app.field_27","op":"=","value":true}]`,
				sql: `SELECT "service.name", count(*), avg(duration_ms) FROM FILES WHERE "app.field_27" GROUP BY 1`},
		} {
			b.Run(fmt.Sprintf("zstd=%v/%s", compress, q.name), func(b *testing.B) {
				mineOf := func() { countBy(b, f.seg, "service.name", "duration_ms") }
				if q.spec != "" {
					parsed := parse(b, q.spec, 0, 3600)
					parsed.TableOnly = true
					mineOf = func() { ask(b, parsed, []file{f}) }
				}
				statement, err := db.Prepare(strings.Replace(q.sql, "FILES", from(f), 1))
				if err != nil {
					b.Fatal(err)
				}
				defer statement.Close()
				var mine, theirs []time.Duration
				for b.Loop() {
					start := cpu(b)
					mineOf()
					middle := cpu(b)
					drain(b, statement)
					mine, theirs = append(mine, middle-start), append(theirs, cpu(b)-middle)
				}
				m, d := median(mine), median(theirs)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(n/m.Seconds()/1e6, "Mrows/s")
				b.ReportMetric(n/d.Seconds()/1e6, "DuckDB-Mrows/s")
				b.ReportMetric(d.Seconds()/m.Seconds(), "ratio")
			})
		}
	}
}

// cpu is the CPU time that the process has used.
func cpu(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// total is one group of countBy.
type total struct {
	count int64
	sum   float64
}

// countBy is the count, and the sum of a column, by the strings of another.
func countBy(b *testing.B, src segment.Source, by, of string) map[string]total {
	all := map[string]total{}
	var names []string
	var sums []total
	flush := func() {
		for i, s := range sums {
			before := all[names[i]]
			all[names[i]] = total{before.count + s.count, before.sum + s.sum}
		}
	}
	err := segment.ScanOnly(context.Background(), src, segment.HeadSampleRate, []string{by, of}, func(b *segment.Block) error {
		group, value := &b.Columns[0], &b.Columns[1]
		if len(names) != len(group.Dict) || &names[0] != &group.Dict[0] {
			flush()
			names, sums = group.Dict, make([]total, len(group.Dict))
		}
		floats := value.Floats[:b.Rows]
		for i, c := range group.Codes[:b.Rows] {
			sums[c].count++
			sums[c].sum += floats[i]
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	flush()
	return all
}

func drain(b *testing.B, s *sql.Stmt) {
	rows, err := s.Query()
	if err != nil {
		b.Fatal(err)
	}
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
