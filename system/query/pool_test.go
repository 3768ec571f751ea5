package query

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// TestPoolStartsColdAndWarm: a worker that ended a moment ago starts at once, each only one other.
func TestPoolStartsColdAndWarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		p := newPool(rt.NewWall(1), Config{Workers: 3, ColdStart: 100 * time.Millisecond, KeepWarm: time.Second})
		start := func(want bool) {
			t.Helper()
			before := time.Now()
			cold, err := p.start(ctx)
			if took := time.Since(before); err != nil || cold != want || (took > 0) != want {
				t.Errorf("cold %v after %v, %v; expected cold %v", cold, took, err, want)
			}
		}
		start(true)
		p.end(true)
		start(false)
		start(true)
		start(true)
		if p.busy() != 3 {
			t.Errorf("%d are busy", p.busy())
		}
		late, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := p.start(late); err == nil {
			t.Error("a fourth worker was started")
		}
		p.end(true)
		p.end(true)
		p.end(true)
		time.Sleep(2 * time.Second)
		start(true)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := p.start(ended); err == nil || p.busy() != 1 {
			t.Errorf("%v, %d are busy", err, p.busy())
		}
	})
}
