package segment

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/segment/parquet"
)

// maxPageRows bounds the rows of a page that is read: above what is written, so that blocks may grow one day.
const maxPageRows = 1 << 16

// Segment is a whole segment in memory, checked. It is immutable, so several tasks may scan it at once.
type Segment struct {
	info   Info
	data   []byte
	rows   []int  // of each block
	all    []page // of all columns: chunkPages has parts of it
	heads  [heads_]chunkPages
	fields []field // by name
}

// field is one column of the events: its values by kind.
type field struct {
	name  string
	parts []fieldPart
}

type fieldPart struct {
	kind  event.Kind
	chunk chunkPages
}

// chunkPages is where a column's pages are.
type chunkPages struct {
	parquet.Column
	dict  page // if Dictionary is not 0
	pages []page
}

type page struct {
	parquet.Page
	at int // of its Size bytes in the file
}

// Open checks that data is the segment that info describes, by size, CRC32C and structure, and makes it scannable. It keeps
// data, which must not be changed. Errors: port.ErrCorrupt, naming info.Key and what does not match.
func Open(info Info, data []byte) (*Segment, error) {
	if int64(len(data)) != info.Bytes {
		return nil, corrupt(&info, fmt.Errorf("it has %d bytes, not %d", len(data), info.Bytes))
	}
	if crc := crc32.Checksum(data, castagnoli); crc != info.CRC {
		return nil, corrupt(&info, fmt.Errorf("its CRC32C is %08x, not %08x", crc, info.CRC))
	}
	s := &Segment{info: info, data: data}
	if err := s.open(); err != nil {
		return nil, corrupt(&info, err)
	}
	return s, nil
}

// Is says whether Open would make the same of info and data.
func (s *Segment) Is(info *Info, data []byte) bool {
	a, b := &s.info, info
	return a.Key == b.Key && a.Partition == b.Partition && a.Dataset == b.Dataset && a.Hour == b.Hour && a.First == b.First && a.Next == b.Next &&
		a.Rows == b.Rows && a.Bytes == b.Bytes && a.CRC == b.CRC && bytes.Equal(s.data, data)
}

func corrupt(info *Info, why error) error {
	return fmt.Errorf("segment %q of partition %d: %w: %w; have it again from the peer, the object store or Kafka", info.Key, info.Partition, port.ErrCorrupt, why)
}

func (s *Segment) open() error {
	file, err := parquet.ParseFooter(s.data)
	if err != nil {
		return err
	}
	if file.Rows != s.info.Rows || file.Rows < 1 {
		return fmt.Errorf("it has %d rows, not %d, or none", file.Rows, s.info.Rows)
	}
	var partsText string
	matches := false
	for _, kv := range file.Meta {
		switch kv.Key {
		case metaSegment:
			if want := segmentMeta(&s.info); kv.Value != want {
				return fmt.Errorf("it is segment %q (format, partition, dataset, hour, first offset, next), not %q", kv.Value, want)
			}
			matches = true
		case metaColumns:
			partsText = kv.Value
		}
	}
	if !matches {
		return fmt.Errorf("its metadata lacks %q", metaSegment)
	}
	parts, err := parsePartMeta(partsText)
	if err != nil {
		return err
	}
	if len(file.Columns) != heads_+len(parts) {
		return fmt.Errorf("it has %d columns, not the %d that its metadata lists", len(file.Columns), heads_+len(parts))
	}
	s.all = make([]page, 0, len(file.Columns))
	s.fields = make([]field, 0, len(parts))
	for i, want := range headColumns() {
		c := &file.Columns[i]
		if c.Name != want.Name || c.Type != want.Type || c.Optional {
			return fmt.Errorf("column %d is %q, not %q", i, c.Name, want.Name)
		}
		if s.heads[i], err = s.pages(c); err != nil {
			return err
		}
	}
	return s.openFields(parts, file.Columns[heads_:])
}

func (s *Segment) openFields(parts []part, columns []parquet.Column) error {
	for i, p := range parts {
		c := &columns[i]
		if c.Type != physical(p.kind) || p.kind == event.Null && c.Optional {
			return fmt.Errorf("column %q does not hold values of kind %v", c.Name, p.kind)
		}
		chunk, err := s.pages(c)
		if err != nil {
			return err
		}
		last := len(s.fields) - 1
		if last >= 0 && s.fields[last].name > p.name {
			return fmt.Errorf("columns %q and %q are not in order", s.fields[last].name, p.name)
		}
		if last < 0 || s.fields[last].name != p.name {
			s.fields = append(s.fields, field{name: p.name})
			last++
		}
		f := &s.fields[last]
		if slices.ContainsFunc(f.parts, func(o fieldPart) bool {
			return o.kind == p.kind || o.kind != event.Null && p.kind != event.Null && !(o.chunk.Optional && c.Optional)
		}) {
			return fmt.Errorf("column %q has two values in one row", p.name)
		}
		f.parts = append(f.parts, fieldPart{p.kind, chunk})
	}
	return nil
}

// pages walks over a chunk's page headers. All columns have the same rows in each block as the first.
func (s *Segment) pages(c *parquet.Column) (chunkPages, error) {
	k := chunkPages{Column: *c}
	k.Encodings = nil
	at, end := int(c.Start()), int(c.Start()+c.Size)
	first := s.rows == nil
	rows, from := int64(0), len(s.all)
	for at < end {
		p, n, err := parquet.ParsePage(s.data[at:end])
		if err != nil {
			return k, fmt.Errorf("column %q, byte %d: %w", c.Name, at, err)
		}
		if p.Raw > maxPage || c.Codec == parquet.Uncompressed && p.Raw != p.Size {
			return k, fmt.Errorf("column %q, byte %d: a page of %d bytes, %d in the file", c.Name, at, p.Raw, p.Size)
		}
		here := page{p, at + n}
		at += n + int(p.Size)
		if p.Dictionary {
			if len(k.pages) > 0 || c.Dictionary == 0 || k.dict.Dictionary || p.Encoding != parquet.EncodingPlain {
				return k, fmt.Errorf("column %q: a dictionary that is not the only one, or not at its place", c.Name)
			}
			k.dict = here
			continue
		}
		if p.Values == 0 || p.Values > maxPageRows || !first && (len(k.pages) >= len(s.rows) || s.rows[len(k.pages)] != int(p.Values)) {
			return k, fmt.Errorf("column %q: block %d has %d rows, which does not match the others or is more than %d", c.Name, len(k.pages), p.Values, maxPageRows)
		}
		if first {
			s.rows = append(s.rows, int(p.Values))
		}
		rows += int64(p.Values)
		s.all = append(s.all, here)
		k.pages = s.all[from:len(s.all):len(s.all)]
	}
	if rows != s.info.Rows || c.Dictionary != 0 && !k.dict.Dictionary {
		return k, fmt.Errorf("column %q has %d rows, not %d, or lacks its dictionary", c.Name, rows, s.info.Rows)
	}
	return k, nil
}

// Info describes the segment as Open was told.
func (s *Segment) Info() Info { return s.info }

// Scan visits the rows by blocks. Columns that the segment does not have are null. Consecutive blocks share a column's Dict
// where they can. Errors: of visit, of ctx; port.ErrCorrupt if a page does not decode.
func (s *Segment) Scan(ctx context.Context, columns []string, visit func(*Block) error) error {
	return s.scan(ctx, columns, allHeads, false, func(w *wideBlock) error { return visit(&w.Block) })
}

// Rows visits whole events in order, fields sorted by name, times in UTC. The Row is good until visit returns; what it
// refers to may be kept. Errors: as Scan.
func (s *Segment) Rows(ctx context.Context, visit func(*Row) error) error {
	return visitRows(ctx, s, s.names(), visit)
}
