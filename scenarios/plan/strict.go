package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
	"github.com/ratel-sim/ratel/system/nearest"
)

// readStrict decodes data into v, a pointer to a struct, as encoding/json does but refuses unknown, misspelt and repeated
// keys, null, and anything after the value; and every error has its place. encoding/json alone gives an offset for some
// errors, accepts keys in any case, and lets the last of repeated keys win.
// whole names the value in errors, such as "the plan".
func readStrict(file, whole string, data []byte, v any) error {
	r := &strictReader{file: file, whole: whole, data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	if p := r.value(reflect.TypeOf(v).Elem(), ""); p != nil {
		return Problems{*p}
	}
	if start := r.next(); start < len(data) {
		return Problems{*r.problem(start, "there is more after the end of "+r.whole, "delete it")}
	}
	if err := json.Unmarshal(data, v); err != nil {
		return Problems{*r.problem(0, err.Error(), "")} // what r has let pass: none known
	}
	return nil
}

type strictReader struct {
	file  string
	whole string
	data  []byte
	dec   *json.Decoder
}

// next is the offset at which the next token begins.
func (r *strictReader) next() int {
	i := int(r.dec.InputOffset())
	for i < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[i]) >= 0 {
		i++
	}
	return i
}

// problem is told at a byte offset.
func (r *strictReader) problem(offset int, what, hint string) *Problem {
	offset = min(offset, len(r.data))
	before := r.data[:offset]
	return &Problem{
		Pos:  Pos{File: r.file, Line: 1 + bytes.Count(before, []byte("\n")), Col: offset - bytes.LastIndexByte(before, '\n')},
		What: what, Hint: hint,
	}
}

// broken tells an error of the decoder itself.
func (r *strictReader) broken(start int, err error) *Problem {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return r.problem(max(0, int(syntax.Offset)-1), "not JSON: "+syntax.Error(), "")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.problem(len(r.data), "the JSON ends too early", "is the file cut off?")
	}
	return r.problem(start, err.Error(), "")
}

// durationType is read from a string wherever it occurs, as the methods of the types that hold it do.
var durationType = reflect.TypeFor[time.Duration]()

// rawType is an object whose keys are checked by whoever reads it.
var rawType = reflect.TypeFor[json.RawMessage]()

func (r *strictReader) value(t reflect.Type, path string) *Problem {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	start := r.next()
	if start < len(r.data) {
		want := ""
		switch {
		case (t.Kind() == reflect.Struct || t == rawType) && r.data[start] != '{':
			want = "an object {…}"
		case t.Kind() == reflect.Slice && t != rawType && r.data[start] != '[':
			want = "a list […]"
		}
		if want != "" {
			return r.problem(start, fmt.Sprintf("%s must be %s", r.named(path), want), "")
		}
	}
	switch {
	case t == rawType:
		return r.leaf(t, path, start)
	case t.Kind() == reflect.Struct:
		return r.object(t, path)
	case t.Kind() == reflect.Slice:
		return r.list(t.Elem(), path)
	}
	return r.leaf(t, path, start)
}

func (r *strictReader) leaf(t reflect.Type, path string, start int) *Problem {
	var raw json.RawMessage
	if err := r.dec.Decode(&raw); err != nil {
		return r.broken(start, err)
	}
	into := reflect.New(t)
	if t == durationType {
		into = reflect.New(reflect.TypeFor[duration.Text]())
	}
	err := json.Unmarshal(raw, into.Interface())
	if err == nil && string(raw) != "null" {
		return nil
	}
	what := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false", reflect.Float64: "a number", reflect.Int: "a whole number",
		reflect.Int16: "a whole number from -32768 to 32767", reflect.Int32: "a whole number of 32 bits", reflect.Int64: "a whole number",
	}[t.Kind()]
	hint := ""
	if t == durationType || t == reflect.TypeFor[Duration]() {
		what, hint = "a duration", duration.Forms
	}
	if len(raw) > 40 {
		raw = append(raw[:40:40], "…"...)
	}
	return r.problem(start, fmt.Sprintf("%s must be %s, not %s", path, what, raw), hint)
}

func (r *strictReader) list(elem reflect.Type, path string) *Problem {
	if p := r.open(); p != nil {
		return p
	}
	for i := 0; r.dec.More(); i++ {
		if p := r.value(elem, fmt.Sprintf("%s[%d]", path, i)); p != nil {
			return p
		}
	}
	return r.open() // the closing one
}

// open reads one delimiter.
func (r *strictReader) open() *Problem {
	start := r.next()
	if _, err := r.dec.Token(); err != nil {
		return r.broken(start, err)
	}
	return nil
}

func (r *strictReader) object(t reflect.Type, path string) *Problem {
	if p := r.open(); p != nil {
		return p
	}
	fields, names := jsonFields(t)
	seen := map[string]bool{}
	for r.dec.More() {
		start := r.next()
		tok, err := r.dec.Token()
		if err != nil {
			return r.broken(start, err)
		}
		key, _ := tok.(string) // of an object the decoder lets only strings be keys
		field, known := fields[key]
		switch {
		case !known:
			hint := "known are " + strings.Join(names, ", ")
			if near, ok := nearest.Name(key, names); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return r.problem(start, fmt.Sprintf("%s has no key %q", r.named(path), key), hint)
		case seen[key]:
			return r.problem(start, fmt.Sprintf("%s has the key %q twice", r.named(path), key), "delete one")
		}
		seen[key] = true
		sub := key
		if path != "" {
			sub = path + "." + key
		}
		if p := r.value(field, sub); p != nil {
			return p
		}
	}
	return r.open()
}

func (r *strictReader) named(path string) string {
	if path == "" {
		return r.whole
	}
	return path
}

// jsonFields are the types of a struct's fields by their names in JSON, and the names in order. The structs of a plan have no embedded fields.
func jsonFields(t reflect.Type) (types map[string]reflect.Type, names []string) {
	types = map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		types[name], names = f.Type, append(names, name)
	}
	return types, names
}
