package segment

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
)

func genValue() *rapid.Generator[event.Value] {
	return rapid.OneOf(
		rapid.Just(event.Value{}),
		rapid.Map(rapid.Bool(), event.BoolValue),
		rapid.Map(rapid.Int64(), event.IntValue),
		rapid.Map(rapid.Float64(), event.FloatValue),
		rapid.Map(rapid.StringN(0, 20, 60), event.StringValue),
		rapid.SampledFrom([]event.Value{
			event.FloatValue(math.Copysign(0, -1)), event.FloatValue(math.NaN()), event.FloatValue(math.Float64frombits(0xfff8dead00000001)),
			event.FloatValue(math.Inf(1)), event.FloatValue(math.Inf(-1)), event.IntValue(math.MaxInt64), event.IntValue(math.MinInt64),
			event.IntValue(1<<53 + 1), event.StringValue(""), event.StringValue("\xff\xfe"), event.StringValue(strings.Repeat("é", 40)),
			event.StringValue(strings.Repeat("\xff", 40)), event.StringValue(strings.Repeat("\U0010ffff", 12)),
		}),
	)
}

// genRows draws rows with names that repeat, vanish and change their kinds.
func genRows(t *rapid.T) []Row {
	names := rapid.SliceOfNDistinct(rapid.OneOf(
		rapid.StringN(0, 8, 24),
		rapid.SampledFrom([]string{"", "a", "A", "a (int)", "a (null)", "_offset", "_time", "\xff", "\ufffd", " (int)", " (2)"}),
	), 0, 6, rapid.ID).Draw(t, "names")
	steady := make([]event.Value, len(names))
	for i := range steady {
		steady[i] = genValue().Draw(t, "steady")
	}
	calm := rapid.Bool().Draw(t, "calm")
	rows := make([]Row, rapid.IntRange(1, 80).Draw(t, "rows"))
	for i := range rows {
		r := &rows[i]
		r.Offset, r.Index = int64(i/7), int32(i%7)
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			r.Offset, r.Index = rapid.Int64().Draw(t, "offset"), rapid.Int32().Draw(t, "index")
		}
		r.Event.ID = event.ID{Source: rapid.Uint64Range(0, 40).Draw(t, "source") << 58, Seq: rapid.Uint64().Draw(t, "seq")}
		r.Event.Time = time.Unix(0, rapid.Int64().Draw(t, "time")).UTC()
		r.Event.SampleRate = rapid.Int64Range(1, math.MaxInt64).Draw(t, "rate")
		for j, name := range names {
			v := steady[j]
			if !calm {
				switch rapid.IntRange(0, 3).Draw(t, "how") {
				case 0:
					continue
				case 1:
					v = genValue().Draw(t, "value")
				}
			}
			r.Event.Fields = append(r.Event.Fields, event.Field{Name: name, Value: v})
		}
	}
	return rows
}

func build(rows []Row) *Builder {
	b := NewBuilder(3, 7, 400000)
	for i := range rows {
		b.Append(&rows[i])
	}
	return b
}

// byName is a copy of a row whose fields are sorted, as Rows gives them.
func byName(r Row) Row {
	r.Event.Fields = slices.Clone(r.Event.Fields)
	slices.SortFunc(r.Event.Fields, func(a, b event.Field) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

type rowser interface {
	Source
	Rows(ctx context.Context, visit func(*Row) error) error
}

func rowsOf(s Source) (all []Row, err error) {
	err = s.(rowser).Rows(context.Background(), func(r *Row) error {
		all = append(all, *r)
		return nil
	})
	return all, err
}

func sameRow(a, b Row) bool {
	return a.Offset == b.Offset && a.Index == b.Index && a.Event.Equal(&b.Event)
}

// scanned puts rows together from Scan alone: null and absent are the same there, and IDs are not shown.
func scanned(s Source, names []string) (all []Row, err error) {
	err = s.Scan(context.Background(), names, func(b *Block) error {
		for c := range b.Columns {
			if err := shaped(&b.Columns[c], b.Rows); err != nil {
				return err
			}
		}
		for i := range b.Rows {
			r := Row{Offset: b.Offset[i], Index: b.Index[i], Event: event.Event{Time: time.Unix(0, b.Time[i]).UTC(), SampleRate: b.SampleRate[i]}}
			for c := range b.Columns {
				v := &b.Columns[c]
				if v.Kind(i) != event.Null {
					r.Event.Fields = append(r.Event.Fields, event.Field{Name: names[c], Value: v.Value(i)})
				}
			}
			all = append(all, r)
		}
		return nil
	})
	return all, err
}

// seen is what scanned shows of a row with sorted fields.
func seen(r Row) Row {
	r.Event.ID = event.ID{}
	r.Event.Fields = slices.DeleteFunc(slices.Clone(r.Event.Fields), func(f event.Field) bool { return f.Value.Kind() == event.Null })
	return r
}

func namesOf(info Info) []string {
	var names []string
	for _, c := range info.Columns {
		names = append(names, c.Name)
	}
	return names
}

// small is a segment with every kind, nulls, and a column of mixed kinds.
func small() []Row {
	var rows []Row
	for i := range 40 {
		e := event.Event{ID: event.ID{Source: 77, Seq: uint64(i)}, Time: time.Unix(1_440_000_000, int64(i)*1e6).UTC(), SampleRate: 1}
		e.Fields = []event.Field{
			{Name: "service.name", Value: event.StringValue([]string{"api", "web", "db"}[i%3])},
			{Name: "duration_ms", Value: event.FloatValue(float64(i) * 1.5)},
			{Name: "status_code", Value: event.IntValue(int64(200 + i%2*300))},
			{Name: "error", Value: event.BoolValue(i%5 == 0)},
		}
		if i%4 == 0 {
			e.Fields = append(e.Fields, event.Field{Name: "trace.id", Value: event.StringValue(strings.Repeat("t", i))})
		}
		mixed := []event.Value{event.IntValue(int64(i)), event.StringValue("x"), {}, event.FloatValue(0.5), event.BoolValue(true)}
		e.Fields = append(e.Fields, event.Field{Name: "mixed", Value: mixed[i%len(mixed)]})
		rows = append(rows, Row{Offset: int64(100 + i/8), Index: int32(i % 8), Event: e})
	}
	return rows
}

// shaped says whether each slice of a vector is as long as the block, or nil where no row has its kind.
func shaped(v *Vector, rows int) error {
	var has [5]bool
	for i := range rows {
		has[v.Kind(i)] = true
	}
	for k, n := range map[event.Kind]int{event.Bool: len(v.Bools), event.Int: len(v.Ints), event.Float: len(v.Floats), event.String: len(v.Codes)} {
		if has[k] && n != rows || !has[k] && n != 0 {
			return fmt.Errorf("%d values of kind %v for %d rows", n, k, rows)
		}
	}
	if !has[event.String] != (len(v.Dict) == 0) || v.Kinds != nil && len(v.Kinds) != rows {
		return fmt.Errorf("%d strings, %d kinds for %d rows", len(v.Dict), len(v.Kinds), rows)
	}
	return nil
}
