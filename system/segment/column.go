package segment

import (
	"math/bits"

	"github.com/ratel-sim/ratel/system/event"
)

// A column whose strings hardly repeat keeps them as they are: a dictionary would cost a hash for each and save nothing.
const (
	dictEarly = 64      // the dictionary's size from which on it is asked, each time it has doubled, whether any repeat at all
	dictProbe = 512     // the dictionary's size from which on it is asked, each time it has doubled, whether it saves half
	dictText  = 4 << 20 // bytes of strings beyond which a dictionary does not grow
	cellBytes = 9       // about what a row takes in a column
	dictShort = 8       // up to so many strings are found faster by comparing than by hashing
)

// column is one column while it grows.
type column struct {
	name string
	done []*cells // by block; shorter if the column was not there lately, nil where it was not at all
	cur  cells    // of the block that grows
	seen int      // rows up to and with the last that has a cell

	dict     []string
	lookup   map[string]uint32
	dictText int    // bytes in dict
	before   uint32 // code of the string before
	recent   []uint32

	stats columnStats
}

// recentBits: a column knows where in its dictionary 1<<recentBits strings of different ends were found last. It saves
// comparing with all, or hashing all of a string.
const recentBits = 5

// recentOf is where the code of a string, plus 1, may be.
func (c *column) recentOf(s string) *uint32 {
	if c.recent == nil {
		c.recent = make([]uint32, 1<<recentBits)
	}
	ends := headOf(s) ^ bits.RotateLeft64(headOf(s[max(0, len(s)-8):]), 32) ^ uint64(len(s))
	return &c.recent[ends*0x9e3779b97f4a7c15>>(64-recentBits)]
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
		cur.ints = append(cur.ints, n)
	case event.Float:
		n := v.Float()
		c.stats.float(n)
		cur.floats = append(cur.floats, n)
	case event.String:
		c.stats.count[k]++
		s, code, more := c.keep(a, v.Str())
		if cur.raw {
			cur.strs = append(cur.strs, s)
		} else {
			cur.codes = append(cur.codes, code)
		}
		cur.n++
		return more, true
	case event.Bool:
		cur.bools = append(cur.bools, v.Bool())
	case event.Null:
		return 0, false
	}
	c.stats.count[k]++
	cur.n++
	return 0, true
}

// again empties the column and keeps its memory.
func (c *column) again() {
	clear(c.dict)
	clear(c.recent)
	*c = column{name: c.name, cur: c.cur.again(), dict: c.dict[:0], recent: c.recent}
}

// keep is a copy of s, its code if there is a dictionary, and how many bytes it added.
func (c *column) keep(a *arena, s string) (kept string, code uint32, text int) {
	if !c.cur.raw {
		if len(c.dict) > 0 && c.dict[c.before] == s {
			return c.dict[c.before], c.before, 0
		}
		recent := c.recentOf(s)
		if code := *recent; code > 0 && c.dict[code-1] == s {
			c.before = code - 1
			return c.dict[code-1], code - 1, 0
		}
		if code, ok := c.code(s); ok {
			c.before, *recent = code, code+1
			return c.dict[code], code, 0
		}
		if !c.dictPays(len(s)) {
			c.leaveDict()
		}
	}
	s = a.keep(s)
	c.stats.text(s)
	if c.cur.raw {
		return s, 0, len(s)
	}
	code = uint32(len(c.dict))
	if c.dict == nil {
		c.dict = make([]string, 0, dictShort)
	}
	c.dict = append(c.dict, s)
	switch {
	case c.lookup != nil:
		c.lookup[s] = code
	case len(c.dict) > dictShort:
		c.lookup = make(map[string]uint32, 4*dictShort)
		for i, d := range c.dict {
			c.lookup[d] = uint32(i)
		}
	}
	c.dictText += len(s)
	c.before = code
	return s, code, len(s)
}

// code finds a string in the dictionary.
func (c *column) code(s string) (code uint32, ok bool) {
	if c.lookup != nil {
		code, ok = c.lookup[s]
		return code, ok
	}
	for i, d := range c.dict {
		if d == s {
			return uint32(i), true
		}
	}
	return 0, false
}

// dictPays says whether the dictionary should take one more string.
func (c *column) dictPays(size int) bool {
	if c.dictText+size > dictText {
		return false
	}
	n := len(c.dict)
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
	c.lookup = nil
	c.cur.toRaw(c.dict)
	for _, b := range c.done {
		if b != nil && !b.raw {
			return
		}
	}
	c.recent = nil
	c.dict = nil // nothing refers to it but views
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
