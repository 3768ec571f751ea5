package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/port"
)

// offsets are the Kafka offsets First to Next-1.
type offsets struct{ first, next int64 }

// compared is what comparing the pair of one partition gave.
type compared struct {
	ranges  int64 // ranges with equal bounds, whose sums were compared
	offsets int64 // offsets that were compared, by sums or event by event
	marks   int64 // held events that were compared one by one
}

// judgePairs: wherever both of a pair hold an offset, they have stored the same.
func (r *run) judgePairs() Result {
	var res Result
	t := &r.plan.System
	if t.Replicas < 2 {
		res.Summary = "the topology has no pairs: one retriever follows each partition"
		return res
	}
	missing := r.heldMissing
	for _, g := range r.e.Gaps {
		if g.What == "pairs" {
			missing = g.Why
		}
	}
	var total compared
	blank := 0
	for p := range t.Kafka.Partitions {
		names := t.Retrievers(p)
		for k := 1; k < len(names); k++ {
			c, findings := r.comparePair(p, names[0], names[k])
			total.ranges, total.offsets, total.marks = total.ranges+c.ranges, total.offsets+c.offsets, total.marks+c.marks
			res.Findings = append(res.Findings, findings...)
			if c.offsets == 0 && r.logIndex.end(p) > r.store.next(p) {
				blank++
				if missing == "" {
					res.Findings = append(res.Findings, Finding{
						Verdict: Inconclusive, Title: fmt.Sprintf("partition %d: nothing that both %s and %s hold", p, names[0], names[k]), At: None, Count: 1,
						Evidence: []string{r.rangesText(names[0]), r.rangesText(names[k]), fmt.Sprintf("the log ends at offset %d, and the manifest reaches to %d", r.logIndex.end(p), r.store.next(p))},
					})
				}
			}
		}
	}
	// A retriever that finds other rows in the manifest than it has begins again from the manifest, so the end looks well.
	for i := range r.e.Timeline {
		if x := &r.e.Timeline[i]; x.Kind == evidence.Announced && x.Event == port.EventSealsDisagree {
			f := Finding{Verdict: Fail, Title: fmt.Sprintf("%s found other rows in the manifest than it had stored itself", x.Node), At: x.At, Count: 1, Evidence: []string{x.Detail}}
			r.place(&f)
			res.Findings = append(res.Findings, f)
		}
	}
	res.Numbers = []Number{
		{"offsets compared", float64(total.offsets), "offsets"}, {"ranges compared by sum", float64(total.ranges), "ranges"}, {"events compared one by one", float64(total.marks), "events"},
	}
	failed := slices.IndexFunc(res.Findings, func(f Finding) bool { return f.Verdict == Fail })
	switch {
	case failed >= 0:
		res.Verdict, res.Summary = Fail, res.Findings[failed].Title
	case missing != "":
		res.Summary = "what the retrievers hold is not known: " + missing
	case total.offsets == 0:
		res.Summary = "no offset is held by both of any pair, so nothing could be compared"
	case blank > 0:
		res.Summary = fmt.Sprintf("of %s nothing could be compared", plural(int64(blank), "pair"))
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("both of each pair have stored the same at %s: %s by their sums, %s one by one", plural(total.offsets, "offset"), plural(total.ranges, "range"), plural(total.marks, "event"))
	}
	return res
}

func (r *run) rangesOf(name string) []evidence.PairRange {
	var list []evidence.PairRange
	for _, p := range r.e.Pairs {
		if p.Retriever == name && p.Next > p.First {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b evidence.PairRange) int { return cmp.Compare(a.First, b.First) })
	return list
}

func (r *run) rangesText(name string) string {
	list := r.rangesOf(name)
	if len(list) == 0 {
		return name + " says that it holds nothing"
	}
	return fmt.Sprintf("%s holds offsets %d to %d in %s", name, list[0].First, list[len(list)-1].Next-1, plural(int64(len(list)), "range"))
}

// comparePair compares two retrievers: by their sums where their ranges have equal bounds, and event by event where they overlap otherwise.
func (r *run) comparePair(p int32, a, b string) (c compared, findings []Finding) {
	left, right := r.rangesOf(a), r.rangesOf(b)
	var odd []offsets // overlaps of other bounds
	i, k := 0, 0
	for i < len(left) && k < len(right) {
		x, y := &left[i], &right[k]
		if x.First == y.First && x.Next == y.Next {
			c.ranges++
			c.offsets += x.Next - x.First
			if x.Rows != y.Rows || x.Sum != y.Sum {
				findings = append(findings, r.rangeFinding(p, x, y))
			}
			i, k = i+1, k+1
			continue
		}
		if o := (offsets{max(x.First, y.First), min(x.Next, y.Next)}); o.next > o.first {
			odd = append(odd, o)
			c.offsets += o.next - o.first
		}
		if x.Next <= y.Next {
			i++
		}
		if y.Next <= x.Next {
			k++
		}
	}
	for _, o := range odd {
		x, y := r.heldIn(a, o), r.heldIn(b, o)
		c.marks += int64(max(len(x), len(y)))
		if f := r.marksFinding(p, a, b, o, x, y); f != nil {
			findings = append(findings, *f)
		}
	}
	return c, findings
}

// heldIn are the marks of one retriever in some offsets, in an order of their own.
func (r *run) heldIn(name string, o offsets) []evidence.HeldMark {
	var list []evidence.HeldMark
	for _, m := range r.e.Held {
		if m.Retriever == name && m.Offset >= o.first && m.Offset < o.next {
			m.Retriever = ""
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b evidence.HeldMark) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Producer, b.Producer), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.State, b.State))
	})
	return list
}

// differ is what only one of two sorted lists of marks has.
func differ(x, y []evidence.HeldMark) (onlyX, onlyY []evidence.HeldMark) {
	key := func(a, b *evidence.HeldMark) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Producer, b.Producer), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.State, b.State))
	}
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && key(&x[0], &y[0]) < 0:
			onlyX, x = append(onlyX, x[0]), x[1:]
		case len(x) == 0 || key(&y[0], &x[0]) < 0:
			onlyY, y = append(onlyY, y[0]), y[1:]
		default:
			x, y = x[1:], y[1:]
		}
	}
	return onlyX, onlyY
}

func (r *run) rangeFinding(p int32, x, y *evidence.PairRange) Finding {
	f := Finding{Verdict: Fail, At: None, Count: 1, Title: fmt.Sprintf("partition %d, offsets %d to %d: %s and %s have not stored the same", p, x.First, x.Next-1, x.Retriever, y.Retriever)}
	for _, side := range []*evidence.PairRange{x, y} {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s, sum %016x", side.Retriever, plural(side.Rows, "row"), side.Sum))
	}
	r.addDifference(&f, p, x.Retriever, y.Retriever, offsets{x.First, x.Next})
	if len(f.Examples) == 0 {
		f.Evidence = append(f.Evidence, "both hold the same events there by their identity and checksum, so the stored bytes differ in something else")
	}
	return f
}

func (r *run) marksFinding(p int32, a, b string, o offsets, x, y []evidence.HeldMark) *Finding {
	if slices.Equal(x, y) {
		return nil
	}
	f := Finding{Verdict: Fail, At: None, Count: 1, Title: fmt.Sprintf("partition %d, offsets %d to %d: %s and %s do not hold the same events", p, o.first, o.next-1, a, b)}
	r.addDifference(&f, p, a, b, o)
	return &f
}

// addDifference adds what only one of two retrievers holds, with examples.
func (r *run) addDifference(f *Finding, p int32, a, b string, o offsets) {
	onlyA, onlyB := differ(r.heldIn(a, o), r.heldIn(b, o))
	for _, side := range []struct {
		name string
		list []evidence.HeldMark
	}{{a, onlyA}, {b, onlyB}} {
		if len(side.list) == 0 {
			continue
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("only %s holds %s, the first at offset %d", side.name, plural(int64(len(side.list)), "of these events", "of these events"), side.list[0].Offset))
		for _, m := range side.list[:min(len(side.list), MaxExamples/2)] {
			x := r.example(spot{event: event{m.Producer, m.Seq}, partition: p, offset: m.Offset, where: side.name, state: m.State})
			x.Where = "only " + x.Where
			f.Examples = append(f.Examples, x)
		}
	}
	f.Count = max(1, int64(len(onlyA)+len(onlyB)))
	r.placeByExamples(f)
}
