package segment

import (
	"slices"

	"github.com/ratel-sim/ratel/system/event"
)

// A column whose strings hardly repeat keeps them as they are: a dictionary would cost a hash for each and save nothing.
const (
	dictEarly = 64      // the dictionary's size from which on it is asked, each time it has doubled, whether any repeat at all
	dictProbe = 512     // the dictionary's size from which on it is asked, each time it has doubled, whether it saves half
	dictText  = 4 << 20 // bytes of strings beyond which a dictionary does not grow
	cellBytes = 9       // about what a row takes in a column
)

// column is one column while it grows.
type column struct {
	name string
	done []*cells // by block; shorter if the column was not there lately, nil where it was not at all
	cur  cells    // of the block that grows
	seen int      // rows up to and with the last that has a cell
	// likely is how many rows a block will probably have.
	likely int

	dict     dictionary
	dictText int    // bytes in dict
	before   uint32 // code of the string before

	after *column // the column of the field that followed this one's in an event

	stats columnStats
}

// absent is how many fields in a row an event may lack, compared with others, without its columns being looked up by name.
const absent = 4

// skipTo is the column of a name, if it follows soon; nil if not.
func (c *column) skipTo(name string) *column {
	for range absent {
		if c == nil {
			return nil
		}
		if c = c.after; c != nil && c.name == name {
			return c
		}
	}
	return nil
}

// add appends a value for a row. It returns how many bytes of memory it took, about and always the same for the same rows.
func (c *column) add(a *arena, block, row int, v *event.Value) (bytes, text int) {
	k := v.Kind()
	c.seen = block + row + 1
	c.stats.count[k]++
	value, code := *v, uint32(0)
	switch k {
	case event.Int:
		c.stats.int(v.Int())
	case event.Float:
		c.stats.float(v.Float())
	case event.String:
		var s string
		s, code, text = c.keep(a, v.Str())
		value = event.StringValue(s)
		bytes = text
	case event.Bool, event.Null:
	}
	bytes += cellBytes * (1 + c.cur.add(row, value, code))
	if c.cur.n == 0 {
		bytes += rareBytes
	}
	return bytes, text
}

// next is add where the row before has a cell too, and all cells of the block are of one kind, which v is of: the most
// frequent case by far. ok is false where it is another, and then nothing was done.
func (c *column) next(a *arena, row int, v *event.Value) (text int, ok bool) {
	cur, k := &c.cur, v.Kind()
	if row == 0 || cur.n != row || cur.kinds != nil || k != cur.uniform {
		return 0, false
	}
	switch k {
	case event.Int:
		n := v.Int()
		c.stats.minInt, c.stats.maxInt = min(c.stats.minInt, n), max(c.stats.maxInt, n)
		cur.ints = push(cur.ints, n, c.likely)
	case event.Float:
		n := v.Float()
		c.stats.float(n)
		cur.floats = push(cur.floats, n, c.likely)
	case event.String:
		c.stats.count[k]++
		s, code, more := c.keep(a, v.Str())
		if cur.raw {
			cur.strs = push(cur.strs, s, c.likely)
		} else {
			cur.codes = push(cur.codes, code, c.likely)
		}
		cur.n++
		return more, true
	case event.Bool:
		cur.bools = push(cur.bools, v.Bool(), c.likely)
	case event.Null:
		return 0, false
	}
	c.stats.count[k]++
	cur.n++
	return 0, true
}

// push is append, but a slice that is full doubles, and has room for as many as are likely.
func push[T any](s []T, v T, likely int) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(len(s), likely))
	}
	return append(s, v)
}

// again empties the column and keeps its memory.
func (c *column) again() {
	c.dict.empty()
	*c = column{name: c.name, likely: c.likely, cur: c.cur.again(), dict: c.dict}
}

// keep is a copy of s, its code if there is a dictionary, and how many bytes it added.
func (c *column) keep(a *arena, s string) (kept string, code uint32, text int) {
	slot := 0
	if !c.cur.raw {
		if len(c.dict.texts) > 0 && c.dict.texts[c.before] == s {
			return c.dict.texts[c.before], c.before, 0
		}
		code, at, ok := c.dict.find(s)
		if ok {
			c.before = code
			return c.dict.texts[code], code, 0
		}
		if slot = at; !c.dictPays(len(s)) {
			c.leaveDict()
		}
	}
	s = a.keep(s)
	c.stats.text(s)
	if c.cur.raw {
		return s, 0, len(s)
	}
	c.before = c.dict.add(s, slot)
	c.dictText += len(s)
	return s, c.before, len(s)
}

// dictPays says whether the dictionary should take one more string.
func (c *column) dictPays(size int) bool {
	if c.dictText+size > dictText {
		return false
	}
	n := len(c.dict.texts)
	switch {
	case n < dictEarly || n&(n-1) != 0:
		return true
	case n < dictProbe:
		return c.stats.count[event.String] > int64(n+1+n/64)
	}
	return c.stats.count[event.String] > 2*int64(n)
}

// leaveDict turns the growing block's codes into strings. Blocks that are done keep theirs.
func (c *column) leaveDict() {
	c.cur.toRaw(c.dict.texts)
	for _, b := range c.done {
		if b != nil && !b.raw {
			c.dict.slots = nil
			return
		}
	}
	c.dict = dictionary{} // nothing refers to it but views
}

// close ends block number n.
func (c *column) close(n int) {
	if c.cur.empty() {
		return
	}
	for len(c.done) < n {
		c.done = append(c.done, nil)
	}
	block := c.cur
	c.cur = block.next()
	c.done = append(c.done, &block)
}

// block is block number n, nil if the column is not in it. Number len(done) or above may be the growing one.
func (c *column) block(n, growing int) *cells {
	switch {
	case n < len(c.done):
		return c.done[n]
	case n == growing && !c.cur.empty():
		return &c.cur
	}
	return nil
}
