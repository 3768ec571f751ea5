package shepherd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manage"
)

// Names of the API.
const (
	pathBatch    = "/1/batch/"
	pathEvents   = "/1/events/"
	pathAuth     = "/1/auth"
	pathColumns  = "/1/columns/"
	pathDatasets = "/1/datasets"
	pathHealthz  = "/healthz"
	pathStatus   = "/status"

	headerTeam       = "X-Honeycomb-Team"
	headerTeamOld    = "X-Hny-Team" // as libhoney-js sends it
	headerTime       = "X-Honeycomb-Event-Time"
	headerSampleRate = "X-Honeycomb-Samplerate"
	headerReceipts   = "X-Ratel-Receipts"
	receiptsKafka    = "kafka"
	typeJSON         = "application/json"
	typeMsgpack      = "application/msgpack"
)

// handler is the HTTP face of a shepherd.
type handler struct {
	s *Shepherd
	*pools
}

// pools are what requests use one after the other. They are no part of anything larger: the runtime keeps a pool that was
// used until the second collection after that, with all that it is a part of, and a simulated run ends long before.
type pools struct {
	small, large sync.Pool // of *zstd.Decoder, by their window
	gzip         sync.Pool // of *gzip.Reader
	memory       sync.Pool // of *memory
}

func newHandler(s *Shepherd) *handler { return &handler{s, &pools{}} }

// Handler serves, as Honeycomb's API documents them, POST /1/batch/{dataset}, POST /1/events/{dataset}, both in JSON and
// MessagePack, POST /v1/traces, /v1/logs and /v1/metrics of OTLP, in protobuf and JSON, GET /1/auth, GET
// /1/columns/{dataset}, GET and POST /1/datasets, GET and DELETE /1/datasets/{slug}, and the paths of package manage if there
// is a store for what teams define; and GET /healthz (200, or 503 while draining) and GET /status (JSON, [Health]). A request
// header "X-Ratel-Receipts: kafka" asks a batch for receipts: the status of each accepted event then has "partition" and
// "offset".
func Handler(s *Shepherd) http.Handler { return newHandler(s) }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, pathBatch):
		if allow(w, r, http.MethodPost) {
			h.ingest(w, r, path[len(pathBatch):], h.batch)
		}
	case strings.HasPrefix(path, pathEvents):
		if allow(w, r, http.MethodPost) {
			h.ingest(w, r, path[len(pathEvents):], h.event)
		}
	case strings.HasPrefix(path, pathOTLP):
		h.otlp(w, r, path)
	case path == pathAuth:
		if allow(w, r, http.MethodGet) {
			h.manage(w, r, h.auth)
		}
	case strings.HasPrefix(path, pathColumns):
		if allow(w, r, http.MethodGet) {
			h.manage(w, r, h.columns)
		}
	case path == pathDatasets || strings.HasPrefix(path, pathDatasets+"/"):
		h.manage(w, r, h.datasets)
	case h.s.management != nil && manage.Serves(path):
		h.manage(w, r, h.s.management.Serve)
	case path == pathHealthz:
		if allow(w, r, http.MethodGet) {
			h.healthz(w)
		}
	case path == pathStatus:
		if allow(w, r, http.MethodGet) {
			reply(w, http.StatusOK, h.s.Health())
		}
	default:
		definitions := ""
		if h.s.management != nil {
			definitions = ", " + manage.Paths()
		}
		fail(w, http.StatusNotFound, "unknown path: there are POST /1/batch/{dataset}, POST /1/events/{dataset}, POST /v1/traces, /v1/logs and /v1/metrics, GET /1/auth, GET /1/columns/{dataset}, /1/datasets"+definitions+", GET /healthz and GET /status")
	}
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	// The client has gone if this fails.
	_ = json.NewEncoder(w).Encode(v)
}

func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return true
	}
	notAllowed(w, r, method)
	return false
}

func (h *handler) healthz(w http.ResponseWriter) {
	if h.s.Health().Draining {
		fail(w, http.StatusServiceUnavailable, "draining")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// problem is an error with its HTTP status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// fail answers with an error in the API's shape.
func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	body := append([]byte(`{"status":`), strconv.Itoa(status)...)
	if status == http.StatusTooManyRequests {
		body = append(body, `,"type":"https://api.honeycomb.io/problems/rate-limited"`...)
	}
	body = event.AppendJSONString(append(body, `,"title":`...), http.StatusText(status))
	body = event.AppendJSONString(append(body, `,"error":`...), text)
	_, _ = w.Write(append(body, "}\n"...))
}

// failWith answers with an error that was found while a body was decoded.
func failWith(w http.ResponseWriter, err error) {
	var p *problem
	if errors.As(err, &p) {
		fail(w, p.status, p.text)
		return
	}
	fail(w, http.StatusBadRequest, err.Error()) // event's own errors are texts for clients
}

// key is the API key of a request.
func key(r *http.Request) string { return keyOf(r.Header) }

func keyOf(header http.Header) string {
	if k := header.Get(headerTeam); k != "" {
		return k
	}
	return header.Get(headerTeamOld)
}

// ingest identifies the sender of events for a dataset, and holds what the request takes in the sender's name until it is
// answered.
func (h *handler) ingest(w http.ResponseWriter, r *http.Request, rawDataset string, serve func(http.ResponseWriter, *http.Request, *intake, string)) {
	if text := checkKey(key(r)); text != "" {
		fail(w, http.StatusUnauthorized, text)
		return
	}
	dataset, text := datasetName(rawDataset)
	if text != "" {
		fail(w, http.StatusBadRequest, text)
		return
	}
	t, code, text := h.s.identify(r.Context(), key(r))
	if t == nil {
		fail(w, code, text)
		return
	}
	defer h.s.leave(t)
	if rate, text := h.s.limited(t); text != "" {
		tellRate(w, rate)
		fail(w, http.StatusTooManyRequests, text)
		return
	}
	in := h.newIntake(t)
	defer in.end()
	serve(w, r, in, dataset)
}

// datasetName reads a dataset's name from a path, and says what is wrong with it.
func datasetName(raw string) (name, problem string) {
	name, err := url.PathUnescape(raw)
	if err != nil {
		return "", "the dataset's name is not escaped as a URL demands: " + err.Error()
	}
	return name, checkDataset(name)
}

func (h *handler) batch(w http.ResponseWriter, r *http.Request, in *intake, dataset string) {
	packed, err := isMsgpack(r)
	if err != nil {
		failWith(w, err)
		return
	}
	how := event.DecodeBatch
	if packed {
		how = event.DecodeBatchMsgpack
	}
	items, err := decode(in, bodyOf(r), how)
	if err != nil {
		failWith(w, err)
		return
	}
	answer := h.accept(r, in, dataset, items)
	if answer.Code != http.StatusOK {
		fail(w, answer.Code, answer.Error)
		return
	}
	tellRate(w, answer.Rate)
	write, kind := appendStatuses, typeJSON
	if wantsMsgpack(r, packed) {
		write, kind = appendStatusesMsgpack, typeMsgpack
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(write(make([]byte, 0, 32*len(answer.Statuses)), answer.Statuses))
}

// event takes a single event: its body is the data, the rest is in headers.
func (h *handler) event(w http.ResponseWriter, r *http.Request, in *intake, dataset string) {
	packed, err := isMsgpack(r)
	if err != nil {
		failWith(w, err)
		return
	}
	how := event.DecodeEvent
	if packed {
		how = event.DecodeEventMsgpack
	}
	item, err := decode(in, bodyOf(r), func(body []byte, o event.Options) (event.Item, error) {
		return how(body, r.Header.Get(headerTime), r.Header.Get(headerSampleRate), o)
	})
	if err != nil {
		failWith(w, err)
		return
	}
	answer := h.accept(r, in, dataset, []event.Item{item})
	if answer.Code != http.StatusOK {
		fail(w, answer.Code, answer.Error)
		return
	}
	tellRate(w, answer.Rate)
	if s := answer.Statuses[0]; s.Code != Accepted {
		fail(w, s.Code, s.Error)
	}
}

// tellRate writes the headers of the tightest limit.
func tellRate(w http.ResponseWriter, r Rate) {
	if r.Limit == 0 {
		return
	}
	seconds := func(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
	w.Header().Set("RateLimit", fmt.Sprintf("limit=%d,remaining=%d,reset=%d", r.Limit, max(r.Remaining, 0), seconds(r.Reset)))
	w.Header().Set("RateLimit-Policy", fmt.Sprintf("%d;w=%d", r.Limit, seconds(r.Window)))
	if r.Next > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(r.Next), 10))
	}
}

// accept passes on the events that could be decoded and merges the answers with those for the others. The items are forgotten.
func (h *handler) accept(r *http.Request, in *intake, dataset string, items []event.Item) Answer {
	events := in.gather(len(items))
	var merged []Status // of all items, if some could not be decoded
	for i := range items {
		if items[i].Problem == "" {
			events = append(events, items[i].Event)
			continue
		}
		if merged == nil {
			merged = make([]Status, len(items))
		}
		merged[i] = Status{Code: Malformed, Error: items[i].Problem, Partition: -1, Offset: -1}
	}
	answer := Answer{Code: http.StatusOK}
	if len(events) > 0 {
		answer = h.s.acceptFrom(r.Context(), in.t, Request{Dataset: dataset, Events: events, Receipts: r.Header.Get(headerReceipts) == receiptsKafka, forget: in.forget})
		if answer.Code != http.StatusOK || merged == nil {
			return answer
		}
	}
	bad := Totals{}
	for i, next := 0, 0; i < len(merged); i++ {
		if merged[i].Code != 0 {
			bad.Malformed++
			continue
		}
		merged[i] = answer.Statuses[next]
		next++
	}
	h.s.add(bad)
	answer.Statuses = merged
	return answer
}
