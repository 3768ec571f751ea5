package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// markedWithin is how long before the end a partition's progress has to have been marked, where the plan does not say it.
	markedWithin = 60 * time.Second
	// clockSlack is what the clocks of nodes and of the harness may differ by.
	clockSlack = time.Second
	// stampSlack is how late an announcement may be noticed outside of the simulation.
	stampSlack = 10 * time.Second
)

// track is what is known of one partition's progress, in order of time.
type track struct {
	partition int32
	looks     []evidence.Progress
	steps     []step
	end       int64 // the highest end of the log that anybody saw; -1: nobody did
}

// moved says whether any look found progress further on than the one before.
func (t *track) moved() bool {
	for i := 1; i < len(t.looks); i++ {
		if t.looks[i].Next > max(t.looks[i-1].Next, 0) {
			return true
		}
	}
	return false
}

// step is an announced step of counting.
type step struct {
	at       time.Duration
	node     string
	from, to int64
}

// tracks puts the progress in order, by partition.
func (r *run) tracks() []track {
	list := make([]track, max(0, r.plan.System.Kafka.Partitions))
	for p := range list {
		list[p] = track{partition: int32(p), end: -1}
		if r.logMissing == "" {
			list[p].end = r.logIndex.end(int32(p))
		}
	}
	for _, p := range r.e.Progress {
		if p.Partition < 0 || int(p.Partition) >= len(list) {
			r.problem("progress", "partition %d at %v, where there are %d partitions", p.Partition, p.At, len(list))
			continue
		}
		t := &list[p.Partition]
		t.looks = append(t.looks, p)
		t.end = max(t.end, p.End)
	}
	for p := range list {
		slices.SortStableFunc(list[p].looks, func(a, b evidence.Progress) int { return cmp.Compare(a.At, b.At) })
	}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		if s, ok := stepOf(e); ok && e.Part >= 0 && int(e.Part) < len(list) {
			list[e.Part].steps = append(list[e.Part].steps, s)
		}
	}
	return list
}

var stepPattern = regexp.MustCompile(`^from offset (\d{1,18}) to (\d{1,18})$`)

// stepOf reads the announcement of a step. Evidence in which announcements do not say their partition has none.
func stepOf(e *evidence.Entry) (step, bool) {
	if e.Kind != evidence.Announced || e.Event != port.EventProgress || e.Topic == "" {
		return step{}, false
	}
	m := stepPattern.FindStringSubmatch(e.Detail)
	if m == nil {
		return step{}, false
	}
	from, _ := strconv.ParseInt(m[1], 10, 64)
	to, _ := strconv.ParseInt(m[2], 10, 64)
	return step{e.At, e.Node, from, to}, true
}

// judgeProgress: every partition has a row of progress that reaches its end and was marked lately, and progress only went
// forward, and not beyond the end.
func (r *run) judgeProgress(a plan.CheckArgs) Result {
	var res Result
	within := time.Duration(a.Within)
	if within == 0 {
		within = markedWithin
	}
	j := progressJudge{r: r, within: within}
	tracks := r.tracks()
	looks, steps := 0, 0
	for i := range tracks {
		looks, steps = looks+len(tracks[i].looks), steps+len(tracks[i].steps)
		j.final(&tracks[i])
		j.forward(&tracks[i])
	}
	res.Findings = j.findings
	res.Numbers = []Number{{"partitions", float64(len(tracks)), "partitions"}, {"looks", float64(looks), "rows"}, {"announced steps", float64(steps), "steps"}, {"oldest mark in the end", j.oldest.Seconds(), "s"}}
	failed := slices.IndexFunc(res.Findings, func(f Finding) bool { return f.Verdict == Fail })
	gap := slices.IndexFunc(r.e.Gaps, func(g evidence.Gap) bool { return g.What == "progress" })
	switch {
	case failed >= 0:
		res.Verdict, res.Summary = Fail, res.Findings[failed].Title
		if more := int64(len(res.Findings)) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(more, "more finding"))
		}
	case gap >= 0:
		res.Summary = "progress is not known: " + r.e.Gaps[gap].Why
	case looks == 0:
		res.Summary = "the progress of counting was never looked at"
	case r.e.Run.Ended != "":
		res.Summary = "the run was cut short: " + r.e.Run.Ended
	case len(res.Findings) > 0:
		res.Summary = res.Findings[0].Title
	case looks <= len(tracks):
		res.Summary = "the progress of counting was looked at in the end only, so whether it only went forward is not known"
	case steps == 0 && slices.ContainsFunc(tracks, func(t track) bool { return t.moved() }):
		res.Summary = "progress went on, and no step of counting was announced, so whether a stretch was counted twice is not known"
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("all of %s are counted to their end and were marked within %s of it; in %s and %s progress only went forward", plural(int64(len(tracks)), "partition"), short(j.oldest), plural(int64(looks), "look"), plural(int64(steps), "announced step"))
	}
	return res
}

// progressJudge gathers what is wrong, partitions that are wrong alike in one finding.
type progressJudge struct {
	r        *run
	within   time.Duration
	findings []Finding
	kinds    []string
	oldest   time.Duration
}

// found notes one thing of a kind. The title is of the first; more of them are counted.
func (j *progressJudge) found(v Verdict, kind string, at time.Duration, title, line string) {
	if i := slices.Index(j.kinds, kind); i >= 0 {
		f := &j.findings[i]
		if f.Count++; len(f.Evidence) < MaxExamples {
			f.Evidence = append(f.Evidence, line)
		}
		return
	}
	f := Finding{Verdict: v, Title: title, Evidence: []string{line}, At: at, Count: 1}
	j.r.place(&f)
	j.kinds, j.findings = append(j.kinds, kind), append(j.findings, f)
}

// final judges the last look at a partition.
func (j *progressJudge) final(t *track) {
	i := len(t.looks) - 1
	if i < 0 || !t.looks[i].Final {
		j.found(Inconclusive, "unseen", None, fmt.Sprintf("partition %d was not looked at in the end", t.partition), fmt.Sprintf("partition %d: %s", t.partition, plural(int64(len(t.looks)), "look")))
		return
	}
	last := &t.looks[i]
	end := max(last.End, t.end)
	where := fmt.Sprintf("seed %d, partition %d at %s", j.r.e.Run.Seed, t.partition, moment(last.At))
	// Who looks before counting has had time sees nothing that is wrong.
	had, ran := last.At-j.r.loadEnd(), last.At-j.r.loadBegin()
	switch {
	case last.Next < 0 && ran >= j.within:
		j.found(Fail, "no row", last.At, fmt.Sprintf("partition %d has no progress", t.partition), fmt.Sprintf("%s: there is no row of it, %s after the load began; its log ends at offset %d", where, short(ran), end))
	case last.Next < max(end, 0) && had < min(j.within, markedWithin):
		j.found(Inconclusive, "early", last.At, fmt.Sprintf("partition %d was looked at %s after the load's end, before its time to be counted was up", t.partition, short(had)), fmt.Sprintf("%s: counted up to offset %d of %d", where, last.Next, end))
	case end < 0:
		j.found(Inconclusive, "no end", last.At, fmt.Sprintf("where the log of partition %d ends is not known", t.partition), fmt.Sprintf("%s: counted up to offset %d", where, last.Next))
	case last.Next < end:
		j.found(Fail, "behind", last.At, fmt.Sprintf("partition %d is not counted to its end", t.partition), fmt.Sprintf("%s: counted up to offset %d of %d by %s, %s after the load's end; last marked at %s", where, last.Next, end, last.By, short(had), moment(last.Marked)))
	default:
		age := max(0, last.At-last.Marked)
		j.oldest = max(j.oldest, age)
		if age > j.within+clockSlack {
			j.found(Fail, "old mark", last.At, fmt.Sprintf("partition %d looks stuck: its progress was last marked %s before the end", t.partition, short(age)), fmt.Sprintf("%s: at offset %d of %d, last marked at %s by %s, bound %s", where, last.Next, end, moment(last.Marked), last.By, j.within))
		}
	}
}

// forward judges how a partition's progress moved.
func (j *progressJudge) forward(t *track) {
	where := fmt.Sprintf("seed %d, partition %d", j.r.e.Run.Seed, t.partition)
	back := false
	for i := range t.looks {
		p := &t.looks[i]
		if i > 0 && p.Next < t.looks[i-1].Next {
			back = true
			before := &t.looks[i-1]
			j.found(Fail, "backwards", p.At, fmt.Sprintf("the progress of partition %d went backwards", t.partition), fmt.Sprintf("%s: offset %d by %s at %s, and %d by %s at %s", where, before.Next, before.By, moment(before.At), p.Next, p.By, moment(p.At)))
		}
		if j.r.logMissing == "" && p.Next > t.end {
			j.found(Fail, "beyond", p.At, fmt.Sprintf("the progress of partition %d is beyond the end of its log", t.partition), fmt.Sprintf("%s at %s: offset %d by %s, and its log never reached further than %d", where, moment(p.At), p.Next, p.By, t.end))
		}
	}
	if back || len(t.steps) == 0 {
		return
	}
	conflict := t.conflict
	if j.r.e.Run.World != plan.WorldSim {
		conflict = t.disorder
	}
	if at, what := conflict(); what != "" {
		j.found(Fail, "twice", at, fmt.Sprintf("a stretch of partition %d was counted twice", t.partition), where+": "+what)
	}
}

// progressOp is an operation on a partition's progress: a step moves it, a look finds it at an offset, from which it goes to the same one.
type progressOp struct {
	from, to         int64
	called, returned int64
	step             *step
	look             *evidence.Progress
}

// progressModel is a register that only goes forward: an operation moves it from where it is, or from further on, as steps whose
// answers were lost are announced by nobody.
var progressModel = porcupine.Model{
	Init: func() any { return int64(-1) },
	Step: func(state, input, _ any) (bool, any) {
		at, op := state.(int64), input.([2]int64)
		return op[0] >= at && op[1] >= op[0], op[1]
	},
}

func (o *progressOp) String() string {
	if o.step != nil {
		return fmt.Sprintf("%s counted from offset %d to %d at %s", o.step.node, o.from, o.to, moment(o.step.at))
	}
	return fmt.Sprintf("progress was at offset %d at %s", o.to, moment(o.look.At))
}

// linear says whether there is an order of a partition's steps and looks in which progress only goes forward and no stretch is
// stepped over twice: nil if there is one, else two operations that have none (or one twice, if it goes backwards), the lower by
// offset first.
//
// A step began after its node's last step before it had happened, and had happened when it was announced, which is when it was
// noticed. Two nodes that announce the very same step may both believe that it was theirs. What follows begins a fraction of a
// nanosecond later than what it follows ends.
//
// As each operation begins where the one before it ended, or further on, offsets allow one order only, but for looks at the same
// offset, which may as well be in the order in which they began.
func linear(t *track) (first, second *progressOp) {
	const fraction = 1 << 10
	ops := make([]progressOp, 0, len(t.looks)+len(t.steps))
	looked := int64(0)
	for i := range t.looks {
		p := &t.looks[i]
		end := max(looked, int64(p.At)*fraction)
		ops = append(ops, progressOp{from: p.Next, to: p.Next, called: looked, returned: end, look: p})
		looked = end + 1
	}
	last := map[string]int64{}
	same := map[[2]int64]int{}
	for i := range t.steps {
		s := &t.steps[i]
		begin, end := last[s.node], max(last[s.node], int64(s.at)*fraction)
		last[s.node] = end + 1
		stretch := [2]int64{s.from, s.to}
		if before, there := same[stretch]; there {
			h := &ops[before]
			h.called, h.returned = min(h.called, begin), max(h.returned, end)
			continue
		}
		same[stretch] = len(ops)
		ops = append(ops, progressOp{from: s.from, to: s.to, called: begin, returned: end, step: s})
	}
	slices.SortStableFunc(ops, func(a, b progressOp) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.called, b.called))
	})
	turns := make([]turn, len(ops))
	for i := range ops {
		turns[i] = turn{[2]int64{ops[i].from, ops[i].to}, ops[i].called, ops[i].returned}
	}
	ok, ahead, before := inTurn(progressModel, turns)
	switch {
	case ok:
		return nil, nil
	case ops[before].to < ops[before].from:
		return &ops[before], &ops[before]
	}
	return &ops[ahead], &ops[before]
}

// conflict says which steps and looks have no order; "" if all have.
func (t *track) conflict() (at time.Duration, what string) {
	first, second := linear(t)
	if first == nil {
		return None, ""
	}
	if first == second {
		return first.step.at, first.String() + ", which is not forward"
	}
	for _, o := range []*progressOp{first, second} {
		if o.step != nil {
			at = max(at, o.step.at)
		}
	}
	return at, fmt.Sprintf("%s, though %s", second, first)
}

// disorder is conflict where announcements may be noticed up to stampSlack late, so that many steps could have happened at once:
// no step begins below where progress certainly had been by then.
func (t *track) disorder() (at time.Duration, what string) {
	high := make([]int, len(t.steps)) // the one of the steps up to this one that went furthest
	last := map[string]time.Duration{}
	same := map[[2]int64]bool{}
	for i := range t.steps {
		s := &t.steps[i]
		if high[i] = i; i > 0 && t.steps[high[i-1]].to >= s.to {
			high[i] = high[i-1]
		}
		op := progressOp{from: s.from, to: s.to, step: s}
		if s.to < s.from {
			return s.at, op.String() + ", which is not forward"
		}
		begin, stretch := last[s.node]-stampSlack, [2]int64{s.from, s.to}
		last[s.node] = s.at
		if same[stretch] {
			continue
		}
		same[stretch] = true
		// What was noticed before had happened before.
		if n := sort.Search(i, func(k int) bool { return t.steps[k].at >= begin }); n > 0 && t.steps[high[n-1]].to > s.from {
			far := &t.steps[high[n-1]]
			return s.at, fmt.Sprintf("%s, though %s", &op, &progressOp{from: far.from, to: far.to, step: far})
		}
		if n := sort.Search(len(t.looks), func(k int) bool { return t.looks[k].At >= begin }); n > 0 && t.looks[n-1].Next > s.from {
			return s.at, fmt.Sprintf("%s, though %s", &op, &progressOp{to: t.looks[n-1].Next, look: &t.looks[n-1]})
		}
	}
	return None, ""
}
