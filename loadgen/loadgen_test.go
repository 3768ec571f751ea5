package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// target answers as the test says and keeps a copy of what it got.
type target struct {
	mu     sync.Mutex
	answer func(ctx context.Context, req shepherd.Request) (shepherd.Answer, error)
	got    []shepherd.Request
	ids    []string // producer/seq of every event that came
	wrong  int      // events that were not intact
}

func (f *target) Send(ctx context.Context, req shepherd.Request) (shepherd.Answer, error) {
	f.mu.Lock()
	for i := range req.Events {
		producer, seq, state := Identify(&req.Events[i])
		f.ids = append(f.ids, fmt.Sprintf("%d/%d", producer, seq))
		if state != Intact {
			f.wrong++
		}
	}
	f.got = append(f.got, shepherd.Request{Team: req.Team, Dataset: req.Dataset, Receipts: req.Receipts})
	answer := f.answer
	f.mu.Unlock()
	return answer(ctx, req)
}

func accept(_ context.Context, req shepherd.Request) (shepherd.Answer, error) {
	a := shepherd.Answer{Code: 200}
	for range req.Events {
		a.Statuses = append(a.Statuses, shepherd.Status{Code: shepherd.Accepted, Partition: 1, Offset: 7})
	}
	return a, nil
}

func fast() Spec {
	return Spec{Shape: Steady, EventsPerSecond: 5000, EventsPerBatch: 5, EventBytes: 300, Datasets: 2, Clients: 3, Timeout: 5 * time.Second}
}

// run drives a load until it has intended some requests, then stops it.
func run(t *testing.T, opts Options, requests int, specs []Spec, targets ...*target) *Load {
	t.Helper()
	r := rt.NewWall(1)
	t.Cleanup(func() { r.Kill(); r.Wait() })
	var list []Target
	for i, f := range targets {
		list = append(list, Target{Name: fmt.Sprintf("shepherd%d", i+1), Ingest: f})
	}
	l, err := Start(context.Background(), r, opts, specs, list)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(l.Ops()) < requests; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests were intended", len(l.Ops()), requests)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l.Stop(ctx)
	return l
}

func TestSequencesAreDenseAndEverythingIsAccounted(t *testing.T) {
	t.Parallel()
	a, b := &target{answer: accept}, &target{answer: accept}
	l := run(t, Options{Receipts: true}, 60, []Spec{fast(), fast()}, a, b)
	ops := l.Ops()
	next := map[uint32]uint64{}
	sent := map[string]bool{}
	datasets := map[string]bool{}
	for i, op := range ops {
		if op.FirstSeq != next[op.Producer] || op.Count != 5 {
			t.Fatalf("op %d begins at %d, expected %d", i, op.FirstSeq, next[op.Producer])
		}
		next[op.Producer] += uint64(op.Count)
		if op.Code != 200 || op.Error != "" || op.NotSent || !slices.Equal(op.Parts, []Part{{Count: 5, Code: 202, Partition: 1, Offset: 7}}) {
			t.Fatalf("%+v", op)
		}
		if op.Sent < op.Intended || op.Done < op.Sent || int(op.Producer)/3 != op.Traffic || !strings.HasPrefix(op.Dataset, fmt.Sprintf("load-%d-", op.Traffic)) {
			t.Fatalf("%+v", op)
		}
		datasets[op.Dataset] = true
		for s := range uint64(op.Count) {
			sent[fmt.Sprintf("%d/%d", op.Producer, op.FirstSeq+s)] = true
		}
	}
	if len(next) != 6 || len(datasets) != 4 {
		t.Errorf("%d producers, %d datasets", len(next), len(datasets))
	}
	for _, id := range append(slices.Clone(a.ids), b.ids...) {
		if !sent[id] {
			t.Errorf("%s came, but is not in the history or came twice", id)
		}
		delete(sent, id)
	}
	if len(sent) != 0 || a.wrong+b.wrong != 0 {
		t.Errorf("%d events did not come, %d were not intact", len(sent), a.wrong+b.wrong)
	}
	if len(a.got) == 0 || len(b.got) == 0 || !a.got[0].Receipts || a.got[0].Team != "ratel" {
		t.Errorf("%d and %d requests: %+v", len(a.got), len(b.got), a.got)
	}
	offered, accepted, failed, inFlight := l.Counts()
	if offered != int64(len(ops)*5) || accepted != offered || failed != 0 || inFlight != 0 || l.InFlight() != 0 {
		t.Errorf("%d %d %d %d", offered, accepted, failed, inFlight)
	}
}

func TestLoadIsOpen(t *testing.T) {
	t.Parallel()
	// Nobody answers: requests are intended and sent all the same.
	silent := &target{answer: func(ctx context.Context, _ shepherd.Request) (shepherd.Answer, error) {
		<-ctx.Done()
		return shepherd.Answer{}, ctx.Err()
	}}
	spec := fast()
	spec.Timeout = 100 * time.Millisecond
	l := run(t, Options{MaxInFlight: 20}, 40, []Spec{spec}, silent)
	waited, bounded := 0, 0
	for _, op := range l.Ops() {
		switch {
		case op.NotSent && op.Sent == -1 && op.Done >= 0 && strings.Contains(op.Error, "bound"):
			bounded++
		case !op.NotSent && op.Code == 0 && op.Done-op.Sent >= spec.Timeout && strings.Contains(op.Error, "100ms"):
			waited++
		default:
			t.Errorf("%+v", op)
		}
	}
	if waited < 20 || bounded == 0 {
		t.Errorf("%d were sent and not answered, %d not sent", waited, bounded)
	}
	c := l.Counters()
	if c.Unknown != int64(5*waited) || c.NotSent != int64(5*bounded) || c.Offered != c.Unknown+c.NotSent {
		t.Errorf("%+v", c)
	}
}

func TestOutcomesAreRecordedAsSeen(t *testing.T) {
	t.Parallel()
	n := 0
	odd := &target{}
	odd.answer = func(ctx context.Context, req shepherd.Request) (shepherd.Answer, error) {
		odd.mu.Lock()
		n++
		k := n
		odd.mu.Unlock()
		switch k % 5 {
		case 0:
			return shepherd.Answer{}, fmt.Errorf("dial: %w", port.ErrRefused)
		case 1:
			return shepherd.Answer{}, errors.New("connection reset")
		case 2:
			return shepherd.Answer{Code: 429, Error: "later"}, nil
		case 3:
			return shepherd.Answer{Code: 200}, nil // fewer statuses than events
		}
		a, _ := accept(ctx, req)
		a.Statuses[1] = shepherd.Status{Code: shepherd.Unknown, Error: "late", Partition: -1, Offset: -1}
		return a, nil
	}
	l := run(t, Options{}, 50, []Spec{fast()}, odd)
	seen := map[string]int{}
	for _, op := range l.Ops() {
		key := fmt.Sprintf("%d %v %s", op.Code, op.NotSent, op.Error)
		seen[key]++
		if op.Code == 200 && !slices.Equal(op.Parts, []Part{{1, 202, "", 1, 7}, {1, 504, "late", -1, -1}, {3, 202, "", 1, 7}}) {
			t.Errorf("%+v", op.Parts)
		}
	}
	for _, want := range []string{"0 true dial: refused", "0 false connection reset", "429 false later", "0 false answered with 0 statuses for 5 events", "200 false "} {
		if seen[want] == 0 {
			t.Errorf("%q is missing: %v", want, seen)
		}
	}
}

func TestStopIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	r := rt.NewWall(1)
	defer func() { r.Kill(); r.Wait() }()
	stuck := &target{answer: func(ctx context.Context, _ shepherd.Request) (shepherd.Answer, error) {
		<-ctx.Done()
		return shepherd.Answer{}, ctx.Err()
	}}
	spec := fast()
	spec.Timeout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Start(ctx, r, Options{}, []Spec{spec}, []Target{{"s", stuck}})
	if err != nil {
		t.Fatal(err)
	}
	for l.InFlight() == 0 {
		time.Sleep(time.Millisecond)
	}
	short, cancelShort := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancelShort()
	l.Stop(short)
	if ops := l.Ops(); ops[0].Done != -1 || ops[0].Code != 0 {
		t.Errorf("%+v", ops[0])
	}
	cancel() // the requests are given up
	for l.InFlight() != 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestLengthEndsTheLoad(t *testing.T) {
	t.Parallel()
	f := &target{answer: accept}
	spec := fast()
	spec.Length = 20 * time.Millisecond
	l := run(t, Options{}, 19, []Spec{spec}, f)
	if n := len(l.Ops()); n != 19 { // every millisecond, the first after one
		t.Errorf("%d requests", n)
	}
}

func TestSpecsAreChecked(t *testing.T) {
	t.Parallel()
	bad := Spec{Shape: "square", EventsPerSecond: -1, EventBytes: -1}
	_, err := Start(context.Background(), rt.NewWall(1), Options{}, []Spec{fast(), bad, {Shape: Ramp}, {Shape: Wave, Amplitude: 1}, {Name: "big", Shape: Burst, BurstLength: 1, Events: "huge"}}, nil)
	for _, what := range []string{"no shepherd", "traffic 1: shape is square", "events per second", "events per batch", "datasets", "clients", "timeout", "event bytes", "ramp's length", "final rate", "wave's period", "wave's amplitude", "traffic 4 (big): kind of events is huge", "within bursts", "burst to burst", "a burst's length"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not name %q: %v", what, err)
		}
	}
}

func TestIdentifyFindsEveryChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var inPlace Recogniser
		producer, seq := rapid.Uint32().Draw(t, "producer"), rapid.Uint64Range(0, 1<<50).Draw(t, "seq")
		e := newSmall(rapid.IntRange(0, 200).Draw(t, "filler")).fill(&batch{}, producer, seq, 1, time.Unix(1, 0))[0]
		same := func(what string, e event.Event, want State) {
			p, s, state := Identify(&e)
			if state != want || want != Foreign && (p != producer || s != seq) {
				t.Fatalf("%s: %d/%d %d, want state %d", what, p, s, state, want)
			}
			// The same from a chunk's bytes, after an event of other names.
			other := event.Event{Fields: []event.Field{{Name: FieldSeq, Value: event.IntValue(1)}, {Name: "x", Value: event.StringValue("y")}}}
			found := 0
			if err := inPlace.Chunk(event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, []event.Event{other, e, e}), func(p2 uint32, s2 uint64, state2 State) {
				if found++; found > 1 && (p2 != p || s2 != s || state2 != state) || found == 1 && state2 != Foreign {
					t.Fatalf("%s: event %d in place is %d/%d %d, decoded %d/%d %d", what, found, p2, s2, state2, p, s, state)
				}
			}); err != nil || found != 3 {
				t.Fatalf("%s: %d events found in place: %v", what, found, err)
			}
		}
		same("as it was", e, Intact)
		// Any order, through JSON and through a chunk.
		shuffled := e
		shuffled.Fields = rapid.Permutation(e.Fields).Draw(t, "order")
		same("shuffled", shuffled, Intact)
		items, err := event.DecodeBatchJSON(event.AppendBatchJSON(nil, []event.Event{e}), time.Unix(2, 0))
		if err != nil || items[0].Problem != "" {
			t.Fatal(err, items)
		}
		same("through JSON", items[0].Event, Intact)
		c, err := event.DecodeChunk(event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, []event.Event{e}))
		if err != nil {
			t.Fatal(err)
		}
		same("through a chunk", c.Events[0], Intact)
		// Changes.
		for i := range e.Fields {
			changed := e
			changed.Fields = slices.Clone(e.Fields)
			want := Corrupt
			if i < 2 {
				want = Foreign // without producer or sequence
			}
			changed.Fields[i].Value = event.StringValue("changed")
			same("changed "+e.Fields[i].Name, changed, want)
			changed.Fields = slices.Delete(slices.Clone(e.Fields), i, i+1)
			same("without "+e.Fields[i].Name, changed, want)
		}
		added := e
		added.Fields = append(slices.Clone(e.Fields), event.Field{Name: "more", Value: event.IntValue(1)})
		same("added", added, Corrupt)
	})
}
