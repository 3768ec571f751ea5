package group

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// maxString is the longest string that the protocol can carry.
const maxString = math.MaxInt16

// TopicPartitions are partitions of one topic.
type TopicPartitions struct {
	Topic      string
	Partitions []int32
}

// Subscription is what a member tells the leader (ConsumerProtocolSubscription of Kafka). Version 1 added Owned, version
// 2 added Generation; version 3's rack is read over.
type Subscription struct {
	Version  int16
	Topics   []string
	UserData []byte // the assignor's own
	// Owned is what the member holds while it joins (cooperative protocols only).
	Owned []TopicPartitions
	// Generation is the one in which the member was given what it owns; -1 if it was never given anything.
	Generation int32
}

// Assigned is what the leader gives a member (ConsumerProtocolAssignment of Kafka, the same in all its versions).
type Assigned struct {
	Version  int16
	Topics   []TopicPartitions
	UserData []byte // the assignor's own
}

// noGeneration is Kafka's generation of a member that is in none.
const noGeneration = -1

// newest is the highest version of both messages that is written here. Higher ones only append fields.
const newest = 2

// Encode returns the wire form. Strings must fit the protocol's 16-bit lengths.
func (s Subscription) Encode() []byte {
	w := writer{}
	w.int16(s.Version)
	w.int32(int32(len(s.Topics)))
	for _, t := range s.Topics {
		w.string(t)
	}
	w.bytes(s.UserData)
	if s.Version >= 1 {
		w.topics(s.Owned)
	}
	if s.Version >= 2 {
		w.int32(s.Generation)
	}
	return w.b
}

// DecodeSubscription reads any version: what lies behind the fields of version 2 is passed over. What is returned is
// bounded by the input's length.
func DecodeSubscription(b []byte) (Subscription, error) {
	r := reader{b: b}
	s := Subscription{Version: r.int16(), Generation: noGeneration}
	n := r.count(2)
	for range n {
		s.Topics = append(s.Topics, r.string())
	}
	s.UserData = r.bytes()
	if s.Version >= 1 {
		s.Owned = r.topics()
	}
	if s.Version >= 2 {
		s.Generation = r.int32()
	}
	if s.Version < 0 {
		r.fail("version %d is negative", s.Version)
	}
	if r.err != nil {
		return Subscription{}, fmt.Errorf("group: subscription of %d bytes: %w", len(b), r.err)
	}
	return s, nil
}

// Encode returns the wire form.
func (a Assigned) Encode() []byte {
	w := writer{}
	w.int16(a.Version)
	w.topics(a.Topics)
	w.bytes(a.UserData)
	return w.b
}

// DecodeAssigned reads any version. No bytes at all, which a coordinator gives to a member that the leader has left out,
// are no partitions.
func DecodeAssigned(b []byte) (Assigned, error) {
	if len(b) == 0 {
		return Assigned{}, nil
	}
	r := reader{b: b}
	a := Assigned{Version: r.int16(), Topics: r.topics(), UserData: r.bytes()}
	if a.Version < 0 {
		r.fail("version %d is negative", a.Version)
	}
	if r.err != nil {
		return Assigned{}, fmt.Errorf("group: assignment of %d bytes: %w", len(b), r.err)
	}
	return a, nil
}

// stickyData is what the sticky assignor puts into UserData (StickyAssignorUserData V1 of Kafka): the member's last
// assignment and its generation. A member of that eager assignor owns nothing while it joins.
type stickyData struct {
	last       []TopicPartitions
	generation int32
}

func (d stickyData) encode() []byte {
	w := writer{}
	w.topics(d.last)
	w.int32(d.generation)
	return w.b
}

func decodeStickyData(b []byte) (stickyData, error) {
	r := reader{b: b}
	d := stickyData{last: r.topics(), generation: noGeneration}
	if len(r.b) > 0 { // V0 has no generation
		d.generation = r.int32()
	}
	return d, r.err
}

// writer appends Kafka's primitive types.
type writer struct{ b []byte }

func (w *writer) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }

func (w *writer) string(s string) {
	w.int16(int16(len(s)))
	w.b = append(w.b, s...)
}

// bytes writes a nullable byte string.
func (w *writer) bytes(b []byte) {
	if b == nil {
		w.int32(-1)
		return
	}
	w.int32(int32(len(b)))
	w.b = append(w.b, b...)
}

func (w *writer) topics(all []TopicPartitions) {
	w.int32(int32(len(all)))
	for _, t := range all {
		w.string(t.Topic)
		w.int32(int32(len(t.Partitions)))
		for _, p := range t.Partitions {
			w.int32(p)
		}
	}
}

// reader takes Kafka's primitive types off b until the first error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("%d bytes are left where %d were expected", len(r.b), n)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// count reads an array's length, whose elements take at least size bytes each: what cannot be there is not made room for.
func (r *reader) count(size int) int {
	n := int(r.int32())
	if n < 0 || n > len(r.b)/size {
		r.fail("an array of %d elements in %d bytes", n, len(r.b))
		return 0
	}
	return n
}

func (r *reader) string() string { return string(r.take(int(r.int16()))) }

func (r *reader) bytes() []byte {
	n := r.int32()
	if n == -1 || r.err != nil {
		return nil
	}
	return slices.Clone(r.take(int(n)))
}

func (r *reader) topics() []TopicPartitions {
	var out []TopicPartitions
	for range r.count(6) {
		t := TopicPartitions{Topic: r.string()}
		n := r.count(4)
		for range n {
			t.Partitions = append(t.Partitions, r.int32())
		}
		if r.err != nil {
			return nil
		}
		out = append(out, t)
	}
	return out
}
