package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/rt"
)

// querier answers as the test says and keeps what it was asked.
type querier struct {
	mu     sync.Mutex
	answer func(ctx context.Context, n int) (query.Answer, error)
	asked  []query.Request
}

func (q *querier) Query(ctx context.Context, req query.Request) (query.Answer, error) {
	q.mu.Lock()
	q.asked = append(q.asked, req)
	n := len(q.asked) - 1
	q.mu.Unlock()
	return q.answer(ctx, n)
}

func whole(context.Context, int) (query.Answer, error) {
	return query.Answer{Code: 200, Complete: true, Result: &exec.Result{Columns: []string{"COUNT"}}}, nil
}

// reading runs readers for a while of virtual time.
func reading(t *testing.T, opts Options, length time.Duration, specs []ReaderSpec, targets []QueryTarget, then func(*Readers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rt.NewWall(1)
		a, err := StartReaders(context.Background(), r, opts, specs, targets)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(length)
		synctest.Wait()
		a.Stop(context.Background())
		then(a)
		r.Kill()
		r.Wait()
	})
}

func TestReadersAskInTurn(t *testing.T) {
	t.Parallel()
	one, two := &querier{answer: whole}, &querier{answer: whole}
	specs := []ReaderSpec{
		{Name: "on call", Team: "key1", Datasets: []string{"load-0-0", "load-0-1"}, Every: time.Second, Shapes: []string{QueryFresh, QueryAll}, Timeout: time.Second},
		{Team: "key2", Datasets: []string{"load-1-0"}, Every: 4 * time.Second, Shapes: []string{QueryCover}, Timeout: time.Second},
	}
	reading(t, Options{}, 9*time.Second, specs, []QueryTarget{{"query1", one}, {"query2", two}}, func(a *Readers) {
		var first, second []string
		byTarget := map[string]int{}
		for _, op := range a.Ops() {
			text := fmt.Sprint(op.Intended, " ", op.Shape, " ", op.Dataset, " ", op.Target)
			if op.Reader == 0 {
				first = append(first, text)
			} else {
				second = append(second, text)
			}
			if op.Sent != op.Intended || op.Done != op.Sent || op.Code != 200 || !op.Complete || op.Result == nil || op.Error != "" || op.Team != specs[op.Reader].Team {
				t.Errorf("%+v", op)
			}
			byTarget[op.Target]++
		}
		if want := []string{
			"500ms fresh load-0-0 query1", "1.5s all load-0-0 query2", "2.5s fresh load-0-1 query2", "3.5s all load-0-1 query1",
			"4.5s fresh load-0-0 query1", "5.5s all load-0-0 query2", "6.5s fresh load-0-1 query2", "7.5s all load-0-1 query1", "8.5s fresh load-0-0 query1",
		}; !slices.Equal(first, want) {
			t.Errorf("the first reader asked\n%s", strings.Join(first, "\n"))
		}
		if want := []string{"4s cover load-1-0 query2", "8s cover load-1-0 query2"}; !slices.Equal(second, want) {
			t.Errorf("the second reader asked %q", second)
		}
		if len(one.asked) != byTarget["query1"] || len(two.asked) != byTarget["query2"] {
			t.Errorf("asked %d and %d, the history has %v", len(one.asked), len(two.asked), byTarget)
		}
		for _, req := range append(slices.Clone(one.asked), two.asked...) {
			if series := strings.Contains(string(req.Spec), "granularity"); series == req.DisableSeries {
				t.Errorf("%s, series disabled: %v", req.Spec, req.DisableSeries)
			}
		}
		if c := a.Counts(); c != (QueryCounts{Asked: 11, Complete: 11}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestReadersAreOpenAndBounded(t *testing.T) {
	t.Parallel()
	silent := &querier{answer: func(ctx context.Context, _ int) (query.Answer, error) {
		<-ctx.Done()
		return query.Answer{}, ctx.Err()
	}}
	specs := []ReaderSpec{{Team: "k", Datasets: []string{"d"}, Every: 100 * time.Millisecond, Shapes: []string{QueryFresh}, Timeout: 950 * time.Millisecond}}
	reading(t, Options{MaxInFlight: 4}, 1150*time.Millisecond, specs, []QueryTarget{{"query1", silent}}, func(a *Readers) {
		var sent, bounded int
		for i, op := range a.Ops() {
			if want := time.Duration(i+1) * 100 * time.Millisecond; op.Intended != want {
				t.Errorf("query %d was intended at %v, expected %v", i, op.Intended, want)
			}
			switch {
			case op.Sent == op.Intended && op.Done == op.Sent+950*time.Millisecond && op.Code == 0 && op.Error == "no answer within 950ms":
				sent++
			case op.Sent == -1 && op.Done == op.Intended && op.Code == 0 && strings.Contains(op.Error, "bound"):
				bounded++
			default:
				t.Errorf("%+v", op)
			}
		}
		// Four at 100 to 400 ms, and one more when the first has timed out.
		if sent != 5 || bounded != 6 {
			t.Errorf("%d were sent, %d not", sent, bounded)
		}
		if c := a.Counts(); c != (QueryCounts{Asked: 11, NoAnswer: 11}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestAnswersAreRecordedAsSeen(t *testing.T) {
	t.Parallel()
	odd := &querier{answer: func(ctx context.Context, n int) (query.Answer, error) {
		switch n {
		case 0:
			return query.Answer{}, errors.New("connection reset")
		case 1:
			return query.Answer{Code: 400, Error: "no such column"}, nil
		case 2:
			return query.Answer{Code: 200, Complete: true}, nil
		case 3:
			return query.Answer{Code: 200, Result: &exec.Result{}, Missing: []query.Missing{{Partition: 3, From: 0, To: 3600, Why: "late"}}}, nil
		case 4:
			return query.Answer{Error: "what"}, nil
		}
		return whole(ctx, n)
	}}
	specs := []ReaderSpec{{Team: "k", Datasets: []string{"d"}, Every: time.Second, Shapes: []string{QueryFresh}, Timeout: time.Second}}
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	reading(t, Options{Epoch: epoch.Add(-time.Hour)}, 6500*time.Millisecond, specs, []QueryTarget{{"query1", odd}}, func(a *Readers) {
		ops := a.Ops()
		if len(ops) != 6 {
			t.Fatalf("%d queries", len(ops))
		}
		for i, want := range []string{
			"0 connection reset false []", "400 no such column false []", "0 answered with code 200 but without a result false []",
			"200  false [{3 0 3600 late}]", "0 answered without a code: what false []", "200  true []",
		} {
			op := &ops[i]
			if got := fmt.Sprint(op.Code, " ", op.Error, " ", op.Complete, " ", op.Missing); got != want {
				t.Errorf("query %d: %s, expected %s", i, got, want)
			}
			if (op.Result != nil) != (op.Code == 200) || op.Intended != time.Hour+time.Duration(i+1)*time.Second {
				t.Errorf("%+v", op)
			}
		}
		if c := a.Counts(); c != (QueryCounts{Asked: 6, Complete: 1, Partial: 1, Failed: 1, NoAnswer: 3}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestStoppingReadersIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := rt.NewWall(1)
		stuck := &querier{answer: func(ctx context.Context, _ int) (query.Answer, error) {
			<-ctx.Done()
			return query.Answer{}, ctx.Err()
		}}
		ctx, cancel := context.WithCancel(context.Background())
		a, err := StartReaders(ctx, r, Options{}, []ReaderSpec{{Datasets: []string{"d"}, Every: time.Second, Shapes: []string{QueryOld}, Timeout: time.Hour}}, []QueryTarget{{"q", stuck}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		short, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		a.Stop(short)
		if ops := a.Ops(); len(ops) != 1 || ops[0].Done != -1 || a.Counts().InFlight != 1 {
			t.Errorf("%+v", ops)
		}
		cancel() // the query is given up
		synctest.Wait()
		if op := a.Ops()[0]; op.Done < 0 || op.Code != 0 || op.Error != context.Canceled.Error() {
			t.Errorf("%+v", op)
		}
		r.Kill()
		r.Wait()
	})
}

func TestReadersAreChecked(t *testing.T) {
	t.Parallel()
	_, err := StartReaders(context.Background(), rt.NewWall(1), Options{}, []ReaderSpec{{Name: "r", Shapes: []string{"sideways"}}, {Datasets: []string{"d"}, Every: time.Second, Timeout: 1}}, nil)
	for _, what := range []string{"no query node", "reader 0 (r): it has no datasets", `no shape "sideways"`, "asks every 0s", "timeout is 0s", "reader 1: it has no shapes"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not name %q: %v", what, err)
		}
	}
	if a, err := StartReaders(context.Background(), rt.NewWall(1), Options{}, nil, nil); err != nil {
		t.Errorf("no readers are fine: %v", err)
	} else if a.Stop(context.Background()); len(a.Ops()) != 0 {
		t.Error("nobody asked, but something was")
	}
}

// TestSpecsKeepTheAPIsRules draws moments and holds each shape to the API's rules on windows and to what it promises.
func TestSpecsKeepTheAPIsRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		began := time.Unix(rapid.Int64Range(1_000_000_000, 2_000_000_000).Draw(t, "began"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		now := began.Add(time.Duration(rapid.Int64Range(0, int64(20*24*time.Hour)).Draw(t, "age")))
		for _, shape := range QueryShapes() {
			text := SpecFor(shape, now, began)
			var q querySpec
			if err := json.Unmarshal(text, &q); err != nil {
				t.Fatal(err)
			}
			window := q.End - q.Start
			if window < 10 || window > 7*24*60*60 {
				t.Fatalf("%s: a window of %d s: %s", shape, window, text)
			}
			end := now.Unix() + 1 // the first whole second after now
			if shape == QueryOld {
				end -= 60
			}
			if q.End != end {
				t.Fatalf("%s ends at %d, expected %d", shape, q.End, end)
			}
			switch length := map[string]int64{QueryFresh: 10, QueryRecent: 60, QueryHeatmap: 60, QueryErrors: 300}[shape]; {
			case length > 0 && window != length:
				t.Fatalf("%s: a window of %d s, expected %d", shape, window, length)
			case length == 0 && q.Start > began.Unix() && window != 7*24*60*60:
				t.Fatalf("%s leaves out the beginning: %s", shape, text)
			}
			if g := q.Granularity; WantsSeries(shape) != (g > 0) || g > 0 && (g*1000 < window || g*10 > window) {
				t.Fatalf("%s: a granularity of %d s in %d s", shape, g, window)
			}
		}
	})
}

// TestSpecsAreTaken gives every shape's specification to the parser of the query node.
func TestSpecsAreTaken(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_900_000_000, 123)
	for _, age := range []time.Duration{0, time.Second, 59 * time.Second, 10 * time.Minute, 101*time.Hour + 7*time.Second, 30 * 24 * time.Hour} {
		for _, shape := range QueryShapes() {
			now := began.Add(age)
			text := SpecFor(shape, now, began)
			q, err := spec.Parse(text, now)
			if err != nil {
				t.Errorf("%s after %v: %s: %v", shape, age, text, err)
				continue
			}
			var want querySpec
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if q.Start.Unix() != want.Start || q.End.Unix() != want.End || WantsSeries(shape) && q.Granularity != time.Duration(want.Granularity)*time.Second || len(q.Calculations) != len(want.Calculations) || len(q.Breakdowns) != len(want.Breakdowns) {
				t.Errorf("%s after %v: %s became %+v", shape, age, text, q)
			}
		}
	}
}
