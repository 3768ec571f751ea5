package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/process"
)

// Probe implements the engine's World: it asks a node once, from the host, through its published port.
func (w *World) Probe(ctx context.Context, name string) (system.Reach, string) {
	if w.isObserver(name) {
		return w.collector.probe(ctx)
	}
	n, err := w.node(name)
	if err != nil {
		return system.Refuses, err.Error()
	}
	return w.probe(ctx, n)
}

func (w *World) probe(ctx context.Context, n *node) (system.Reach, string) {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	switch n.Role {
	case system.RoleZooKeeper:
		return probeZooKeeper(ctx, n.host())
	case system.RoleKafka:
		return probeKafka(n.host(), int32(n.Number))
	case system.RoleMySQL:
		return probeMySQL(ctx, n.host())
	case system.RoleS3:
		return probeS3(ctx, n.host())
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		return probeHTTP(ctx, n.host(), "/healthz")
	case process.RoleProxy:
		return probeProxy(ctx, n.host())
	}
	return system.Refuses, fmt.Sprintf("no way to probe a node of role %q", n.Role)
}

// reachOf says what an asker has seen by the error that it got. A connection that is closed without an answer means that
// nobody listens inside the container: the engine's proxy had accepted it. Only that a deadline passed means silence.
func reachOf(err error) system.Reach {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNoProcess):
		return system.Refuses
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return system.Silent
	}
	return system.Silent
}

// probeKafka asks a broker for the cluster's metadata. It answers when it lists itself: a broker that has just started
// serves connections before it has heard of the cluster.
func probeKafka(addr string, id int32) (system.Reach, string) {
	began := time.Now()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_9_0_0
	cfg.ClientID = "ratel-probe"
	cfg.ApiVersionsRequest = false
	cfg.Net.DialTimeout, cfg.Net.ReadTimeout, cfg.Net.WriteTimeout = probeDeadline, probeDeadline, probeDeadline
	b := sarama.NewBroker(addr)
	if err := b.Open(cfg); err != nil {
		return reachOf(err), err.Error()
	}
	defer func() { _ = b.Close() }()
	res, err := b.GetMetadata(sarama.NewMetadataRequest(cfg.Version, []string{system.EventsTopic}))
	if err != nil {
		return reachOf(err), err.Error()
	}
	for _, other := range res.Brokers {
		if other.ID() == id {
			return system.Answers, fmt.Sprintf("it knows %d brokers, answered in %v", len(res.Brokers), time.Since(began).Round(time.Millisecond))
		}
	}
	return system.Silent, "it runs, but has not registered yet"
}

// probeHTTP asks a role whether it does its work: a retriever, for one, answers 503 as long as it does not hold its claim.
func probeHTTP(ctx context.Context, addr, path string) (system.Reach, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return system.Refuses, err.Error()
	}
	req.Close = true
	began := time.Now()
	// A transport of its own: a kept connection would hide that the process has been replaced.
	transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return reachOf(err), err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return system.Silent, "it runs, but is not ready: HTTP " + strings.TrimSpace(res.Status)
	}
	return system.Answers, fmt.Sprintf("HTTP %s in %v", strings.TrimSpace(res.Status), time.Since(began).Round(time.Millisecond))
}
