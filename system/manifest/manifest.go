// Package manifest is the index of one partition's data in the object store: which segments there are, and up to which
// Kafka offset they are complete. A snapshot becomes visible by writing the next manifest, last and conditionally.
package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/segment"
)

// Manifest is what the object store holds of one partition.
type Manifest struct {
	Partition  int32
	Generation int64 // counts up with each write
	Next       int64 // every record below this offset is in Segments, or was empty, dropped as a duplicate, or expired
	// SealedAt is the log's time (Unix nanoseconds) at which the last seal was made: where to go on sealing.
	SealedAt int64
	Writer   string // the node that wrote it
	Seals    []Seal // in order of offsets, without gaps
}

// Seal is one range of offsets that became segments together.
type Seal struct {
	First, Next int64
	// At is the log's time (Unix nanoseconds) at which it was made; see [Manifest.SealedAt].
	At       int64
	Segments []segment.Info // by dataset, then hour
	// IDs is the object with the event IDs of this range, for deduplication after a bootstrap; empty if there were none.
	IDs string
	// Records and Missed count the Kafka records that were read, and the offsets that could not be.
	Records, Missed int64
}

// Key is the object that holds a partition's manifest.
func Key(partition int32) string { return fmt.Sprintf("manifests/%d", partition) }

// Folder is where the segments of a partition are: the prefix of their keys.
func Folder(partition int32) string { return string(appendFolder(nil, partition)) }

func appendFolder(b []byte, partition int32) []byte {
	return append(strconv.AppendInt(append(b, "segments/"...), int64(partition), 10), '/')
}

// SegmentKey is the object that holds a segment. It is content-addressed: whoever makes the same segment, makes the same
// key, and no other content is ever written under it.
func SegmentKey(i segment.Info) string { return string(appendSegmentKey(nil, &i)) }

// appendSegmentKey is SegmentKey for who makes the keys of a whole manifest, and so often.
func appendSegmentKey(b []byte, i *segment.Info) []byte {
	b = appendFolder(b, i.Partition)
	for _, n := range [...]struct {
		value int64
		end   byte
	}{{i.First, '-'}, {i.Next, '/'}, {i.Dataset, '-'}, {i.Hour, '-'}} {
		b = append(strconv.AppendInt(b, n.value, 10), n.end)
	}
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[i.CRC>>shift&15])
	}
	return append(b, ".parquet"...)
}

// IDsKey is the object that holds the IDs of a seal, content-addressed too.
func IDsKey(partition int32, first, next int64, crc uint32) string {
	return fmt.Sprintf("%s%d-%d/ids-%08x", Folder(partition), first, next, crc)
}

// Names says whether the manifest refers to an object.
func (m *Manifest) Names(key string) bool {
	if first, _, ok := RangeOf(key); ok {
		if s, there := m.Seal(first); there && s.Names(key) {
			return true
		}
	}
	for i := range m.Seals { // it is not ours, or there is none
		if m.Seals[i].Names(key) {
			return true
		}
	}
	return false
}

// Names says whether the seal refers to an object.
func (s *Seal) Names(key string) bool {
	if s.IDs == key && key != "" {
		return true
	}
	for i := range s.Segments {
		if s.Segments[i].Key == key {
			return true
		}
	}
	return false
}

// RangeOf reads the Kafka offsets of a seal off the key of one of its objects; ok is false if the key is not ours.
func RangeOf(key string) (first, next int64, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(parts[2], "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	next, err2 := strconv.ParseInt(to, 10, 64)
	return first, next, err1 == nil && err2 == nil
}

// Same says whether two seals are of the same range and refer to the same objects.
func (s *Seal) Same(o *Seal) bool {
	return s.First == o.First && s.Next == o.Next && s.IDs == o.IDs &&
		slices.EqualFunc(s.Segments, o.Segments, func(a, b segment.Info) bool { return a.Key == b.Key && a.CRC == b.CRC })
}

// Seal finds the seal that begins at an offset.
func (m *Manifest) Seal(first int64) (*Seal, bool) {
	i, ok := slices.BinarySearchFunc(m.Seals, first, func(s Seal, first int64) int {
		switch {
		case s.First < first:
			return -1
		case s.First > first:
			return 1
		}
		return 0
	})
	if !ok {
		return nil, false
	}
	return &m.Seals[i], true
}

// Rows counts the rows of all segments.
func (s *Seal) Rows() int64 {
	n := int64(0)
	for i := range s.Segments {
		n += s.Segments[i].Rows
	}
	return n
}

// Bytes adds up the sizes of all segments.
func (s *Seal) Bytes() int64 {
	n := int64(0)
	for i := range s.Segments {
		n += s.Segments[i].Bytes
	}
	return n
}

// check says what contradicts itself in a manifest.
func (m *Manifest) check() error {
	for i := range m.Seals {
		s := &m.Seals[i]
		if s.First < 0 || s.Next <= s.First {
			return fmt.Errorf("seal %d is of offsets %d to %d", i, s.First, s.Next)
		}
		if i > 0 && s.First != m.Seals[i-1].Next {
			return fmt.Errorf("seal %d begins at offset %d, the one before ends at %d", i, s.First, m.Seals[i-1].Next)
		}
		for j := range s.Segments {
			if g := &s.Segments[j]; g.First != s.First || g.Next != s.Next || g.Partition != m.Partition {
				return fmt.Errorf("segment %s is not of its seal", g.Key)
			}
		}
	}
	if n := len(m.Seals); n > 0 && m.Seals[n-1].Next != m.Next {
		return fmt.Errorf("the last seal ends at offset %d, the manifest says %d", m.Seals[n-1].Next, m.Next)
	}
	return nil
}
