package wire_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/wire"
)

// TestReadsWhatWasWritten: each number, text and float comes back, and the end is where it was written.
func TestReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, u, f := rapid.Int64().Draw(t, "int"), rapid.Uint64().Draw(t, "uint"), rapid.Float64().Draw(t, "float")
		small, text, yes := rapid.Int32().Draw(t, "int32"), rapid.String().Draw(t, "text"), rapid.Bool().Draw(t, "bool")
		items := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "items")
		b := binary.AppendUvarint(binary.AppendVarint([]byte("WORD"), n), u)
		b = binary.LittleEndian.AppendUint64(binary.AppendVarint(b, int64(small)), math.Float64bits(f))
		b = wire.AppendBytes(b, text)
		b = append(b, map[bool]byte{false: 0, true: 1}[yes])
		b = append(binary.AppendUvarint(b, uint64(len(items))), items...)
		b = wire.AppendSum(b, 0)

		r, err := wire.Open(b, "WORD")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Int(); got != n {
			t.Errorf("%d, want %d", got, n)
		}
		if got := r.Uint(); got != u {
			t.Errorf("%d, want %d", got, u)
		}
		if got := r.Int32(); got != small {
			t.Errorf("%d, want %d", got, small)
		}
		if got := r.Float(); math.Float64bits(got) != math.Float64bits(f) {
			t.Errorf("%v, want %v", got, f)
		}
		if got := string(r.Sized()); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if got := r.Bool(); got != yes {
			t.Errorf("%v, want %v", got, yes)
		}
		if got := r.Bytes(uint64(r.CountUpTo(9))); !bytes.Equal(got, items) {
			t.Errorf("%v, want %v", got, items)
		}
		if err := r.End(); err != nil {
			t.Error(err)
		}

		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		bad := slices.Clone(b)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := wire.Open(bad, "WORD"); err == nil {
			t.Errorf("a change of byte %d was not noticed", at)
		}
		if _, err := wire.Open(b[:at], "WORD"); err == nil {
			t.Errorf("a cut at byte %d was not noticed", at)
		}
	})
}

// TestWhatCannotBeRead: each gives zero and an error, and what is read after it changes neither.
func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{0xff}, 11)
	for name, c := range map[string]struct {
		data []byte
		read func(r *wire.Reader) bool // whether it is zero
		want string
	}{
		"no number":           {nil, func(r *wire.Reader) bool { return r.Int() == 0 }, "a number is cut off"},
		"number cut off":      {[]byte{0x80}, func(r *wire.Reader) bool { return r.Uint() == 0 }, "a number is cut off"},
		"number too long":     {long, func(r *wire.Reader) bool { return r.Int() == 0 }, "too long"},
		"not of 32 bits":      {binary.AppendVarint(nil, math.MaxInt32+1), func(r *wire.Reader) bool { return r.Int32() == 0 }, "2147483648 where 32 bits are expected"},
		"negative count":      {binary.AppendVarint(nil, -1), func(r *wire.Reader) bool { return r.Count(1) == 0 }, "-1 elements"},
		"more than there can": {append(binary.AppendVarint(nil, 4), make([]byte, 7)...), func(r *wire.Reader) bool { return r.Count(2) == 0 }, "4 elements where 7 bytes are left"},
		"more than allowed":   {append([]byte{3}, 1, 2, 3), func(r *wire.Reader) bool { return r.CountUpTo(2) == 0 }, "3 elements where at most 2"},
		"beyond any count":    {append(binary.AppendUvarint(nil, math.MaxUint64), 1), func(r *wire.Reader) bool { return r.CountUpTo(math.MaxInt) == 0 }, "elements"},
		"bytes cut off":       {append(binary.AppendVarint(nil, 4), 1, 2, 3), func(r *wire.Reader) bool { return r.Sized() == nil || len(r.Sized()) == 0 }, "4 elements where 3 bytes are left"},
		"too few bytes":       {[]byte{1, 2}, func(r *wire.Reader) bool { return r.Bytes(math.MaxUint64) == nil }, "it ends too early"},
		"no byte":             {nil, func(r *wire.Reader) bool { return r.Byte() == 0 }, "it ends too early"},
		"no boolean":          {[]byte{2}, func(r *wire.Reader) bool { return !r.Bool() }, "neither 0 nor 1"},
		"float cut off":       {make([]byte, 7), func(r *wire.Reader) bool { return r.Float() == 0 }, "it ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wire.NewReader(c.data)
			if !c.read(&r) {
				t.Error("what cannot be read is not zero")
			}
			first := r.Err()
			if first == nil || !strings.Contains(first.Error(), c.want) {
				t.Fatalf("%v, want %q", first, c.want)
			}
			if r.Int() != 0 || r.Uint() != 0 || r.Fixed() != 0 || r.Byte() != 0 || r.Bool() || len(r.Bytes(0)) != 0 || r.Count(1) != 0 || r.Left() != 0 {
				t.Error("after an error there is something to read")
			}
			if r.Fail("another"); r.Err() != first || r.End() != first { //nolint:errorlint // the very same
				t.Errorf("%v became %v", first, r.Err())
			}
		})
	}
	r := wire.NewReader([]byte{1})
	if err := r.End(); err == nil || !strings.Contains(err.Error(), "1 bytes are left over") {
		t.Errorf("left over: %v", err)
	}
}
