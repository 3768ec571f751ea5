package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func blobsKilled(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.put(ctx, "x", "kept"); err != nil {
		return err
	}
	if err := errors.Join(e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	return e.holds(ctx, "x", "kept")
}

func blobsDown(ctx context.Context, e *BlobsEnv) error {
	if err := e.Kill(ctx); err != nil {
		return err
	}
	if err := e.Runtime.Sleep(ctx, 100*time.Millisecond); err != nil { // until the connections have learned of it
		return err
	}
	_, put := e.put(ctx, "x", "x")
	_, get := e.A.Head(ctx, e.key("x"))
	return errors.Join(e.Restart(ctx), refused("put", put, nil), refused("head", get, nil), e.absent(ctx, "x"))
}

func blobsPaused(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.put(ctx, "x", "before"); err != nil {
		return err
	}
	if err := e.Pause(ctx); err != nil {
		return err
	}
	short, cancel := e.Runtime.WithTimeout(ctx, time.Second)
	defer cancel()
	began := e.Runtime.Now()
	_, put := e.A.Put(short, e.key("x"), []byte("after"), port.Condition{})
	took := e.Runtime.Now().Sub(began)
	if err := errors.Join(e.Resume(ctx), uncertain("put to a paused store", put)); err != nil {
		return err
	}
	if took > 3*time.Second {
		return fmt.Errorf("given up after %v, the deadline was 1 s", took)
	}
	_, err := e.put(ctx, "y", "y")
	return err
}

func blobsContext(ctx context.Context, e *BlobsEnv) error {
	ended, cancel := e.Runtime.WithCancel(ctx)
	cancel()
	_, err := e.A.Put(ended, e.key("x"), nil, port.Condition{})
	return errors.Join(refused("put", err, context.Canceled), e.absent(ctx, "x"))
}

func blobsErrors(ctx context.Context, e *BlobsEnv) error {
	var seen outcomes
	for i := 0; !seen.enough(); i++ {
		if i == maxTries {
			return fmt.Errorf("after %d tries not every outcome was seen: %+v", i, seen)
		}
		name := fmt.Sprint("o", i)
		if err := e.Errors(ctx, 0.7); err != nil {
			return err
		}
		_, put := e.A.Put(ctx, e.key(name), []byte(name), port.Condition{IfAbsent: true})
		if err := e.Errors(ctx, 0); err != nil {
			return err
		}
		_, err := e.B.Head(ctx, e.key(name))
		if err != nil && !errors.Is(err, port.ErrNoBlob) {
			return err
		}
		if err := seen.add("put "+name, put, err == nil); err != nil {
			return err
		}
	}
	return nil
}

func blobsSlow(ctx context.Context, e *BlobsEnv) error {
	const delay = 300 * time.Millisecond
	if err := e.Slow(ctx, delay); err != nil {
		return err
	}
	began := e.Runtime.Now()
	_, err := e.put(ctx, "x", "slow")
	took := e.Runtime.Now().Sub(began)
	short, cancel := e.Runtime.WithTimeout(ctx, delay/3)
	defer cancel()
	_, late := e.A.Put(short, e.key("y"), nil, port.Condition{})
	if err := errors.Join(err, e.Slow(ctx, 0), uncertain("put with a short deadline", late), e.holds(ctx, "x", "slow")); err != nil {
		return err
	}
	if took < delay {
		return fmt.Errorf("a put took %v with a delay of %v", took, delay)
	}
	return nil
}
