package exec

import (
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/wire"
)

// Bounds of a partial result. Groups beyond them are left out, by their hashes and so the same ones everywhere, and the
// result says so.
const (
	maxGroups = 100_000
	maxPlaces = 2_000_000 // groups times intervals
	// maxMemory keeps the encoding below what a peer answers at most.
	maxMemory = 56 << 20
)

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
	memory int64 // about how many bytes the states take
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
	t := &table{shape: s, byKey: map[string]int32{}, bar: noBar}
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
	t.memory += int64(4*t.intervals + 2*len(key) + 128 + 40*t.keys)
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

// settle leaves out groups until the bounds are kept. slack allows twice as many groups, so that it is seldom done.
func (t *table) settle(slack bool) {
	most := t.limit()
	if slack {
		most *= 2
	}
	keep := len(t.groups)
	if keep > most {
		keep = t.limit()
	}
	if t.memory > maxMemory && len(t.groups) > 1 {
		keep = min(keep, len(t.groups)/2)
	}
	if keep == len(t.groups) {
		return
	}
	hashes := make([]uint64, len(t.groups))
	for i := range t.groups {
		hashes[i] = t.groups[i].hash
	}
	slices.Sort(hashes)
	t.lower(hashes[keep])
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
	for i := range t.groups {
		n += int64(4*t.intervals + 2*len(t.groups[i].key) + 128 + 40*t.keys)
	}
	for _, s := range t.states {
		n += int64(t.cells)*s.cost() + s.grown()
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
			t.settle(true)
		}
	}
	t.settle(false)
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
