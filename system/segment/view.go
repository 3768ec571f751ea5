package segment

import (
	"context"
	"slices"
	"strings"
)

// view is the rows of a builder at one moment. It shares their memory: what is in it is never changed, only added to.
type view struct {
	infos   Info
	blocks  []*heads // the last is a copy with the lengths of that moment
	columns []viewColumn
}

type viewColumn struct {
	name string
	done []*cells
	last *cells // of the growing block; nil if the column is not in it
	dict []string
}

// View is the rows so far. Like Append it may be called by one task at a time; scanning it is safe while that task goes on
// appending. Its Info has no key and no checksum, Bytes is of memory, and First and Next are those of its rows.
// The Source has Rows too, as a Segment has.
func (b *Builder) View() Source {
	if b.view != nil {
		return b.view
	}
	sorted := b.sorted
	v := &view{infos: b.info(sorted), columns: make([]viewColumn, len(sorted))}
	v.infos.First, v.infos.Next = b.offsets()
	growing := len(b.done)
	v.blocks = b.done[:growing:growing]
	if len(b.cur.time) > 0 {
		last := b.cur
		v.blocks = append(v.blocks, &last)
	}
	for i, c := range sorted {
		v.columns[i] = viewColumn{name: c.name, done: c.done[:len(c.done):len(c.done)], dict: c.dict.texts}
		if !c.cur.empty() {
			last := c.cur
			v.columns[i].last = &last
		}
	}
	b.view, b.viewed = v, true
	return v
}

// Info describes the rows.
func (v *view) Info() Info { return v.infos }

// Scan visits the rows by blocks.
func (v *view) Scan(ctx context.Context, columns []string, visit func(*Block) error) error {
	return v.scan(ctx, columns, allHeads, false, func(w *wideBlock) error { return visit(&w.Block) })
}

// Rows visits whole events.
func (v *view) Rows(ctx context.Context, visit func(*Row) error) error {
	names := make([]string, len(v.columns))
	for i := range v.columns {
		names[i] = v.columns[i].name
	}
	return visitRows(ctx, v, names, visit)
}

func (v *view) scan(ctx context.Context, columns []string, _ Heads, _ bool, visit func(*wideBlock) error) error {
	var ids []uint32
	identity := func(n int) []uint32 {
		for i := len(ids); i < n; i++ {
			ids = append(ids, uint32(i))
		}
		return ids[:n]
	}
	found := make([]*viewColumn, len(columns))
	for i, name := range columns {
		if at, ok := slices.BinarySearchFunc(v.columns, name, func(c viewColumn, name string) int { return strings.Compare(c.name, name) }); ok {
			found[i] = &v.columns[at]
		}
	}
	w := wideBlock{Block: Block{Columns: make([]Vector, len(columns))}, nulls: make([][]bool, len(columns))}
	for n, h := range v.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.Rows, w.Offset, w.Index, w.Time, w.SampleRate = len(h.time), h.offset, h.index, h.time, h.rate
		w.source, w.seq = h.source, h.seq
		for i, c := range found {
			w.Columns[i], w.nulls[i] = Vector{}, nil
			if c == nil {
				continue
			}
			if b := c.block(n, len(v.blocks)); b != nil {
				b = b.full(w.Rows)
				w.Columns[i], w.nulls[i] = b.vector(c.dict, identity), b.nulls
			}
		}
		if err := visit(&w); err != nil {
			return err
		}
	}
	return nil
}

// block is the column's block number n of that many, nil if it is not there.
func (c *viewColumn) block(n, blocks int) *cells {
	if n < len(c.done) {
		return c.done[n]
	}
	if n == blocks-1 {
		return c.last
	}
	return nil
}
