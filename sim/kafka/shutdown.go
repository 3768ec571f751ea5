package kafka

import (
	"context"
	"fmt"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/rt"
)

// shutdown runs a controlled shutdown and returns when the process may end. The caller is not of this process.
func (b *server) shutdown(ctx context.Context) error {
	if b.stopping == nil {
		b.stopping = rt.NewFuture[struct{}](b.c.operator)
		b.p.Go("shutdown", b.leave)
	}
	if _, err := b.stopping.Wait(ctx); err != nil {
		return fmt.Errorf("kafka: %s did not shut down in time and was killed: %w", b.name, err)
	}
	return nil
}

// leave has the controller move this broker's leaders, then ends the ZooKeeper session. If the controller cannot be had
// the broker goes without, as Kafka does after controlled.shutdown.max.retries.
func (b *server) leave(ctx context.Context) {
	for try := 0; try <= b.cfg.ShutdownRetries && !b.moveLeaders(ctx); try++ {
		if b.p.Sleep(ctx, b.cfg.ShutdownBackoff) != nil {
			return
		}
	}
	b.checkpoint()
	b.flush()
	if sess := b.registration.sess; sess != nil {
		ctx, cancel := b.p.WithTimeout(ctx, b.cfg.SessionTimeout)
		_ = sess.Close(ctx) // if it cannot be told, ZooKeeper expires the session
		cancel()
	}
	b.stopping.Complete(struct{}{}, nil)
}

// moveLeaders asks the controller once, and reports whether this broker leads nothing any more.
func (b *server) moveLeaders(ctx context.Context) bool {
	conn := b.controllerConn()
	if conn == nil {
		return false
	}
	answer := rt.NewFuture[*controlledShutdownResponse](b.p)
	m := simnet.Message{Body: &controlledShutdownRequest{broker: b.id, brokerEpoch: b.epoch}, Size: headerBytes, Sum: uint64(b.id)}
	conn.call(m, func(body any, err error) {
		resp, _ := body.(*controlledShutdownResponse)
		answer.Complete(resp, err)
	})
	resp, err := answer.Wait(ctx)
	return err == nil && resp.code == codeNone && resp.remaining == 0
}
