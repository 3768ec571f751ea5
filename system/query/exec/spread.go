package exec

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// ExactValues is up to how many different numbers percentiles are exact.
const ExactValues = 32

// spread is how numbers are distributed: the numbers themselves while they are few, then a log-linear histogram with 64
// equal buckets between one power of two and the next. Its form depends on the set of numbers alone.
type spread struct {
	// few is ascending, and unused once there are pages: the numbers, or (coarse) the keys of their buckets.
	few      []weighed
	coarse   bool
	pages    []*page // by power of two, from base on; nil is empty
	base     int32
	filled   int32 // pages that are not nil
	weight   uint64
	min, max float64
}

type weighed struct {
	v float64
	w uint64
}

// sparseBuckets is from how many buckets on a histogram is kept in pages. That does not change what it says.
const sparseBuckets = 128

const (
	pageBits  = 6
	pageSize  = 1 << pageBits
	pageBytes = 8 * pageSize
	// keyShift leaves a number's exponent and the first bits of its fraction.
	keyShift = 52 - pageBits
)

type page [pageSize]uint64

// keyOf numbers the bucket of f: ascending with f. Bucket 0 begins at zero, -1 ends there.
func keyOf(f float64) int32 {
	b := math.Float64bits(f)
	key := int32(b << 1 >> 1 >> keyShift)
	return key ^ int32(int64(b)>>63)
}

// bounds are the magnitudes between which bucket key is.
func bounds(key int32) (low, high float64, negative bool) {
	negative = key < 0
	if negative {
		key = ^key
	}
	low = math.Float64frombits(uint64(key) << keyShift)
	high = math.Float64frombits(uint64(key+1) << keyShift)
	if math.IsInf(high, 0) {
		high = math.MaxFloat64
	}
	return low, high, negative
}

// middle stands for all numbers of a bucket.
func middle(key int32) float64 {
	low, high, negative := bounds(key)
	m := low + (high-low)/2
	if low == 0 {
		m = 0
	}
	if negative {
		return -m
	}
	return m
}

// add adds a finite number and returns by how many bytes the memory grew.
func (s *spread) add(f float64, w uint64) (grown int64) {
	if f == 0 {
		f = 0 // -0 is 0
	}
	if s.weight == 0 {
		s.min, s.max = f, f
	} else if f < s.min {
		s.min = f
	} else if f > s.max {
		s.max = f
	}
	s.weight += w
	if s.pages == nil {
		return s.addFew(f, w)
	}
	key := keyOf(f)
	at := key>>pageBits - s.base
	if uint(at) < uint(len(s.pages)) {
		if p := s.pages[at]; p != nil {
			p[key&(pageSize-1)] += w
			return 0
		}
	}
	return s.put(key, w)
}

// addFew counts a number while there are no pages.
func (s *spread) addFew(f float64, w uint64) int64 {
	if s.coarse {
		f = float64(keyOf(f))
	}
	return s.insert(f, w)
}

// addKey counts in a bucket of a histogram.
func (s *spread) addKey(key int32, w uint64) int64 {
	if s.pages == nil {
		return s.insert(float64(key), w)
	}
	return s.put(key, w)
}

// insert counts a number, or the key of a bucket.
func (s *spread) insert(v float64, w uint64) (grown int64) {
	low, high := 0, len(s.few)
	for low < high {
		if m := (low + high) / 2; s.few[m].v < v {
			low = m + 1
		} else {
			high = m
		}
	}
	n := len(s.few)
	switch {
	case low < n && s.few[low].v == v:
		s.few[low].w += w
		return 0
	case n == ExactValues && !s.coarse:
		s.coarsen()
		return s.insert(float64(keyOf(v)), w)
	case n == sparseBuckets:
		return s.overflow(int32(v), w)
	case n == cap(s.few):
		more := make([]weighed, n, max(2*n, leastFew))
		copy(more, s.few)
		s.few = more
	}
	before := s.size()
	s.few = s.few[:n+1]
	copy(s.few[low+1:], s.few[low:n])
	s.few[low] = weighed{v, w}
	return s.size() - before
}

// leastFew is room for how many numbers there is from the first on.
const leastFew = 4

// coarsen turns the numbers into a histogram.
func (s *spread) coarsen() {
	s.coarse = true
	kept := s.few[:0]
	for _, x := range s.few {
		key := float64(keyOf(x.v))
		if n := len(kept); n > 0 && kept[n-1].v == key {
			kept[n-1].w += x.w
			continue
		}
		kept = append(kept, weighed{key, x.w})
	}
	s.few = kept
}

// size is what it counts for in bytes: about what it takes, by the set of numbers alone, and never less for more of them.
func (s *spread) size() int64 {
	n := len(s.few)
	switch {
	case s.pages != nil:
		return max(16*sparseBuckets, pageBytes*int64(s.filled)+8*int64(len(s.pages)))
	case s.coarse:
		n = max(n, ExactValues)
	case n == 0:
		return 0
	}
	return 16 * int64(max(1<<bits.Len(uint(n-1)), leastFew))
}

// overflow moves a histogram into pages, and counts in a bucket more.
func (s *spread) overflow(key int32, w uint64) int64 {
	few, before := s.few, s.size()
	s.few = nil
	for _, x := range few {
		s.put(int32(x.v), x.w)
	}
	s.put(key, w)
	return s.size() - before
}

// put counts in a bucket whose page may not be there.
func (s *spread) put(key int32, w uint64) int64 {
	before, number := s.size(), key>>pageBits
	switch {
	case len(s.pages) == 0:
		s.base, s.pages = number, make([]*page, 1)
	case number < s.base:
		s.pages = append(make([]*page, s.base-number, int(s.base-number)+len(s.pages)), s.pages...)
		s.base = number
	case int(number-s.base) >= len(s.pages):
		more := int(number-s.base) + 1 - len(s.pages)
		s.pages = append(s.pages, make([]*page, more)...)
	}
	p := s.pages[number-s.base]
	if p == nil {
		p = new(page)
		s.pages[number-s.base] = p
		s.filled++
	}
	p[key&(pageSize-1)] += w
	return s.size() - before
}

func (s *spread) merge(o *spread) (grown int64) {
	if o.weight == 0 {
		return 0
	}
	if s.weight == 0 {
		s.min, s.max = o.min, o.max
	}
	s.min, s.max = min(s.min, o.min), max(s.max, o.max)
	s.weight += o.weight
	if o.pages == nil && !o.coarse {
		for _, x := range o.few {
			grown += s.addAny(x.v, x.w)
		}
		return grown
	}
	if s.pages == nil && !s.coarse {
		before := s.size()
		s.coarsen()
		grown = s.size() - before
	}
	o.each(func(key int32, w uint64) { grown += s.addKey(key, w) })
	return grown
}

// addAny counts a number in whatever form there is.
func (s *spread) addAny(f float64, w uint64) int64 {
	if s.pages == nil {
		return s.addFew(f, w)
	}
	return s.put(keyOf(f), w)
}

// each visits the buckets of a histogram that are not empty, ascending.
func (s *spread) each(visit func(key int32, w uint64)) {
	if s.coarse {
		for _, x := range s.few {
			visit(int32(x.v), x.w)
		}
	}
	for i, p := range s.pages {
		if p == nil {
			continue
		}
		for j, w := range p {
			if w > 0 {
				visit((s.base+int32(i))<<pageBits|int32(j), w)
			}
		}
	}
}

// quantile is the smallest number that perMille of the weight does not exceed.
func (s *spread) quantile(perMille int) float64 {
	hi, lo := bits.Mul64(s.weight, uint64(perMille))
	target, rest := bits.Div64(hi, lo, 1000)
	if rest > 0 || target == 0 {
		target++
	}
	var sum uint64
	for _, x := range s.few {
		if sum += x.w; sum >= target {
			if s.coarse {
				return min(max(middle(int32(x.v)), s.min), s.max)
			}
			return x.v
		}
	}
	for i, p := range s.pages {
		if p == nil {
			continue
		}
		for j, w := range p {
			if sum += w; sum >= target {
				return min(max(middle((s.base+int32(i))<<pageBits|int32(j)), s.min), s.max)
			}
		}
	}
	return s.max
}

// coarse is by how many bits fewer buckets a heatmap has: 8 from one power of two to the next.
const coarse = 3

// mostBuckets is how many buckets a heatmap has at most.
func (s *spread) mostBuckets() int { return len(s.few) + pageSize>>coarse*int(s.filled) }

// heatmap counts in buckets for people to look at.
func (s *spread) heatmap() []Bucket {
	var list []Bucket
	last := int32(math.MinInt32)
	visit := func(key int32, w uint64) {
		key >>= coarse
		if len(list) == 0 || key != last {
			low, _, negative := bounds(key << coarse)
			_, high, _ := bounds(key<<coarse | (1<<coarse - 1))
			if negative {
				high, _, _ = bounds(key<<coarse | (1<<coarse - 1))
				_, low, _ = bounds(key << coarse)
				low, high = -low, -high
			}
			list = append(list, Bucket{From: low, To: high + 0})
			last = key
		}
		list[len(list)-1].Count += float64(w)
	}
	if !s.coarse {
		for _, x := range s.few {
			visit(keyOf(x.v), x.w)
		}
	}
	s.each(visit)
	return list
}

func (s *spread) append(b []byte) []byte {
	if s.pages == nil && !s.coarse {
		b = binary.AppendUvarint(b, uint64(len(s.few)))
		for _, x := range s.few {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x.v))
			b = binary.AppendUvarint(b, x.w)
		}
		return b
	}
	b = binary.AppendUvarint(b, ExactValues+1)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.min))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.max))
	n := 0
	s.each(func(int32, uint64) { n++ })
	b = binary.AppendUvarint(b, uint64(n))
	before := int32(0)
	s.each(func(key int32, w uint64) {
		b = binary.AppendVarint(b, int64(key-before))
		b = binary.AppendUvarint(b, w)
		before = key
	})
	return b
}

func (s *spread) read(d *decoder) {
	n := d.Uint()
	if n <= ExactValues {
		for i := range n {
			v, w := d.Float(), d.Uint()
			if w == 0 || !finite(v) || i > 0 && v <= s.max {
				d.Fail("the numbers of a distribution are not ascending")
				return
			}
			d.memory += s.add(v, w)
		}
		return
	}
	low, high := d.Float(), d.Float()
	if !finite(low) || !finite(high) || low > high {
		d.Fail("a distribution is between %v and %v", low, high)
		return
	}
	s.min, s.max = low, high
	s.coarse = true
	d.memory += s.size()
	key := int64(0)
	for i := range d.CountUpTo(d.Left()) {
		step, w := d.Int(), d.Uint()
		key += step
		if w == 0 || i > 0 && step <= 0 || key < int64(keyOf(-math.MaxFloat64)) || key > int64(keyOf(math.MaxFloat64)) || step > 1<<20 || step < -1<<20 {
			d.Fail("the buckets of a distribution are not ascending")
			return
		}
		s.weight += w
		d.memory += s.addKey(int32(key), w)
		if d.tooLarge() {
			return
		}
	}
	if s.weight == 0 {
		d.Fail("a distribution is empty")
	}
}

func finite(f float64) bool { return f-f == 0 }
