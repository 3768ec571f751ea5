package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// said is one event of telemetry.
type said struct {
	at, time time.Duration // taken by the observer; happened, by the role's clock
	kind     string
	seq      int64
	data     map[string]any
}

// num is a numeric field; ok is false if the event does not have it.
func (s *said) num(field string) (float64, bool) {
	v, ok := s.data[field].(float64)
	return v, ok
}

func (s *said) count(field string) int64 {
	v, _ := s.num(field)
	return int64(v)
}

func (s *said) text(field string) string {
	v, _ := s.data[field].(string)
	return v
}

// voice is what one incarnation of a role said.
type voice struct {
	node, instance string
	role           system.Role
	events         []*said // in order of their numbers
	ticks          []*said
}

// last is its last tick; nil if there was none.
func (v *voice) last() *said {
	if len(v.ticks) == 0 {
		return nil
	}
	return v.ticks[len(v.ticks)-1]
}

// lost is how many events it says that it dropped or failed to hand over.
func (s *said) lost() int64 { return s.count("telemetry.dropped") + s.count("telemetry.failed") }

// telemetryJudge compares what roles say with what the harness knows.
type telemetryJudge struct {
	r        *run
	slack    time.Duration // by which clocks, and the moments at which things are noticed, may differ
	silence  time.Duration // for how long a role that is well may say nothing
	voices   []*voice
	byNode   map[string][]*voice // in order of their beginning
	findings []Finding
	kinds    []string
	excused  int64 // faults that nothing could show
	shown    int64
	compared int64 // claims
}

// judgeTelemetry: what roles say about themselves is true and complete, and every fault shows in it.
func (r *run) judgeTelemetry() Result {
	j := &telemetryJudge{r: r, slack: 200 * time.Millisecond, byNode: map[string][]*voice{}}
	t := &r.plan.System.Telemetry
	j.silence = 3*t.Every + t.Timeout + time.Second
	if r.e.Run.World != plan.WorldSim {
		j.slack, j.silence = 2*time.Second, j.silence+5*time.Second
	}
	var res Result
	gap := slices.IndexFunc(r.e.Gaps, func(g evidence.Gap) bool { return g.What == "telemetry" })
	switch {
	case !t.Enabled || !r.plan.System.Observed():
		res.Summary = "roles say nothing about themselves, or nobody listens: the topology has no telemetry or no observer"
		return res
	case len(r.e.Telemetry) == 0:
		res.Summary = "the observer has taken nothing"
		return res
	}
	j.listen()
	whole := gap < 0
	for _, v := range j.voices {
		j.numbers(v, whole)
		j.counters(v)
	}
	if whole && r.e.Run.Ended == "" {
		j.silences()
		j.faults()
	}
	j.claims()
	if whole {
		j.traces()
	}
	res.Findings = j.findings
	events := int64(len(r.e.Telemetry))
	res.Numbers = []Number{
		{"events", float64(events), "events"}, {"instances", float64(len(j.voices)), "instances"}, {"claims compared", float64(j.compared), "claims"},
		{"faults that show", float64(j.shown), "faults"}, {"faults that need not show", float64(j.excused), "faults"},
	}
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := int64(len(res.Findings)) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(more, "more finding"))
		}
	case !whole:
		res.Summary = "not all telemetry was kept: " + r.e.Gaps[gap].Why
	case r.e.Run.Ended != "":
		res.Summary = "the run was cut short: " + r.e.Run.Ended
	case j.compared == 0:
		res.Summary = "nothing that was said could be compared with what is known"
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s of %s: %s hold, and %s shown", plural(events, "event"), plural(int64(len(j.voices)), "instance"), plural(j.compared, "claim"), plural(j.shown, "fault is", "faults are"))
	}
	return res
}

// found notes one thing of a kind; more of them are counted.
func (j *telemetryJudge) found(kind string, at time.Duration, title, line string) {
	line = fmt.Sprintf("seed %d: %s", j.r.e.Run.Seed, line)
	if i := slices.Index(j.kinds, kind); i >= 0 {
		f := &j.findings[i]
		if f.Count++; len(f.Evidence) < MaxExamples {
			f.Evidence = append(f.Evidence, line)
		}
		return
	}
	f := Finding{Verdict: Fail, Title: title, Evidence: []string{line}, At: at, Count: 1}
	j.r.place(&f)
	j.kinds, j.findings = append(j.kinds, kind), append(j.findings, f)
}

// listen sorts what was said by who said it.
func (j *telemetryJudge) listen() {
	by := map[string]*voice{}
	nodes := map[string]system.Node{}
	for _, n := range j.r.plan.System.Nodes() {
		nodes[n.Name] = n
	}
	for i := range j.r.e.Telemetry {
		e := &j.r.e.Telemetry[i]
		s := &said{at: e.At, time: e.Time}
		if err := json.Unmarshal(e.Data, &s.data); err != nil {
			j.found("unreadable", e.At, "telemetry that cannot be read", fmt.Sprintf("at %s: %v", moment(e.At), err))
			continue
		}
		s.kind, s.seq = s.text("meta.kind"), s.count("seq")
		node, instance := s.text("node"), s.text("instance")
		n, known := nodes[node]
		if !known || instance == "" || string(n.Role) != s.text("role") || e.Dataset != s.text("role") {
			j.found("nobody", e.At, "telemetry of somebody who is not there", fmt.Sprintf("at %s: node %q, role %q, instance %q, dataset %q", moment(e.At), node, s.text("role"), instance, e.Dataset))
			continue
		}
		v := by[node+"/"+instance]
		if v == nil {
			v = &voice{node: node, instance: instance, role: n.Role}
			by[node+"/"+instance] = v
			j.voices = append(j.voices, v)
		}
		v.events = append(v.events, s)
	}
	for _, v := range j.voices {
		slices.SortStableFunc(v.events, func(a, b *said) int { return cmp.Compare(a.seq, b.seq) })
		for _, s := range v.events {
			if s.kind == telemetry.KindTick {
				v.ticks = append(v.ticks, s)
			}
		}
		j.byNode[v.node] = append(j.byNode[v.node], v)
	}
	for _, n := range j.r.plan.System.Nodes() {
		slices.SortStableFunc(j.byNode[n.Name], func(a, b *voice) int { return cmp.Compare(a.events[0].time, b.events[0].time) })
	}
}

// numbers judges what of an instance's events did not arrive: it has said that it dropped or failed to hand over as many, and
// has not said of more than arrived that they did.
func (j *telemetryJudge) numbers(v *voice, whole bool) {
	before := int64(0) // events that arrived before the one at hand
	var pending []struct {
		tick    *said
		missing int64
	}
	for i, s := range v.events {
		if i > 0 && s.seq == v.events[i-1].seq {
			j.found("twice", s.at, v.node+" gave two events one number", fmt.Sprintf("%s, instance %s: two events have the number %d, taken at %s and %s", v.node, v.instance, s.seq, moment(v.events[i-1].at), moment(s.at)))
			continue
		}
		if s.kind == telemetry.KindTick {
			j.compared++
			if most := j.r.plan.System.Telemetry.Queue; s.count("telemetry.waiting") > int64(most) {
				j.found("waiting", s.at, v.node+" keeps more telemetry than it may", fmt.Sprintf("%s at %s: telemetry.waiting is %d, and its queue has room for %d", v.node, moment(s.time), s.count("telemetry.waiting"), most))
			}
		}
		if s.kind == telemetry.KindTick && whole {
			j.compared++
			if sent := s.count("telemetry.sent"); sent > before {
				j.found("sent", s.at, v.node+" says that the observer has taken what it has not", fmt.Sprintf("%s at %s: telemetry.sent is %d, and of the %d events before this tick the observer has taken %d", v.node, moment(s.time), sent, s.seq-1, before))
			}
			// What was missing before a tick of an earlier batch has been given up by now, and has to be counted here.
			for len(pending) > 0 && pending[0].tick.at < s.at {
				if p := pending[0]; p.missing > s.lost() {
					j.found("missing", s.at, v.node+" does not say how much of its telemetry is missing", fmt.Sprintf("%s at %s: telemetry.dropped is %d and telemetry.failed %d, and %d events from before %s never arrived", v.node, moment(s.time), s.count("telemetry.dropped"), s.count("telemetry.failed"), p.missing, moment(p.tick.time)))
				}
				pending = pending[1:]
			}
			pending = append(pending, struct {
				tick    *said
				missing int64
			}{s, s.seq - 1 - before})
		}
		before++
	}
}

// counters judges that what only grows does.
func (j *telemetryJudge) counters(v *voice) {
	var names []string
	for _, k := range telemetry.Catalogue() {
		for _, f := range k.Fields {
			if k.Name == telemetry.KindTick && f.Type == telemetry.Counter && (f.Role == "" || f.Role == string(v.role)) {
				names = append(names, f.Name)
			}
		}
	}
	for i := 1; i < len(v.ticks); i++ {
		for _, name := range names {
			was, okWas := v.ticks[i-1].num(name)
			is, okIs := v.ticks[i].num(name)
			if okWas && okIs && is < was {
				j.found("falls", v.ticks[i].at, fmt.Sprintf("%s of %s falls, and it only counts", name, v.node), fmt.Sprintf("%s: %s was %v at %s and is %v at %s", v.node, name, was, moment(v.ticks[i-1].time), is, moment(v.ticks[i].time)))
			}
		}
	}
}

// over is when the harness last looked.
func (j *telemetryJudge) over() time.Duration {
	if n := len(j.r.samples); n > 0 {
		return j.r.samples[n-1].At
	}
	return 0
}

// disturbed says whether a fault on a node, or on the observer, bears on a stretch: it was active, or had been shortly before.
func (j *telemetryJudge) disturbed(node string, from, to time.Duration) bool {
	for i := range j.r.faults {
		f := &j.r.faults[i]
		if f.Injected == None || f.Kind == string(system.FaultRecreate) {
			continue
		}
		bears := f.Node == node || f.Node == system.NodeName(system.RoleObserver, 1) || f.Kind == string(system.FaultIsolate) && strings.Contains(f.Detail, node)
		if bears && f.Injected <= to && from <= min(f.until(forever), forever-j.silence)+j.silence {
			return true
		}
	}
	return false
}

// silences finds roles that were well and said nothing.
func (j *telemetryJudge) silences() {
	end := j.over()
	for _, n := range j.r.plan.System.Nodes() {
		if !speaks(n.Role) {
			continue
		}
		voices := j.byNode[n.Name]
		if len(voices) == 0 {
			if !slices.ContainsFunc(j.r.faults, func(f FaultSpan) bool { return f.Node == n.Name }) {
				j.found("mute", None, n.Name+" says nothing about itself", fmt.Sprintf("%s: no event of it ever arrived", n.Name))
			}
			continue
		}
		quiet := func(from, to time.Duration, lost int64) {
			if lost == 0 && j.calm(n.Name, from, to) {
				j.found("silent", from, n.Name+" says nothing although it is well", fmt.Sprintf("%s: no tick from %s to %s; expected one every %s, and none was said to be dropped", n.Name, moment(from), moment(to), plan.Duration(j.r.plan.System.Telemetry.Every)))
			}
		}
		for _, v := range voices {
			for i := 1; i < len(v.ticks); i++ {
				j.compared++
				quiet(v.ticks[i-1].time, v.ticks[i].time, v.last().lost()-v.ticks[i-1].lost())
			}
		}
		since := voices[len(voices)-1].events[0] // it may never have ticked
		if last := voices[len(voices)-1].last(); last != nil {
			since = last
		}
		quiet(since.time, end, 0)
	}
}

// calm says whether in some part of a stretch, longer than a role may say nothing, nothing bore on a node that ran.
func (j *telemetryJudge) calm(node string, from, to time.Duration) bool {
	for ; to-from > j.silence; from += j.silence {
		until := min(from+j.silence+1, to)
		if !j.disturbed(node, from, until) && !j.ended(node, from, until) {
			return true
		}
	}
	return false
}

// ended says whether a node's process announced in a stretch that it ended, or nobody has seen it start again.
func (j *telemetryJudge) ended(node string, from, to time.Duration) bool {
	down := false
	for i := range j.r.e.Timeline {
		e := &j.r.e.Timeline[i]
		if e.Kind != evidence.Announced || e.Node != node || e.At > to {
			continue
		}
		switch e.Event {
		case "node.stopped":
			down = true
			if e.At >= from-j.slack {
				return true
			}
		case "node.started":
			down = false
		}
	}
	return down
}

// speaks says whether nodes of a role describe themselves.
func speaks(role system.Role) bool {
	return slices.Contains([]system.Role{system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger}, role)
}
