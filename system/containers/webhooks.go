package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

const (
	webhookPath = "/webhook"
	maxWebhook  = 1 << 20
)

// receiver takes webhooks from the roles' containers.
type receiver struct{ server *http.Server }

// Receive implements the engine's World. It listens on the host's address in the run's own network, which nobody but the
// run's containers reaches.
func (w *World) Receive(ctx context.Context, sink interface {
	Deliver(key string, body []byte) error
}) (string, error) {
	if w.receiver != nil {
		return "", errors.New("webhooks are received already")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(w.gateway, 0).String())
	if err != nil {
		return "", &docker.Error{
			What: "receive webhooks", Why: fmt.Sprintf("the run's network has the address %s on this machine, and nothing can listen there: %v", w.gateway, err),
			Fix: "run where the Docker engine runs, not in a machine beside it",
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+webhookPath, func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, maxWebhook))
		if err != nil {
			http.Error(rw, "the body: "+err.Error(), http.StatusBadRequest)
			return
		}
		if err := sink.Deliver(req.Header.Get("Idempotency-Key"), body); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		}
	})
	w.receiver = &receiver{server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = w.receiver.server.Serve(listener) }()
	return "http://" + listener.Addr().String() + webhookPath, nil
}

func (r *receiver) close() {
	if r != nil {
		_ = r.server.Close()
	}
}
