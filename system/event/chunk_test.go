package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func genValue() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Just(Value{}),
		rapid.Map(rapid.Bool(), BoolValue),
		rapid.Map(rapid.Int64(), IntValue),
		rapid.Map(rapid.Float64(), FloatValue),
		rapid.Map(rapid.StringN(0, 20, 60), StringValue),
	)
}

func genEvents(t *rapid.T) []Event {
	names := rapid.SliceOfNDistinct(rapid.StringN(0, 8, 24), 0, 6, rapid.ID).Draw(t, "names")
	same := rapid.Bool().Draw(t, "same names")
	events := make([]Event, rapid.IntRange(0, 12).Draw(t, "events"))
	for i := range events {
		use := names
		if !same && len(names) > 0 {
			use = names[:rapid.IntRange(0, len(names)).Draw(t, "fields")]
		}
		fields := make([]Field, len(use))
		for j := range fields {
			fields[j] = Field{Name: use[j], Value: genValue().Draw(t, "value")}
		}
		events[i] = Event{
			ID:         ID{Source: rapid.Uint64Range(0, 2).Draw(t, "source"), Seq: rapid.Uint64().Draw(t, "seq")},
			Time:       time.Unix(rapid.Int64().Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec")),
			SampleRate: rapid.Int64Range(1, math.MaxInt64).Draw(t, "rate"),
			Fields:     fields,
		}
		if i > 0 && rapid.Bool().Draw(t, "follows") {
			events[i].ID = ID{Source: events[i-1].ID.Source, Seq: events[i-1].ID.Seq + 1}
			events[i].Time, events[i].SampleRate = events[i-1].Time, 1
		}
	}
	return events
}

// walk gathers what a Walker shows, with names as it promises them.
func walk(data []byte) (events [][]Field, err error) {
	var w Walker
	err = w.Walk(data, func(views []FieldView, sameNames bool) {
		fields := make([]Field, len(views))
		for i := range views {
			name := string(views[i].Name)
			if sameNames {
				name = events[len(events)-1][i].Name
			}
			fields[i] = Field{Name: name, Value: views[i].Value()}
		}
		events = append(events, fields)
	})
	return events, err
}

func TestChunkRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := genEvents(t)
		dataset := Dataset{rapid.Int64().Draw(t, "id"), rapid.String().Draw(t, "dataset")}
		data := AppendChunk([]byte("before"), dataset, events)[len("before"):]
		c, err := DecodeChunk(data)
		if err != nil {
			t.Fatal(err)
		}
		if c.Dataset != dataset || !slices.EqualFunc(c.Events, events, func(a, b Event) bool { return a.Equal(&b) }) {
			t.Fatalf("got %v %v, want %v %v", c.Dataset, c.Events, dataset, events)
		}
		if walked, err := walk(data); err != nil || !slices.EqualFunc(walked, events, func(a []Field, b Event) bool { return slices.Equal(a, b.Fields) }) {
			t.Fatalf("walked over %v, %v; want %v", walked, err, events)
		}
		ids, err := ChunkIDs(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ids {
			if ids[i] != events[i].ID {
				t.Fatalf("ID %d is %v, want %v", i, ids[i], events[i].ID)
			}
		}
		if again := AppendChunk(nil, c.Dataset, c.Events); string(again) != string(data) {
			t.Fatal("encoding what was decoded gives other bytes")
		}
	})
}

// What is borrowed is what is decoded, until the bytes change: Decode's strings are copies, Borrow's are not.
func TestBorrowIsDecodeWithoutTheCopy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := AppendChunk(nil, Dataset{ID: 7, Name: "orders"}, genEvents(t))
		var copied, borrowed Decoder
		want, err := copied.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := borrowed.Borrow(data)
		if err != nil {
			t.Fatal(err)
		}
		// Formatted, because a float may be NaN, which is not equal to itself.
		if w, g := fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got); w != g {
			t.Fatalf("decoded %s\nborrowed %s", w, g)
		}
		clear(data)
		if want.Dataset.Name != "orders" || got.Dataset.Name == "orders" {
			t.Fatalf("after the bytes changed, %q is decoded and %q is borrowed", want.Dataset.Name, got.Dataset.Name)
		}
		if _, err := borrowed.Borrow(data); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cleared bytes: %v", err)
		}
	})
}

func TestChunkFromNumbersEvents(t *testing.T) {
	t.Parallel()
	events := []Event{{SampleRate: 1}, {SampleRate: 0}, {ID: ID{9, 9}, SampleRate: 7}}
	ids, err := ChunkIDs(nil, AppendChunkFrom(nil, Dataset{1, "d"}, events, ID{5, math.MaxUint64 - 1}))
	if err != nil || !slices.Equal(ids, []ID{{5, math.MaxUint64 - 1}, {5, math.MaxUint64}, {5, 0}}) {
		t.Errorf("%v, %v", ids, err)
	}
	if events[2].ID != (ID{9, 9}) {
		t.Error("the events were changed")
	}
}

// TestAnyDamageIsFound flips every bit and cuts at every byte.
func TestAnyDamageIsFound(t *testing.T) {
	t.Parallel()
	data := AppendChunk(nil, Dataset{7, "set"}, []Event{
		{ID: ID{1, 2}, Time: time.Unix(3, 4), SampleRate: 5, Fields: []Field{{"a", StringValue("b")}, {"c", FloatValue(1.5)}}},
		{ID: ID{1, 3}, Time: time.Unix(3, 4), SampleRate: 1, Fields: []Field{{"a", Value{}}, {"c", IntValue(-9)}}},
	})
	check := func(damaged []byte, what string, at int) {
		_, err := DecodeChunk(damaged)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s %d: %v", what, at, err)
		}
		if ids, err := ChunkIDs(nil, damaged); err == nil || ids != nil {
			t.Errorf("%s %d: IDs of a damaged chunk: %v, %v", what, at, ids, err)
		}
	}
	for bit := range len(data) * 8 {
		damaged := slices.Clone(data)
		damaged[bit/8] ^= 1 << (bit % 8)
		check(damaged, "bit", bit)
	}
	for n := range data {
		check(data[:n], "cut at", n)
	}
	check(append(slices.Clone(data), 0), "a byte more than", len(data))
	check(make([]byte, MaxChunkBytes+1), "size", MaxChunkBytes+1)
}

func seal(body []byte) []byte {
	data := append([]byte{chunkMagic, chunkVersion, 0, 0, 0, 0}, body...)
	binary.LittleEndian.PutUint32(data[2:], crc32.Checksum(body, castagnoli))
	return data
}

// TestHostileCounts: numbers that promise much do not make the decoder allocate much.
func TestHostileCounts(t *testing.T) { // not parallel: it measures the whole process's allocations
	for name, body := range map[string][]byte{
		"events":                            {0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"fields":                            {0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"dataset":                           {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"first event refers to none before": {0, 1, 0, flagSameSource | flagNextSeq | flagSameTime | flagSameNames | flagUnsampled},
	} {
		data := seal(body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := DecodeChunk(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(data))
		}
	}
}

func FuzzDecodeChunk(f *testing.F) {
	f.Add(AppendChunk(nil, Dataset{7, "set"}, []Event{{ID: ID{1, 2}, SampleRate: 1, Fields: []Field{{"a", StringValue("b")}}}, {ID: ID{1, 3}, SampleRate: 4, Fields: []Field{{"a", BoolValue(true)}}}}), false)
	f.Add([]byte{1, 'd', 2, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 1, 1, 'n', 0}, true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed { // else nearly everything ends at the checksum
			data = seal(data)
		}
		c, err := DecodeChunk(data)
		ids, idsErr := ChunkIDs(nil, data)
		if (err == nil) != (idsErr == nil) {
			t.Fatalf("DecodeChunk says %v, ChunkIDs says %v", err, idsErr)
		}
		walked, walkErr := walk(data)
		if (err == nil) != (walkErr == nil) {
			t.Fatalf("DecodeChunk says %v, Walk says %v", err, walkErr)
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if len(ids) != len(c.Events) {
			t.Fatalf("%d IDs of %d events", len(ids), len(c.Events))
		}
		if !slices.EqualFunc(walked, c.Events, func(a []Field, b Event) bool { return slices.Equal(a, b.Fields) }) {
			t.Fatalf("walked over %v, decoded %v", walked, c.Events)
		}
		again, err := DecodeChunk(AppendChunk(nil, c.Dataset, c.Events))
		if err != nil || again.Dataset != c.Dataset || !slices.EqualFunc(again.Events, c.Events, func(a, b Event) bool { return a.Equal(&b) }) {
			t.Fatalf("%v: %v does not survive a round trip", err, c)
		}
		for i := range ids {
			if ids[i] != c.Events[i].ID {
				t.Fatalf("ID %d differs", i)
			}
		}
	})
}

func benchEvents() []Event {
	events := make([]Event, 10)
	for i := range events {
		events[i] = Event{ID: ID{1 << 60, uint64(i)}, Time: time.Unix(1_700_000_000, 5), SampleRate: 1, Fields: []Field{
			{"ratel.producer", IntValue(3)}, {"ratel.seq", IntValue(int64(i))}, {"ratel.sum", IntValue(1 << 61)},
			{"service.name", StringValue("checkout")}, {"name", StringValue("GET /item")}, {"duration_ms", FloatValue(12.375)},
			{"status_code", IntValue(200)}, {"payload", StringValue(strings.Repeat("x", 50))},
		}}
	}
	return events
}

func BenchmarkAppendChunk(b *testing.B) {
	events := benchEvents()
	buf := AppendChunk(nil, Dataset{3, "load-0-0"}, events)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = AppendChunkFrom(buf[:0], Dataset{3, "load-0-0"}, events, ID{1, 1})
	}
}

func BenchmarkChunkIDs(b *testing.B) {
	data := AppendChunk(nil, Dataset{3, "load-0-0"}, benchEvents())
	var ids []ID
	for b.Loop() {
		ids, _ = ChunkIDs(ids[:0], data)
	}
}

func BenchmarkDecodeChunk(b *testing.B) {
	data := AppendChunk(nil, Dataset{3, "load-0-0"}, benchEvents())
	b.ReportAllocs()
	for b.Loop() {
		_, _ = DecodeChunk(data)
	}
}
