package check

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// shape is what a synthetic history looks like.
type shape struct {
	seed                  uint64
	producers, batch      int
	perSecond             int // batches
	partitions            int32
	before, during, after time.Duration
	unknown               float64 // share of events during the fault that get no certain answer
	refused               float64 // likewise refused
	copies                float64 // share of records that are in the log twice
}

func defaultShape() shape {
	return shape{seed: 1, producers: 10, batch: 10, perSecond: 20, partitions: 6, before: 10 * time.Second, during: 10 * time.Second, after: 20 * time.Second, unknown: 0.05, refused: 0.05, copies: 0.01}
}

func drawShape(t *rapid.T) shape {
	seconds := func(name string, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Second
	}
	return shape{
		seed: rapid.Uint64().Draw(t, "seed"), producers: rapid.IntRange(1, 12).Draw(t, "producers"), batch: rapid.IntRange(1, 25).Draw(t, "batch"),
		perSecond: rapid.IntRange(10, 30).Draw(t, "batches per second"), partitions: rapid.Int32Range(1, 8).Draw(t, "partitions"),
		before: seconds("before", 2, 8), during: seconds("during", 2, 8), after: seconds("after", 8, 15),
		unknown: rapid.Float64Range(0, 0.3).Draw(t, "unknown"), refused: rapid.Float64Range(0, 0.3).Draw(t, "refused"), copies: rapid.Float64Range(0, 0.1).Draw(t, "copies"),
	}
}

var scriptPos = plan.Pos{File: "broker_loss.star", Line: 12, Col: 5}

func (s shape) plan() *plan.Plan {
	topology := system.Default()
	topology.Kafka.Partitions, topology.Replicas = s.partitions, 1
	pos := func(line int) plan.Pos { return plan.Pos{File: scriptPos.File, Line: line, Col: 5} }
	rate := float64(s.perSecond * s.batch)
	return &plan.Plan{
		Version: plan.Version, Scenario: "broker-loss", Params: []plan.Param{}, Worlds: []string{"sim"}, System: topology,
		Traffic: []plan.Traffic{{Name: "steady", Shape: plan.Steady, EventsPerSecond: rate, EventsPerBatch: s.batch, EventBytes: 100, Datasets: 1, Clients: s.producers, Timeout: plan.Duration(5 * time.Second)}},
		Phases: []plan.Phase{
			{Name: "baseline", Length: plan.Duration(s.before), Stage: plan.Before, Pos: pos(10), Expect: []plan.Expectation{expect("ack.p99 < 150ms", 101), expect("ack.errors == 0", 102)}},
			{Name: "outage", Length: plan.Duration(s.during), Stage: plan.During, Pos: pos(11), Faults: []plan.Fault{{
				Kind: system.FaultKill, Target: plan.Selector{Kind: plan.SelectLeader, Topic: system.EventsTopic}, Pos: scriptPos,
			}}, Expect: []plan.Expectation{expect("kafka.brokers < 3 within 3s", 103)}},
			{Name: "recovery", Length: plan.Duration(s.after), Stage: plan.After, Pos: pos(13), Expect: []plan.Expectation{expect("kafka.under_replicated == 0 within 5s", 104), expect("ack.p99 < 150ms after 5s", 105)}},
		},
		Checks: []plan.Check{
			{Name: plan.CheckDurability, Pos: pos(20)},
			{Name: plan.CheckRecovers, Args: plan.CheckArgs{Within: plan.Duration(6 * time.Second)}, Pos: pos(21)},
			{Name: plan.CheckSLOIngest, Args: plan.CheckArgs{Target: 0.99, Within: plan.Duration(time.Second), Stage: plan.Before}, Pos: pos(22)},
			{Name: plan.CheckSLOIngest, Args: plan.CheckArgs{Target: 0.99, Within: plan.Duration(time.Second), Stage: plan.After}, Pos: pos(23)},
		},
	}
}

func expect(source string, line int) plan.Expectation {
	x, err := plan.ParseExpectation(source)
	if err != nil {
		panic(err)
	}
	x.Pos = plan.Pos{File: scriptPos.File, Line: line, Col: 9}
	return x
}

// history makes the evidence of a run in which everything went as it should: while a broker is away some events are
// refused or get no certain answer, what is accepted is in the log and held, and afterwards all is well.
func (s shape) history() *evidence.Evidence {
	r := rand.New(rand.NewPCG(s.seed, 77))
	total := s.before + s.during + s.after
	e := &evidence.Evidence{
		Run:  evidence.Run{Version: evidence.Version, Scenario: "broker-loss", World: "sim", Seed: s.seed, Build: "test", PlanHash: "00", Length: total + time.Second},
		Plan: s.plan(),
	}
	next := make([]int64, s.partitions) // offsets
	seqs := make([]uint64, s.producers)
	gap := time.Second / time.Duration(s.perSecond)
	for at := time.Duration(0); at < total; at += gap {
		producer := r.IntN(s.producers)
		o := evidence.Op{
			Producer: uint32(producer), FirstSeq: seqs[producer], Count: s.batch, Dataset: "dataset", Target: fmt.Sprintf("shepherd%d", 1+r.IntN(2)),
			Intended: at, Sent: at, Done: at + time.Duration(2+r.IntN(20))*time.Millisecond, Code: http.StatusOK,
		}
		seqs[producer] += uint64(s.batch)
		faulty := at >= s.before && at < s.before+s.during
		switch x := r.Float64(); {
		case faulty && x < s.unknown/2:
			o.Code, o.Error, o.Done = 0, "timeout", at+5*time.Second
			if r.IntN(2) == 0 { // it was stored all the same
				s.store(e, r, next, o.Producer, o.FirstSeq, s.batch)
			}
		case faulty && x < s.unknown:
			o.Code, o.NotSent, o.Error = 0, true, "connection refused"
		default:
			s.answer(e, r, next, &o, faulty)
		}
		e.Ops = append(e.Ops, o)
	}
	sortMarks(e)
	s.observe(e, total)
	return e
}

// answer answers a batch in one part or two.
func (s shape) answer(e *evidence.Evidence, r *rand.Rand, next []int64, o *evidence.Op, faulty bool) {
	seq := o.FirstSeq
	for left := o.Count; left > 0; {
		n := left
		if left > 1 && r.IntN(4) == 0 {
			n = 1 + r.IntN(left-1)
		}
		part := evidence.Part{Count: n, Code: shepherd.Accepted, Offset: -1}
		switch x := r.Float64(); {
		case faulty && x < s.refused:
			part.Code, part.Error = []int{shepherd.Refused, shepherd.Throttled}[r.IntN(2)], "not now"
		case faulty && x < s.refused+s.unknown:
			part.Code, part.Error = shepherd.Unknown, "no answer from Kafka"
			if r.IntN(2) == 0 {
				s.store(e, r, next, o.Producer, seq, n)
			}
		default:
			part.Partition, part.Offset = s.store(e, r, next, o.Producer, seq, n)
		}
		o.Parts = append(o.Parts, part)
		seq, left = seq+uint64(n), left-n
	}
}

// store puts one record into the log, sometimes twice, and has it held.
func (s shape) store(e *evidence.Evidence, r *rand.Rand, next []int64, producer uint32, seq uint64, n int) (int32, int64) {
	p := r.Int32N(s.partitions)
	offset := next[p]
	times := 1
	if r.Float64() < s.copies {
		times = 2
	}
	for range times {
		for k := range uint64(n) {
			e.Log = append(e.Log, evidence.LogMark{Partition: p, Offset: next[p], Producer: producer, Seq: seq + k})
		}
		next[p]++
	}
	for k := range uint64(n) {
		e.Held = append(e.Held, evidence.HeldMark{Retriever: fmt.Sprintf("retriever%d", p+1), Partition: p, Offset: offset, Producer: producer, Seq: seq + k})
	}
	return p, offset
}

func sortMarks(e *evidence.Evidence) {
	slices.SortStableFunc(e.Log, func(a, b evidence.LogMark) int { return compareMarks(a.Partition, b.Partition, a.Offset, b.Offset) })
	slices.SortStableFunc(e.Held, func(a, b evidence.HeldMark) int { return compareMarks(a.Partition, b.Partition, a.Offset, b.Offset) })
}

func compareMarks(p, q int32, a, b int64) int {
	if p != q {
		return int(p - q)
	}
	return int(a - b)
}

// observe adds the timeline and the samples.
func (s shape) observe(e *evidence.Evidence, total time.Duration) {
	const id, node = "outage/0", "kafka2"
	begin, heal := s.before, s.before+s.during
	add := func(at time.Duration, kind evidence.EntryKind, phase, detail string) {
		entry := evidence.Entry{At: at, Kind: kind, Phase: phase, Detail: detail}
		switch kind {
		case evidence.FaultInjected, evidence.FaultObserved, evidence.FaultHealed, evidence.HealObserved:
			entry.Fault, entry.Node, entry.Pos = id, node, &scriptPos
		}
		e.Timeline = append(e.Timeline, entry)
	}
	add(0, evidence.LoadBegan, "", "")
	add(0, evidence.PhaseBegan, "baseline", "")
	add(begin, evidence.PhaseEnded, "baseline", "")
	add(begin, evidence.PhaseBegan, "outage", "")
	add(begin, evidence.FaultInjected, "outage", "kill kafka2")
	add(begin+300*time.Millisecond, evidence.FaultObserved, "outage", "kafka2 refuses connections")
	add(heal, evidence.PhaseEnded, "outage", "")
	add(heal, evidence.PhaseBegan, "recovery", "")
	add(heal, evidence.FaultHealed, "outage", "heal: kill kafka2")
	add(heal+1500*time.Millisecond, evidence.HealObserved, "outage", "kafka2 answers")
	add(total, evidence.PhaseEnded, "recovery", "")
	add(total, evidence.LoadEnded, "", "")
	add(total+500*time.Millisecond, evidence.Drained, "", "all retrievers reached the end of the log")
	for at := time.Second; at <= total+time.Second; at += time.Second {
		under, brokers := 0.0, 3.0
		if at > begin && at < heal+3*time.Second {
			under = 4
		}
		if at > begin && at < heal+2*time.Second {
			brokers = 2
		}
		e.Samples = append(e.Samples, evidence.Sample{At: at, Values: map[string]float64{
			evidence.UnderReplicated: under, evidence.Offline: 0, evidence.BelowMinISR: 0, evidence.BrokersLive: brokers, evidence.RetrieverLag: 3, evidence.InFlight: 2,
		}})
	}
}

// result finds a result by its name's beginning.
func result(j *Judgement, check string) *Result {
	for i := range j.Results {
		if j.Results[i].Check == check {
			return &j.Results[i]
		}
	}
	return &Result{Summary: "there is no result of check " + check}
}

// verdicts says which results did not pass.
func verdicts(j *Judgement) string {
	s := j.Verdict.String()
	for i := range j.Results {
		if res := &j.Results[i]; res.Verdict != Pass {
			s += fmt.Sprintf("\n  %s %s: %s", res.Verdict, res.Name, res.Summary)
		}
	}
	return s
}
