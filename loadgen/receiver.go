package loadgen

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// Bounds of what a receiver takes.
const (
	// MaxWebhook is the largest body of a webhook, in bytes.
	MaxWebhook = 1 << 20
	// MaxWebhooks is how many webhooks are recorded; further ones are refused, so that a sender gone wild cannot exhaust the memory.
	MaxWebhooks = 1 << 17
	// maxWebhookKey is the longest Idempotency-Key, in bytes.
	maxWebhookKey = 1 << 10
)

// IdempotencyKey is the header that is equal for all attempts of one delivery.
const IdempotencyKey = "Idempotency-Key"

// Errors with which a receiver refuses a webhook: its sender has to try again.
var (
	ErrReceiverFailing = errors.New("the receiver is told to fail")
	ErrReceiverFull    = errors.New("the receiver has recorded as many webhooks as it keeps")
)

// ErrBadWebhook refuses a webhook for good: it has no key, or one that is too long, or its body is not JSON or too large.
var ErrBadWebhook = errors.New("not a webhook with an Idempotency-Key and a JSON body")

// Delivery is one webhook as it was received.
type Delivery struct {
	At   time.Time // on the receiver's clock
	Key  string    // Idempotency-Key
	Body json.RawMessage
}

// Receiver records webhooks in the order in which they come, repeated ones as often as they come. It is safe for
// concurrent use.
type Receiver struct {
	runtime rt.Runtime

	mu       sync.Mutex
	failing  bool
	received []Delivery
}

// NewReceiver makes a receiver with r's clock.
func NewReceiver(r rt.Runtime) *Receiver { return &Receiver{runtime: r} }

// SetFailing lets the receiver refuse whatever comes (503), or take it again.
func (c *Receiver) SetFailing(failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = failing
}

// Received lists what was taken so far.
func (c *Receiver) Received() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.received)
}

// Deliver records one webhook; it keeps its own copy of the body. Errors match [ErrReceiverFailing], [ErrReceiverFull] or
// [ErrBadWebhook]; then nothing was recorded.
func (c *Receiver) Deliver(key string, body []byte) error {
	if key == "" || len(key) > maxWebhookKey || len(body) > MaxWebhook || !json.Valid(body) {
		return ErrBadWebhook
	}
	at := c.runtime.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failing:
		return ErrReceiverFailing
	case len(c.received) >= MaxWebhooks:
		return ErrReceiverFull
	}
	c.received = append(c.received, Delivery{At: at, Key: key, Body: slices.Clone(body)})
	return nil
}

// Handler takes webhooks by POST at any path: 200 once one is recorded, 503 where it has to be sent again, 400 and 413 where
// that would not help.
func (c *Receiver) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "webhooks are posted", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxWebhook))
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		if err == nil {
			err = c.Deliver(r.Header.Get(IdempotencyKey), body)
		}
		switch {
		case err == nil:
			w.WriteHeader(http.StatusOK)
		case errors.Is(err, ErrReceiverFailing), errors.Is(err, ErrReceiverFull):
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default: // also a body that broke off: its sender is gone
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}
