package event

import (
	"fmt"
	"hash/maphash"
	"time"
	"unicode/utf8"
)

// Builder gathers a request's events as a decoder finds them, field by field, and holds them to the API's limits. What is
// wrong with one event becomes its [Item]'s Problem; the others are not affected. It takes memory only once that is
// granted, see [Options]; after a refusal NoRoom says so, and what was gathered is of no use.
//
// An event is Begin, any number of Set, and End.
type Builder struct {
	now    time.Time
	memory *Memory
	items  []Item
	paid   int // items for which memory was granted

	reserve func(bytes int64) bool
	granted int // reserved and not used yet
	noRoom  bool

	// Of the event being gathered.
	problem string
	fields  []Field // at the front of slab
	size    int     // of its names and values once flattened
	joined  int     // bytes of names joined so far, those of replaced fields included
	before  []Field // of the last event that was taken
	shape   *Field  // of that event
	alike   bool    // so far its names are those of before, so none of them is there twice
	kinds   bool    // and so are the kinds of its values
	index   names   // of fields; used once they are not alike
	left    int     // bytes of the body that are still to be read
	prefix  []byte  // of nested names
	slab    []Field // room for fields
}

// NewBuilder begins a request's events.
func NewBuilder(o Options) *Builder {
	m := o.Memory
	if m == nil {
		m = new(Memory)
	}
	m.Clear()
	return &Builder{now: o.Now, reserve: o.Reserve, memory: m, items: m.items}
}

// Body is a request's body as a text. With memory that is used again the text is the body; else it is a copy, whose memory must
// be granted first. It returns false if that was not granted.
func (b *Builder) Body(o Options, body []byte) (text string, ok bool) {
	if o.Memory != nil {
		return textOf(body), true
	}
	if !b.Need(len(body)) {
		return "", false
	}
	return string(body), true
}

// Text has memory granted for a text of up to n bytes, for whoever makes one to append it there and then to have it with
// [Builder.Made]. It returns false if that was not granted.
func (b *Builder) Text(n int) (room []byte, ok bool) {
	if !b.Need(n) {
		return nil, false
	}
	return b.memory.text(n), true
}

// Made is the text that was made in what [Builder.Text] gave, which is not changed any more.
func (b *Builder) Made(text []byte) string { return textOf(text) }

// Sizes of what decoding takes, in bytes, for [Options].Reserve.
const (
	sizeOfField = 48
	// sizeOfItem has room for the answer to an event, too.
	sizeOfItem = 88 + 168
	// sizeOfSlot is one of names.
	sizeOfSlot = 8
	// sizeOfText is about a problem's text.
	sizeOfText = 160
	// reserveStep is the least that is reserved at a time once the body is copied.
	reserveStep = 4 << 10
	// fewFields is how many fields an event gets room for at least.
	fewFields = 16
)

// Now is the time of receipt.
func (b *Builder) Now() time.Time { return b.now }

// NoRoom says that memory was not granted.
func (b *Builder) NoRoom() bool { return b.noRoom }

// Items are the events so far.
func (b *Builder) Items() []Item { return b.items }

// Fields are those of the event being gathered, valid until the next Begin.
func (b *Builder) Fields() []Field { return b.fields }

// Problem is why the event being gathered is refused; empty if it is not.
func (b *Builder) Problem() string { return b.problem }

// Has says whether one of the first so many fields of the event being gathered has that name.
func (b *Builder) Has(name string, first int) bool {
	if first == 0 {
		return false
	}
	at, ok := b.find(name, false)
	return ok && at < first
}

// Len is how many fields the event being gathered has.
func (b *Builder) Len() int { return len(b.fields) }

// Need has memory granted before it is taken. Once it was not granted, the event being gathered is given up.
func (b *Builder) Need(n int) bool {
	if b.reserve == nil || n <= b.granted {
		b.granted -= n
		return true
	}
	ask := max(n-b.granted, reserveStep)
	if b.noRoom || !b.reserve(int64(ask)) {
		b.noRoom = true
		return false
	}
	b.granted += ask - n
	return true
}

// Fail refuses the event being gathered. The first reason is kept.
func (b *Builder) Fail(format string, args ...any) {
	switch {
	case b.problem != "":
	case len(args) == 0:
		b.problem = format
	case b.Need(sizeOfText):
		b.problem = fmt.Sprintf(format, args...)
	}
}

// Failed says whether the event being gathered is refused.
func (b *Builder) Failed() bool { return b.problem != "" || b.noRoom }

// Begin begins the next event. left is about how many bytes of the body are still to be read: what is kept ready for
// fields depends on it. It returns false if there are [MaxBatchEvents] events already.
func (b *Builder) Begin(left int) bool {
	if len(b.items) >= MaxBatchEvents {
		return false
	}
	b.problem, b.joined, b.left = "", 0, left
	b.restart()
	return true
}

// restart forgets the fields that were gathered.
func (b *Builder) restart() {
	b.fields, b.size = b.slab[:0], 0
	b.alike, b.kinds = true, true
}

// End makes an item of the event: its time and sample rate are e's, its fields those that were set. It returns false if
// there was no memory.
func (b *Builder) End(e *Event) bool {
	if len(b.fields) == 0 {
		b.Fail(TextEmpty)
	}
	if len(b.items) == b.paid {
		more := min(max(b.paid, 4), MaxBatchEvents-b.paid)
		if !b.Need(more * sizeOfItem) {
			return false
		}
		if b.paid += more; cap(b.items) < b.paid {
			b.items = append(make([]Item, 0, b.paid), b.items...)
		}
	}
	if b.problem != "" || b.noRoom {
		b.items = append(b.items, Item{Problem: b.problem})
		b.memory.items = b.items
		return !b.noRoom
	}
	n := len(b.fields)
	e.Fields, b.slab = b.fields[:n:n], b.slab[n:]
	if !b.alike || !b.kinds || n != len(b.before) {
		b.shape = &e.Fields[0]
	}
	b.before, e.shape = e.Fields, b.shape
	b.items = append(b.items, Item{Event: *e})
	b.memory.items = b.items
	return true
}

// SetTime gives e the time at which its client says that it happened: one more than an hour ahead becomes the time of
// receipt, one before 1970 is refused.
func (b *Builder) SetTime(e *Event, at time.Time) {
	switch {
	case at.Before(firstTime):
		b.Fail("Event time %s lies before 1970: expected the time at which the event happened.", at.UTC().Format(time.RFC3339))
	case at.Sub(b.now) > maxAhead:
		e.Time = b.now
	default:
		e.Time = at
	}
}

// Join is the name of a field inside of an object: prefix, a dot, key. It returns false if the event is refused.
func (b *Builder) Join(prefix, key string) (name string, ok bool) {
	if b.Failed() {
		// Nothing is stored any more, so nothing is joined either: that bounds the work.
		return key, false
	}
	b.joined += len(prefix) + 1 + len(key)
	switch {
	case len(prefix)+1+len(key) > MaxStringBytes:
		b.Fail("A field's name is longer than %d bytes.", MaxStringBytes)
	case b.joined > 2*MaxEventBytes:
		b.Fail("Event is too large: its nested names alone exceed %d bytes.", MaxEventBytes)
	case b.Need(len(prefix) + 1 + len(key)):
		b.prefix = append(append(append(b.prefix[:0], prefix...), '.'), key...)
		return string(b.prefix), true
	}
	return key, false
}

// SetText stores a text, unless it is too long.
func (b *Builder) SetText(name, s string) {
	if len(s) > MaxStringBytes {
		b.Fail("Field %q: the string has %d bytes, at most %d are allowed.", shorten(name), len(s), MaxStringBytes)
	}
	b.Set(name, StringValue(s))
}

// Expected is the name of the field that is likely to be set next, since the event before has it there; empty if nothing is known.
// It was set before, so what holds for every name holds for it.
func (b *Builder) Expected() string {
	if n := len(b.fields); b.alike && n < len(b.before) {
		return b.before[n].Name
	}
	return ""
}

// Set stores a field, in the place of an earlier one of that name.
func (b *Builder) Set(name string, v Value) {
	if b.problem != "" || b.noRoom {
		return
	}
	if len(name) > MaxStringBytes {
		b.Fail("A field's name is longer than %d bytes.", MaxStringBytes)
		return
	}
	n := len(b.fields)
	if b.alike && n < len(b.before) && b.before[n].Name == name {
		name = b.before[n].Name // one text for both: comparing them later costs nothing
		b.kinds = b.kinds && b.before[n].Value.kind == v.kind
	} else {
		at, ok := b.find(name, n < MaxFields)
		if !ok {
			return
		}
		if at < n {
			b.size += len(v.str) - len(b.fields[at].Value.str)
			b.fields[at].Value = v
			b.check()
			return
		}
	}
	if n == MaxFields {
		b.Fail(TextColumns)
		return
	}
	if n == cap(b.fields) && !b.grow() {
		return
	}
	b.fields = b.fields[:n+1]
	f := &b.fields[n] // set part by part: a Field is too large for the compiler to make it in registers
	f.Name, f.Value = name, v
	b.size += len(name) + len(v.str)
	b.check()
}

// check refuses an event that has become too large: flattening repeats the outer names, so a small object may.
func (b *Builder) check() {
	if b.size >= MaxEventBytes {
		b.Fail("Event is too large: its fields have %d bytes once flattened, it must be below %d.", b.size, MaxEventBytes)
	}
}

// grow makes a new slab, which begins with the fields gathered so far.
func (b *Builder) grow() bool {
	// What is left of the body tells about how many fields are to come; events are mostly like the one before.
	n := len(b.fields)
	size := n + max(n, fewFields, min(max(256, 8*len(b.before)), b.left/16))
	if !b.Need(size * sizeOfField) {
		return false
	}
	b.slab = b.memory.slab(size)
	b.fields = b.slab[:copy(b.slab, b.fields)]
	return true
}

// find returns the index of the field of that name; if there is none, the index that it is about to get, under which it
// is remembered if add. From the first name on that is not that of the event before, names are looked for.
func (b *Builder) find(name string, add bool) (int, bool) {
	if b.alike {
		b.alike = false
		b.index.clear()
		for i := range b.fields {
			if !b.index.room(b.Need, i+1, b.fields) {
				return 0, false
			}
			b.index.find(b.fields, b.fields[i].Name, i, true)
		}
	}
	n := len(b.fields)
	if !b.index.room(b.Need, n+1, b.fields) {
		return 0, false
	}
	return b.index.find(b.fields, name, n, add), true
}

// names finds fields by their name: a hash table with linear probing, which is emptied at no cost by counting up its round.
type names struct {
	slots []slot
	round uint32
	seed  maphash.Seed
}

type slot struct {
	round uint32 // the slot is empty if this is not the table's
	field uint32
}

func (t *names) clear() {
	if t.round++; t.round == 0 {
		clear(t.slots)
		t.round = 1
	}
}

// room makes the table large enough for n fields.
func (t *names) room(need func(int) bool, n int, fields []Field) bool {
	if 2*n <= len(t.slots) {
		return true
	}
	size := max(128, 2*len(t.slots))
	if !need(size * sizeOfSlot) {
		return false
	}
	if t.slots == nil {
		t.seed = maphash.MakeSeed() // which slot a name takes is never seen
	}
	t.slots = make([]slot, size)
	t.round = 1
	for i := range fields[:min(n-1, len(fields))] {
		t.find(fields, fields[i].Name, i, true)
	}
	return true
}

// find returns the index of the field of that name, or next, under which it is remembered if add.
func (t *names) find(fields []Field, name string, next int, add bool) int {
	mask := uint64(len(t.slots) - 1)
	for at := maphash.String(t.seed, name); ; at++ {
		s := &t.slots[at&mask]
		if s.round != t.round {
			if add {
				*s = slot{t.round, uint32(next)}
			}
			return next
		}
		if fields[s.field].Name == name {
			return int(s.field)
		}
	}
}

// shorten keeps error texts readable.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
