package check

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// minCovers is how many answers that cover everything are needed to speak of freshness.
const minCovers = 3

// sight is how well the freshness of a dataset's events could be seen.
type sight struct {
	dataset string
	spans   []interval // in which a late event would have shown
	read    bool       // some reader asks for everything
	due     int64      // how often that was asked in the spans, or was to be by the plan
	told    int64      // of these, answered with everything
	excused int64      // of these, without such an answer under a fault that excuses it
}

// needed is how many answers over everything are enough: as many as ever, or half of those that could have come.
func (s *sight) needed() int64 { return max(1, min(minCovers, (s.due+1)/2)) }

// judged says whether enough is known of the dataset.
func (s *sight) judged() bool { return s.told >= s.needed() }

// unknown says whether too little is known of the dataset although it was there to be asked about for long enough. Of one that could be asked about
// once or twice only, nobody can expect an answer at a time when a fault kept it from all.
func (s *sight) unknown() bool { return !s.judged() && (s.due >= minCovers || s.excused < s.due) }

func (s *sight) sees(at time.Duration) bool {
	return slices.ContainsFunc(s.spans, func(x interval) bool { return x.from <= at && at < x.to })
}

// sights are those of all datasets with accepted events, by name. An answer tells of freshness if it could have shown that an event is late: one
// that was accepted at least the bound before, and not forgotten since, outside of warm-up and before the load's end. What is asked in the end, when
// all has settled, tells nothing of when events became visible.
func (r *run) sights(within time.Duration) []sight {
	if r.ask.broken != "" {
		return nil
	}
	sets := map[string]*sight{}
	list := r.spansOf(within)
	for i := range list {
		sets[list[i].dataset] = &list[i]
	}
	asked := map[string]int64{}
	for i := range r.e.Queries {
		q := &r.e.Queries[i]
		at := q.Sent
		if at < 0 {
			at = q.Intended
		}
		s := sets[q.Dataset]
		if s == nil || q.Shape != plan.QueryCover || !s.sees(at) || r.ask.outcomes[i] == early {
			continue
		}
		s.read = true
		asked[q.Dataset]++
		if !whole(q) && r.excused(at, max(at, q.Done)) {
			s.excused++
		}
	}
	for _, c := range r.ask.covers {
		q := &r.e.Queries[c.query]
		if s := sets[q.Dataset]; s != nil && s.sees(q.Sent) {
			s.told++
		}
	}
	for i := range list {
		list[i].due = max(list[i].due, asked[list[i].dataset])
	}
	return list
}

// spansOf are the datasets with accepted events, with the spans in which a late one would have shown, and how often readers were to come there.
func (r *run) spansOf(within time.Duration) []sight {
	type life struct{ after, first time.Duration } // the first event that was accepted after a moment up to which all are forgotten
	type set struct {
		traffic int
		lives   []life
	}
	sets := map[string]*set{}
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		s := sets[o.Dataset]
		earlier := func(l life) bool { return o.Done > l.after && (l.first == None || o.Done < l.first) }
		if o.Done < 0 || s != nil && !slices.ContainsFunc(s.lives, earlier) {
			continue
		}
		accepted := false
		eachPart(o, func(_, _ uint64, out outcome, _ *evidence.Part) { accepted = accepted || out == wasAccepted })
		if !accepted {
			continue
		}
		if s == nil {
			s = &set{o.Traffic, []life{{None, None}}}
			for _, at := range r.recreations(o.Dataset) {
				s.lives = append(s.lives, life{at + around, None})
			}
			slices.SortFunc(s.lives, func(a, b life) int { return cmp.Compare(a.after, b.after) })
			sets[o.Dataset] = s
		}
		for k := range s.lives {
			if l := &s.lives[k]; earlier(*l) {
				l.first = o.Done
			}
		}
	}
	var list []sight
	judged := r.judgedSpans()
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		s, set := sight{dataset: name}, sets[name]
		for k, l := range set.lives {
			ends := forever
			if k+1 < len(set.lives) {
				ends = set.lives[k+1].after - 2*around
			}
			for _, x := range judged {
				if from, to := max(l.first+within, x.from), min(ends, x.to); l.first != None && from < to {
					s.spans = append(s.spans, interval{from, to})
				}
			}
		}
		r.schedule(&s, set.traffic)
		list = append(list, s)
	}
	return list
}

// schedule finds how often the plan's readers were to ask for everything of a dataset of a traffic: each asks each shape of one dataset after the
// other.
func (r *run) schedule(s *sight, traffic int) {
	if traffic < 0 || traffic >= len(r.plan.Traffic) {
		return
	}
	t := &r.plan.Traffic[traffic]
	for i := range r.plan.Readers {
		reader := &r.plan.Readers[i]
		round := time.Duration(reader.Every) * time.Duration(len(reader.Shapes)) * time.Duration(t.Datasets)
		if reader.Traffic != t.Name || !slices.Contains(reader.Shapes, plan.QueryCover) || round <= 0 {
			continue
		}
		s.read = true
		for _, x := range s.spans {
			s.due += int64(max(0, x.to-x.from-clockSlack) / round)
		}
	}
}

// judgedSpans are the stretches of the load that are judged: all but warm-up.
func (r *run) judgedSpans() []interval {
	var list []interval
	for i := range r.phases {
		p := &r.phases[i]
		if !p.ran || p.Stage == plan.Warmup {
			continue
		}
		if n := len(list); n > 0 && list[n-1].to == p.begin {
			list[n-1].to = p.end
			continue
		}
		list = append(list, interval{p.begin, p.end})
	}
	return list
}

// unknownSets is what is wrong with the evidence where too little is known of some datasets.
func unknownSets(sights []sight) []Finding {
	f := Finding{Verdict: Inconclusive, At: None}
	for i := range sights {
		s := &sights[i]
		if !s.unknown() {
			continue
		}
		line := fmt.Sprintf("dataset %s: %s of %s for everything counted everything, and at least %d are needed", s.dataset, number(s.told), plural(s.due, "query", "queries"), s.needed())
		if f.Count++; f.Count == 1 {
			f.Title = line
		}
		if len(f.Evidence) < MaxExamples {
			f.Evidence = append(f.Evidence, line)
		}
	}
	if f.Count == 0 {
		return nil
	}
	if f.Count > 1 {
		f.Title += fmt.Sprintf(" (and %s)", plural(f.Count-1, "more dataset"))
	}
	return []Finding{f}
}

// unjudgedSets says of which datasets freshness is not known, and why that is so by the plan or by a fault; "" if there are none.
func unjudgedSets(sights []sight) string {
	const unread, seldom, kept = "no reader asks for everything", "no reader came to ask for everything in time", "a fault kept the answer"
	names := map[string][]string{}
	judged := 0
	for i := range sights {
		s := &sights[i]
		switch {
		case s.judged():
			judged++
		case !s.read:
			names[unread] = append(names[unread], s.dataset)
		case s.due == 0:
			names[seldom] = append(names[seldom], s.dataset)
		default:
			names[kept] = append(names[kept], s.dataset)
		}
	}
	if len(names) == 0 {
		return ""
	}
	text := fmt.Sprintf("known of %s of %s", number(judged), plural(int64(len(sights)), "dataset"))
	for _, why := range []string{unread, seldom, kept} {
		if list := names[why]; len(list) > 0 {
			text += fmt.Sprintf("; %s of %s", why, someOf(list))
		}
	}
	return text
}

// someOf names the first few.
func someOf(list []string) string {
	const few = 3
	if len(list) <= few {
		return join(list)
	}
	return fmt.Sprintf("%s and %s more", strings.Join(list[:few], ", "), number(len(list)-few))
}

// excused says whether a fault was active or being recovered from in a stretch, and had struck by the time until which it can have done harm.
func (r *run) excused(from, until time.Duration) bool {
	slack := time.Duration(0) // by which an injection may have struck before it is noted
	if r.e.Run.World != plan.WorldSim {
		slack = noted
	}
	return slices.ContainsFunc(r.faults, func(f FaultSpan) bool {
		return f.Injected != None && f.Injected <= until+slack && (from <= f.Over || f.Over == None)
	})
}

// blindStretches are those longer than the bound in which a dataset was asked about, and no answer counted everything: all were partial, or
// there was none. That may be so under a fault, and the service level of queries counts it; without one, or where it is still so when the load
// ends, nobody knows when events became visible.
func (r *run) blindStretches(within time.Duration) []Finding {
	type stretch struct {
		from, to         time.Duration
		until            time.Duration // when the first was answered, or was sent if it was not
		partial, without int64         // answers, and queries without one
		why              string        // the first of those says
	}
	var found []Finding
	open := map[string]*stretch{}
	end := func(dataset string, s *stretch, last bool) {
		if s.partial+s.without < minCovers || s.to-s.from <= within || !last && r.excused(s.from, s.until) {
			return
		}
		f := Finding{Verdict: Inconclusive, At: s.from, Count: s.partial + s.without}
		f.Title = fmt.Sprintf("for %s no answer counted everything (%s partial, %s without a result), so when events became visible is not known", short(s.to-s.from), number(s.partial), plural(s.without, "query", "queries"))
		f.Evidence = []string{fmt.Sprintf("dataset %s, from %s to %s", dataset, moment(s.from), moment(s.to))}
		if s.why != "" {
			f.Evidence = append(f.Evidence, "the first query without a result says: "+s.why)
		}
		r.place(&f)
		found = append(found, f)
	}
	for _, i := range r.ask.covering {
		q := &r.e.Queries[i]
		if r.loadEnded != None && q.Sent > r.loadEnded {
			break // in the end all is asked once more, and settled
		}
		if ph := r.phaseAt(q.Sent); ph >= 0 && r.phases[ph].Stage == plan.Warmup {
			continue
		}
		s := open[q.Dataset]
		if whole(q) {
			if s != nil {
				s.to = q.Sent
				end(q.Dataset, s, false)
				delete(open, q.Dataset)
			}
			continue
		}
		if s == nil {
			s = &stretch{from: q.Sent, until: max(q.Sent, q.Done)}
			open[q.Dataset] = s
		}
		s.to = q.Sent
		if q.Code == http.StatusOK && q.Result != nil {
			s.partial++
		} else if s.without++; s.without == 1 {
			s.why = q.Error
		}
	}
	for _, dataset := range slices.Sorted(maps.Keys(open)) {
		end(dataset, open[dataset], true)
	}
	return found
}
