package segment

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// wideBlock is a block with what only whole events need.
type wideBlock struct {
	Block
	source, seq []uint64
	nulls       [][]bool // by column: where a client sent null; nil if nowhere
}

type wideScanner interface {
	// scan is Scan with the heads asked for; whole asks for wideBlock's own slices too.
	scan(ctx context.Context, columns []string, heads Heads, whole bool, visit func(*wideBlock) error) error
}

// visitRows puts events together from columns named in order. What a row refers to may be kept; the Row itself is used again.
func visitRows(ctx context.Context, s wideScanner, columns []string, visit func(*Row) error) error {
	return s.scan(ctx, columns, allHeads, true, func(w *wideBlock) error {
		cells := 0
		for c := range columns {
			for i := range w.Rows {
				if w.has(c, i) {
					cells++
				}
			}
		}
		fields := make([]event.Field, 0, cells) // one allocation for the block's rows
		var row Row
		for i := range w.Rows {
			from := len(fields)
			for c, name := range columns {
				if w.has(c, i) {
					fields = append(fields, event.Field{Name: name, Value: w.Columns[c].Value(i)})
				}
			}
			row = Row{Offset: w.Offset[i], Index: w.Index[i], Event: event.Event{
				ID:   event.ID{Source: w.source[i], Seq: w.seq[i]},
				Time: time.Unix(0, w.Time[i]).UTC(), SampleRate: w.SampleRate[i],
				Fields: fields[from:len(fields):len(fields)],
			}}
			if err := visit(&row); err != nil {
				return err
			}
		}
		return nil
	})
}

// WholeBlock is a block of whole events: every column of the segment, by name, and which nulls clients sent.
type WholeBlock struct {
	*Block
	Names []string
	nulls [][]bool
}

// Sent says whether a client sent column c of row i, be it as null.
func (b *WholeBlock) Sent(c, i int) bool {
	return b.Columns[c].Kind(i) != event.Null || len(b.nulls[c]) > 0 && b.nulls[c][i]
}

// All says that every row has a value in column c.
func (b *WholeBlock) All(c int) bool {
	v := &b.Columns[c]
	return v.Kinds == nil && v.Uniform != event.Null
}

// Whole is [Segment.Rows] by columns: it decodes all that Rows does, and puts no events together. A block is good until
// visit returns.
func (s *Segment) Whole(ctx context.Context, visit func(*WholeBlock) error) error {
	names := s.names()
	return s.scan(ctx, names, allHeads, true, func(w *wideBlock) error {
		return visit(&WholeBlock{Block: &w.Block, Names: names, nulls: w.nulls})
	})
}

// names are those of the columns, in order.
func (s *Segment) names() []string {
	names := make([]string, len(s.fields))
	for i := range s.fields {
		names[i] = s.fields[i].name
	}
	return names
}

// has says whether column c of row i was sent, be it as null.
func (w *wideBlock) has(c, i int) bool {
	return w.Columns[c].Kind(i) != event.Null || len(w.nulls[c]) > 0 && w.nulls[c][i]
}
