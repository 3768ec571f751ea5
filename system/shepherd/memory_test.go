package shepherd

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// TestRequestsAtOnceStayApart: requests take turns at the same memory, and what is stored of one has nothing of another, nor has
// what becomes of its dataset. Each event says of which request it is in every field. A partition refuses everything, so that records
// are sent again when other requests have the memory that theirs were made from.
func TestRequestsAtOnceStayApart(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	b.log.on(func(partition int32) error {
		if partition == 0 {
			return port.ErrRefused
		}
		return nil
	})
	h := Handler(b.Shepherd)
	const senders, requests, events = 8, 50, 7
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for request := range requests {
				token := fmt.Sprintf("of %d %d %s", sender, request, strings.Repeat("x", sender*request%90))
				if (sender+request)%2 == 0 {
					req := spansOf(events, token)
					for _, s := range req.ResourceSpans[0].ScopeSpans[0].Spans {
						s.Attributes = []*common.KeyValue{attr("a", token), attr("b", token)}
					}
					if a := postTraces(h, wireOf(t, req), nil); a.Code != 200 || a.Body.Len() != 0 {
						t.Errorf("%d %s", a.Code, a.Body)
					}
					continue
				}
				element := fmt.Sprintf(`{"data":{"service.name":%[1]q,"name":%[1]q,"a":%[1]q,"b":%[1]q}}`, token)
				a := call{path: "/1/batch/json", body: "[" + strings.Repeat(element+",", events-1) + element + "]"}.do(h)
				if a.Code != 200 || strings.Count(a.Body.String(), "202") != events {
					t.Errorf("%d %s", a.Code, a.Body)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	for _, records := range b.log.stored {
		for _, r := range records {
			chunk, err := event.DecodeChunk(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range chunk.Events {
				tokens := map[string]bool{}
				for _, f := range e.Fields {
					if f.Name == "a" || f.Name == "b" || f.Name == "name" || f.Name == "service.name" {
						tokens[f.Value.Str()] = true
					}
				}
				if len(tokens) != 1 {
					t.Fatalf("an event is of several requests: %v", e.Fields)
				}
				for token := range tokens {
					if seen[token]++; chunk.Dataset.Name != "json" && chunk.Dataset.Name != strings.TrimSpace(token) {
						t.Fatalf("an event of %q is in dataset %q", token, chunk.Dataset.Name)
					}
				}
			}
		}
	}
	if len(seen) != senders*requests {
		t.Errorf("events of %d requests, expected %d", len(seen), senders*requests)
	}
	for token, n := range seen {
		if n != events {
			t.Errorf("%d events of %q, expected %d", n, token, events)
		}
	}
	if h := b.Health(); h.InFlightBytes != 0 || h.InFlightEvents != 0 {
		t.Errorf("left in flight: %+v", h)
	}
}
