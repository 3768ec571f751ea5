package exec

import (
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// coder numbers the values of one breakdown in a block, so that rows are grouped by small numbers.
type coder struct {
	codes  []uint32 // by place in the selection
	values int      // codes are below it
	own    []uint32
	// What a code stands for: first null, then the booleans, then the dictionary, then numbers as they came.
	v       *segment.Vector
	offset  int   // of the dictionary
	base    int64 // ints alone, in a small range: the code is value - base
	ints    bool
	numbers []event.Value
	seen    map[event.Value]uint32
}

// smallRange is how far apart ints may be to be codes as they are.
const smallRange = 1 << 12

// code numbers the selected rows' values.
func (c *coder) code(v *segment.Vector, rows []int32, n int) {
	c.v, c.ints, c.offset, c.numbers = v, false, 0, c.numbers[:0]
	if v.Kinds == nil && v.Uniform == event.String {
		c.values = len(v.Dict)
		if rows == nil {
			c.codes = v.Codes[:n]
			return
		}
		c.codes = c.room(n)
		for k, row := range rows {
			c.codes[k] = v.Codes[row]
		}
		return
	}
	c.codes = c.room(n)
	if v.Kinds == nil && v.Uniform == event.Null {
		clear(c.codes)
		c.offset, c.values = 3, 1
		return
	}
	if v.Kinds == nil && v.Uniform == event.Int && c.smallInts(v, rows, n) {
		return
	}
	c.mixed(v, rows, n)
}

func (c *coder) room(n int) []uint32 {
	c.own = resized(c.own, n)
	return c.own
}

func (c *coder) smallInts(v *segment.Vector, rows []int32, n int) bool {
	if n == 0 {
		return false
	}
	at := func(k int) int64 {
		if rows != nil {
			k = int(rows[k])
		}
		return v.Ints[k]
	}
	low, high := at(0), at(0)
	for k := range n {
		i := at(k)
		low, high = min(low, i), max(high, i)
	}
	if uint64(high)-uint64(low) >= smallRange {
		return false
	}
	c.ints, c.base, c.values = true, low, int(high-low)+1
	for k := range n {
		c.codes[k] = uint32(at(k) - low)
	}
	return true
}

func (c *coder) mixed(v *segment.Vector, rows []int32, n int) {
	c.offset = 3
	first := uint32(3 + len(v.Dict))
	if c.seen == nil {
		c.seen = map[event.Value]uint32{}
	}
	clear(c.seen)
	for k := range n {
		row := k
		if rows != nil {
			row = int(rows[k])
		}
		switch v.Kind(row) {
		case event.Null:
			c.codes[k] = 0
		case event.Bool:
			c.codes[k] = 1
			if v.Bools[row] {
				c.codes[k] = 2
			}
		case event.String:
			c.codes[k] = 3 + v.Codes[row]
		default:
			value := spec.Canonical(v.Value(row))
			code, ok := c.seen[value]
			if !ok {
				code = first + uint32(len(c.numbers))
				c.seen[value] = code
				c.numbers = append(c.numbers, value)
			}
			c.codes[k] = code
		}
	}
	c.values = int(first) + len(c.numbers)
}

// value is what a code stands for.
func (c *coder) value(code uint32) event.Value {
	if c.ints {
		return event.IntValue(c.base + int64(code))
	}
	i := int(code) - c.offset
	switch {
	case i >= len(c.v.Dict):
		return c.numbers[i-len(c.v.Dict)]
	case i >= 0:
		return event.StringValue(c.v.Dict[i])
	case code == 0:
		return event.Value{}
	}
	return event.BoolValue(code == 2)
}

// pairer numbers pairs of codes densely: the combinations that occur.
type pairer struct {
	codes       []uint32
	left, right []uint32 // of each pair
	dense       []uint32
	keys        []uint64
	slots       []uint32
}

// pair numbers the pairs of two columns of codes.
func (p *pairer) pair(a []uint32, na int, b []uint32, nb int) {
	p.codes = resized(p.codes, len(a))
	p.left, p.right = p.left[:0], p.right[:0]
	if size := uint64(na) * uint64(nb); size <= uint64(2*len(a)+1024) {
		p.dense = resized(p.dense, int(size))
		clear(p.dense)
		for k, x := range a {
			i := int(x)*nb + int(b[k])
			if p.dense[i] == 0 {
				p.dense[i] = p.add(x, b[k]) + 1
			}
			p.codes[k] = p.dense[i] - 1
		}
		return
	}
	slots := 16
	for slots < 2*len(a) {
		slots *= 2
	}
	p.keys, p.slots = resized(p.keys, slots), resized(p.slots, slots)
	clear(p.slots)
	mask := uint64(slots - 1)
	for k, x := range a {
		key := uint64(x)<<32 | uint64(b[k])
		i := key * mixA >> 32 & mask
		for p.slots[i] != 0 && p.keys[i] != key {
			i = (i + 1) & mask
		}
		if p.slots[i] == 0 {
			p.keys[i], p.slots[i] = key, p.add(x, b[k])+1
		}
		p.codes[k] = p.slots[i] - 1
	}
}

func (p *pairer) add(a, b uint32) uint32 {
	p.left, p.right = append(p.left, a), append(p.right, b)
	return uint32(len(p.left) - 1)
}

// How many groups found before are remembered, at first and at most: most queries have few.
const (
	firstGroups = 1 << 8
	lastGroups  = 1 << 13
)

// grouper finds the group of each selected row.
type grouper struct {
	columns []int // of the breakdowns, in the block
	coders  []coder
	pairers []pairer // pairers[i] pairs what came before with breakdown i+1
	local   []int32  // by code: the group, or its cell, plus one, 0 not looked up yet, -1 left out
	of      meaning  // of the codes in local
	// last has groups found before by the codes of all columns, which often mean the same in the next block: the group plus
	// one, 0 for none. Combinations that fall on one place displace each other. It is nil until there is a group.
	last []int32
	key  []byte
	tmp  []event.Value
}

// meaning is what the codes of one breakdown stand for: blocks of a scan often have one dictionary, and then what was looked up for the
// block before is right for the next.
type meaning struct {
	first  *string // of the dictionary; nil where codes mean something else in each block
	texts  int
	offset int
	values int    // codes are below it: a block of nothing but nulls has one, whatever its dictionary
	bar    uint64 // from which groups are left out, and were renumbered when it was lowered
}

func (g *grouper) meaning(t *table) (m meaning) {
	if c := &g.coders[0]; len(g.coders) == 1 && !c.ints && len(c.numbers) == 0 && len(c.v.Dict) > 0 {
		m = meaning{&c.v.Dict[0], len(c.v.Dict), c.offset, c.values, t.bar}
	}
	return m
}

// begin forgets what belongs to another scan.
func (g *grouper) begin() { g.of = meaning{} }

// group fills groups with the selected rows' groups, or with their cells if only is the interval of all of them and not -1; -1
// stands for those that are left out, and leftOut says whether there are any. It ends early, after done rows and at least one, where
// the table is full.
func (g *grouper) group(t *table, b *segment.Block, rows []int32, n, only int, groups []int32) (done int, leftOut bool) {
	for i := range g.coders {
		g.coders[i].code(&b.Columns[g.columns[i]], rows, n)
	}
	codes, values := g.coders[0].codes, g.coders[0].values
	for i := range g.pairers {
		next := &g.coders[i+1]
		g.pairers[i].pair(codes, values, next.codes, next.values)
		codes, values = g.pairers[i].codes, len(g.pairers[i].left)
	}
	if of := g.meaning(t); of.first == nil || of != g.of {
		g.local, g.of = resized(g.local, values), of
		clear(g.local)
	} else {
		local, unknown := g.local, int32(0)
		for k, code := range codes[:len(groups)] {
			groups[k] = local[code] - 1
			unknown |= groups[k]
		}
		if unknown >= 0 {
			return n, false
		}
	}
	for k, code := range codes {
		known := g.local[code]
		if known == 0 {
			if k > 0 && t.full() {
				return k, leftOut
			}
			if known = g.lookUp(t, code); known > 0 && only >= 0 {
				known = t.cell(known-1, only) + 1
			}
			g.local[code] = known
		}
		if known < 0 {
			leftOut = true
			groups[k] = -1
		} else {
			groups[k] = known - 1
		}
	}
	return n, leftOut
}

// lookUp finds the group of a combination of codes, plus one; -1 if it is left out.
func (g *grouper) lookUp(t *table, code uint32) int32 {
	if cap(g.tmp) < len(g.coders) {
		g.tmp = make([]event.Value, len(g.coders))
	}
	values := g.tmp[:len(g.coders)]
	place, c := uint64(0), code
	for i := len(g.pairers) - 1; i >= 0; i-- {
		right := g.pairers[i].right[c]
		values[i+1] = g.coders[i+1].value(right)
		place = (place + uint64(right)) * mixA
		c = g.pairers[i].left[c]
	}
	values[0] = g.coders[0].value(c)
	if n := len(g.last); n < lastGroups && n <= 2*len(t.groups) {
		g.last = make([]int32, min(max(4*n, firstGroups), lastGroups)) // forgets what was found: it is looked up once more
	}
	last := &g.last[(place>>32+uint64(c))%uint64(len(g.last))]
	if *last > 0 && g.same(t, *last-1, values) {
		return *last
	}
	g.key = g.key[:0]
	for _, v := range values {
		g.key = spec.AppendValue(g.key, v)
	}
	found := t.find(g.key)
	if found < 0 {
		return -1
	}
	*last = found + 1
	return found + 1
}

// same says whether a group found before has these values still.
func (g *grouper) same(t *table, group int32, values []event.Value) bool {
	if int(group) >= len(t.groups) {
		return false
	}
	for k, v := range t.groups[group].values {
		if v != values[k] {
			return false
		}
	}
	return true
}
