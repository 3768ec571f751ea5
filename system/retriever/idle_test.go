package retriever

import (
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// TestIdlePartitionIsSealed: what came last before a partition went quiet reaches S3, both of a pair seal it at the same offset, and then the partition is left alone.
func TestIdlePartitionIsSealed(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.cfg.SealEvery, g.cfg.SealIdle = 10*time.Millisecond, 20*time.Millisecond
	o := g.other()
	g.log.add(chunk(1, 0, 1), chunk(1, 2))
	g.start()
	o.start()
	for _, x := range []*rig{g, o} {
		eventually(t, x.place.Node+" has sealed it, and S3 has it", func() bool {
			st := x.status()
			return st.Open == 0 && st.Sealed >= 2 && st.Committed >= 2 // a second mark makes a seal without events
		})
		if got := len(seqs(x.held(0))); got != 3 {
			t.Errorf("%s holds %d events", x.place.Node, got)
		}
		if x.re.idles(0) {
			t.Errorf("%s would append a mark to a partition of which all is sealed", x.place.Node)
		}
	}
	g.log.mu.Lock()
	marks := g.log.records[2:]
	if len(marks) < 1 || len(marks) > 2 { // both may have found it idle
		t.Errorf("%d marks", len(marks))
	}
	for _, m := range marks {
		if c, err := event.DecodeChunk(m.Value); err != nil || len(c.Events) > 0 || m.Time.IsZero() {
			t.Errorf("a mark is %+v, %v, at %v", c, err, m.Time)
		}
	}
	g.log.mu.Unlock()
}

func TestSealIdleIsNotShorterThanASeal(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	for idle, fine := range map[time.Duration]bool{0: true, c.SealEvery: true, c.SealEvery - 1: false, -1: false} {
		c.SealIdle = idle
		if err := c.check(); (err == nil) != fine {
			t.Errorf("%v: %v", idle, err)
		}
	}
}
