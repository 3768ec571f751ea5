package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// straightLog is a log as idempotent producers write it: each shepherd's records go to any partition, in order.
func straightLog(shepherds, partitions, records int, pick func(n int) int) []evidence.Record {
	sent, ids, next := make([]uint64, shepherds), make([]uint64, shepherds), make([]int64, partitions)
	var log []evidence.Record
	for i := range records {
		s, p, n := pick(shepherds), pick(partitions), 1+pick(10)
		sent[s]++
		log = append(log, evidence.Record{Partition: int32(p), Offset: next[p], Source: uint64(s)<<60 + 7, First: ids[s], Count: n, Number: sent[s], At: time.Duration(i) * time.Millisecond})
		next[p]++
		ids[s] += uint64(n)
	}
	slices.SortFunc(log, func(a, b evidence.Record) int { return compareMarks(a.Partition, b.Partition, a.Offset, b.Offset) })
	return log
}

// judgeLog judges a run with such a log.
func judgeLog(log []evidence.Record, gaps ...evidence.Gap) (once, order Result) {
	e := defaultShape().history()
	e.Records, e.Gaps, e.Log = log, gaps, nil
	e.Plan.Checks = []plan.Check{{Name: plan.CheckLogOnce}, {Name: plan.CheckLogOrder}}
	j := Judge(e)
	return *result(j, CheckLogOnce), *result(j, CheckLogOrder)
}

func TestStraightLogPasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		log := straightLog(2, 3, 60, pick)
		once, order := judgeLog(log)
		if once.Verdict != Pass || order.Verdict != Pass {
			rt.Fatalf("%v: %s; %v: %s", once.Verdict, once.Summary, order.Verdict, order.Summary)
		}
	})
}

// TestAnyDefectOfTheLogIsTold puts one copy of a record behind it, or swaps two of a shepherd in a partition.
func TestAnyDefectOfTheLogIsTold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		log := straightLog(2, 3, 60, pick)
		i := pick(len(log))
		if rapid.Bool().Draw(rt, "copy") {
			c := log[i]
			c.Partition = int32(pick(3))
			c.Offset = 1000
			once, _ := judgeLog(append(log, c))
			if once.Verdict != Fail || len(once.Findings) != 1 || once.Findings[0].Count != 1 {
				rt.Fatalf("a copy of %+v: %v: %s", log[i], once.Verdict, once.Summary)
			}
			return
		}
		k := slices.IndexFunc(log, func(r evidence.Record) bool {
			return r.Partition == log[i].Partition && r.Source == log[i].Source && r.Number > log[i].Number
		})
		if k < 0 {
			rt.Skip("it is the last")
		}
		log[i].Offset, log[k].Offset = log[k].Offset, log[i].Offset
		once, order := judgeLog(log)
		if once.Verdict != Pass || order.Verdict != Fail || len(order.Findings) != 1 || order.Findings[0].Count < 1 {
			rt.Fatalf("%+v and %+v swapped: %v: %s; %v: %s", log[i], log[k], once.Verdict, once.Summary, order.Verdict, order.Summary)
		}
	})
}

func TestLogOrderByExample(t *testing.T) {
	t.Parallel()
	rec := func(offset int64, source, first, number uint64) evidence.Record {
		return evidence.Record{Offset: offset, Source: source, First: first, Count: 10, Number: number, At: 12 * sec}
	}
	for _, c := range []struct {
		name        string
		log         []evidence.Record
		gaps        []evidence.Gap
		once, order Verdict
		says        string // by the one that does not pass
	}{
		{"in order", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 10, 2)}, nil, Pass, Pass, ""},
		{"a client has repeated its request: other IDs", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 10, 2), rec(2, 1, 20, 3)}, nil, Pass, Pass, ""},
		{"two shepherds have the same numbers", []evidence.Record{rec(0, 1, 0, 2), rec(1, 2, 0, 1), rec(2, 2, 10, 2)}, nil, Pass, Pass, ""},
		{"offsets that were given to nothing", []evidence.Record{rec(0, 1, 0, 1), rec(9, 1, 10, 5)}, nil, Pass, Pass, ""},
		{"sent again at once", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 0, 1), rec(2, 1, 10, 2)}, nil, Fail, Pass, "1 record is in the log again"},
		{"sent again after another: no disorder", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 10, 2), rec(2, 1, 0, 1)}, nil, Fail, Pass, "1 record is in the log again"},
		{"refused, and there all the same", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 0, 2)}, nil, Fail, Pass, "in the log again"},
		{"a part of it again", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 5, 2)}, nil, Fail, Pass, "in the log again"},
		{"overtaken", []evidence.Record{rec(0, 1, 10, 2), rec(1, 1, 0, 1)}, nil, Pass, Fail, "1 record is in the log before"},
		{"overtaken, and the overtaken one again", []evidence.Record{rec(0, 1, 10, 2), rec(1, 1, 0, 1), rec(2, 1, 0, 1)}, nil, Fail, Fail, ""},
		{"no numbers", []evidence.Record{rec(0, 1, 0, 0), rec(1, 1, 10, 0)}, nil, Pass, Inconclusive, "without a number"},
		{"nothing to compare", []evidence.Record{rec(0, 1, 0, 1)}, nil, Pass, Inconclusive, "no order"},
		{"no records", nil, nil, Inconclusive, Inconclusive, "nothing of the log's records"},
		{"the log unread", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 10, 2)}, []evidence.Gap{{What: "log", Why: "no broker answered"}}, Inconclusive, Inconclusive, "no broker answered"},
		{"the log half read proves enough", []evidence.Record{rec(0, 1, 0, 1), rec(1, 1, 0, 1)}, []evidence.Gap{{What: "log", Why: "no broker answered"}}, Fail, Inconclusive, "no broker answered"},
	} {
		once, order := judgeLog(c.log, c.gaps...)
		if once.Verdict != c.once || order.Verdict != c.order || !strings.Contains(once.Summary+order.Summary, c.says) {
			t.Errorf("%s: %v: %s; %v: %s", c.name, once.Verdict, once.Summary, order.Verdict, order.Summary)
		}
		for _, f := range slices.Concat(once.Findings, order.Findings) {
			if !strings.HasPrefix(f.Fault, "during kill kafka2") || len(f.Examples) == 0 {
				t.Errorf("%s: %+v has no fault or no example", c.name, f)
			}
		}
	}
}

// TestTheLogsRecordsAreWhole: what is said of records is said of all that the log has.
func TestTheLogsRecordsAreWhole(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	e.Plan.Checks = []plan.Check{{Name: plan.CheckLogOnce}, {Name: plan.CheckLogOrder}}
	for i := range e.Log {
		if m := &e.Log[i]; i == 0 || m.Partition != e.Log[i-1].Partition || m.Offset != e.Log[i-1].Offset {
			e.Records = append(e.Records, evidence.Record{Partition: m.Partition, Offset: m.Offset, Source: 7, First: uint64(i), Count: 1, Number: uint64(i + 1), At: sec})
		}
	}
	for _, check := range []string{CheckLogOnce, CheckLogOrder} {
		if res := result(Judge(e), check); res.Verdict != Pass {
			t.Errorf("%s: %v: %s", check, res.Verdict, res.Summary)
		}
	}
	e.Records = slices.Delete(e.Records, 3, 5)
	for _, check := range []string{CheckLogOnce, CheckLogOrder} {
		if res := result(Judge(e), check); res.Verdict != Inconclusive || !strings.Contains(res.Summary, "lacks 2 records") {
			t.Errorf("%s: %v: %s", check, res.Verdict, res.Summary)
		}
	}
}
