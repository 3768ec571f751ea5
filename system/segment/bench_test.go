//go:build unix

package segment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// wideRows are rows of 30 columns as services send them: ten strings that repeat, three ids, nine ints, five floats, three
// booleans; three of them are often absent.
func wideRows(n int) []Row {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]Row, n)
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprintf("value-%04d", i)
	}
	names := make([]string, 30)
	for i := range names {
		names[i] = fmt.Sprintf("app.field_%02d", i)
	}
	names[0], names[22] = "service.name", "duration_ms"
	for i := range rows {
		f := make([]event.Field, 0, 30)
		add := func(v event.Value) {
			f = append(f, event.Field{Name: names[len(f)], Value: v})
		}
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
			add(event.FloatValue(rng.ExpFloat64() * 20))
		}
		for range 3 {
			add(event.BoolValue(rng.IntN(10) == 0))
		}
		for _, j := range []int{3, 15, 25} {
			if rng.IntN(3) == 0 {
				f[j].Value = event.Value{}
			}
		}
		rows[i] = Row{Offset: int64(i / 50), Index: int32(i % 50), Event: event.Event{
			ID: event.ID{Source: uint64(i / 50 % 3), Seq: uint64(i)}, Time: time.Unix(1_440_000_000, int64(i)*3000+rng.Int64N(1000)), SampleRate: 1, Fields: f}}
	}
	return rows
}

// perCore reports rows per second of CPU, collection of garbage included, which other processes do not disturb.
func perCore(b *testing.B, rows int, loop func()) {
	b.Helper()
	start := cpu(b)
	for b.Loop() {
		loop()
	}
	took := cpu(b) - start
	b.ReportMetric(float64(b.N)*float64(rows)/took.Seconds()/1e6, "Mrows/s/core")
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(0, "ns/op")
}

// cpu is the CPU time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAppend30(b *testing.B) {
	rows := wideRows(100_000)
	b.ReportAllocs()
	perCore(b, len(rows), func() { build(rows) })
}

func BenchmarkAppendAndEncode30(b *testing.B) {
	rows := wideRows(100_000)
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("zstd=%v", compress), func(b *testing.B) {
			size := 0
			perCore(b, len(rows), func() {
				data, _, err := build(rows).Encode(0, 1, Options{Compress: compress})
				if err != nil {
					b.Fatal(err)
				}
				size = len(data)
			})
			b.ReportMetric(float64(size)/float64(len(rows)), "B/row")
		})
	}
}

// BenchmarkSmall is what a simulation does thousands of times: few rows, 12 columns.
func BenchmarkSmall(b *testing.B) {
	for _, n := range []int{20, 100, 2000} {
		rows := wideRows(n)
		for i := range rows {
			f := rows[i].Event.Fields
			rows[i].Event.Fields = append(append(append([]event.Field(nil), f[:4]...), f[10]), f[20:27]...)
		}
		b.Run(fmt.Sprintf("append/rows=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			perCore(b, n, func() { build(rows) })
		})
		b.Run(fmt.Sprintf("encode/rows=%d", n), func(b *testing.B) {
			built := build(rows)
			b.ReportAllocs()
			perCore(b, n, func() {
				if _, _, err := built.Encode(0, 1, Options{}); err != nil {
					b.Fatal(err)
				}
			})
		})
		data, info, err := build(rows).Encode(0, 1, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("open and scan/rows=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			perCore(b, n, func() {
				s, err := Open(info, data)
				if err != nil {
					b.Fatal(err)
				}
				countAverage(b, s, HeadTime|HeadSampleRate)
			})
		})
	}
}

// countAverage is a query by hand: count and average of duration by service, by blocks.
func countAverage(b *testing.B, s Source, heads Heads) (groups int) {
	type agg struct {
		count int64
		sum   float64
	}
	var dict *string
	var by []agg
	total := map[string]agg{}
	flush := func(names []string) {
		for i, a := range by {
			if a.count > 0 {
				t := total[names[i]]
				total[names[i]] = agg{t.count + a.count, t.sum + a.sum}
			}
		}
	}
	var names []string
	err := ScanOnly(context.Background(), s, heads, []string{"service.name", "duration_ms"}, func(bl *Block) error {
		svc, dur := &bl.Columns[0], &bl.Columns[1]
		if len(svc.Dict) == 0 || dict != &svc.Dict[0] {
			flush(names)
			names, by = svc.Dict, make([]agg, len(svc.Dict))
			dict = &svc.Dict[0]
		}
		floats := dur.Floats[:bl.Rows]
		for i, c := range svc.Codes[:bl.Rows] {
			by[c].count++
			by[c].sum += floats[i]
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	flush(names)
	return len(total)
}

func BenchmarkCountAverage(b *testing.B) {
	built := build(wideRows(300_000))
	sources := map[string]Source{"view": built.View()}
	for _, compress := range []bool{false, true} {
		data, info, err := built.Encode(0, 1, Options{Compress: compress})
		if err != nil {
			b.Fatal(err)
		}
		if sources[fmt.Sprintf("segment zstd=%v", compress)], err = Open(info, data); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"view", "segment zstd=false", "segment zstd=true"} {
		for _, heads := range []Heads{allHeads, HeadTime | HeadSampleRate, HeadSampleRate} {
			b.Run(fmt.Sprintf("%s/heads=%03b", name, heads), func(b *testing.B) {
				perCore(b, 300_000, func() {
					if countAverage(b, sources[name], heads) != 20 {
						b.Fatal("groups")
					}
				})
			})
		}
	}
	seg := sources["segment zstd=false"].(*Segment)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := Open(seg.info, seg.data); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*float64(len(seg.data))/b.Elapsed().Seconds()/1e6, "MB/s")
	})
	b.Run("whole rows", func(b *testing.B) {
		perCore(b, 300_000, func() {
			if err := seg.Rows(context.Background(), func(*Row) error { return nil }); err != nil {
				b.Fatal(err)
			}
		})
	})
}
