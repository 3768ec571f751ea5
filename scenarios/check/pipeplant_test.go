package check

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query"
)

// pick finds the n-th held mark that fits, counted round and round; -1 if there is none.
func pick(e *evidence.Evidence, n int, fits func(m *evidence.HeldMark) bool) int {
	var list []int
	for i := range e.Held {
		if fits(&e.Held[i]) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return list[n%len(list)]
}

// acceptedEvents lists the accepted events.
func acceptedEvents(e *evidence.Evidence) map[event]bool {
	set := map[event]bool{}
	for i := range e.Ops {
		o := &e.Ops[i]
		eachPart(o, func(first, n uint64, out outcome, _ *evidence.Part) {
			for seq := first; out == wasAccepted && seq < first+n; seq++ {
				set[event{o.Producer, seq}] = true
			}
		})
	}
	return set
}

func finalOf(e *evidence.Evidence, partition int32) *evidence.Commit {
	for i := range e.Commits {
		if c := &e.Commits[i]; c.Final && c.Partition == partition {
			return c
		}
	}
	return nil
}

// answerWith finds the n-th complete answer of a shape that has rows.
func answerWith(e *evidence.Evidence, n int, shape string) *evidence.Query {
	var list []*evidence.Query
	for i := range e.Queries {
		if q := &e.Queries[i]; q.Shape == shape && q.Complete && q.Result != nil && len(q.Result.Rows) > 0 {
			list = append(list, q)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[n%len(list)]
}

// last is an answer that was asked for after everything had settled.
func last(e *evidence.Evidence, shape string) *evidence.Query {
	for i := len(e.Queries) - 1; i >= 0; i-- {
		if q := &e.Queries[i]; q.Shape == shape && q.Result != nil && len(q.Result.Rows) > 0 {
			return q
		}
	}
	return nil
}

func accept(o *evidence.Op) bool { return o.Code == 200 && len(o.Parts) > 0 && o.Parts[0].Code == 202 }

type pipePlanting struct {
	name  string
	plant func(e *evidence.Evidence, n int) bool
	check string
	says  string
	stage LossStage
}

// pipePlantings are defects of a run through the whole pipeline. plant says false where the run has no place for it; n chooses
// one of several places.
var pipePlantings = []pipePlanting{
	{"one of the pair lacks an event", func(e *evidence.Evidence, n int) bool {
		accepted := acceptedEvents(e)
		i := pick(e, n, func(m *evidence.HeldMark) bool {
			c := finalOf(e, m.Partition)
			return m.Retriever != evidence.StoreS3 && m.Offset >= c.Next && accepted[event{m.Producer, m.Seq}]
		})
		if i < 0 {
			return false
		}
		e.Held = slices.Delete(e.Held, i, i+1)
		return true
	}, CheckDurability, "not by every retriever that has to", LostAtRetriever},
	{"both of the pair lack an event", func(e *evidence.Evidence, n int) bool {
		accepted := acceptedEvents(e)
		i := pick(e, n, func(m *evidence.HeldMark) bool {
			return m.Retriever != evidence.StoreS3 && m.Offset >= finalOf(e, m.Partition).Next && accepted[event{m.Producer, m.Seq}]
		})
		if i < 0 {
			return false
		}
		gone := e.Held[i]
		dropHeld(e, gone.Producer, gone.Seq, 1)
		return true
	}, CheckDurability, "in Kafka's log and not held", LostBeforeStorage},
	{"aged from the disks and not in S3", func(e *evidence.Evidence, n int) bool {
		accepted := acceptedEvents(e)
		i := pick(e, n, func(m *evidence.HeldMark) bool {
			return m.Retriever == evidence.StoreS3 && accepted[event{m.Producer, m.Seq}]
		})
		if i < 0 {
			return false
		}
		e.Held = slices.Delete(e.Held, i, i+1)
		return true
	}, CheckDurability, "that have to be in S3 and are not", LostBeforeStore},
	{"the manifest reaches further than S3", func(e *evidence.Evidence, n int) bool {
		i := pick(e, n, func(m *evidence.HeldMark) bool { return m.Retriever == evidence.StoreS3 })
		if i < 0 {
			return false
		}
		e.Held = slices.Delete(e.Held, i, i+1)
		return true
	}, CheckCommitted, "not in S3", ""},
	{"an object is absent", func(e *evidence.Evidence, n int) bool {
		c := &e.Commits[n%len(e.Commits)]
		c.Absent = []string{"segments/0/0-10/1-400-aa.parquet is not there"}
		return true
	}, CheckCommitted, "not there", ""},
	{"committed before it was durable", func(e *evidence.Evidence, n int) bool {
		c := &e.Commits[n%len(e.Commits)]
		c.Durable = c.Next - 1
		return c.Next > 0
	}, CheckCommitted, "held durably up to", ""},
	{"two writers of one generation", func(e *evidence.Evidence, n int) bool {
		c := e.Commits[n%len(e.Commits)]
		c.Writer, c.Final = "retriever99", false
		e.Commits = append(e.Commits, c)
		return true
	}, CheckCommitted, "two manifests of this generation", ""},
	{"a newer manifest covers less", func(e *evidence.Evidence, n int) bool {
		c := *finalOf(e, int32(n)%e.Plan.System.Kafka.Partitions)
		if c.Next == 0 {
			return false
		}
		c.Generation, c.Next, c.Final = c.Generation+1, c.Next-1, false
		e.Commits = append(e.Commits, c)
		return true
	}, CheckCommitted, "the one before it reached", ""},
	{"an older manifest came back", func(e *evidence.Evidence, n int) bool {
		c := *finalOf(e, int32(n)%e.Plan.System.Kafka.Partitions)
		c.Generation, c.Final, c.At = c.Generation-1, false, c.At+time.Second
		for _, x := range e.Commits {
			if x.Partition == c.Partition && x.Generation == c.Generation {
				c.Next, c.Writer, c.Durable = x.Next, x.Writer, x.Durable
			}
		}
		e.Commits = append(e.Commits, c)
		return true
	}, CheckCommitted, "an older manifest took the place", ""},
	{"a manifest beyond the log", func(e *evidence.Evidence, n int) bool {
		c := finalOf(e, int32(n)%e.Plan.System.Kafka.Partitions)
		c.Next, c.Durable = 1<<20, 1<<20
		return true
	}, CheckCommitted, "the final log ends at", ""},
	{"the pair's sums differ", func(e *evidence.Evidence, n int) bool {
		for i := range e.Pairs {
			a := &e.Pairs[(n+i)%len(e.Pairs)]
			if slices.ContainsFunc(e.Pairs, func(b evidence.PairRange) bool {
				return b.Partition == a.Partition && b.Retriever != a.Retriever && b.First == a.First && b.Next == a.Next
			}) {
				a.Sum ^= 1 << 17
				return true
			}
		}
		return false
	}, CheckPairs, "have not stored the same", ""},
	{"the pair's events differ where their ranges do", func(e *evidence.Evidence, n int) bool {
		for i := range e.Pairs {
			a := &e.Pairs[(n+i)%len(e.Pairs)]
			if slices.ContainsFunc(e.Pairs, func(b evidence.PairRange) bool {
				return b.Partition == a.Partition && b.Retriever != a.Retriever && b.First == a.First && b.Next == a.Next
			}) {
				continue
			}
			k := pick(e, n, func(m *evidence.HeldMark) bool {
				return m.Retriever == a.Retriever && m.Offset >= max(a.First, finalOf(e, a.Partition).Next) && m.Offset < a.Next
			})
			if k >= 0 {
				e.Held[k].State = evidence.Corrupt
				return true
			}
		}
		return false
	}, CheckPairs, "do not hold the same events", ""},
	{"held twice by one retriever", func(e *evidence.Evidence, n int) bool {
		i := pick(e, n, func(m *evidence.HeldMark) bool { return m.Retriever != evidence.StoreS3 })
		e.Held = slices.Insert(e.Held, i, e.Held[i])
		return true
	}, CheckDuplicates, "held more than once", ""},
	{"twice in S3", func(e *evidence.Evidence, n int) bool {
		i := pick(e, n, func(m *evidence.HeldMark) bool { return m.Retriever == evidence.StoreS3 })
		if i < 0 {
			return false
		}
		e.Held = slices.Insert(e.Held, i, e.Held[i])
		return true
	}, CheckDuplicates, "held more than once", ""},
	{"a pair in one zone", func(e *evidence.Evidence, n int) bool {
		i := n % len(e.Places)
		for _, other := range e.Places {
			if other.Partition == e.Places[i].Partition && other.Retriever != e.Places[i].Retriever {
				e.Places[i].Zone = other.Zone
				return true
			}
		}
		return false
	}, CheckZones, "are both in zone", ""},
	{"more memory than allowed", func(e *evidence.Evidence, n int) bool {
		metric := []string{evidence.InFlightShare, evidence.RetrieverMemory}[n%2]
		e.Samples[n%len(e.Samples)].Values[metric] = 1.01
		return true
	}, CheckMemory, "was 101%", ""},
	{"a complete answer counts too little", func(e *evidence.Evidence, n int) bool {
		q := last(e, plan.QueryAll)
		cell := &q.Result.Rows[n%len(q.Result.Rows)].Values[0]
		for i := range e.Ops { // with events of unknown outcome nobody could say
			if !accept(&e.Ops[i]) || e.Ops[i].Dataset != q.Dataset {
				continue
			}
			cell.Value = field.IntValue(0)
			return true
		}
		return false
	}, CheckQueries, "said to be complete", ""},
	{"the last answer lacks what was accepted last", func(e *evidence.Evidence, _ int) bool {
		q := last(e, plan.QueryCover)
		for i := range e.Timeline {
			if x := &e.Timeline[i]; x.Kind == evidence.Drained { // asked at once then
				q.Intended, q.Sent, q.Done = x.At+time.Millisecond, x.At+time.Millisecond, x.At+50*time.Millisecond
			}
		}
		for i := len(e.Ops) - 1; i >= 0; i-- {
			o := &e.Ops[i]
			if !accept(o) || o.Dataset != q.Dataset || o.Done < q.Sent-8*time.Second {
				continue
			}
			for k := range q.Result.Rows {
				if row := &q.Result.Rows[k]; uint32(row.Group[0].Float()) == o.Producer {
					row.Values[0].Value = field.FloatValue(row.Values[0].Value.Float() - float64(o.Count))
					return true
				}
			}
		}
		return false
	}, CheckQueries, "said to be complete", ""},
	{"an answer counts too much", func(e *evidence.Evidence, n int) bool {
		cell := &answerWith(e, n, plan.QueryCover).Result.Rows[0].Values[0]
		cell.Value = field.FloatValue(cell.Value.Float() + 1e7)
		return true
	}, CheckQueries, "more than was sent", ""},
	{"an answer has a group that was never sent", func(e *evidence.Evidence, n int) bool {
		answerWith(e, n, plan.QueryAll).Result.Rows[0].Group[0] = field.StringValue("nobody")
		return true
	}, CheckQueries, "a group that cannot be there", ""},
	{"an answer lacks a group", func(e *evidence.Evidence, n int) bool {
		q := last(e, plan.QueryCover)
		q.Result.Rows = slices.Delete(q.Result.Rows, n%len(q.Result.Rows), n%len(q.Result.Rows)+1)
		return true
	}, CheckQueries, "said to be complete", ""},
	{"a partial answer that names too little", func(e *evidence.Evidence, n int) bool {
		q := last(e, plan.QueryAll)
		q.Complete, q.Missing = false, []query.Missing{{Partition: 99, From: 0, To: 1 << 40}}
		q.Result.Rows[n%len(q.Result.Rows)].Values[0].Value = field.IntValue(0)
		return true
	}, CheckQueries, "said to be partial", ""},
	{"a wrong mean", func(e *evidence.Evidence, n int) bool {
		q := last(e, plan.QueryUnique)
		cell := &q.Result.Rows[0].Values[3] // the sum
		cell.Value = field.FloatValue(cell.Value.Float()*1.5 + 1e6)
		return true
	}, CheckQueries, "more than was sent", ""},
	{"a wrong percentile", func(e *evidence.Evidence, n int) bool {
		q := answerWith(e, n, plan.QueryRecent)
		if q == nil {
			return false
		}
		q.Result.Rows[0].Values[2].Value = field.FloatValue(-1e9)
		return true
	}, CheckQueries, "", ""},
	{"a wrong heatmap", func(e *evidence.Evidence, n int) bool {
		for i := range e.Queries {
			if q := &e.Queries[i]; q.Shape == plan.QueryHeatmap && q.Result != nil && len(q.Result.Rows[0].Values[0].Heatmap) > 0 {
				q.Result.Rows[0].Values[0].Heatmap[0].Count += 1e6
				return true
			}
		}
		return false
	}, CheckQueries, "more than was sent", ""},
	{"a wrong series", func(e *evidence.Evidence, n int) bool {
		q := last(e, plan.QueryAll)
		p := &q.Result.Series[n%len(q.Result.Series)]
		p.Values[0].Value = field.IntValue(p.Values[0].Value.Int() + 100_000)
		return true
	}, CheckQueries, "more than was sent", ""},
	{"rows of another form", func(e *evidence.Evidence, n int) bool {
		q := answerWith(e, n, plan.QueryAll)
		q.Result.Rows[0].Values = nil
		return true
	}, CheckQueries, "not of the form", ""},
}

func TestPlantedDefectsOfThePipelineAreCaught(t *testing.T) {
	t.Parallel()
	s := defaultPipe()
	s.unknown = 0
	for _, c := range pipePlantings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := s.history()
			if !c.plant(e, 7) {
				t.Fatal("the history has no place for it")
			}
			j := Judge(e)
			res := result(j, c.check)
			if j.Verdict != Fail || res.Verdict != Fail {
				t.Fatalf("not caught by %s: %s", c.check, verdicts(j))
			}
			found := slices.ContainsFunc(res.Findings, func(f Finding) bool {
				return f.Verdict == Fail && f.Stage == c.stage || c.stage == "" && strings.Contains(f.Title, c.says)
			}) && (strings.Contains(res.Summary, c.says) || slices.ContainsFunc(res.Findings, func(f Finding) bool { return strings.Contains(f.Title, c.says) }))
			if !found {
				t.Errorf("want %q at stage %q, got %s; %+v", c.says, c.stage, res.Summary, res.Findings)
			}
			if again, _ := json.Marshal(Judge(e)); string(again) != string(must2(json.Marshal(j))) {
				t.Error("judged again it is another judgement")
			}
		})
	}
}

func must2(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestAnyDefectOfAnyRunIsCaught plants one defect somewhere into runs of any shape.
func TestAnyDefectOfAnyRunIsCaught(t *testing.T) {
	t.Parallel()
	for seed := range runsDrawn {
		s := rapid.Custom(drawPipe).Example(seed)
		s.unknown = 0
		for k := range 4 {
			c := pipePlantings[(seed*4+k)%len(pipePlantings)]
			e := s.history()
			if !c.plant(e, seed*13+k) {
				continue
			}
			if res := result(Judge(e), c.check); res.Verdict != Fail {
				t.Errorf("%s is not caught by %s in %+v: %v: %s", c.name, c.check, s, res.Verdict, res.Summary)
			}
		}
	}
}
