package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// marks is what one pass over the log, or over what is held, gave.
type marks struct {
	set     ledger.Ledger // distinct events that were sent
	twice   ledger.Ledger // those marked more than once in one place
	copies  int64         // marks beyond the first of each in a place
	phantom oddities      // never sent
	revived oddities      // certainly refused, and stored
	gone    oddities      // of sequences that are missing in the history, so that nothing can be said
	damaged [4]oddities   // by state; none that is intact
	poison  int64         // marks of records of the harness's own
	top     map[int32]int64
}

// oddities are marks that should not be: how many distinct ones, and the first few.
type oddities struct {
	count    int64
	seen     map[event]struct{}
	examples []spot
}

// event names an event as the load generator does.
type event struct {
	producer uint32
	seq      uint64
}

// offsetOf names a record of the log.
type offsetOf struct {
	partition int32
	offset    int64
}

// spot is a place where an event was found.
type spot struct {
	event
	partition int32
	offset    int64
	where     string // "Kafka's log" or the retriever's name
	state     evidence.MarkState
}

func (s spot) String() string {
	return fmt.Sprintf("%s, partition %d, offset %d", s.where, s.partition, s.offset)
}

// add counts an event once, however often it is marked.
func (o *oddities) add(s spot) {
	if _, ok := o.seen[s.event]; ok {
		return
	}
	if o.seen == nil {
		o.seen = map[event]struct{}{}
	}
	o.seen[s.event] = struct{}{}
	o.addMark(s)
}

// addMark counts a mark.
func (o *oddities) addMark(s spot) {
	if o.count++; len(o.examples) < MaxExamples {
		o.examples = append(o.examples, s)
	}
}

const kafkasLog = "Kafka's log"

// followMarks makes the passes over the log and over what is held.
func (r *run) followMarks() {
	for p, span := range r.prods.spans {
		r.log.set.Producer(p).Reserve(span)
		r.held.set.Producer(p).Reserve(span)
		for k := range r.store.local {
			r.store.local[k].Producer(p).Reserve(span)
		}
	}
	// The highest offset is kept per partition, and marks come partition by partition.
	at, top := int32(-1), int64(-1)
	settle := func(m *marks, next int32) {
		if m.top == nil {
			m.top = map[int32]int64{}
		}
		if at != -1 || top != -1 {
			if old, ok := m.top[at]; !ok || top > old {
				m.top[at] = top
			}
		}
		at, top = next, -1
	}
	for i := range r.e.Log {
		m := &r.e.Log[i]
		if m.Partition != at {
			settle(&r.log, m.Partition)
		}
		top = max(top, m.Offset)
		if !r.plain(&r.log, &r.log.set, m.Producer, m.Seq, m.State) {
			r.mark(&r.log, &r.log.set, spot{event{m.Producer, m.Seq}, m.Partition, m.Offset, kafkasLog, m.State})
		}
	}
	settle(&r.log, -1)
	place, name, own := r.store.place(""), "", int64(-1)
	turn := func(to string) { // marks come retriever by retriever, too
		if old, ok := r.store.top[name]; !ok || own > old {
			r.store.top[name] = own
		}
		place, name, own = r.store.place(to), to, -1
	}
	for i := range r.e.Held {
		m := &r.e.Held[i]
		if m.Partition != at {
			settle(&r.held, m.Partition)
		}
		if m.Retriever != name {
			turn(m.Retriever)
		}
		top, own = max(top, m.Offset), max(own, m.Offset)
		if !r.plain(&r.held, place, m.Producer, m.Seq, m.State) {
			r.mark(&r.held, place, spot{event{m.Producer, m.Seq}, m.Partition, m.Offset, m.Retriever, m.State})
		}
	}
	settle(&r.held, -1)
	turn("")
	r.logIndex = indexLog(r.e.Log)
	r.logIndex.ends = r.logEnds
}

// plain counts the mark that nearly all marks are: intact, of an event that may be stored, not seen before in its place. It
// says false and counts nothing if it is another.
func (r *run) plain(m *marks, place *ledger.Ledger, producer uint32, seq uint64, state evidence.MarkState) bool {
	p, ok := r.prods.find(producer)
	if !ok || state != evidence.Intact || !r.allowed.Has(p, seq) || place.Mark(p, seq) {
		return false
	}
	if place != &m.set {
		m.set.Mark(p, seq)
	}
	return true
}

// mark counts one mark. An event with a damaged payload counts as being there: the corruption check tells of it.
func (r *run) mark(m *marks, place *ledger.Ledger, s spot) {
	if s.state != evidence.Intact {
		if s.state > evidence.Unreadable {
			r.problem("marks", "a mark of state %d, which is not known", s.state)
			return
		}
		if s.state != evidence.Corrupt && r.poisoned[offsetOf{s.partition, s.offset}] {
			m.poison++
			return // it is the harness's own
		}
		m.damaged[s.state].addMark(s)
		if s.state != evidence.Corrupt {
			return // it has no identity
		}
	}
	p, known := r.prods.find(s.producer)
	if !known || !r.allowed.Has(p, s.seq) {
		switch {
		case known && r.offered.Has(p, s.seq):
			m.revived.add(s)
		case known && s.seq < r.prods.spans[p] || r.opsMissing != "":
			m.gone.add(s)
			return
		default:
			m.phantom.add(s)
			return
		}
	}
	if place.Mark(p, s.seq) {
		m.copies++
		m.twice.Mark(p, s.seq)
	}
	m.set.Mark(p, s.seq)
}

// logIndex finds what the final log has at an offset.
type logIndex struct {
	log    []evidence.LogMark // by partition and offset
	ends   map[int32]int64    // of partitions whose last records have no events
	starts []int              // of the partitions in log, and its end
	parts  []int32            // the partitions, ascending
}

func indexLog(log []evidence.LogMark) logIndex {
	for i := 1; i < len(log); i++ {
		if a, b := &log[i-1], &log[i]; a.Partition > b.Partition || a.Partition == b.Partition && a.Offset > b.Offset {
			log = slices.Clone(log)
			slices.SortStableFunc(log, func(a, b evidence.LogMark) int {
				return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
			})
			break
		}
	}
	x := logIndex{log: log}
	for i := range log {
		if i == 0 || log[i].Partition != log[i-1].Partition {
			x.parts, x.starts = append(x.parts, log[i].Partition), append(x.starts, i)
		}
	}
	x.starts = append(x.starts, len(log))
	return x
}

// partition is the part of the log that one partition has.
func (x *logIndex) partition(p int32) []evidence.LogMark {
	i, ok := slices.BinarySearch(x.parts, p)
	if !ok {
		return nil
	}
	return x.log[x.starts[i]:x.starts[i+1]]
}

// end is one more than the highest offset read back.
func (x *logIndex) end(p int32) int64 {
	if log := x.partition(p); len(log) > 0 {
		return max(x.ends[p], log[len(log)-1].Offset+1)
	}
	return x.ends[p]
}

// at is what the log has at an offset: the events of one record.
func (x *logIndex) at(p int32, offset int64) []evidence.LogMark {
	log := x.partition(p)
	i, ok := slices.BinarySearchFunc(log, offset, func(m evidence.LogMark, o int64) int { return cmp.Compare(m.Offset, o) })
	if !ok {
		return nil
	}
	end := i
	for end < len(log) && log[end].Offset == offset {
		end++
	}
	return log[i:end]
}

// logCursor looks records up that are asked for mostly in the order of each partition.
type logCursor struct {
	x    *logIndex
	next []int // by place of the partition in x.parts: behind the record looked up last
	last []evidence.LogMark
}

func newCursor(x *logIndex) *logCursor {
	return &logCursor{x: x, next: slices.Clone(x.starts[:len(x.parts)])}
}

// record is what the log has at an offset.
func (c *logCursor) record(p int32, offset int64) []evidence.LogMark {
	c.last = nil
	k, ok := int(p), p >= 0 && int(p) < len(c.x.parts) && c.x.parts[p] == p // as it is if no partition is empty
	if !ok {
		if k, ok = slices.BinarySearch(c.x.parts, p); !ok {
			return nil
		}
	}
	log, first, end := c.x.log, c.x.starts[k], c.x.starts[k+1]
	i := c.next[k]
	if i == end || log[i].Offset != offset { // not the next record
		n, ok := slices.BinarySearchFunc(log[first:end], offset, func(m evidence.LogMark, o int64) int { return cmp.Compare(m.Offset, o) })
		if !ok {
			return nil
		}
		i = first + n
	}
	stop := i
	for stop < end && log[stop].Offset == offset {
		stop++
	}
	c.next[k], c.last = stop, log[i:stop]
	return c.last
}

// has says whether a record holds an event; near is where it is looked for first.
func has(record []evidence.LogMark, producer uint32, seq uint64, near int) bool {
	if near < len(record) && record[near].Producer == producer && record[near].Seq == seq && record[near].State <= evidence.Corrupt {
		return true
	}
	for i := range record {
		if m := &record[i]; m.Producer == producer && m.Seq == seq && m.State <= evidence.Corrupt {
			return true
		}
	}
	return false
}
