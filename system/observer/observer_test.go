package observer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

type kept struct {
	mu       sync.Mutex
	datasets []string
	events   []observer.Event
	refused  int
}

func (k *kept) Observed(dataset string, events []observer.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.datasets, k.events = append(k.datasets, dataset), append(k.events, events...)
}

func (k *kept) Refused(events int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused += events
}

func TestBatchesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	k := &kept{}
	wall := rt.NewWall(1)
	defer wall.Kill()
	c := observer.New(wall, observer.Config{EventsPerSecond: 1e9, Queue: 10}, k)
	server := httptest.NewServer(observer.Handler(c))
	defer server.Close()
	for _, row := range []struct {
		name, body string
		code       int
	}{
		{"two", `[{"time":"2026-01-02T03:04:05.000000006Z","samplerate":4,"data":{"seq":1}},{"data":{}}]`, http.StatusOK},
		{"none", `[]`, http.StatusOK},
		{"truncated", `[{"data":{}}`, http.StatusBadRequest},
		{"no list", `{"data":{}}`, http.StatusBadRequest},
		{"more behind", `[] []`, http.StatusBadRequest},
		{"no data", `[{"time":"2026-01-02T03:04:05Z"}]`, http.StatusBadRequest},
		{"data that is no object", `[{"data":7}]`, http.StatusBadRequest},
		{"no time", `[{"time":"yesterday","data":{}}]`, http.StatusBadRequest},
		{"too large", `[{"data":{"x":"` + strings.Repeat("y", observer.MaxBatch) + `"}}]`, http.StatusBadRequest},
	} {
		res, err := http.Post(server.URL+observer.BatchPath+"shepherd", "application/json", strings.NewReader(row.body)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != row.code {
			t.Errorf("%s: HTTP %d, expected %d", row.name, res.StatusCode, row.code)
		}
	}
	if len(k.events) != 2 || k.datasets[0] != "shepherd" || k.events[0].SampleRate != 4 || k.events[0].Time.Nanosecond() != 6 || string(k.events[0].Data) != `{"seq":1}` {
		t.Errorf("the observer has %d events: %+v", len(k.events), k.events)
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	k := &kept{}
	wall := rt.NewWall(1)
	defer wall.Kill()
	c := observer.New(wall, observer.Config{EventsPerSecond: 1e-6, Queue: 2}, k)
	ctx, cancel := wall.WithCancel(context.Background())
	cancel()
	one := []byte(`[{"data":{}}]`)
	// The first takes days; nobody waits for it, but it is queued.
	if err := c.Observe(ctx, "query", one); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first: %v", err)
	}
	if err := c.Observe(ctx, "query", []byte(`[{"data":{}},{"data":{}}]`)); !errors.Is(err, observer.ErrFull) || !errors.Is(err, port.ErrRefused) {
		t.Fatalf("two more: %v", err)
	}
	if k.refused != 2 || len(k.events) != 0 {
		t.Errorf("%d refused, %d taken", k.refused, len(k.events))
	}
}
