package loadgen

import (
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/shepherd"
)

func BenchmarkIdentify(b *testing.B) {
	events := newSmall(fillerFor(200, smallBytes)).fill(&batch{}, 3, 5, 10, time.Unix(1, 0))
	for b.Loop() {
		for i := range events {
			if _, _, state := Identify(&events[i]); state != Intact {
				b.Fatal(state)
			}
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	statuses := make([]shepherd.Status, 10)
	var h history
	b.ReportAllocs()
	for b.Loop() {
		op := h.add()
		op.Parts = h.partsOf(statuses)
		if len(h.blocks) > 100 {
			h = history{}
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, kind := range []Events{Small, Wide, Traces} {
		b.Run(string(kind), func(b *testing.B) {
			s := fast()
			s.Events, s.EventsPerBatch = kind, 50
			m, buf := s.maker(), &batch{}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				m.fill(buf, 3, uint64(n), 50, time.Unix(1, 0))
				n += 50
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}

func BenchmarkTruth(b *testing.B) {
	for _, kind := range []Events{Small, Wide, Traces} {
		b.Run(string(kind), func(b *testing.B) {
			s := fast()
			s.Events, s.EventsPerBatch = kind, 50
			truth, err := NewTruth(time.Unix(1, 0), []Spec{s})
			if err != nil {
				b.Fatal(err)
			}
			seq := uint64(0)
			for b.Loop() {
				row := truth.Fields(0, 3, seq)
				if row.SampleRate < 1 {
					b.Fatal(row)
				}
				seq++
			}
		})
	}
}

func BenchmarkRecogniser(b *testing.B) {
	for _, kind := range []Events{Small, Wide, Traces} {
		b.Run(string(kind), func(b *testing.B) {
			s := fast()
			s.Events, s.EventsPerBatch = kind, 50
			chunk := event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, s.maker().fill(&batch{}, 3, 0, 50, time.Unix(1, 0)))
			var r Recogniser
			n := 0
			for b.Loop() {
				err := r.Chunk(chunk, func(_ uint32, _ uint64, state State) {
					if n++; state != Intact {
						b.Fatal(state)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}
