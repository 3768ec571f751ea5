package duckdb

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkAgainstDuckDB asks both the same, of the same file (a million rows of 30 columns, in the page cache and in memory),
// in turn, in one process, on one thread each. It reports the medians as million rows a second and their ratio: above 1, Ratel
// is faster. Ratel's time is from the bytes in memory to the finished result, the checksum and the footer included; DuckDB's from
// the prepared statement to its rows.
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
			{name: "p95 by service", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"P95","column":"duration_ms"}]`,
				sql: `SELECT "service.name", approx_quantile(duration_ms, 0.95) FROM FILES GROUP BY 1`},
			{name: "p95 by service, DuckDB exact", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"P95","column":"duration_ms"}]`,
				sql: `SELECT "service.name", quantile_disc(duration_ms, 0.95) FROM FILES GROUP BY 1`},
			{name: "count and average by service of errors", spec: `"breakdowns": ["service.name"], "calculations": [{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}], "filters": [{"column":"app.field_27","op":"=","value":true}]`,
				sql: `SELECT "service.name", count(*), avg(duration_ms) FROM FILES WHERE "app.field_27" GROUP BY 1`},
		} {
			b.Run(fmt.Sprintf("zstd=%v/%s", compress, q.name), func(b *testing.B) {
				parsed := parse(b, q.spec, 0, 3600)
				parsed.TableOnly = true
				statement, err := db.Prepare(strings.Replace(q.sql, "FILES", from(f), 1))
				if err != nil {
					b.Fatal(err)
				}
				defer statement.Close()
				var mine, theirs []time.Duration
				for b.Loop() {
					start := time.Now()
					ask(b, parsed, []file{f})
					middle := time.Now()
					drain(b, statement)
					mine, theirs = append(mine, middle.Sub(start)), append(theirs, time.Since(middle))
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
