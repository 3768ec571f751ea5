package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment/parquet"
)

// decoders hold the memory of decoders that are done. Blocks are made of it, which are good until visit returns.
var decoders = sync.Pool{New: func() any { return new(unpacker) }}

// unpacker decompresses pages, and lends scans their memory.
type unpacker struct {
	zstd    *zstd.Decoder
	raw     []byte
	scanner scanner
	readers []fieldReader
}

// lend gives a scan the memory of one before it. Strings and dictionaries are not among it: those may be kept.
func (u *unpacker) lend(s *Segment, columns []string) (*scanner, []fieldReader) {
	sc, n := &u.scanner, len(columns)
	w := &sc.w
	w.Columns, w.nulls = resize(w.Columns, n), resize(w.nulls, n)
	clear(w.Columns)
	clear(w.nulls)
	w.Unsampled = false
	w.Offset, w.Index, w.Time, w.SampleRate, w.source, w.seq = w.Offset[:0], w.Index[:0], w.Time[:0], w.SampleRate[:0], w.source[:0], w.seq[:0]
	*sc = scanner{s: s, u: u, w: *w, words: sc.words, codes: sc.codes, identity: sc.identity}
	if u.readers = u.readers[:cap(u.readers)]; len(u.readers) < n {
		u.readers = append(u.readers, make([]fieldReader, n-len(u.readers))...)
	}
	readers := u.readers[:n]
	for i := range readers {
		r := &readers[i]
		r.field, r.dict = nil, nil
		if at, ok := slices.BinarySearchFunc(s.fields, columns[i], func(f field, name string) int { return strings.Compare(f.name, name) }); ok {
			r.field = &s.fields[at]
		}
	}
	return sc, readers
}

// maxLent is the most columns of a scan whose memory is kept for the next.
const maxLent = 256

// giveBack ends a scan.
func (u *unpacker) giveBack() {
	u.scanner.s, u.scanner.u = nil, nil
	clear(u.scanner.w.Columns)
	for i := range u.readers {
		u.readers[i].field, u.readers[i].dict = nil, nil
	}
	if len(u.readers) > maxLent {
		u.scanner, u.readers = scanner{}, nil
	}
	decoders.Put(u)
}

// open is a page's bytes before compression. They are good until the next call.
func (u *unpacker) open(data []byte, c *chunkPages, p *page) ([]byte, error) {
	body := data[p.at : p.at+int(p.Size)]
	if c.Codec == parquet.Uncompressed {
		return body, nil
	}
	// The frame says how large it is. It is believed only if it is what the page says, which is bounded.
	var head zstd.Header
	if err := head.Decode(body); err != nil {
		return nil, err
	}
	if !head.HasFCS || head.FrameContentSize != uint64(p.Raw) || head.WindowSize > maxPage {
		return nil, fmt.Errorf("a zstd frame of %d bytes where %d are expected", head.FrameContentSize, p.Raw)
	}
	if u.zstd == nil {
		var err error
		if u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecoderMaxWindow(maxPage)); err != nil {
			return nil, err
		}
	}
	raw, err := u.zstd.DecodeAll(body, u.raw[:0])
	if err != nil {
		return nil, err
	}
	u.raw = raw[:0]
	if len(raw) != int(p.Raw) {
		return nil, fmt.Errorf("a page of %d bytes, not %d", len(raw), p.Raw)
	}
	return raw, nil
}

// scanner reads one segment's blocks. Its slices are used for each.
type scanner struct {
	s        *Segment
	u        *unpacker
	w        wideBlock
	words    []int64
	dicts    [heads_][]int64
	same     [heads_]int // so many values of the slice that is handed out are already the dictionary's only one
	codes    []uint32
	identity []uint32
}

func (s *Segment) scan(ctx context.Context, columns []string, heads Heads, whole bool, visit func(*wideBlock) error) error {
	u := decoders.Get().(*unpacker)
	defer u.giveBack()
	sc, readers := u.lend(s, columns)
	for n := range s.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := sc.block(n, readers, heads, whole); err != nil {
			return corrupt(&s.info, fmt.Errorf("block %d: %w", n, err))
		}
		if err := visit(&sc.w); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) block(n int, readers []fieldReader, heads Heads, whole bool) (err error) {
	w := &sc.w
	w.Rows = sc.s.rows[n]
	if heads&HeadTime != 0 {
		if w.Time, err = sc.head(n, headTime, w.Time); err != nil {
			return err
		}
	}
	if heads&HeadSampleRate != 0 {
		if w.SampleRate, err = sc.head(n, headRate, w.SampleRate); err != nil {
			return err
		}
		dict := sc.dicts[headRate]
		w.Unsampled = sc.s.heads[headRate].pages[n].Encoding == parquet.EncodingDict && len(dict) == 1 && dict[0] == 1
	}
	if heads&HeadOffset != 0 {
		if w.Offset, err = sc.head(n, headOffset, w.Offset); err != nil {
			return err
		}
		if sc.words, err = sc.head(n, headIndex, sc.words); err != nil {
			return err
		}
		w.Index = resize(w.Index, w.Rows)
		for i, v := range sc.words {
			w.Index[i] = int32(v)
		}
	}
	if whole {
		if w.source, err = sc.unsigned(n, headSource, w.source); err != nil {
			return err
		}
		if w.seq, err = sc.unsigned(n, headSeq, w.seq); err != nil {
			return err
		}
	}
	for i := range readers {
		if readers[i].field == nil {
			w.Columns[i] = Vector{}
			continue
		}
		if w.Columns[i], w.nulls[i], err = readers[i].read(sc, n, whole); err != nil {
			return fmt.Errorf("column %q: %w", readers[i].field.name, err)
		}
	}
	return nil
}

// resize is a slice of n to be filled.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// head reads one of the columns that every row has.
func (sc *scanner) head(n, which int, dst []int64) ([]int64, error) {
	c := &sc.s.heads[which]
	p := &c.pages[n]
	if cap(dst) < int(p.Values) {
		sc.same[which] = 0
	}
	dst = resize(dst, int(p.Values))
	var err error
	if p.Encoding == parquet.EncodingDict && sc.dicts[which] == nil {
		if sc.dicts[which], err = sc.headDict(c); err != nil {
			return nil, fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	if dict := sc.dicts[which]; which == headRate && p.Encoding == parquet.EncodingDict && len(dict) == 1 {
		// Most data is not sampled. The page can say nothing but 0, as often as there are rows.
		for i := sc.same[which]; i < len(dst); i++ {
			dst[i] = dict[0]
		}
		sc.same[which] = max(sc.same[which], len(dst))
		return dst, nil
	}
	sc.same[which] = 0
	var body []byte
	if body, err = sc.u.open(sc.s.data, c, p); err == nil {
		switch p.Encoding {
		case parquet.EncodingDelta:
			err = parquet.DecodeDelta(dst, body)
		case parquet.EncodingPlain:
			err = decodeWords(dst, body)
		case parquet.EncodingDict:
			dict := sc.dicts[which]
			sc.codes = resize(sc.codes, len(dst))
			if err = decodeCodes(sc.codes, body, len(dict)); err == nil {
				for i, code := range sc.codes {
					dst[i] = dict[code]
				}
			}
		default:
			err = fmt.Errorf("encoding %d", p.Encoding)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", c.Name, err)
	}
	return dst, nil
}

// unsigned is head for columns whose bits are a uint64.
func (sc *scanner) unsigned(n, which int, dst []uint64) (_ []uint64, err error) {
	if sc.words, err = sc.head(n, which, sc.words); err != nil {
		return nil, err
	}
	dst = resize(dst, len(sc.words))
	for i, v := range sc.words {
		dst[i] = uint64(v)
	}
	return dst, nil
}

func (sc *scanner) headDict(c *chunkPages) ([]int64, error) {
	if !c.dict.Dictionary || c.dict.Values == 0 || c.dict.Values > maxPageRows {
		return nil, errors.New("its dictionary is missing, empty or too large")
	}
	body, err := sc.u.open(sc.s.data, c, &c.dict)
	if err != nil {
		return nil, err
	}
	dict := make([]int64, c.dict.Values)
	return dict, decodeWords(dict, body)
}

func decodeBools(dst []bool, body []byte) error {
	if len(body) != (len(dst)+7)/8 {
		return fmt.Errorf("%d booleans in %d bytes", len(dst), len(body))
	}
	for i := range dst {
		dst[i] = body[i>>3]>>(i&7)&1 != 0
	}
	return nil
}

// decodeCodes reads a page of indices into a dictionary of that many.
func decodeCodes(dst []uint32, body []byte, dict int) error {
	if len(body) == 0 {
		return errors.New("a page of indices is empty")
	}
	return parquet.DecodeHybrid(dst, body[1:], uint(body[0]), uint32(dict))
}

// decodeTexts reads strings. They share one copy of the page.
func decodeTexts(dst []string, body []byte) error {
	text, at := string(body), 0
	for i := range dst {
		if len(body)-at < 4 {
			return fmt.Errorf("%d strings in %d bytes", len(dst), len(body))
		}
		n := int64(binary.LittleEndian.Uint32(body[at:]))
		at += 4
		if n > int64(len(body)-at) {
			return fmt.Errorf("a string of %d bytes, with %d left", n, len(body)-at)
		}
		dst[i] = text[at : at+int(n)]
		at += int(n)
	}
	if at != len(body) {
		return fmt.Errorf("%d bytes after the last string", len(body)-at)
	}
	return nil
}

// identityUpTo is 0, 1, 2, … for strings that have no dictionary.
func (sc *scanner) identityUpTo(n int) []uint32 {
	for i := len(sc.identity); i < n; i++ {
		sc.identity = append(sc.identity, uint32(i))
	}
	return sc.identity[:n]
}

// fieldReader reads one column of the events.
type fieldReader struct {
	field  *field
	kinds  []event.Kind
	levels []uint8
	bools  []bool
	ints   []int64
	floats []float64
	codes  []uint32
	dict   []string
	nulls  []bool
}

func (r *fieldReader) read(sc *scanner, n int, whole bool) (v Vector, nulls []bool, err error) {
	rows := sc.s.rows[n]
	mixed := false
	for i := range r.field.parts {
		p := &r.field.parts[i]
		page := &p.chunk.pages[n]
		if p.kind == event.Null && !whole {
			continue
		}
		if page.Encoding == parquet.EncodingDict && r.dict == nil {
			if err := r.readDict(sc, &p.chunk); err != nil {
				return v, nil, err
			}
		}
		body, err := sc.u.open(sc.s.data, &p.chunk, page)
		if err != nil {
			return v, nil, err
		}
		if p.kind == event.Null {
			r.nulls = resize(r.nulls, rows)
			nulls = r.nulls
			if err := decodeBools(nulls, body); err != nil {
				return v, nil, err
			}
			continue
		}
		present := rows
		if p.chunk.Optional {
			if body, present, err = r.readLevels(body, rows); err != nil {
				return v, nil, err
			}
			if present == 0 {
				continue
			}
		}
		if present == rows {
			v.Uniform = p.kind
			r.levels = r.levels[:0]
		}
		if present < rows {
			if !mixed {
				r.kinds = resize(r.kinds, rows)
				clear(r.kinds)
				v.Kinds, mixed = r.kinds, true
			}
			if !mark(r.kinds, r.levels, p.kind) {
				return v, nil, errors.New("a row has two values")
			}
		} else if mixed || v.Bools != nil || v.Ints != nil || v.Floats != nil || v.Codes != nil {
			return v, nil, errors.New("a row has two values")
		}
		if err := r.readValues(sc, &v, p.kind, page, body, present); err != nil {
			return v, nil, err
		}
	}
	return v, nulls, nil
}

// readLevels takes definition levels off a page's front.
func (r *fieldReader) readLevels(body []byte, rows int) (rest []byte, present int, err error) {
	if len(body) < 4 || int64(binary.LittleEndian.Uint32(body)) > int64(len(body)-4) {
		return nil, 0, fmt.Errorf("%d bytes do not hold definition levels", len(body))
	}
	n := int(binary.LittleEndian.Uint32(body))
	r.levels = resize(r.levels, rows)
	present, err = parquet.DecodeLevels(r.levels, body[4:4+n])
	return body[4+n:], present, err
}

// readValues decodes the values that are present and puts each to its row.
func (r *fieldReader) readValues(sc *scanner, v *Vector, k event.Kind, p *page, body []byte, present int) error {
	if p.Encoding != parquet.EncodingPlain && (k != event.String || p.Encoding != parquet.EncodingDict) {
		return fmt.Errorf("encoding %d of values of kind %v", p.Encoding, k)
	}
	rows := int(p.Values)
	var err error
	switch k {
	case event.Bool:
		r.bools = resize(r.bools, rows)
		err = decodeBools(r.bools[:present], body)
		v.Bools = spread(r.bools, present, r.levels)
	case event.Int:
		r.ints = resize(r.ints, rows)
		err = decodeWords(r.ints[:present], body)
		v.Ints = spread(r.ints, present, r.levels)
	case event.Float:
		r.floats = resize(r.floats, rows)
		err = decodeWords(r.floats[:present], body)
		v.Floats = spread(r.floats, present, r.levels)
	case event.String:
		r.codes = resize(r.codes, rows)
		if p.Encoding == parquet.EncodingDict {
			err = decodeCodes(r.codes[:present], body, len(r.dict))
			v.Codes, v.Dict = spread(r.codes, present, r.levels), r.dict
			break
		}
		texts := make([]string, present)
		err = decodeTexts(texts, body)
		copy(r.codes, sc.identityUpTo(present))
		v.Codes, v.Dict = spread(r.codes, present, r.levels), texts
	case event.Null:
	}
	return err
}

// mark sets the kind of the rows whose level is 1; false if one of them has a kind already.
func mark(kinds []event.Kind, levels []uint8, k event.Kind) bool {
	twice := event.Null
	for i, level := range levels[:len(kinds)] {
		there := -event.Kind(level) // all ones or zeros, so that nothing is guessed of what comes next
		twice |= kinds[i] & there
		kinds[i] |= k & there
	}
	return twice == event.Null
}

// spread moves the first present values to the rows whose level is 1, from the end on so that none is overwritten. Whether a row has one
// decides only where the next comes from; rows without keep a value of another.
func spread[T any](values []T, present int, levels []uint8) []T {
	if present == len(values) {
		return values
	}
	i := len(values) - 1
	for ; present > 0; i-- {
		values[i] = values[present-1]
		present -= int(levels[i])
	}
	clear(values[:i+1])
	return values
}

func (r *fieldReader) readDict(sc *scanner, c *chunkPages) error {
	if !c.dict.Dictionary || c.Type != parquet.ByteArray {
		return errors.New("its dictionary is missing")
	}
	body, err := sc.u.open(sc.s.data, c, &c.dict)
	if err != nil {
		return err
	}
	// Each string takes four bytes at least, so what is allocated is bounded by the page.
	if int(c.dict.Values) > len(body)/4 || c.dict.Values == 0 {
		return fmt.Errorf("a dictionary of %d strings in %d bytes", c.dict.Values, len(body))
	}
	r.dict = make([]string, c.dict.Values)
	return decodeTexts(r.dict, body)
}
