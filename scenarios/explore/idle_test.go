package explore_test

import (
	"context"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// idling is a load that comes in bursts and to few partitions, so that most idle most of the time, some always, and lose what reads and keeps them.
const idling = `
def scenario(s):
    s.system(
        kafka = kafka(partitions = 6),
        retriever = retriever(seal_every = "2s", seal_idle = "3s", snapshot_every = "2s", keep_local = "10s"),
        shepherd = shepherd(spread = 1),
        beagles = 2,
        beagle = beagle(session_timeout = "3s", heartbeat_every = "500ms", rebalance_timeout = "6s", commit_every = "500ms", refresh_every = "2s"),
        telemetry = telemetry(produce_sample = 1),
    )
    s.traffic("steady", shape = "burst", events_per_second = 2, to_per_second = 100, burst_every = "20s", burst_length = "4s", datasets = 3)
    s.readers("dashboards")
    s.objective("fast", "LT($duration_ms, 500)", target = "90%")
    s.phase("warm-up", "5s", stage = "warmup")
    s.phase("baseline", "45s")
    s.phase("losses", "30s", faults = [
        kill(node("retriever1"), at = "2s", for_ = "6s"),
        kill(leader_of("events", 1), at = "8s", for_ = "6s"),
        replace(node("retriever4"), at = "16s", for_ = "5s"),
        errors(node("s3"), rate = "30%", at = "5s", for_ = "15s"),
        pause(node("shepherd1"), at = "18s", for_ = "8s"),
    ])
    s.phase("after", "30s")
    s.check(durability(), pairs(), committed(), queries(), slo_counts(), progress(within = "15s"), honest_telemetry(), freshness(within = "10s"), recovers(within = "25s"))
`

// TestIdlePartitions: what idles is sealed by marks in the log, both of each pair agree about it under faults, all of it reaches S3, and nobody takes a mark for more.
// Without the marks, what came last never does.
func TestIdlePartitions(t *testing.T) {
	t.Parallel()
	s, err := lang.Load("idling.star", []byte(idling), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := explore.Options{Plan: func(seed uint64) (*plan.Plan, error) { return s.Plan(nil, seed) }}
	for seed := range uint64(2) {
		e, err := explore.Evidence(context.Background(), o, seed+1)
		if err != nil {
			t.Fatal(err)
		}
		if j := check.Judge(e); j.Verdict != check.Pass {
			t.Errorf("seed %d: %v: %s", seed+1, j.Verdict, j.Reason)
		}
		ended := false
		for _, x := range e.Timeline {
			ended = ended || x.Kind == evidence.LogEnded
			if x.Kind == evidence.Announced && (x.Event == port.EventDatasetUnknown || x.Event == port.EventSealsDisagree || x.Event == port.EventRecordSkipped) {
				t.Errorf("seed %d: %s of %s: %s", seed+1, x.Event, x.Node, x.Detail)
			}
		}
		if !ended {
			t.Errorf("seed %d: no log ended with a mark, so nothing was tested", seed+1)
		}
	}
	if o.Planted, err = planted.Parse(planted.IdleNeverSealed); err != nil {
		t.Fatal(err)
	}
	if out := explore.One(context.Background(), o, 1); out.Verdict != check.Fail || out.Caught[0] != check.CheckCommitted {
		t.Errorf("never sealed: %v by %v: %s", out.Verdict, out.Caught, out.Reason)
	}
}
