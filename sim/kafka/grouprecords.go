package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// What coordinators write to the offsets topic, in Kafka's own schemas: OffsetCommitKey 1 and OffsetCommitValue 3,
// GroupMetadataKey 2 and GroupMetadataValue 3 (core's message definitions). The last record of a key counts.
const (
	offsetKeyVersion   = 1
	groupKeyVersion    = 2
	offsetValueVersion = 3
	groupValueVersion  = 3

	consumerProtocol = "consumer" // the protocol type of consumer groups
)

// groupRecord is a record of the offsets topic, decoded: a group's metadata, or one committed offset.
type groupRecord struct {
	group  string
	meta   *groupMetadata // nil for an offset
	topic  string
	offset partOffset
}

// groupMetadata is a group as it lies in the log.
type groupMetadata struct {
	generation int32
	protocol   string
	leader     string
	members    []memberMetadata
}

type memberMetadata struct {
	id, instance, clientID           string
	rebalanceTimeout, sessionTimeout time.Duration
	subscription, assignment         []byte
}

func offsetRecord(group, topic string, o partOffset, now time.Time) port.Record {
	key := binary.BigEndian.AppendUint16(nil, offsetKeyVersion)
	key = appendString(key, group)
	key = appendString(key, topic)
	key = binary.BigEndian.AppendUint32(key, uint32(o.part))
	value := binary.BigEndian.AppendUint16(nil, offsetValueVersion)
	value = binary.BigEndian.AppendUint64(value, uint64(o.next))
	value = binary.BigEndian.AppendUint32(value, uint32(0xffffffff)) // leader epoch of the record: not known
	value = appendString(value, "")
	value = binary.BigEndian.AppendUint64(value, uint64(now.UnixMilli()))
	return port.Record{Key: key, Value: value, Time: now}
}

func metadataRecord(group string, m *groupMetadata, now time.Time) port.Record {
	key := binary.BigEndian.AppendUint16(nil, groupKeyVersion)
	key = appendString(key, group)
	v := binary.BigEndian.AppendUint16(nil, groupValueVersion)
	v = appendString(v, consumerProtocol)
	v = binary.BigEndian.AppendUint32(v, uint32(m.generation))
	v = appendNullable(v, m.protocol)
	v = appendNullable(v, m.leader)
	v = binary.BigEndian.AppendUint64(v, uint64(now.UnixMilli()))
	v = binary.BigEndian.AppendUint32(v, uint32(len(m.members)))
	for _, x := range m.members {
		v = appendString(v, x.id)
		v = appendNullable(v, x.instance)
		v = appendString(v, x.clientID)
		v = appendString(v, "") // client host
		v = binary.BigEndian.AppendUint32(v, uint32(x.rebalanceTimeout.Milliseconds()))
		v = binary.BigEndian.AppendUint32(v, uint32(x.sessionTimeout.Milliseconds()))
		v = appendBytes(v, x.subscription)
		v = appendBytes(v, x.assignment)
	}
	return port.Record{Key: key, Value: v, Time: now}
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendNullable writes "" as null.
func appendNullable(b []byte, s string) []byte {
	if s == "" {
		return binary.BigEndian.AppendUint16(b, 0xffff)
	}
	return appendString(b, s)
}

func appendBytes(b, s []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

var errTruncatedRecord = errors.New("record ends too early")

// decoder reads what the append functions wrote; after an error it reads zeros.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.data) {
		d.err, d.data = errTruncatedRecord, nil
		return make([]byte, max(0, min(n, 8)))
	}
	out := d.data[:n:n]
	d.data = d.data[n:]
	return out
}

func (d *decoder) int16() int16 { return int16(binary.BigEndian.Uint16(d.take(2))) }
func (d *decoder) int32() int32 { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *decoder) int64() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }

func (d *decoder) string() string {
	n := d.int16()
	if n < 0 {
		return ""
	}
	return string(d.take(int(n)))
}

func (d *decoder) bytes() []byte {
	n := d.int32()
	if d.err != nil || n <= 0 {
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) millis() time.Duration { return time.Duration(d.int32()) * time.Millisecond }

// decodeGroupRecord reads a record of the offsets topic.
func decodeGroupRecord(r *port.Record) (groupRecord, error) {
	k, v := decoder{data: r.Key}, decoder{data: r.Value}
	var out groupRecord
	keyVersion := k.int16()
	out.group = k.string()
	valueVersion := v.int16()
	switch {
	case keyVersion == offsetKeyVersion && valueVersion == offsetValueVersion:
		out.topic = k.string()
		out.offset.part = k.int32()
		out.offset.next = v.int64()
	case keyVersion == groupKeyVersion && valueVersion == groupValueVersion:
		out.meta = v.metadata()
	default:
		return out, fmt.Errorf("kafka: a record of the offsets topic has key version %d and value version %d, expected %d and %d, or %d and %d",
			keyVersion, valueVersion, offsetKeyVersion, offsetValueVersion, groupKeyVersion, groupValueVersion)
	}
	if err := errors.Join(k.err, v.err); err != nil {
		return out, fmt.Errorf("kafka: a record of the offsets topic for group %q: %w", out.group, err)
	}
	return out, nil
}

func (d *decoder) metadata() *groupMetadata {
	m := &groupMetadata{}
	_ = d.string() // protocol type
	m.generation = d.int32()
	m.protocol = d.string()
	m.leader = d.string()
	_ = d.int64() // since when
	for n := d.int32(); n > 0 && d.err == nil; n-- {
		var x memberMetadata
		x.id = d.string()
		x.instance = d.string()
		x.clientID = d.string()
		_ = d.string() // client host
		x.rebalanceTimeout = d.millis()
		x.sessionTimeout = d.millis()
		x.subscription = d.bytes()
		x.assignment = d.bytes()
		m.members = append(m.members, x)
	}
	return m
}
