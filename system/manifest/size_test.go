package manifest

import (
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// TestSizePerSegment measures what docs/architecture.md says of a manifest that nothing is ever removed from: its bytes for each segment of events with a dozen columns.
func TestSizePerSegment(t *testing.T) {
	t.Parallel()
	const seals = 500
	per := len(sealed(t, seals).Encode()) / seals
	t.Logf("%d bytes for each segment and its seal, so %d of them until a manifest is too large to be read", per, MaxBytes/per)
	if per > 600 {
		t.Errorf("%d bytes for each segment: the documentation says less than 600", per)
	}
}

// sealed is a manifest of that many seals, each of 40 events with a dozen columns.
func sealed(t testing.TB, seals int64) Manifest {
	t.Helper()
	m := Manifest{Writer: "retriever1"}
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for n := range seals {
		at := began.Add(time.Duration(n) * 10 * time.Second)
		b := segment.NewBuilder(0, 1+n%3, at.Unix()/3600)
		for k := range int64(40) {
			e := event.Event{ID: event.ID{Source: 7, Seq: uint64(n*40 + k)}, Time: at.Add(time.Duration(k) * time.Millisecond), SampleRate: 1}
			for f := range int64(6) {
				e.Fields = append(e.Fields, event.Field{Name: fmt.Sprintf("number_%d", f), Value: event.IntValue(k * f * n)})
				e.Fields = append(e.Fields, event.Field{Name: fmt.Sprintf("text_%d", f), Value: event.StringValue(fmt.Sprintf("value-%d", (n+k*f)%97))})
			}
			b.AppendEvent(n*4+k/10, int32(k%10), &e)
		}
		_, info, err := b.Encode(n*4, n*4+4, segment.Options{})
		if err != nil {
			t.Fatal(err)
		}
		info.Key = SegmentKey(info)
		m.Seals = append(m.Seals, Seal{First: n * 4, Next: n*4 + 4, At: at.UnixNano(), Segments: []segment.Info{info}, IDs: IDsKey(0, n*4, n*4+4, uint32(n*2654435761)), Records: 4})
	}
	m.Next = 4 * seals
	return m
}

func BenchmarkEncode(b *testing.B) {
	m := sealed(b, 100)
	data := m.Encode()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		data = m.AppendEncoded(data[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	data := sealed(b, 100).Encode()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
