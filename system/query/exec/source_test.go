package exec

import (
	"context"
	"slices"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// rowSource is rows in memory, in blocks of a given size.
type rowSource struct {
	rows  []event.Event
	block int
	plain bool // write Kinds also where all are the same
	// dicts has one dictionary for all blocks, by column; nil is one for each block.
	dicts map[string][]string
	err   error
}

func (s *rowSource) Info() segment.Info {
	info := segment.Info{Rows: int64(len(s.rows))}
	stats, bounded := map[string]*segment.ColumnStats{}, map[string]bool{}
	for i := range s.rows {
		at := s.rows[i].Time.UnixNano()
		if i == 0 {
			info.MinTime, info.MaxTime = at, at
		}
		info.MinTime, info.MaxTime = min(info.MinTime, at), max(info.MaxTime, at)
		for _, f := range s.rows[i].Fields {
			c := stats[f.Name]
			if c == nil {
				c = &segment.ColumnStats{Name: f.Name, Nulls: int64(len(s.rows))}
				stats[f.Name] = c
			}
			if f.Value.Kind() == event.Null {
				continue
			}
			c.Nulls--
			number := f.Value.Kind() == event.Int || f.Value.Kind() == event.Float && finite(f.Value.Float())
			if x := f.Value.Float(); number && !bounded[f.Name] {
				c.Min, c.Max, bounded[f.Name] = x, x, true
			} else if number {
				c.Min, c.Max = min(c.Min, x), max(c.Max, x)
			}
			if x := f.Value.Str(); f.Value.Kind() == event.String && c.Kinds&(1<<event.String) == 0 {
				c.MinText, c.MaxText = x, x
			} else if f.Value.Kind() == event.String {
				c.MinText, c.MaxText = min(c.MinText, x), max(c.MaxText, x)
			}
			c.Kinds |= 1 << f.Value.Kind()
		}
	}
	for _, c := range stats {
		info.Columns = append(info.Columns, *c)
	}
	slices.SortFunc(info.Columns, func(a, b segment.ColumnStats) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return info
}

func (s *rowSource) Scan(_ context.Context, columns []string, visit func(*segment.Block) error) error {
	for rest := s.rows; len(rest) > 0; {
		n := min(len(rest), s.block)
		if err := visit(blockOf(rest[:n], columns, s.dicts, s.plain)); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return s.err
}

func blockOf(rows []event.Event, columns []string, dicts map[string][]string, plain bool) *segment.Block {
	b := &segment.Block{Rows: len(rows)}
	for i := range rows {
		b.Offset, b.Index = append(b.Offset, int64(i)), append(b.Index, 0)
		b.Time, b.SampleRate = append(b.Time, rows[i].Time.UnixNano()), append(b.SampleRate, rows[i].SampleRate)
	}
	for _, name := range columns {
		b.Columns = append(b.Columns, vectorOf(rows, name, dicts[name], plain))
	}
	return b
}

// vectorOf is a column. dict has all of its strings; nil is as they come.
func vectorOf(rows []event.Event, name string, dict []string, plain bool) segment.Vector {
	v := segment.Vector{Dict: dict}
	n := len(rows)
	codes := map[string]uint32{}
	for i, s := range dict {
		codes[s] = uint32(i)
	}
	for i := range rows {
		x, _ := rows[i].Get(name)
		v.Kinds = append(v.Kinds, x.Kind())
		switch x.Kind() {
		case event.Bool:
			v.Bools = resized(v.Bools, n)
			v.Bools[i] = x.Bool()
		case event.Int:
			v.Ints = resized(v.Ints, n)
			v.Ints[i] = x.Int()
		case event.Float:
			v.Floats = resized(v.Floats, n)
			v.Floats[i] = x.Float()
		case event.String:
			v.Codes = resized(v.Codes, n)
			code, ok := codes[x.Str()]
			if !ok {
				code = uint32(len(v.Dict))
				codes[x.Str()] = code
				v.Dict = append(v.Dict, x.Str())
			}
			v.Codes[i] = code
		}
	}
	uniform := true
	for _, k := range v.Kinds {
		uniform = uniform && k == v.Kinds[0]
	}
	if uniform && !plain {
		v.Uniform, v.Kinds = v.Kinds[0], nil
	}
	return v
}

// dictionaries are those of rows.
func dictionaries(rows []event.Event) map[string][]string {
	dicts := map[string][]string{}
	for _, name := range names {
		dicts[name] = vectorOf(rows, name, nil, true).Dict
	}
	return dicts
}

// split cuts rows into sources at random.
func split(t *rapid.T, rows []event.Event) []*rowSource {
	var sources []*rowSource
	var dicts map[string][]string
	if rapid.Bool().Draw(t, "one dictionary") {
		dicts = dictionaries(rows)
	}
	for rest := rows; len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "rows of a source")
		sources = append(sources, &rowSource{rows: rest[:n], block: rapid.IntRange(1, 40).Draw(t, "block"), plain: rapid.Bool().Draw(t, "plain"), dicts: dicts})
		rest = rest[n:]
	}
	return sources
}
