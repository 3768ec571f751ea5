package segment

import (
	"github.com/ratel-sim/ratel/system/event"
)

// A column whose strings hardly repeat keeps them as they are: a dictionary would cost a hash for each and save nothing.
const (
	dictProbe = 512     // the dictionary's size from which on that is asked, each time it has doubled
	dictText  = 4 << 20 // bytes of strings beyond which a dictionary does not grow
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
	dictText int  // bytes in dict
	raw      bool // strings are not looked up any more
	before   uint32

	stats columnStats
}

// add appends a value for a row. It returns how many bytes of memory it took, about and always the same for the same rows.
func (c *column) add(a *arena, block, row int, v *event.Value) (bytes, text int) {
	k := v.Kind()
	c.cur.mark(row, k)
	c.seen = block + row + 1
	c.stats.count[k]++
	switch k {
	case event.Int:
		n := v.Int()
		c.stats.int(n)
		c.cur.ints = set(c.cur.ints, row, n)
		return 8, 0
	case event.Float:
		f := v.Float()
		c.stats.float(f)
		c.cur.floats = set(c.cur.floats, row, f)
		return 8, 0
	case event.String:
		return c.addString(a, row, v.Str())
	case event.Bool:
		c.cur.bools = set(c.cur.bools, row, v.Bool())
	case event.Null:
		c.cur.nulls = set(c.cur.nulls, row, true)
	}
	return 1, 0
}

func (c *column) addString(a *arena, row int, s string) (bytes, text int) {
	if !c.raw {
		if len(c.dict) > 0 && c.dict[c.before] == s {
			c.cur.codes = set(c.cur.codes, row, c.before)
			return 4, 0
		}
		if code, ok := c.code(s); ok {
			c.before = code
			c.cur.codes = set(c.cur.codes, row, code)
			return 4, 0
		}
		if !c.dictPays(len(s)) {
			c.leaveDict()
		}
	}
	s = a.keep(s)
	c.stats.text(s)
	if c.raw {
		c.cur.strs = set(c.cur.strs, row, s)
		return 16 + len(s), len(s)
	}
	code := uint32(len(c.dict))
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
	c.cur.codes = set(c.cur.codes, row, code)
	return 64 + len(s), len(s)
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
	return n < dictProbe || n&(n-1) != 0 || c.stats.count[event.String] > 2*int64(n)
}

// leaveDict turns the growing block's codes into strings. Blocks that are done keep theirs.
func (c *column) leaveDict() {
	c.raw, c.lookup = true, nil
	if c.cur.codes == nil {
		return
	}
	strs := make([]string, len(c.cur.codes), max(cap(c.cur.codes), 1))
	for i, code := range c.cur.codes {
		if c.cur.kinds == nil || c.cur.kinds[i] == event.String {
			strs[i] = c.dict[code]
		}
	}
	c.cur.codes, c.cur.strs = nil, strs
	for _, b := range c.done {
		if b != nil && b.codes != nil {
			return
		}
	}
	c.dict = nil // nothing refers to it
}

// close ends block number n with that many rows.
func (c *column) close(n, rows int) {
	if c.cur.n == 0 {
		return
	}
	c.cur.settle(rows)
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
	case n == growing && c.cur.n > 0:
		return &c.cur
	}
	return nil
}
