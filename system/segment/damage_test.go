package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// TestAnyDamageIsFound flips every bit and cuts at every byte.
func TestAnyDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		data, info, err := build(small()).Encode(100, 105, Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		info.Key = "segments/3/100-105/x.parquet"
		check := func(damaged []byte, what string, at int) {
			if _, err := Open(info, damaged); !errors.Is(err, port.ErrCorrupt) || !strings.Contains(err.Error(), info.Key) {
				t.Fatalf("%s %d: %v", what, at, err)
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
	}
}

// TestAnotherSegmentIsRefused: whole bytes of the wrong segment are as bad as damaged ones.
func TestAnotherSegmentIsRefused(t *testing.T) {
	t.Parallel()
	data, info, err := build(small()).Encode(100, 105, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Info){
		"partition": func(i *Info) { i.Partition++ }, "dataset": func(i *Info) { i.Dataset++ }, "hour": func(i *Info) { i.Hour-- },
		"first": func(i *Info) { i.First++ }, "next": func(i *Info) { i.Next++ }, "rows": func(i *Info) { i.Rows-- },
		"bytes": func(i *Info) { i.Bytes++ }, "CRC": func(i *Info) { i.CRC++ },
	} {
		other := info
		change(&other)
		if _, err := Open(other, data); !errors.Is(err, port.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forged is what somebody would make who can compute a checksum: info matches the bytes, whatever they are.
func forged(info Info, data []byte) Info {
	info.Bytes, info.CRC = int64(len(data)), crc32.Checksum(data, castagnoli)
	return info
}

// exercise opens and reads everything. Only port.ErrCorrupt may come.
func exercise(t *testing.T, info Info, data []byte) {
	t.Helper()
	s, err := Open(info, data)
	if err == nil {
		err = s.Rows(context.Background(), func(*Row) error { return nil })
	}
	if err == nil {
		err = s.Scan(context.Background(), append(namesOf(info), "other"), func(b *Block) error {
			for c := range b.Columns {
				for i := range b.Rows {
					b.Columns[c].Value(i)
				}
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, port.ErrCorrupt) {
		t.Fatalf("not marked as corrupt: %v", err)
	}
}

// TestForgedFilesAreHarmless changes every byte in turn behind a checksum that matches: no panic, nothing but
// port.ErrCorrupt, and memory stays in proportion.
func TestForgedFilesAreHarmless(t *testing.T) { // not parallel: it measures the whole process's allocations
	for _, compress := range []bool{false, true} {
		data, info, err := build(small()).Encode(100, 105, Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(data)
		for i := range data {
			for _, b := range []byte{0x7f, data[i] + 1} {
				changed[i] = b
				exercise(t, forged(info, changed), changed)
			}
			changed[i] = data[i]
		}
		for n := range data {
			exercise(t, forged(info, data[:n]), data[:n])
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range data {
			changed[i] = 0xff
			exercise(t, forged(info, changed), changed)
			changed[i] = data[i]
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(data)); each > 1<<20 {
			t.Errorf("%d bytes allocated for each forged file of %d", each, len(data))
		}
	}
}

func FuzzOpen(f *testing.F) {
	rows := small()
	infos := make([]Info, 2)
	for i, compress := range []bool{false, true} {
		data, info, err := build(rows).Encode(100, 105, Options{Compress: compress})
		if err != nil {
			f.Fatal(err)
		}
		infos[i] = info
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		exercise(t, forged(infos[0], data), data)
	})
}

// FuzzRoundTrip makes rows of bytes: each row takes values by the next bytes.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("\x00\x01\x02abcdefgh\x03\x04xyz"), true)
	f.Add([]byte(strings.Repeat("\x31a\x52bcdefghi\x00", 60)), false)
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if len(data) > 1<<16 {
			return
		}
		rows := rowsFrom(data)
		if len(rows) == 0 {
			return
		}
		encoded, info, err := build(rows).Encode(1, 2, Options{Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(info, encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rowsOf(s)
		if err != nil || len(got) != len(rows) {
			t.Fatal(len(got), len(rows), err)
		}
		for i := range rows {
			if want := byName(rows[i]); !sameRow(got[i], want) {
				t.Fatalf("row %d is %v, want %v", i, got[i], want)
			}
		}
	})
}

// rowsFrom reads a byte for the number of fields, then for each a byte for name and kind, and the value.
func rowsFrom(data []byte) []Row {
	var rows []Row
	take := func(n int) []byte {
		n = min(n, len(data))
		b := data[:n]
		data = data[n:]
		return b
	}
	for len(data) > 0 {
		head := take(1)[0]
		e := event.Event{ID: event.ID{Source: uint64(head >> 6), Seq: uint64(len(rows))}, Time: time.Unix(int64(head), int64(len(data))).UTC(), SampleRate: int64(head%3) + 1}
		used := map[string]bool{}
		for range head % 8 {
			if len(data) == 0 {
				break
			}
			how := take(1)[0]
			name := string(rune('a' + how>>4%8))
			if used[name] {
				continue
			}
			used[name] = true
			var word [8]byte
			var v event.Value
			switch how % 6 {
			case 1:
				v = event.BoolValue(how&8 != 0)
			case 2:
				copy(word[:], take(8))
				v = event.IntValue(int64(binary.LittleEndian.Uint64(word[:])))
			case 3:
				copy(word[:], take(8))
				v = event.FloatValue(math.Float64frombits(binary.LittleEndian.Uint64(word[:])))
			case 4, 5:
				v = event.StringValue(string(take(int(how >> 3))))
			}
			e.Fields = append(e.Fields, event.Field{Name: name, Value: v})
		}
		rows = append(rows, Row{Offset: int64(len(rows) / 5), Index: int32(len(rows) % 5), Event: e})
	}
	return rows
}
