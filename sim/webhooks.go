package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
)

// webhookURL is where the harness takes webhooks.
const webhookURL = "http://" + harnessNode + "/webhook"

// webhook is a delivery on the wire.
type webhook struct {
	key  string
	body []byte
}

// webhooks delivers over the simulated network. It implements port.Webhooks.
type webhooks struct {
	p    *sched.Process
	from *simnet.Node
}

// Deliver implements port.Webhooks.
func (c *webhooks) Deliver(ctx context.Context, url, key string, body []byte) error {
	if url != webhookURL {
		return fmt.Errorf("deliver to %s: no such host", url)
	}
	m := simnet.Message{Body: &webhook{key, body}, Size: 200 + len(body), Sum: uint64(crc32.ChecksumIEEE(body))}
	reply, err := simnet.Call(ctx, c.p, c.from, harnessNode, serviceWebhook, m)
	if err != nil {
		return fmt.Errorf("deliver to %s: %w", url, err)
	}
	if text, failed := reply.Body.(string); failed {
		return fmt.Errorf("deliver to %s: the receiver answered: %s", url, text)
	}
	return nil
}

// Receive lets roles deliver webhooks to sink.
func (w *World) Receive(_ context.Context, sink interface {
	Deliver(key string, body []byte) error
}) (string, error) {
	if w.receiving {
		return "", errors.New("webhooks are received already")
	}
	w.receiving = true
	serve(w.harness, w.home, serviceWebhook, func(_ context.Context, m simnet.Message) simnet.Message {
		d := m.Body.(*webhook)
		if err := sink.Deliver(d.key, d.body); err != nil {
			return simnet.Message{Body: err.Error(), Size: 100}
		}
		return simnet.Message{Size: 100}
	})
	return webhookURL, nil
}
