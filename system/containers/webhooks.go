package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

const (
	webhookPath = "/webhook"
	maxWebhook  = 1 << 20
	// lastWebhooks is how long those may take that are being received when the receiver ends.
	lastWebhooks = 2 * time.Second
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
	listener, server, err := receive(ctx, netip.AddrPortFrom(w.gateway, 0).String(), sink)
	if err != nil {
		return "", err
	}
	w.receiver = &receiver{server}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String() + webhookPath, nil
}

// Sink is handed the webhooks that are received; an error is answered to the sender, who tries again.
type Sink interface {
	Deliver(key string, body []byte) error
}

// ReceiveWebhooks listens at the address that the world is told of as [Standing].Webhooks, and hands what comes to sink
// until ctx ends. ready is called once it listens.
func (s *Standing) ReceiveWebhooks(ctx context.Context, sink Sink, ready func()) error {
	at, err := url.Parse(s.Webhooks)
	if err != nil || at.Host == "" {
		return &docker.Error{What: "receive webhooks", Why: "this world was started by a version of ratel that did not set an address aside for them", Fix: "remove it with 'ratel down' and start it again"}
	}
	listener, server, err := receive(ctx, at.Host, sink)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready()
	select {
	case err = <-served:
		return fmt.Errorf("receive webhooks: %w", err)
	case <-ctx.Done():
	}
	// What is being received is answered still: its sender would send it again.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWebhooks)
	defer cancel()
	_ = server.Shutdown(last)
	return nil
}

// receive listens at an address of this machine in the run's network, and makes the server for it.
func receive(ctx context.Context, address string, sink Sink) (net.Listener, *http.Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil, &docker.Error{What: "receive webhooks", Why: "somebody listens at " + address + " already", Fix: "end the other receiver, or use it"}
	}
	if err != nil {
		return nil, nil, &docker.Error{
			What: "receive webhooks", Why: fmt.Sprintf("%s is this machine's address in the world's network, and nothing can listen there: %v", address, err),
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
	return listener, &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}, nil
}

func (r *receiver) close() {
	if r != nil {
		_ = r.server.Close()
	}
}
