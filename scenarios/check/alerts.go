package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/definition"
)

const (
	// deliveredWithin is how long after a window's end its alert has to be delivered, where the plan does not say it.
	deliveredWithin = 30 * time.Second
	// staleShare is how many of the windows during faults may be stale.
	staleShare = 0.5
)

// AlertStats is one alert of one dataset over the run.
type AlertStats struct {
	Alert     int64  `json:"alert"`
	Name      string `json:"name"`
	Dataset   string `json:"dataset"`
	Windows   int64  `json:"windows"` // that had to be evaluated
	Evaluated int64  `json:"evaluated"`
	Stale     int64  `json:"stale"`  // of the evaluated
	Missed    int64  `json:"missed"` // of the windows
	Late      int64  `json:"late"`   // evaluated after their bound
	Fired     int64  `json:"fired"`
	Resolved  int64  `json:"resolved"`
	Delivered int64  `json:"delivered"` // of those that fired or resolved
	// Duplicates are further deliveries of what was delivered before: at least once is what is promised.
	Duplicates int64 `json:"duplicates"`
	// Latency is from a window's end to the first delivery; its Events are deliveries.
	Latency Latency `json:"latency"`
}

// kinds of notices.
const (
	noticeFires    = "fires"
	noticeResolves = "resolves"
)

// noticeKey names a notice.
type noticeKey struct {
	alert  int64
	window time.Duration // on the run's clock
	kind   string
}

func (k noticeKey) String() string {
	return fmt.Sprintf("alert %d, window %s, %s", k.alert, moment(k.window), k.kind)
}

// alertState is an alert and what became of it.
type alertState struct {
	def         *evidence.Alert
	ask         *asking
	unjudged    string // why its condition cannot be judged; "" if it can
	gone        bool   // its dataset was recreated, so it went with its evaluations
	evaluations []*evidence.Evaluation
	truths      []verdictOfWindow // of the evaluations
	ends        []time.Duration   // of the windows that have to be evaluated
}

// alerting is what triggers had to do, and did.
type alerting struct {
	broken   string // why no condition could be compared; "" if it could
	missing  string // why the evaluations are not known; "" if they are
	states   []*alertState
	byID     map[int64]*alertState
	notices  map[noticeKey][]int // deliveries
	odd      []int               // deliveries whose key is none
	faults   []interval
	outages  []interval
	looked   time.Duration // the evaluations were read back then, or later
	compared int64         // evaluations whose condition is certain
}

// followAlerts finds the windows that had to be evaluated, what they had to come out as, and what was delivered.
func (r *run) followAlerts() {
	a := &r.alerts
	for _, g := range r.e.Gaps {
		if g.What == "evaluations" && a.missing == "" {
			a.missing = g.Why
		}
	}
	a.byID, a.notices = map[int64]*alertState{}, map[noticeKey][]int{}
	a.faults, a.outages = r.disturbances(), r.outages()
	for i := range r.e.Alerts {
		s := &alertState{def: &r.e.Alerts[i], gone: len(r.recreations(r.e.Alerts[i].Dataset)) > 0}
		var err error
		if s.ask, err = readTrigger(s.def); err != nil {
			s.ask, s.unjudged = nil, err.Error()
		}
		a.states = append(a.states, s)
		a.byID[s.def.ID] = s
	}
	for i := range r.e.Evaluations {
		v := &r.e.Evaluations[i]
		a.looked = max(a.looked, v.At)
		if s := a.byID[v.Alert]; s != nil {
			s.evaluations = append(s.evaluations, v)
		}
	}
	if n := len(r.samples); n > 0 {
		a.looked = max(a.looked, r.samples[n-1].At) // the last is taken when all has settled, before anything is read back
	}
	for i := range r.e.Progress {
		a.looked = max(a.looked, r.e.Progress[i].At)
	}
	for _, s := range a.states {
		slices.SortStableFunc(s.evaluations, func(x, y *evidence.Evaluation) int { return cmp.Compare(x.Window, y.Window) })
		s.ends = r.windowsOf(s)
	}
	for i := range r.e.Deliveries {
		key, ok := r.noticeOf(r.e.Deliveries[i].Key)
		if !ok {
			a.odd = append(a.odd, i)
			continue
		}
		a.notices[key] = append(a.notices[key], i)
	}
	if len(a.states) == 0 {
		return
	}
	truth, err := r.alertTruth(a.states)
	if err != nil {
		a.broken = err.Error()
		return
	}
	for _, s := range a.states {
		s.truths = make([]verdictOfWindow, len(s.evaluations))
		for i, v := range s.evaluations {
			if s.ask == nil || v.Stale || s.gone {
				continue
			}
			s.truths[i] = truth.window(s, v.Window, v.At)
			if s.truths[i].ok && s.truths[i].holds != perhaps {
				a.compared++
			}
		}
	}
}

// noticeOf reads an idempotence key, <alert>/<window's end in Unix nanoseconds>/<kind>.
func (r *run) noticeOf(key string) (noticeKey, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[2] != noticeFires && parts[2] != noticeResolves {
		return noticeKey{}, false
	}
	alert, err1 := strconv.ParseInt(parts[0], 10, 64)
	window, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil {
		return noticeKey{}, false
	}
	return noticeKey{alert, time.Duration(window - r.e.Run.Epoch.UnixNano()), parts[2]}, true
}

// startGrace is how long after its definition an alert's windows need not be evaluated: definitions are read now and then, and
// a leader has to be found first.
func (r *run) startGrace() time.Duration {
	t := &r.plan.System.Trigger
	return t.RefreshEvery + t.SessionTimeout + 10*time.Second
}

// takeover is how much later all may be while something fails that alerting has to survive.
func (r *run) takeover() time.Duration {
	t := &r.plan.System.Trigger
	return 2*t.SessionTimeout + t.RefreshEvery
}

// windowsOf are the ends of an alert's windows from its definition to the load's end.
func (r *run) windowsOf(s *alertState) []time.Duration {
	every := time.Duration(s.def.Trigger.Frequency) * time.Second
	if every <= 0 || s.def.Trigger.Disabled || s.gone || r.e.Run.Epoch.IsZero() {
		return nil
	}
	epoch := r.e.Run.Epoch.UnixNano()
	first := epoch + int64(max(0, s.def.Defined)+r.startGrace())
	var ends []time.Duration
	for at := (first/int64(every) + 1) * int64(every); at <= epoch+int64(r.loadEnd()) && len(ends) < plan.MaxChecks<<14; at += int64(every) {
		ends = append(ends, time.Duration(at-epoch))
	}
	return ends
}

// deadline is when a window has to be evaluated and delivered: within the bound of its end, later while a fault was active, and
// after the end of an outage. It is forever where an outage did not end.
func (a *alerting) deadline(end, within, takeover time.Duration) time.Duration {
	due := end + within
	if slices.ContainsFunc(a.faults, func(s interval) bool { return s.overlaps(end-takeover, due) }) {
		due += takeover
	}
	for again := true; again; {
		again = false
		for _, o := range a.outages {
			if !o.overlaps(end-takeover, due) {
				continue
			}
			if o.to == forever {
				return forever
			}
			if next := o.to + within + takeover; next > due {
				due, again = next, true
			}
		}
	}
	return due
}

// excused says whether a window may be stale: freely during an outage, up to a share during other faults.
func (a *alerting) excused(end, at, takeover time.Duration) (fault, outage bool) {
	over := func(s interval) bool { return s.overlaps(end-takeover, max(end, at)) }
	return slices.ContainsFunc(a.faults, over), slices.ContainsFunc(a.outages, over)
}

// sameJSON says whether two texts are the same JSON, whatever the order of its keys.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// alertStats sums up each alert; nil if there is none.
func (r *run) alertStats() []AlertStats {
	var list []AlertStats
	within := deliveredWithin
	for i := range r.plan.Checks {
		if c := &r.plan.Checks[i]; c.Name == CheckAlerts && c.Args.Within > 0 {
			within = time.Duration(c.Args.Within)
		}
	}
	for _, s := range r.alerts.states {
		x := AlertStats{Alert: s.def.ID, Name: s.def.Name, Dataset: s.def.Dataset, Evaluated: int64(len(s.evaluations))}
		j := r.alertJudge(within)
		x.Windows, x.Missed = j.windows(s)
		var latencies []uint64
		for _, v := range s.evaluations {
			if v.Stale {
				x.Stale++
			}
			if v.At > j.deadline(v.Window) {
				x.Late++
			}
			for _, kind := range noticesOf(v) {
				if kind == noticeFires {
					x.Fired++
				} else {
					x.Resolved++
				}
				if got := r.alerts.notices[noticeKey{v.Alert, v.Window, kind}]; len(got) > 0 {
					x.Delivered++
					x.Duplicates += int64(len(got)) - 1
					latencies = append(latencies, pack(r.firstOf(got)-v.Window, 1))
				}
			}
		}
		x.Latency = distribution(latencies)
		list = append(list, x)
	}
	return list
}

// noticesOf are the kinds of notices that an evaluation sends.
func noticesOf(v *evidence.Evaluation) []string {
	var kinds []string
	if v.Fires {
		kinds = append(kinds, noticeFires)
	}
	if v.Resolves {
		kinds = append(kinds, noticeResolves)
	}
	return kinds
}

// firstOf is when the first of some deliveries came.
func (r *run) firstOf(deliveries []int) time.Duration {
	first := time.Duration(math.MaxInt64)
	for _, i := range deliveries {
		first = min(first, r.e.Deliveries[i].At)
	}
	return first
}

// onChange says whether an alert is sent when its condition begins to hold, and when it no longer does.
func (s *alertState) onChange() bool { return s.def.Trigger.AlertType != definition.OnTrue }
