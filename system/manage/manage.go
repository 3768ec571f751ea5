// Package manage is the management API: teams create, read, change and delete what they define for their datasets, as
// Honeycomb's API has it.
//
//	/1/derived_columns/{dataset}[/{id}]   list also ?alias=; the dataset may be __all__: of the whole team
//	/1/triggers/{dataset}[/{id}]
//	/1/slos/{dataset}[/{id}]
//	/1/burn_alerts/{dataset}[/{id}]       list also ?slo_id=
//	/1/markers/{dataset}[/{id}]           the dataset may be __all__
//	/1/recipients[/{id}]                  of the team
//
// Each is GET (a list, or one), POST (201), PUT (replaces the whole) and DELETE (204). Errors are RFC 7807 with the fields
// that are wrong in type_detail: 400 for a body that is no JSON, 404, 409 for a name that is taken or something that is
// still used, 422 for what is wrong with a definition, 503 if certainly nothing was done, 504 if nobody knows. A POST can
// be repeated: the same definition again is the same one, with the same ID.
//
// References are checked when a definition is written, against what the metadata store has at that moment: an SLI that is
// deleted at the same time as an SLO is made of it can be missed. Whoever evaluates takes an SLI that is not there for one
// that finds no event relevant.
package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/port"
)

// Catalog is what the API asks about datasets. A port.Catalog is one.
type Catalog interface {
	// Dataset finds a dataset of a team by its slug; port.ErrNotFound.
	Dataset(ctx context.Context, team int64, slug string) (port.Dataset, error)
	// Columns lists a dataset's columns by name.
	Columns(ctx context.Context, dataset int64) ([]port.Column, error)
}

// Options are how an installation sets up its API.
type Options struct {
	// Now is the clock, for markers that do not say when.
	Now func() time.Time
	// MinFrequency is how often triggers may be evaluated at most, in seconds: see [definition.Options].
	MinFrequency int
}

// API serves requests of teams that are known already. It keeps nothing.
type API struct {
	catalog     Catalog
	definitions port.Definitions
	evaluations port.Evaluations
	opts        Options
}

// New makes an API. Without evaluations, nothing ever shows as triggered.
func New(c Catalog, d port.Definitions, e port.Evaluations, opts Options) *API {
	return &API{catalog: c, definitions: d, evaluations: e, opts: opts}
}

func (a *API) options() definition.Options {
	return definition.Options{MinFrequency: a.opts.MinFrequency, Now: a.opts.Now()}
}

// All is the dataset of what belongs to the whole team.
const All = "__all__"

// resource is one kind of definitions as the API has it.
type resource struct {
	path string // after /1/
	kind port.DefinitionKind
	what string // for errors
	most int    // of a dataset, or of a team
	team bool   // of the team, without a dataset
	any  bool   // __all__ is a dataset
	// draft reads and checks a body.
	draft func(q *query, body []byte) (draft, error)
	// used refuses to delete what others need.
	used func(q *query, d port.Definition) error
}

// draft is a definition that was read and checked.
type draft struct {
	name     string
	body     []byte
	warnings []string
}

func resources() []resource {
	return []resource{
		{path: "derived_columns", kind: port.KindDerivedColumn, what: "derived column", most: 1000, any: true, draft: (*query).derivedColumn, used: (*query).columnUsed},
		{path: "triggers", kind: port.KindTrigger, what: "trigger", most: 300, draft: (*query).trigger},
		{path: "slos", kind: port.KindSLO, what: "SLO", most: 100, draft: (*query).slo, used: (*query).sloUsed},
		{path: "burn_alerts", kind: port.KindBurnAlert, what: "burn alert", most: 300, draft: (*query).burnAlert},
		{path: "markers", kind: port.KindMarker, what: "marker", most: 10_000, any: true, draft: (*query).marker},
		{path: "recipients", kind: port.KindRecipient, what: "recipient", most: 500, team: true, draft: (*query).recipient, used: (*query).recipientUsed},
	}
}

// Serves says whether a path, escaped as it came, belongs to this API.
func Serves(path string) bool {
	_, _, ok := route(path)
	return ok
}

// Paths are what this API serves, for people.
func Paths() string {
	var list []string
	for _, res := range resources() {
		list = append(list, "/1/"+res.path)
	}
	return strings.Join(list, ", ")
}

// route finds the resource of a path and what follows it.
func route(path string) (res resource, rest []string, ok bool) {
	path, ok = strings.CutPrefix(path, "/1/")
	if !ok {
		return res, nil, false
	}
	parts := strings.Split(path, "/")
	for _, res := range resources() {
		if res.path == parts[0] {
			return res, parts[1:], true
		}
	}
	return res, nil, false
}

// query is one request.
type query struct {
	*API
	ctx  context.Context
	r    *http.Request
	team port.Team
	res  resource
	ds   port.Dataset    // zero for what is of the whole team
	id   int64           // 0: the request is about the list
	old  port.Definition // what is changed or deleted
	have []port.Definition

	recipients map[int64]definition.Recipient // those that were looked up
}

// Serve answers a request of a team. ctx bounds how long it may wait for the metadata store.
func (a *API) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, team port.Team) {
	q := &query{API: a, ctx: ctx, r: r, team: team}
	status, v, err := q.serve(w)
	switch {
	case err != nil:
		FailWith(w, err)
	case v == nil:
		w.WriteHeader(status)
	default:
		reply(w, status, "application/json", v)
	}
}

func (q *query) serve(w http.ResponseWriter) (status int, v any, err error) {
	res, rest, ok := route(q.r.URL.EscapedPath())
	if !ok {
		return 0, nil, notFound("unknown path %s", document.Short(q.r.URL.Path))
	}
	q.res = res
	if err := q.locate(rest); err != nil {
		return 0, nil, err
	}
	switch {
	case q.r.Method == http.MethodGet || q.r.Method == http.MethodHead:
		v, err = q.read()
		return http.StatusOK, v, err
	case q.r.Method == http.MethodPost && q.id == 0:
		v, err = q.create(w)
		return http.StatusCreated, v, err
	case q.r.Method == http.MethodPut && q.id != 0:
		v, err = q.change(w)
		return http.StatusOK, v, err
	case q.r.Method == http.MethodDelete && q.id != 0:
		return http.StatusNoContent, nil, q.delete()
	}
	allowed := "GET, POST"
	if q.id != 0 {
		allowed = "GET, PUT, DELETE"
	}
	w.Header().Set("Allow", allowed)
	return 0, nil, &failure{status: http.StatusMethodNotAllowed, text: "method " + q.r.Method + " is not allowed here: use " + allowed}
}

// locate finds the dataset and reads the ID.
func (q *query) locate(rest []string) error {
	if len(rest) > 0 && rest[len(rest)-1] == "" {
		rest = rest[:len(rest)-1]
	}
	if !q.res.team {
		if len(rest) == 0 {
			return notFound("the dataset is missing: /1/%s/{dataset}", q.res.path)
		}
		if err := q.dataset(rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	switch {
	case len(rest) > 1:
		return notFound("unknown path %s", document.Short(q.r.URL.Path))
	case len(rest) == 1:
		if q.id = definition.ID(rest[0]); q.id == 0 {
			return notFound("%s %q not found: its ID is a number", q.res.what, document.Short(rest[0]))
		}
	}
	return nil
}

func (q *query) dataset(raw string) error {
	name, err := url.PathUnescape(raw)
	if err != nil {
		return &failure{status: http.StatusBadRequest, text: "the dataset's name is not escaped as a URL demands: " + err.Error()}
	}
	switch {
	case name == All && q.res.any:
		return nil
	case name == All:
		return &failure{status: http.StatusUnprocessableEntity, text: "a " + q.res.what + " belongs to one dataset here: name it instead of " + All}
	}
	if err := catalog.CheckName("dataset", name); err != nil {
		return &failure{status: http.StatusBadRequest, text: err.Error()}
	}
	q.ds, err = q.catalog.Dataset(q.ctx, q.team.ID, catalog.Slug(name))
	return LookedUp(err, "dataset %q", name)
}

// list lists the definitions of a kind that the request can see.
func (q *query) list(kinds ...port.DefinitionKind) ([]port.Definition, error) {
	list, err := q.definitions.DefinitionsOf(q.ctx, q.ds.ID, kinds...)
	if err != nil {
		return nil, LookedUp(err, "dataset %q", q.ds.Name)
	}
	if q.ds.ID != 0 {
		return list, nil
	}
	return slices.DeleteFunc(list, func(d port.Definition) bool { return d.Team != q.team.ID || d.Dataset != 0 }), nil
}

// teams lists the definitions of a kind in all of the team's datasets and of the team itself. The metadata store can only
// list those of all teams.
func (q *query) teams(kinds ...port.DefinitionKind) ([]port.Definition, error) {
	list, err := q.definitions.DefinitionsOf(q.ctx, 0, kinds...)
	if err != nil {
		return nil, LookedUp(err, "the team's definitions")
	}
	return slices.DeleteFunc(list, func(d port.Definition) bool { return d.Team != q.team.ID }), nil
}

// related are the kinds that refer to one another, and that of the request.
func (q *query) related() []port.DefinitionKind {
	kinds := []port.DefinitionKind{port.KindDerivedColumn, port.KindSLO, port.KindBurnAlert}
	switch {
	case q.ds.ID == 0:
		return []port.DefinitionKind{q.res.kind}
	case slices.Contains(kinds, q.res.kind):
		return kinds
	}
	return append(kinds, q.res.kind)
}

// one finds a definition of the request's dataset.
func (q *query) one(kind port.DefinitionKind, what string, id int64) (port.Definition, error) {
	d, err := q.definitions.Definition(q.ctx, id)
	if err == nil && (d.Team != q.team.ID || d.Kind != kind || d.Dataset != q.ds.ID && kind != port.KindRecipient) {
		err = port.ErrNotFound
	}
	return d, LookedUp(err, "%s %d", what, id)
}

func (q *query) read() (any, error) {
	if q.id != 0 {
		d, err := q.one(q.res.kind, q.res.what, q.id)
		if err != nil {
			return nil, err
		}
		return q.show(d, nil)
	}
	list, err := q.list(q.res.kind)
	if err != nil {
		return nil, err
	}
	values := q.r.URL.Query()
	if q.res.kind == port.KindDerivedColumn && values.Has("alias") {
		for _, d := range list {
			if d.Name == values.Get("alias") {
				return q.show(d, nil)
			}
		}
		return nil, notFound("derived column %q not found", document.Short(values.Get("alias")))
	}
	shown := make([]any, 0, len(list))
	for _, d := range list {
		if q.res.kind == port.KindBurnAlert && values.Has("slo_id") && !ofSLO(d, values.Get("slo_id")) {
			continue
		}
		v, err := q.show(d, nil)
		if err != nil {
			return nil, err
		}
		shown = append(shown, v)
	}
	return shown, nil
}

// ReadBody reads the JSON that was sent, of at most so many bytes. An error is for [FailWith].
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) (json.RawMessage, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &failure{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("Request body is too large: at most %d bytes are allowed.", most)}
	}
	if err == nil && !utf8.Valid(body) {
		err = errors.New("it is not UTF-8") // which the decoder would mend, and so change what was sent
	}
	if err == nil {
		var v json.RawMessage
		err = json.Unmarshal(body, &v)
	}
	if err != nil {
		return nil, Malformed(err)
	}
	return body, nil
}

func (q *query) create(w http.ResponseWriter) (any, error) {
	body, err := ReadBody(w, q.r, definition.MaxBytes)
	if err != nil {
		return nil, err
	}
	if q.have, err = q.list(q.related()...); err != nil {
		return nil, err
	}
	d, err := q.res.draft(q, body)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, other := range q.have {
		if other.Kind == q.res.kind && other.Name != d.name {
			n++
		}
	}
	if n >= q.res.most {
		return nil, invalid(document.CodeTooMany, "", "there are %d %ss already, which is as many as there may be: delete one", n, q.res.what)
	}
	var made port.Definition
	err = again(func() error {
		var err error
		made, err = q.definitions.Define(q.ctx, port.Definition{Team: q.team.ID, Dataset: q.ds.ID, Kind: q.res.kind, Name: d.name, Body: d.body})
		return err
	})
	if err != nil {
		return nil, q.written(err, d.name)
	}
	return q.show(made, d.warnings)
}

func (q *query) change(w http.ResponseWriter) (any, error) {
	body, err := ReadBody(w, q.r, definition.MaxBytes)
	if err != nil {
		return nil, err
	}
	if q.old, err = q.one(q.res.kind, q.res.what, q.id); err != nil {
		return nil, err
	}
	if q.have, err = q.list(q.related()...); err != nil {
		return nil, err
	}
	d, err := q.res.draft(q, body)
	if err != nil {
		return nil, err
	}
	changed := q.old
	changed.Name, changed.Body = d.name, d.body
	err = again(func() error {
		var err error
		changed, err = q.definitions.Redefine(q.ctx, changed)
		return err
	})
	if err != nil {
		return nil, q.written(err, d.name)
	}
	return q.show(changed, d.warnings)
}

func (q *query) delete() error {
	d, err := q.one(q.res.kind, q.res.what, q.id)
	if err != nil {
		return err
	}
	if q.res.used != nil {
		if q.have, err = q.list(q.related()...); err != nil {
			return err
		}
		if err := q.res.used(q, d); err != nil {
			return err
		}
	}
	tried := false
	err = again(func() error {
		err := q.definitions.Undefine(q.ctx, d.ID)
		if tried && errors.Is(err, port.ErrNotFound) {
			return nil // the first time worked
		}
		tried = true
		return err
	})
	return LookedUp(err, "%s %d", q.res.what, d.ID)
}

// again does something once more if nobody knows whether it was done. Each operation of the metadata store can be repeated.
func again(do func() error) error {
	err := do()
	if err == nil || errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrNotFound) || errors.Is(err, port.ErrNameTaken) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return do()
}
