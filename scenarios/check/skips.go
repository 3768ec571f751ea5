package check

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

var skipPattern = regexp.MustCompile(`^offset (\d{1,18}): `)

// skips are the records that readers said to have passed over: offset → who.
type skips struct {
	by map[offsetOf][]string
	at map[offsetOf]time.Duration // the first time
}

func (r *run) announcedSkips() skips {
	s := skips{by: map[offsetOf][]string{}, at: map[offsetOf]time.Duration{}}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		if e.Kind != evidence.Announced || e.Event != port.EventRecordSkipped || e.Topic != system.EventsTopic {
			continue
		}
		m := skipPattern.FindStringSubmatch(e.Detail)
		if m == nil {
			continue
		}
		offset, _ := strconv.ParseInt(m[1], 10, 64)
		where := offsetOf{e.Part, offset}
		if !slices.Contains(s.by[where], e.Node) {
			s.by[where] = append(s.by[where], e.Node)
		}
		if _, again := s.at[where]; !again {
			s.at[where] = e.At
		}
	}
	return s
}

// beganOnce says whether a node was one process that read its log without a break: what lies in its partition it has read itself.
func (r *run) beganOnce() func(node string) bool {
	broken := map[string]bool{}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		if e.At < 0 || e.Kind != evidence.Announced {
			continue
		}
		switch e.Event {
		case port.EventNodeStarted, port.EventNodeStopped, port.EventRecovered, port.EventBootstrapped, port.EventDiskCorrupt, port.EventOffsetReset:
			broken[e.Node] = true
		}
	}
	for i := range r.faults {
		broken[r.faults[i].Node] = true
	}
	return func(node string) bool { return !broken[node] }
}

// judgeSkips: whoever passes over a record that cannot be decoded says so, and nobody passes over another.
func (r *run) judgeSkips() Result {
	var res Result
	told := r.announcedSkips()
	once := r.beganOnce()
	counted := map[int32]int64{} // where counting was at last
	for _, p := range r.e.Progress {
		counted[p.Partition] = p.Next
	}
	fail := func(title string, at time.Duration, line string) {
		i := slices.IndexFunc(res.Findings, func(f Finding) bool { return f.Title == title })
		if i < 0 {
			i = len(res.Findings)
			res.Findings = append(res.Findings, Finding{Verdict: Fail, At: at, Title: title})
			r.place(&res.Findings[i])
		}
		f := &res.Findings[i]
		if f.Count++; len(f.Evidence) < MaxExamples {
			f.Evidence = append(f.Evidence, line)
		}
	}
	silent := func(poison *evidence.Entry, who, how string) {
		fail("a record that cannot be decoded was passed over in silence by "+who, poison.At,
			fmt.Sprintf("partition %d, offset %d (%s): %s", poison.Part, poison.Offset, poison.Detail, how))
	}
	bad, hostile := 0, map[offsetOf]bool{}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		if e.Kind != evidence.Poisoned || e.Topic != system.EventsTopic {
			continue
		}
		where := offsetOf{e.Part, e.Offset}
		if strings.HasPrefix(e.Detail, string(system.PoisonHostile)+"/") {
			hostile[where] = true
			continue
		}
		if len(r.logIndex.at(e.Part, e.Offset)) == 0 {
			continue // Kafka had it and has it no more
		}
		bad++
		by := told.by[where]
		followers := r.plan.System.Retrievers(e.Part)
		for _, name := range followers {
			if r.drained && once(name) && !slices.Contains(by, name) {
				silent(e, name, name+" read on without a break, and announced nothing")
			}
		}
		if r.drained && !slices.ContainsFunc(followers, func(name string) bool { return slices.Contains(by, name) || once(name) }) {
			silent(e, "retrievers", "all of "+strings.Join(followers, " and ")+" have reached the log's end, and none of them announced it")
		}
		counter := func(name string) bool { return strings.HasPrefix(name, string(system.RoleBeagle)) }
		if r.plan.System.Beagles > 0 && counted[e.Part] > e.Offset && !slices.ContainsFunc(by, counter) {
			silent(e, "beagle workers", fmt.Sprintf("counting has reached offset %d, and no worker announced it", counted[e.Part]))
		}
	}
	for _, where := range slices.SortedFunc(maps.Keys(told.by), func(a, b offsetOf) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	}) {
		log := r.logIndex.at(where.partition, where.offset)
		readable := hostile[where] || len(log) > 0 && !r.poisoned[where] && !slices.ContainsFunc(log, func(m evidence.LogMark) bool { return m.State != evidence.Intact })
		if !readable {
			continue
		}
		fail("a record that can be decoded was passed over by "+strings.Join(told.by[where], " and "), told.at[where], fmt.Sprintf("partition %d, offset %d", where.partition, where.offset))
	}
	res.Numbers = []Number{{"poisoned", float64(bad), "records"}, {"announced", float64(len(told.by)), "records"}}
	switch {
	case r.logMissing != "":
		res.Findings, res.Summary = nil, "what is in the log is not known: "+r.logMissing
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
	case !r.drained:
		res.Summary = "the retrievers did not reach the end of the log"
	case bad == 0:
		res.Summary = "no record that cannot be decoded is in the log"
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("each of %s that cannot be decoded was announced by those who passed it over, and none else", plural(int64(bad), "record"))
	}
	return res
}

// poisons says whether records that cannot be decoded were to be put into the log.
func (r *run) poisons() bool {
	return len(r.poisoned) > 0 || slices.ContainsFunc(r.plan.Phases, func(ph plan.Phase) bool {
		return slices.ContainsFunc(ph.Faults, func(f plan.Fault) bool { return f.Kind == system.FaultPoison })
	})
}
