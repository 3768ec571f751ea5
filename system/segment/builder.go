package segment

import (
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// Builder gathers rows of one dataset and hour of one partition. It may be used by one task at a time; the views that it
// gives out may be scanned by others meanwhile.
type Builder struct {
	partition     int32
	dataset, hour int64

	rows    int
	bytes   int64
	done    []*heads // blocks that are complete
	cur     heads
	started int // rows in done
	text    int // bytes of strings in the growing block
	likely  int // how many rows it will probably have

	columns []*column          // in order of appearance
	byName  map[string]*column // also those of the builder whose memory this one has, which are not in use
	sorted  []*column          // by name
	lead    *column            // of the first field of an event before
	arena   arena
	view    *view // of the rows so far; nil if there were more since
	viewed  bool  // a view was given out: what it refers to may not be written to

	minTime, maxTime int64
}

// heads are what every row of a block has.
type heads struct {
	offset      []int64
	index       []int32
	source, seq []uint64
	time, rate  []int64
}

// grow doubles the room, which append would do only for short slices: a builder of thousands of rows would be copied many
// times. A view keeps the memory from before. likely is for how many rows there will be room at least.
func (h *heads) grow(likely int) {
	n := max(len(h.time), likely)
	h.offset = slices.Grow(h.offset, n)
	h.index = slices.Grow(h.index, n)
	h.source = slices.Grow(h.source, n)
	h.seq = slices.Grow(h.seq, n)
	h.time = slices.Grow(h.time, n)
	h.rate = slices.Grow(h.rate, n)
}

// About how many bytes a row and a column take beside their values.
const (
	rowBytes    = 48
	columnBytes = 512
)

// NewBuilder makes an empty builder. hour is event time in Unix seconds / 3600.
func NewBuilder(partition int32, dataset, hour int64) *Builder {
	return &Builder{partition: partition, dataset: dataset, hour: hour, byName: map[string]*column{}, likely: firstCells}
}

// againColumns is the most columns of a builder whose memory is used again.
const againColumns = 1000

// Again makes an empty builder that has the memory of one that is done with, if nobody else can have a view of it. The old
// one must not be used after that.
func Again(old *Builder, partition int32, dataset, hour int64) *Builder {
	likely := min(max(old.rows, firstCells), blockRows)
	if old.viewed || len(old.columns) > againColumns {
		b := NewBuilder(partition, dataset, hour)
		if len(old.columns) <= againColumns {
			b.likely = likely // parts of a log are mostly alike
		}
		return b
	}
	b := &Builder{likely: likely, partition: partition, dataset: dataset, hour: hour, byName: old.byName, columns: old.columns[:0], sorted: old.sorted[:0]}
	h := &old.cur
	b.cur = heads{offset: h.offset[:0], index: h.index[:0], source: h.source[:0], seq: h.seq[:0], time: h.time[:0], rate: h.rate[:0]}
	for name, c := range b.byName { // order: each for itself
		if c.seen == 0 {
			delete(b.byName, name) // was not in use in the old one either
			continue
		}
		c.again()
	}
	return b
}

// Append adds a row. It keeps copies: the row and its event's strings may be changed or dropped afterwards. Times are kept in
// nanoseconds of an int64, so they must lie between the years 1678 and 2262. Of fields with the same name the first counts.
func (b *Builder) Append(row *Row) { b.AppendEvent(row.Offset, row.Index, &row.Event) }

// AppendEvent is [Builder.Append] of an event and the place that it came from.
func (b *Builder) AppendEvent(offset int64, index int32, e *event.Event) {
	at := len(b.cur.time)
	if at >= blockRows || b.text >= blockText {
		b.closeBlock()
		at = 0
	}
	b.view = nil
	now := e.Time.UnixNano()
	if b.rows == 0 {
		b.minTime, b.maxTime = now, now
	} else {
		b.minTime, b.maxTime = min(b.minTime, now), max(b.maxTime, now)
	}
	h := &b.cur
	if at == cap(h.time) {
		h.grow(b.likely)
	}
	h.offset = append(h.offset, offset)
	h.index = append(h.index, index)
	h.source = append(h.source, e.ID.Source)
	h.seq = append(h.seq, e.ID.Seq)
	h.time = append(h.time, now)
	h.rate = append(h.rate, e.SampleRate)
	bytes, text := 0, 0
	follower := &b.lead
	for i := range e.Fields {
		f := &e.Fields[i]
		c := *follower
		if c == nil || c.name != f.Name {
			if c = c.skipTo(f.Name); c == nil {
				c = b.find(f.Name)
				*follower = c
			}
		}
		follower = &c.after
		if c.seen > b.rows {
			continue // the name for a second time
		}
		if chars, ok := c.next(&b.arena, at, &f.Value); ok {
			c.seen = b.rows + 1
			bytes += cellBytes + chars
			text += chars
			continue
		}
		more, chars := c.add(&b.arena, b.started, at, &f.Value)
		bytes += more
		text += chars
	}
	b.bytes += int64(rowBytes + bytes)
	b.text += text
	b.rows++
}

// find looks a column up by name, and makes it where there is none.
func (b *Builder) find(name string) *column {
	c := b.byName[name]
	if c == nil {
		c = &column{name: strings.Clone(name), likely: b.likely}
		b.byName[c.name] = c
	}
	if c.seen == 0 {
		b.columns = append(b.columns, c)
		at, _ := slices.BinarySearchFunc(b.sorted, name, func(c *column, name string) int { return strings.Compare(c.name, name) })
		b.sorted = slices.Insert(b.sorted, at, c)
		b.bytes += int64(columnBytes + len(name))
	}
	return c
}

func (b *Builder) closeBlock() {
	n, rows := len(b.done), len(b.cur.time)
	for _, c := range b.columns {
		c.close(n)
	}
	block := b.cur
	b.done = append(b.done, &block)
	b.started += rows
	b.text = 0
	b.cur = heads{
		offset: make([]int64, 0, rows), index: make([]int32, 0, rows),
		source: make([]uint64, 0, rows), seq: make([]uint64, 0, rows),
		time: make([]int64, 0, rows), rate: make([]int64, 0, rows),
	}
}

// Rows counts what was appended.
func (b *Builder) Rows() int { return b.rows }

// Bytes is about how much memory the rows take. It depends on the rows alone, so builders of the same rows agree.
func (b *Builder) Bytes() int64 { return b.bytes }

// info describes the rows so far; sorted are the columns by name.
func (b *Builder) info(sorted []*column) Info {
	info := Info{
		Partition: b.partition, Dataset: b.dataset, Hour: b.hour,
		Rows: int64(b.rows), Bytes: b.bytes, MinTime: b.minTime, MaxTime: b.maxTime,
		Columns: make([]ColumnStats, len(sorted)),
	}
	for i, c := range sorted {
		info.Columns[i] = c.stats.column(c.name, info.Rows)
	}
	return info
}

// First and Next of a view's Info: the offsets of the rows that are there.
func (b *Builder) offsets() (first, next int64) {
	if b.rows == 0 {
		return 0, 0
	}
	head := &b.cur
	if len(b.done) > 0 {
		head = b.done[0]
	}
	tail := &b.cur
	if len(tail.offset) == 0 {
		tail = b.done[len(b.done)-1]
	}
	return head.offset[0], tail.offset[len(tail.offset)-1] + 1
}
