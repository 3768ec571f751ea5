package segment

import "github.com/cespare/xxhash/v2"

// dictionary gives different strings their codes, 0, 1, 2 …
type dictionary struct {
	texts []string // by code
	slots []uint32 // code + 1; 0 is free. Open addressing with linear probing, at most half full; its length is a power of 2
}

// firstSlots is the size of a dictionary's first index.
const firstSlots = 16

// find is a string's code, or else the slot where it belongs.
func (d *dictionary) find(s string) (code uint32, slot int, ok bool) {
	if len(d.slots) == 0 {
		d.slots = make([]uint32, firstSlots)
	}
	mask := len(d.slots) - 1
	for slot = int(xxhash.Sum64String(s)) & mask; d.slots[slot] != 0; slot = (slot + 1) & mask {
		if code := d.slots[slot] - 1; d.texts[code] == s {
			return code, slot, true
		}
	}
	return 0, slot, false
}

// add gives a string that find has not found the next code. It keeps s.
func (d *dictionary) add(s string, slot int) (code uint32) {
	d.texts = append(d.texts, s)
	d.slots[slot] = uint32(len(d.texts))
	if 2*len(d.texts) > len(d.slots) {
		d.grow()
	}
	return uint32(len(d.texts) - 1)
}

func (d *dictionary) grow() {
	d.slots = make([]uint32, 2*len(d.slots))
	mask := len(d.slots) - 1
	for i, s := range d.texts {
		slot := int(xxhash.Sum64String(s)) & mask
		for d.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		d.slots[slot] = uint32(i + 1)
	}
}

// empty forgets all strings and keeps the memory.
func (d *dictionary) empty() {
	clear(d.texts)
	clear(d.slots)
	d.texts = d.texts[:0]
}
