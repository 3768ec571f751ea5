package beagle

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// benchEvents are n events of some columns: the outcome of a request first, then numbers, texts and booleans.
func benchEvents(n, columns, first int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		at := first + i
		e := event.Event{Time: time.Unix(int64(at/1000), int64(at)), SampleRate: 1, Fields: []event.Field{
			{Name: "service.name", Value: event.StringValue([]string{"checkout", "cart", "search", "login"}[at%4])},
			{Name: "duration_ms", Value: event.FloatValue(float64(at%1000) * 1.25)},
			{Name: "http.status_code", Value: event.IntValue([]int64{200, 200, 200, 404, 500}[at%5])},
			{Name: "error", Value: event.BoolValue(at%5 == 4)},
		}}
		for c := len(e.Fields); c < columns; c++ {
			v := event.IntValue(int64(at * (c + 1)))
			if c%2 == 0 {
				v = event.StringValue(fmt.Sprintf("GET /item/%d", at%200))
			}
			e.Fields = append(e.Fields, event.Field{Name: fmt.Sprintf("column.%02d", c), Value: v})
		}
		events[i] = e
	}
	return events
}

func benchSLIs() []string {
	return []string{
		`AND(LT($http.status_code, 500), LT($duration_ms, 1000))`,
		`IF(EQUALS($service.name, "checkout"), AND(NOT($error), LT($duration_ms, 500)))`,
		`IF(STARTS_WITH($service.name, "c"), LT($http.status_code, 500))`,
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCount counts records as Fetch returns them: it decodes them, drops copies, evaluates SLIs and commits to a store
// that costs nothing, every 20,000 events.
func BenchmarkCount(b *testing.B) {
	for _, columns := range []int{4, 30} {
		for _, slos := range []int{0, 1, 3} {
			b.Run(fmt.Sprintf("columns=%d/slos=%d", columns, slos), func(b *testing.B) {
				const batch, chunks = 50, 400
				defs := newMemDefs()
				defs.of[1] = nil
				for i, text := range benchSLIs()[:slos] {
					name := fmt.Sprintf("sli%d", i)
					defs.of[1] = append(defs.of[1], column(1, name, text), objective(int64(10+i), 1, name, name))
				}
				wall := rt.NewWall(1)
				counts := newMemCounts()
				k := newWith(wall, port.Ports{Log: memClient{newMemLog(1), wall}, Definitions: defs, Counts: counts, Events: port.Discard{}},
					DefaultConfig(), topic, "b1", planted.Set{}, &fakeMember{r: wall, given: rt.NewQueue[group.Assignment](wall, 0)})
				p := newPartition(k, 0)
				if err := p.begin(b.Context()); err != nil {
					b.Fatal(err)
				}
				events := make([][]event.Event, chunks)
				values := make([][]byte, chunks)
				for i := range events {
					events[i] = benchEvents(batch, columns, i*batch)
				}
				seq := uint64(0)
				used := time.Duration(0)
				b.ReportAllocs()
				b.ResetTimer()
				for done := 0; done < b.N; {
					b.StopTimer()
					for i := range values {
						values[i] = event.AppendChunkFrom(values[i][:0], event.Dataset{ID: 1, Name: "d"}, events[i], event.ID{Source: 1, Seq: seq})
						seq += batch
					}
					b.StartTimer()
					used -= processorTime(b)
					for i := 0; i < chunks && done < b.N; i += 10 {
						var fetched port.Batch
						for j := i; j < i+10; j++ {
							fetched.Records = append(fetched.Records, port.Fetched{Offset: p.next + int64(j-i), Record: port.Record{Value: values[j]}})
						}
						fetched.HighWatermark = p.next + 10
						if err := p.take(b.Context(), fetched); err != nil {
							b.Fatal(err)
						}
						done += 10 * batch
					}
					used += processorTime(b)
				}
				b.ReportMetric(float64(b.N)/used.Seconds(), "events/s/core")
				if slos > 0 && p.totals.Counted == 0 || p.totals.Duplicates > 0 {
					b.Fatalf("%+v", p.totals)
				}
			})
		}
	}
}
