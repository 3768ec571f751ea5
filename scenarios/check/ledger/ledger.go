// Package ledger keeps sets of events, each named by its producer and a dense sequence number, as one plain bitset per
// producer. Measured against hash maps, compressed bitmaps and watermarks it was the fastest and, at about 0.14 byte an
// event, small enough for 10⁹ events in memory; a watermark with exceptions degenerates as soon as anything is lost.
package ledger

import (
	"fmt"
	"iter"
	"math/bits"
)

// MaxSeq is the largest sequence number that a set takes: 2³⁶ events of one producer, 8 GiB of bits.
const MaxSeq = 1<<36 - 1

// Set is a set of sequence numbers. It grows as needed, to the largest number marked: numbers must be dense. The zero Set is empty.
type Set struct{ words []uint64 }

// Mark adds seq and says whether it was there already. Above [MaxSeq] it panics: check what comes from outside before.
func (s *Set) Mark(seq uint64) (already bool) {
	w, bit := seq>>6, uint64(1)<<(seq&63)
	if w >= uint64(len(s.words)) {
		s.grow(seq)
	}
	old := s.words[w]
	s.words[w] = old | bit
	return old&bit != 0
}

// MarkRange adds the n numbers from first on and returns how many were there already.
func (s *Set) MarkRange(first, n uint64) (already uint64) {
	if n == 0 {
		return 0
	}
	last := first + n - 1
	if last>>6 >= uint64(len(s.words)) || last < first {
		s.grow(max(first, last))
	}
	for w := first >> 6; w <= last>>6; w++ {
		m := mask(w, first, last)
		already += uint64(bits.OnesCount64(s.words[w] & m))
		s.words[w] |= m
	}
	return already
}

// mask has the bits of word w that lie in [first, last].
func mask(w, first, last uint64) uint64 {
	m := ^uint64(0)
	if w == first>>6 {
		m <<= first & 63
	}
	if w == last>>6 {
		m &= ^uint64(0) >> (63 - last&63)
	}
	return m
}

func (s *Set) grow(seq uint64) {
	if seq > MaxSeq {
		panic(fmt.Sprintf("ledger: sequence %d is above %d", seq, uint64(MaxSeq)))
	}
	need := int(seq>>6) + 1
	if need <= cap(s.words) {
		s.words = s.words[:need] // what lies between was cleared when it was allocated, and sets never shrink
		return
	}
	words := make([]uint64, need, max(need+need/4, 4))
	copy(words, s.words)
	s.words = words
}

// Reserve makes room for the numbers below n, so that marking them does not allocate.
func (s *Set) Reserve(n uint64) {
	if n == 0 || int((n+63)>>6) <= cap(s.words) {
		return
	}
	if n-1 > MaxSeq {
		panic(fmt.Sprintf("ledger: sequence %d is above %d", n-1, uint64(MaxSeq)))
	}
	words := make([]uint64, len(s.words), (n+63)>>6)
	copy(words, s.words)
	s.words = words
}

// Has says whether seq is in the set.
func (s *Set) Has(seq uint64) bool {
	w := seq >> 6
	return w < uint64(len(s.words)) && s.words[w]>>(seq&63)&1 != 0
}

// Len is how many numbers are in the set.
func (s *Set) Len() uint64 {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return uint64(n)
}

// LenRange is how many of the n numbers from first on are in the set.
func (s *Set) LenRange(first, n uint64) (count uint64) {
	if n == 0 || len(s.words) == 0 {
		return 0
	}
	last := first + n - 1
	if last < first {
		last = MaxSeq
	}
	for w := first >> 6; w <= last>>6 && w < uint64(len(s.words)); w++ {
		count += uint64(bits.OnesCount64(s.words[w] & mask(w, first, last)))
	}
	return count
}

// All lists the numbers in ascending order.
func (s *Set) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for w, word := range s.words {
			for ; word != 0; word &= word - 1 {
				if !yield(uint64(w)<<6 + uint64(bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// Without is the set of the numbers of s that are not in o.
func (s *Set) Without(o *Set) Set {
	d := Set{words: make([]uint64, len(s.words))}
	for i, w := range s.words {
		if i < len(o.words) {
			w &^= o.words[i]
		}
		d.words[i] = w
	}
	return d
}

// And is the set of the numbers that are in both.
func (s *Set) And(o *Set) Set {
	d := Set{words: make([]uint64, min(len(s.words), len(o.words)))}
	for i := range d.words {
		d.words[i] = s.words[i] & o.words[i]
	}
	return d
}

// Bytes is the memory of the set's bits.
func (s *Set) Bytes() int { return 8 * cap(s.words) }

// Ledger is a set of events of many producers, which are numbered densely from 0. The zero Ledger is empty.
type Ledger struct{ sets []Set }

// Producer is the set of one producer. It grows the ledger if needed; the pointer is good until the ledger grows again.
func (l *Ledger) Producer(p int) *Set {
	for len(l.sets) <= p {
		l.sets = append(l.sets, Set{})
	}
	return &l.sets[p]
}

// Producers is how many producers the ledger has room for.
func (l *Ledger) Producers() int { return len(l.sets) }

// Mark adds an event and says whether it was there already.
func (l *Ledger) Mark(producer int, seq uint64) (already bool) {
	if producer >= len(l.sets) {
		l.Producer(producer)
	}
	return l.sets[producer].Mark(seq)
}

// Has says whether an event is in the ledger.
func (l *Ledger) Has(producer int, seq uint64) bool {
	return producer < len(l.sets) && l.sets[producer].Has(seq)
}

// Len is how many events are in the ledger.
func (l *Ledger) Len() (n uint64) {
	for i := range l.sets {
		n += l.sets[i].Len()
	}
	return n
}

// Bytes is the memory of the ledger.
func (l *Ledger) Bytes() (n int) {
	for i := range l.sets {
		n += l.sets[i].Bytes() + 24 // the slice's header
	}
	return n
}

// Without is what is in l and not in o.
func (l *Ledger) Without(o *Ledger) Ledger {
	d := Ledger{sets: make([]Set, len(l.sets))}
	for i := range l.sets {
		var other Set
		if i < len(o.sets) {
			other = o.sets[i]
		}
		d.sets[i] = l.sets[i].Without(&other)
	}
	return d
}

// And is what is in both.
func (l *Ledger) And(o *Ledger) Ledger {
	d := Ledger{sets: make([]Set, min(len(l.sets), len(o.sets)))}
	for i := range d.sets {
		d.sets[i] = l.sets[i].And(&o.sets[i])
	}
	return d
}
