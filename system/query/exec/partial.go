package exec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
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

// Groups is how many groups it has.
func (p *Partial) Groups() int { return len(p.table.groups) }

// Merge adds what o has. In any order and grouping the result is the same, bit for bit. o is used up. The error matches
// ErrShape if o is of another query; nothing was changed then.
func (p *Partial) Merge(o *Partial) error {
	if !p.table.equal(&o.table.shape) {
		return fmt.Errorf("%w: %d and %d intervals, %d and %d breakdowns, %d and %d states", ErrShape, p.table.intervals, o.table.intervals,
			p.table.keys, o.table.keys, len(p.table.slots), len(o.table.slots))
	}
	p.table.merge(o.table)
	return nil
}

const partialVersion = 1

// Encode writes a partial result: the same bytes for the same data, however it was split and merged. (That holds unless
// memory ran short and groups were left out for that reason.)
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

// Decode reads what Encode wrote. It needs no more memory than a partial result may have, whatever the bytes are. Errors
// match ErrEncoding.
func Decode(data []byte) (*Partial, error) {
	d := decoder{b: data}
	t := d.table()
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes are left over", len(d.b))
	}
	if d.err != nil {
		return nil, d.err
	}
	t.memory = t.measure()
	return &Partial{t}, nil
}

type decoder struct {
	b      []byte
	err    error
	memory int64
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

// tooLarge fails if more memory is needed than Encode's table can have had.
func (d *decoder) tooLarge() bool {
	if d.memory > 2*maxMemory {
		d.fail("it needs more than %d bytes of memory", 2*maxMemory)
	}
	return d.err != nil
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail("it ends too early")
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail("a number is cut off or too long")
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail("a number is cut off or too long")
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) fixed() uint64 {
	if p := d.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) float() float64 { return math.Float64frombits(d.fixed()) }

func (d *decoder) value() event.Value {
	v, rest, err := spec.ReadValue(d.b)
	if err != nil {
		d.fail("%v", err)
		return event.Value{}
	}
	d.b = rest
	return v
}

// count reads a number of elements, each of which has at least one byte.
func (d *decoder) count(most int) int {
	n := d.uint()
	if n > uint64(most) || n > uint64(len(d.b)) {
		d.fail("%d elements where at most %d are allowed and %d bytes are left", n, most, len(d.b))
		return 0
	}
	return int(n)
}

func (d *decoder) table() *table {
	if v := d.take(1); v == nil || v[0] != partialVersion {
		d.fail("expected version %d", partialVersion)
		return nil
	}
	s := shape{query: d.fixed(), intervals: d.small(spec.MaxIntervals), keys: d.small(spec.MaxBreakdowns)}
	s.slots = append(s.slots, d.take(uint64(d.count(spec.MaxCalculations)))...)
	for _, kind := range s.slots {
		if kind >= kinds {
			d.fail("there is no state of kind %d", kind)
		}
	}
	if s.intervals == 0 || len(s.slots) == 0 {
		d.fail("there is nothing calculated")
	}
	if d.err != nil {
		return nil
	}
	t := newTable(s)
	t.bar = d.fixed()
	n := d.count(t.limit())
	for range n {
		d.group(t)
		if d.tooLarge() {
			return nil
		}
	}
	return t
}

func (d *decoder) small(most uint64) int {
	n := d.uint()
	if n > most {
		d.fail("%d is above %d", n, most)
		return 0
	}
	return int(n)
}

// group reads a group, whose values must come after those of the group before.
func (d *decoder) group(t *table) {
	key := d.take(d.uint())
	if d.err != nil || !d.checkKey(key, t.keys) {
		return
	}
	hash := keyHash(string(key))
	if hash >= t.bar {
		d.fail("a group is there that is left out")
		return
	}
	g := t.addGroup(string(key), hash)
	if g > 0 && compareGroups(t.groups[g-1].values, t.groups[g].values) >= 0 {
		d.fail("groups are not ascending")
		return
	}
	d.memory += int64(4*t.intervals + 2*len(key) + 128 + 40*t.keys)
	next := 0
	for range d.count(t.intervals) {
		interval := d.small(uint64(t.intervals - 1))
		if d.err != nil || interval < next {
			d.fail("intervals are not ascending")
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
	for len(key) > 0 {
		v, rest, err := spec.ReadValue(key)
		if err != nil || spec.Canonical(v) != v {
			d.fail("a group's values cannot be read")
			return false
		}
		// What is not written shortest would be another key for the same values.
		if again := spec.AppendValue(nil, v); string(again) != string(key[:len(key)-len(rest)]) {
			d.fail("a group's values are not written as they should be")
			return false
		}
		key = rest
		n++
	}
	if n != keys {
		d.fail("a group has %d values, expected %d", n, keys)
		return false
	}
	return true
}
