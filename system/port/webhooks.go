package port

import "context"

// Webhooks delivers alerts.
type Webhooks interface {
	// Deliver posts a JSON body to a URL; key is sent as the header Idempotency-Key, equal for all attempts of one alert.
	// nil means that the receiver answered 2xx. An error that does not match ErrRefused leaves open whether the receiver has it.
	Deliver(ctx context.Context, url, key string, body []byte) error
}
