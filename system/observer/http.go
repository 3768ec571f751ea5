package observer

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// BatchPath is where batches are posted, with the dataset behind it: the batch API, as shepherds have it.
const BatchPath = "/1/batch/"

// Handler is the collector's interface over HTTP: the batch API's shape, so that a shepherd can stand in its place.
func Handler(c *Collector) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("POST "+BatchPath+"{dataset}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBatch))
		if err != nil {
			http.Error(w, "the body: "+err.Error(), http.StatusBadRequest)
			return
		}
		switch err := c.Observe(r.Context(), r.PathValue("dataset"), body); {
		case errors.Is(err, ErrFull):
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusTooManyRequests)
		case errors.Is(err, ErrMalformed):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil: // who asked is gone
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			answer(w, body)
		}
	})
	return mux
}

// answer says of each event that it was taken.
func answer(w http.ResponseWriter, body []byte) {
	var events []json.RawMessage
	if err := json.Unmarshal(body, &events); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	type status struct {
		Status int `json:"status"`
	}
	list := make([]status, len(events))
	for i := range list {
		list[i].Status = http.StatusAccepted
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}
