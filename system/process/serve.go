package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/ratel-sim/ratel/system/process/frames"
	"github.com/ratel-sim/ratel/system/rt"
)

// Bounds of a gRPC server. What its connections have sent and nobody has read yet is at most maxConnections times
// receiveBuffer, and what frames reads at once; all else that a request takes is counted where it is served.
const (
	maxConnections = 256
	receiveBuffer  = 256 << 10
	maxStreams     = 250 // at once on a connection
	idleTimeout    = 5 * time.Minute
)

// face is an interface of a role: what serves it, and where.
type face struct {
	name    string
	address string
	handler http.Handler
	grpc    bool
}

// servers serve a role's faces.
type servers struct {
	log     *slog.Logger
	running []running
}

type running struct {
	face
	*http.Server
	served *rt.Future[struct{}]
}

// serve listens on all addresses, or on none if one of them cannot be had, and serves until close. If a server ends by
// itself, stop is called: a role that cannot be asked is of no use.
func serve(n node, faces []face, stop func(), log *slog.Logger) (*servers, error) {
	listeners := make([]net.Listener, len(faces))
	for i, f := range faces {
		l, err := net.Listen("tcp", f.address)
		if err != nil {
			for _, l := range listeners[:i] {
				_ = l.Close()
			}
			return nil, fmt.Errorf("listen for %s: %w", f.name, err)
		}
		listeners[i] = l
	}
	s := &servers{log: log}
	for i, f := range faces {
		one := running{f, &http.Server{Handler: f.handler, ReadHeaderTimeout: readHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}, rt.NewFuture[struct{}](n)}
		l := listeners[i]
		if f.grpc {
			speakGRPC(one.Server)
			l = frames.Listen(netutil.LimitListener(l, maxConnections), receiveBuffer)
		}
		n.Go(f.name, func(context.Context) {
			err := one.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			stop()
			one.served.Complete(struct{}{}, err)
		})
		s.running = append(s.running, one)
		log.Info("listening", "for", f.name, "address", l.Addr().String())
	}
	return s, nil
}

// speakGRPC makes a server speak HTTP/2 only, without TLS, as gRPC's clients do at once.
func speakGRPC(s *http.Server) {
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: receiveBuffer, MaxReceiveBufferPerStream: receiveBuffer}
	s.IdleTimeout = idleTimeout
}

// end lets requests that are being answered come to their end, as long as ctx lasts, and takes no new ones.
func (s *servers) end(ctx context.Context) error {
	var errs []error
	for i := range s.running {
		one := &s.running[i]
		if err := one.Shutdown(ctx); err != nil {
			s.log.Warn("some requests were not answered", "for", one.name, "error", err)
			_ = one.Close()
		}
		_, err := one.served.Wait(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
