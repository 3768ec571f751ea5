package segment

import (
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// Rows are kept and written in blocks. A block is one page of each column.
const (
	blockRows = 8192    // at most
	blockText = 8 << 20 // bytes of strings after which a block ends early, so that a page stays bounded

	firstCells = 32 // room in a slice when it is made
)

// cells are one column's values in one block. Row i's value is at i of its kind's slice, so a slice can be scanned as it is.
type cells struct {
	n       int          // rows covered; those after it have no value
	uniform event.Kind   // of all n, if kinds is nil
	kinds   []event.Kind // nil while all are of one kind
	bools   []bool
	ints    []int64
	floats  []float64
	codes   []uint32 // strings by the column's dictionary; nil if strs has them
	strs    []string
	nulls   []bool // where a client sent null, which is not the same as nothing; nil if nowhere
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
		c.spread()
	}
	for len(c.kinds) < row {
		c.kinds = append(c.kinds, event.Null)
	}
	c.kinds = append(c.kinds, k)
	c.n = row + 1
}

func (c *cells) spread() {
	c.kinds = make([]event.Kind, c.n, max(2*c.n, 16))
	for i := range c.kinds {
		c.kinds[i] = c.uniform
	}
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

func pad[T any](s []T, n int) []T {
	if s == nil || len(s) >= n {
		return s
	}
	return append(s, make([]T, n-len(s))...)
}

// settle fills up to n rows, so that every slice that is there has that length.
func (c *cells) settle(n int) {
	if c.n < n {
		if c.n == 0 {
			c.uniform = event.Null
		}
		if c.kinds == nil && c.uniform != event.Null {
			c.spread()
		}
		if c.kinds != nil {
			c.kinds = pad(c.kinds, n)
		}
		c.n = n
	}
	c.bools, c.ints, c.floats = pad(c.bools, n), pad(c.ints, n), pad(c.floats, n)
	c.codes, c.strs, c.nulls = pad(c.codes, n), pad(c.strs, n), pad(c.nulls, n)
}

// next is empty cells with room for as much as these took.
func (c *cells) next() cells {
	var n cells
	if c.ints != nil {
		n.ints = make([]int64, 0, cap(c.ints))
	}
	if c.floats != nil {
		n.floats = make([]float64, 0, cap(c.floats))
	}
	if c.codes != nil {
		n.codes = make([]uint32, 0, cap(c.codes))
	}
	if c.strs != nil {
		n.strs = make([]string, 0, cap(c.strs))
	}
	return n
}

// vector shows settled cells.
func (c *cells) vector(dict []string, identity func(n int) []uint32) Vector {
	v := Vector{Uniform: c.uniform, Kinds: c.kinds, Bools: c.bools, Ints: c.ints, Floats: c.floats, Codes: c.codes, Dict: dict}
	if c.strs != nil {
		v.Codes, v.Dict = identity(len(c.strs)), c.strs
	} else if c.codes == nil {
		v.Dict = nil
	}
	return v
}

// arena keeps copies of strings in few allocations. What is in it never moves.
type arena struct {
	b    strings.Builder
	next int // size of the allocation after this one
}

const (
	arenaFirst = 256
	arenaMost  = 64 << 10
)

func (a *arena) keep(s string) string {
	if len(s) == 0 {
		return ""
	}
	if a.b.Cap()-a.b.Len() < len(s) {
		a.next = min(max(arenaFirst, 2*a.next), arenaMost)
		a.b = strings.Builder{}
		a.b.Grow(max(a.next, len(s)))
	}
	from := a.b.Len()
	a.b.WriteString(s)
	return a.b.String()[from:]
}
