// Package nearest finds the known name that somebody probably meant, for errors about unknown names.
package nearest

import "strings"

// maxWord bounds what is compared: nobody misspells a longer name.
const maxWord = 64

// Name is the name that is most like word, by the fewest letters to insert, remove or replace and whatever the case; empty
// if none is like it. Of several, it is the first.
func Name(word string, names []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, least := "", len(word)/2+2
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// Suggest is the end of an error about an unknown word: what was probably meant, or all that there is.
func Suggest(word string, names []string) string {
	if name := Name(word, names); name != "" {
		return "did you mean " + name + "?"
	}
	return "there are " + strings.Join(names, ", ")
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
