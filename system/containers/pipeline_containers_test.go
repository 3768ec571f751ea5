//go:build containers

package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// TestContainersPipeline follows events through the whole pipeline on real servers: from a shepherd into both retrievers of
// their partitions, into S3, and into a query's answer; also while MySQL and S3 are away, and from empty disks.
func TestContainersPipeline(t *testing.T) {
	t.Parallel()
	top := small()
	top.Replicas, top.Zones = 2, 2
	top.Retriever.SealEvery, top.Retriever.SnapshotEvery = time.Second, time.Second
	w := newWorld(t)
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		b := &bench{World: w, ctx: ctx, seen: &recorder{}}
		const dataset = "pipeline"
		b.sendTo(t, dataset, 20)
		b.counts(t, dataset, 20)
		if h, err := w.ShepherdHealth(ctx, "shepherd1"); err != nil || h.Totals.Accepted != 20 {
			t.Errorf("the shepherd says of itself: %+v %v", h, err)
		}
		if _, err := w.ShepherdHealth(ctx, "retriever1"); err == nil {
			t.Error("a retriever passed for a shepherd")
		}

		// What is known goes on without the catalog, and fresh data is there without the store.
		for _, node := range []string{"mysql", "s3"} {
			f := system.Fault{Kind: system.FaultKill, Node: node}
			b.inject(t, f)
			b.sendTo(t, dataset, 10)
			b.heal(t, f)
			b.reaches(t, node, system.Answers)
		}
		b.counts(t, dataset, 40)

		// The records' own time must go on for what was sent to be sealed and put into S3.
		eventually(t, "everything so far is in S3", func() (string, bool) {
			b.sendTo(t, "other", 1)
			st, err := w.Holder("retriever1").Status(ctx)
			return fmt.Sprintf("%+v %v", st, err), err == nil && st.Generation > 0 && st.Committed >= st.HighWater-2
		})
		for _, node := range []string{"retriever1", "retriever2"} { // no living peer
			b.inject(t, system.Fault{Kind: system.FaultReplace, Node: node})
		}
		for _, node := range []string{"retriever1", "retriever2"} {
			b.heal(t, system.Fault{Kind: system.FaultReplace, Node: node})
		}
		for _, node := range []string{"retriever1", "retriever2"} {
			b.reaches(t, node, system.Answers)
		}
		b.counts(t, dataset, 40)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sendTo has events accepted, one batch.
func (b *bench) sendTo(t *testing.T, dataset string, n int) {
	t.Helper()
	req := shepherd.Request{Team: system.TeamKey(system.DefaultTeam), Dataset: dataset}
	for i := range n {
		req.Events = append(req.Events, event.Event{SampleRate: 1, Time: time.Now(), Fields: []event.Field{{Name: "n", Value: event.IntValue(int64(i))}}})
	}
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	a, err := b.Ingests()[0].Send(ctx, req)
	if err != nil || a.Code != 200 || len(a.Statuses) != n {
		t.Fatalf("send %d events: %+v %v", n, a, err)
	}
	for i, st := range a.Statuses {
		if st.Code != shepherd.Accepted {
			t.Errorf("event %d: %+v", i, st)
		}
	}
}

// counts waits until a query over the last hours counts as many events as were accepted, completely.
func (b *bench) counts(t *testing.T, dataset string, want int) {
	t.Helper()
	now := time.Now().Unix()
	spec, err := json.Marshal(map[string]any{"calculations": []map[string]string{{"op": "COUNT"}}, "start_time": now - 3600, "end_time": now + 3600})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("a complete answer counts %d", want), func() (string, bool) {
		ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
		defer cancel()
		a, err := b.Queriers()[0].Query(ctx, query.Request{Team: system.TeamKey(system.DefaultTeam), Dataset: dataset, Spec: spec, DisableSeries: true})
		got := "no row"
		if a.Result != nil && len(a.Result.Rows) == 1 {
			got = a.Result.Rows[0].Values[0].Value.String()
		}
		return fmt.Sprintf("%s of %d, code %d %s, complete %v, missing %+v, %v", got, want, a.Code, a.Error, a.Complete, a.Missing, err),
			err == nil && a.Code == 200 && a.Complete && got == strconv.Itoa(want)
	})
}
