package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment/parquet"
)

// Options are how a segment is written.
type Options struct {
	// Compress makes pages zstd where that saves a tenth or more.
	Compress bool
}

// maxPage bounds a page before compression: a block's strings, the last of which may be a whole event.
const maxPage = 64 << 20

// worthIt is how small a chunk's first page must get, in parts of 256, for the chunk to be compressed.
const worthIt = 230

// castagnoli selects the polynomial that CPUs have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoders holds the memory of encoders that are done: making it new for each of many small segments would cost more than
// writing them.
var encoders = sync.Pool{New: func() any { return &encoder{} }}

// encoder writes one file. What it allocates is used again for the next.
type encoder struct {
	out    []byte // the file
	page   []byte // of the page being made
	packed []byte // the same compressed
	words  []int64
	codes  []uint32
	zstd   *zstd.Encoder
	meta   []byte
	file   parquet.File
}

// Encode writes the rows as a Parquet file of the offsets [first, next). The bytes depend on the rows, their order and the
// arguments alone. The Info is complete but for its Key. Errors: no rows; a page that is too large for the format.
func (b *Builder) Encode(first, next int64, o Options) ([]byte, Info, error) {
	return b.AppendEncoded(nil, first, next, o)
}

// AppendEncoded is [Builder.Encode], the file appended to dst.
func (b *Builder) AppendEncoded(dst []byte, first, next int64, o Options) ([]byte, Info, error) {
	if b.rows == 0 {
		return dst, Info{}, errors.New("encoding a segment: it has no rows; append some first")
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	sorted := b.sorted
	info := b.info(sorted)
	info.First, info.Next = first, next
	if err := e.encode(b, sorted, &info, o); err != nil {
		return dst, Info{}, fmt.Errorf("encoding a segment of partition %d, dataset %d, hour %d: %w", b.partition, b.dataset, b.hour, err)
	}
	info.Bytes = int64(len(e.out))
	info.CRC = crc32.Checksum(e.out, castagnoli)
	return append(dst, e.out...), info, nil
}

func (e *encoder) encode(b *Builder, sorted []*column, info *Info, o Options) error {
	e.out = append(e.out[:0], parquet.Magic...)
	e.meta = e.meta[:0]
	e.file = parquet.File{Rows: int64(b.rows), Columns: e.file.Columns[:0], Meta: e.file.Meta[:0]}
	blocks := b.done
	if len(b.cur.time) > 0 {
		blocks = append(blocks[:len(blocks):len(blocks)], &b.cur)
	}
	for i, c := range headColumns() {
		if err := e.head(blocks, i, c, o); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	names := newNames(len(sorted))
	for _, c := range sorted {
		kinds := 0
		for _, n := range c.stats.count[event.Bool:] {
			if n > 0 {
				kinds++
			}
		}
		for _, k := range [...]event.Kind{event.Bool, event.Int, event.Float, event.String, event.Null} {
			if c.stats.count[k] == 0 {
				continue
			}
			p := part{c.name, k}
			column := parquet.Column{
				Name: names.column(p, kinds == 1 && k != event.Null), Type: physical(k),
				Optional: k != event.Null && c.stats.count[k] < int64(b.rows),
			}
			if err := e.part(c, p, blocks, column, o); err != nil {
				return fmt.Errorf("column %q: %w", c.name, err)
			}
			e.meta = appendPartMeta(e.meta, p)
		}
	}
	e.file.Meta = append(e.file.Meta, parquet.KeyValue{Key: metaSegment, Value: segmentMeta(info)}, parquet.KeyValue{Key: metaColumns, Value: string(e.meta)})
	e.out = parquet.AppendFooter(e.out, &e.file)
	return nil
}

// chunk is a column's chunk being written.
type chunk struct {
	parquet.Column
	e       *encoder
	try     bool // compression is tried on the first page
	started bool
}

func (e *encoder) chunk(c parquet.Column, o Options) *chunk {
	return &chunk{Column: c, e: e, try: o.Compress}
}

// end notes the chunk in the footer.
func (k *chunk) end() {
	k.Size = int64(len(k.e.out)) - k.Start()
	k.e.file.Columns = append(k.e.file.Columns, k.Column)
}

// write ends a page whose body is e.page.
func (k *chunk) write(p parquet.Page) error {
	e := k.e
	if len(e.page) > maxPage {
		return fmt.Errorf("a page of %d bytes is more than %d: make segments of fewer rows", len(e.page), maxPage)
	}
	body := e.page
	if k.try || k.Codec == parquet.Zstd {
		if e.zstd == nil {
			var err error
			if e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true)); err != nil {
				return err
			}
		}
		e.packed = e.zstd.EncodeAll(e.page, e.packed[:0])
		// A chunk has one codec, so its first page decides.
		if k.try && len(e.packed) <= len(e.page)*worthIt/256 {
			k.Codec = parquet.Zstd
		}
		k.try = false
		if k.Codec == parquet.Zstd {
			body = e.packed
		}
	}
	if at := int64(len(e.out)); p.Dictionary {
		k.Dictionary = at
	} else if !k.started {
		k.Data, k.started = at, true
	}
	p.Raw, p.Size = int32(len(e.page)), int32(len(body))
	from := len(e.out)
	e.out = parquet.AppendPage(e.out, &p)
	k.Raw += int64(len(e.out)-from) + int64(p.Raw)
	e.out = append(e.out, body...)
	return nil
}

// head writes one of the columns that every row has.
func (e *encoder) head(blocks []*heads, which int, c parquet.Column, o Options) error {
	encoding := parquet.EncodingDelta
	var dict []int64
	if which == headSource || which == headRate {
		encoding = parquet.EncodingPlain
		if dict = e.fewValues(blocks, which); dict != nil {
			encoding = parquet.EncodingDict
		}
	}
	c.Encodings = []parquet.Encoding{encoding, parquet.EncodingRLE}
	k := e.chunk(c, o)
	if dict != nil {
		e.page = appendWords(e.page[:0], dict)
		if err := k.write(parquet.Page{Dictionary: true, Values: int32(len(dict))}); err != nil {
			return err
		}
	}
	for _, h := range blocks {
		words := e.headWords(h, which)
		switch encoding {
		case parquet.EncodingDelta:
			e.page = parquet.AppendDelta(e.page[:0], words)
		case parquet.EncodingDict:
			e.codes = e.codes[:0]
			code := 0
			for _, v := range words {
				if dict[code] != v {
					for code = 0; dict[code] != v; code++ {
					}
				}
				e.codes = append(e.codes, uint32(code))
			}
			e.page = appendCodes(e.page[:0], e.codes, len(dict))
		default:
			e.page = appendWords(e.page[:0], words)
		}
		if err := k.write(parquet.Page{Values: int32(len(words)), Encoding: encoding}); err != nil {
			return err
		}
	}
	k.end()
	return nil
}

// headWords are a block's values of one of the columns that every row has.
func (e *encoder) headWords(h *heads, which int) []int64 {
	e.words = e.words[:0]
	switch which {
	case headOffset:
		return h.offset
	case headTime:
		return h.time
	case headRate:
		return h.rate
	case headIndex:
		for _, v := range h.index {
			e.words = append(e.words, int64(v))
		}
	case headSource:
		for _, v := range h.source {
			e.words = append(e.words, int64(v))
		}
	case headSeq:
		for _, v := range h.seq {
			e.words = append(e.words, int64(v))
		}
	}
	return e.words
}

// fewValues are the different values in order of appearance, or nil if there are many.
func (e *encoder) fewValues(blocks []*heads, which int) []int64 {
	const few = 32
	var dict []int64
	last := 0
	for _, h := range blocks {
	words:
		for _, v := range e.headWords(h, which) {
			if len(dict) > 0 && dict[last] == v {
				continue
			}
			for i := range dict {
				if dict[i] == v {
					last = i
					continue words
				}
			}
			if len(dict) == few {
				return nil
			}
			last = len(dict)
			dict = append(dict, v)
		}
	}
	return dict
}

// part writes the values of one kind of a field.
func (e *encoder) part(c *column, p part, blocks []*heads, column parquet.Column, o Options) error {
	plain, dict := false, false
	if p.kind == event.String {
		valid := true
		for n := range blocks {
			if b := c.block(n, len(blocks)-1); b != nil {
				coded := b.eachRaw(func(s string) { plain, valid = true, valid && utf8.ValidString(s) })
				dict = dict || coded
			}
		}
		if dict {
			for _, s := range c.dict.texts {
				valid = valid && utf8.ValidString(s)
			}
		}
		if valid {
			column.Logical = parquet.Text
		}
	}
	column.Encodings = append(column.Encodings, parquet.EncodingRLE)
	if dict {
		column.Encodings = append(column.Encodings, parquet.EncodingDict)
	}
	if plain || !dict || column.Optional {
		column.Encodings = append(column.Encodings, parquet.EncodingPlain)
	}
	k := e.chunk(column, o)
	if dict {
		e.page = e.page[:0]
		for _, s := range c.dict.texts {
			e.page = appendText(e.page, s)
		}
		if err := k.write(parquet.Page{Dictionary: true, Values: int32(len(c.dict.texts))}); err != nil {
			return err
		}
	}
	for n, h := range blocks {
		page := parquet.Page{Values: int32(len(h.time))}
		e.page = e.page[:0]
		b := c.block(n, len(blocks)-1)
		if b != nil {
			b = b.full(len(h.time))
		}
		if column.Optional {
			e.levels(b, p.kind, len(h.time))
		}
		if p.kind == event.Null {
			e.flags(b, len(h.time))
		} else if b != nil {
			page.Encoding = e.values(b, p.kind, len(c.dict.texts))
		}
		if err := k.write(page); err != nil {
			return err
		}
	}
	k.end()
	return nil
}

// flags appends where null was sent.
func (e *encoder) flags(b *cells, rows int) {
	if b != nil && len(b.nulls) > 0 {
		e.page = appendBools(e.page, b.nulls)
		return
	}
	e.page = append(e.page, make([]byte, (rows+7)/8)...)
}

// levels appends definition levels: 1 where a value of kind k is.
func (e *encoder) levels(b *cells, k event.Kind, rows int) {
	e.codes = e.codes[:0]
	for i := range rows {
		level := uint32(0)
		if b != nil && (b.kinds == nil && b.uniform == k || b.kinds != nil && b.kinds[i] == k) {
			level = 1
		}
		e.codes = append(e.codes, level)
	}
	at := len(e.page)
	e.page = parquet.AppendHybrid(append(e.page, 0, 0, 0, 0), e.codes, 1)
	binary.LittleEndian.PutUint32(e.page[at:], uint32(len(e.page)-at-4))
}

// values appends a block's values of kind k, without what is of other kinds.
func (e *encoder) values(b *cells, k event.Kind, dict int) parquet.Encoding {
	has := func(i int) bool { return b.kinds[i] == k }
	if b.kinds == nil {
		if b.uniform != k {
			return parquet.EncodingPlain
		}
		has = nil
	}
	switch k {
	case event.Int:
		if has == nil {
			e.page = appendWords(e.page, b.ints)
			break
		}
		for i, v := range b.ints {
			if has(i) {
				e.page = binary.LittleEndian.AppendUint64(e.page, uint64(v))
			}
		}
	case event.Float:
		if has == nil {
			var room []byte
			e.page, room = grown(e.page, 8*len(b.floats))
			for i, v := range b.floats {
				binary.LittleEndian.PutUint64(room[8*i:], math.Float64bits(v))
			}
			break
		}
		for i, v := range b.floats {
			if has(i) {
				e.page = binary.LittleEndian.AppendUint64(e.page, math.Float64bits(v))
			}
		}
	case event.Bool:
		if has == nil {
			e.page = appendBools(e.page, b.bools)
			break
		}
		var some []bool
		for i, v := range b.bools {
			if has(i) {
				some = append(some, v)
			}
		}
		e.page = appendBools(e.page, some)
	case event.String:
		if b.raw {
			for i, s := range b.strs {
				if has == nil || has(i) {
					e.page = appendText(e.page, s)
				}
			}
			break
		}
		codes := b.codes
		if has != nil {
			e.codes = e.codes[:0]
			for i, v := range b.codes {
				if has(i) {
					e.codes = append(e.codes, v)
				}
			}
			codes = e.codes
		}
		if len(codes) == 0 {
			break
		}
		e.page = appendCodes(e.page, codes, dict)
		return parquet.EncodingDict
	case event.Null:
	}
	return parquet.EncodingPlain
}

func appendText(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

func appendWords(dst []byte, words []int64) []byte {
	dst, room := grown(dst, 8*len(words))
	for i, v := range words {
		binary.LittleEndian.PutUint64(room[8*i:], uint64(v))
	}
	return dst
}

// grown is dst with room for n bytes more, which are to be written.
func grown(dst []byte, n int) (_, room []byte) {
	dst = slices.Grow(dst, n)[:len(dst)+n]
	return dst, dst[len(dst)-n:]
}

// appendCodes appends a page of indices into a dictionary of that many.
func appendCodes(dst []byte, codes []uint32, dict int) []byte {
	w := parquet.Width(dict)
	return parquet.AppendHybrid(append(dst, byte(w)), codes, w)
}

func appendBools(dst []byte, bools []bool) []byte {
	for len(bools) > 0 {
		n, octet := min(8, len(bools)), byte(0)
		for i, v := range bools[:n] {
			if v {
				octet |= 1 << i
			}
		}
		dst, bools = append(dst, octet), bools[n:]
	}
	return dst
}
