package kafka

import "math"

// keptBatches is how many of a producer's last batches a broker knows in each partition: as many as a producer may have in
// flight (KIP-98, KAFKA-5494).
const keptBatches = 5

// sequence is how an idempotent producer has numbered a batch. producer 0 is none: producers' IDs begin at 1.
type sequence struct {
	producer int64
	epoch    int16
	first    int32 // the number of its first record in the partition
}

// after is the number n records later. Numbers begin at 0 again after the last.
func after(first int32, n int) int32 {
	return int32((int64(first) + int64(n)) % (math.MaxInt32 + 1))
}

// producerState is what a replica knows of one producer in one partition.
type producerState struct {
	epoch int16
	n     int
	kept  [keptBatches]keptBatch // the first n, oldest first
}

// keptBatch is a batch that is in the log.
type keptBatch struct {
	first, next int32 // its first record's number, and the one after its last
	base        int64
}

// producerStates is a partition's producers by ID.
type producerStates map[int64]*producerState

// statesOf reads a log again.
func statesOf(batches []*batch) producerStates {
	var s producerStates
	for _, b := range batches {
		s.add(b)
	}
	return s
}

// add takes over a batch that was appended.
func (s *producerStates) add(b *batch) {
	if b.seq.producer == 0 {
		return
	}
	if *s == nil {
		*s = producerStates{}
	}
	st := (*s)[b.seq.producer]
	if st == nil {
		st = &producerState{}
		(*s)[b.seq.producer] = st
	}
	if b.seq.epoch != st.epoch {
		st.epoch, st.n = b.seq.epoch, 0
	}
	if st.n == keptBatches {
		copy(st.kept[:], st.kept[1:])
		st.n--
	}
	st.kept[st.n] = keptBatch{first: b.seq.first, next: after(b.seq.first, len(b.recs)), base: b.base}
	st.n++
}

// admit says whether a leader may append n records that are numbered so. If they are in the log already it says where. Of a
// producer that it does not know, it takes any number (KIP-360).
func (s producerStates) admit(q sequence, n int) (old int64, c code) {
	st := s[q.producer]
	switch {
	case q.producer == 0 || st == nil:
		return noOffset, codeNone
	case q.epoch < st.epoch:
		return noOffset, codeInvalidProducerEpoch
	case q.epoch > st.epoch:
		if q.first != 0 {
			return noOffset, codeOutOfOrderSequenceNumber
		}
		return noOffset, codeNone
	}
	next := after(q.first, n)
	for i := range st.kept[:st.n] {
		if k := &st.kept[i]; k.first == q.first && k.next == next {
			return k.base, codeNone
		}
	}
	if q.first != st.kept[st.n-1].next {
		return noOffset, codeOutOfOrderSequenceNumber
	}
	return noOffset, codeNone
}

// initProducerID gives a producer an ID of its own. Brokers have theirs in blocks from ZooKeeper; here they are counted.
func (c *srvConn) initProducerID() {
	c.b.c.producerIDs++
	c.respond(&initProducerIDResponse{c.b.c.producerIDs}, 16, uint64(c.b.c.producerIDs))
}
