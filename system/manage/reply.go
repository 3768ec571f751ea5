package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/port"
)

// problems is where the API explains its types of errors.
const problems = "https://api.honeycomb.io/problems/"

// failure is an error with what the API says about it.
type failure struct {
	status int
	text   string
	detail []detail
}

// detail is one field that is wrong.
type detail struct {
	Code        string `json:"code"`
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

func (f *failure) Error() string { return f.text }

func notFound(format string, args ...any) error {
	return &failure{status: http.StatusNotFound, text: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &failure{status: http.StatusConflict, text: fmt.Sprintf(format, args...)}
}

// invalid is an error about one field.
func invalid(code, field, format string, args ...any) error {
	return &document.Error{Problems: []document.Problem{{Code: code, Field: field, Text: fmt.Sprintf(format, args...)}}}
}

// Malformed is an error for a body that is not what was expected at all.
func Malformed(err error) error {
	return &failure{status: http.StatusBadRequest, text: "Request body is malformed and cannot be read: " + err.Error()}
}

// LookedUp says what an error of the metadata store means, for [FailWith]; the rest names what was asked for. It is nil without one.
func LookedUp(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, port.ErrNotFound):
		return notFound("%s not found", what)
	case errors.Is(err, port.ErrRefused):
		return &failure{status: http.StatusServiceUnavailable, text: what + ": the metadata store refused, nothing was changed: " + err.Error()}
	}
	return &failure{status: http.StatusGatewayTimeout, text: what + ": the metadata store did not answer: what was asked for may be done, look again: " + err.Error()}
}

// written is LookedUp for a definition that was to be written.
func (q *query) written(err error, name string) error {
	switch {
	case errors.Is(err, port.ErrNameTaken):
		return conflict("there is another %s %q already: choose another name, or change that one", q.res.what, document.Short(name))
	case errors.Is(err, port.ErrNotFound) && q.id == 0:
		return notFound("dataset %q not found", q.ds.Name)
	}
	return LookedUp(err, "%s %q", q.res.what, document.Short(name))
}

// Fail answers with an error as RFC 7807 has it, for what is found out about a request before it comes here.
func Fail(w http.ResponseWriter, status int, text string) {
	FailWith(w, &failure{status: status, text: text})
}

// FailWith answers with an error as RFC 7807 has it: one of this package with its status, what is wrong with a document with 422.
func FailWith(w http.ResponseWriter, err error) {
	f := &failure{status: http.StatusInternalServerError, text: err.Error()}
	var list *document.Error
	if errors.As(err, &list) {
		f = &failure{status: http.StatusUnprocessableEntity, text: list.Error()}
		for _, p := range list.Problems {
			f.detail = append(f.detail, detail{p.Code, p.Field, p.Text})
		}
	}
	errors.As(err, &f)
	kind, title := "", http.StatusText(f.status)
	switch f.status {
	case http.StatusNotFound:
		kind, title = "not-found", "The requested resource cannot be found."
	case http.StatusConflict:
		kind = "conflict"
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		kind, title = "unparseable", "The request body could not be parsed."
	case http.StatusUnprocessableEntity:
		kind, title = "validation-failed", "The provided input is invalid."
	}
	body := map[string]any{"status": f.status, "title": title, "error": f.text, "type": "about:blank"}
	if kind != "" {
		body["type"] = problems + kind
	}
	if f.detail != nil {
		body["type_detail"] = f.detail
	}
	reply(w, f.status, "application/problem+json", body)
}

func reply(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client has gone if this fails
}

// show is a definition as replies have it: its body, and what the metadata store knows.
func (q *query) show(d port.Definition, warnings []string) (any, error) {
	members := map[string]any{}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return nil, &failure{status: http.StatusInternalServerError, text: fmt.Sprintf("%s %d is damaged in the metadata store: %v; delete it", q.res.what, d.ID, err)}
	}
	// order: into a map, which is written sorted.
	for name, raw := range body {
		members[name] = raw
	}
	members["id"] = strconv.FormatInt(d.ID, 10)
	members["created_at"], members["updated_at"] = d.Created.UTC().Format(time.RFC3339), d.Updated.UTC().Format(time.RFC3339)
	if warnings != nil {
		members["warnings"] = warnings
	}
	switch d.Kind {
	case port.KindSLO:
		members["dataset_slugs"] = []string{q.ds.Slug}
	case port.KindTrigger, port.KindBurnAlert:
		if d.Kind == port.KindTrigger {
			members["dataset_slug"] = q.ds.Slug
		}
		triggered, err := q.triggered(d.ID)
		if err != nil {
			return nil, err
		}
		members["triggered"] = triggered
		if members["recipients"], err = q.shown(d); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// triggered says whether an alert's condition held when it was last evaluated.
func (q *query) triggered(alert int64) (bool, error) {
	if q.evaluations == nil {
		return false, nil
	}
	last, err := q.evaluations.LastEvaluation(q.ctx, alert)
	if errors.Is(err, port.ErrNotFound) {
		return false, nil
	}
	return last.Triggered, LookedUp(err, "the last evaluation of %d", alert)
}
