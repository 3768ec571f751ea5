package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/expr"
)

// Limits of definitions.
const (
	MaxName        = 120  // characters of the name of a trigger or an SLO
	MaxAlias       = 255  // characters and bytes of a derived column's name
	MaxDescription = 1023 // characters
	MaxTags        = 10
	MaxRecipients  = 20
	MaxTarget      = 2048 // characters of a webhook's URL
	MaxPeriodDays  = 90
	Million        = 1_000_000
)

// Options are what an installation allows.
type Options struct {
	// MinFrequency is how often a trigger may be evaluated at most: every so many seconds; 0 is 60, as the API has it.
	// Below 60, a frequency is a multiple of it instead of 60, and the window of a burn alert by budget rate may be as
	// short as so many minutes.
	MinFrequency int
	// Now is when a marker begins that does not say.
	Now time.Time
}

func (o Options) minFrequency() int64 {
	if o.MinFrequency <= 0 {
		return 60
	}
	return int64(o.MinFrequency)
}

// Kinds are the types that can be encoded.
type Kinds interface {
	DerivedColumn | SLO | BurnAlert | Trigger | Marker | TeamRecipient
}

// Encode writes a definition as the body of a [port.Definition]. Equal definitions have equal bodies, and the Parse of its
// kind reads one back.
func Encode[T Kinds](v T) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a query stays as it was read
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("definition: encode a %T: %v", v, err)) // only a Trigger with a Query that is no JSON
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ParseDerivedColumn reads and checks a derived column. An error is a *[document.Error].
func ParseDerivedColumn(body []byte, _ Options) (DerivedColumn, error) {
	var p document.Problems
	o := read(&p, body, "alias", "expression", "description")
	c := DerivedColumn{Alias: name(o.At("alias"), MaxAlias), Description: text(o.At("description"), MaxDescription)}
	v := o.At("expression")
	v.Need("an expression is needed, such as LT($duration_ms, 250)")
	if text, ok := limited(v, expr.MaxBytes); ok {
		c.Expression = text
		var at *expr.Error
		if text == "" {
			v.Wrong(document.CodeInvalid, "must not be empty")
		} else if _, err := expr.Parse(text); errors.As(err, &at) {
			v.Wrong(document.CodeInvalid, "%v", at)
		}
	}
	return checked(c, &p)
}

// checked is v, or the zero value with what is wrong.
func checked[T any](v T, p *document.Problems) (T, error) {
	if err := p.Err(); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// tags reads labels.
func tags(v document.Value) []Tag {
	var list []Tag
	seen := map[string]bool{}
	for _, item := range v.Elements(MaxTags) {
		e, _ := item.Object("key", "value")
		t := Tag{Key: name(e.At("key"), 32), Value: name(e.At("value"), 128)}
		if seen[t.Key] && t.Key != "" {
			e.At("key").Wrong(document.CodeInvalid, "there is a tag %q already", document.Short(t.Key))
		}
		seen[t.Key] = true
		list = append(list, t)
	}
	return list
}

// recipients reads who is told: by the ID of a recipient of the team, or by type and target.
func recipients(v document.Value) []Recipient {
	var list []Recipient
	for _, item := range v.Elements(MaxRecipients) {
		e, _ := item.Object("id", "type", "target", "details")
		unsupported(e.At("details"), "leave it out")
		r := Recipient{ID: text(e.At("id"), 20)}
		typed, targeted := e.At("type").There(), e.At("target").There()
		if typed {
			r.Type = kind(e.At("type"))
		}
		if targeted {
			r.Target = webhook(e.At("target"))
		}
		switch {
		case r.ID != "" && number(r.ID) == 0:
			e.At("id").Wrong(document.CodeInvalid, "%q is no ID: expected a number as a string", document.Short(r.ID))
		case r.ID != "" && !typed && !targeted:
		case !typed:
			e.At("type").Wrong(document.CodeMissing, "a recipient needs an id, or a type and a target")
		case r.Type != "" && !targeted && r.ID == "":
			e.At("target").Wrong(document.CodeMissing, "a webhook needs its URL")
		}
		list = append(list, r)
	}
	return list
}

// kind reads a recipient's type; empty if it is not one that works here.
func kind(v document.Value) string {
	t, ok := limited(v, maxNameBytes)
	switch {
	case !ok:
	case t == "webhook":
		return t
	case t == "email" || t == "slack" || t == "pagerduty" || t == "msteams" || t == "msteams_workflow":
		v.Wrong(document.CodeUnsupported, "%s is not supported here: send to a webhook", t)
	default:
		v.Wrong(document.CodeInvalid, "%q is not known: expected webhook", document.Short(t))
	}
	return ""
}

// webhook reads a URL.
func webhook(v document.Value) string {
	s, ok := limited(v, MaxTarget)
	if !ok {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" {
		v.Wrong(document.CodeInvalid, "%q is not the URL of a webhook: expected http://… or https://…", document.Short(s))
	} else if u.User != nil {
		v.Wrong(document.CodeInvalid, "the URL holds a user name: everybody who can read definitions would see it")
	}
	return s
}

// number reads an ID; 0 if it is none.
func number(id string) int64 {
	var n int64
	for _, c := range []byte(id) {
		if c < '0' || c > '9' || n > (1<<63-1-9)/10 {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// ID reads an ID as the API writes it; 0 if the text is none.
func ID(text string) int64 { return number(text) }
