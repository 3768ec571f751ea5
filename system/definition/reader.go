package definition

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/document"
)

// MaxBytes bounds the JSON of a definition.
const MaxBytes = 64 << 10

// maxNameBytes is what the metadata store takes as a definition's name.
const maxNameBytes = 255

// replied are members of replies, which clients send back when they change a definition. They say nothing.
var replied = []string{"id", "created_at", "updated_at", "dataset_slug", "triggered", "warnings"}

// read reads the whole of a body. The object is empty if it cannot be read.
func read(p *document.Problems, body []byte, known ...string) document.Object {
	o, _ := document.Read(p, body, MaxBytes).Object(append(slices.Clone(known), replied...)...)
	return o
}

// text reads a string of at most so many characters; empty if there is none.
func text(v document.Value, most int) string {
	s, _ := limited(v, most)
	return s
}

func limited(v document.Value, most int) (string, bool) {
	s, ok := v.Text()
	if n := utf8.RuneCountInString(s); n > most {
		v.Wrong(document.CodeInvalid, "%d characters, at most %d are allowed", n, most)
		return "", false
	}
	return s, ok
}

// name reads a string that must be there, of 1 to so many characters and at most 255 bytes.
func name(v document.Value, most int) string {
	v.Need("it is needed")
	s, ok := limited(v, most)
	switch {
	case !ok:
	case s == "":
		v.Wrong(document.CodeInvalid, "must not be empty")
	case len(s) > maxNameBytes:
		v.Wrong(document.CodeInvalid, "%d bytes, at most %d are allowed", len(s), maxNameBytes)
	}
	return s
}

// choice reads one of several strings; fallback if nothing is there, empty if it is none of them.
func choice(v document.Value, fallback string, among ...string) string {
	s, _ := v.Choice(fallback, among...)
	return s
}

// whole reads a whole number between two bounds; fallback if there is none.
func whole(v document.Value, fallback, low, high int64) int64 {
	if n, ok := v.Whole(low, high); ok {
		return n
	}
	return fallback
}

// unsupported refuses what the API has and this system does not do, rather than to ignore it.
func unsupported(v document.Value, instead string) {
	if v.There() && string(v.Raw) != "{}" && string(v.Raw) != "[]" && string(v.Raw) != `""` {
		v.Wrong(document.CodeUnsupported, "not supported here: %s", instead)
	}
}

// compact is the canonical form of a JSON value that was read.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw // it was read before
	}
	return b.Bytes()
}
