package exec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/wire"
)

// Bounds of a partial result. Groups beyond them are left out, by their hashes, and the result says so.
//
// Which ones does not depend on how the data was split and in which order it was merged. The groups that are kept are those with the
// least hashes, as many as keep the bounds. A group counts for what its values, intervals and states are, and no less if more is
// added to it. So a part of the data never leaves out a group that all of the data keeps, and once all is merged those that are kept
// are whole, and left out is what the sum of their sizes says. (Sums of numbers of very different magnitudes are the exception: while
// they are not merged yet they may count for less than 600 bytes more or less.) Where not even the first group can be kept, there is
// no result at all: see [ErrTooLarge].
const (
	maxGroups = 100_000
	maxPlaces = 2_000_000 // groups times intervals
)

// slack is by how much more than a bound there may be in between, so that groups are seldom left out.
func slack(memory int64) int64 { return memory / 4 }

// shape is what a query's partial results have in common.
type shape struct {
	query     uint64 // hash of what is calculated
	intervals int
	keys      int // breakdowns
	slots     []uint8
}

func (s *shape) equal(o *shape) bool {
	return s.query == o.query && s.intervals == o.intervals && s.keys == o.keys && slices.Equal(s.slots, o.slots)
}

// limit is how many groups are kept.
func (s *shape) limit() int { return min(maxGroups, maxPlaces/s.intervals) }

// group is one combination of the breakdowns' values.
type group struct {
	key    string // the values, encoded
	hash   uint64
	values []event.Value
}

// table is groups, and states for each group and interval that has rows: their cells.
type table struct {
	shape
	groups []group
	byKey  map[string]int32
	// places has the cell of each group and interval, plus one; 0 is none.
	places []int32
	cells  int
	states []states // by slot
	// bar: groups whose hash is not below it are left out.
	bar    uint64
	memory int64 // what groups and states count for, in bytes
	most   int64 // of that
	share  *Share
	held   int64 // of memory, in the share
}

const noBar = 1<<64 - 1

// keyHash is where a key is between 0 and the bar. The one group of a query without breakdowns is always kept.
func keyHash(key string) uint64 {
	if key == "" {
		return 0
	}
	return hashText(key)
}

func newTable(s shape) *table {
	t := &table{shape: s, byKey: map[string]int32{}, bar: noBar, most: MaxMemory}
	for _, kind := range s.slots {
		t.states = append(t.states, newStates(kind))
	}
	return t
}

// find returns the group of a key, making it if it is new; -1 if it is left out.
func (t *table) find(key []byte) int32 {
	if g, ok := t.byKey[string(key)]; ok {
		return g
	}
	hash := keyHash(string(key))
	if hash >= t.bar {
		return -1
	}
	return t.addGroup(string(key), hash)
}

func (t *table) addGroup(key string, hash uint64) int32 {
	g := int32(len(t.groups))
	var values []event.Value
	if t.keys > 0 {
		values = make([]event.Value, 0, t.keys)
	}
	for r := wire.NewReader([]byte(key)); r.Left() > 0; { // it was encoded here, or checked when it was decoded
		values = append(values, spec.ReadValue(&r))
	}
	t.groups = append(t.groups, group{key, hash, values})
	t.byKey[key] = g
	t.places = resized(t.places, len(t.groups)*t.intervals)
	t.memory += t.groupCost(key)
	return g
}

// cell returns the cell of a group in an interval, making it if it is new.
func (t *table) cell(g int32, interval int) int32 {
	p := &t.places[int(g)*t.intervals+interval]
	if *p == 0 {
		t.cells++
		*p = int32(t.cells)
		for _, s := range t.states {
			s.resize(t.cells)
			t.memory += s.cost()
		}
	}
	return *p - 1
}

// groupCost is what a group without states counts for.
func (t *table) groupCost(key string) int64 {
	return int64(4*t.intervals + 2*len(key) + 128 + 40*t.keys)
}

// size is what a group counts for.
func (t *table) size(g int32) int64 {
	n := t.groupCost(t.groups[g].key)
	for _, p := range t.places[int(g)*t.intervals : (int(g)+1)*t.intervals] {
		if p == 0 {
			continue
		}
		for _, s := range t.states {
			n += s.cost() + s.size(int(p)-1)
		}
	}
	return n
}

// full says that no more groups should come before some are left out.
func (t *table) full() bool { return t.memory > t.most+2*slack(t.most) }

// settle leaves out groups so that the bounds are kept. Not exactly allows more, so that it is seldom done.
func (t *table) settle(exactly bool) {
	most, memory := t.limit(), t.most
	if !exactly {
		most, memory = 2*most, memory+slack(memory)
	}
	if len(t.groups) > most || t.memory > memory {
		if bar := t.cut(); bar < t.bar {
			t.lower(bar)
		}
	}
}

// cut is from which hash on groups have to be left out.
func (t *table) cut() uint64 {
	order := make([]int32, len(t.groups))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(t.groups[a].hash, t.groups[b].hash) })
	sum := int64(0)
	for i, g := range order {
		if sum += t.size(g); i == t.limit() || sum > t.most {
			return t.groups[g].hash
		}
	}
	return t.bar
}

// lower leaves out all groups from a hash on.
func (t *table) lower(bar uint64) {
	if bar >= t.bar {
		return
	}
	t.bar = bar
	kept, cells := 0, 0
	old := t.places
	places := make([]int32, 0, len(old))
	type move struct{ to, from int }
	var moves []move
	for g := range t.groups {
		if t.groups[g].hash >= bar {
			delete(t.byKey, t.groups[g].key)
			continue
		}
		t.groups[kept] = t.groups[g]
		t.byKey[t.groups[g].key] = int32(kept)
		kept++
		for _, p := range old[g*t.intervals : (g+1)*t.intervals] {
			if p != 0 {
				moves = append(moves, move{cells, int(p) - 1})
				cells++
				p = int32(cells)
			}
			places = append(places, p)
		}
	}
	clear(t.groups[kept:])
	t.groups, t.places = t.groups[:kept], places
	// Cells are not in the groups' order, so the survivors go to new states.
	fresh := newTable(t.shape)
	for i, s := range t.states {
		fresh.states[i].resize(cells)
		for _, m := range moves {
			fresh.states[i].take(m.to, s, m.from)
		}
	}
	t.states, t.cells = fresh.states, cells
	t.memory = t.measure()
}

// measure estimates the memory anew.
func (t *table) measure() int64 {
	n := int64(0)
	for g := range t.groups {
		n += t.size(int32(g))
	}
	return n
}

// merge adds what o has. o is used up.
func (t *table) merge(o *table) {
	t.lower(o.bar)
	for i := range o.groups {
		from := &o.groups[i]
		if from.hash >= t.bar {
			continue
		}
		g, ok := t.byKey[from.key]
		if !ok {
			g = t.addGroup(from.key, from.hash)
		}
		for interval, p := range o.places[i*o.intervals : (i+1)*o.intervals] {
			if p == 0 {
				continue
			}
			c := t.cell(g, interval)
			for k, s := range t.states {
				t.memory += s.merge(int(c), o.states[k], int(p)-1)
			}
		}
		if i&255 == 255 {
			t.settle(false)
		}
	}
	t.settle(true)
}

// finish gives equal tables one form, within the bounds.
func (t *table) finish() {
	for _, s := range t.states {
		if sums, ok := s.(*totals); ok {
			sums.settle()
		}
	}
	t.memory = t.measure()
	t.settle(true)
}

// hold takes from the share what the table has grown, and gives back by how much it has become smaller.
func (t *table) hold() error {
	grown := t.memory - t.held
	if grown == 0 {
		return nil
	}
	err := t.share.take(grown)
	if err == nil {
		t.held = t.memory
	}
	return err
}

// discard gives back what the table holds.
func (t *table) discard() {
	_ = t.share.take(-t.held) // the share is closed: it has given it back
	t.held = 0
}

// sorted lists the groups in the order of their values.
func (t *table) sorted() []int32 {
	order := make([]int32, len(t.groups))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := compareGroups(t.groups[a].values, t.groups[b].values); c != 0 {
			return c
		}
		return strings.Compare(t.groups[a].key, t.groups[b].key)
	})
	return order
}

func compareGroups(a, b []event.Value) int {
	for i := range min(len(a), len(b)) {
		if c := spec.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}
