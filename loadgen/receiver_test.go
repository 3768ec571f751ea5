package loadgen

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/system/rt"
)

func post(t *testing.T, r *Receiver, method, key, body string) int {
	t.Helper()
	req := httptest.NewRequest(method, "/webhook", strings.NewReader(body))
	if key != "" {
		req.Header.Set(IdempotencyKey, key)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w.Code
}

func TestReceiverRecordsWhatItAnswers200(t *testing.T) {
	t.Parallel()
	r := NewReceiver(rt.NewWall(1))
	before := r.runtime.Now()
	for _, c := range []struct {
		method, key, body string
		want              int
	}{
		{http.MethodPost, "7/60/fires", `{"status":"TRIGGERED"}`, http.StatusOK},
		{http.MethodPost, "7/60/fires", `{"status":"TRIGGERED"}`, http.StatusOK}, // again: at least once
		{http.MethodGet, "7/60/fires", `{}`, http.StatusMethodNotAllowed},
		{http.MethodPost, "", `{}`, http.StatusBadRequest},
		{http.MethodPost, strings.Repeat("k", maxWebhookKey+1), `{}`, http.StatusBadRequest},
		{http.MethodPost, "8/60/fires", `{"status":`, http.StatusBadRequest},
		{http.MethodPost, "8/60/fires", ``, http.StatusBadRequest},
		{http.MethodPost, "8/60/fires", `"` + strings.Repeat("x", MaxWebhook) + `"`, http.StatusRequestEntityTooLarge},
		{http.MethodPost, "7/120/resolves", `{"status":"OK"}`, http.StatusOK},
	} {
		if got := post(t, r, c.method, c.key, c.body); got != c.want {
			t.Errorf("%s %.20q %.20q: %d, want %d", c.method, c.key, c.body, got, c.want)
		}
	}
	got := r.Received()
	keys := []string{"7/60/fires", "7/60/fires", "7/120/resolves"}
	if len(got) != len(keys) {
		t.Fatalf("%d recorded: %+v", len(got), got)
	}
	for i := range got {
		if got[i].Key != keys[i] || got[i].At.Before(before) || len(got[i].Body) == 0 {
			t.Errorf("%d: %+v", i, got[i])
		}
	}
}

func TestReceiverFailsAsItIsTold(t *testing.T) {
	t.Parallel()
	r := NewReceiver(rt.NewWall(1))
	r.SetFailing(true)
	if got := post(t, r, http.MethodPost, "k", `{}`); got != http.StatusServiceUnavailable {
		t.Errorf("answered %d", got)
	}
	if err := r.Deliver("k", []byte(`{}`)); !errors.Is(err, ErrReceiverFailing) {
		t.Errorf("delivered: %v", err)
	}
	if len(r.Received()) != 0 {
		t.Errorf("recorded %+v", r.Received())
	}
	r.SetFailing(false)
	if got := post(t, r, http.MethodPost, "k", `{}`); got != http.StatusOK || len(r.Received()) != 1 {
		t.Errorf("answered %d, recorded %+v", got, r.Received())
	}
}

func TestReceiverIsBoundedAndKeepsCopies(t *testing.T) {
	t.Parallel()
	r := NewReceiver(rt.NewWall(1))
	body := []byte(`{"a":1}`)
	if err := r.Deliver("k", body); err != nil {
		t.Fatal(err)
	}
	body[1] = 'x'
	if got := string(r.Received()[0].Body); got != `{"a":1}` {
		t.Errorf("the recorded body changed: %s", got)
	}
	r.received = make([]Delivery, MaxWebhooks)
	if err := r.Deliver("k", []byte(`{}`)); !errors.Is(err, ErrReceiverFull) {
		t.Errorf("delivered beyond the bound: %v", err)
	}
	if got := post(t, r, http.MethodPost, "k", `{}`); got != http.StatusServiceUnavailable {
		t.Errorf("answered %d", got)
	}
}

func TestReceiverTakesManyAtOnce(t *testing.T) {
	t.Parallel()
	r := NewReceiver(rt.NewWall(1))
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				if err := r.Deliver("k", []byte(`{}`)); err != nil {
					t.Error(err)
				}
				r.Received()
			}
		})
	}
	group.Wait()
	if got := len(r.Received()); got != 1000 {
		t.Errorf("%d recorded", got)
	}
}
