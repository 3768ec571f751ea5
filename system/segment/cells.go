package segment

import (
	"github.com/ratel-sim/ratel/system/event"
)

// Rows are kept and written in blocks. A block is one page of each column.
const (
	blockRows = 8192    // at most
	blockText = 8 << 20 // bytes of strings after which a block ends early, so that a page stays bounded

	firstCells = 32 // room in a slice when it is made
	// rareShare: a column with values in fewer than one of so many rows keeps them one by one, so that thousands of columns that
	// hardly occur cost no more than what was sent.
	rareShare = 16
	rareBytes = 40 // about what one such value takes
)

// cells are one column's values in one block. Row i's value is at i of its kind's slice, so a slice can be scanned as it is;
// slices end with the last row that has something.
type cells struct {
	rare []rareCell // instead of all that follows, while there are few values

	n       int          // rows covered; those after it have no value
	uniform event.Kind   // of all n, if kinds is nil
	kinds   []event.Kind // nil while all are of one kind
	bools   []bool
	ints    []int64
	floats  []float64
	codes   []uint32 // strings by the column's dictionary, unless raw
	strs    []string // strings, if raw
	nulls   []bool   // where a client sent null, which is not the same as nothing; nil if nowhere
	raw     bool
}

type rareCell struct {
	value event.Value
	row   int32
	code  uint32 // of a string in the dictionary
}

func (c *cells) empty() bool { return c.n == 0 && len(c.rare) == 0 }

// add appends a row's value. It returns for how many rows before it room was made.
func (c *cells) add(row int, v event.Value, code uint32) (filled int) {
	switch {
	case c.n > 0:
		filled = row - c.n
	case (len(c.rare)+1)*rareShare < row+1:
		c.rare = append(c.rare, rareCell{v, int32(row), code})
		return 0
	default:
		c.unfold()
		filled = row
	}
	c.put(row, v, code)
	return filled
}

// unfold gives values that were kept one by one their places.
func (c *cells) unfold() {
	rare := c.rare
	c.rare = nil
	for i := range rare {
		c.put(int(rare[i].row), rare[i].value, rare[i].code)
	}
}

func (c *cells) put(row int, v event.Value, code uint32) {
	k := v.Kind()
	c.mark(row, k)
	switch k {
	case event.Int:
		c.ints = set(c.ints, row, v.Int())
	case event.Float:
		c.floats = set(c.floats, row, v.Float())
	case event.String:
		if c.raw {
			c.strs = set(c.strs, row, v.Str())
		} else {
			c.codes = set(c.codes, row, code)
		}
	case event.Bool:
		c.bools = set(c.bools, row, v.Bool())
	case event.Null:
		c.nulls = set(c.nulls, row, true)
	}
}

// mark notes the kind of row, at or after n.
func (c *cells) mark(row int, k event.Kind) {
	if c.kinds == nil {
		if c.n == 0 && row == 0 {
			c.uniform = k
		}
		if k == c.uniform && c.n == row {
			c.n++
			return
		}
		c.kinds = c.spread(c.n, max(2*c.n, firstCells))
	}
	for len(c.kinds) < row {
		c.kinds = append(c.kinds, event.Null)
	}
	c.kinds = append(c.kinds, k)
	c.n = row + 1
}

// spread is the kinds of n rows when they were all the same.
func (c *cells) spread(n, room int) []event.Kind {
	kinds := make([]event.Kind, n, room)
	for i := range c.n {
		kinds[i] = c.uniform
	}
	return kinds
}

// set puts v at row of a slice that may be shorter.
func set[T any](s []T, row int, v T) []T {
	if s == nil {
		s = make([]T, row, max(2*row, firstCells))
	} else if len(s) < row {
		s = append(s, make([]T, row-len(s))...)
	}
	return append(s, v)
}

// full shows cells of that many rows, every slice that is there that long. It changes nothing, so a view may call it while the
// builder goes on.
func (c *cells) full(rows int) *cells {
	if len(c.rare) == 0 && c.n == rows && whole(c.bools, rows) && whole(c.ints, rows) && whole(c.floats, rows) &&
		whole(c.codes, rows) && whole(c.strs, rows) && whole(c.nulls, rows) {
		return c
	}
	f := *c
	if len(c.rare) > 0 {
		f = cells{rare: c.rare, raw: c.raw} // the room that there may be in slices is the builder's
		f.unfold()
	}
	if f.n < rows {
		switch {
		case f.kinds != nil:
			f.kinds = padded(f.kinds, rows)
		case f.uniform != event.Null:
			f.kinds = f.spread(rows, rows)
		}
		f.n = rows
	}
	f.bools, f.ints, f.floats = padded(f.bools, rows), padded(f.ints, rows), padded(f.floats, rows)
	f.codes, f.strs, f.nulls = padded(f.codes, rows), padded(f.strs, rows), padded(f.nulls, rows)
	return &f
}

func whole[T any](s []T, n int) bool { return len(s) == 0 || len(s) == n }

func padded[T any](s []T, n int) []T {
	if whole(s, n) {
		return s
	}
	p := make([]T, n)
	copy(p, s)
	return p
}

// next is empty cells with room for as much as these took.
func (c *cells) next() cells {
	n := cells{raw: c.raw}
	if len(c.ints) > 0 {
		n.ints = make([]int64, 0, cap(c.ints))
	}
	if len(c.floats) > 0 {
		n.floats = make([]float64, 0, cap(c.floats))
	}
	if len(c.codes) > 0 {
		n.codes = make([]uint32, 0, cap(c.codes))
	}
	if len(c.strs) > 0 {
		n.strs = make([]string, 0, cap(c.strs))
	}
	return n
}

// again is empty cells with the memory of these, which are given up.
func (c *cells) again() cells {
	clear(c.strs)
	return cells{bools: c.bools[:0], ints: c.ints[:0], floats: c.floats[:0], codes: c.codes[:0], strs: c.strs[:0]}
}

// toRaw turns codes into strings.
func (c *cells) toRaw(dict []string) {
	c.raw = true
	if len(c.codes) == 0 {
		return
	}
	if c.strs = c.strs[:0]; cap(c.strs) < len(c.codes) {
		c.strs = make([]string, 0, cap(c.codes))
	}
	c.strs = c.strs[:len(c.codes)]
	clear(c.strs)
	for i, code := range c.codes {
		if c.kinds == nil || c.kinds[i] == event.String {
			c.strs[i] = dict[code]
		}
	}
	c.codes = c.codes[:0]
}

// eachRaw visits the strings that are in no dictionary, and says whether there are some that are.
func (c *cells) eachRaw(visit func(s string)) (coded bool) {
	for i := range c.rare {
		if v := c.rare[i].value; v.Kind() == event.String {
			if !c.raw {
				return true
			}
			visit(v.Str())
		}
	}
	for _, s := range c.strs {
		visit(s)
	}
	return len(c.codes) > 0
}

// vector shows full cells.
func (c *cells) vector(dict []string, identity func(n int) []uint32) Vector {
	v := Vector{Uniform: c.uniform, Kinds: c.kinds}
	// A slice may be there with nothing but room.
	if len(c.bools) > 0 {
		v.Bools = c.bools
	}
	if len(c.ints) > 0 {
		v.Ints = c.ints
	}
	if len(c.floats) > 0 {
		v.Floats = c.floats
	}
	switch {
	case len(c.strs) > 0:
		v.Codes, v.Dict = identity(len(c.strs)), c.strs
	case len(c.codes) > 0:
		v.Codes, v.Dict = c.codes, dict
	}
	return v
}
