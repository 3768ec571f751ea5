package query

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment"
)

// TestOpenedFindsDamage: a segment that was open before is used again, but not if the object has changed since.
func TestOpenedFindsDamage(t *testing.T) {
	t.Parallel()
	b := segment.NewBuilder(0, 1, 0)
	b.AppendEvent(0, 0, &event.Event{Time: time.Unix(1, 0), SampleRate: 1, Fields: []event.Field{{Name: "a", Value: event.IntValue(1)}}})
	data, info, err := b.Encode(0, 1, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	info.Key = manifest.SegmentKey(info)
	o := &opened{byKey: map[string]*segment.Segment{}}
	first, err := o.open(info, data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.open(info, bytes.Clone(data)); err != nil || again != first {
		t.Errorf("opened anew: %v", err)
	}
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	if _, err := o.open(info, data); !errors.Is(err, port.ErrCorrupt) {
		t.Errorf("%v, expected damage", err)
	}
	other := info
	other.CRC++
	if _, err := o.open(other, bytes.Clone(data)); !errors.Is(err, port.ErrCorrupt) {
		t.Errorf("%v, expected damage", err)
	}
}

// TestOpenedIsBounded: the oldest go first, and what alone is too large is not kept.
func TestOpenedIsBounded(t *testing.T) {
	t.Parallel()
	o := &opened{byKey: map[string]*segment.Segment{}}
	b := segment.NewBuilder(0, 1, 0)
	text := string(bytes.Repeat([]byte("text that is not compressed "), 1000))
	for i := range 200 {
		b.AppendEvent(int64(i), 0, &event.Event{Time: time.Unix(1, 0), SampleRate: 1, Fields: []event.Field{{Name: "a", Value: event.StringValue(text + time.Duration(i).String())}}})
	}
	data, info, err := b.Encode(0, 200, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"} {
		info.Key = key
		if _, err := o.open(info, data); err != nil {
			t.Fatal(err)
		}
	}
	if o.bytes > maxOpened || o.byKey["a"] != nil || o.byKey["p"] == nil || len(o.order) != len(o.byKey) || o.bytes != int64(len(o.order))*info.Bytes {
		t.Errorf("%d bytes in %d segments of %d", o.bytes, len(o.order), info.Bytes)
	}
}
