//go:build soak

package shepherd

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/soak"
)

// narrowLog acknowledges at a fixed rate and keeps nothing: a Kafka that has no more room than that.
type narrowLog struct {
	r     rt.Runtime
	mu    sync.Mutex
	queue []*rt.Future[int64]
}

func (l *narrowLog) NewProducer(port.ProducerConfig) (port.Producer, error) { return l, nil }
func (l *narrowLog) NewReader(port.ReaderConfig, string, int32, int64) (port.Reader, error) {
	return nil, port.ErrRefused
}
func (l *narrowLog) Admin() port.LogAdmin        { return nil }
func (l *narrowLog) Close(context.Context) error { return nil }
func (l *narrowLog) Produce(string, int32, port.Record) *rt.Future[int64] {
	f := rt.NewFuture[int64](l.r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, f)
	return f
}

// acknowledge answers n records a tick until ctx ends.
func (l *narrowLog) acknowledge(ctx context.Context, tick time.Duration, n int) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for offset := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		k := min(n, len(l.queue))
		due := l.queue[:k:k]
		l.queue = l.queue[k:]
		l.mu.Unlock()
		for _, f := range due {
			f.Complete(offset, nil)
			offset++
		}
	}
}

// TestSoakTwiceTheCapacity sends twice what the log behind a shepherd takes, by the open model, for RATEL_SOAK (10 minutes if
// it is not set): what is in flight stays within its bound, the heap does not grow with time, what is beyond the capacity is
// answered as throttled, and the capacity itself is used.
func TestSoakTwiceTheCapacity(t *testing.T) {
	length, err := soak.For()
	if err != nil {
		t.Fatal(err)
	}
	const (
		batch    = 50
		tick     = 10 * time.Millisecond
		perTick  = 4                       // records of ten events: 4,000 events/s
		interval = 6250 * time.Microsecond // of a batch: 8,000 events/s
	)
	wall := rt.NewWall(1)
	defer wall.Kill()
	log := &narrowLog{r: wall}
	cfg := DefaultConfig()
	cfg.MaxInFlightBytes, cfg.MaxInFlightEvents, cfg.SickAfter = 8<<20, 4000, time.Minute
	s, err := New(wall, port.Ports{Log: log, Catalog: newMemCatalog(), Events: port.Discard{}}, cfg, 6, "shepherd1", planted.Set{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go log.acknowledge(ctx, tick, perTick)
	handler, body := Handler(s), event.AppendBatchJSON(nil, wideBatch(batch))
	var open sync.WaitGroup
	var refused atomic.Int64
	var first, peak int64
	began, next := time.Now(), time.Now()
	for look := began.Add(length / 10); time.Since(began) < length; next = next.Add(interval) {
		time.Sleep(time.Until(next))
		open.Go(func() {
			req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/1/batch/soak", bytes.NewReader(body))
			req.Header.Set(headerTeam, "key")
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if rec.Code == http.StatusTooManyRequests { // before its body was read, so nobody counted its events
				refused.Add(1)
			}
		})
		if time.Now().After(look) {
			look = look.Add(length / 10)
			heap := soak.LiveHeap()
			if first == 0 {
				first = heap
			}
			peak = max(peak, heap)
			h := s.Health()
			t.Logf("%v: heap %.1f MB, in flight %d events, %d bytes, %d accepted, %d throttled", time.Since(began).Round(time.Second),
				float64(heap)/1e6, h.InFlightEvents, h.InFlightBytes, h.Totals.Accepted, h.Totals.Throttled+batch*refused.Load())
		}
	}
	h := s.Health()
	throttled := h.Totals.Throttled + batch*refused.Load()
	capacity := float64(length/tick) * perTick * 10
	if h.PeakEvents > h.MaxInFlightEvents || h.PeakBytes > h.MaxInFlightBytes {
		t.Errorf("at most %d events and %d bytes were in flight, the bounds are %d and %d", h.PeakEvents, h.PeakBytes, h.MaxInFlightEvents, h.MaxInFlightBytes)
	}
	if limit := first + cfg.MaxInFlightBytes; peak > limit {
		t.Errorf("the heap grew from %d to %d bytes while the bound is %d", first, peak, cfg.MaxInFlightBytes)
	}
	if got := float64(h.Totals.Accepted); got < capacity/2 || throttled == 0 {
		t.Errorf("%d events accepted of a capacity of %.0f, %d throttled", h.Totals.Accepted, capacity, throttled)
	}
	t.Logf("%v at twice the capacity: %d events accepted, %d throttled; at most %d of %d events and %d of %d bytes in flight; heap %.1f to %.1f MB",
		length, h.Totals.Accepted, throttled, h.PeakEvents, h.MaxInFlightEvents, h.PeakBytes, h.MaxInFlightBytes, float64(first)/1e6, float64(peak)/1e6)
	cancel()
	// What is still open ends with its context.
	open.Wait()
}
