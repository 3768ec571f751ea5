package check

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// testEpoch is not on a whole second, as no run's is.
var testEpoch = time.Date(2026, 11, 21, 15, 0, 0, 250_000_000, time.UTC)

// pipeShape is a shape whose events go on to pairs, manifests, S3 and queries.
type pipeShape struct {
	shape
	events  string
	lag     time.Duration // an event is visible at most so long after it was sent
	partial float64       // share of the answers during the fault that lack a partition
	every   time.Duration // between queries
}

func defaultPipe() pipeShape {
	p := pipeShape{shape: defaultShape(), events: plan.EventsWide, lag: 3 * time.Second, partial: 0.5, every: time.Second}
	p.perSecond, p.batch, p.before, p.during, p.after = 5, 4, 40*time.Second, 10*time.Second, 30*time.Second
	return p
}

func drawPipe(t *rapid.T) pipeShape {
	p := pipeShape{
		shape: drawShape(t), events: rapid.SampledFrom([]string{plan.EventsSmall, plan.EventsWide, plan.EventsTraces}).Draw(t, "events"),
		lag: time.Duration(rapid.IntRange(0, 8).Draw(t, "lag")) * time.Second, partial: rapid.Float64Range(0, 1).Draw(t, "partial"), every: time.Second,
	}
	p.perSecond, p.batch, p.producers = 4, min(2+p.batch, 5), max(p.producers, 2)
	p.before = 55 * time.Second // for old data to be old
	return p
}

func (s pipeShape) plan() *plan.Plan {
	p := s.shape.plan()
	p.System.Replicas, p.System.Zones = 2, 3
	p.Traffic[0].Events, p.Traffic[0].Datasets = s.events, 2
	p.Readers = []plan.Reader{{Name: "dashboards", Traffic: "steady", Every: plan.Duration(s.every), Shapes: plan.QueryShapes(), Timeout: plan.Duration(10 * time.Second)}}
	line := 200
	add := func(name string, a plan.CheckArgs) {
		line++
		p.Checks = append(p.Checks, plan.Check{Name: name, Args: a, Pos: plan.Pos{File: scriptPos.File, Line: line, Col: 5}})
	}
	for _, name := range []string{plan.CheckPairs, plan.CheckCommitted, plan.CheckZones, plan.CheckMemory, plan.CheckQueries} {
		add(name, plan.CheckArgs{})
	}
	add(plan.CheckFreshness, plan.CheckArgs{Within: plan.Duration(15 * time.Second)})
	add(plan.CheckSLOFresh, plan.CheckArgs{Target: 0.99, Within: plan.Duration(10 * time.Second), Stage: plan.After})
	add(plan.CheckSLOQuery, plan.CheckArgs{Target: 0.99, Within: plan.Duration(5 * time.Second), Stage: plan.Before})
	p.Phases[0].Expect = append(p.Phases[0].Expect, expect("query.errors == 0", 301), expect("query.freshness < 10s", 302), expect("query.p99 < 1s always", 303), expect("retriever.memory_share < 90%", 304))
	return p
}

// stored is an event as the model pipeline has it.
type stored struct {
	op        *evidence.Op
	index     int
	partition int32
	at        time.Time
	event     field.Event
}

// history makes the evidence of a run through the whole pipeline in which all went as it should.
func (s pipeShape) history() *evidence.Evidence {
	e := s.shape.history()
	e.Plan = s.plan()
	e.Run.Epoch = testEpoch
	for i := range e.Ops {
		e.Ops[i].Dataset = fmt.Sprintf("load-0-%d", e.Ops[i].Producer%2)
	}
	r := rand.New(rand.NewPCG(s.seed, 99))
	s.keep(e, r)
	s.seat(e)
	s.query(e, r)
	return e
}

// keep gives what one retriever held to a pair, and to S3 what manifests name.
func (s pipeShape) keep(e *evidence.Evidence, r *rand.Rand) {
	held := e.Held
	e.Held = nil
	for p := range s.partitions {
		var own []evidence.HeldMark
		for _, m := range held {
			if m.Partition == p {
				own = append(own, m)
			}
		}
		end := int64(0)
		for _, m := range e.Log {
			if m.Partition == p {
				end = m.Offset + 1
			}
		}
		next := int64(0)
		for g := range int64(3) {
			if end > 3 {
				next += r.Int64N((end - next + 1) / 2)
			}
			e.Commits = append(e.Commits, evidence.Commit{
				At: time.Duration(g+1) * 10 * time.Second, Partition: p, Generation: g + 1, Next: next, Writer: e.Plan.System.Retrievers(p)[g%2], Durable: next + r.Int64N(2), Final: g == 2,
			})
		}
		for k, name := range e.Plan.System.Retrievers(p) {
			floor := int64(0)
			if r.IntN(2) == 0 {
				floor = next
			}
			bounds := []int64{floor, next, end}
			if mid := (next + end) / 2; k == 1 && r.IntN(2) == 0 { // its tail is stored in other ranges
				bounds = []int64{floor, next, mid, end}
			}
			for i := range bounds[1:] {
				if bounds[i] < bounds[i+1] {
					e.Pairs = append(e.Pairs, rangeOf(own, name, p, bounds[i], bounds[i+1]))
				}
			}
			for _, m := range own {
				if m.Retriever = name; m.Offset >= floor {
					e.Held = append(e.Held, m)
				}
			}
		}
		for _, m := range own {
			if m.Retriever = evidence.StoreS3; m.Offset < next {
				e.Held = append(e.Held, m)
			}
		}
	}
}

func rangeOf(own []evidence.HeldMark, name string, p int32, first, next int64) evidence.PairRange {
	x := evidence.PairRange{Retriever: name, Partition: p, First: first, Next: next}
	for _, m := range own {
		if m.Offset >= first && m.Offset < next {
			x.Rows++
			x.Sum = x.Sum*31 + m.Seq ^ uint64(m.Producer)<<40
		}
	}
	return x
}

// seat says where the retrievers run, and how much memory is used.
func (s pipeShape) seat(e *evidence.Evidence) {
	for _, at := range []time.Duration{0, s.before + s.during} {
		for _, n := range e.Plan.System.Nodes() {
			if n.Partition >= 0 {
				e.Places = append(e.Places, evidence.Place{At: at, Retriever: n.Name, Partition: n.Partition, Zone: n.Zone, Claimed: true})
			}
		}
	}
	for i := range e.Samples {
		e.Samples[i].Values[evidence.InFlightShare], e.Samples[i].Values[evidence.RetrieverMemory] = 0.4, 0.5
	}
}

// query asks all shapes in turn, and once more in the end.
func (s pipeShape) query(e *evidence.Evidence, r *rand.Rand) {
	truth, err := loadTruth(e.Plan, testEpoch)
	if err != nil {
		panic(err)
	}
	where := map[event]int32{}
	for _, m := range e.Held {
		where[event{m.Producer, m.Seq}] = m.Partition
	}
	var all []stored
	for i := range e.Ops {
		o := &e.Ops[i]
		for k := range o.Count {
			seq := o.FirstSeq + uint64(k)
			if p, ok := where[event{o.Producer, seq}]; ok {
				at := truth.Time(o.Sent, k)
				all = append(all, stored{o, k, p, at, truth.Event(0, o.Producer, seq, at)})
			}
		}
	}
	total := s.before + s.during + s.after
	ask := func(at time.Duration, shape, dataset string, settled bool) {
		q := evidence.Query{Shape: shape, Team: "load", Dataset: dataset, Target: "query1", Intended: at, Sent: at, Done: at + 40*time.Millisecond, Code: http.StatusOK, Complete: true}
		q.Spec = loadgen.SpecFor(shape, testEpoch.Add(at), testEpoch)
		lacks := int32(-1)
		if at > s.before && at < s.before+s.during && r.Float64() < s.partial {
			lacks = r.Int32N(s.partitions)
			hour := testEpoch.Add(at).Unix() / 3600 * 3600
			q.Complete, q.Missing = false, []query.Missing{{Partition: lacks, From: hour - 3600, To: hour + 3600, Why: "no retriever answered"}}
		}
		late := time.Duration(r.Int64N(int64(s.lag) + 1))
		var seen []stored
		exists := false
		for _, x := range all {
			if x.op.Dataset != dataset {
				continue
			}
			exists = exists || x.op.Sent <= at
			if x.op.Sent+late <= at && (x.partition != lacks || r.IntN(4) == 0) || settled {
				seen = append(seen, x)
			}
		}
		if !exists {
			q.Code, q.Complete, q.Missing, q.Error = http.StatusNotFound, false, nil, "there is no such dataset"
		} else {
			q.Result = brute(q.Spec, seen)
		}
		e.Queries = append(e.Queries, q)
	}
	shapes := plan.QueryShapes()
	for n := 0; time.Duration(n)*s.every < total; n++ {
		ask(time.Duration(n)*s.every+time.Millisecond, shapes[n%len(shapes)], fmt.Sprintf("load-0-%d", n/len(shapes)%2), false)
	}
	for d := range 2 {
		for k, shape := range shapes {
			ask(total+15*time.Second+time.Duration(d*10+k)*100*time.Millisecond, shape, fmt.Sprintf("load-0-%d", d), true)
		}
	}
}

// brute answers a query the slow and simple way.
func brute(spec []byte, seen []stored) *exec.Result {
	a, err := readAsking(spec)
	if err != nil {
		panic(err)
	}
	res := &exec.Result{}
	table := func(from, to int64) []exec.Row {
		groups := map[string][]stored{}
		keys := []string{}
		for _, x := range seen {
			if x.at.UnixNano() < from || x.at.UnixNano() >= to || slices.ContainsFunc(a.Filters, func(f filter) bool {
				v, _ := x.event.Get(f.Column)
				return !f.match(canonical(v))
			}) {
				continue
			}
			key := ""
			for _, b := range a.Breakdowns {
				v, _ := x.event.Get(b)
				key += v.String() + "\x00"
			}
			if groups[key] == nil {
				keys = append(keys, key)
			}
			groups[key] = append(groups[key], x)
		}
		if len(a.Breakdowns) == 0 && len(keys) == 0 {
			keys = []string{""}
		}
		sort.Strings(keys)
		rows := []exec.Row{}
		for _, key := range keys {
			var row exec.Row
			for _, b := range a.Breakdowns {
				v, _ := groups[key][0].event.Get(b)
				row.Group = append(row.Group, v)
			}
			for _, c := range a.Calculations {
				row.Values = append(row.Values, bruteCell(c, groups[key]))
			}
			rows = append(rows, row)
		}
		return rows
	}
	for _, c := range a.Calculations {
		res.Columns = append(res.Columns, c.name())
	}
	start, end := *a.Start, *a.End
	res.Rows = table(start*1e9, end*1e9)
	if a.Granularity > 0 {
		for at := start / a.Granularity * a.Granularity; at < end; at += a.Granularity {
			for _, row := range table(max(at, start)*1e9, min(at+a.Granularity, end)*1e9) {
				res.Series = append(res.Series, exec.Point{Start: at, Row: row})
			}
		}
	}
	return res
}

func bruteCell(c calculation, group []stored) exec.Cell {
	type weighed struct{ n, rate float64 }
	var numbers []weighed
	distinct := map[field.Value]bool{}
	rows, weight, sum := 0.0, 0.0, 0.0
	for _, x := range group {
		rate := float64(field.Weight(x.event.SampleRate))
		rows += rate
		v, _ := x.event.Get(c.Column)
		if v.Kind() != field.Null {
			distinct[canonical(v)] = true
		}
		if v.Kind() == field.Int || v.Kind() == field.Float {
			numbers = append(numbers, weighed{v.Float(), rate})
			weight += rate
			sum += v.Float() * rate
		}
	}
	slices.SortFunc(numbers, func(a, b weighed) int { return cmp.Compare(a.n, b.n) })
	float := func(f float64) exec.Cell { return exec.Cell{Value: field.FloatValue(f)} }
	switch {
	case c.Op == "COUNT":
		return exec.Cell{Value: field.IntValue(int64(rows))}
	case c.Op == "COUNT_DISTINCT":
		return exec.Cell{Value: field.IntValue(int64(len(distinct)))}
	case c.Op == "HEATMAP":
		cell := exec.Cell{Heatmap: []exec.Bucket{}}
		for _, x := range numbers {
			low := math.Pow(2, math.Floor(math.Log2(x.n)))
			if n := len(cell.Heatmap); n == 0 || cell.Heatmap[n-1].From != low {
				cell.Heatmap = append(cell.Heatmap, exec.Bucket{From: low, To: 2 * low})
			}
			cell.Heatmap[len(cell.Heatmap)-1].Count += x.rate
		}
		return cell
	case len(numbers) == 0:
		return exec.Cell{}
	case c.Op == "SUM":
		return float(sum)
	case c.Op == "AVG":
		return float(sum / weight)
	case c.Op == "MIN":
		return float(numbers[0].n)
	case c.Op == "MAX":
		return float(numbers[len(numbers)-1].n)
	case strings.HasPrefix(c.Op, "P"):
		reached := 0.0
		for _, x := range numbers {
			if reached += x.rate; reached >= percentiles[c.Op]*weight {
				return float(x.n)
			}
		}
	}
	panic("no answer for " + c.name())
}
