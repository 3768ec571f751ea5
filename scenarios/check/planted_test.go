package check

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// accepted finds the n-th accepted part of batches that were to be sent in [from, to).
func accepted(e *evidence.Evidence, from, to time.Duration, n int) (*evidence.Op, *evidence.Part, uint64) {
	for i := range e.Ops {
		o := &e.Ops[i]
		if o.Intended < from || o.Intended >= to || o.Code != http.StatusOK {
			continue
		}
		seq := o.FirstSeq
		for k := range o.Parts {
			if o.Parts[k].Code == shepherd.Accepted {
				if n--; n < 0 {
					return o, &o.Parts[k], seq
				}
			}
			seq += uint64(o.Parts[k].Count)
		}
	}
	panic("the history has no such event")
}

func dropHeld(e *evidence.Evidence, producer uint32, first uint64, n int) {
	e.Held = slices.DeleteFunc(e.Held, func(m evidence.HeldMark) bool {
		return m.Producer == producer && m.Seq >= first && m.Seq < first+uint64(n)
	})
}

func dropLog(e *evidence.Evidence, producer uint32, first uint64, n int) {
	e.Log = slices.DeleteFunc(e.Log, func(m evidence.LogMark) bool {
		return m.Producer == producer && m.Seq >= first && m.Seq < first+uint64(n)
	})
}

// lose makes an accepted part vanish from Kafka and the retrievers.
func lose(e *evidence.Evidence, from, to time.Duration) *evidence.Part {
	o, part, seq := accepted(e, from, to, 3)
	dropHeld(e, o.Producer, seq, part.Count)
	dropLog(e, o.Producer, seq, part.Count)
	return part
}

// poisonLog puts a record of the harness's own at an offset of the log.
func poisonLog(e *evidence.Evidence, offset int64) {
	e.Log = append(e.Log, evidence.LogMark{Partition: 5, Offset: offset, State: evidence.Unreadable})
	e.Timeline = append(e.Timeline, evidence.Entry{
		At: e.Timeline[len(e.Timeline)-1].At, Kind: evidence.Poisoned, Topic: "events", Part: 5, Offset: offset, Detail: "garbage/outage/0/0",
	})
}

// TestPoisonIsNoCorruption: what the harness has put into the log itself counts as nobody's damage, in the log and where it is held.
func TestPoisonIsNoCorruption(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	poisonLog(e, poisonAt)
	announceSkip(e, "retriever6", 5, "offset 1073741824: the chunk's checksum does not match")
	e.Held = append(e.Held, evidence.HeldMark{Retriever: e.Held[len(e.Held)-1].Retriever, Partition: 5, Offset: 1 << 30, State: evidence.Foreign})
	j := Judge(e)
	for _, r := range j.Results {
		if r.Verdict != Pass {
			t.Errorf("%s: %v: %s", r.Name, r.Verdict, r.Summary)
		}
	}
}

func dropEntries(e *evidence.Evidence, kind evidence.EntryKind) {
	e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool { return x.Kind == kind })
}

func setSamples(e *evidence.Evidence, from, to time.Duration, metric string, v float64) {
	for i := range e.Samples {
		if s := &e.Samples[i]; s.At >= from && s.At <= to {
			s.Values[metric] = v
		}
	}
}

func dropSamples(e *evidence.Evidence, from, to time.Duration, metric string) {
	for i := range e.Samples {
		if s := &e.Samples[i]; s.At >= from && s.At <= to {
			delete(s.Values, metric)
		}
	}
}

const (
	sec = time.Second
	end = time.Hour
)

// plantings are defects of a run and holes in its evidence, each with the check that must tell it and how. The default
// shape's broker is away from 10 s to 20 s and back at 21.5 s; the system is well again at 23 s, and the load ends at 40 s.
var plantings = []struct {
	name    string
	plant   func(e *evidence.Evidence)
	verdict Verdict // of the run
	check   string  // that tells it
	own     Verdict // of that check
	says    string  // in a finding's title or the summary
	stage   LossStage
	fault   string // beginning of the finding's Fault
}{
	{name: "lost before Kafka, during the fault", plant: func(e *evidence.Evidence) { lose(e, 12*sec, 18*sec).Offset = -1 },
		verdict: Fail, check: CheckDurability, own: Fail, says: "answered before Kafka acknowledged", stage: LostBeforeKafka, fault: "during kill kafka2 (outage/0)"},
	{name: "lost in Kafka, just before the fault", plant: func(e *evidence.Evidence) { lose(e, 9*sec, 9900*time.Millisecond) },
		verdict: Fail, check: CheckDurability, own: Fail, says: "acknowledged by Kafka and not in its final log", stage: LostInKafka, fault: "before kill kafka2"},
	{name: "lost in Kafka, while recovering", plant: func(e *evidence.Evidence) { lose(e, 22*sec, 23*sec) },
		verdict: Fail, check: CheckDurability, own: Fail, says: "not in its final log", stage: LostInKafka, fault: "recovering from kill kafka2"},
	{name: "lost in Kafka, after recovery", plant: func(e *evidence.Evidence) { lose(e, 30*sec, 35*sec) },
		verdict: Fail, check: CheckDurability, own: Fail, says: "not in its final log", stage: LostInKafka, fault: "after kill kafka2"},
	{name: "lost by a retriever", plant: func(e *evidence.Evidence) {
		o, part, seq := accepted(e, 12*sec, 18*sec, 2)
		dropHeld(e, o.Producer, seq, part.Count)
	}, verdict: Fail, check: CheckDurability, own: Fail, says: "in Kafka's log and not held", stage: LostBeforeStorage, fault: "during kill kafka2"},
	{name: "lost somewhere, the log unread", plant: func(e *evidence.Evidence) {
		o, part, seq := accepted(e, 12*sec, 18*sec, 2)
		dropHeld(e, o.Producer, seq, part.Count)
		e.Log, e.Gaps = nil, []evidence.Gap{{What: "log", Why: "no broker answered"}}
	}, verdict: Fail, check: CheckDurability, own: Fail, says: "log could not be read back", stage: LostSomewhere},
	{name: "passed over by a retriever that never caught up", plant: func(e *evidence.Evidence) {
		o, part, seq := accepted(e, 12*sec, 18*sec, 2)
		dropHeld(e, o.Producer, seq, part.Count)
		dropEntries(e, evidence.Drained)
		e.Timeline = append(e.Timeline, evidence.Entry{At: 41 * sec, Kind: evidence.NotDrained, Detail: "after 90s"})
	}, verdict: Fail, check: CheckDurability, own: Fail, says: "in Kafka's log and not held", stage: LostBeforeStorage},
	{name: "not yet held", plant: func(e *evidence.Evidence) {
		last := e.Held[len(e.Held)-1] // the highest offset of the last partition
		e.Held = slices.DeleteFunc(e.Held, func(m evidence.HeldMark) bool { return m.Partition == last.Partition && m.Offset > last.Offset-20 })
		dropEntries(e, evidence.Drained)
		e.Timeline = append(e.Timeline, evidence.Entry{At: 41 * sec, Kind: evidence.NotDrained, Detail: "after 90s"})
	}, verdict: Inconclusive, check: CheckDurability, own: Inconclusive, says: "for lack of time"},
	{name: "holdings unread", plant: func(e *evidence.Evidence) {
		e.Held, e.Gaps = nil, []evidence.Gap{{What: "held", Why: "retriever3 did not answer"}}
	}, verdict: Inconclusive, check: CheckDurability, own: Inconclusive, says: "retriever3 did not answer"},
	{name: "log unread", plant: func(e *evidence.Evidence) {
		e.Log, e.Gaps = nil, []evidence.Gap{{What: "log", Why: "no broker answered"}}
	},
		verdict: Inconclusive, check: CheckAgreement, own: Inconclusive, says: "no broker answered"},
	{name: "nothing held at all", plant: func(e *evidence.Evidence) { e.Held = nil },
		verdict: Fail, check: CheckDurability, own: Fail, says: "lost", stage: LostBeforeStorage},

	{name: "held twice by one retriever", plant: func(e *evidence.Evidence) { e.Held = slices.Insert(e.Held, 40, e.Held[39]) },
		verdict: Fail, check: CheckDuplicates, own: Fail, says: "1 event is held more than once"},
	{name: "held in two partitions", plant: func(e *evidence.Evidence) {
		m := e.Held[10]
		other := e.Held[len(e.Held)-1]
		m.Retriever, m.Partition, m.Offset = other.Retriever, other.Partition, other.Offset+1
		e.Held = append(e.Held, m)
		e.Log = append(e.Log, evidence.LogMark{Partition: m.Partition, Offset: m.Offset, Producer: m.Producer, Seq: m.Seq})
	}, verdict: Fail, check: CheckDuplicates, own: Fail, says: "held more than once"},
	{name: "held and never sent", plant: func(e *evidence.Evidence) { e.Held[5].Seq = 1 << 40 },
		verdict: Fail, check: CheckPhantoms, own: Fail, says: "stored and never sent"},
	{name: "in the log from a producer that does not exist", plant: func(e *evidence.Evidence) {
		e.Log = append(e.Log, evidence.LogMark{Partition: 5, Offset: 1 << 30, Producer: 1 << 20, Seq: 3})
	}, verdict: Fail, check: CheckPhantoms, own: Fail, says: "stored and never sent"},
	{name: "refused and stored", plant: func(e *evidence.Evidence) {
		_, part, _ := accepted(e, 12*sec, 18*sec, 1)
		part.Code, part.Offset = shepherd.Refused, -1
	}, verdict: Fail, check: CheckPhantoms, own: Fail, says: "refused and stored all the same", fault: "during kill kafka2"},
	{name: "not sent and stored", plant: func(e *evidence.Evidence) {
		o, _, _ := accepted(e, 12*sec, 18*sec, 1)
		o.Code, o.Parts, o.NotSent = 0, nil, true
	}, verdict: Fail, check: CheckPhantoms, own: Fail, says: "refused and stored all the same"},
	{name: "corrupt when held", plant: func(e *evidence.Evidence) { e.Held[7].State = evidence.Corrupt },
		verdict: Fail, check: CheckCorruption, own: Fail, says: "1 corrupt event held by retrievers"},
	{name: "foreign in the log", plant: func(e *evidence.Evidence) {
		e.Log = append(e.Log, evidence.LogMark{Partition: 5, Offset: 1 << 30, State: evidence.Foreign})
	}, verdict: Fail, check: CheckCorruption, own: Fail, says: "1 foreign event in Kafka's log"},
	{name: "unreadable in the log", plant: func(e *evidence.Evidence) { e.Log[9].State = evidence.Unreadable },
		verdict: Fail, check: CheckCorruption, own: Fail, says: "1 unreadable event in Kafka's log"},
	{name: "unreadable beside the harness's own", plant: func(e *evidence.Evidence) {
		poisonLog(e, poisonAt)
		announceSkip(e, "retriever6", 5, "offset 1073741824: the chunk's checksum does not match")
		e.Log = append(e.Log, evidence.LogMark{Partition: 5, Offset: 1<<30 + 1, State: evidence.Unreadable})
	}, verdict: Fail, check: CheckCorruption, own: Fail, says: "1 unreadable event in Kafka's log"},
	{name: "corrupt where the harness's own is", plant: func(e *evidence.Evidence) {
		e.Log[9].State = evidence.Corrupt
		poisonLog(e, e.Log[9].Offset)
		e.Timeline[len(e.Timeline)-1].Part = e.Log[9].Partition
	}, verdict: Fail, check: CheckCorruption, own: Fail, says: "1 corrupt event in Kafka's log"},
	{name: "the receipt names another record", plant: func(e *evidence.Evidence) {
		_, part, _ := accepted(e, 5*sec, 10*sec, 1)
		part.Offset += 3
	}, verdict: Fail, check: CheckAgreement, own: Fail, says: "acknowledged where the final log does not have it"},
	{name: "held, and no longer in the log", plant: func(e *evidence.Evidence) {
		o, part, seq := accepted(e, 12*sec, 18*sec, 2)
		dropLog(e, o.Producer, seq, part.Count)
	}, verdict: Fail, check: CheckAgreement, own: Fail, says: "does not have it", fault: "during kill kafka2"},
	{name: "held from another offset", plant: func(e *evidence.Evidence) { e.Held[30].Offset += 7 },
		verdict: Fail, check: CheckAgreement, own: Fail, says: "held from where the final log does not have it"},

	{name: "an operation is missing", plant: func(e *evidence.Evidence) { e.Ops = slices.Delete(e.Ops, 20, 21) },
		verdict: Inconclusive, check: CheckEvidence, own: Inconclusive, says: "inconsistent sequences"},
	{name: "an operation is there twice", plant: func(e *evidence.Evidence) { e.Ops = slices.Insert(e.Ops, 20, e.Ops[19]) },
		verdict: Inconclusive, check: CheckEvidence, own: Inconclusive, says: "sent twice"},
	{name: "an answer does not cover its batch", plant: func(e *evidence.Evidence) { e.Ops[20].Parts[0].Count-- },
		verdict: Fail, check: CheckEvidence, own: Inconclusive, says: "the answer covers 9 of 10 events"},
	{name: "a receipt of a partition that does not exist", plant: func(e *evidence.Evidence) { e.Ops[20].Parts[0].Partition = 6 },
		verdict: Fail, check: CheckEvidence, own: Inconclusive, says: "inconsistent receipts"},
	{name: "answered before it was sent", plant: func(e *evidence.Evidence) { e.Ops[20].Done = e.Ops[20].Intended - 1 },
		verdict: Inconclusive, check: CheckEvidence, own: Inconclusive, says: "inconsistent operations"},
	{name: "cut short", plant: func(e *evidence.Evidence) { e.Run.Ended = "interrupted" },
		verdict: Inconclusive, check: CheckEvidence, own: Inconclusive, says: "cut short"},
	{name: "never drained", plant: func(e *evidence.Evidence) { dropEntries(e, evidence.Drained) },
		verdict: Inconclusive, check: CheckEvidence, own: Inconclusive, says: "did not reach the end of the log"},

	{name: "no traffic", plant: func(e *evidence.Evidence) { e.Ops, e.Log, e.Held = nil, nil, nil },
		verdict: Inconclusive, check: CheckTraffic, own: Inconclusive, says: "too little traffic before"},
	{name: "a load that offered nothing", plant: func(e *evidence.Evidence) {
		e.Plan.Traffic = append(e.Plan.Traffic, plan.Traffic{Name: "otlp", EventsPerSecond: 1, Shape: plan.Steady})
	}, verdict: Inconclusive, check: CheckTraffic, own: Inconclusive, says: `load "otlp" offered nothing of 40 planned`},
	{name: "no steady state", plant: func(e *evidence.Evidence) {
		for i := range e.Ops {
			if o := &e.Ops[i]; o.Intended < 10*sec {
				dropHeld(e, o.Producer, o.FirstSeq, o.Count)
				dropLog(e, o.Producer, o.FirstSeq, o.Count)
				o.Code, o.Parts = shepherd.Refused, nil
			}
		}
	}, verdict: Fail, check: CheckTraffic, own: Inconclusive, says: "no steady state"},
	{name: "the generator was late", plant: func(e *evidence.Evidence) {
		for i := range e.Ops {
			if o := &e.Ops[i]; o.Intended > 30*sec {
				o.Sent += 3 * sec
				o.Done += 3 * sec
			}
		}
	}, verdict: Fail, check: CheckTraffic, own: Inconclusive, says: "the load generator itself was late"},

	{name: "the fault was never injected", plant: func(e *evidence.Evidence) {
		for _, kind := range []evidence.EntryKind{evidence.FaultInjected, evidence.FaultObserved, evidence.FaultHealed, evidence.HealObserved} {
			dropEntries(e, kind)
		}
		e.Timeline = slices.Insert(e.Timeline, 4, evidence.Entry{At: 10 * sec, Kind: evidence.FaultUnseen, Phase: "outage", Fault: "outage/0", Detail: "its target could not be found"})
	}, verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "target could not be found"},
	{name: "the fault struck one of its nodes", plant: func(e *evidence.Evidence) {
		e.Timeline = slices.Insert(e.Timeline, 4, evidence.Entry{At: 10 * sec, Kind: evidence.FaultUnseen, Phase: "outage", Fault: "outage/0", Node: "kafka3", Detail: "injecting kill kafka3 failed: no answer"})
	}, verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "outage/0 was not injected on kafka3"},
	{name: "the fault had no effect", plant: func(e *evidence.Evidence) {
		for i := range e.Timeline {
			if e.Timeline[i].Kind == evidence.FaultObserved {
				e.Timeline[i].Kind, e.Timeline[i].Detail = evidence.FaultUnseen, "kafka2 still answers"
			}
		}
	}, verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "kafka2 still answers"},
	{name: "nobody looked for the fault's effect", plant: func(e *evidence.Evidence) { dropEntries(e, evidence.FaultObserved) },
		verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "had no effect that was seen"},
	{name: "not healed", plant: func(e *evidence.Evidence) {
		dropEntries(e, evidence.FaultHealed)
		dropEntries(e, evidence.HealObserved)
	}, verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "was not healed"},
	{name: "not back", plant: func(e *evidence.Evidence) { dropEntries(e, evidence.HealObserved) },
		verdict: Inconclusive, check: CheckFaults, own: Inconclusive, says: "not seen to be back"},

	{name: "stays under-replicated", plant: func(e *evidence.Evidence) { setSamples(e, 20*sec, end, evidence.UnderReplicated, 1) },
		verdict: Fail, check: CheckRecovers, own: Fail, says: "no partition under-replicated"},
	{name: "under-replicated again at the end", plant: func(e *evidence.Evidence) { setSamples(e, 39*sec, 39*sec, evidence.UnderReplicated, 1) },
		verdict: Fail, check: CheckRecovers, own: Fail, says: "no partition under-replicated"},
	{name: "retrievers fall behind", plant: func(e *evidence.Evidence) { setSamples(e, 30*sec, 32*sec, evidence.RetrieverLag, 9000) },
		verdict: Fail, check: CheckRecovers, own: Fail, says: "records behind"},
	{name: "a refusal after the bound", plant: func(e *evidence.Evidence) {
		o, part, seq := accepted(e, 30*sec, 35*sec, 0)
		dropHeld(e, o.Producer, seq, part.Count)
		dropLog(e, o.Producer, seq, part.Count)
		part.Code, part.Offset = shepherd.Refused, -1
	}, verdict: Fail, check: CheckRecovers, own: Fail, says: "all events accepted"},
	{name: "not sampled after healing", plant: func(e *evidence.Evidence) { dropSamples(e, 20*sec, end, evidence.Offline) },
		verdict: Inconclusive, check: CheckRecovers, own: Inconclusive, says: "no data"},
	{name: "sampling broke off", plant: func(e *evidence.Evidence) { dropSamples(e, 30*sec, end, evidence.RetrieverLag) },
		verdict: Inconclusive, check: CheckRecovers, own: Inconclusive, says: "not measured for"},

	{name: "too late before the fault", plant: func(e *evidence.Evidence) {
		for i := range e.Ops[:20] {
			e.Ops[i].Done = e.Ops[i].Intended + 1500*time.Millisecond
		}
	}, verdict: Fail, check: CheckSLOIngest, own: Fail, says: "before: 1,800 of 2,000 events were good (90%)"},
	{name: "an expectation of latency", plant: func(e *evidence.Evidence) {
		for i := range e.Ops[:20] {
			e.Ops[i].Done = e.Ops[i].Intended + 151*time.Millisecond
		}
	}, verdict: Fail, check: CheckExpect, own: Fail, says: "ack.p99 was 151ms"},
	{name: "an unknown check", plant: func(e *evidence.Evidence) { e.Plan.Checks = []plan.Check{{Name: "levitates"}} },
		verdict: Inconclusive, check: "levitates", own: Inconclusive, says: "no check"},
	{name: "no checks", plant: func(e *evidence.Evidence) {
		e.Plan.Checks = nil
		for i := range e.Plan.Phases {
			e.Plan.Phases[i].Expect = nil
		}
	}, verdict: Inconclusive, check: CheckPlan, own: Inconclusive, says: "nothing was judged"},
}

func TestPlantedDefectsAreCaughtAndAttributed(t *testing.T) {
	t.Parallel()
	for _, c := range plantings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := defaultShape().history()
			c.plant(e)
			j := Judge(e)
			res := result(j, c.check)
			if j.Verdict != c.verdict || res.Verdict != c.own {
				t.Fatalf("want %v by %s (%v), got %s", c.verdict, c.check, c.own, verdicts(j))
			}
			found := strings.Contains(res.Summary, c.says)
			var placed bool
			for _, f := range res.Findings {
				if f.Verdict == Pass || f.Check != c.check || f.Count < 1 {
					t.Errorf("finding %+v", f)
				}
				found = found || strings.Contains(f.Title, c.says) || slices.ContainsFunc(f.Evidence, func(l string) bool { return strings.Contains(l, c.says) })
				placed = placed || f.Stage == c.stage && strings.HasPrefix(f.Fault, c.fault) && (c.fault == "" || f.FaultID == "outage/0" && f.Phase != "" && *f.Pos == scriptPos)
			}
			if !found {
				t.Errorf("%q is not said: %s; %+v", c.says, res.Summary, res.Findings)
			}
			if (c.stage != "" || c.fault != "") && !placed {
				t.Errorf("not attributed to stage %q and fault %q: %+v", c.stage, c.fault, res.Findings)
			}
		})
	}
}

// TestOneHeldMarkLessIsOneEventLost removes any one mark of an accepted event and expects exactly that event to be told.
func TestOneHeldMarkLessIsOneEventLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawShape(t).history()
		offset, answer := map[event]int64{}, map[event]time.Duration{}
		for i := range e.Ops {
			o := &e.Ops[i]
			eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
				for seq := first; out == wasAccepted && seq < first+n; seq++ {
					offset[event{o.Producer, seq}], answer[event{o.Producer, seq}] = part.Offset, o.Done
				}
			})
		}
		start := rapid.IntRange(0, len(e.Held)-1).Draw(t, "mark")
		at := -1
		for i := range e.Held {
			k := (start + i) % len(e.Held)
			if _, ok := offset[event{e.Held[k].Producer, e.Held[k].Seq}]; ok {
				at = k
				break
			}
		}
		if at < 0 {
			t.Skip("nothing was accepted")
		}
		gone := e.Held[at]
		e.Held = slices.Delete(e.Held, at, at+1)
		want := LostBeforeStorage
		if rapid.Bool().Draw(t, "gone from the log too") {
			e.Log = slices.DeleteFunc(e.Log, func(m evidence.LogMark) bool { return m.Producer == gone.Producer && m.Seq == gone.Seq })
			want = LostInKafka
		}
		j := Judge(e)
		res := result(j, CheckDurability)
		if j.Verdict != Fail || res.Verdict != Fail || j.Ledger.Lost != 1 || len(res.Findings) != 1 || len(res.Findings[0].Examples) != 1 {
			t.Fatalf("%s\n%+v", verdicts(j), res.Findings)
		}
		f := res.Findings[0]
		x := f.Examples[0]
		if f.Stage != want || f.Count != 1 || x.Producer != gone.Producer || x.Seq != gone.Seq || x.Part != gone.Partition || x.Offset != offset[event{gone.Producer, gone.Seq}] || x.At != answer[event{gone.Producer, gone.Seq}] {
			t.Fatalf("want %+v lost %s, got %+v", gone, want, f)
		}
		for _, s := range j.Ledger.LostByStage {
			if (s.Count == 1) != (s.Stage == want) {
				t.Fatalf("by stage: %+v", j.Ledger.LostByStage)
			}
		}
		for _, name := range []string{CheckDuplicates, CheckPhantoms, CheckCorruption, CheckAgreement} {
			if res := result(j, name); res.Verdict != Pass {
				t.Fatalf("%s tells it too: %s", name, res.Summary)
			}
		}
	})
}

// TestJudgingNeverPanicsNorPassesRuins mutates clean evidence at random. Whatever it is, the judgement is one, and the same twice.
func TestJudgingNeverPanicsNorPassesRuins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawShape(t).history()
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			held, log, op := rapid.IntRange(0, len(e.Held)-1), rapid.IntRange(0, len(e.Log)-1), rapid.IntRange(0, len(e.Ops)-1)
			switch rapid.IntRange(0, 9).Draw(t, "mutation") {
			case 0:
				e.Held[held.Draw(t, "i")].Seq = rapid.Uint64().Draw(t, "seq")
			case 1:
				e.Log[log.Draw(t, "i")].Offset = rapid.Int64().Draw(t, "offset")
			case 2:
				e.Ops[op.Draw(t, "i")].FirstSeq = rapid.Uint64().Draw(t, "seq")
			case 3:
				e.Ops[op.Draw(t, "i")].Count = rapid.Int().Draw(t, "count")
			case 4:
				e.Ops[op.Draw(t, "i")].Intended = time.Duration(rapid.Int64().Draw(t, "at"))
			case 5:
				e.Held[held.Draw(t, "i")].State = evidence.MarkState(rapid.Uint8Range(1, 255).Draw(t, "state"))
			case 6:
				e.Run.Length = time.Duration(rapid.Int64().Draw(t, "length"))
			case 7:
				i := rapid.IntRange(0, len(e.Timeline)-1).Draw(t, "i")
				e.Timeline[i].At = time.Duration(rapid.Int64().Draw(t, "at"))
			case 8:
				e.Log[log.Draw(t, "i")].Partition = rapid.Int32().Draw(t, "partition")
			case 9:
				if o := &e.Ops[op.Draw(t, "i")]; len(o.Parts) > 0 {
					o.Parts[0].Count = rapid.Int().Draw(t, "count")
				}
			}
		}
		j := Judge(e)
		if again := Judge(e); verdicts(again) != verdicts(j) {
			t.Fatalf("judged again: %s\nand before: %s", verdicts(again), verdicts(j))
		}
		for _, res := range j.Results {
			if strings.Contains(res.Summary, "broke down") {
				t.Fatal(res.Summary)
			}
		}
	})
}

// TestADamagedSequenceTakesNoMemory: the ledger's sets have a bit for each sequence up to the highest.
func TestADamagedSequenceTakesNoMemory(t *testing.T) {
	t.Parallel()
	for _, seq := range []uint64{1 << 24, 1 << 31, 1 << 36, 1<<64 - 1} {
		for what, damage := range map[string]func(e *evidence.Evidence){
			"operation": func(e *evidence.Evidence) { e.Ops[3].FirstSeq = seq },
			"held":      func(e *evidence.Evidence) { e.Held[3].Seq = seq },
			"log":       func(e *evidence.Evidence) { e.Log[3].Seq = seq },
		} {
			e := defaultShape().history()
			damage(e)
			r := &run{e: e, plan: e.Plan}
			r.prepare(&Judgement{})
			size := 0
			for _, l := range []*ledger.Ledger{&r.offered, &r.accepted, &r.denied, &r.allowed, &r.log.set, &r.held.set} {
				size += l.Bytes()
			}
			if most := 1 << 20; size > most {
				t.Errorf("sequence %d in %s: %d bytes, expected up to %d", seq, what, size, most)
			}
			if j := Judge(e); j.Verdict == Pass {
				t.Errorf("sequence %d in %s: %s", seq, what, verdicts(j))
			}
		}
	}
}

func TestNoEvidenceIsInconclusive(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*evidence.Evidence{"nil": nil, "no plan": {}, "an empty plan": {Plan: &plan.Plan{}}, "a plan only": {Plan: defaultShape().plan()}} {
		if j := Judge(e); j.Verdict != Inconclusive || j.Reason == "" {
			t.Errorf("%s: %s", name, verdicts(j))
		}
	}
	if Merge() != Inconclusive || Merge(Pass, Inconclusive, Pass) != Inconclusive || Merge(Inconclusive, Fail) != Fail || Merge(Pass, Pass) != Pass || (Result{}).Verdict == Pass {
		t.Error("verdicts are merged wrongly")
	}
}
