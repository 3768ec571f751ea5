package shepherd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/manage"
	"github.com/ratel-sim/ratel/system/port"
)

// manageTimeout is how long a request about the catalog waits for it.
const manageTimeout = 10 * time.Second

// maxManageBody bounds the body of a request about the catalog.
const maxManageBody = 16 << 10

// manage identifies the sender of a request about its team's part of the catalog.
func (h *handler) manage(w http.ResponseWriter, r *http.Request, serve func(context.Context, http.ResponseWriter, *http.Request, port.Team)) {
	ctx, cancel := h.s.r.WithTimeout(r.Context(), manageTimeout)
	defer cancel()
	t, code, text := h.s.identify(ctx, key(r))
	if t == nil {
		manage.Fail(w, code, text)
		return
	}
	defer h.s.leave(t)
	serve(ctx, w, r, h.s.teamOf(t))
}

func (s *Shepherd) teamOf(t *tenant) port.Team {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.team
}

// named is a name with its slug, as the API shows teams and environments.
type named struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

// auth says whose key it is. Keys here do not differ in what they may do, and there are no environments.
func (h *handler) auth(_ context.Context, w http.ResponseWriter, _ *http.Request, team port.Team) {
	defines := h.s.management != nil
	reply(w, http.StatusOK, map[string]any{
		"id":          strconv.FormatInt(team.ID, 10),
		"type":        "ingest",
		"team":        named{team.Name, catalog.Slug(team.Name)},
		"environment": named{},
		"api_key_access": map[string]bool{
			"events": true, "create_datasets": true, "columns": true, "queries": true, "markers": defines, "recipients": defines, "slos": defines, "triggers": defines,
		},
	})
}

// apiColumn is a column as the API shows it. Types is our own: all types that values have had.
type apiColumn struct {
	ID      string   `json:"id"`
	KeyName string   `json:"key_name"`
	Type    string   `json:"type"`
	Types   []string `json:"types"`
	Hidden  bool     `json:"hidden"`
}

func (h *handler) columns(ctx context.Context, w http.ResponseWriter, r *http.Request, team port.Team) {
	name, text := datasetName(strings.TrimPrefix(r.URL.EscapedPath(), pathColumns))
	if text != "" {
		manage.Fail(w, http.StatusBadRequest, text)
		return
	}
	ds, err := h.s.catalog.Dataset(ctx, team.ID, catalog.Slug(name))
	if err != nil {
		manage.FailWith(w, manage.LookedUp(err, "dataset %q", name))
		return
	}
	list, err := h.s.catalog.Columns(ctx, ds.ID)
	if err != nil {
		manage.FailWith(w, manage.LookedUp(err, "dataset %q", name))
		return
	}
	shown := make([]apiColumn, len(list))
	for i, c := range list {
		kinds := typeNames(c.Types)
		// The first is the widest: whatever the column holds can be shown as it.
		shown[i] = apiColumn{ID: strconv.FormatInt(ds.ID, 10) + "-" + strconv.Itoa(i), KeyName: c.Name, Type: kinds[0], Types: kinds}
	}
	reply(w, http.StatusOK, shown)
}

// typeNames names types as the API does, the widest first.
func typeNames(t port.ColumnTypes) []string {
	var names []string
	for _, x := range [...]struct {
		bit  port.ColumnTypes
		name string
	}{{port.ColumnString, "string"}, {port.ColumnFloat, "float"}, {port.ColumnInt, "integer"}, {port.ColumnBool, "boolean"}} {
		if t&x.bit != 0 {
			names = append(names, x.name)
		}
	}
	if names == nil {
		return []string{"string"}
	}
	return names
}

// apiDataset is a dataset as the API shows it. ID and Partitions are our own.
type apiDataset struct {
	ID         int64   `json:"id"`
	Name       string  `json:"name"`
	Slug       string  `json:"slug"`
	Created    string  `json:"created_at"`
	Partitions []int32 `json:"partitions"`
}

func showDataset(ds port.Dataset) apiDataset {
	return apiDataset{ID: ds.ID, Name: ds.Name, Slug: ds.Slug, Created: ds.Created.UTC().Format(time.RFC3339), Partitions: ds.Partitions}
}

func (h *handler) datasets(ctx context.Context, w http.ResponseWriter, r *http.Request, team port.Team) {
	rest := strings.TrimPrefix(r.URL.EscapedPath(), pathDatasets)
	switch rest {
	case "", "/":
		switch r.Method {
		case http.MethodPost:
			h.createDataset(ctx, w, r, team)
		case http.MethodGet, http.MethodHead:
			h.listDatasets(ctx, w, team)
		default:
			notAllowed(w, r, "GET, POST")
		}
	default:
		name, text := datasetName(rest[1:])
		if text != "" {
			manage.Fail(w, http.StatusBadRequest, text)
			return
		}
		switch r.Method {
		case http.MethodDelete, http.MethodGet, http.MethodHead:
			h.oneDataset(ctx, w, r, team, name)
		default:
			notAllowed(w, r, "GET, DELETE")
		}
	}
}

func notAllowed(w http.ResponseWriter, r *http.Request, methods string) {
	w.Header().Set("Allow", methods)
	fail(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed here: use "+methods)
}

func (h *handler) listDatasets(ctx context.Context, w http.ResponseWriter, team port.Team) {
	list, err := h.s.catalog.Datasets(ctx, team.ID)
	if err != nil {
		manage.FailWith(w, manage.LookedUp(err, "datasets"))
		return
	}
	shown := make([]apiDataset, len(list))
	for i := range list {
		shown[i] = showDataset(list[i])
	}
	reply(w, http.StatusOK, shown)
}

// createDataset answers 201, or 200 if the dataset is there already.
func (h *handler) createDataset(ctx context.Context, w http.ResponseWriter, r *http.Request, team port.Team) {
	var body struct {
		Name string `json:"name"`
	}
	raw, err := manage.ReadBody(w, r, maxManageBody)
	if err == nil {
		if err = json.Unmarshal(raw, &body); err != nil {
			err = manage.Malformed(fmt.Errorf(`expected {"name": "…"}: %w`, err))
		}
	}
	if err != nil {
		manage.FailWith(w, err)
		return
	}
	if text := checkDataset(body.Name); text != "" {
		manage.Fail(w, http.StatusBadRequest, text)
		return
	}
	ds, created, err := h.s.catalog.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: body.Name, Spread: h.s.cfg.Spread, Of: h.s.directory.Partitions()})
	switch {
	case err != nil:
		manage.FailWith(w, manage.LookedUp(err, "dataset %q", body.Name))
	case created:
		reply(w, http.StatusCreated, showDataset(ds))
	default:
		reply(w, http.StatusOK, showDataset(ds))
	}
}

func (h *handler) oneDataset(ctx context.Context, w http.ResponseWriter, r *http.Request, team port.Team, name string) {
	ds, err := h.s.catalog.Dataset(ctx, team.ID, catalog.Slug(name))
	if err == nil && r.Method == http.MethodDelete {
		err = h.s.catalog.DeleteDataset(ctx, ds.ID)
	}
	switch {
	case err != nil:
		manage.FailWith(w, manage.LookedUp(err, "dataset %q", name))
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusAccepted)
	default:
		reply(w, http.StatusOK, showDataset(ds))
	}
}
