package containers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// clients are the harness's own connections to the running topology.
type clients struct {
	log       *kafka.Log
	transport *http.Transport
	ingests   []shepherd.Ingest
	holders   []retriever.Holder
}

// connect makes the harness's clients; they reach every node through its published port.
func (w *World) connect() error {
	c := &clients{transport: &http.Transport{
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
		c.ingests = append(c.ingests, shepherd.NewClient("http://"+n.host(), c.transport))
	}
	for _, n := range w.of(system.RoleRetriever) {
		c.holders = append(c.holders, retriever.NewClient("http://"+n.host(), c.transport))
	}
	w.clients = c
	return nil
}

func (c *clients) close() {
	if c.log != nil {
		_ = c.log.Close()
	}
	c.transport.CloseIdleConnections()
}

// Log implements the engine's World.
func (w *World) Log() port.Log { return w.clients.log }

// Ingests implements the engine's World.
func (w *World) Ingests() []shepherd.Ingest { return w.clients.ingests }

// Holder implements the engine's World.
func (w *World) Holder(partition int32) retriever.Holder {
	if partition < 0 || int(partition) >= len(w.clients.holders) {
		return noHolder{partition}
	}
	return w.clients.holders[partition]
}

// noHolder is the retriever of a partition that does not exist.
type noHolder struct{ partition int32 }

// Status implements retriever.Holder.
func (h noHolder) Status(context.Context) (retriever.Status, error) {
	return retriever.Status{}, fmt.Errorf("there is no partition %d", h.partition)
}

// Holdings implements retriever.Holder.
func (h noHolder) Holdings(context.Context, int64, int) (retriever.Page, error) {
	return retriever.Page{}, fmt.Errorf("there is no partition %d", h.partition)
}
