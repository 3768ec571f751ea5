package retriever

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// TestFreshTo: a retriever is as fresh as the last fetch was sent that left nothing to read, and a high watermark that went
// back renews nothing.
func TestFreshTo(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.seconds(0, 1)
	h := s.pair[0]
	h.start()
	ctx := context.Background()
	n := int64(len(s.log.records))
	now := h.re.r.Now()
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	for i, step := range []struct {
		sent time.Time
		to   int64 // records up to there are returned
		high int64
		want time.Time
	}{
		{at(-20), n - 1, n, time.Time{}}, // one is left
		{at(-18), n, n, at(-18)},         // that was the last
		{at(-16), n, n, at(-16)},         // nothing new
		{at(-14), n, n + 5, at(-16)},     // there is more
		{at(-12), n, n, at(-16)},         // a new leader, that does not know how far its predecessor was
		{at(-10), n, n + 5, at(-16)},     // it knows
		{at(-11), n, n + 5, at(-16)},     // still more
	} {
		from := h.st.store.staged.next
		b := port.Batch{HighWatermark: step.high}
		if step.to > from {
			b.Records = s.log.records[from:step.to]
		}
		if err := h.re.keep(ctx, h.st, b, step.sent); err != nil {
			t.Fatal(err)
		}
		a, _, err := ask(t, h, 1)
		if !h.re.freshTo.Equal(step.want) || err == nil && a.FreshTo != unixNano(step.want) {
			t.Errorf("step %d: fresh to %v, answered %d, %v; expected %v", i, h.re.freshTo, a.FreshTo, err, step.want)
		}
	}
	// Beginning again with its local data, it knows nothing until it has asked.
	h.start()
	if !h.re.freshTo.IsZero() || h.re.highest != 0 {
		t.Errorf("after a restart: fresh to %v, highest %d", h.re.freshTo, h.re.highest)
	}
}
