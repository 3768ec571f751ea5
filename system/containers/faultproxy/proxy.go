package faultproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Proxy is a proxy that listens.
type Proxy struct {
	cfg           Config
	dice          *dice
	data, control net.Listener
}

// Listen makes a proxy and its listeners. The server behind need not be there yet.
func Listen(cfg Config) (*Proxy, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	data, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	control, err := net.Listen("tcp", cfg.Control)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for control: %w", err), data.Close())
	}
	return &Proxy{cfg: cfg, dice: newDice(cfg.Seed), data: data, control: control}, nil
}

// Addr is where clients connect, ControlAddr where the proxy is told what to do.
func (p *Proxy) Addr() string        { return p.data.Addr().String() }
func (p *Proxy) ControlAddr() string { return p.control.Addr().String() }

// Serve carries traffic until ctx ends, and then ends every connection.
func (p *Proxy) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control := &http.Server{Handler: p.handler(), ReadHeaderTimeout: time.Minute, ErrorLog: quiet()}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	run := func(i int, serve func() error) {
		wg.Go(func() {
			defer cancel()
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				errs[i] = err
			}
		})
	}
	run(0, func() error { return control.Serve(p.control) })
	var s3 *http.Server
	if p.cfg.Kind == KindS3 {
		s3 = &http.Server{Handler: newS3(p.cfg.Target, p.dice), ReadHeaderTimeout: time.Minute, ErrorLog: quiet()}
		run(1, func() error { return s3.Serve(p.data) })
	} else {
		run(1, func() error { return (&mysqlProxy{target: p.cfg.Target, dice: p.dice}).serve(ctx, p.data) })
	}
	<-ctx.Done()
	_ = control.Close()
	if s3 != nil {
		_ = s3.Close()
	} else {
		_ = p.data.Close()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run makes and serves a proxy until ctx ends: the process of its container.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	p, err := Listen(cfg)
	if err != nil {
		return err
	}
	log.Info("started", "kind", cfg.Kind, "listen", p.Addr(), "target", cfg.Target, "control", p.ControlAddr())
	return p.Serve(ctx)
}

const (
	pathFaults = "/faults"
	pathCounts = "/counts"
	pathHealth = "/healthz"
	maxBody    = 4 << 10
)

// handler is the control interface: PUT /faults with a [Faults], GET /counts for [Counts].
func (p *Proxy) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+pathFaults, func(w http.ResponseWriter, r *http.Request) {
		var f Faults
		dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
		dec.DisallowUnknownFields()
		err := dec.Decode(&f)
		if err == nil {
			err = f.Check()
		}
		if err != nil {
			http.Error(w, "faults: "+err.Error(), http.StatusBadRequest)
			return
		}
		p.dice.set(f)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+pathCounts, func(w http.ResponseWriter, _ *http.Request) {
		_, counts := p.dice.get()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(counts)
	})
	mux.HandleFunc("GET "+pathHealth, func(http.ResponseWriter, *http.Request) {})
	return mux
}

// quiet swallows what net/http logs about connections that end early: here they are meant to.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
