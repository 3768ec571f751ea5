package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// judgeCommitted: no manifest was ever ahead of what is durable: all that it names was there, it reached no further than its
// writer and Kafka's log, generations only went forward, and in the end S3 has every event below it.
func (r *run) judgeCommitted() Result {
	var res Result
	list := slices.Clone(r.e.Commits)
	slices.SortStableFunc(list, func(a, b commit) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Generation, b.Generation))
	})
	fail := func(c *commit, count int64, title string, lines ...string) *Finding {
		f := Finding{Verdict: Fail, Title: fmt.Sprintf("partition %d, generation %d by %s: %s", c.Partition, c.Generation, c.Writer, title), At: c.At, Count: count, Evidence: lines}
		r.place(&f)
		res.Findings = append(res.Findings, f)
		return &res.Findings[len(res.Findings)-1]
	}
	asked := 0
	for i := range list {
		c := &list[i]
		if n := int64(len(c.Absent)); n > 0 {
			fail(c, n, "the manifest names "+plural(n, "object")+" that "+cond(n == 1, "is", "are")+" not there, or not as it says", c.Absent[:min(len(c.Absent), MaxExamples)]...)
		}
		if c.Durable >= 0 {
			asked++
			if c.Next > c.Durable {
				fail(c, c.Next-c.Durable, fmt.Sprintf("the manifest reaches to offset %d, and its writer held durably up to %d", c.Next, c.Durable))
			}
		}
		if end := r.logIndex.end(c.Partition); r.logMissing == "" && c.Next > end {
			fail(c, c.Next-end, fmt.Sprintf("the manifest reaches to offset %d, and the final log ends at %d", c.Next, end))
		}
		if i == 0 || list[i-1].Partition != c.Partition {
			continue
		}
		switch before := &list[i-1]; {
		case before.Generation == c.Generation && (before.Next != c.Next || before.Writer != c.Writer):
			fail(c, 1, "there were two manifests of this generation", fmt.Sprintf("by %s to offset %d at %s, by %s to offset %d at %s", before.Writer, before.Next, moment(before.At), c.Writer, c.Next, moment(c.At)))
		case before.Next > c.Next:
			fail(c, before.Next-c.Next, fmt.Sprintf("the manifest reaches to offset %d, and the one before it reached to %d", c.Next, before.Next), fmt.Sprintf("the one before: generation %d by %s at %s", before.Generation, before.Writer, moment(before.At)))
		}
	}
	// In the order in which they were seen, too: what was replaced by something older is gone.
	latest := map[int32]*commit{}
	for i := range r.e.Commits {
		c := &r.e.Commits[i]
		if before := latest[c.Partition]; before != nil && c.Generation < before.Generation {
			fail(c, 1, fmt.Sprintf("an older manifest took the place of generation %d by %s", before.Generation, before.Writer), fmt.Sprintf("that one reached to offset %d and was seen at %s, this one reaches to %d and was seen at %s", before.Next, moment(before.At), c.Next, moment(c.At)))
		}
		latest[c.Partition] = c
	}
	covered := int64(0)
	bare := []string{}
	if r.store.missing == "" && r.logMissing == "" && r.opsMissing == "" {
		covered, bare = r.coveredByS3(fail)
	}
	if r.store.missing == "" && r.logMissing == "" {
		r.idleAndNotStored(&res)
	}
	res.Numbers = []Number{
		{"manifests seen", float64(len(list)), "manifests"}, {"asked of their writers", float64(asked), "manifests"}, {"events below the last manifests", float64(covered), "events"},
		{"partitions without a manifest", float64(len(bare)), "partitions"},
	}
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := int64(len(res.Findings)) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(more, "more finding"))
		}
	case r.store.missing != "":
		res.Summary = "what S3 holds is not known: " + r.store.missing
	case r.logMissing != "":
		res.Summary = "the log could not be read back: " + r.logMissing
	case r.opsMissing != "":
		res.Summary = "the history is not whole: " + r.opsMissing
	case len(list) == 0:
		res.Summary = "no manifest was seen, so nothing was committed"
	case asked == 0:
		res.Summary = "no writer of a manifest said what it held durably, so whether one was committed too early is not known"
	case covered == 0:
		res.Summary = "no event lies below the last manifests, so there was nothing that S3 had to hold"
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s, none ahead of what is durable; S3 holds all %s events below the last ones", plural(int64(len(list)), "manifest"), number(covered))
		if len(bare) > 0 {
			res.Summary += "; partitions without one: " + join(bare)
		}
	}
	return res
}

// idleAndNotStored: where retrievers are to seal what is idle, S3 has every event in the end, for the run waits for that.
func (r *run) idleAndNotStored(res *Result) {
	c := &r.plan.System.Retriever
	permanent := slices.ContainsFunc(r.faults, func(f FaultSpan) bool { return f.Permanent || f.Back == None })
	if c.SealIdle <= 0 || c.Retention > 0 || !r.drained || permanent || r.e.Run.Ended != "" {
		return
	}
	for _, p := range r.logIndex.parts {
		next, count, first := r.store.next(p), int64(0), int64(-1)
		for _, m := range r.logIndex.partition(p) {
			if m.Offset < next || m.State != evidence.Intact {
				continue
			}
			if count++; first < 0 {
				first = m.Offset
			}
		}
		if count == 0 {
			continue
		}
		res.Findings = append(res.Findings, Finding{
			Verdict: Fail, At: None, Count: count, Title: fmt.Sprintf("partition %d went idle, and %s of it never reached S3", p, plural(count, "event")),
			Evidence: []string{fmt.Sprintf("from offset %d on; the last manifest reaches to offset %d, seal_idle is %s, snapshot_every %s", first, next, c.SealIdle, c.SnapshotEvery)},
		})
	}
}

func cond(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// coveredByS3 compares the log below each partition's last manifest with what S3 holds. It returns how many events lie there,
// and which partitions have events and no manifest.
func (r *run) coveredByS3(fail func(c *commit, count int64, title string, lines ...string) *Finding) (covered int64, bare []string) {
	var seen ledger.Ledger
	for _, p := range r.logIndex.parts {
		c := r.store.final[p]
		if c == nil {
			bare = append(bare, fmt.Sprint(p))
			continue
		}
		var absent []spot
		n := int64(0)
		for _, m := range r.logIndex.partition(p) {
			if m.Offset >= c.Next {
				break
			}
			k, ok := r.prods.find(m.Producer)
			if !ok || m.State > evidence.Corrupt || !r.allowed.Has(k, m.Seq) || seen.Mark(k, m.Seq) {
				continue // other checks tell of these
			}
			covered++
			if r.store.s3.Has(k, m.Seq) {
				continue
			}
			if n++; len(absent) < MaxExamples {
				absent = append(absent, spot{event: event{m.Producer, m.Seq}, partition: p, offset: m.Offset, where: kafkasLog, state: m.State})
			}
		}
		if n == 0 {
			continue
		}
		f := fail(c, n, fmt.Sprintf("%s of the log below its next offset %d %s not in S3", plural(n, "event"), c.Next, cond(n == 1, "is", "are")))
		for _, s := range absent {
			x := r.example(s)
			x.Where += "; " + strings.TrimSpace(r.heldByText(p, s))
			f.Examples = append(f.Examples, x)
		}
	}
	return covered, bare
}

// heldByText says which retrievers hold an event locally.
func (r *run) heldByText(p int32, s spot) string {
	k, _ := r.prods.find(s.producer)
	var list []string
	for i, name := range r.plan.System.Retrievers(p) {
		if i < len(r.store.local) && r.store.local[i].Has(k, s.seq) {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return "no retriever holds it"
	}
	return "held locally by " + strings.Join(list, " and ")
}
