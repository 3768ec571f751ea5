package check

import (
	"fmt"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// unread says why nothing can be said for certain about what is stored; "" if all of the evidence is there.
func (r *run) unread(log bool) string {
	switch {
	case r.opsMissing != "":
		return "the history is not whole: " + r.opsMissing
	case r.heldMissing != "":
		return "what the retrievers hold is not known: " + r.heldMissing
	case r.store.staged && r.store.missing != "":
		return "what S3 holds is not known: " + r.store.missing
	case log && r.logMissing != "":
		return "the log could not be read back: " + r.logMissing
	case r.held.set.Len() == 0:
		return "nothing is held, so nothing can be said of it"
	}
	return ""
}

// settle gives a result without findings of failure its verdict.
func settle(res Result, unread, good string) Result {
	res.Verdict, res.Summary = Pass, good
	if unread != "" {
		res.Verdict, res.Summary = Inconclusive, unread
	}
	return res
}

// copied is an event in one place of storage.
type copied struct {
	event
	place *ledger.Ledger
}

// judgeDuplicates: nothing is held more than once in one place: by one retriever, by retrievers of several partitions, or in
// S3. That both of a pair hold an event, and S3 too, is how it should be.
func (r *run) judgeDuplicates() Result {
	n := int64(r.held.twice.Len())
	res := Result{Numbers: []Number{
		{"held more than once", float64(n), "events"}, {"surplus marks held", float64(r.held.copies), "events"}, {"surplus marks in the log", float64(r.log.copies), "events"},
	}}
	if n == 0 {
		return settle(res, r.unread(false), fmt.Sprintf("each of %s held events is held once; the log has %s, which the retrievers dropped", number(r.held.set.Len()), plural(r.log.copies, "further copy", "further copies")))
	}
	res.Verdict, res.Summary = Fail, plural(n, "event is", "events are")+" held more than once"
	copies := map[copied][]spot{}
	var examples []copied
	across := int64(0)
	for i := range r.e.Held {
		m := &r.e.Held[i]
		p, ok := r.prods.find(m.Producer)
		if !ok || m.State > evidence.Corrupt || !r.held.twice.Has(p, m.Seq) {
			continue
		}
		e := copied{event{m.Producer, m.Seq}, r.store.place(m.Retriever)}
		list, seen := copies[e]
		if seen && len(list) == 1 && len(examples) < MaxExamples {
			examples = append(examples, e)
		}
		s := spot{event: e.event, partition: m.Partition, offset: m.Offset, where: m.Retriever}
		if seen && list[0].partition != m.Partition && len(list) == 1 {
			across++
		}
		if len(list) < 3 {
			copies[e] = append(list, s)
		}
	}
	f := Finding{Verdict: Fail, Title: res.Summary, At: None, Count: n, Evidence: []string{
		fmt.Sprintf("%s of them in more than one partition, the others by one retriever", number(across)),
		fmt.Sprintf("%s beyond the first of each", plural(r.held.copies, "copy", "copies")),
	}}
	for _, e := range examples {
		x := r.example(spot{event: e.event})
		x.Where = "held at"
		for k, s := range copies[e] {
			if k > 0 {
				x.Where += " and at"
			}
			x.Where += " " + s.String()
		}
		x.Part, x.Offset = copies[e][0].partition, copies[e][0].offset
		f.Examples = append(f.Examples, x)
	}
	r.placeByExamples(&f)
	res.Findings = append(res.Findings, f)
	return res
}

// judgePhantoms: nothing is stored that was never sent, or that was certainly refused.
func (r *run) judgePhantoms() Result {
	phantom, revived := union(&r.log.phantom, &r.held.phantom), union(&r.log.revived, &r.held.revived)
	gone := union(&r.log.gone, &r.held.gone)
	res := Result{Numbers: []Number{{"never sent", float64(phantom), "events"}, {"refused and stored", float64(revived), "events"}}}
	for _, kind := range []struct {
		title string
		n     int64
		held  *oddities
		log   *oddities
	}{
		{"stored and never sent", phantom, &r.held.phantom, &r.log.phantom},
		{"refused and stored all the same", revived, &r.held.revived, &r.log.revived},
	} {
		if kind.n == 0 {
			continue
		}
		f := Finding{Verdict: Fail, Title: plural(kind.n, "event") + " " + kind.title, At: None, Count: kind.n,
			Evidence: []string{fmt.Sprintf("%s held by retrievers, %s in Kafka's log", number(kind.held.count), number(kind.log.count))}}
		seen := map[event]bool{}
		for _, list := range [][]spot{kind.held.examples, kind.log.examples} {
			for _, s := range list {
				if !seen[s.event] && len(f.Examples) < MaxExamples {
					seen[s.event] = true
					f.Examples = append(f.Examples, r.example(s))
				}
			}
		}
		r.placeByExamples(&f)
		res.Findings = append(res.Findings, f)
	}
	if len(res.Findings) > 0 {
		res.Verdict, res.Summary = Fail, fmt.Sprintf("%s stored and never sent, %s refused and stored all the same", plural(phantom, "event was", "events were"), number(revived))
		return res
	}
	unread := r.unread(true)
	if gone > 0 {
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: plural(gone, "stored event") + " whose sending is missing in the history", At: None, Count: gone})
		if unread == "" {
			unread = "the history lacks the sending of " + plural(gone, "stored event")
		}
	}
	return settle(res, unread, "everything stored was sent and not refused")
}

// judgeCorruption: what is stored is what was sent.
func (r *run) judgeCorruption() Result {
	var res Result
	total := int64(0)
	names := [...]string{evidence.Corrupt: "corrupt", evidence.Foreign: "foreign", evidence.Unreadable: "unreadable"}
	means := [...]string{
		evidence.Corrupt: "its checksum does not match what was sent", evidence.Foreign: "it carries no identity of the load generator",
		evidence.Unreadable: "the record could not be decoded",
	}
	for _, place := range []struct {
		m    *marks
		name string
	}{{&r.held, "held by retrievers"}, {&r.log, "in Kafka's log"}} {
		for state := evidence.Corrupt; state <= evidence.Unreadable; state++ {
			d := &place.m.damaged[state]
			res.Numbers = append(res.Numbers, Number{names[state] + ", " + place.name, float64(d.count), "events"})
			if d.count == 0 {
				continue
			}
			total += d.count
			f := Finding{Verdict: Fail, Title: plural(d.count, names[state]+" event") + " " + place.name, At: None, Count: d.count, Evidence: []string{"of each: " + means[state]}}
			for _, s := range d.examples {
				f.Examples = append(f.Examples, r.example(s))
			}
			r.placeByExamples(&f)
			res.Findings = append(res.Findings, f)
		}
	}
	if n := r.log.poison + r.held.poison; n > 0 {
		res.Numbers = append(res.Numbers, Number{"of the harness's own poison", float64(n), "marks"})
	}
	if total > 0 {
		res.Verdict, res.Summary = Fail, plural(total, "stored event is", "stored events are")+" not what was sent"
		return res
	}
	return settle(res, r.unread(true), "everything stored is what was sent")
}

// judgeAgreement: an accepted event is where its receipt says, and a retriever holds what the log has.
func (r *run) judgeAgreement() Result {
	var res Result
	unread := r.unread(true)
	if r.logMissing != "" || r.opsMissing != "" {
		return settle(res, unread, "")
	}
	cursor := newCursor(&r.logIndex)
	receipts, unheld := int64(0), int64(0)
	var wrong, stray oddities
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
			if out != wasAccepted || part.Offset < 0 {
				return
			}
			record := cursor.record(part.Partition, part.Offset)
			for k := range n {
				receipts++
				if has(record, o.Producer, first+k, int(k)) || hasSeq(&r.lost, &r.prods, o.Producer, first+k) {
					continue // a lost event is told by the durability check
				}
				wrong.addMark(spot{event: event{o.Producer, first + k}, partition: part.Partition, offset: part.Offset, where: "the receipt"})
			}
		})
	}
	near := 0
	last := evidence.HeldMark{Partition: -1, Offset: -1}
	for i := range r.e.Held {
		m := &r.e.Held[i]
		if m.State > evidence.Corrupt {
			continue
		}
		if m.Partition == last.Partition && m.Offset == last.Offset {
			near++
		} else {
			near = 0
		}
		last = *m
		unheld++
		if near == 0 {
			cursor.record(m.Partition, m.Offset)
		}
		if !has(cursor.last, m.Producer, m.Seq, near) {
			stray.addMark(spot{event: event{m.Producer, m.Seq}, partition: m.Partition, offset: m.Offset, where: m.Retriever, state: m.State})
		}
	}
	res.Numbers = []Number{
		{"receipts", float64(receipts), "events"}, {"receipts that the log does not bear out", float64(wrong.count), "events"},
		{"held", float64(unheld), "events"}, {"held where the log has something else", float64(stray.count), "events"},
	}
	for _, kind := range []struct {
		title string
		list  *oddities
	}{
		{"acknowledged where the final log does not have it", &wrong},
		{"held from where the final log does not have it", &stray},
	} {
		if kind.list.count == 0 {
			continue
		}
		f := Finding{Verdict: Fail, Title: plural(kind.list.count, "event") + " " + kind.title, At: None, Count: kind.list.count}
		for _, s := range kind.list.examples {
			x := r.example(s)
			x.Where = s.String() + "; " + r.logAt(s.partition, s.offset)
			f.Examples = append(f.Examples, x)
		}
		r.placeByExamples(&f)
		res.Findings = append(res.Findings, f)
	}
	if len(res.Findings) > 0 {
		res.Verdict = Fail
		res.Summary = fmt.Sprintf("%s not borne out by the final log, %s held events are not where the log has them", plural(wrong.count, "receipt is", "receipts are"), number(stray.count))
		return res
	}
	return settle(res, unread, fmt.Sprintf("%s receipts and %s held events agree with the final log", number(receipts), number(unheld)))
}

func hasSeq(l *ledger.Ledger, prods *producers, producer uint32, seq uint64) bool {
	p, ok := prods.find(producer)
	return ok && l.Has(p, seq)
}

// example makes an example of a stored event, with how it was answered if it was sent.
func (r *run) example(s spot) Example {
	x := Example{Producer: s.producer, Seq: s.seq, At: None, Where: s.String(), Part: s.partition, Offset: s.offset}
	if p, ok := r.prods.find(s.producer); !ok || s.state > evidence.Corrupt || !r.offered.Has(p, s.seq) {
		return x
	}
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		if o.Producer != s.producer || o.Count <= 0 || s.seq < o.FirstSeq || s.seq-o.FirstSeq >= uint64(o.Count) {
			continue
		}
		x.At, x.Answer, x.Target, x.Dataset = o.Done, o.Code, o.Target, o.Dataset
		eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
			if s.seq < first || s.seq-first >= n || part == nil {
				return
			}
			x.Answer, x.Receipt = part.Code, part.Code == shepherd.Accepted && part.Offset >= 0
		})
		return x
	}
	return x
}

// placeByExamples places a finding at the first of its examples that has a moment.
func (r *run) placeByExamples(f *Finding) {
	for i := range f.Examples {
		if at := f.Examples[i].At; at >= 0 && (f.At == None || at < f.At) {
			f.At = at
		}
	}
	r.place(f)
}
