package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// maxWebhookText bounds what is read of a receiver's answer, for the error.
const maxWebhookText = 200

// webhooks posts alerts over HTTP. It implements [port.Webhooks].
type webhooks struct{ client *http.Client }

func newWebhooks() *webhooks {
	return &webhooks{client: &http.Client{
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, IdleConnTimeout: 30 * time.Second},
		// Where an alert goes is what its recipient says, not what somebody there answers.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Deliver implements [port.Webhooks].
func (w *webhooks) Deliver(ctx context.Context, url, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("deliver to %s: %w: %w", url, port.ErrRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := w.client.Do(req)
	if err != nil {
		// Also when no connection could be made: the client repeats what has such a key when a kept one breaks, so there
		// may have been another before.
		return fmt.Errorf("deliver to %s: %w", url, err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxWebhookText))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("deliver to %s: the receiver answered %s: %s", url, res.Status, text)
	}
	return nil
}

// close lets kept connections go.
func (w *webhooks) close() { w.client.CloseIdleConnections() }
