package loadgen

import (
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/ratel-sim/ratel/system/event"
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
	var id identity
	for i := range e.Fields {
		f := &e.Fields[i]
		n := meaningOf(f.Name)
		if f.Value.Kind() == event.String && n.role == other {
			id.content += mix(n.hash, xxhash.Sum64String(f.Value.Str()))
			continue
		}
		id.add(&n, f.Value)
	}
	return id.verdict()
}

// Recogniser is [Identify] for events that are still encoded in a chunk: it reads them where they are. It is not safe
// for concurrent use.
type Recogniser struct {
	walker event.Walker
	names  []*named          // by position, of the event before
	known  map[string]*named // by name
	visit  func(fields []event.FieldView, sameNames bool)
	found  func(producer uint32, seq uint64, state State)
}

// Chunk calls found for every event of a chunk, in order. Errors are [event.DecodeChunk]'s; what was found before counts
// for nothing then.
func (r *Recogniser) Chunk(data []byte, found func(producer uint32, seq uint64, state State)) error {
	if r.visit == nil {
		r.visit = r.event
	}
	r.found = found
	return r.walker.Walk(data, r.visit)
}

func (r *Recogniser) event(fields []event.FieldView, sameNames bool) {
	if !sameNames {
		r.learn(fields)
	}
	var id identity
	names := r.names[:len(fields)]
	for i := range fields {
		f, n := &fields[i], names[i]
		switch {
		case f.Kind == event.String && n.role == other:
			id.content += mix(n.hash, xxhash.Sum64(f.Text))
		case f.Kind == event.String:
			id.add(n, f.Value())
		default:
			id.add(n, f.Number())
		}
	}
	r.found(id.verdict())
}

// maxKnown bounds the names that are kept; a load has far fewer, a corrupt log may have any.
const maxKnown = 10_000

// learn finds out what the names of an event's fields mean. Most mean what they meant in the event before, at the same
// place or, where fields are absent, at another.
func (r *Recogniser) learn(fields []event.FieldView) {
	for len(r.names) < len(fields) {
		r.names = append(r.names, nil)
	}
	for i := range fields {
		if n := r.names[i]; n != nil && n.name == string(fields[i].Name) {
			continue
		}
		n, known := r.known[string(fields[i].Name)]
		if !known {
			if r.known == nil || len(r.known) == maxKnown {
				r.known = map[string]*named{}
			}
			learnt := meaningOf(string(fields[i].Name))
			n = &learnt
			r.known[learnt.name] = n
		}
		r.names[i] = n
	}
}

// named is a field's name and what it means for recognising an event.
type named struct {
	name string
	hash uint64
	role role
}

type role uint8

const (
	other role = iota
	isProducer
	isSeq
	isSum
)

func meaningOf(name string) named {
	switch name {
	case FieldProducer:
		return named{name: name, role: isProducer}
	case FieldSeq:
		return named{name: name, role: isSeq}
	case FieldSum:
		return named{name: name, role: isSum}
	}
	return newNamed(name)
}

func newNamed(name string) named { return named{name: name, hash: xxhash.Sum64String(name)} }

// identity is what has been read of an event.
type identity struct {
	producer, seq, sum event.Value
	content            uint64
}

func (id *identity) add(n *named, v event.Value) {
	switch n.role {
	case isProducer:
		id.producer = v
	case isSeq:
		id.seq = v
	case isSum:
		id.sum = v
	case other:
		id.content += fieldSumOf(n.hash, v)
	}
}

func (id *identity) verdict() (producer uint32, seq uint64, state State) {
	p, s := id.producer, id.seq
	if p.Kind() != event.Int || s.Kind() != event.Int || p.Int() < 0 || p.Int() > math.MaxUint32 || s.Int() < 0 {
		return 0, 0, Foreign
	}
	producer, seq = uint32(p.Int()), uint64(s.Int())
	if id.sum.Kind() != event.Int || id.sum.Int() != sumOf(producer, seq, id.content) {
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
