package loadgen

// spansPerBlock is how many consecutive events of a batch are divided into traces. A trace has that many spans at most.
const spansPerBlock = 16

// divisions are the ways to divide a block into traces: where each begins.
//
// A batch that is not whole blocks cuts its last traces short.
var divisions = [8][]uint8{
	{0}, {0, 1}, {0, 4}, {0, 8}, {0, 2, 8}, {0, 1, 3, 6}, {0, 5}, {0, 3, 6},
}

// place is where a span is in its trace.
type place struct {
	trace uint64 // draws for the trace
	index int    // of the span; 0 is the root
	size  int    // spans in the trace
}

// placeOf finds an event's place.
func placeOf(producer uint32, seq, batch uint64) place {
	at := seq % batch
	begin := at - at%spansPerBlock // of the block, in the batch
	block := mix(uint64(producer)^saltTrace, seq-at+begin)
	in, end := at-begin, min(spansPerBlock, batch-begin)
	first := uint64(0)
	for _, d := range divisions[block&7] {
		if uint64(d) > in {
			end = min(end, uint64(d))
			break
		}
		first = uint64(d)
	}
	return place{trace: mix(block, first), index: int(in - first), size: int(end - first)}
}

// draw is for one span of the trace.
func (p *place) draw(index int) uint64 { return mix(p.trace, saltTrace+uint64(index)) }

// parentOf is the index of a span's parent, always a lower one.
func parentOf(index int, draw uint64) int { return max(index-1-int(draw>>8&3), 0) }

// duration is the span's in eighths of a millisecond. A child's lies at least an eighth below its parent's, which is more
// than a child begins after its parent: spans of a batch are a microsecond apart.
func (p *place) duration() uint64 { return p.durationOf(p.index) }

func (p *place) durationOf(index int) uint64 {
	least := uint64(p.size - index)
	if index == 0 {
		return least + skewed(p.draw(0)>>20)*2
	}
	draw := p.draw(index)
	parent := p.durationOf(parentOf(index, draw))
	return least + (parent-1-least)*(draw&255)>>8
}

// ids writes the trace's, the span's and, but for the root, the parent's ID: 32, 16 and 16 hexadecimal digits. It returns
// how many bytes that took.
func (p *place) ids(dst []byte) int {
	hex16(dst, mix(p.trace, 1))
	hex16(dst[16:], mix(p.trace, 2))
	draw := p.draw(p.index)
	hex16(dst[32:], mix(draw, 3))
	if p.index == 0 {
		return 48
	}
	hex16(dst[48:], mix(p.draw(parentOf(p.index, draw)), 3))
	return 64
}
