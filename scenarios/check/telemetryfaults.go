package check

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
)

// Kinds of events that tell of the ways of chunks.
const (
	kindProduce = "produce"
	kindIndex   = "index"
)

const (
	// leastFault is how long a fault lasts that has to show: a shorter one may lie between two operations.
	leastFault = 3 * time.Second
	// troubled is how long an operation takes that shows trouble, at the least.
	troubled = 100 * time.Millisecond
	// manyHit is how many operations a share of failures has to hit for one of them to show as good as certainly.
	manyHit = 60
)

// faults judges that each fault whose effect the harness saw shows in telemetry, and that the observer's own are told.
func (j *telemetryJudge) faults() {
	for i := range j.r.faults {
		f := &j.r.faults[i]
		if f.Injected == None || f.Observed == None || f.Kind == string(system.FaultRecreate) {
			continue
		}
		n, _ := j.r.plan.System.Node(f.Node)
		to := min(f.until(forever), j.over())
		shows, must := false, false
		missing := ""
		switch {
		case n.Role == system.RoleObserver:
			shows, must = j.toldLosses(f, to)
			missing = "no role says that telemetry was dropped or not handed over"
		case j.deaf(f.Injected, to):
		case speaks(n.Role):
			shows, must, missing = j.broke(f, n.Name, to)
		default:
			shows, must, missing = j.trouble(f, n.Role, to)
		}
		switch {
		case shows:
			j.shown++
		case !must:
			j.excused++
		default:
			j.found("unseen "+f.ID+f.Node, f.Injected, fmt.Sprintf("%s does not show in telemetry", f.label()), fmt.Sprintf("%s from %s to %s (%s): %s", f.label(), moment(f.Injected), moment(to), f.Effect, missing))
		}
	}
	j.refusals()
}

// deaf says whether a fault on the observer overlaps a stretch: what happened then may not have been told.
func (j *telemetryJudge) deaf(from, to time.Duration) bool {
	for i := range j.r.faults {
		f := &j.r.faults[i]
		if f.Node == system.NodeName(system.RoleObserver, 1) && f.Injected != None && f.Injected <= to+j.silence && from <= min(f.until(forever), forever-j.silence)+j.silence {
			return true
		}
	}
	return false
}

// broke says whether a fault on a role shows in what the role itself says: its instance ends, or it falls silent.
func (j *telemetryJudge) broke(f *FaultSpan, node string, to time.Duration) (shows, must bool, missing string) {
	switch system.FaultKind(f.Kind) {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		for _, v := range j.byNode[node] {
			if len(v.ticks) > 0 && v.ticks[0].time < f.Injected && v.last().time > f.Observed+j.silence {
				return false, true, fmt.Sprintf("%s, instance %s, ticks on to %s as if nothing had happened", node, v.instance, moment(v.last().time))
			}
		}
		return true, true, ""
	case system.FaultPause:
		length := to - f.Observed
		for _, v := range j.byNode[node] {
			for i, s := range v.ticks {
				gap, _ := s.num("tick.gap_ms")
				if s.time >= f.Injected && gap >= float64(length)/float64(2*time.Millisecond) {
					return true, true, ""
				}
				if i > 0 && v.ticks[i-1].time <= to && s.time >= f.Observed && s.time-v.ticks[i-1].time >= length/2 {
					return true, true, ""
				}
			}
			if last := v.last(); last != nil && last.time < f.Injected+j.slack && f.Back == None {
				return true, true, ""
			}
		}
		return false, length > max(leastFault, 3*j.r.plan.System.Telemetry.Every+j.slack), "no gap between its ticks"
	case system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultRecreate:
	}
	return false, false, ""
}

// dependencies are how fields about a server begin.
func dependencies(role system.Role) []string {
	switch role {
	case system.RoleKafka:
		return []string{"kafka", "groups"}
	case system.RoleZooKeeper:
		return []string{"zookeeper"}
	case system.RoleMySQL:
		return []string{"mysql"}
	case system.RoleS3:
		return []string{"s3"}
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleObserver:
	}
	return nil
}

// trouble says whether a fault on a server shows in what roles say of it, and whether it has to: somebody used it.
func (j *telemetryJudge) trouble(f *FaultSpan, role system.Role, to time.Duration) (shows, must bool, missing string) {
	names := dependencies(role)
	bound := j.usual(names)
	ops, hangs := 0.0, false
	after := min(f.Over, to+j.silence)
	for _, v := range j.voices {
		for _, name := range names {
			var before *said
			for _, s := range v.ticks {
				if s.time < f.Injected {
					before = s
					continue
				}
				if s.time > max(after, to+j.silence) {
					break
				}
				for _, field := range []string{".errors", ".unknown", ".given_up"} {
					if was := countOf(before, name+field); float64(s.count(name+field)) > was {
						return true, true, ""
					}
				}
				for _, field := range []string{".max_ms", ".oldest_ms", ".failing_ms"} {
					if ms, _ := s.num(name + field); ms > bound[field] {
						return true, true, ""
					}
				}
				if s.time <= to { // what ended later says nothing of the fault
					if before != nil && before.time > f.Observed {
						ops += float64(s.count(name+".ops")) - countOf(before, name+".ops")
					}
					hangs = hangs || s.count(name+".open") > 0
					before = s
				}
			}
		}
	}
	missing = fmt.Sprintf("no role says of %s more errors, unknown outcomes or longer operations (%.0f ms) than in quiet, though %.0f operations ended meanwhile", strings.Join(names, " and "), bound[".max_ms"], ops)
	switch system.FaultKind(f.Kind) {
	case system.FaultKill, system.FaultReplace, system.FaultPause:
		switch role {
		case system.RoleKafka: // only a leader's loss is anybody's business
			must = strings.Contains(f.Effect, "leaders moved")
		case system.RoleMySQL, system.RoleS3:
			must = ops > 0
		case system.RoleZooKeeper, system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleObserver: // clients go elsewhere
		}
	case system.FaultErrors:
		must = ops*j.rate(f) > manyHit
	case system.FaultSlow:
		must = ops > 0 && j.delay(f) > time.Duration(bound[".max_ms"]*float64(time.Millisecond))+j.slack
	case system.FaultStop, system.FaultIsolate, system.FaultRecreate:
	}
	return false, must && to-f.Injected >= leastFault, missing
}

func countOf(s *said, field string) float64 {
	if s == nil {
		return 0
	}
	return float64(s.count(field))
}

// usual is what operations on a server take at most while no fault is near, and some more.
func (j *telemetryJudge) usual(names []string) map[string]float64 {
	bound := map[string]float64{".failing_ms": 0}
	for _, field := range []string{".max_ms", ".oldest_ms"} {
		most := float64(troubled) / float64(time.Millisecond)
		for _, v := range j.voices {
			for _, s := range v.ticks {
				if s.time < 0 || !j.quiet(s.time) {
					continue
				}
				for _, name := range names {
					ms, _ := s.num(name + field)
					most = max(most, 1.5*ms)
				}
			}
		}
		bound[field] = most
	}
	return bound
}

// quiet says whether no fault bears on a moment.
func (j *telemetryJudge) quiet(at time.Duration) bool {
	for i := range j.r.faults {
		f := &j.r.faults[i]
		if f.Injected != None && f.Injected <= at+time.Second && at <= min(j.r.endOf(f), forever-j.silence)+j.silence {
			return false
		}
	}
	return true
}

// rate is the share of requests that a fault makes fail.
func (j *telemetryJudge) rate(f *FaultSpan) float64 {
	for p := range j.r.plan.Phases {
		for i := range j.r.plan.Phases[p].Faults {
			if f.ID == fmt.Sprintf("%s/%d", j.r.plan.Phases[p].Name, i) {
				return j.r.plan.Phases[p].Faults[i].Rate
			}
		}
	}
	return 0
}

// delay is what a fault adds to each request.
func (j *telemetryJudge) delay(f *FaultSpan) time.Duration {
	for p := range j.r.plan.Phases {
		for i := range j.r.plan.Phases[p].Faults {
			if f.ID == fmt.Sprintf("%s/%d", j.r.plan.Phases[p].Name, i) {
				return time.Duration(j.r.plan.Phases[p].Faults[i].Delay)
			}
		}
	}
	return 0
}

// toldLosses says whether roles that lived through a fault on the observer say that they lost telemetry by it.
func (j *telemetryJudge) toldLosses(f *FaultSpan, to time.Duration) (shows, must bool) {
	witnesses := 0
	t := &j.r.plan.System.Telemetry
	for _, v := range j.voices {
		var before, after *said
		for _, s := range v.ticks {
			if s.time < f.Injected {
				before = s
			}
			if s.time > to+t.Timeout+j.slack {
				after = s
			}
		}
		if before == nil || after == nil {
			continue
		}
		witnesses++
		if after.lost() > before.lost() {
			return true, true
		}
	}
	length := to - f.Observed
	batches := float64(witnesses) * math.Floor(length.Seconds()/max(t.Every, t.Timeout).Seconds())
	switch system.FaultKind(f.Kind) {
	case system.FaultErrors:
		return false, batches*j.rate(f) > manyHit
	case system.FaultSlow:
		return false, batches > 0 && j.delay(f) > t.Timeout+j.slack
	case system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPause:
		return false, batches > 0 && length > t.Every+t.Timeout+time.Second+j.slack
	case system.FaultIsolate, system.FaultRecreate:
	}
	return false, false
}

// refusals judges that what the observer refused is told by those whose it was, if all of them lived to tell.
func (j *telemetryJudge) refusals() {
	var refused float64
	var at time.Duration
	for i := range j.r.samples {
		if v, ok := j.r.samples[i].Values[evidence.ObserverRefused]; ok {
			if v > refused {
				at = j.r.samples[i].At
			}
			refused = v
		}
	}
	var told int64
	for _, n := range j.r.plan.System.Nodes() {
		if !speaks(n.Role) {
			continue
		}
		voices := j.byNode[n.Name]
		if len(voices) != 1 || voices[0].last() == nil || voices[0].last().time < at+j.r.plan.System.Telemetry.Timeout+j.slack {
			return
		}
		told += voices[0].last().count("telemetry.failed")
	}
	j.compared++
	if float64(told) < refused {
		j.found("refused", at, "roles say that less telemetry was refused than was", fmt.Sprintf("the observer has refused %.0f events, and telemetry.failed of all roles is %d together", refused, told))
	}
}

// traces judges the sampled ways of chunks: what a retriever indexed had been produced there, and each of a pair indexed what
// was produced.
func (j *telemetryJudge) traces() {
	type place struct {
		partition int32
		offset    int64
	}
	indexed := map[string]map[place]bool{} // by node
	for _, v := range j.voices {
		for _, s := range v.events {
			if s.kind == kindIndex {
				at := place{int32(s.count("partition")), s.count("offset")}
				if indexed[v.node] == nil {
					indexed[v.node] = map[place]bool{}
				}
				indexed[v.node][at] = true
				j.compared++
				if delay, _ := s.num("delay_ms"); delay < -float64(j.slack)/float64(time.Millisecond) {
					j.found("delay", s.at, v.node+" indexed an event before it was produced", fmt.Sprintf("%s at %s: delay_ms is %.0f", v.node, moment(s.time), delay))
				}
				if j.r.logMissing == "" && at.offset >= j.r.logIndex.end(at.partition) {
					j.found("index beyond", s.at, v.node+" indexed what is not in the log", fmt.Sprintf("%s at %s: partition %d, offset %d, and the log ends at %d", v.node, moment(s.time), at.partition, at.offset, j.r.logIndex.end(at.partition)))
				}
			}
		}
	}
	for _, v := range j.voices {
		if v.role != system.RoleRetriever || len(j.byNode[v.node]) != 1 || v.last() == nil || v.last().lost() > 0 {
			continue // it began anew, perhaps from S3, or not all that it said has arrived
		}
		n, _ := j.r.plan.System.Node(v.node)
		for _, w := range j.voices {
			for _, s := range w.events {
				at := place{int32(s.count("partition")), s.count("offset")}
				if s.kind != kindProduce || s.text("outcome") != "accepted" || at.partition != n.Partition || at.offset < 0 || at.offset >= v.last().count("offset.next") {
					continue
				}
				j.compared++
				if !indexed[v.node][at] {
					j.found("not indexed", s.at, v.node+" does not tell of a chunk that it indexed", fmt.Sprintf("%s produced to partition %d, offset %d at %s, of a trace that is told; %s has read on to %d and tells nothing of it", w.node, at.partition, at.offset, moment(s.time), v.node, v.last().count("offset.next")))
				}
			}
		}
	}
}
