package check

import (
	"fmt"
	"math"

	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// judgeZones: the retrievers of one partition were never in one zone.
func (r *run) judgeZones() Result {
	var res Result
	t := &r.plan.System
	switch {
	case t.Replicas < 2:
		res.Summary = "the topology has no pairs: one retriever follows each partition"
		return res
	case t.Zones < 2:
		res.Summary = fmt.Sprintf("the topology has %s, so a pair cannot be apart", plural(int64(t.Zones), "zone"))
		return res
	case len(r.e.Places) == 0:
		res.Summary = "where the retrievers run was not asked"
		return res
	}
	type seat struct {
		zone    string
		claimed bool
	}
	seats := map[int32]map[string]seat{} // by partition and retriever: where it was last seen
	told := map[string]bool{}
	for _, x := range r.e.Places {
		if seats[x.Partition] == nil {
			seats[x.Partition] = map[string]seat{}
		}
		seats[x.Partition][x.Retriever] = seat{x.Zone, x.Claimed}
		for _, other := range t.Retrievers(x.Partition) {
			o, ok := seats[x.Partition][other]
			id := fmt.Sprint(x.Partition, x.Zone)
			if other == x.Retriever || !ok || o.zone != x.Zone || x.Zone == "" || told[id] {
				continue
			}
			told[id] = true
			f := Finding{Verdict: Fail, Title: fmt.Sprintf("partition %d: %s and %s are both in zone %s", x.Partition, other, x.Retriever, x.Zone), At: x.At, Count: 1}
			f.Evidence = []string{
				fmt.Sprintf("%s %s the partition, %s %s", other, claims(o.claimed), x.Retriever, claims(x.Claimed)),
				"when the zone is lost, the partition has no retriever left",
			}
			r.place(&f)
			res.Findings = append(res.Findings, f)
		}
	}
	unseen, nameless := 0, 0
	for p := range t.Kafka.Partitions {
		for _, name := range t.Retrievers(p) {
			switch s, ok := seats[p][name]; {
			case !ok:
				unseen++
			case s.zone == "":
				nameless++
			}
		}
	}
	res.Numbers = []Number{{"places seen", float64(len(r.e.Places)), "places"}, {"retrievers never seen", float64(unseen), "retrievers"}}
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := len(res.Findings) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(int64(more), "more pair"))
		}
	case unseen > 0:
		res.Summary = plural(int64(unseen), "retriever was never seen", "retrievers were never seen") + ", so where they run is not known"
	case nameless > 0:
		res.Summary = plural(int64(nameless), "retriever does not say", "retrievers do not say") + " in which zone they run"
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("each of %s is in two zones, whenever it was looked at", plural(int64(t.Kafka.Partitions), "pair"))
	}
	return res
}

func claims(yes bool) string {
	if yes {
		return "has claimed"
	}
	return "has not claimed"
}

// judgeMemory: no role ever used more than its configured bound.
func (r *run) judgeMemory() Result {
	var res Result
	blank := ""
	var worst float64
	for _, m := range []struct{ metric, who string }{
		{evidence.InFlightShare, "a shepherd"}, {evidence.RetrieverMemory, "a retriever"},
	} {
		peak, at, last := math.Inf(-1), None, None
		for _, s := range r.samples {
			if v, ok := s.Values[m.metric]; ok {
				last = s.At
				if v > peak {
					peak, at = v, s.At
				}
			}
		}
		switch end := r.loadEnd(); {
		case last == None:
			blank = m.metric + " was not measured"
			continue
		case last+gapMax < end:
			blank = fmt.Sprintf("%s was not measured after %s, and the load ended at %s", m.metric, short(last), short(end))
		}
		res.Numbers = append(res.Numbers, Number{m.metric + ", peak", peak, "ratio"})
		worst = max(worst, peak)
		if peak > 1 {
			f := Finding{Verdict: Fail, Title: fmt.Sprintf("%s was %s", m.metric, percent(peak)), At: at, Count: 1}
			f.Evidence = []string{fmt.Sprintf("at %s %s used more of its memory than its configuration allows", moment(at), m.who)}
			r.place(&f)
			res.Findings = append(res.Findings, f)
		}
	}
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
	case r.samplesMissing != "":
		res.Summary = "what was sampled is not whole: " + r.samplesMissing
	case blank != "":
		res.Summary = "no data: " + blank
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("every role stayed within its bounds; at the most %s of one was used", percent(worst))
	}
	return res
}
