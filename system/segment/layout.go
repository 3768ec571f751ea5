package segment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment/parquet"
)

// A segment's file has these columns first, then those of the events by name. A column of one kind of value has its own name in
// the file; one of several kinds is split into a column for each, "name (int)" and so on; "name (null)" is true where a client
// sent null. Names that are taken or not UTF-8 are changed; the metadata below has the true ones.
const (
	headOffset = iota
	headIndex
	headSource
	headSeq
	headTime
	headRate
	heads_
)

// headColumns describes what every row has.
func headColumns() [heads_]parquet.Column {
	return [heads_]parquet.Column{
		headOffset: {Name: "_offset", Type: parquet.Int64},
		headIndex:  {Name: "_index", Type: parquet.Int64},
		headSource: {Name: "_source", Type: parquet.Int64, Logical: parquet.Unsigned},
		headSeq:    {Name: "_seq", Type: parquet.Int64, Logical: parquet.Unsigned},
		headTime:   {Name: "_time", Type: parquet.Int64, Logical: parquet.Nanos},
		headRate:   {Name: "_sample_rate", Type: parquet.Int64},
	}
}

// Keys of the file's metadata.
const (
	metaSegment = "ratel.segment" // which segment it is: see segmentMeta
	metaColumns = "ratel.columns" // a line for each column after the heads: the kind's letter, the field's name as a Go string
)

const formatVersion = 1

func segmentMeta(info *Info) string {
	return fmt.Sprintf("%d %d %d %d %d %d", formatVersion, info.Partition, info.Dataset, info.Hour, info.First, info.Next)
}

// kindLetters are indexed by event.Kind.
const kindLetters = "nbifs"

// part is one column of the file: the values of one kind of one field.
type part struct {
	name string // the field's
	kind event.Kind
}

func appendPartMeta(dst []byte, p part) []byte {
	return append(strconv.AppendQuoteToASCII(append(dst, kindLetters[p.kind]), p.name), '\n')
}

func parsePartMeta(text string) ([]part, error) {
	parts := make([]part, 0, strings.Count(text, "\n"))
	for len(text) > 0 {
		line, rest, found := strings.Cut(text, "\n")
		k := -1
		if len(line) > 0 {
			k = strings.IndexByte(kindLetters, line[0])
		}
		if !found || k < 0 {
			return nil, errors.New("the list of columns cannot be read")
		}
		name, err := strconv.Unquote(line[1:])
		if err != nil || line[1] != '"' {
			return nil, errors.New("the list of columns has a name that cannot be read")
		}
		parts = append(parts, part{name, event.Kind(k)})
		text = rest
	}
	return parts, nil
}

// physical is how values of a kind are laid out.
func physical(k event.Kind) parquet.Type {
	switch k {
	case event.Int:
		return parquet.Int64
	case event.Float:
		return parquet.Double
	case event.String:
		return parquet.ByteArray
	case event.Bool, event.Null:
	}
	return parquet.Boolean
}

// names gives the file's columns names that differ.
type names struct{ taken map[string]bool }

func newNames(columns int) *names {
	n := &names{taken: make(map[string]bool, heads_+columns)}
	for _, h := range headColumns() {
		n.taken[h.Name] = true
	}
	return n
}

// column is the name for a part; alone says that its field has no other.
func (n *names) column(p part, alone bool) string {
	name := p.name
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "\ufffd")
	}
	if !alone || name == "" {
		name += " (" + p.kind.String() + ")"
	}
	free := name
	for i := 2; n.taken[free]; i++ {
		free = name + " (" + strconv.Itoa(i) + ")"
	}
	n.taken[free] = true
	return free
}
