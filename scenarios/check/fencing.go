package check

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// term is a stretch in which a worker said that it leads.
type term struct {
	node    string
	epoch   int64
	acquire time.Duration // the lock was acquired at some moment from here
	began   time.Duration // to here, when it was announced
	ended   time.Duration // when it was announced to be over, or its process ended; None: never
	why     string        // of the end
	// loose is from when on the lock may have been lost without its holder having had a chance to notice.
	loose time.Duration
}

func (t *term) String() string {
	s := fmt.Sprintf("%s leads as epoch %d from %s", t.node, t.epoch, moment(t.began))
	if t.ended == None {
		return s + " on"
	}
	return s + fmt.Sprintf(" to %s (%s)", moment(t.ended), t.why)
}

var epochPattern = regexp.MustCompile(`^epoch (\d{1,18})\b`)

// terms reads who led when from what was announced, in order of time.
func (r *run) terms() []term {
	var list []term
	open := map[string]int{} // by node: its term that has not ended, plus 1
	over := map[string]time.Duration{}
	end := func(node string, at time.Duration, why string) {
		if k := open[node]; k > 0 {
			list[k-1].ended, list[k-1].why = at, why
			delete(open, node)
		}
		over[node] = at
	}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		switch {
		case e.Kind == evidence.FaultInjected && r.ends(e.Fault):
			end(e.Node, e.At, "it was taken down")
		case e.Kind != evidence.Announced:
		case e.Event == port.EventNodeStopped || e.Event == port.EventNodeStarted:
			end(e.Node, e.At, "its process ended")
		case e.Event == port.EventLeaderUp || e.Event == port.EventLeaderDown:
			m := epochPattern.FindStringSubmatch(e.Detail)
			if m == nil {
				r.problem("announcements", "%s of %s at %v says %q, and not which epoch", e.Event, e.Node, e.At, e.Detail)
				continue
			}
			epoch, _ := strconv.ParseInt(m[1], 10, 64)
			if e.Event == port.EventLeaderDown {
				if k := open[e.Node]; k > 0 && list[k-1].epoch == epoch {
					end(e.Node, e.At, "deposed")
				}
				continue
			}
			if open[e.Node] > 0 {
				end(e.Node, e.At, "it leads anew")
			}
			acquire := over[e.Node]
			if r.e.Run.World != plan.WorldSim {
				acquire = max(0, acquire-stampSlack)
			}
			list = append(list, term{node: e.Node, epoch: epoch, acquire: acquire, began: e.At, ended: None})
			open[e.Node] = len(list)
		}
	}
	for i := range list {
		r.loosen(&list[i])
	}
	return list
}

// ends says whether a fault ends the process that it strikes.
func (r *run) ends(fault string) bool {
	return r.isFault(fault, system.FaultKill, system.FaultStop, system.FaultReplace)
}

func (r *run) isFault(id string, kinds ...system.FaultKind) bool {
	return slices.ContainsFunc(r.faults, func(f FaultSpan) bool { return f.ID == id && slices.Contains(kinds, system.FaultKind(f.Kind)) })
}

// loosen finds from when on a term's lock may have been lost unnoticed: its holder has one session timeout to notice, and
// none of the time for which it was frozen counts.
func (r *run) loosen(t *term) {
	grace := r.plan.System.Trigger.SessionTimeout
	if r.e.Run.World != plan.WorldSim {
		grace += stampSlack / 2
	}
	end := t.ended
	if end == None {
		end = r.e.Run.Length
	}
	t.loose = end - grace
	for i := range r.faults {
		f := &r.faults[i]
		if f.Node == t.node && (f.Kind == string(system.FaultPause) || f.Kind == string(system.FaultStarve)) && f.Injected != None && f.Injected < end && f.until(end)+grace > end-grace {
			t.loose = min(t.loose, f.Injected)
		}
	}
	t.loose = max(t.loose, t.began)
}

// lockOp is an operation on the lock.
type lockOp struct {
	epoch   int64
	release bool
}

// lockState is who holds the lock, and the highest epoch that it was ever held by.
type lockState struct {
	held bool
	last int64
}

// lockModel is a lock that one holds at a time, each with a higher epoch than all before.
var lockModel = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, op := state.(lockState), input.(lockOp)
		if op.release {
			return s.held && s.last == op.epoch, lockState{last: s.last}
		}
		return !s.held && op.epoch > s.last, lockState{held: true, last: op.epoch}
	},
}

// exclusive says whether one order of acquiring and losing the lock explains all terms. Epochs allow one only.
func exclusive(terms []term) bool {
	list := slices.Clone(terms)
	slices.SortFunc(list, func(a, b term) int { return cmp.Compare(a.epoch, b.epoch) })
	turns := make([]turn, 0, 2*len(list))
	for i := range list {
		t := &list[i]
		turns = append(turns,
			turn{lockOp{epoch: t.epoch}, int64(t.acquire), int64(max(t.acquire, t.began))},
			turn{lockOp{epoch: t.epoch, release: true}, int64(t.loose), math.MaxInt64})
	}
	ok, _, _ := inTurn(lockModel, turns)
	return ok
}

// judgeFencing: one worker leads at a time, each with a higher epoch than the one before, and what is effective is its doing alone.
func (r *run) judgeFencing() Result {
	var res Result
	terms := r.terms()
	epochs := map[int64]bool{}
	for i := range r.e.Evaluations {
		epochs[r.e.Evaluations[i].Epoch] = true
	}
	res.Numbers = []Number{{"terms announced", float64(len(terms)), "terms"}, {"evaluations", float64(len(r.e.Evaluations)), "evaluations"}, {"epochs of evaluations", float64(len(epochs)), "epochs"}}
	res.Findings = append(res.Findings, r.sharedEpochs(terms)...)
	res.Findings = append(res.Findings, r.fallingEpochs()...)
	res.Findings = append(res.Findings, r.twoLeaders(terms)...)
	for i := range res.Findings {
		r.place(&res.Findings[i])
	}
	stranger := r.unannounced(terms)
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := int64(len(res.Findings)) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(more, "more finding"))
		}
	case r.alerts.missing != "":
		res.Summary = "the evaluations are not known: " + r.alerts.missing
	case len(r.e.Evaluations) == 0:
		res.Summary = "nothing was evaluated, so nobody can be said to have led"
	case len(terms) == 0:
		res.Summary = "nobody announced that it leads, so the lock cannot be followed"
	case r.e.Run.Ended != "":
		res.Summary = "the run was cut short: " + r.e.Run.Ended
	case stranger != nil:
		res.Summary = fmt.Sprintf("%s evaluated window %s of alert %d as epoch %d, and never announced that it leads as that, so the lock cannot be followed", stranger.By, moment(stranger.Window), stranger.Alert, stranger.Epoch)
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s of %s, never two at once; %s under rising epochs", plural(int64(len(terms)), "term"), plural(int64(workers(terms)), "worker"), plural(int64(len(r.e.Evaluations)), "evaluation"))
	}
	return res
}

// unannounced is an evaluation under an epoch as which its worker never announced that it leads; nil if there is none. Outside of
// the simulation an announcement of the last moments may not have been noticed any more.
func (r *run) unannounced(terms []term) *evidence.Evaluation {
	type who struct {
		node  string
		epoch int64
	}
	led := map[who]bool{}
	for i := range terms {
		led[who{terms[i].node, terms[i].epoch}] = true
	}
	for i := range r.e.Evaluations {
		v := &r.e.Evaluations[i]
		if !led[who{v.By, v.Epoch}] && (r.e.Run.World == plan.WorldSim || v.At < r.e.Run.Length-stampSlack) {
			return v
		}
	}
	return nil
}

func workers(terms []term) int {
	nodes := map[string]bool{}
	for i := range terms {
		nodes[terms[i].node] = true
	}
	return len(nodes)
}

// sharedEpochs finds epochs under which several workers acted or led.
func (r *run) sharedEpochs(terms []term) []Finding {
	type user struct {
		node string
		at   time.Duration
		how  string
	}
	first := map[int64]user{}
	told := map[int64]bool{}
	var list []Finding
	use := func(epoch int64, u user) {
		before, there := first[epoch]
		if !there {
			first[epoch] = u
			return
		}
		if before.node == u.node || told[epoch] {
			return
		}
		told[epoch] = true
		list = append(list, Finding{Verdict: Fail, At: u.at, Count: 1, Title: fmt.Sprintf("epoch %d is of two workers, %s and %s", epoch, before.node, u.node), Evidence: []string{
			fmt.Sprintf("seed %d: at %s %s", r.e.Run.Seed, moment(before.at), before.how), fmt.Sprintf("at %s %s", moment(u.at), u.how),
		}})
	}
	for i := range terms {
		t := &terms[i]
		use(t.epoch, user{t.node, t.began, t.node + " announced that it leads"})
	}
	for _, v := range r.evaluationsByTime() {
		use(v.Epoch, user{v.By, v.At, fmt.Sprintf("%s evaluated window %s of alert %d", v.By, moment(v.Window), v.Alert)})
	}
	return list
}

// evaluationsByTime are the evaluations in the order in which they were made.
func (r *run) evaluationsByTime() []evidence.Evaluation {
	list := slices.Clone(r.e.Evaluations)
	slices.SortStableFunc(list, func(a, b evidence.Evaluation) int { return cmp.Compare(a.At, b.At) })
	return list
}

// fallingEpochs finds evaluations that were effective although a later leader had evaluated before. Workers' clocks may differ
// a little.
func (r *run) fallingEpochs() []Finding {
	var f *Finding
	var high, older evidence.Evaluation // the first of the highest epoch that is older than the slack, and of all
	pending := []evidence.Evaluation{}
	any := false
	for _, v := range r.evaluationsByTime() {
		for len(pending) > 0 && pending[0].At+2*clockSlack < v.At {
			if older = pending[0]; !any || older.Epoch > high.Epoch {
				high, any = older, true
			}
			pending = pending[1:]
		}
		pending = append(pending, v)
		if !any || v.Epoch >= high.Epoch {
			continue
		}
		line := fmt.Sprintf("seed %d: %s evaluated window %s of alert %d at %s as epoch %d; %s had done so as epoch %d at %s", r.e.Run.Seed, v.By, moment(v.Window), v.Alert, moment(v.At), v.Epoch, high.By, high.Epoch, moment(high.At))
		if f == nil {
			f = &Finding{Verdict: Fail, At: v.At, Title: fmt.Sprintf("%s was effective as epoch %d after %s had been as epoch %d", v.By, v.Epoch, high.By, high.Epoch)}
		}
		if f.Count++; len(f.Evidence) < MaxExamples {
			f.Evidence = append(f.Evidence, line)
		}
	}
	if f == nil {
		return nil
	}
	return []Finding{*f}
}

// twoLeaders finds terms that no single lock explains.
func (r *run) twoLeaders(terms []term) []Finding {
	if exclusive(terms) {
		return nil
	}
	// The shortest beginning that cannot be explained ends with the term that should not have begun.
	n := 1 + sort.Search(len(terms)-1, func(k int) bool { return !exclusive(terms[:k+1]) })
	last := &terms[n-1]
	f := Finding{Verdict: Fail, At: last.began, Count: 1, Title: fmt.Sprintf("%s leads as epoch %d while another leads", last.node, last.epoch)}
	f.Evidence = append(f.Evidence, fmt.Sprintf("seed %d: %s", r.e.Run.Seed, last.String()))
	for i := range terms[:n-1] {
		t := &terms[i]
		if t.epoch >= last.epoch {
			f.Title = fmt.Sprintf("%s leads as epoch %d, which is not above epoch %d of %s before", last.node, last.epoch, t.epoch, t.node)
		}
		if t.epoch >= last.epoch || t.loose > last.began {
			f.Evidence = append(f.Evidence, t.String())
		}
	}
	f.Evidence = append(f.Evidence, fmt.Sprintf("a holder has to notice within its session timeout (%s) that the lock is lost, unless it is frozen", r.plan.System.Trigger.SessionTimeout))
	return []Finding{f}
}
