package shepherd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/otlp"
)

const (
	pathOTLP      = "/v1/"
	headerDataset = "X-Honeycomb-Dataset"
	typeProto     = "application/protobuf"
	typeXProto    = "application/x-protobuf"

	// maxParts bounds the datasets of one request.
	maxParts = 1000
	// retryOverload is when a client that met overload, or a shepherd that drains, is told to try again.
	retryOverload = time.Second
)

// Texts of OTLP's errors, as Honeycomb answers them.
const (
	textNoTeam    = "missing 'x-honeycomb-team' header"
	textNoDataset = "missing 'x-honeycomb-dataset' header"
	textMedia     = "unsupported content-type, valid types are: application/protobuf, application/x-protobuf, application/json"
)

// export is what becomes of an OTLP request, over HTTP or gRPC. Its answer is a success if status is 200: everything that is
// not rejected is in Kafka. Otherwise none of it may be, or all.
type export struct {
	status   int
	code     otlp.Code
	text     string
	retry    time.Duration // when to try again; 0 if that is of no use, or if it is not known
	rate     Rate
	rejected int64
}

// exportFailed is an answer with the gRPC code that goes with an HTTP status.
func exportFailed(status int, text string) export {
	e := export{status: status, text: text}
	switch status {
	case http.StatusUnauthorized:
		e.code = otlp.Unauthenticated
	case http.StatusUnsupportedMediaType:
		e.code = otlp.Unimplemented
	case http.StatusTooManyRequests:
		e.code, e.retry = otlp.ResourceExhausted, retryOverload
	case http.StatusRequestEntityTooLarge:
		e.code = otlp.ResourceExhausted // without a time to try again a client does not
	case http.StatusServiceUnavailable:
		e.code, e.retry = otlp.Unavailable, retryOverload
	case http.StatusGatewayTimeout:
		e.code = otlp.DeadlineExceeded
	default:
		e.code = otlp.Internal
	}
	return e
}

// otlp serves OTLP over HTTP.
func (h *handler) otlp(w http.ResponseWriter, r *http.Request, path string) {
	signal, ok := signalOf(path, otlp.Signal.Path)
	if !ok {
		fail(w, http.StatusNotFound, "unknown path: there are POST /v1/traces, POST /v1/logs and POST /v1/metrics")
		return
	}
	if !allow(w, r, http.MethodPost) {
		return
	}
	media := mediaOf(r)
	how := otlp.Decode
	switch media {
	case typeProto, typeXProto:
	case typeJSON:
		how = otlp.DecodeJSON
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		_, _ = w.Write([]byte(textMedia + "\n"))
		return
	}
	e := h.export(r.Context(), r.Header, signal, how, func() (body, error) { return bodyOf(r), nil })
	tellRate(w, e.rate)
	if e.retry > 0 && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((e.retry+time.Second-1)/time.Second), 10))
	}
	if e.status == http.StatusOK {
		w.Header().Del("Retry-After") // it was taken: the next one's time is no error's
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(e.status)
	var answer []byte
	switch json := media == typeJSON; {
	case e.status == http.StatusOK && json:
		answer = otlp.AppendSuccessJSON(nil, signal, e.rejected, e.text)
	case e.status == http.StatusOK:
		answer = otlp.AppendSuccess(nil, e.rejected, e.text)
	case json:
		answer = otlp.AppendStatusJSON(nil, e.code, e.text)
	default:
		answer = otlp.AppendStatus(nil, e.code, e.text, e.retry)
	}
	_, _ = w.Write(answer)
}

// signalOf finds the signal whose name, by a function of [otlp.Signal], is as given.
func signalOf(name string, of func(otlp.Signal) string) (otlp.Signal, bool) {
	for _, s := range [...]otlp.Signal{otlp.Traces, otlp.Logs, otlp.Metrics} {
		if of(s) == name {
			return s, true
		}
	}
	return 0, false
}

// decodeOTLP is otlp.Decode or otlp.DecodeJSON.
type decodeOTLP func(otlp.Signal, []byte, otlp.Options) (*otlp.Request, error)

// export takes a request. open is called once its sender is known and gives its body.
func (h *handler) export(ctx context.Context, header http.Header, signal otlp.Signal, how decodeOTLP, open func() (body, error)) export {
	key := keyOf(header)
	o := otlp.Options{Dataset: header.Get(headerDataset), Classic: classicKey(key)}
	switch {
	case key == "":
		return exportFailed(http.StatusUnauthorized, textNoTeam)
	case o.Classic && o.Dataset == "" && signal != otlp.Logs:
		return exportFailed(http.StatusUnauthorized, textNoDataset)
	case o.Dataset != "" && (o.Classic || signal == otlp.Logs) && checkDataset(o.Dataset) != "": // else it is not used
		return exportFailed(http.StatusBadRequest, checkDataset(o.Dataset))
	}
	t, code, text := h.s.identify(ctx, key)
	if t == nil {
		return exportFailed(code, text)
	}
	defer h.s.leave(t)
	if rate, text := h.s.limited(t); text != "" {
		e := exportFailed(http.StatusTooManyRequests, text)
		e.rate, e.retry = rate, rate.Next
		return e
	}
	in := h.newIntake(t)
	defer in.end()
	from, err := open()
	if err != nil {
		return exportProblem(err)
	}
	req, err := decode(in, from, func(body []byte, options event.Options) (*otlp.Request, error) {
		o.Options = options
		return how(signal, body, o)
	})
	if err != nil {
		return exportProblem(err)
	}
	return h.deliver(ctx, in, req)
}

// exportProblem answers with an error that was found while a body was read.
func exportProblem(err error) export {
	var p *problem
	if errors.As(err, &p) {
		return exportFailed(p.status, p.text)
	}
	return exportFailed(http.StatusBadRequest, err.Error())
}

// deliver takes the events that could be decoded. The items are forgotten.
func (h *handler) deliver(ctx context.Context, in *intake, req *otlp.Request) export {
	parts, at, err := partsOf(req, in.gather(len(req.Items)))
	if err != nil {
		return exportProblem(err)
	}
	problems := problemsOf(req.Items)
	answer := Answer{Code: http.StatusOK}
	if len(parts) > 0 {
		answer = h.s.acceptWhole(ctx, in.t, parts, in.forget)
	}
	if answer.Code != http.StatusOK {
		return exportFailed(answer.Code, answer.Error)
	}
	e := outcome(answer.Statuses)
	if e.rate = answer.Rate; e.status == http.StatusTooManyRequests && answer.Rate.Next > 0 {
		e.retry = answer.Rate.Next
	}
	if e.status != http.StatusOK {
		return e
	}
	bad := Totals{}
	e.rejected = req.Rejected(func(item int) bool {
		text := problems[item]
		if text != "" {
			bad.Malformed++
		} else if s := &answer.Statuses[at[item]]; s.Code == Malformed {
			text = s.Error
		}
		if text != "" && e.text == "" {
			e.text = text
		}
		return text != ""
	})
	h.s.add(bad)
	return e
}

// outcome is the answer to a whole request whose events have the given statuses. Those that are rejected for good do not
// spoil it. If some are in Kafka, or may be, and others are not, what became of the request is not known: it must be sent
// again, and some of its events will be there twice.
func outcome(statuses []Status) export {
	n := map[int]int{}
	text := ""
	for i := range statuses {
		s := &statuses[i]
		if n[s.Code]++; s.Code > Malformed && text == "" {
			text = s.Error
		}
	}
	switch {
	case n[Unknown] == 0 && n[Refused] == 0 && n[Throttled] == 0:
		return export{status: http.StatusOK}
	case n[Unknown] > 0 || n[Accepted] > 0:
		return exportFailed(http.StatusGatewayTimeout, fmt.Sprintf("%d of %d events are stored, what became of the others is: %s", n[Accepted], len(statuses), text))
	case n[Refused] > 0:
		return exportFailed(http.StatusServiceUnavailable, text)
	}
	return exportFailed(http.StatusTooManyRequests, text)
}

// problemsOf says what is wrong with those items that could not be decoded.
func problemsOf(items []event.Item) map[int]string {
	var problems map[int]string // mostly there are none
	for i := range items {
		if text := items[i].Problem; text != "" {
			if problems == nil {
				problems = map[int]string{}
			}
			problems[i] = text
		}
	}
	return problems
}

// partsOf sorts a request's events by their datasets, and puts them into events. at says, for each item, which of the statuses will
// be its.
func partsOf(req *otlp.Request, events []event.Event) (parts []part, at []int32, err error) {
	at = make([]int32, len(req.Items))
	byName := map[string][]int{} // the runs of each dataset
	names := make([]string, 0, 1)
	for i := range req.Runs {
		name := req.Runs[i].Dataset
		if _, ok := byName[name]; !ok {
			names = append(names, name)
		}
		byName[name] = append(byName[name], i)
	}
	if len(names) > maxParts {
		return nil, nil, &problem{http.StatusBadRequest, fmt.Sprintf("the request has events for %d datasets, at most %d are allowed", len(names), maxParts)}
	}
	for _, name := range names {
		start := len(events)
		for _, run := range byName[name] {
			first := 0
			if run > 0 {
				first = req.Runs[run-1].End
			}
			for i := first; i < req.Runs[run].End; i++ {
				if req.Items[i].Problem == "" {
					at[i] = int32(len(events))
					events = append(events, req.Items[i].Event)
				}
			}
		}
		if len(events) > start {
			parts = append(parts, part{dataset: name, events: events[start:len(events):len(events)]})
		}
	}
	return parts, at, nil
}

// classicKey says whether a key is of the kind that names its dataset itself: 32 hexadecimal digits, or an ingest key of 64
// characters that begins with hc, a letter, and ic_.
func classicKey(key string) bool {
	digits := func(s string, last byte) bool {
		for i := range len(s) {
			if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > last) {
				return false
			}
		}
		return true
	}
	switch len(key) {
	case 32:
		return digits(key, 'f')
	case 64:
		return key[:2] == "hc" && key[2] >= 'a' && key[2] <= 'z' && key[3:6] == "ic_" && digits(key[6:], 'z')
	}
	return false
}
