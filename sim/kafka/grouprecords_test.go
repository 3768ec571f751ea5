package kafka

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func TestGroupRecords(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	r := offsetRecord("g", "events", partOffset{3, 77}, now)
	if got, err := decodeGroupRecord(&r); err != nil || got.group != "g" || got.topic != "events" || got.offset != (partOffset{3, 77}) || got.meta != nil {
		t.Errorf("%+v, %v", got, err)
	}
	meta := &groupMetadata{generation: 5, protocol: "range", leader: "a", members: []memberMetadata{
		{id: "a", instance: "i", clientID: "c", rebalanceTimeout: time.Second, sessionTimeout: 2 * time.Second, subscription: []byte("s"), assignment: []byte("x")},
		{id: "b"},
	}}
	r = metadataRecord("g", meta, now)
	got, err := decodeGroupRecord(&r)
	if err != nil || fmt.Sprintf("%+v", got.meta) != fmt.Sprintf("%+v", meta) {
		t.Errorf("%+v, %v; expected %+v", got.meta, err, meta)
	}
	for n := range r.Value {
		cut := port.Record{Key: r.Key, Value: r.Value[:n]}
		if _, err := decodeGroupRecord(&cut); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}

// TestOffsetsPartition compares with Java: Utils.abs("…".hashCode()) % n.
func TestOffsetsPartition(t *testing.T) {
	t.Parallel()
	for group, want := range map[string]int32{"": 0, "a": 97 % 50, "beagle": hash31("beagle") % 50, "polygenelubricants": 0} {
		if got := OffsetsPartition(group, 50); got != want {
			t.Errorf("%q: %d, expected %d", group, got, want)
		}
	}
	if !slices.ContainsFunc([]string{"a", "b", "c", "d", "e", "f"}, func(s string) bool { return OffsetsPartition(s, 6) != OffsetsPartition("a", 6) }) {
		t.Error("all groups are in one partition")
	}
}

// hash31 is String.hashCode of a short ASCII string, without overflow in 64 bits.
func hash31(s string) int32 {
	h := int64(0)
	for _, c := range []byte(s) {
		h = (31*h + int64(c)) & 0xffffffff
	}
	if v := int32(uint32(h)); v < 0 {
		return -v
	} else {
		return v
	}
}
