package retriever

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// benchEvents are n events of some columns: numbers, and texts of few values and of many.
func benchEvents(n, columns int, seq uint64) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		at := seq + uint64(i)
		e := event.Event{Time: time.Unix(1000, int64(at)), SampleRate: 1}
		for c := range columns {
			f := event.Field{Name: fmt.Sprintf("column.%02d", c)}
			switch c % 5 {
			case 0:
				f.Value = event.IntValue(int64(at) * int64(c+1))
			case 1:
				f.Value = event.StringValue([]string{"checkout", "cart", "search", "login"}[at%4])
			case 2:
				f.Value = event.FloatValue(float64(at%1000) * 1.25)
			case 3:
				f.Value = event.StringValue(fmt.Sprintf("GET /item/%d", at%200))
			default:
				f.Value = event.BoolValue(at%2 == 0)
			}
			e.Fields = append(e.Fields, f)
		}
		events[i] = e
	}
	return events
}

// processorTime is what the process has used of the processors. A shared machine changes it far less than the time that
// has passed.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIndex reads records as Fetch returns them, deduplicates, indexes and seals them, each seal of 20,000 events.
func BenchmarkIndex(b *testing.B) {
	for _, columns := range []int{4, 30} {
		for _, batch := range []int{10, 50} {
			b.Run(fmt.Sprintf("columns=%d/batch=%d", columns, batch), func(b *testing.B) {
				const perSeal = 20_000
				h := newHand(b, handConfig(), &memLog{}, newMemBlobs(), &memPeers{nodes: map[string]port.PeerServer{}}, 0)
				h.start()
				var values [][]byte
				for i := 0; i < perSeal; i += batch {
					values = append(values, event.AppendChunkFrom(nil, event.Dataset{ID: 1 + int64(i/batch%3), Name: "d"}, benchEvents(batch, columns, uint64(i)), event.ID{Source: 1}))
				}
				b.ReportAllocs()
				b.ResetTimer()
				offset, at := int64(0), int64(0)
				used := -processorTime(b)
				for done := 0; done < b.N; {
					b.StopTimer()
					used += processorTime(b)
					events := benchEvents(batch, columns, uint64(at))
					for i := range values {
						values[i] = event.AppendChunkFrom(values[i][:0], event.Dataset{ID: 1 + int64(i%3), Name: "d"}, events, event.ID{Source: uint64(at), Seq: uint64(i * batch)})
					}
					at++
					used -= processorTime(b)
					b.StartTimer()
					for i := 0; i < len(values) && done < b.N; i += 10 {
						var fetched port.Batch
						for j := i; j < i+10; j++ {
							fetched.Records = append(fetched.Records, port.Fetched{Offset: offset, Record: port.Record{Value: values[j], Time: second(at)}})
							offset++
						}
						if err := h.re.keep(context.Background(), h.st, fetched, h.re.r.Now()); err != nil {
							b.Fatal(err)
						}
						done += 10 * batch
					}
				}
				used += processorTime(b)
				b.ReportMetric(float64(b.N)/used.Seconds(), "events/s/core")
			})
		}
	}
}
