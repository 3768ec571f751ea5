package reports

import (
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// grid is a table for the terminal. Its first column is set flush left, and all others too unless numeric.
type grid struct {
	head    []string // empty: no header line
	rows    [][]string
	numeric bool // columns after the first are figures: flush right
	prose   bool // the last column is text of any length, wrapped under itself
}

// lines lays the grid out within width columns; width 0 means unbounded. A grid of figures too wide for the terminal is
// written row by row instead, each figure with its name.
func (g grid) lines(width int) []string {
	rows := g.rows
	if len(g.head) > 0 {
		rows = append([][]string{g.head}, rows...)
	}
	if len(rows) == 0 {
		return nil
	}
	var tail []string
	if g.prose {
		cut := make([][]string, len(rows))
		tail = make([]string, len(rows))
		for i, r := range rows {
			cut[i], tail[i] = r[:len(r)-1], r[len(r)-1]
		}
		rows = cut
	}
	out := g.align(rows)
	if !g.prose {
		if width > 0 && longest(out) > width && len(g.head) > 0 {
			return g.stacked(width)
		}
		return out
	}
	indent := longest(out) + 2
	if width > 0 && width-indent < 24 { // too narrow for a column of text: put it under its row
		var under []string
		for i, line := range out {
			under = append(under, wrap(strings.TrimRight(line, " "), width, "")...)
			under = append(under, wrap("    "+tail[i], width, "    ")...)
		}
		return under
	}
	var wrapped []string
	for i, line := range out {
		pad := strings.Repeat(" ", indent-utf8.RuneCountInString(line))
		wrapped = append(wrapped, wrap(line+pad+tail[i], width, strings.Repeat(" ", indent))...)
	}
	return wrapped
}

func (g grid) align(rows [][]string) []string {
	var b strings.Builder
	flags := uint(0)
	if g.numeric {
		flags = tabwriter.AlignRight
	}
	// Flush right is for figures: the first column, made equally wide beforehand, stays flush left.
	first := 0
	for _, r := range rows {
		first = max(first, utf8.RuneCountInString(r[0]))
	}
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', flags)
	for _, r := range rows {
		head := r[0] + strings.Repeat(" ", first-utf8.RuneCountInString(r[0]))
		_, _ = tw.Write([]byte(strings.Join(append([]string{head}, r[1:]...), "\t") + "\t\n")) // a strings.Builder cannot fail
	}
	_ = tw.Flush()
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, line := range lines {
		if g.numeric {
			line = strings.TrimPrefix(line, "  ") // the padding that flush right puts before the first column
		}
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func (g grid) stacked(width int) []string {
	var out []string
	for _, r := range g.rows {
		var parts []string
		for i, cell := range r[1:] {
			parts = append(parts, g.head[i+1]+" "+cell)
		}
		out = append(out, wrap(r[0]+": "+strings.Join(parts, ", "), width, "  ")...)
	}
	return out
}

func longest(lines []string) int {
	n := 0
	for _, line := range lines {
		n = max(n, utf8.RuneCountInString(line))
	}
	return n
}

// wrap breaks text at spaces so that no line is longer than width, which 0 leaves unbounded. Later lines begin with
// indent. Words longer than a line are cut, not dropped.
func wrap(text string, width int, indent string) []string {
	if width <= 0 {
		return []string{text}
	}
	var out []string
	rest := []rune(text)
	for len(rest) > width {
		begin := len(rest) - len([]rune(strings.TrimLeft(string(rest), " "))) // never break in the leading indent
		cut := -1
		for i := width; i > begin; i-- {
			if rest[i] == ' ' {
				cut = i
				break
			}
		}
		if cut <= 0 || cut <= len([]rune(indent)) && len(out) > 0 {
			cut = width
		}
		out = append(out, strings.TrimRight(string(rest[:cut]), " "))
		next := strings.TrimLeft(string(rest[cut:]), " ")
		if next == "" {
			return out
		}
		if len([]rune(indent)) >= width {
			indent = ""
		}
		rest = []rune(indent + next)
	}
	return append(out, string(rest))
}
