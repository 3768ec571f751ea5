package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	pathPeer = "/peer/"
	// headerTimeout carries what is left of the caller's time, in milliseconds, so that nobody works for a caller who
	// has given up.
	headerTimeout = "Ratel-Timeout-Ms"
	// statusPeerError says that the service itself returned an error; the body is its text.
	statusPeerError = http.StatusUnprocessableEntity

	// Bounds on what is read into memory: a request is a query's specification or a key, a reply may be a whole segment.
	maxPeerRequest = 4 << 20
	maxPeerReply   = 256 << 20
	maxPeerText    = 16 << 10
)

// peers calls other roles over HTTP: POST /peer/<service> with the request as the body. It implements [port.Peers].
type peers struct {
	r         rt.Runtime
	addresses map[string]string // by node
	transport *http.Transport
}

func newPeers(r rt.Runtime, addresses map[string]string) *peers {
	return &peers{r: r, addresses: addresses, transport: &http.Transport{
		// A node that is gone refuses at once or not at all; a second is plenty between neighbours.
		DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
		Proxy:       nil, DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
	}}
}

// Call implements [port.Peers].
func (p *peers) Call(ctx context.Context, node, service string, request []byte) ([]byte, error) {
	fail := func(err error) error { return fmt.Errorf("call %s of %s: %w", service, node, err) }
	address, ok := p.addresses[node]
	if !ok {
		return nil, fail(fmt.Errorf("%w: no address of that node is known", port.ErrRefused))
	}
	if len(request) > maxPeerRequest {
		return nil, fail(fmt.Errorf("%w: a request of %d bytes, at most %d are sent", port.ErrRefused, len(request), maxPeerRequest))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+pathPeer+url.PathEscape(service), bytes.NewReader(request))
	if err != nil {
		return nil, fail(fmt.Errorf("%w: %w", port.ErrRefused, err))
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if deadline, ok := ctx.Deadline(); ok {
		left := max(deadline.Sub(p.r.Now()), time.Millisecond)
		req.Header.Set(headerTimeout, strconv.FormatInt(left.Milliseconds(), 10))
	}
	res, err := p.transport.RoundTrip(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" { // no connection was made, so nothing was sent
			return nil, fail(fmt.Errorf("%w: %w", port.ErrRefused, err))
		}
		return nil, fail(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		reply, err := readBounded(res.Body, res.ContentLength, maxPeerReply)
		if err != nil {
			return nil, fail(fmt.Errorf("read the reply: %w", err))
		}
		return reply, nil
	case statusPeerError:
		text, err := io.ReadAll(io.LimitReader(res.Body, maxPeerText))
		if err != nil {
			return nil, fail(fmt.Errorf("read the error: %w", err))
		}
		return nil, &port.PeerError{Node: node, Service: service, Text: string(text)}
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	return nil, fail(fmt.Errorf("HTTP %s: %s", res.Status, strings.TrimSpace(string(text))))
}

// errTooLong says that a body is longer than its bound.
var errTooLong = errors.New("longer than allowed")

// readBounded reads a body of at most limit bytes. size is its announced length, -1 if unknown; nothing is set aside for
// what is only announced.
func readBounded(body io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errTooLong, size, limit)
	}
	var buf bytes.Buffer
	if size > 0 {
		buf.Grow(int(min(size, 1<<20)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return buf.Bytes(), nil
}

// close lets kept connections go.
func (p *peers) close() { p.transport.CloseIdleConnections() }

// servePeers serves what a role's peers may ask of it. It asks nobody for a key, so it has a listener of its own.
func servePeers(r rt.Runtime, server port.PeerServer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPeer+"{service}", func(w http.ResponseWriter, req *http.Request) {
		body, err := readBounded(req.Body, req.ContentLength, maxPeerRequest)
		if err != nil {
			code := http.StatusBadRequest
			if errors.Is(err, errTooLong) {
				code = http.StatusRequestEntityTooLarge
			}
			http.Error(w, "the request: "+err.Error(), code)
			return
		}
		ctx := req.Context()
		if text := req.Header.Get(headerTimeout); text != "" {
			ms, err := strconv.ParseInt(text, 10, 32)
			if err != nil || ms < 1 {
				http.Error(w, fmt.Sprintf("%s: %q, expected milliseconds", headerTimeout, text), http.StatusBadRequest)
				return
			}
			limited, cancel := r.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer cancel()
			ctx = limited
		}
		reply, err := server.ServePeer(ctx, req.PathValue("service"), body)
		if err != nil {
			http.Error(w, err.Error(), statusPeerError)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
		_, _ = w.Write(reply)
	})
	return mux
}
