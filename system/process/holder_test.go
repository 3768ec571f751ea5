package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/retriever"
)

// holder answers from memory; a cursor is an index.
type holder struct {
	held []retriever.Held
	err  error
}

// Status implements retriever.Holder.
func (h *holder) Status(context.Context) (retriever.Status, error) {
	return retriever.Status{Partition: 3, Claimed: true, Next: 7, Durable: 6, HighWater: 9, Held: int64(len(h.held)), Duplicates: 1, Corrupt: 2}, h.err
}

// Holdings implements retriever.Holder.
func (h *holder) Holdings(_ context.Context, cursor int64, limit int) (retriever.Page, error) {
	if h.err != nil {
		return retriever.Page{}, h.err
	}
	if cursor > int64(len(h.held)) {
		return retriever.Page{}, fmt.Errorf("%w: %d", retriever.ErrCursor, cursor)
	}
	end := min(int(cursor)+max(limit, 1), len(h.held))
	return retriever.Page{Held: h.held[cursor:end], Cursor: int64(end), Done: end == len(h.held)}, nil
}

func over(h retriever.Holder) (c *HolderClient, stop func()) {
	srv := httptest.NewServer(HolderHandler(h))
	return NewHolderClient(srv.URL+"/", srv.Client().Transport), srv.Close
}

func TestHoldingsSurviveTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var h holder
		offset := int64(0)
		for range rapid.IntRange(0, 20).Draw(rt, "events") {
			offset += rapid.Int64Range(0, 1<<40).Draw(rt, "offset step")
			h.held = append(h.held, retriever.Held{Offset: offset, Dataset: rapid.SampledFrom([]string{"a", "b", "größer"}).Draw(rt, "dataset"), Event: event.Event{
				ID: event.ID{Source: rapid.Uint64().Draw(rt, "source"), Seq: rapid.Uint64().Draw(rt, "seq")}, SampleRate: 1,
				Time:   time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "time"), 5).UTC(),
				Fields: []event.Field{{Name: "n", Value: event.IntValue(rapid.Int64().Draw(rt, "n"))}, {Name: "s", Value: event.StringValue(rapid.String().Draw(rt, "s"))}},
			}})
		}
		c, stop := over(&h)
		defer stop()
		var got []retriever.Held
		limit := rapid.IntRange(1, 25).Draw(rt, "limit")
		for cursor, done := int64(0), false; !done; {
			page, err := c.Holdings(context.Background(), cursor, limit)
			if err != nil {
				rt.Fatal(err)
			}
			got, cursor, done = append(got, page.Held...), page.Cursor, page.Done
		}
		if len(got) != len(h.held) {
			rt.Fatalf("got %d events, want %d", len(got), len(h.held))
		}
		for i := range got {
			if want := h.held[i]; got[i].Offset != want.Offset || got[i].Dataset != want.Dataset || got[i].Event.ID != want.Event.ID || !got[i].Event.Equal(&want.Event) {
				rt.Fatalf("event %d: got %+v, want %+v", i, got[i], want)
			}
		}
	})
}

func TestStatusSurvivesTheWire(t *testing.T) {
	t.Parallel()
	h := &holder{}
	c, stop := over(h)
	defer stop()
	want, _ := h.Status(t.Context())
	if got, err := c.Status(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestARetrieversErrorsReachTheAsker(t *testing.T) {
	t.Parallel()
	c, stop := over(&holder{err: errors.New("the disk is gone")})
	defer stop()
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("status: %v", err)
	}
	if _, err := c.Holdings(t.Context(), 0, 1); err == nil || !strings.Contains(err.Error(), "HTTP 500: the disk is gone") {
		t.Errorf("holdings: %v", err)
	}
	c, stop = over(&holder{})
	defer stop()
	if _, err := c.Holdings(t.Context(), 9, 1); err == nil || !strings.Contains(err.Error(), "HTTP 400") {
		t.Errorf("a cursor out of range: %v", err)
	}
	for _, query := range []string{"cursor=-1", "cursor=x", "limit=1000000", "limit=-1"} {
		if _, _, err := c.get(t.Context(), pathHoldings+"?"+query); err == nil || !strings.Contains(err.Error(), "HTTP 400") {
			t.Errorf("%s: %v", query, err)
		}
	}
	if body, _, err := c.get(t.Context(), pathHealthz); err != nil || string(body) != "ok\n" {
		t.Errorf("healthz: %q, %v", body, err)
	}
}

func TestADamagedPageIsRefused(t *testing.T) {
	t.Parallel()
	whole := appendPage(nil, []retriever.Held{{Offset: 5, Dataset: "d", Event: event.Event{SampleRate: 1, Fields: []event.Field{{Name: "n", Value: event.IntValue(1)}}}}})
	for cut := 1; cut < len(whole); cut++ {
		if _, err := parsePage(whole[:cut]); err == nil {
			t.Errorf("a page of %d bytes was read when cut off after %d", len(whole), cut)
		}
	}
	whole[len(whole)-1] ^= 1
	if _, err := parsePage(whole); !errors.Is(err, event.ErrDamaged) {
		t.Errorf("a flipped bit: %v", err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer srv.Close()
	c := NewHolderClient(srv.URL, srv.Client().Transport)
	if _, err := c.Status(t.Context()); err == nil {
		t.Error("a foreign answer was taken for a status")
	}
	if _, err := c.Holdings(t.Context(), 0, 1); err == nil {
		t.Error("a foreign answer was taken for a page")
	}
}
