package sim

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
)

// httpRequest is an HTTP request on the simulated wire.
type httpRequest struct {
	method, url string
	header      http.Header
	body        []byte
}

// httpResponse is an HTTP response on the simulated wire.
type httpResponse struct {
	status int
	header http.Header
	body   []byte
}

// transport carries HTTP over the simulated network: an http.RoundTripper without sockets.
type transport struct {
	w             *World
	node, service string
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = b
	}
	m := simnet.Message{
		Body: &httpRequest{method: req.Method, url: req.URL.String(), header: req.Header, body: body},
		Size: 300 + len(body), Sum: uint64(crc32.ChecksumIEEE(body)),
	}
	reply, err := simnet.Call(req.Context(), t.w.harness, t.w.home, t.node, t.service, m)
	if err != nil {
		return nil, err
	}
	r := reply.Body.(*httpResponse)
	return &http.Response{
		Status: http.StatusText(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)), Request: req,
	}, nil
}

// serveHTTP runs a role's real HTTP handler on what arrives.
func serveHTTP(p *sched.Process, n *simnet.Node, service string, handler http.Handler) {
	serve(p, n, service, func(ctx context.Context, m simnet.Message) simnet.Message {
		in := m.Body.(*httpRequest)
		req, err := http.NewRequestWithContext(ctx, in.method, in.url, bytes.NewReader(in.body))
		rec := httptest.NewRecorder()
		if err != nil {
			rec.WriteHeader(http.StatusBadRequest)
		} else {
			req.Header = in.header
			handler.ServeHTTP(rec, req)
		}
		body := rec.Body.Bytes()
		return simnet.Message{
			Body: &httpResponse{status: rec.Code, header: rec.Header(), body: body},
			Size: 200 + len(body), Sum: uint64(crc32.ChecksumIEEE(body)),
		}
	})
}

// httpShare is the reciprocal share of seeds whose requests travel as real HTTP: decoding JSON costs more than all else of
// a batch together, so most seeds go without, and every exploration of some size still goes through the real path.
const httpShare = 50

// TravelsOverHTTP says whether a seed's requests travel as real HTTP. It is a function of the seed alone, so that a replay agrees.
func TravelsOverHTTP(seed uint64) bool {
	return seed*0x9e3779b97f4a7c15>>32%httpShare == httpShare-1
}
