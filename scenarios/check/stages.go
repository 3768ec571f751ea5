package check

import (
	"fmt"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// storage is where events are kept behind Kafka: on the disks of each partition's retrievers, and in S3.
type storage struct {
	// staged: there are pairs or manifests, so that every stage is judged on its own. Else one retriever of a partition keeps
	// all of it for good, as in evidence of version 1.
	staged   bool
	replicas int             // retrievers of a partition, at least 1
	local    []ledger.Ledger // by replica: what its retrievers hold locally
	s3       ledger.Ledger
	replica  map[string]int    // by retriever
	names    [][]string        // by partition and replica: the retrievers
	floors   [][]int64         // likewise: below this offset it need not hold anything locally
	top      map[string]int64  // by retriever: the highest offset it holds
	final    map[int32]*commit // by partition: its last manifest
	missing  string            // why what S3 holds is not known; "" if it is
}

// commit is the manifest of a partition that what S3 holds was read by.
type commit = evidence.Commit

// openStorage says what has to be where.
func (r *run) openStorage() {
	t := &r.plan.System
	s := &r.store
	s.replicas = max(1, t.Replicas)
	s.local = make([]ledger.Ledger, s.replicas)
	s.replica, s.top = map[string]int{}, map[string]int64{}
	s.final = r.finalCommits()
	s.staged = t.Replicas > 1 || len(r.e.Commits) > 0 || r.e.Run.Version > 1 && len(r.e.Pairs) > 0
	for _, g := range r.e.Gaps {
		if (g.What == "s3" || g.What == "commits") && s.missing == "" {
			s.missing = g.Why
		}
	}
	if r.e.Run.Ended != "" && s.missing == "" {
		s.missing = "the run was cut short: " + r.e.Run.Ended
	}
	lowest := map[string]int64{}
	for i := range r.e.Pairs {
		p := &r.e.Pairs[i]
		if low, ok := lowest[p.Retriever]; p.Next > p.First && (!ok || p.First < low) {
			lowest[p.Retriever] = p.First
		}
	}
	s.names, s.floors = make([][]string, max(0, t.Kafka.Partitions)), make([][]int64, max(0, t.Kafka.Partitions))
	for p := range t.Kafka.Partitions {
		s.names[p] = t.Retrievers(p)
		for k, name := range s.names[p] {
			s.replica[name] = k
			floor, ok := lowest[name]
			if !ok { // it holds nothing, so it must not have to
				floor = s.next(p)
			}
			s.floors[p] = append(s.floors[p], floor)
		}
	}
}

// finalCommits finds each partition's last manifest: the one whose segments were read back, else the newest generation.
func (r *run) finalCommits() map[int32]*commit {
	final := map[int32]*commit{}
	for i := range r.e.Commits {
		c := &r.e.Commits[i]
		old, ok := final[c.Partition]
		if !ok || c.Final && !old.Final || c.Final == old.Final && c.Generation >= old.Generation {
			final[c.Partition] = c
		}
	}
	return final
}

// next is the offset below which S3 has to hold all of a partition.
func (s *storage) next(partition int32) int64 {
	if c := s.final[partition]; c != nil {
		return c.Next
	}
	return 0
}

// retrievers are a partition's retrievers and their floors; none if there is no such partition.
func (s *storage) retrievers(partition int32) ([]string, []int64) {
	if partition < 0 || int(partition) >= len(s.names) {
		return nil, nil
	}
	return s.names[partition], s.floors[partition]
}

// place is the set of what is held in the place of a mark; one event in two places is no duplicate.
func (s *storage) place(retriever string) *ledger.Ledger {
	if retriever == evidence.StoreS3 {
		return &s.s3
	}
	return &s.local[s.replica[retriever]]
}

// suspects are the accepted events that are not simply everywhere where they have to be.
func (r *run) suspects() ledger.Ledger {
	if !r.store.staged {
		return r.accepted.Without(&r.held.set)
	}
	var list ledger.Ledger
	s := &r.store
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		p, ok := r.prods.find(o.Producer)
		if o.Count <= 0 || !ok {
			continue
		}
		eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
			if out != wasAccepted {
				return
			}
			names, floors := s.retrievers(part.Partition)
			kept := s.s3.Producer(p).LenRange(first, n) == n
			whole := part.Offset >= 0 && len(names) > 0 && (kept || s.missing != "" || part.Offset >= s.next(part.Partition))
			for k := range names {
				whole = whole && (kept && part.Offset < floors[k] || s.local[k].Producer(p).LenRange(first, n) == n)
			}
			if !whole {
				list.Producer(p).MarkRange(first, n)
			}
		})
	}
	return list
}

// fate is what became of a suspect.
type fate struct {
	stage LossStage
	who   string // the retriever that should have it; "" if not of one
	fine  bool   // it is where it has to be after all
}

// fateOf says where an event vanished by what every stage holds.
func (r *run) fateOf(l *loss, p int, inLog bool) fate {
	s := &r.store
	kept := r.held.set.Has(p, l.seq)
	if r.heldMissing != "" {
		return fate{fine: kept}
	}
	partition, offset := l.part.Partition, l.part.Offset
	switch {
	case inLog:
		partition, offset = l.spot.partition, l.spot.offset
	case !kept:
		return fate{stage: r.stageOf(l, false)}
	case r.logMissing == "" || offset < 0:
		return fate{fine: true} // it is held where the log has nothing, or nobody can say: the agreement check tells
	}
	inS3 := s.s3.Has(p, l.seq)
	var lacking, dropped, open []string
	names, floors := s.retrievers(partition)
	for k, name := range names {
		switch {
		case s.local[k].Has(p, l.seq):
		case offset < floors[k]:
			if !inS3 {
				dropped = append(dropped, name)
			}
		case r.drained || s.top[name] > offset:
			lacking = append(lacking, name)
		default:
			open = append(open, name)
		}
	}
	switch {
	case len(lacking) > 0 && !kept:
		return fate{stage: LostBeforeStorage}
	case len(lacking) > 0:
		return fate{stage: LostAtRetriever, who: strings.Join(lacking, " and ")}
	case len(dropped) > 0 && s.missing != "":
		return fate{}
	case len(dropped) > 0:
		return fate{stage: LostBeforeStore, who: strings.Join(dropped, " and ")}
	case s.missing == "" && offset < s.next(partition) && !inS3:
		return fate{stage: LostBeforeStore}
	case len(open) > 0:
		return fate{}
	}
	return fate{fine: true}
}

// whereabouts says of an event in the log which stage behind Kafka has it.
func (r *run) whereabouts(l *loss) string {
	s := &r.store
	p, _ := r.prods.find(r.e.Ops[l.op].Producer)
	partition, offset := l.spot.partition, l.spot.offset
	var list []string
	names, floors := s.retrievers(partition)
	for k, name := range names {
		switch {
		case s.local[k].Has(p, l.seq):
			list = append(list, name+" holds it")
		case offset < floors[k]:
			list = append(list, fmt.Sprintf("%s holds from offset %d on", name, floors[k]))
		default:
			list = append(list, fmt.Sprintf("%s does not hold it, though it holds from offset %d up to %d", name, floors[k], s.top[name]))
		}
	}
	switch c := s.final[partition]; {
	case s.missing != "":
		list = append(list, "what S3 holds is not known")
	case s.s3.Has(p, l.seq):
		list = append(list, "S3 holds it")
	case c == nil:
		list = append(list, "the partition has no manifest")
	default:
		list = append(list, fmt.Sprintf("S3 does not hold it, and the manifest (generation %d by %s) reaches to offset %d", c.Generation, c.Writer, c.Next))
	}
	return fmt.Sprintf("in Kafka's log at partition %d, offset %d; %s", partition, offset, strings.Join(list, "; "))
}

// lossStages are all stages that events of this run can be lost at, in the order of the way.
func (r *run) lossStages() []LossStage {
	if !r.store.staged {
		return []LossStage{LostBeforeKafka, LostInKafka, LostBeforeStorage, LostSomewhere}
	}
	return []LossStage{LostBeforeKafka, LostInKafka, LostBeforeStorage, LostAtRetriever, LostBeforeStore, LostSomewhere}
}

// storedCounts says how many distinct events each place holds.
func (r *run) storedCounts(l *Ledger) {
	s := &r.store
	if !s.staged {
		return
	}
	l.InS3 = int64(s.s3.Len())
	aged := make([]ledger.Ledger, s.replicas)
	for i := range r.e.Log {
		m := &r.e.Log[i]
		p, ok := r.prods.find(m.Producer)
		if !ok || m.State > evidence.Corrupt || !s.s3.Has(p, m.Seq) {
			continue
		}
		_, floors := s.retrievers(m.Partition)
		for k, floor := range floors {
			if m.Offset < floor && !s.local[k].Has(p, m.Seq) {
				aged[k].Mark(p, m.Seq)
			}
		}
	}
	for k := range s.local {
		l.Replicas = append(l.Replicas, ReplicaCount{Replica: k, Local: int64(s.local[k].Len()), Aged: int64(aged[k].Len())})
	}
}
