// Package nearest finds the name that somebody who mistyped probably meant.
package nearest

import (
	"fmt"
	"strings"
)

// Name returns the known name with the fewest edits (insertions, deletions, replacements, swaps of neighbours) from given;
// ok is false when none is near: more edits than a third of its length, at least one. The first of equals wins.
func Name(given string, known []string) (name string, ok bool) {
	best := max(1, len(given)/3) + 1
	for _, k := range known {
		if k == given {
			return k, true
		}
		if d := distance(given, k, best); d < best {
			best, name, ok = d, k, true
		}
	}
	return name, ok
}

// Suggest is the end of an error about an unknown name: what was probably meant, or all that there is.
func Suggest(given string, known []string) string {
	if name, ok := Name(given, known); ok {
		return fmt.Sprintf("did you mean %q?", name)
	}
	return "there are " + strings.Join(known, ", ")
}

// distance is the optimal string alignment distance of a and b in bytes, or at least limit when it is not below.
func distance(a, b string, limit int) int {
	if abs(len(a)-len(b)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if fold(a[i-1]) == fold(b[j-1]) {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && fold(a[i-1]) == fold(b[j-2]) && fold(a[i-2]) == fold(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// fold makes letters of either case, dashes and underscores alike, which people mix up at no cost.
func fold(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A' + 'a'
	case c == '-':
		return '_'
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
