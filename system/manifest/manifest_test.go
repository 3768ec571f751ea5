package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
	"github.com/ratel-sim/ratel/system/wire"
)

func drawManifest(t *rapid.T) Manifest {
	m := Manifest{Partition: rapid.Int32Range(0, 9).Draw(t, "partition"), Generation: rapid.Int64().Draw(t, "generation"),
		SealedAt: rapid.Int64().Draw(t, "at"), Writer: rapid.String().Draw(t, "writer"), Seals: []Seal{}}
	next := rapid.Int64Range(0, 1000).Draw(t, "first")
	for range rapid.IntRange(0, 4).Draw(t, "seals") {
		s := Seal{First: next, Next: next + rapid.Int64Range(1, 1000).Draw(t, "length"), At: rapid.Int64().Draw(t, "at"), IDs: rapid.String().Draw(t, "ids"), Segments: []segment.Info{}}
		next = s.Next
		for range rapid.IntRange(0, 3).Draw(t, "segments") {
			i := segment.Info{Partition: m.Partition, Dataset: rapid.Int64().Draw(t, "dataset"), Hour: rapid.Int64().Draw(t, "hour"), First: s.First, Next: s.Next,
				Rows: rapid.Int64().Draw(t, "rows"), Bytes: rapid.Int64().Draw(t, "bytes"), CRC: rapid.Uint32().Draw(t, "crc"), MinTime: rapid.Int64().Draw(t, "min"), MaxTime: rapid.Int64().Draw(t, "max"),
				Columns: []segment.ColumnStats{}}
			if i.Key = SegmentKey(i); rapid.Bool().Draw(t, "odd") {
				i.Key = rapid.String().Draw(t, "key")
			}
			for range rapid.IntRange(0, 3).Draw(t, "columns") {
				i.Columns = append(i.Columns, segment.ColumnStats{Name: rapid.SampledFrom([]string{"a", "b", "duration_ms"}).Draw(t, "name"), Kinds: rapid.Uint8().Draw(t, "kinds"),
					Nulls: rapid.Int64().Draw(t, "nulls"), Min: rapid.Float64().Draw(t, "low"), Max: math.Inf(1), MinText: rapid.String().Draw(t, "text"), MaxText: "z"})
			}
			s.Segments = append(s.Segments, i)
		}
		m.Seals = append(m.Seals, s)
	}
	m.Next = next
	return m
}

func TestEncodingKeepsEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		data := m.Encode()
		got, err := Decode(data)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%v\n%+v\n%+v", err, got, m)
		}
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		bad := slices.Clone(data)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := Decode(bad); !errors.Is(err, port.ErrCorrupt) {
			t.Fatalf("a change of byte %d was not noticed: %v", at, err)
		}
		if _, err := Decode(data[:at]); !errors.Is(err, port.ErrCorrupt) {
			t.Fatalf("a cut at byte %d was not noticed: %v", at, err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := Manifest{Partition: 1, Generation: 2, Next: 9, Seals: []Seal{{First: 3, Next: 9, IDs: "x", Segments: []segment.Info{{Partition: 1, First: 3, Next: 9, Columns: []segment.ColumnStats{{Name: "a"}}}}}}}
	f.Add(m.Encode())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		// With a sum that fits, the parser sees what the fuzzer made.
		if len(data) >= 4 {
			sealed := append(slices.Clone(data[:len(data)-4]), sum(data[:len(data)-4])...)
			if m, err := Decode(sealed); err == nil {
				if again, err := Decode(m.Encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
					t.Fatalf("%v\n%+v\n%+v", err, m, again)
				}
			}
		}
		_, _ = Decode(data)
	})
}

func sum(b []byte) []byte {
	return wire.AppendSum(slices.Clone(b), 0)[len(b):]
}

// one is a store of one object whose next put can fail, before or after it takes effect.
type one struct {
	port.Blobs
	data   []byte
	etag   int
	before error
	after  error
}

func (o *one) Get(context.Context, string) ([]byte, port.BlobInfo, error) {
	if o.data == nil {
		return nil, port.BlobInfo{}, port.ErrNoBlob
	}
	return o.data, port.BlobInfo{ETag: fmt.Sprint(o.etag)}, nil
}

func (o *one) Put(_ context.Context, _ string, data []byte, c port.Condition) (port.BlobInfo, error) {
	if err := o.before; err != nil {
		o.before = nil
		return port.BlobInfo{}, err
	}
	if c.IfAbsent && o.data != nil || c.IfMatch != "" && c.IfMatch != fmt.Sprint(o.etag) {
		return port.BlobInfo{}, port.ErrPrecondition
	}
	o.data, o.etag = bytes.Clone(data), o.etag+1
	err := o.after
	o.after = nil
	return port.BlobInfo{ETag: fmt.Sprint(o.etag)}, err
}

func TestStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	blobs := &one{}
	s := NewStore(blobs)
	none, err := s.Load(ctx, 3)
	if err != nil || none.ETag != "" || none.Generation != 0 || none.Partition != 3 {
		t.Fatalf("%v %+v", err, none)
	}
	first, err := s.Write(ctx, Manifest{Partition: 3, Writer: "a"}, none)
	if err != nil || first.Generation != 1 {
		t.Fatalf("%v %+v", err, first)
	}
	if _, err := s.Write(ctx, Manifest{Partition: 3, Writer: "b"}, none); !errors.Is(err, port.ErrPrecondition) {
		t.Errorf("the second of two first writers: %v", err)
	}
	blobs.after = port.ErrUnknown // it took effect, and its answer was lost
	second, err := s.Write(ctx, Manifest{Partition: 3, Writer: "a"}, first)
	if err != nil || second.Generation != 2 {
		t.Fatalf("%v %+v", err, second)
	}
	blobs.before = port.ErrUnknown // it was lost on its way
	if _, err := s.Write(ctx, Manifest{Partition: 3, Writer: "a"}, second); !errors.Is(err, port.ErrUnknown) {
		t.Errorf("%v", err)
	}
	blobs.before = port.ErrUnknown
	if _, err := s.Write(ctx, Manifest{Partition: 3, Writer: "b"}, first); !errors.Is(err, port.ErrPrecondition) {
		t.Errorf("unknown, but another is there: %v", err)
	}
	loaded, err := s.Load(ctx, 3)
	if err != nil || loaded.Generation != 2 || loaded.Writer != "a" {
		t.Errorf("%v %+v", err, loaded)
	}
	if _, err := s.Write(ctx, Manifest{Partition: 3, Next: 5, Seals: []Seal{{First: 3, Next: 4}}}, second); !errors.Is(err, port.ErrRefused) {
		t.Errorf("a manifest that contradicts itself: %v", err)
	}
	blobs.data[5] ^= 1
	damaged, err := s.Load(ctx, 3)
	if !errors.Is(err, port.ErrCorrupt) || damaged.ETag == "" {
		t.Errorf("%v %+v", err, damaged)
	}
	if mended, err := s.Write(ctx, Manifest{Partition: 3, Writer: "c"}, damaged); err != nil || mended.Generation != 1 {
		t.Errorf("%v %+v", err, mended)
	}
	if _, err := s.Load(ctx, 4); !errors.Is(err, port.ErrCorrupt) {
		t.Errorf("of another partition: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	blobs := &one{}
	s := NewStore(blobs)
	manifestOf := func(next int64) Manifest {
		return Manifest{Partition: 3, Next: next, Seals: []Seal{{First: 3, Next: next}}}
	}
	none, err := s.Refresh(ctx, Loaded{Manifest: Manifest{Partition: 3}})
	if err != nil || none.ETag != "" || none.Partition != 3 {
		t.Fatalf("%v %+v", err, none)
	}
	first, err := s.Write(ctx, manifestOf(5), none)
	if err != nil {
		t.Fatal(err)
	}
	for name, known := range map[string]Loaded{"written": first, "of nothing": none, "of an unknown sum": {Manifest: first.Manifest, ETag: first.ETag}} {
		if got, err := s.Refresh(ctx, known); err != nil || fmt.Sprint(got) != fmt.Sprint(first) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, first)
		}
	}
	if same, err := s.Refresh(ctx, first); err != nil || &same.Seals[0] != &first.Seals[0] {
		t.Errorf("the same manifest was decoded again (%v)", err)
	}
	second, err := s.Write(ctx, manifestOf(9), first)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Refresh(ctx, first); err != nil || fmt.Sprint(got) != fmt.Sprint(second) {
		t.Errorf("%v\n%+v\n%+v", err, got, second)
	}
	blobs.data[5] ^= 1
	if _, err := s.Refresh(ctx, second); !errors.Is(err, port.ErrCorrupt) {
		t.Errorf("damage of what is known: %v", err)
	}
}
