package watch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// store answers as it is told.
type store struct {
	port.Blobs
	err  error
	hang *rt.Future[struct{}]
}

func (s *store) Get(ctx context.Context, _ string) ([]byte, port.BlobInfo, error) {
	if s.hang != nil {
		_, err := s.hang.Wait(ctx)
		return nil, port.BlobInfo{}, err
	}
	return nil, port.BlobInfo{}, s.err
}

func TestADependencyIsMeasured(t *testing.T) {
	t.Parallel()
	w := rt.NewWall(1)
	t.Cleanup(w.Kill)
	s := &store{}
	to := telemetry.New(w, nil, telemetry.DefaultConfig(), telemetry.Identity{Node: "retriever1", Role: "retriever"})
	ports := Ports(w, port.Ports{Blobs: s, Telemetry: to})
	if ports.Blobs == port.Blobs(s) || ports.Log != nil || ports.Catalog != nil {
		t.Fatal("what is there is not wrapped, or what is not there is")
	}
	said := func() map[string]float64 {
		to.End(t.Context())
		values := map[string]float64{}
		for _, f := range to.Latest().Tick {
			values[f.Name] = f.Value.Float()
		}
		return values
	}
	ask := func(ctx context.Context, err error) {
		s.err = err
		_, _, _ = ports.Blobs.Get(ctx, "key")
	}
	ask(t.Context(), nil)
	ask(t.Context(), fmt.Errorf("gone: %w", port.ErrNoBlob)) // an answer
	if v := said(); v["s3.ops"] != 2 || v["s3.errors"] != 0 || v["s3.failing_ms"] != 0 || v["s3.open"] != 0 {
		t.Errorf("of one that is well: %v", v)
	}
	ask(t.Context(), port.ErrSlowDown)
	ask(t.Context(), fmt.Errorf("lost: %w", port.ErrUnknown))
	ask(t.Context(), port.ErrRefused)
	ask(t.Context(), errors.New("odd"))
	late, cancel := w.WithTimeout(t.Context(), 0)
	defer cancel()
	ask(late, context.DeadlineExceeded)
	_ = w.Sleep(t.Context(), time.Millisecond)
	if v := said(); v["s3.ops"] != 7 || v["s3.errors"] != 3 || v["s3.unknown"] != 1 || v["s3.given_up"] != 1 || v["s3.failing_ms"] < 1 {
		t.Errorf("of one that is not: %v", v)
	}
	s.hang = rt.NewFuture[struct{}](w)
	done := rt.NewFuture[struct{}](w)
	w.Go("hangs", func(ctx context.Context) {
		_, _, _ = ports.Blobs.Get(ctx, "key")
		done.Complete(struct{}{}, nil)
	})
	for said()["s3.oldest_ms"] < 2 { // it shows while it hangs
		_ = w.Sleep(t.Context(), time.Millisecond)
	}
	s.hang.Complete(struct{}{}, nil)
	if _, err := done.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := said(); v["s3.open"] != 0 || v["s3.oldest_ms"] != 0 || v["s3.failing_ms"] != 0 || v["s3.max_ms"] < 2 || v["s3.time_ms"] < 2 {
		t.Errorf("after the hang: %v", v)
	}
	if v := said(); v["s3.max_ms"] != 0 {
		t.Errorf("the longest is of the tick before: %v", v)
	}
}

func TestWithoutARecorderNothingIsWrapped(t *testing.T) {
	t.Parallel()
	s := &store{}
	if p := Ports(rt.NewWall(1), port.Ports{Blobs: s}); p.Blobs != port.Blobs(s) {
		t.Error("a port is wrapped though nobody asks how it is")
	}
}
