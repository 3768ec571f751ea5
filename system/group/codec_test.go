package group

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"testing"

	"github.com/IBM/sarama"
	"pgregory.net/rapid"
)

func drawTopics(t *rapid.T, label string) []TopicPartitions {
	var out []TopicPartitions
	for range rapid.IntRange(0, 3).Draw(t, label) {
		out = append(out, TopicPartitions{Topic: rapid.StringN(0, 5, 20).Draw(t, "topic"), Partitions: rapid.SliceOfN(rapid.Int32(), 1, 5).Draw(t, "partitions")})
	}
	return out
}

func TestEncodingRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Subscription{
			Version: rapid.Int16Range(0, newest).Draw(t, "version"), Topics: rapid.SliceOfN(rapid.StringN(0, 5, 20), 1, 3).Draw(t, "topics"),
			UserData: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "user data"), Generation: noGeneration,
		}
		if s.Version >= 1 {
			s.Owned = drawTopics(t, "owned")
		}
		if s.Version >= 2 {
			s.Generation = rapid.Int32().Draw(t, "generation")
		}
		if got, err := DecodeSubscription(s.Encode()); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v became %+v, %v", s, got, err)
		}
		if got, err := DecodeSubscription(append(s.Encode(), 0, 1, 'x')); s.Version == newest && (err != nil || !reflect.DeepEqual(got, s)) {
			t.Fatalf("with a later version's fields behind: %+v, %v", got, err)
		}
		a := Assigned{Version: rapid.Int16Range(0, 9).Draw(t, "version"), Topics: drawTopics(t, "assigned"), UserData: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "user data")}
		if got, err := DecodeAssigned(a.Encode()); err != nil || !reflect.DeepEqual(got, a) {
			t.Fatalf("%+v became %+v, %v", a, got, err)
		}
	})
}

// TestEncodingIsKafkas compares with bytes written out by hand after Kafka's message definitions, and with another
// client's encoder.
func TestEncodingIsKafkas(t *testing.T) {
	t.Parallel()
	s := Subscription{Version: 2, Topics: []string{"ab"}, UserData: []byte{9}, Owned: []TopicPartitions{{"ab", []int32{1, 5}}}, Generation: 7}
	const want = "0002" + "00000001" + "00026162" + "00000001" + "09" + "00000001" + "00026162" + "00000002" + "00000001" + "00000005" + "00000007"
	if got := hex.EncodeToString(s.Encode()); got != want {
		t.Errorf("subscription %s, expected %s", got, want)
	}
	request := &sarama.JoinGroupRequest{}
	err := request.AddGroupProtocolMetadata("x", &sarama.ConsumerGroupMemberMetadata{
		Version: 2, Topics: s.Topics, UserData: s.UserData, OwnedPartitions: []*sarama.OwnedPartition{{Topic: "ab", Partitions: []int32{1, 5}}}, GenerationID: 7,
	})
	if err != nil || !bytes.Equal(request.OrderedGroupProtocols[0].Metadata, s.Encode()) {
		t.Errorf("another client writes the subscription as %x, %v", request.OrderedGroupProtocols[0].Metadata, err)
	}
	a := Assigned{Version: 1, Topics: []TopicPartitions{{"ab", []int32{3}}}, UserData: []byte{8}}
	response := &sarama.SyncGroupResponse{MemberAssignment: a.Encode()}
	if got, err := response.GetMemberAssignment(); err != nil || !reflect.DeepEqual(got.Topics, map[string][]int32{"ab": {3}}) || !bytes.Equal(got.UserData, a.UserData) {
		t.Errorf("another client reads the assignment as %+v, %v", got, err)
	}
	null := Subscription{Version: 0, Topics: []string{"ab"}, Generation: noGeneration}
	if got, err := DecodeSubscription(null.Encode()); err != nil || got.UserData != nil {
		t.Errorf("null user data: %+v, %v", got, err)
	}
}

func TestDecodingRefuses(t *testing.T) {
	t.Parallel()
	good := Subscription{Version: 2, Topics: []string{"ab"}, Owned: []TopicPartitions{{"ab", []int32{1, 5}}}, Generation: 7}.Encode()
	for n := range good {
		if s, err := DecodeSubscription(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were read as %+v", n, len(good), s)
		}
	}
	huge := writer{}
	huge.int16(1)
	huge.int32(math.MaxInt32)
	for name, b := range map[string][]byte{"array beyond the end": huge.b, "negative version": {0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0}, "negative length": {0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}} {
		if _, err := DecodeSubscription(b); err == nil {
			t.Errorf("subscription with %s: expected an error", name)
		}
		if _, err := DecodeAssigned(b); err == nil {
			t.Errorf("assignment with %s: expected an error", name)
		}
	}
}

func FuzzDecodeSubscription(f *testing.F) {
	f.Add(Subscription{Version: 2, Topics: []string{"events"}, UserData: []byte{1}, Owned: []TopicPartitions{{"events", []int32{1, 2}}}, Generation: 3}.Encode())
	f.Add(stickyData{last: []TopicPartitions{{"events", []int32{1}}}, generation: 4}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodeStickyData(b); err == nil && 4*len(d.last) > len(b) {
			t.Errorf("%d bytes became %d topics", len(b), len(d.last))
		}
		s, err := DecodeSubscription(b)
		if err != nil {
			return
		}
		held := 2*len(s.Topics) + len(s.UserData)
		for _, o := range s.Owned {
			held += 6 + 4*len(o.Partitions)
		}
		if held > len(b) {
			t.Errorf("%d bytes became %d", len(b), held)
		}
		if s.Version > newest {
			s.Version = newest
		}
		if again, err := DecodeSubscription(s.Encode()); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}

func FuzzDecodeAssigned(f *testing.F) {
	f.Add(Assigned{Version: 1, Topics: []TopicPartitions{{"events", []int32{1, 2}}}, UserData: []byte{1}}.Encode())
	f.Add(Assigned{}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = decodeSize(b, "events")
		a, err := DecodeAssigned(b)
		if err != nil || len(b) == 0 {
			return
		}
		if again := a.Encode(); !bytes.HasPrefix(b, again) {
			t.Errorf("%x became %x", b, again)
		}
	})
}
