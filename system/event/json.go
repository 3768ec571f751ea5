package event

// JSON reads JSON (RFC 8259) strictly and once from front to back, for decoders of other packages. Its methods return
// false on a syntax error.
type JSON struct{ p scanner }

// NewJSON reads text. The strings that it returns are parts of it, unless they had escapes.
func NewJSON(text string) *JSON { return &JSON{p: scanner{s: text}} }

// Offset is how far it has read, in bytes.
func (j *JSON) Offset() int { return j.p.i }

// Peek skips white space and returns the next byte, 0 at the end.
func (j *JSON) Peek() byte { return j.p.peek() }

// End says whether nothing but white space is left.
func (j *JSON) End() bool {
	j.p.space()
	return j.p.i == len(j.p.s)
}

// Literal reads one of true, false and null.
func (j *JSON) Literal(word string) bool { return j.p.literal(word) }

// Str reads a string.
func (j *JSON) Str() (string, bool) { return j.p.str() }

// Number reads a number and returns its text.
func (j *JSON) Number() (string, bool) {
	text, _, ok := j.p.number()
	return text, ok && j.p.odd == ""
}

// Skip reads any value and forgets it. Values that nest deeper than 1,000 levels are a syntax error.
func (j *JSON) Skip() bool { return j.p.skip(0) && j.p.odd == "" }

// Object reads an object and calls value with each key, to read the value.
func (j *JSON) Object(value func(key string) bool) bool { return j.p.object(value) }

// Array reads an array and calls value for each element, to read it.
func (j *JSON) Array(value func() bool) bool { return j.p.array(value) }
