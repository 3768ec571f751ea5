package kafka

import (
	"math"
	"testing"

	"github.com/ratel-sim/ratel/system/port"
)

func TestSequences(t *testing.T) {
	t.Parallel()
	l := &replicaLog{}
	put := func(q sequence, n int) (int64, code) {
		old, c := l.producers.admit(q, n)
		if c == codeNone && old == noOffset {
			return l.append(make([]port.Record, n), 10, 0, 1, q).base, codeNone
		}
		return old, c
	}
	const last = math.MaxInt32
	for i, step := range []struct {
		q    sequence
		n    int
		base int64
		code code
	}{
		{sequence{1, 0, 0}, 2, 0, codeNone},
		{sequence{1, 0, 2}, 1, 2, codeNone},
		{sequence{1, 0, 0}, 2, 0, codeNone},                            // again
		{sequence{1, 0, 0}, 1, noOffset, codeOutOfOrderSequenceNumber}, // a part of it is no repetition
		{sequence{1, 0, 4}, 1, noOffset, codeOutOfOrderSequenceNumber}, // a gap
		{sequence{2, 0, 9}, 1, 3, codeNone},                            // nobody knows this producer: any number
		{sequence{}, 1, 4, codeNone},                                   // not numbered
		{sequence{1, 1, 3}, 1, noOffset, codeOutOfOrderSequenceNumber}, // an epoch begins at 0
		{sequence{1, 1, 0}, 1, 5, codeNone},
		{sequence{1, 0, 3}, 1, noOffset, codeInvalidProducerEpoch}, // of the epoch before
		{sequence{1, 0, 2}, 1, noOffset, codeInvalidProducerEpoch}, // even if it is in the log
		{sequence{1, 1, 1}, 1, 6, codeNone},
		{sequence{1, 1, 2}, 1, 7, codeNone},
		{sequence{1, 1, 3}, 1, 8, codeNone},
		{sequence{1, 1, 4}, 1, 9, codeNone},
		{sequence{1, 1, 0}, 1, 5, codeNone}, // the fifth from the end is known yet
		{sequence{1, 1, 5}, 1, 10, codeNone},
		{sequence{1, 1, 0}, 1, noOffset, codeOutOfOrderSequenceNumber}, // and now it is not
		{sequence{3, 0, last}, 2, 11, codeNone},                        // the numbers begin again
		{sequence{3, 0, 1}, 1, 13, codeNone},
	} {
		if base, c := put(step.q, step.n); base != step.base || c != step.code {
			t.Errorf("step %d: %v with %d records: offset %d, %v; want %d, %v", i, step.q, step.n, base, c, step.base, step.code)
		}
	}
	l.truncate(9) // the state is what is left says
	if base, c := put(sequence{1, 1, 4}, 1); base != 9 || c != codeNone {
		t.Errorf("after truncation: offset %d, %v", base, c)
	}
	if base, c := put(sequence{1, 1, 0}, 1); base != 5 || c != codeNone {
		t.Errorf("a repetition after truncation: offset %d, %v", base, c)
	}
	if _, known := l.producers[3]; known {
		t.Error("a producer whose records were all cut off is still known")
	}
}
