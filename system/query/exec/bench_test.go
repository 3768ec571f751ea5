package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// blockSource is blocks in memory, so that only the aggregation is measured.
type blockSource struct {
	info   segment.Info
	blocks []*segment.Block // with all columns
	names  []string
}

func (s *blockSource) Info() segment.Info { return s.info }

func (s *blockSource) Scan(_ context.Context, columns []string, visit func(*segment.Block) error) error {
	for _, b := range s.blocks {
		part := *b
		part.Columns = nil
		for _, name := range columns {
			for i, n := range s.names {
				if n == name {
					part.Columns = append(part.Columns, b.Columns[i])
				}
			}
		}
		if err := visit(&part); err != nil {
			return err
		}
	}
	return nil
}

const benchRows = 1 << 20

func benchSource(block int, sampled bool) *blockSource {
	r := rand.New(rand.NewPCG(1, 2))
	s := &blockSource{names: []string{"duration_ms", "service.name", "name", "status_code", "user"}}
	s.info = segment.Info{Rows: benchRows, MinTime: began.UnixNano(), MaxTime: began.Add(time.Hour).UnixNano() - 1}
	services, routes, users := texts3("service", 20), texts3("/api/route", 200), texts3("user", 20000)
	zipf := rand.NewZipf(r, 1.2, 1, 19999)
	for at := 0; at < benchRows; at += block {
		b := &segment.Block{Rows: block, Offset: make([]int64, block), Index: make([]int32, block), Time: make([]int64, block), SampleRate: make([]int64, block)}
		b.Columns = []segment.Vector{
			{Uniform: event.Float, Floats: make([]float64, block)}, {Uniform: event.String, Codes: make([]uint32, block), Dict: services},
			{Uniform: event.String, Codes: make([]uint32, block), Dict: routes}, {Uniform: event.Int, Ints: make([]int64, block)},
			{Uniform: event.String, Codes: make([]uint32, block), Dict: users},
		}
		for i := range block {
			b.Time[i] = began.UnixNano() + int64(at+i)*int64(time.Hour)/benchRows + r.Int64N(1000)
			b.SampleRate[i] = 1
			if sampled {
				b.SampleRate[i] = 1 + r.Int64N(20)
			}
			b.Columns[0].Floats[i] = math.Exp(r.NormFloat64()*1.5 + 3)
			b.Columns[1].Codes[i] = uint32(r.IntN(20))
			b.Columns[2].Codes[i] = uint32(r.IntN(200))
			b.Columns[3].Ints[i] = []int64{200, 200, 200, 404, 500}[r.IntN(5)]
			b.Columns[4].Codes[i] = uint32(zipf.Uint64())
		}
		s.blocks = append(s.blocks, b)
	}
	return s
}

func texts3(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(prefix, "-", i)
	}
	return list
}

// processorTime is what this process has used on all cores, so that a busy machine does not count.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdd is how many rows a core aggregates in a second, garbage collection included.
func BenchmarkAdd(b *testing.B) {
	for _, block := range []int{1 << 16, 1 << 12} {
		plain, sampled := benchSource(block, false), benchSource(block, true)
		for _, c := range []struct {
			name, query string
			src         *blockSource
		}{
			{"count+avg", `"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}]`, plain},
			{"count+avg sampled", `"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}]`, sampled},
			{"by service p95", `"calculations":[{"op":"P95","column":"duration_ms"}],"breakdowns":["service.name"]`, plain},
			{"by service count avg", `"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}],"breakdowns":["service.name"]`, plain},
			{"by service route count p95", `"calculations":[{"op":"COUNT"},{"op":"P95","column":"duration_ms"}],"breakdowns":["service.name","name"]`, plain},
			{"by status count", `"calculations":[{"op":"COUNT"}],"breakdowns":["status_code"]`, plain},
			{"by user count", `"calculations":[{"op":"COUNT"}],"breakdowns":["user"]`, plain},
			{"errors of a service", `"calculations":[{"op":"COUNT"},{"op":"MAX","column":"duration_ms"}],"filters":[{"column":"service.name","op":"=","value":"service-3"},{"column":"status_code","op":">=","value":500}]`, plain},
			{"distinct users", `"calculations":[{"op":"COUNT_DISTINCT","column":"user"}]`, plain},
		} {
			for _, tableOnly := range []bool{true, false} {
				q, err := spec.Parse([]byte(fmt.Sprintf(`{"start_time":%d,"time_range":3600,%s}`, began.Unix(), c.query)), began)
				if err != nil {
					b.Fatal(err)
				}
				q.TableOnly = tableOnly
				kind := "series"
				if tableOnly {
					kind = "table"
				}
				b.Run(fmt.Sprintf("%s/%s/block=%d", c.name, kind, block), func(b *testing.B) {
					before := processorTime(b)
					for b.Loop() {
						if _, err := New(q, nil).Add(context.Background(), c.src); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N)*benchRows/(processorTime(b)-before).Seconds()/1e6, "Mrows/core-s")
				})
			}
		}
	}
}
