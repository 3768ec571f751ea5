package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/rt"
)

// A call that is being answered when the servers end is answered still, and a new one is not taken.
func TestGRPCServerDrains(t *testing.T) {
	t.Parallel()
	n := node{Wall: rt.NewWall(1), name: "shepherd1"}
	defer n.Kill()
	address := freeAddress(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	stopped := make(chan struct{})
	s, err := serve(n, []face{{name: "gRPC", address: address, grpc: true, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-release
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte{0, 0, 0, 0, 0})
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})}}, func() { close(stopped) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := collector.NewTraceServiceClient(client).Export(t.Context(), &collector.ExportTraceServiceRequest{})
		answered <- err
	}()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- s.end(t.Context()) }()
	<-stopped // it listens no more
	if c, err := net.Dial("tcp4", address); err == nil {
		c.Close()
		t.Error("it still listens while it drains")
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the call that was under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the end: %v", err)
	}
}

// A shepherd's process answers over gRPC, too: without its servers it says so.
func TestShepherdAnswersOverGRPC(t *testing.T) {
	t.Parallel()
	c := alone(t, system.RoleShepherd)
	c.GRPCListen = freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c, planted.Set{}, slog.New(slog.DiscardHandler)) }()
	client, err := grpc.NewClient(c.GRPCListen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	export := func(ctx context.Context) error {
		_, err := collector.NewTraceServiceClient(client).Export(ctx, &collector.ExportTraceServiceRequest{}, grpc.WaitForReady(true))
		return err
	}
	if err := export(t.Context()); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "missing 'x-honeycomb-team' header") {
		t.Errorf("without a key: %v", err)
	}
	if err := export(metadata.AppendToOutgoingContext(t.Context(), "x-honeycomb-team", "key")); status.Code(err) != codes.Unavailable {
		t.Errorf("without a catalog: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a clean end: %v", err)
	}
	if c, err := net.Dial("tcp4", c.GRPCListen); err == nil {
		c.Close()
		t.Error("it still listens after its end")
	}
}

func TestAddressInUseLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := node{Wall: rt.NewWall(1), name: "shepherd1"}
	defer n.Kill()
	free := freeAddress(t)
	if _, err := serve(n, []face{{name: "HTTP", address: free}, {name: "gRPC", address: l.Addr().String()}}, func() {}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(fmt.Sprint(err), "listen for gRPC") {
		t.Errorf("got %v", err)
	}
	again, err := net.Listen("tcp4", free)
	if err != nil {
		t.Errorf("the other address is still taken: %v", err)
	} else {
		again.Close()
	}
}
