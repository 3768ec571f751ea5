package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// TestRowsSurvive: what is appended is what a view, and a segment that was encoded and opened, give back, whole and by columns.
func TestRowsSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := genRows(t)
		b := build(rows)
		o := Options{Compress: rapid.Bool().Draw(t, "compress")}
		data, info, err := b.Encode(-5, 99, o)
		if err != nil {
			t.Fatal(err)
		}
		info.Key = "k"
		seg, err := Open(info, data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			rows[i] = byName(rows[i])
		}
		for _, s := range []Source{b.View(), seg} {
			got, err := rowsOf(s)
			if err != nil || !slices.EqualFunc(got, rows, sameRow) {
				t.Fatalf("%T: %v\ngot  %v\nwant %v", s, err, got, rows)
			}
			got, err = scanned(s, namesOf(info))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if want := seen(rows[i]); !sameRow(got[i], want) {
					t.Fatalf("%T scanned: row %d is %v, want %v", s, i, got[i], want)
				}
			}
		}
		checkStats(t, info, rows)
		if v := b.View().Info(); !slices.Equal(v.Columns, info.Columns) || v.Rows != info.Rows || v.MinTime != info.MinTime || v.MaxTime != info.MaxTime {
			t.Fatalf("a view's Info %v is not the segment's %v", v, info)
		}
		again, info2, err := build(rows).Encode(-5, 99, o)
		if err != nil || !bytes.Equal(again, data) || info2.CRC != info.CRC {
			t.Fatalf("the same rows give other bytes: %v", err)
		}
	})
}

// checkStats holds statistics against the rows: bounds are true, counts are exact.
func checkStats(t *rapid.T, info Info, rows []Row) {
	byName := map[string]ColumnStats{}
	for _, c := range info.Columns {
		byName[c.Name] = c
	}
	nulls, kinds := map[string]int64{}, map[string]uint8{}
	for i := range rows {
		e := &rows[i].Event
		if n := e.Time.UnixNano(); n < info.MinTime || n > info.MaxTime {
			t.Fatalf("time %d is not in [%d, %d]", n, info.MinTime, info.MaxTime)
		}
		for _, f := range e.Fields {
			c, ok := byName[f.Name]
			if !ok {
				t.Fatalf("no statistics of %q", f.Name)
			}
			kinds[f.Name] |= 1 << f.Value.Kind()
			switch f.Value.Kind() {
			case event.Int:
				n, low, high := f.Value.Int(), c.Min, c.Max
				if low >= 1<<63 || low > -(1<<63) && int64(low) > n || high < -(1<<63) || high < 1<<63 && int64(high) < n && high == math.Trunc(high) {
					t.Fatalf("%q: int %d is not in [%v, %v]", f.Name, n, c.Min, c.Max)
				}
			case event.Float:
				if x := f.Value.Float(); x < c.Min || x > c.Max {
					t.Fatalf("%q: %v is not in [%v, %v]", f.Name, x, c.Min, c.Max)
				}
			case event.String:
				if s := f.Value.Str(); s < c.MinText || s > c.MaxText {
					t.Fatalf("%q: %q is not in [%q, %q]", f.Name, s, c.MinText, c.MaxText)
				}
			case event.Null:
				continue
			case event.Bool:
			}
			nulls[f.Name]--
		}
	}
	for name, c := range byName {
		if c.Nulls != nulls[name]+int64(len(rows)) || c.Kinds != kinds[name] {
			t.Fatalf("%q: %d nulls, kinds %05b; want %d, %05b", name, c.Nulls, c.Kinds, nulls[name]+int64(len(rows)), kinds[name])
		}
	}
}

// TestTextBounds: what is cut short still bounds.
func TestTextBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.StringN(0, 60, 200), rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 0x7f, 0xc3, 0xa9, 0xff, 0xf4, 0x8f, 0xbf, 0xed, 0x9f}), 0, 80), func(b []byte) string { return string(b) })).Draw(t, "s")
		if low := textBelow(s); low > s || len(low) > statText || !strings.HasPrefix(s, low) {
			t.Fatalf("%q is not a short prefix of %q", low, s)
		}
		if high := textAbove(s); high < s {
			t.Fatalf("%q is below %q", high, s)
		}
		n := rapid.Int64().Draw(t, "n")
		if low := floatBelow(n); low > float64(n) || low < 1<<63 && int64(low) > n {
			t.Fatalf("%v is above %d", low, n)
		}
		if high := floatAbove(n); high < float64(n) || high < 1<<63 && int64(high) < n {
			t.Fatalf("%v is below %d", high, n)
		}
	})
}

// many is more rows than a block has, with columns that come late, go, fade or are rare, ids that leave their dictionary, and
// strings that turn into ids late.
func many(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		f := []event.Field{
			{Name: "id", Value: event.StringValue(fmt.Sprintf("%016x", i*2654435761))},
			{Name: "n", Value: event.IntValue(int64(i))},
		}
		if i > n/2 {
			f = append(f, event.Field{Name: "late", Value: event.StringValue("yes")})
		} else {
			f = append(f, event.Field{Name: "early", Value: event.FloatValue(1)})
		}
		turn := "same"
		if i > n/2 {
			turn = fmt.Sprint(i)
		}
		f = append(f, event.Field{Name: "turn", Value: event.StringValue(turn)})
		if i%3 == 0 {
			f = append(f, event.Field{Name: "sparse id", Value: event.StringValue(fmt.Sprintf("s%d", i))})
		}
		if i < blockRows || i%40 == 0 {
			f = append(f, event.Field{Name: "fading", Value: event.IntValue(int64(-i))}, event.Field{Name: "fading text", Value: event.StringValue(fmt.Sprint(i % 77))},
				event.Field{Name: "fading id", Value: event.StringValue(fmt.Sprint(-i))})
		}
		if i%1000 == 999 {
			rare := []event.Value{{}, event.BoolValue(true), event.FloatValue(0.25), event.StringValue(fmt.Sprint(i)), event.IntValue(int64(i))}
			f = append(f, event.Field{Name: "rare", Value: rare[i/1000%5]})
		}
		rows[i] = Row{Offset: int64(i / 50), Index: int32(i % 50), Event: event.Event{ID: event.ID{Source: 1, Seq: uint64(i)}, SampleRate: 1, Time: small()[0].Event.Time, Fields: f}}
	}
	return rows
}

func TestManyBlocks(t *testing.T) {
	t.Parallel()
	rows := many(3*blockRows + 100)
	b := build(rows)
	for _, compress := range []bool{false, true} {
		data, info, err := b.Encode(0, 1000, Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(info, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range []Source{b.View(), s} {
			got, err := rowsOf(src)
			if err != nil || len(got) != len(rows) {
				t.Fatal(len(got), err)
			}
			for i := range got {
				if want := byName(rows[i]); !sameRow(got[i], want) {
					t.Fatalf("row %d: %v, want %v", i, got[i], want)
				}
			}
		}
	}
}

// TestBlocksEndEarly: long strings make blocks of few rows.
func TestBlocksEndEarly(t *testing.T) {
	t.Parallel()
	rows := make([]Row, 700)
	for i := range rows {
		rows[i].Event.SampleRate = 3
		rows[i].Event.Time = small()[0].Event.Time
		long := 60_000 + i
		if i > 300 {
			long = 5 // the last block has more rows than those before it
		}
		rows[i].Event.Fields = []event.Field{{Name: "s", Value: event.StringValue(strings.Repeat(string(rune('a'+i%26)), long))}}
	}
	b := build(rows)
	if len(b.done) < 2 || len(b.done) > 3 {
		t.Errorf("%d blocks are done", len(b.done))
	}
	data, info, err := b.Encode(0, 1, Options{Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(info, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []Source{b.View(), s} {
		if got, err := rowsOf(src); err != nil || !slices.EqualFunc(got, rows, sameRow) {
			t.Fatalf("%T: %d rows, %v", src, len(got), err)
		}
	}
}

// TestViewStaysAsItWas: a view is scanned while rows are appended; the race detector looks on.
func TestViewStaysAsItWas(t *testing.T) {
	t.Parallel()
	rows := many(2*blockRows + 700)
	b := NewBuilder(3, 7, 400000)
	failed := make(chan error, 100)
	views := 0
	for i := range rows {
		b.Append(&rows[i])
		if i%997 != 0 && i != blockRows-1 && i != blockRows {
			continue
		}
		v, n := b.View(), i+1
		views++
		go func() {
			got, err := rowsOf(v)
			if err == nil && (len(got) != n || v.Info().Rows != int64(n)) {
				err = fmt.Errorf("a view of %d rows has %d", n, len(got))
			}
			for j := 0; err == nil && j < len(got); j += 53 {
				if want := byName(rows[j]); !sameRow(got[j], want) {
					err = fmt.Errorf("row %d is %v, want %v", j, got[j], want)
				}
			}
			failed <- err
		}()
	}
	for range views {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// TestRareColumnsTakeLittle: columns that hardly occur take memory for what was sent, not for all rows.
func TestRareColumnsTakeLittle(t *testing.T) { // not parallel: it measures the whole process's allocations
	rows := make([]Row, 3*blockRows)
	for i := range rows {
		rows[i].Event.SampleRate = 1
		for j := range 3 {
			rows[i].Event.Fields = append(rows[i].Event.Fields, event.Field{Name: fmt.Sprintf("f%d.%d", j, i%1000), Value: event.IntValue(int64(i))})
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := build(rows)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 6*uint64(b.Bytes()) || took > 64<<20 {
		t.Errorf("%d rows of %d columns took %d bytes; Bytes says %d", len(rows), len(b.columns), took, b.Bytes())
	}
}

func TestTheFirstOfTwoNamesCounts(t *testing.T) {
	t.Parallel()
	b := build([]Row{{Event: event.Event{SampleRate: 1, Fields: []event.Field{{Name: "a", Value: event.IntValue(1)}, {Name: "b", Value: event.IntValue(3)}, {Name: "a", Value: event.StringValue("2")}}}}})
	got, err := rowsOf(b.View())
	if err != nil || len(got) != 1 || len(got[0].Event.Fields) != 2 || got[0].Event.Fields[0].Value != event.IntValue(1) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBytesDependOnRowsAlone(t *testing.T) {
	t.Parallel()
	rows := small()
	a, b := build(rows), NewBuilder(3, 7, 400000)
	for i := range rows {
		b.Append(&rows[i])
		b.View()
	}
	if a.Bytes() != b.Bytes() || a.Bytes() < 40*48 {
		t.Errorf("%d and %d bytes", a.Bytes(), b.Bytes())
	}
	x, _, _ := a.Encode(100, 105, Options{})
	y, _, _ := b.Encode(100, 105, Options{})
	if !bytes.Equal(x, y) {
		t.Error("having been viewed, a builder writes other bytes")
	}
}

// TestGolden notices bytes that differ between machines and versions. A change of format is a new formatVersion.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		compress bool
		bytes    int64
		crc      uint32
	}{{false, 2674, 0x2d5465b7}, {true, 1946, 0xbf0878c1}} {
		for range 3 { // what was encoded before, by others in parallel, leaves no trace
			_, info, err := build(small()).Encode(100, 105, Options{Compress: want.compress})
			if err != nil || info.Bytes != want.bytes || info.CRC != want.crc {
				t.Fatalf("compress %v: %d bytes, CRC32C %08x, %v; want %d, %08x", want.compress, info.Bytes, info.CRC, err, want.bytes, want.crc)
			}
		}
	}
}

// TestParquetReadersAgree reads files with a library that shares no code with this one.
func TestParquetReadersAgree(t *testing.T) {
	t.Parallel()
	for _, rows := range [][]Row{small(), many(blockRows + 900)} {
		for _, compress := range []bool{false, true} {
			data, info, err := build(rows).Encode(100, 105, Options{Compress: compress})
			if err != nil {
				t.Fatal(err)
			}
			f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if f.NumRows() != info.Rows {
				t.Fatalf("%d rows, want %d", f.NumRows(), info.Rows)
			}
			leaf := map[int]string{}
			for _, path := range f.Schema().Columns() {
				c, _ := f.Schema().Lookup(path...)
				leaf[c.ColumnIndex] = path[0]
			}
			r := f.RowGroups()[0].Rows()
			buf := make([]parquet.Row, 1)
			for i := range rows {
				if n, err := r.ReadRows(buf); n != 1 {
					t.Fatal(n, err)
				}
				got := map[string]parquet.Value{}
				for _, v := range buf[0] {
					if !v.IsNull() {
						got[leaf[v.Column()]] = v
					}
				}
				e := &rows[i].Event
				if got["_offset"].Int64() != rows[i].Offset || got["_index"].Int64() != int64(rows[i].Index) || got["_time"].Int64() != e.Time.UnixNano() ||
					got["_source"].Uint64() != e.ID.Source || got["_seq"].Uint64() != e.ID.Seq || got["_sample_rate"].Int64() != e.SampleRate {
					t.Fatalf("row %d: %v, want %v", i, got, rows[i])
				}
				found := 6
				for _, f := range e.Fields {
					name := f.Name
					if name == "mixed" || name == "rare" {
						name += " (" + f.Value.Kind().String() + ")"
					}
					v, ok := got[name]
					same := ok
					switch f.Value.Kind() {
					case event.Int:
						same = v.Int64() == f.Value.Int()
					case event.Float:
						same = v.Double() == f.Value.Float()
					case event.String:
						same = string(v.ByteArray()) == f.Value.Str()
					case event.Bool:
						same = v.Boolean() == f.Value.Bool()
					case event.Null:
						same = v.Boolean()
					}
					if !ok || !same {
						t.Fatalf("row %d: %q is %v, want %v", i, name, v, f.Value)
					}
					found++
				}
				for _, name := range []string{"mixed (null)", "rare (null)"} {
					if v, ok := got[name]; ok && !v.Boolean() {
						found++
					}
				}
				if len(got) != found {
					t.Fatalf("row %d: %v, want %v", i, got, rows[i])
				}
			}
			_ = r.Close()
		}
	}
}

func TestEmptyAndUnknown(t *testing.T) {
	t.Parallel()
	b := NewBuilder(1, 2, 3)
	if _, _, err := b.Encode(0, 1, Options{}); err == nil {
		t.Error("no rows were encoded")
	}
	if got, err := rowsOf(b.View()); err != nil || len(got) != 0 || b.View().Info().Rows != 0 {
		t.Error(got, err)
	}
	b = build(small())
	data, info, _ := b.Encode(100, 105, Options{})
	s, err := Open(info, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []Source{b.View(), s} {
		if err := src.Scan(context.Background(), []string{"nobody"}, func(b *Block) error {
			if v := b.Columns[0]; v.Kinds != nil || v.Uniform != event.Null || b.Rows != 40 {
				t.Errorf("%+v", v)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		stop := errors.New("stop")
		if err := src.Scan(context.Background(), nil, func(*Block) error { return stop }); !errors.Is(err, stop) || errors.Is(err, port.ErrCorrupt) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := src.Scan(ctx, nil, func(*Block) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
