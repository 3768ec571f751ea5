package disk

import (
	"math/rand/v2"
	"slices"
)

// blockSize is how much of a file is in one piece of memory.
const blockSize = 16 << 10

// content is a file's bytes at one moment. Contents share blocks, because what was written once is not changed any more:
// appending writes behind the size of every content that shares the block, and truncating or flipping a bit takes a copy.
type content struct {
	blocks [][]byte // each of blockSize, but for the last one
	size   int64
}

// append adds p at the end. Only the newest of the contents that share blocks may be appended to.
func (c *content) append(p []byte) {
	for len(p) > 0 {
		used := int(c.size % blockSize)
		if used == 0 {
			c.blocks = append(c.blocks, nil)
		}
		n := min(len(p), blockSize-used)
		last := &c.blocks[len(c.blocks)-1]
		*last = append(c.room((*last)[:used], n), p[:n]...)
		c.size += int64(n)
		p = p[n:]
	}
}

// room returns the last block with room for n more bytes. Many files are small or written at once, so a block begins with
// the memory that it needs and gets more when it grows. Contents that share one that has moved may go on with the old one:
// it has all that they see.
func (c *content) room(block []byte, n int) []byte {
	need := len(block) + n
	if len(block) == 0 || need <= cap(block) {
		return block
	}
	size := blockSize
	if len(c.blocks) == 1 {
		size = min(blockSize, max(need, 2*cap(block)))
	}
	return append(make([]byte, 0, size), block...)
}

// readAt copies what there is from off on.
func (c *content) readAt(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), c.size-off))]
	done := 0
	for done < len(p) {
		at := off + int64(done)
		done += copy(p[done:], c.blocks[at/blockSize][at%blockSize:])
	}
	return done
}

// appendRange adds the bytes from one offset to another of another content.
func (c *content) appendRange(o *content, from, to int64) {
	for from < to {
		part := o.blocks[from/blockSize][from%blockSize:]
		part = part[:min(int64(len(part)), to-from)]
		c.append(part)
		from += int64(len(part))
	}
}

// cut returns the first bytes, sharing no block that would be appended to.
func (c *content) cut(size int64) content {
	n := (size + blockSize - 1) / blockSize
	short := content{blocks: c.blocks[:n:n], size: size}
	if size%blockSize != 0 {
		short.own(size - 1)
	}
	return short
}

// own gives the content a copy of the block with the byte at off.
func (c *content) own(off int64) {
	c.blocks = slices.Clone(c.blocks)
	c.blocks[off/blockSize] = slices.Clone(c.blocks[off/blockSize])
}

// flip changes bits of one byte.
func (c *content) flip(off int64, bits byte) {
	c.own(off)
	c.blocks[off/blockSize][off%blockSize] ^= bits
}

// inode is a file's content: as it is in the page cache, and what is known to be on the device.
type inode struct {
	data    content
	stable  content // what is durable
	pending []write // since then, in order
	dirty   int64   // bytes appended since then
	synced  uint64  // number of the last write that is durable
	writes  uint64  // number of the last write
	named   bool    // has a name, hence takes space
}

// write is one write that may not be durable: an append of the bytes of after from one offset on, or a truncation to its
// size.
type write struct {
	after content
	from  int64
	cut   bool
}

func (w *write) bytes() int64 {
	if w.cut {
		return 0
	}
	return w.after.size - w.from
}

func (f *inode) append(p []byte) {
	if len(p) == 0 {
		return
	}
	from := f.data.size
	f.data.append(p)
	f.writes++
	f.dirty += int64(len(p))
	f.pending = append(f.pending, write{after: f.data, from: from})
}

// truncate cuts the file. What is cut off may still be what the device holds.
func (f *inode) truncate(size int64) {
	if size >= f.data.size {
		return
	}
	f.data = f.data.cut(size)
	f.writes++
	f.pending = append(f.pending, write{cut: true, after: f.data})
}

// snapshot returns a function that makes the present content durable: what is appended while the device works is not.
func (f *inode) snapshot() func() {
	now, upTo := f.data, f.writes
	return func() {
		if upTo <= f.synced {
			return // an earlier sync of the same content was enough
		}
		done := upTo - f.synced
		for i := range f.pending[:done] {
			f.dirty -= f.pending[i].bytes()
		}
		f.pending = slices.Delete(f.pending, 0, int(done))
		f.stable, f.synced = now, upTo
	}
}

// losePower leaves the durable content and a prefix of the pending writes, the last one possibly torn.
func (f *inode) losePower(r *rand.Rand, torn bool) {
	left := f.stable.cut(f.stable.size)
	survive := r.IntN(len(f.pending) + 1)
	for i := range f.pending[:survive] {
		w := &f.pending[i]
		if w.cut {
			left = left.cut(min(left.size, w.after.size))
			continue
		}
		n := w.bytes()
		if torn && i == survive-1 {
			n = int64(r.IntN(int(n) + 1))
		}
		left.appendRange(&w.after, w.from, w.from+n)
	}
	f.data, f.stable, f.pending, f.dirty = left, left, nil, 0
	f.synced = f.writes
}
