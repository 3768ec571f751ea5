package loadgen

import (
	"context"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// Columns is [Identify] for the events of segments: it reads them by columns, so that a string that many rows share is
// hashed once. It is not safe for concurrent use.
type Columns struct {
	content []uint64 // by row, the sum of its other fields' hashes
	hashes  []uint64 // by code, of a column's dictionary
}

// Segment calls found for every event of a segment, in order. Errors are [segment.Segment.Rows]'s; what was found before
// counts for nothing then.
func (r *Columns) Segment(ctx context.Context, s *segment.Segment, found func(offset int64, producer uint32, seq uint64, state State)) error {
	return s.Whole(ctx, func(b *segment.WholeBlock) error {
		r.block(b, found)
		return nil
	})
}

func (r *Columns) block(b *segment.WholeBlock, found func(offset int64, producer uint32, seq uint64, state State)) {
	if cap(r.content) < b.Rows {
		r.content = make([]uint64, b.Rows)
	}
	r.content = r.content[:b.Rows]
	clear(r.content)
	producers, seqs, sums := -1, -1, -1
	for c, name := range b.Names {
		n := meaningOf(name)
		switch n.role {
		case isProducer:
			producers = c
		case isSeq:
			seqs = c
		case isSum:
			sums = c
		case other:
			r.add(b, c, n.hash)
		}
	}
	value := func(c, i int) event.Value {
		if c < 0 {
			return event.Value{} // which is what is not there, and what is null, neither of which identifies an event
		}
		return b.Columns[c].Value(i)
	}
	for i := range b.Rows {
		id := identity{producer: value(producers, i), seq: value(seqs, i), sum: value(sums, i), content: r.content[i]}
		producer, seq, state := id.verdict()
		found(b.Offset[i], producer, seq, state)
	}
}

// add adds the hashes of a column's fields.
func (r *Columns) add(b *segment.WholeBlock, c int, name uint64) {
	v, content := &b.Columns[c], r.content
	if !b.All(c) {
		for i := range content {
			if b.Sent(c, i) {
				content[i] += fieldSumOf(name, v.Value(i))
			}
		}
		return
	}
	switch v.Uniform {
	case event.Int:
		for i, n := range v.Ints {
			content[i] += mix(name^1, math.Float64bits(float64(n)+0))
		}
	case event.Float:
		for i, f := range v.Floats {
			content[i] += mix(name^1, math.Float64bits(f+0))
		}
	case event.String:
		if len(v.Dict) < len(v.Codes) {
			r.hashes = r.hashes[:0]
			for _, s := range v.Dict {
				r.hashes = append(r.hashes, mix(name, xxhash.Sum64String(s)))
			}
			for i, code := range v.Codes {
				content[i] += r.hashes[code]
			}
			return
		}
		for i, code := range v.Codes {
			content[i] += mix(name, xxhash.Sum64String(v.Dict[code]))
		}
	case event.Bool, event.Null:
		for i := range content {
			content[i] += fieldSumOf(name, v.Value(i))
		}
	}
}
