package segment

import (
	"math"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
)

// statText is how much of the smallest and largest string is kept, in bytes.
const statText = 32

// columnStats are the bounds of a column as it grows.
type columnStats struct {
	count              [5]int64 // rows by event.Kind; event.Null counts those that a client sent
	minInt, maxInt     int64    // if count[event.Int] is not 0
	minFloat, maxFloat float64  // if floats; NaN left out
	floats             bool
	minText, maxText   string // if texts
	minHead, maxHead   uint64 // headOf them
	texts              bool
}

func (s *columnStats) int(n int64) {
	if s.count[event.Int] == 1 {
		s.minInt, s.maxInt = n, n
		return
	}
	s.minInt, s.maxInt = min(s.minInt, n), max(s.maxInt, n)
}

func (s *columnStats) float(f float64) {
	switch {
	case f != f:
	case !s.floats:
		s.minFloat, s.maxFloat, s.floats = f, f, true
	case f < s.minFloat:
		s.minFloat = f
	case f > s.maxFloat:
		s.maxFloat = f
	}
}

func (s *columnStats) text(t string) {
	head := headOf(t)
	if s.texts && head > s.minHead && head < s.maxHead {
		return // which is nearly always so
	}
	switch {
	case !s.texts:
		s.minText, s.maxText, s.texts = t, t, true
		s.minHead, s.maxHead = head, head
	case t < s.minText:
		s.minText, s.minHead = t, head
	case t > s.maxText:
		s.maxText, s.maxHead = t, head
	}
}

// headOf is the first eight bytes, zeros after the end: where the heads of two strings differ, the strings are in the same
// order as the heads.
func headOf(s string) uint64 {
	if len(s) >= 8 {
		return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
			uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
	}
	head := uint64(0)
	for i := range len(s) {
		head |= uint64(s[i]) << (56 - 8*i)
	}
	return head
}

// column is the statistics of a column over that many rows.
func (s *columnStats) column(name string, rows int64) ColumnStats {
	c := ColumnStats{Name: name, Nulls: rows}
	for k, n := range s.count {
		if n > 0 {
			c.Kinds |= 1 << k
		}
		if event.Kind(k) != event.Null {
			c.Nulls -= n
		}
	}
	numbers := s.floats
	if s.floats {
		c.Min, c.Max = s.minFloat, s.maxFloat
	}
	if s.count[event.Int] > 0 {
		low, high := floatBelow(s.minInt), floatAbove(s.maxInt)
		if !numbers || low < c.Min {
			c.Min = low
		}
		if !numbers || high > c.Max {
			c.Max = high
		}
	}
	if s.texts {
		c.MinText, c.MaxText = textBelow(s.minText), textAbove(s.maxText)
	}
	return c
}

// floatBelow is the largest float64 that is not above n.
func floatBelow(n int64) float64 {
	f := float64(n)
	// From 2^63 on, f does not fit an int64; it is above every n then.
	if f >= 1<<63 || int64(f) > n {
		return math.Nextafter(f, math.Inf(-1))
	}
	return f
}

// floatAbove is the smallest float64 that is not below n.
func floatAbove(n int64) float64 {
	f := float64(n)
	if f < 1<<63 && int64(f) < n {
		return math.Nextafter(f, math.Inf(1))
	}
	return f
}

// textBelow is a prefix of s, which is therefore not above it. It does not cut a character in two.
func textBelow(s string) string {
	if len(s) <= statText {
		return s
	}
	return s[:cut(s)]
}

// textAbove is s if it is short, else a short string above it, if there is one.
func textAbove(s string) string {
	if len(s) <= statText {
		return s
	}
	head := s[:cut(s)]
	// The last character that has a successor is replaced by it; what comes after it does not matter then.
	for len(head) > 0 {
		r, size := utf8.DecodeLastRuneInString(head)
		head = head[:len(head)-size]
		switch {
		case r == utf8.RuneError && size == 1: // not UTF-8: bytes
			if b := s[len(head)]; b < 0xff {
				return head + string([]byte{b + 1})
			}
		case r == 0xd7ff: // surrogates come next, which no string has
			return head + "\ue000"
		case r < utf8.MaxRune:
			return head + string(r+1)
		}
	}
	return s
}

// cut is where to cut s short: at most statText, not inside of a character.
func cut(s string) int {
	for n := statText; n > statText-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return statText
}
