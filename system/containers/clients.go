package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/mysql"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/s3"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// clients are the harness's own connections to the running topology.
type clients struct {
	log       *kafka.Log
	catalog   *mysql.Catalog
	blobs     *s3.Store
	transport *http.Transport
	ingests   []shepherd.Ingest
	holders   map[string]retriever.Holder // by node
	queriers  []query.Querier
}

// connect makes the harness's clients of roles and brokers; they reach every node through its published port. Those of
// MySQL and S3 are made when these are up.
func (w *World) connect() error {
	c := &clients{holders: map[string]retriever.Holder{}, transport: &http.Transport{
		// Answers are waited for as long as the caller's context says; only connecting has a bound here.
		DialContext:     (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		Proxy:           nil, // everything is on the loopback interface
		IdleConnTimeout: 30 * time.Second,
		// Open-model load sends many requests at once to each of few shepherds; a connection each time would cost more
		// than the request.
		MaxIdleConns: 0, MaxIdleConnsPerHost: 256, DisableCompression: true,
	}}
	if brokers := w.of(system.RoleKafka); len(brokers) > 0 {
		var seeds []string
		for _, n := range brokers {
			seeds = append(seeds, n.host())
		}
		var err error
		if c.log, err = kafka.New(w.wall, kafka.Options{Seeds: seeds}); err != nil {
			return fmt.Errorf("make the harness's Kafka client: %w", err)
		}
	}
	for _, n := range w.of(system.RoleShepherd) {
		c.ingests = append(c.ingests, shepherd.NewClient(n.url(), c.transport))
	}
	for _, n := range w.of(system.RoleRetriever) {
		c.holders[n.Name] = retriever.NewClient(n.url(), c.transport)
	}
	for _, n := range w.of(system.RoleQuery) {
		c.queriers = append(c.queriers, query.NewClient(n.url(), c.transport))
	}
	w.clients = c
	return nil
}

func (c *clients) close() {
	if c.log != nil {
		_ = c.log.Close()
	}
	if c.catalog != nil {
		_ = c.catalog.Close()
	}
	if c.blobs != nil {
		c.blobs.Close()
	}
	c.transport.CloseIdleConnections()
}

// Log implements the engine's World.
func (w *World) Log() port.Log { return w.clients.log }

// Catalog implements the engine's World. It is connected to the server itself, not through the proxy that faults are in.
func (w *World) Catalog() port.Metadata { return w.clients.catalog }

// Blobs implements the engine's World, as Catalog does.
func (w *World) Blobs() port.Blobs { return w.clients.blobs }

// Ingests implements the engine's World.
func (w *World) Ingests() []shepherd.Ingest { return w.clients.ingests }

// Queriers implements the engine's World.
func (w *World) Queriers() []query.Querier { return w.clients.queriers }

// Holder implements the engine's World.
func (w *World) Holder(node string) retriever.Holder {
	if h := w.clients.holders[node]; h != nil {
		return h
	}
	return noHolder{node}
}

// noHolder is a retriever that does not exist.
type noHolder struct{ node string }

func (h noHolder) err() error { return fmt.Errorf("there is no retriever %q", h.node) }

// Status implements retriever.Holder.
func (h noHolder) Status(context.Context) (retriever.Status, error) {
	return retriever.Status{}, h.err()
}

// Ranges implements retriever.Holder.
func (h noHolder) Ranges(context.Context) ([]retriever.Range, error) { return nil, h.err() }

// Holdings implements retriever.Holder.
func (h noHolder) Holdings(context.Context, int64, int) (retriever.Page, error) {
	return retriever.Page{}, h.err()
}

// ShepherdHealth implements the engine's World.
func (w *World) ShepherdHealth(ctx context.Context, node string) (shepherd.Health, error) {
	var h shepherd.Health
	n, err := w.node(node)
	if err != nil {
		return h, err
	}
	if n.Role != system.RoleShepherd {
		return h, fmt.Errorf("%s is no shepherd", node)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url()+"/status", nil)
	if err != nil {
		return h, fmt.Errorf("ask %s: %w", node, err)
	}
	res, err := w.clients.transport.RoundTrip(req)
	if err != nil {
		return h, fmt.Errorf("ask %s: %w", node, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return h, fmt.Errorf("ask %s: %w", node, err)
	}
	if res.StatusCode != http.StatusOK {
		return h, fmt.Errorf("ask %s: HTTP %s: %s", node, res.Status, strings.TrimSpace(string(text)))
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("%s does not answer with its state: %w", node, err)
	}
	return h, nil
}
