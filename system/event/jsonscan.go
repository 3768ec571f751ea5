package event

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrMalformed marks JSON that cannot be read at all. A batch that contains it is refused as a whole.
var ErrMalformed = errors.New("Request body is malformed and cannot be read.") //nolint:staticcheck // the API's documented text

// maxDepth bounds how deep JSON may nest.
const maxDepth = 1000

// What the scanner reads over although JSON does not allow it, so that one event cannot spoil a batch.
const (
	oddNumber = "a number that is NaN or infinite"
	oddDepth  = "more than 1000 levels of nesting"
)

// scanner reads JSON (RFC 8259) strictly and once from front to back. Its methods return false on a syntax error; i is
// then near the place.
type scanner struct {
	s   string
	i   int
	odd string // what was read over last: one of the odd texts; empty if nothing was
}

// space skips white space.
func (p *scanner) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (p *scanner) peek() byte {
	p.space()
	if p.i >= len(p.s) {
		return 0
	}
	return p.s[p.i]
}

// take skips white space and one given byte.
func (p *scanner) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

// literal skips one of true, false and null.
func (p *scanner) literal(word string) bool {
	if !strings.HasPrefix(p.s[p.i:], word) {
		return false
	}
	p.i += len(word)
	return true
}

// str reads a string whose opening quote is next. Without escapes the result is a part of the input.
func (p *scanner) str() (string, bool) {
	if !p.take('"') {
		return "", false
	}
	start := p.i
	for p.i = plainEnd(p.s, p.i); p.i < len(p.s); {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1], true
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", false
		}
		p.i++
	}
	return "", false
}

// plainEnd returns where, from i on, the first byte is that ends plain text in a string: a quote, a backslash or a control
// character. Among the last seven bytes of s it does not look. Eight bytes at a time: a byte of x minus one borrows into
// its top bit if it is zero; what a borrow does to bytes above the first hit does not matter.
func plainEnd(s string, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		t := s[i : i+8]
		x := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 | uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
		quote, slash := x^ones*'"', x^ones*'\\'
		hit := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x) & tops
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	return i
}

// escaped reads the rest of a string that contains an escape.
func (p *scanner) escaped(start int) (string, bool) {
	out := []byte(p.s[start:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(out), true
		case c < ' ':
			return "", false
		case c != '\\':
			out = append(out, c)
			continue
		}
		if p.i >= len(p.s) {
			return "", false
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.hex4()
			if !ok {
				return "", false
			}
			out = utf8.AppendRune(out, p.surrogate(r))
		default:
			return "", false
		}
	}
	return "", false
}

// surrogate joins r with a second \u escape if the two are a pair; half of a pair alone becomes U+FFFD.
func (p *scanner) surrogate(r rune) rune {
	if !utf16.IsSurrogate(r) {
		return r
	}
	if strings.HasPrefix(p.s[p.i:], `\u`) {
		back := p.i
		p.i += 2
		if low, ok := p.hex4(); ok {
			if joined := utf16.DecodeRune(r, low); joined != utf8.RuneError {
				return joined
			}
		}
		p.i = back // not its second half: it is read on its own
	}
	return utf8.RuneError
}

func (p *scanner) hex4() (rune, bool) {
	if len(p.s)-p.i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.s[p.i : p.i+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.i += 4
	return r, true
}

// number reads a number. whole says that it has neither fraction nor exponent.
func (p *scanner) number() (text string, whole, ok bool) {
	start := p.i
	if p.i < len(p.s) && p.s[p.i] == '-' {
		p.i++
	}
	switch {
	case p.i < len(p.s) && p.s[p.i] == '0':
		p.i++
	case p.digits() == 0:
		return p.notFinite(start)
	}
	whole = true
	if p.i < len(p.s) && p.s[p.i] == '.' {
		whole = false
		p.i++
		if p.digits() == 0 {
			return "", false, false
		}
	}
	if p.i < len(p.s) && p.s[p.i]|0x20 == 'e' {
		whole = false
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return "", false, false
		}
	}
	return p.s[start:p.i], whole, true
}

// notFinite reads what some encoders write for numbers that JSON cannot say.
func (p *scanner) notFinite(start int) (text string, whole, ok bool) {
	for _, word := range [...]string{"NaN", "Infinity", "-Infinity"} {
		if strings.HasPrefix(p.s[start:], word) {
			p.i, p.odd = start+len(word), oddNumber
			return word, false, true
		}
	}
	return "", false, false
}

func (p *scanner) digits() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

// numberValue turns a number's text into an Int if it is whole and fits, else into a Float. inRange is false if it fits neither.
func numberValue(text string, whole bool) (v Value, inRange bool) {
	if whole {
		if i, ok := smallInt(text); ok {
			return IntValue(i), true
		}
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return IntValue(i), true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return FloatValue(f), err == nil
}

// smallInt parses up to 18 digits.
func smallInt(text string) (int64, bool) {
	if len(text) == 0 || len(text) > 18 || text[0] == '-' {
		return 0, false
	}
	n := int64(0)
	for i := range len(text) {
		n = n*10 + int64(text[i]-'0')
	}
	return n, true
}

// skip reads any value and forgets it.
func (p *scanner) skip(depth int) bool {
	c := p.peek()
	if depth > maxDepth && (c == '{' || c == '[') {
		return p.skipDeep()
	}
	switch c {
	case '{':
		return p.object(func(string) bool { return p.skip(depth + 1) })
	case '[':
		return p.array(func() bool { return p.skip(depth + 1) })
	case '"':
		_, ok := p.str()
		return ok
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	default:
		_, _, ok := p.number()
		return ok
	}
}

// skipDeep reads over an object or array without looking at more than its brackets and strings, in constant memory.
func (p *scanner) skipDeep() bool {
	p.odd = oddDepth
	for open := 0; p.i < len(p.s); {
		switch p.s[p.i] {
		case '"':
			if !p.skipString() {
				return false
			}
			continue
		case '{', '[':
			open++
		case '}', ']':
			if open--; open == 0 {
				p.i++
				return true
			}
		}
		p.i++
	}
	return false
}

// skipString reads over a string whose opening quote is next, its escapes unread.
func (p *scanner) skipString() bool {
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '"':
			p.i++
			return true
		case '\\':
			p.i++
		}
	}
	return false
}

// object reads an object whose brace is next and calls value with each key, to read the value.
func (p *scanner) object(value func(key string) bool) bool {
	if !p.take('{') {
		return false
	}
	if p.take('}') {
		return true
	}
	for {
		if p.peek() != '"' {
			return false
		}
		key, ok := p.str()
		if !ok || !p.take(':') || !value(key) {
			return false
		}
		if p.take('}') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// array reads an array whose bracket is next and calls value for each element, to read it.
func (p *scanner) array(value func() bool) bool {
	if !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		if !value() {
			return false
		}
		if p.take(']') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// raw reads any value and returns its text without white space between tokens. need has the memory for a copy granted; if it
// is not, or the value is not JSON, the text is empty.
func (p *scanner) raw(depth int, need func(int) bool) (string, bool) {
	p.space()
	start := p.i
	if !p.skip(depth) {
		return "", false
	}
	text := p.s[start:p.i]
	if p.odd != "" || !need(len(text)) {
		return "", true
	}
	return compact(text), true
}

// compact drops white space outside of strings from valid JSON.
func compact(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	out := make([]byte, 0, len(s))
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\\':
			out = append(out, c)
			i++
			c = s[i]
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		out = append(out, c)
	}
	return string(out)
}
