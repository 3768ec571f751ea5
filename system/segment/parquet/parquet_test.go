package parquet

import (
	"errors"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestHybrid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := uint(rapid.IntRange(1, 31).Draw(t, "width"))
		var values []uint32
		for range rapid.IntRange(0, 12).Draw(t, "parts") {
			v := rapid.Uint32Range(0, uint32(1<<w-1)).Draw(t, "value")
			if rapid.Bool().Draw(t, "run") {
				values = append(values, slices.Repeat([]uint32{v}, rapid.IntRange(1, 70).Draw(t, "n"))...)
			} else {
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					values = append(values, v)
					v = (v*2654435761 + 12345) & uint32(1<<w-1)
				}
			}
		}
		data := AppendHybrid(nil, values, w)
		got := make([]uint32, len(values))
		limit := uint32(0)
		for _, v := range values {
			limit = max(limit, v+1)
		}
		if err := DecodeHybrid(got, data, w, limit); err != nil || !slices.Equal(got, values) {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, values)
		}
		if len(values) > 0 {
			if err := DecodeHybrid(got, data, w, limit-1); !errors.Is(err, ErrFormat) {
				t.Fatalf("an index beyond the dictionary: %v", err)
			}
			if err := DecodeHybrid(got, data[:len(data)-1], w, limit); !errors.Is(err, ErrFormat) {
				t.Fatalf("cut: %v", err)
			}
			if err := DecodeHybrid(got, append(data, 0), w, limit); !errors.Is(err, ErrFormat) {
				t.Fatalf("a byte more: %v", err)
			}
		}
		levels, want, ones := make([]uint32, len(values)), make([]uint8, len(values)), 0
		for i, v := range values {
			levels[i], want[i] = v&1, uint8(v&1)
			ones += int(v & 1)
		}
		decoded := make([]uint8, len(values))
		if n, err := DecodeLevels(decoded, AppendHybrid(nil, levels, 1)); err != nil || n != ones || !slices.Equal(decoded, want) {
			t.Fatalf("levels: %d, %v: %v, want %v", n, err, decoded, want)
		}
	})
}

func TestDelta(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(0, 63).Draw(t, "shift")
		values := rapid.SliceOfN(rapid.Map(rapid.Int64(), func(n int64) int64 { return n >> shift }), 0, 300).Draw(t, "values")
		data := AppendDelta(nil, values)
		got := make([]int64, len(values))
		if err := DecodeDelta(got, data); err != nil || !slices.Equal(got, values) {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, values)
		}
		if err := DecodeDelta(make([]int64, len(values)+1), data); !errors.Is(err, ErrFormat) {
			t.Fatalf("another number of values: %v", err)
		}
		for n := range data {
			if err := DecodeDelta(got, data[:n]); !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	})
}

func TestWidth(t *testing.T) {
	t.Parallel()
	for n := range 300 {
		if w := Width(n); w < 1 || n > 1 && bits.Len(uint(n-1)) != int(w) {
			t.Errorf("%d values: %d bits", n, w)
		}
	}
}

func sample() []byte {
	f := File{Rows: 9, Meta: []KeyValue{{"k", "v"}, {"", "\xff"}}}
	data := []byte(Magic + "0123456789")
	for i := range 20 {
		f.Columns = append(f.Columns, Column{
			Name: string(rune('a' + i)), Type: []Type{Boolean, Int64, Double, ByteArray}[i%4], Logical: Logical(i % int(nLogicals)), Optional: i%3 == 0,
			Codec: []Codec{Uncompressed, Zstd}[i%2], Data: 5, Size: int64(i % 8), Raw: int64(i * 1000),
		})
	}
	f.Columns[3].Dictionary = 4
	return AppendFooter(data, &f)
}

func TestFooter(t *testing.T) {
	t.Parallel()
	data := sample()
	f, err := ParseFooter(data)
	if err != nil {
		t.Fatal(err)
	}
	if again := AppendFooter([]byte(Magic+"0123456789"), f); string(again) != string(data) {
		t.Error("what was parsed does not make the same footer")
	}
	if len(f.Columns) != 20 || f.Columns[3].Start() != 4 || f.Columns[5].Start() != 5 || f.Columns[2].Logical != Nanos || f.Meta[1].Value != "\xff" {
		t.Errorf("%+v", f)
	}
	for n := range data {
		if _, err := ParseFooter(data[n:]); n > 0 && !errors.Is(err, ErrFormat) {
			t.Errorf("from %d: %v", n, err)
		}
		if _, err := ParseFooter(data[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	for _, p := range []Page{{Raw: 10, Size: 3, Values: 7, Encoding: EncodingDelta}, {Dictionary: true, Raw: 1 << 30, Values: 1, Size: 3}} {
		data := append(AppendPage(nil, &p), 1, 2, 3)
		got, n, err := ParsePage(data)
		if err != nil || got != p || n != len(data)-3 {
			t.Errorf("%+v, %d, %v; want %+v", got, n, err, p)
		}
		for n := range data {
			if _, _, err := ParsePage(data[:n]); !errors.Is(err, ErrFormat) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

func FuzzFooter(f *testing.F) {
	f.Add(sample())
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := ParseFooter(data); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
		if _, _, err := ParsePage(data); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendHybrid(nil, []uint32{1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, 2), uint8(2), uint16(20))
	f.Add(AppendDelta(nil, []int64{5, 9, -1 << 63, 7}), uint8(64), uint16(4))
	f.Fuzz(func(t *testing.T, data []byte, w uint8, n uint16) {
		for _, err := range []error{
			DecodeHybrid(make([]uint32, n), data, uint(w), 1<<31), DecodeDelta(make([]int64, n), data), second(DecodeLevels(make([]uint8, n), data)),
		} {
			if err != nil && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
		}
	})
}

func second(_ int, err error) error { return err }
