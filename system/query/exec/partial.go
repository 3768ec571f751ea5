package exec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/wire"
)

// Errors of partial results.
var (
	// ErrEncoding marks bytes that are not an encoded partial result.
	ErrEncoding = errors.New("not an encoded partial result")
	// ErrShape marks partial results of different queries.
	ErrShape = errors.New("partial results of different queries")
)

// Partial is a query's result over a part of the data.
type Partial struct{ table *table }

// Memory is what its states count for in bytes, as [MaxMemory] bounds it; encoded it is hardly more.
func (p *Partial) Memory() int64 { return p.table.memory }

// TooLarge says that whatever is merged into it, there will be no result: see [ErrTooLarge].
func (p *Partial) TooLarge() bool { return p.table.bar == 0 }

// Discard gives back the memory of a partial result that is not needed any more.
func (p *Partial) Discard() { p.table.discard() }

// Groups is how many groups it has.
func (p *Partial) Groups() int { return len(p.table.groups) }

// Merge adds what o has. In any order and grouping the result is the same, bit for bit. o is used up. The error matches
// ErrShape if o is of another query; nothing was changed then. It matches [ErrBusy] if the share has no room for what was merged: p
// must be thrown away then. Both must be of one share.
func (p *Partial) Merge(o *Partial) error {
	if !p.table.equal(&o.table.shape) {
		return fmt.Errorf("%w: %d and %d intervals, %d and %d breakdowns, %d and %d states", ErrShape, p.table.intervals, o.table.intervals,
			p.table.keys, o.table.keys, len(p.table.slots), len(o.table.slots))
	}
	p.table.merge(o.table)
	o.table.discard()
	return p.table.hold()
}

const partialVersion = 1

// Encode writes a partial result: the same bytes for the same data, however it was split and merged.
func (p *Partial) Encode() []byte {
	t := p.table
	b := append(make([]byte, 0, 64+64*t.cells), partialVersion)
	b = binary.LittleEndian.AppendUint64(b, t.query)
	b = binary.AppendUvarint(b, uint64(t.intervals))
	b = binary.AppendUvarint(b, uint64(t.keys))
	b = binary.AppendUvarint(b, uint64(len(t.slots)))
	b = append(b, t.slots...)
	b = binary.LittleEndian.AppendUint64(b, t.bar)
	b = binary.AppendUvarint(b, uint64(len(t.groups)))
	for _, g := range t.sorted() {
		key := t.groups[g].key
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
		places := t.places[int(g)*t.intervals : (int(g)+1)*t.intervals]
		n := 0
		for _, c := range places {
			if c != 0 {
				n++
			}
		}
		b = binary.AppendUvarint(b, uint64(n))
		for interval, c := range places {
			if c == 0 {
				continue
			}
			b = binary.AppendUvarint(b, uint64(interval))
			for _, s := range t.states {
				b = s.append(b, int(c)-1)
			}
		}
	}
	return b
}

// Decode reads what Encode wrote, into a share (see [New]). It needs no more memory than a partial result may have, whatever the bytes
// are. Errors match ErrEncoding, or ErrBusy if the share has no room.
func Decode(data []byte, share *Share) (*Partial, error) {
	t, err := share.decode(len(data), func() (*table, error) {
		d := decoder{Reader: wire.NewReader(data)}
		t := d.table()
		if err := d.End(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
		}
		t.memory = t.measure()
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return &Partial{t}, nil
}

type decoder struct {
	wire.Reader
	memory int64
}

// tooLarge fails if more memory is needed than Encode's table can have had.
func (d *decoder) tooLarge() bool {
	if most := MaxMemory + slack(MaxMemory); d.memory > most {
		d.Fail("it needs more than %d bytes of memory", most)
	}
	return d.Err() != nil
}

func (d *decoder) table() *table {
	if v := d.Byte(); v != partialVersion {
		d.Fail("version %d, expected %d", v, partialVersion)
		return nil
	}
	s := shape{query: d.Fixed(), intervals: d.small(spec.MaxIntervals), keys: d.small(spec.MaxBreakdowns)}
	s.slots = append(s.slots, d.Bytes(uint64(d.CountUpTo(spec.MaxCalculations)))...)
	for _, kind := range s.slots {
		if kind >= kinds {
			d.Fail("there is no state of kind %d", kind)
		}
	}
	if s.intervals == 0 || len(s.slots) == 0 {
		d.Fail("there is nothing calculated")
	}
	if d.Err() != nil {
		return nil
	}
	t := newTable(s)
	t.bar = d.Fixed()
	n := d.CountUpTo(t.limit())
	for range n {
		d.group(t)
		if d.tooLarge() {
			return nil
		}
	}
	return t
}

func (d *decoder) small(most uint64) int {
	n := d.Uint()
	if n > most {
		d.Fail("%d is above %d", n, most)
		return 0
	}
	return int(n)
}

// group reads a group, whose values must come after those of the group before.
func (d *decoder) group(t *table) {
	key := d.Bytes(d.Uint())
	if d.Err() != nil || !d.checkKey(key, t.keys) {
		return
	}
	hash := keyHash(string(key))
	if hash >= t.bar {
		d.Fail("a group is there that is left out")
		return
	}
	g := t.addGroup(string(key), hash)
	if g > 0 && compareGroups(t.groups[g-1].values, t.groups[g].values) >= 0 {
		d.Fail("groups are not ascending")
		return
	}
	d.memory += int64(4*t.intervals + 2*len(key) + 128 + 40*t.keys)
	next := 0
	for range d.CountUpTo(t.intervals) {
		interval := d.small(uint64(t.intervals - 1))
		if d.Err() != nil || interval < next {
			d.Fail("intervals are not ascending")
			return
		}
		next = interval + 1
		c := t.cell(g, interval)
		for _, s := range t.states {
			d.memory += s.cost()
			s.read(d, int(c))
		}
		if d.tooLarge() {
			return
		}
	}
}

// checkKey says whether a key is as many canonical values as there are breakdowns.
func (d *decoder) checkKey(key []byte, keys int) bool {
	n := 0
	for r := wire.NewReader(key); r.Left() > 0; n++ {
		from := len(key) - r.Left()
		v := spec.ReadValue(&r)
		if r.Err() != nil || spec.Canonical(v) != v {
			d.Fail("a group's values cannot be read")
			return false
		}
		// What is not written shortest would be another key for the same values.
		if again := spec.AppendValue(nil, v); string(again) != string(key[from:len(key)-r.Left()]) {
			d.Fail("a group's values are not written as they should be")
			return false
		}
	}
	if n != keys {
		d.Fail("a group has %d values, expected %d", n, keys)
		return false
	}
	return true
}
