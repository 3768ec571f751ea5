package loadgen

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// TestColumnsRecogniseWhatRowsDo: events of every kind, some of them damaged, are what Identify says whichever way a
// segment is read.
func TestColumnsRecogniseWhatRowsDo(t *testing.T) {
	t.Parallel()
	specs := kinds(t)
	rapid.Check(t, func(t *rapid.T) {
		truth, err := NewTruth(time.Unix(1000, 0), specs)
		if err != nil {
			t.Fatal(err)
		}
		b := segment.NewBuilder(1, 2, 0)
		values := []event.Value{
			{}, event.BoolValue(true), event.IntValue(-1), event.IntValue(3), event.FloatValue(3), event.FloatValue(math.Copysign(0, -1)),
			event.FloatValue(math.NaN()), event.StringValue("x"), event.StringValue(""), event.IntValue(math.MaxInt64),
		}
		rows := rapid.IntRange(1, 60).Draw(t, "rows")
		traffic := rapid.IntRange(0, len(specs)-1).Draw(t, "traffic")
		for i := range rows {
			if rapid.IntRange(0, 9).Draw(t, "switch") == 0 {
				traffic = rapid.IntRange(0, len(specs)-1).Draw(t, "traffic")
			}
			e := truth.Event(traffic, uint32(traffic), uint64(i), time.Unix(1000, int64(i)))
			e.Fields = slices.Clone(e.Fields)
			switch rapid.IntRange(0, 5).Draw(t, "damage") {
			case 0: // a value
				e.Fields[rapid.IntRange(0, len(e.Fields)-1).Draw(t, "field")].Value = rapid.SampledFrom(values).Draw(t, "value")
			case 1: // a field is missing
				at := rapid.IntRange(0, len(e.Fields)-1).Draw(t, "field")
				e.Fields = slices.Delete(e.Fields, at, at+1)
			case 2: // a field more
				e.Fields = append(e.Fields, event.Field{Name: rapid.SampledFrom([]string{"more", "null", ""}).Draw(t, "name"), Value: rapid.SampledFrom(values).Draw(t, "value")})
			}
			b.Append(&segment.Row{Offset: int64(i / 3), Index: int32(i % 3), Event: e})
		}
		data, info, err := b.Encode(0, int64(rows), segment.Options{Compress: rapid.Bool().Draw(t, "compress")})
		if err != nil {
			t.Fatal(err)
		}
		s, err := segment.Open(info, data)
		if err != nil {
			t.Fatal(err)
		}
		type mark struct {
			offset   int64
			producer uint32
			seq      uint64
			state    State
		}
		var want, got []mark
		err = s.Rows(context.Background(), func(row *segment.Row) error {
			producer, seq, state := Identify(&row.Event)
			want = append(want, mark{row.Offset, producer, seq, state})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var columns Columns
		err = columns.Segment(context.Background(), s, func(offset int64, producer uint32, seq uint64, state State) {
			got = append(got, mark{offset, producer, seq, state})
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("by columns %v, by rows %v, %v", got, want, err)
		}
	})
}
