package loadgen

import (
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/ratel-sim/ratel/system/event"
)

// Fields by which a stored event is recognised.
const (
	fieldProducer = "ratel.producer"
	fieldSeq      = "ratel.seq"
	fieldSum      = "ratel.sum"
)

// State says what a stored event turned out to be.
type State uint8

// States of stored events.
const (
	Intact  State = iota // its checksum matches what was sent
	Corrupt              // it has an identity but its checksum does not match
	Foreign              // it has no identity of this load generator
)

// Identify recognises an event that a load has sent. The checksum covers the identity and every other field, whatever
// their order, so a pipeline may reorder fields but not lose, add or change one. A number counts by its value: 3 and 3.0
// are the same, because JSON does not tell them apart.
func Identify(e *event.Event) (producer uint32, seq uint64, state State) {
	var p, s, sum event.Value
	var content uint64
	for i := range e.Fields {
		f := &e.Fields[i]
		switch f.Name {
		case fieldProducer:
			p = f.Value
		case fieldSeq:
			s = f.Value
		case fieldSum:
			sum = f.Value
		default:
			content += fieldSumOf(xxhash.Sum64String(f.Name), f.Value)
		}
	}
	if p.Kind() != event.Int || s.Kind() != event.Int || p.Int() < 0 || p.Int() > math.MaxUint32 || s.Int() < 0 {
		return 0, 0, Foreign
	}
	producer, seq = uint32(p.Int()), uint64(s.Int())
	if sum.Kind() != event.Int || sum.Int() != sumOf(producer, seq, content) {
		return producer, seq, Corrupt
	}
	return producer, seq, Intact
}

// sumOf is an event's checksum: over its identity and the sum of its other fields' hashes.
func sumOf(producer uint32, seq, content uint64) int64 {
	return int64(mix(content^uint64(producer)<<32, seq) >> 1)
}

// fieldSumOf hashes one field, given its name's hash.
func fieldSumOf(name uint64, v event.Value) uint64 {
	switch v.Kind() {
	case event.String:
		return mix(name, xxhash.Sum64String(v.Str()))
	case event.Int, event.Float:
		return mix(name^1, math.Float64bits(v.Float()+0)) // +0 makes -0 and 0 alike
	case event.Bool:
		if v.Bool() {
			return mix(name, 3)
		}
		return mix(name, 2)
	case event.Null:
	}
	return mix(name, 1)
}

// mix spreads two words over one: a multiplication folded, twice.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^0xa0761d6478bd642f, a+0xe7037ed1a0b428db)
	return hi ^ lo
}
