package loadgen

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
)

// Poison makes the nth value of a poison: a record's value that a client of the cluster other than a shepherd could
// append. That of [system.PoisonMixed] is of each kind in turn; the kind is returned.
func Poison(kind system.Poison, nth int, random *rand.Rand) ([]byte, system.Poison) {
	if kind == system.PoisonMixed {
		all := system.Poisons()
		kind = all[nth%(len(all)-1)]
	}
	switch kind {
	case system.PoisonEmpty:
		return []byte{}, kind
	case system.PoisonTruncated:
		whole := strange(random)
		return whole[:1+random.IntN(len(whole)-1)], kind
	case system.PoisonFlipped:
		whole := strange(random)
		at := random.IntN(len(whole))
		whole[at] ^= 1 << random.IntN(8)
		return whole, kind
	case system.PoisonVersion:
		whole := strange(random)
		whole[versionAt] = 99 // the checksum does not cover it
		return whole, kind
	case system.PoisonBomb:
		return bomb(), kind
	case system.PoisonHostile:
		return hostile(random), kind
	case system.PoisonGarbage, system.PoisonMixed:
	}
	garbage := make([]byte, 1+random.IntN(4096))
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	return garbage, kind
}

// Where a chunk has its version and its checksum, and where what the checksum covers begins; see package event.
const (
	versionAt  = 1
	checksumAt = 2
	bodyAt     = 6
)

// strange is a sound chunk of a dataset that does not exist, whose events no load has sent.
func strange(random *rand.Rand) []byte {
	events := make([]event.Event, 1+random.IntN(20))
	for i := range events {
		events[i] = event.Event{
			ID: event.ID{Source: random.Uint64(), Seq: random.Uint64()}, Time: time.Unix(1_700_000_000+int64(i), 0), SampleRate: 1,
			Fields: []event.Field{{Name: "poison", Value: event.IntValue(int64(i))}},
		}
	}
	return event.AppendChunk(nil, event.Dataset{ID: math.MaxInt64, Name: "poison"}, events)
}

// bomb is a chunk that claims a dataset's name, events and fields by the exabyte, under a right checksum.
func bomb() []byte {
	chunk := strange(rand.New(rand.NewPCG(1, 1)))[:bodyAt]
	chunk = binary.AppendVarint(chunk, 1) // the dataset's ID
	chunk = binary.AppendUvarint(chunk, 0)
	chunk = binary.AppendUvarint(chunk, 1<<60) // events
	chunk = binary.AppendUvarint(chunk, 1<<60) // fields
	chunk = append(chunk, make([]byte, 1024)...)
	binary.LittleEndian.PutUint32(chunk[checksumAt:], crc32.Checksum(chunk[bodyAt:], crc32.MakeTable(crc32.Castagnoli)))
	return chunk
}

// hostile is a chunk that can be decoded, with all that no shepherd lets through: times beyond every calendar, sample
// rates at their bound, numbers that are none, names that are empty, doubled, no text or too many.
func hostile(random *rand.Rand) []byte {
	ids := random.Uint64()
	at := func(seq uint64, t time.Time, rate int64, fields ...event.Field) event.Event {
		return event.Event{ID: event.ID{Source: ids, Seq: seq}, Time: t, SampleRate: rate, Fields: fields}
	}
	now := time.Unix(1_700_000_000, 0)
	many := make([]event.Field, 500)
	for i := range many {
		many[i] = event.Field{Name: "hostile" + strings.Repeat("x", i), Value: event.FloatValue(math.NaN())}
	}
	events := []event.Event{
		at(0, time.Unix(math.MaxInt64, 999_999_999), 1, event.Field{Name: "late", Value: event.BoolValue(true)}),
		at(math.MaxUint64, time.Unix(math.MinInt64, 0), math.MaxInt64, event.Field{Name: "early", Value: event.IntValue(math.MinInt64)}),
		at(1, now, 1, event.Field{Value: event.FloatValue(math.Inf(-1))}, event.Field{Value: event.StringValue("\xff\xfe\x00")}),
		at(2, now, 1, event.Field{Name: "\xff\x00/../..", Value: event.StringValue(strings.Repeat("y", 70_000))}),
		at(3, now, 1, many...),
		at(3, now, 1), // of the same ID, and empty
	}
	dataset := []int64{math.MinInt64, -1, 0, math.MaxInt64}[random.IntN(4)]
	return event.AppendChunk(nil, event.Dataset{ID: dataset, Name: "../../\x00\xff"}, events)
}
