package event

import "unsafe"

// Memory is what decoding takes, to be used for one request after another. Whoever decodes with it (see [Options]) promises that
// nothing refers to what was decoded, nor changes the body, before it is cleared or used again: names and texts of the events are
// parts of the body, and their fields and items are here. The zero Memory is ready.
type Memory struct {
	items []Item
	slabs [][]Field
	used  int      // slabs in use
	texts [][]byte // of what is neither a part of the body nor of an event before
	made  int      // texts in use, the last in part
}

// Clear forgets what was decoded, so that nothing that it referred to is kept. The memory itself stays.
func (m *Memory) Clear() {
	clear(m.items)
	m.items = m.items[:0]
	for _, slab := range m.slabs[:m.used] {
		clear(slab)
	}
	m.used, m.made = 0, 0
}

// slab is room for n fields.
func (m *Memory) slab(n int) []Field {
	if m.used == len(m.slabs) {
		m.slabs = append(m.slabs, nil)
	}
	if cap(m.slabs[m.used]) < n {
		m.slabs[m.used] = make([]Field, n)
	}
	m.slabs[m.used] = m.slabs[m.used][:n]
	m.used++
	return m.slabs[m.used-1][:n:n]
}

// textStep is what is taken at once for texts.
const textStep = 1 << 10

// text is room for a text of up to n bytes, which are appended to it.
func (m *Memory) text(n int) []byte {
	if m.made > 0 {
		if last := m.texts[m.made-1]; cap(last)-len(last) >= n {
			at := len(last)
			m.texts[m.made-1] = last[:at+n]
			return last[at : at : at+n]
		}
	}
	if m.made == len(m.texts) {
		m.texts = append(m.texts, nil)
	}
	if cap(m.texts[m.made]) < n {
		m.texts[m.made] = make([]byte, 0, max(n, textStep))
	}
	m.texts[m.made] = m.texts[m.made][:n]
	m.made++
	return m.texts[m.made-1][:0:n]
}

// textOf is a body as a text that refers to it.
func textOf(body []byte) string { return unsafe.String(unsafe.SliceData(body), len(body)) }
