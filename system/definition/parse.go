package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

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

// ParseDerivedColumn reads and checks a derived column. An error is an *[Error].
func ParseDerivedColumn(body []byte, _ Options) (DerivedColumn, error) {
	var p problems
	o := read(&p, body, "alias", "expression", "description")
	c := DerivedColumn{Alias: o.name("alias", MaxAlias), Description: o.text("description", MaxDescription)}
	o.need("expression", "an expression is needed, such as LT($duration_ms, 250)")
	if o.has("expression") {
		c.Expression = o.text("expression", expr.MaxBytes)
		var at *expr.Error
		if _, err := expr.Parse(c.Expression); errors.As(err, &at) && c.Expression != "" {
			p.add("expression", CodeInvalid, "%v", at)
		} else if c.Expression == "" && kindOf(o.members["expression"]) == "a string" && len(p.list) == 0 {
			p.add("expression", CodeInvalid, "must not be empty")
		}
	}
	return checked(c, p)
}

// checked is v, or the zero value with what is wrong.
func checked[T any](v T, p problems) (T, error) {
	if err := p.err(); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// tags reads labels.
func (o object) tags() []Tag {
	var tags []Tag
	seen := map[string]bool{}
	for i, raw := range o.list("tags", MaxTags) {
		e := o.element("tags", i, raw, "key", "value")
		t := Tag{Key: e.name("key", 32), Value: e.name("value", 128)}
		if seen[t.Key] && t.Key != "" {
			o.p.add(e.at("key"), CodeInvalid, "there is a tag %q already", short(t.Key))
		}
		seen[t.Key] = true
		tags = append(tags, t)
	}
	return tags
}

// recipients reads who is told: by the ID of a recipient of the team, or by type and target.
func (o object) recipients() []Recipient {
	var list []Recipient
	for i, raw := range o.list("recipients", MaxRecipients) {
		e := o.element("recipients", i, raw, "id", "type", "target", "details")
		e.unsupported("details", "leave it out")
		r := Recipient{ID: e.text("id", 20)}
		if e.has("type") {
			r.Type = e.kind("type")
		}
		if e.has("target") {
			r.Target = e.webhook("target")
		}
		switch {
		case r.ID != "" && number(r.ID) == 0:
			e.p.add(e.at("id"), CodeInvalid, "%q is no ID: expected a number as a string", short(r.ID))
		case r.ID != "" && !e.has("type") && !e.has("target"):
		case !e.has("type"):
			e.p.add(e.at("type"), CodeMissing, "a recipient needs an id, or a type and a target")
		case r.Type != "" && !e.has("target") && r.ID == "":
			e.p.add(e.at("target"), CodeMissing, "a webhook needs its URL")
		}
		list = append(list, r)
	}
	return list
}

// kind reads a recipient's type; empty if it is not one that works here.
func (o object) kind(name string) string {
	before := len(o.p.list)
	t := o.text(name, maxNameBytes)
	switch {
	case len(o.p.list) > before:
	case t == "webhook":
		return t
	case t == "email" || t == "slack" || t == "pagerduty" || t == "msteams" || t == "msteams_workflow":
		o.p.add(o.at(name), CodeUnsupported, "%s is not supported here: send to a webhook", t)
	default:
		o.p.add(o.at(name), CodeInvalid, "%q is not known: expected webhook", short(t))
	}
	return ""
}

// webhook reads a URL.
func (o object) webhook(name string) string {
	before := len(o.p.list)
	s := o.text(name, MaxTarget)
	if len(o.p.list) > before {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" {
		o.p.add(o.at(name), CodeInvalid, "%q is not the URL of a webhook: expected http://… or https://…", short(s))
	} else if u.User != nil {
		o.p.add(o.at(name), CodeInvalid, "the URL holds a user name: everybody who can read definitions would see it")
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
