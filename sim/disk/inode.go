package disk

import (
	"math/rand/v2"
	"slices"
)

// inode is a file's content: as it is in the page cache, and what is known to be on the device.
//
// Files are mostly appended to, so in the common case the durable content is a prefix of data and nothing is copied.
// Only a truncation below that prefix, or a bit flipped by the medium, makes stable a copy of its own.
type inode struct {
	data    []byte
	stable  []byte  // durable content; shares data's array as long as only appends happened
	pending []write // since then, in order
	dirty   int64   // bytes appended since then
	synced  uint64  // number of the last write that is durable
	writes  uint64  // number of the last write
	named   bool    // has a name, hence takes space
}

// write is one write that may not be durable: an append of bytes or a truncation to size.
type write struct {
	bytes []byte
	size  int64
	cut   bool
}

func (f *inode) append(p []byte) {
	if len(p) == 0 {
		return
	}
	start := len(f.data)
	f.data = append(f.data, p...)
	f.writes++
	f.dirty += int64(len(p))
	f.pending = append(f.pending, write{bytes: f.data[start:len(f.data):len(f.data)]})
}

// truncate cuts the file. What is cut off may still be what the device holds, so later appends get a new array.
func (f *inode) truncate(size int64) {
	if size >= int64(len(f.data)) {
		return
	}
	f.data = f.data[:size:size]
	f.writes++
	f.pending = append(f.pending, write{cut: true, size: size})
}

// snapshot returns a function that makes the present content durable: what is appended while the device works is not.
func (f *inode) snapshot() func() {
	content, upTo := f.data[:len(f.data):len(f.data)], f.writes
	return func() {
		if upTo <= f.synced {
			return // an earlier sync of the same content was enough
		}
		done := upTo - f.synced
		for _, w := range f.pending[:done] {
			f.dirty -= int64(len(w.bytes))
		}
		f.pending = slices.Delete(f.pending, 0, int(done))
		f.stable, f.synced = content, upTo
	}
}

// losePower leaves the durable content and a prefix of the pending writes, the last one possibly torn.
func (f *inode) losePower(r *rand.Rand, torn bool) {
	content := slices.Clone(f.stable)
	survive := r.IntN(len(f.pending) + 1)
	for i, w := range f.pending[:survive] {
		if w.cut {
			content = content[:min(int64(len(content)), w.size)]
			continue
		}
		bytes := w.bytes
		if torn && i == survive-1 {
			bytes = bytes[:r.IntN(len(bytes)+1)]
		}
		content = append(content, bytes...)
	}
	f.data, f.stable, f.pending, f.dirty = content, content[:len(content):len(content)], nil, 0
	f.synced = f.writes
}
