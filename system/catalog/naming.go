package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/port"
)

// MaxNameBytes bounds names of teams and datasets, MaxColumnNameBytes those of columns.
const (
	MaxNameBytes       = 255
	MaxColumnNameBytes = 1000
)

// Slug is how a dataset's name is found: in lower case, without space around it, every run of spaces, slashes and
// characters that do not belong into a URL's path as one hyphen. Names with one slug are one dataset.
func Slug(name string) string {
	plain := true
	for i := range len(name) {
		c := name[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if plain {
		return name // nearly every name of a client: nothing to allocate
	}
	var b strings.Builder
	gap := false
	for _, r := range strings.TrimSpace(name) {
		if unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\?#%`, r) {
			gap = true
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if gap {
		b.WriteByte('-')
	}
	return b.String()
}

// ErrName: a name that the catalog does not take. It also matches port.ErrRefused.
var ErrName = errors.New("bad name")

// CheckName says what is wrong with the name of a team or a dataset. The error matches port.ErrRefused.
func CheckName(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%w: the name of a %s is empty (%w)", ErrName, what, port.ErrRefused)
	case len(name) > MaxNameBytes || len(Slug(name)) > MaxNameBytes:
		return fmt.Errorf("%w: the name of a %s has %d bytes, expected at most %d (%w)", ErrName, what, len(name), MaxNameBytes, port.ErrRefused)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: the name of a %s is not UTF-8: %q (%w)", ErrName, what, name, port.ErrRefused)
	}
	return nil
}

// CheckColumns says what is wrong with columns that are to be added. The error matches port.ErrRefused.
func CheckColumns(columns []port.Column) error {
	for _, c := range columns {
		switch {
		case c.Name == "" || len(c.Name) > MaxColumnNameBytes:
			return fmt.Errorf("%w: a column's name has %d bytes, expected 1 to %d (%w)", ErrName, len(c.Name), MaxColumnNameBytes, port.ErrRefused)
		case !utf8.ValidString(c.Name):
			return fmt.Errorf("%w: a column's name is not UTF-8: %q (%w)", ErrName, c.Name, port.ErrRefused)
		case c.Types == 0 || c.Types >= port.ColumnString<<1:
			return fmt.Errorf("column %q: types %#x: expected a set of the known types, not empty (%w)", c.Name, c.Types, port.ErrRefused)
		}
	}
	return nil
}

// Normalize sorts columns by name and merges the types of those that are named twice.
func Normalize(columns []port.Column) []port.Column {
	sorted := slices.Clone(columns)
	slices.SortFunc(sorted, func(a, b port.Column) int { return strings.Compare(a.Name, b.Name) })
	merged := sorted[:0]
	for _, c := range sorted {
		if n := len(merged); n > 0 && merged[n-1].Name == c.Name {
			merged[n-1].Types |= c.Types
			continue
		}
		merged = append(merged, c)
	}
	return merged
}

// PartitionSet chooses the partitions of a dataset: spread consecutive ones of all, beginning where those of the dataset
// with the ID before end, so that datasets go round. They are ascending.
func PartitionSet(id int64, spread int, of int32) []int32 {
	if of <= 0 {
		return nil
	}
	n := min(int64(max(spread, 1)), int64(of))
	set := make([]int32, n)
	for i := range n {
		set[i] = int32(((id-1)%int64(of)*n + i) % int64(of))
	}
	slices.Sort(set)
	return set
}

// Union is both sets of partitions as one, ascending.
func Union(a, b []int32) []int32 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
