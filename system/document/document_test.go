package document

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// read reads what a test's document may hold, and what is wrong.
func read(body string) (texts []string, problems []Problem) {
	var p Problems
	o, ok := Read(&p, []byte(body), 200).Object("name", "kind", "count", "share", "on", "list", "inner")
	if !ok {
		texts = append(texts, "no object")
	}
	o.At("name").Need("a name is needed")
	if s, ok := o.At("name").Text(); ok {
		texts = append(texts, s)
	}
	if s, ok := o.At("kind").Choice("small", "small", "large"); ok {
		texts = append(texts, s)
	}
	if n, ok := o.At("count").Whole(-2, 900); ok {
		texts = append(texts, strings.Repeat("|", int(n)+2))
	}
	if f, ok := o.At("share").Number(); ok && f > 0.5 {
		texts = append(texts, "more than half")
	}
	if o.At("on").True() {
		texts = append(texts, "on")
	}
	for _, item := range o.At("list").Elements(2) {
		if inner, ok := item.Object("a"); ok {
			texts = append(texts, inner.At("a").Field)
		}
	}
	var e *Error
	if err := p.Err(); err != nil && !errors.As(err, &e) {
		panic(err)
	}
	if e != nil {
		problems = e.Problems
	}
	return texts, problems
}

func TestRead(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"name":""}`:                                         {"", "small"},
		` {"name":"a","kind":"large"} `:                       {"a", "large"},
		`{"name":"a","count":-2,"share":0.75,"on":true}`:      {"a", "small", "", "more than half", "on"},
		`{"name":"a","count":1.0,"on":false}`:                 {"a", "small", "|||"},
		`{"name":"a","count":0e9,"share":null,"kind":null}`:   {"a", "small", "||"},
		`{"name":"\ud83d\ude00","list":[{"a":1},{"a":null}]}`: {"😀", "small", "list[0].a", "list[1].a"},
	} {
		if texts, problems := read(body); !slices.Equal(texts, want) || problems != nil {
			t.Errorf("%s: %q, %v", body, texts, problems)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, field, code, text string }{
		{``, "", CodeInvalid, "not valid JSON"},
		{`{"name":"a"} x`, "", CodeInvalid, "not valid JSON"},
		{"{\"name\":\"\xff\"}", "", CodeInvalid, "UTF-8"},
		{`{"name":"` + strings.Repeat("x", 200) + `"}`, "", CodeInvalid, "211 bytes, at most 200"},
		{`[]`, "", CodeType, "expected an object, found an array"},
		{`null`, "", CodeType, "found null"},
		{`{}`, "name", CodeMissing, "a name is needed"},
		{`{"name":null}`, "name", CodeMissing, "a name is needed"},
		{`{"name":1}`, "name", CodeType, "expected a string, found a number"},
		{`{"name":"a","name":"a"}`, "name", CodeInvalid, "twice"},
		{`{"name":"a","knd":1}`, "knd", CodeUnknown, `"kind"`},
		{`{"name":"a","kind":"larg"}`, "kind", CodeInvalid, `"larg" is not known`},
		{`{"name":"a","kind":[]}`, "kind", CodeType, "found an array"},
		{`{"name":"a","count":1.5}`, "count", CodeInvalid, "1.5 is not a whole number from -2 to 900"},
		{`{"name":"a","count":901}`, "count", CodeInvalid, "expected -2 to 900"},
		{`{"name":"a","count":1e300}`, "count", CodeInvalid, "not a whole number"},
		{`{"name":"a","share":1e999}`, "share", CodeInvalid, "64 bits"},
		{`{"name":"a","on":"true"}`, "on", CodeType, "expected a boolean, found a string"},
		{`{"name":"a","list":{}}`, "list", CodeType, "expected an array"},
		{`{"name":"a","list":[{},{},{}]}`, "list", CodeTooMany, "3 elements, at most 2"},
		{`{"name":"a","list":[{},1]}`, "list[1]", CodeType, "found a number"},
		{`{"name":"a","list":[null]}`, "list[0]", CodeType, "found null"},
		{`{"name":"a","list":[{"b":1}]}`, "list[0].b", CodeUnknown, `"a"`},
	} {
		_, problems := read(c.body)
		if len(problems) == 0 || problems[0].Field != c.field || problems[0].Code != c.code || !strings.Contains(problems[0].Text, c.text) {
			t.Errorf("%s: %+v, expected %s of %q about %q", Short(c.body), problems, c.code, c.field, c.text)
		}
	}
}

// TestManyProblems: a document cannot make its error longer than itself without bound.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	var p Problems
	for range 1000 {
		p.Add("a", CodeInvalid, "no")
	}
	if p.Count() != maxProblems || !strings.HasPrefix(p.Err().Error(), "a: no; a: no; ") {
		t.Errorf("%d problems: %v", p.Count(), p.Err())
	}
}
