package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// loss is an accepted event that is not where it has to be.
type loss struct {
	op    int
	seq   uint64
	part  evidence.Part // its answer
	stage LossStage     // "" while it cannot be said to be lost
	who   string        // the retriever that lacks it, where it is one's doing
	spot  spot          // where in the log it is, if there
}

// findLosses says of every accepted event that is not where it has to be at which stage it vanished, or that the evidence cannot tell.
func (r *run) findLosses() {
	missing := r.suspects()
	if missing.Len() == 0 {
		return
	}
	inLog := missing.And(&r.log.set)
	spots := r.spotsInLog(&inLog)
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		if o.Count <= 0 {
			continue
		}
		p, ok := r.prods.find(o.Producer)
		if !ok || missing.Producer(p).LenRange(o.FirstSeq, uint64(o.Count)) == 0 {
			continue
		}
		eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
			if out != wasAccepted {
				return
			}
			for seq := first; seq < first+n; seq++ {
				if !missing.Has(p, seq) {
					continue
				}
				l := loss{op: i, seq: seq, part: *part}
				l.spot, ok = spots[event{o.Producer, seq}]
				if r.store.staged {
					fate := r.fateOf(&l, p, ok)
					if fate.fine {
						continue
					}
					l.stage, l.who = fate.stage, fate.who
				} else {
					l.stage = r.stageOf(&l, ok)
				}
				if l.stage == "" {
					r.pending.Mark(p, seq)
				} else {
					r.lost.Mark(p, seq)
				}
				r.losses = append(r.losses, l)
			}
		})
	}
}

// spotsInLog finds the first place of each event of a set in the log.
func (r *run) spotsInLog(set *ledger.Ledger) map[event]spot {
	if set.Len() == 0 {
		return nil
	}
	spots := make(map[event]spot, set.Len())
	for i := range r.e.Log {
		m := &r.e.Log[i]
		if p, ok := r.prods.find(m.Producer); !ok || m.State > evidence.Corrupt || !set.Has(p, m.Seq) {
			continue
		}
		e := event{m.Producer, m.Seq}
		if _, ok := spots[e]; !ok {
			spots[e] = spot{event: e, partition: m.Partition, offset: m.Offset, where: kafkasLog, state: m.State}
		}
	}
	return spots
}

// stageOf says where an event vanished; "" if the evidence does not show that it did.
func (r *run) stageOf(l *loss, inLog bool) LossStage {
	switch {
	case r.heldMissing != "":
		return "" // it may be held
	case inLog:
		// A retriever stores in the order of the log: what it passed over without storing, it will not store any more.
		if top, ok := r.held.top[l.spot.partition]; r.drained || ok && top > l.spot.offset {
			return LostBeforeStorage
		}
		return ""
	case r.logMissing != "":
		if r.drained {
			return LostSomewhere
		}
		return ""
	case l.part.Offset >= 0:
		return LostInKafka
	}
	return LostBeforeKafka
}

// ledgerCounts sums the ledger up.
func (r *run) ledgerCounts() Ledger {
	l := Ledger{
		Counts: r.total, Judged: r.opsMissing == "" && r.heldMissing == "" && r.logMissing == "",
		InLog: int64(r.log.set.Len()), LogCopies: r.log.copies, Held: int64(r.held.set.Len()),
		Lost: int64(r.lost.Len()), Pending: int64(r.pending.Len()), Duplicated: int64(r.held.twice.Len()),
	}
	for _, stage := range r.lossStages() {
		n := int64(0)
		for i := range r.losses {
			if r.losses[i].stage == stage {
				n++
			}
		}
		l.LostByStage = append(l.LostByStage, StageLoss{stage, n})
	}
	l.Phantom = union(&r.log.phantom, &r.held.phantom)
	l.Resurrected = union(&r.log.revived, &r.held.revived)
	for _, m := range []*marks{&r.log, &r.held} {
		for _, d := range m.damaged {
			l.Corrupt += d.count
		}
	}
	unknown := r.allowed.Without(&r.accepted)
	kept := unknown.And(&r.held.set)
	l.UnknownKept = int64(kept.Len())
	r.storedCounts(&l)
	if r.ask.broken == "" {
		r.visibleCounts(&l)
	}
	return l
}

// union is how many distinct events two lists of oddities have.
func union(a, b *oddities) int64 {
	n := a.count
	for e := range b.seen {
		if _, ok := a.seen[e]; !ok {
			n++
		}
	}
	return n
}

// group gathers losses that share stage, partition and fault.
type group struct {
	stage     LossStage
	who       string
	partition int32
	rel       relation
	first     time.Duration // answers
	last      time.Duration
	losses    []int
	count     int64
}

// judgeDurability: every event answered as accepted is held in the end.
func (r *run) judgeDurability() Result {
	res := Result{Numbers: []Number{
		{"accepted", float64(r.total.Accepted), "events"}, {"held", float64(r.held.set.Len()), "events"},
		{"lost", float64(r.lost.Len()), "events"}, {"undecided", float64(r.pending.Len()), "events"},
	}}
	for _, g := range r.groupLosses() {
		res.Findings = append(res.Findings, r.lossFinding(g))
	}
	lost, pending := r.lost.Len(), r.pending.Len()
	switch {
	case lost > 0:
		res.Verdict = Fail
		res.Summary = fmt.Sprintf("%s of %s accepted were lost", plural(int64(lost), "event"), number(r.total.Accepted))
		for _, s := range r.ledgerCounts().LostByStage {
			if s.Count > 0 {
				res.Summary += fmt.Sprintf("; %s %s", number(s.Count), s.Stage.phrase())
			}
		}
	case r.opsMissing != "":
		res.Summary = "the history is not whole: " + r.opsMissing
	case r.heldMissing != "":
		res.Summary = "what the retrievers hold is not known: " + r.heldMissing
	case pending > 0:
		res.Summary = fmt.Sprintf("%s accepted and not held, but the retrievers had not reached the end of the log: %s", plural(int64(pending), "event was", "events were"), r.drainNote)
	case r.total.Accepted == 0:
		res.Summary = "no event was accepted, so none could be lost"
	case r.e.Run.Ended != "":
		res.Summary = "the run was cut short: " + r.e.Run.Ended
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("all %s accepted events are held", number(r.total.Accepted))
	}
	return res
}

// phrase says of lost events where they vanished.
func (s LossStage) phrase() string {
	switch s {
	case LostBeforeKafka:
		return "answered before Kafka acknowledged them, and never in its log"
	case LostInKafka:
		return "acknowledged by Kafka and not in its final log"
	case LostBeforeStorage:
		return "in Kafka's log and not held by a retriever"
	case LostAtRetriever:
		return "in Kafka's log and held, but not by every retriever that has to"
	case LostBeforeStore:
		return "that have to be in S3 and are not"
	case LostBeforeQuery:
		return "stored and not counted by complete answers"
	case LostSomewhere:
		return "at a stage that is not known, as the log could not be read back"
	}
	return "not held, which may be for lack of time"
}

func (r *run) groupLosses() []*group {
	var groups []*group
	for i := range r.losses {
		l := &r.losses[i]
		o := &r.e.Ops[l.op]
		partition := l.part.Partition
		if l.part.Offset < 0 {
			partition = -1
		}
		if l.spot.where != "" {
			partition = l.spot.partition
		}
		rel := r.faultAt(o.Done)
		at := slices.IndexFunc(groups, func(g *group) bool {
			return g.stage == l.stage && g.who == l.who && g.partition == partition && g.rel == rel
		})
		if at < 0 {
			at = len(groups)
			groups = append(groups, &group{stage: l.stage, who: l.who, partition: partition, rel: rel, first: o.Done, last: o.Done})
		}
		g := groups[at]
		g.first, g.last = min(g.first, o.Done), max(g.last, o.Done)
		if g.count++; len(g.losses) < MaxExamples {
			g.losses = append(g.losses, i)
		}
	}
	order := append(r.lossStages(), "")
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.stage), slices.Index(order, b.stage)), cmp.Compare(a.first, b.first), cmp.Compare(a.partition, b.partition))
	})
	return groups
}

func (r *run) lossFinding(g *group) Finding {
	f := Finding{Verdict: Fail, At: g.first, Count: g.count, Stage: g.stage}
	subject := plural(g.count, "accepted event")
	if g.partition >= 0 {
		subject += fmt.Sprintf(" of partition %d", g.partition)
	}
	f.Title = "lost: " + subject + " " + g.stage.phrase()
	if g.who != "" {
		f.Title += ": " + g.who
	}
	if g.stage == "" {
		f.Verdict, f.Title = Inconclusive, "undecided: "+subject+" "+g.stage.phrase()
	}
	r.place(&f)
	span := fmt.Sprintf("answered 202 at %s", moment(g.first))
	if g.last > g.first {
		span = fmt.Sprintf("answered 202 from %s to %s", moment(g.first), moment(g.last))
	}
	f.Evidence = append(f.Evidence, span)
	if fault := g.rel.fault; fault != nil {
		line := g.rel.String()
		switch g.rel.how {
		case "during":
			line += fmt.Sprintf(", %s after it was injected", short(g.first-fault.Injected))
		case "before":
			line += fmt.Sprintf(", which was injected %s after the last of these answers", short(fault.Injected-g.last))
		case "recovering from", "after":
			line += fmt.Sprintf(", %s after healing", short(g.first-fault.until(fault.Injected)))
		}
		f.Evidence = append(f.Evidence, line)
	}
	if others := r.overlapping(g.first, g.last); len(others) > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("faults active or being recovered from meanwhile: %s", join(others)))
	}
	for _, i := range g.losses {
		f.Examples = append(f.Examples, r.lossExample(&r.losses[i]))
	}
	return f
}

// lossExample says of one event what is known of its whereabouts.
func (r *run) lossExample(l *loss) Example {
	o := &r.e.Ops[l.op]
	x := Example{Producer: o.Producer, Seq: l.seq, At: o.Done, Answer: l.part.Code, Target: o.Target, Dataset: o.Dataset, Receipt: l.part.Offset >= 0, Part: -1, Offset: -1}
	if x.Receipt {
		x.Part, x.Offset = l.part.Partition, l.part.Offset
	}
	switch {
	case l.spot.where != "" && r.store.staged:
		x.Part, x.Offset = l.spot.partition, l.spot.offset
		x.Where = r.whereabouts(l)
	case l.spot.where != "":
		x.Part, x.Offset = l.spot.partition, l.spot.offset
		x.Where = fmt.Sprintf("in Kafka's log at partition %d, offset %d; no retriever holds it", l.spot.partition, l.spot.offset)
		if top, ok := r.held.top[l.spot.partition]; ok && top > l.spot.offset {
			x.Where += fmt.Sprintf(", though the partition is held up to offset %d", top)
		}
	case r.logMissing != "":
		x.Where = "not held; the log could not be read back"
	case x.Receipt:
		x.Where = fmt.Sprintf("acknowledged at partition %d, offset %d; ", l.part.Partition, l.part.Offset) + r.logAt(l.part.Partition, l.part.Offset)
	default:
		x.Where = "the answer named no offset, and the event is nowhere in the log"
	}
	return x
}

// logAt says what the final log has at an offset, where an event was expected.
func (r *run) logAt(partition int32, offset int64) string {
	if record := r.logIndex.at(partition, offset); len(record) > 0 {
		first := fmt.Sprintf("producer %d, sequence %d", record[0].Producer, record[0].Seq)
		if record[0].State > evidence.Corrupt {
			first = "something that is no event of the load"
		}
		if len(record) > 1 {
			first += fmt.Sprintf(" and %d more", len(record)-1)
		}
		return "the final log has " + first + " there"
	}
	if end := r.logIndex.end(partition); offset >= end {
		return fmt.Sprintf("the final log ends at offset %d", end)
	}
	return "the final log has nothing there"
}
