package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/ratel-sim/ratel/system/port"
)

// ServiceRun is the service of a query node that answers a query among peers: what [EncodeRun] writes, answered with what
// [DecodeAnswer] reads. It is how alerts are evaluated, and no way in for clients: it believes the IDs that it is told.
const ServiceRun = "run"

// maxRun bounds an answer among peers, as exec.Result.Size tells: it is in memory several times.
const maxRun = 32 << 20

var _ port.PeerServer = (*Server)(nil)

// wireRun is a request among peers.
type wireRun struct {
	Team          string          `json:"team,omitempty"` // an API key
	Dataset       string          `json:"dataset,omitempty"`
	Spec          json.RawMessage `json:"spec"`
	DisableSeries bool            `json:"disable_series,omitempty"`
	Limit         int             `json:"limit,omitempty"`
	TeamID        int64           `json:"team_id,omitempty"`
	DatasetID     int64           `json:"dataset_id,omitempty"`
}

// wireAnswer is an answer among peers; with code 200, Result is what the API answers to a poll.
type wireAnswer struct {
	Code   int             `json:"code"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// EncodeRun writes a request to a peer. A specification that is no JSON is an error.
func EncodeRun(req Request) ([]byte, error) {
	if len(req.Spec) == 0 {
		req.Spec = json.RawMessage("{}")
	}
	b, err := json.Marshal(wireRun(req))
	if err != nil {
		return nil, fmt.Errorf("query: the request cannot be written: %w", err)
	}
	return b, nil
}

// DecodeAnswer reads a peer's answer.
func DecodeAnswer(data []byte) (Answer, error) {
	var w wireAnswer
	if err := json.Unmarshal(data, &w); err != nil {
		return Answer{}, fmt.Errorf("query: a peer's answer cannot be read: %w", err)
	}
	if w.Code != http.StatusOK {
		if w.Code == 0 {
			return Answer{}, errors.New("query: a peer's answer has no code")
		}
		return Answer{Code: w.Code, Error: w.Error}, nil
	}
	var r wireResult
	if err := json.Unmarshal(w.Result, &r); err != nil {
		return Answer{}, fmt.Errorf("query: a peer's result cannot be read: %w", err)
	}
	a, err := r.answer()
	if err != nil {
		return Answer{}, fmt.Errorf("query: a peer's result cannot be read: %w", err)
	}
	return a, nil
}

// ServePeer implements [port.PeerServer]: the service [ServiceRun].
func (s *Server) ServePeer(ctx context.Context, service string, request []byte) ([]byte, error) {
	if service != ServiceRun {
		return nil, fmt.Errorf("no service %q: there is %s", service, ServiceRun)
	}
	var w wireRun
	if err := json.Unmarshal(request, &w); err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	a, err := s.Query(ctx, Request(w))
	if err != nil {
		return nil, err
	}
	if size := a.Result.Size(); size > maxRun {
		a = *refusal(http.StatusUnprocessableEntity, "the answer is %d MiB large, at most %d MiB are sent among peers: ask for a lower limit, fewer calculations or fewer breakdowns", size>>20, maxRun>>20)
	}
	return EncodeAnswer(&a)
}

// EncodeAnswer writes an answer for [DecodeAnswer].
func EncodeAnswer(a *Answer) ([]byte, error) {
	w := wireAnswer{Code: a.Code, Error: a.Error}
	if a.Code == http.StatusOK {
		breakdowns := len(a.Result.Columns)
		if len(a.Result.Rows) > 0 {
			breakdowns -= len(a.Result.Rows[0].Values)
		}
		var err error
		if w.Result, err = appendResult(nil, "", "", breakdowns, a, func(b []byte) []byte { return b }); err != nil {
			return nil, fmt.Errorf("the result cannot be written: %w", err)
		}
	}
	return json.Marshal(w)
}

// resolveIDs finds the datasets that a peer names by ID. A dataset of another team is not found.
func (s *Server) resolveIDs(ctx context.Context, req *Request) (port.Team, []int64, *Answer) {
	team := port.Team{ID: req.TeamID}
	if req.DatasetID == 0 {
		return s.resolveAll(ctx, team)
	}
	ds, err := s.ports.Catalog.DatasetByID(ctx, req.DatasetID)
	switch {
	case errors.Is(err, port.ErrNotFound) || err == nil && ds.Team != req.TeamID:
		return team, nil, refusal(http.StatusNotFound, "there is no dataset %d of team %d", req.DatasetID, req.TeamID)
	case err != nil:
		return team, nil, refusal(http.StatusServiceUnavailable, "the dataset cannot be looked up now: %v", err)
	}
	return team, []int64{ds.ID}, nil
}
