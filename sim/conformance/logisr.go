package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func underMinISR(ctx context.Context, e *LogEnv) error {
	p, err := e.topic(ctx, "before")
	if err != nil {
		return err
	}
	state, err := e.Log.Admin().Describe(ctx, e.Topic)
	if err != nil {
		return err
	}
	var down []int32
	for _, id := range state[0].Replicas {
		if id != state[0].Leader {
			down = append(down, id)
		}
	}
	for _, id := range down {
		if err := e.Kill(ctx, id); err != nil {
			return err
		}
	}
	waiting := p.Produce(e.Topic, 0, port.Record{Value: []byte("waits")})
	if err := e.Runtime.Sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	if offset, err, done := waiting.Peek(); done && err == nil {
		return fmt.Errorf("accepted at %d with one of three replicas in sync, although two must be", offset)
	}
	for _, id := range down {
		if err := e.Restart(ctx, id); err != nil {
			return err
		}
	}
	// Its retries outlast the outage; if they did not, it may have ended unknown, and never refused and there.
	_, outcome := waiting.Wait(ctx)
	if outcome != nil && !errors.Is(outcome, port.ErrUnknown) && !errors.Is(outcome, port.ErrRefused) {
		return fmt.Errorf("the record that waited: %w, expected a clear outcome", outcome)
	}
	whole := &Env{Runtime: e.Runtime}
	if err := whole.eventually(ctx, time.Minute, "a produce after the outage", func() (bool, error) {
		_, err := e.produce(ctx, p, 0, "after")
		return err == nil, err
	}); err != nil {
		return err
	}
	records, err := e.readAll(ctx)
	if err != nil {
		return err
	}
	there := 0
	for _, r := range records {
		if string(r.Value) == "waits" {
			there++
		}
	}
	if there > 1 || outcome == nil && there == 0 || errors.Is(outcome, port.ErrRefused) && there > 0 {
		return fmt.Errorf("the record that waited is there %d times, and its outcome was %w", there, outcome)
	}
	return p.Close(ctx)
}
