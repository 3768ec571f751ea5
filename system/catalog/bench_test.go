package catalog

import (
	"fmt"
	"testing"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// BenchmarkDatasetForWrite is the look-up of a known dataset, once per request.
func BenchmarkDatasetForWrite(b *testing.B) {
	w := rt.NewWall(1)
	v := New(w, newFake(w), Config{CacheFor: 1 << 62}, nil)
	for b.Loop() {
		if _, err := v.DatasetForWrite(b.Context(), 1, "load-steady-1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLearnEvents is a batch of 50 events with 30 known columns, of one shape and of two that alternate.
func BenchmarkLearnEvents(b *testing.B) {
	for _, shapes := range []int{1, 2} {
		b.Run(fmt.Sprint("shapes=", shapes), func(b *testing.B) {
			w := rt.NewWall(1)
			v := New(w, newFake(w), Config{}, nil)
			batch := make([]event.Event, 50)
			for i := range batch {
				for c := range 30 {
					batch[i].Fields = append(batch[i].Fields, event.Field{Name: fmt.Sprint("some.column.", c, ".of.", i%shapes), Value: event.IntValue(1)})
				}
			}
			for b.Loop() {
				v.LearnEvents(1, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1500, "ns/field")
		})
	}
}

// BenchmarkLearn is the same columns once per batch.
func BenchmarkLearn(b *testing.B) {
	w := rt.NewWall(1)
	v := New(w, newFake(w), Config{}, nil)
	var columns []port.Column
	for c := range 30 {
		columns = append(columns, port.Column{Name: fmt.Sprint("some.column.", c), Types: port.ColumnInt})
	}
	for b.Loop() {
		v.Learn(1, columns)
	}
}
