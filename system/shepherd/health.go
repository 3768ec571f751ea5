package shepherd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// partition is what this shepherd's own produces tell about a partition. Nothing else is asked: metadata may be stale
// exactly when it matters.
type partition struct {
	oldest, newest *shipment // in flight, in the order of sending
	inflight       int
	sick           bool
	until          time.Time // while sick: no new events before this, unless all partitions are sick
	prompt         time.Time // while sick: since when everything was acknowledged promptly; zero if nothing was lately
}

// shipment is one record on its way into Kafka. It outlives the request if that gives up waiting.
type shipment struct {
	s          *Shepherd
	partition  int32
	sent       time.Time
	owner      *tenant
	load       load
	probe      bool      // sent to a partition that was sick
	next, prev *shipment // among the partition's in flight
}

// pick chooses a partition for a chunk and counts the chunk as in flight there: one of its dataset's set if any of that is
// well, else any that is well, since queries ask all of them; else a probe, else the least bad. It returns nil if all
// have refused it.
func (s *Shepherd) pick(c *consignment) *shipment {
	now := s.r.Now()
	in := scan{s: s, tried: c.tried, now: now, probe: -1, least: -1}
	s.mu.Lock()
	s.widenLocked(c.set, now)
	s.healthy = s.healthy[:0]
	for _, i := range c.set {
		if i >= 0 && int(i) < len(s.partitions) {
			in.lookLocked(i)
		}
	}
	chosen := in.chooseLocked()
	if chosen < 0 && !s.stayInSet {
		s.healthy = s.healthy[:0]
		for i := range s.partitions {
			in.lookLocked(int32(i))
		}
		chosen = in.anywhereLocked()
	}
	if chosen < 0 {
		chosen = in.least
	}
	var sh *shipment
	if chosen >= 0 {
		sh = &shipment{s: s, owner: c.owner, partition: chosen, sent: now, load: c.load(), probe: s.partitions[chosen].sick}
		s.partitions[chosen].add(sh)
	}
	s.mu.Unlock()
	for _, i := range in.ill {
		s.announceSick(i, fmt.Sprintf("its oldest record has waited for more than %v", s.cfg.SickAfter))
	}
	return sh
}

// widenEvery is how often Kafka is asked at most how many partitions there are.
const widenEvery = 2 * time.Second

// widenLocked looks after a dataset's set that names partitions which the topic did not have when the shepherd began. They
// are used once Kafka has said that they are there; until then the rest of the set, or of the topic, is.
func (s *Shepherd) widenLocked(set []int32, now time.Time) {
	if len(set) == 0 || int(set[len(set)-1]) < len(s.partitions) || now.Before(s.askAgain) { // ascending
		return
	}
	s.askAgain = now.Add(widenEvery)
	s.r.Go("partitions", s.widen)
}

func (s *Shepherd) widen(ctx context.Context) {
	ctx, cancel := s.r.WithTimeout(ctx, widenEvery)
	defer cancel()
	parts, err := s.admin.Describe(ctx, Topic)
	if err != nil {
		return // whoever meets the set again asks again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if more := len(parts) - len(s.partitions); more > 0 {
		s.partitions = append(s.partitions, make([]partition, more)...)
	}
}

// scan is a look at partitions for a chunk. Those that are well are gathered in the shepherd's healthy.
type scan struct {
	s     *Shepherd
	tried []bool // not to take; nil means none
	now   time.Time
	probe int32   // sick for long enough, nothing under way; -1 if there is none
	least int32   // the least bad of those that are sick; -1 if there is none
	ill   []int32 // found sick just now
}

func (in *scan) lookLocked(i int32) {
	s := in.s
	if int(i) < len(in.tried) && in.tried[i] {
		return
	}
	p := &s.partitions[i]
	if s.stuckLocked(p, in.now) && s.sickenLocked(p, in.now) {
		in.ill = append(in.ill, i)
	}
	if !p.sick {
		s.healthy = append(s.healthy, i)
		return
	}
	if p.inflight == 0 && !in.now.Before(p.until) && in.probe < 0 {
		in.probe = i
	}
	if in.least < 0 || p.better(&s.partitions[in.least]) {
		in.least = i
	}
}

// chooseLocked prefers a probe: somebody must find out whether a partition is well again, and few are needed.
func (in *scan) chooseLocked() int32 {
	if in.probe >= 0 {
		return in.probe
	}
	return in.s.anyLocked()
}

// anywhereLocked prefers what is well: the probes of other datasets' partitions are theirs to make.
func (in *scan) anywhereLocked() int32 {
	if i := in.s.anyLocked(); i >= 0 {
		return i
	}
	return in.probe
}

// anyLocked is a random one of those that are well, -1 if there is none.
func (s *Shepherd) anyLocked() int32 {
	if len(s.healthy) == 0 {
		return -1
	}
	return s.healthy[s.rand.IntN(len(s.healthy))]
}

// sweep finds partitions that have become sick while nothing was sent.
func (s *Shepherd) sweep() {
	now := s.r.Now()
	var ill []int32
	s.mu.Lock()
	for i := range s.partitions {
		if p := &s.partitions[i]; s.stuckLocked(p, now) && s.sickenLocked(p, now) {
			ill = append(ill, int32(i))
		}
	}
	s.mu.Unlock()
	for _, i := range ill {
		s.announceSick(i, fmt.Sprintf("its oldest record has waited for more than %v", s.cfg.SickAfter))
	}
}

// done is the outcome of a shipment's produce. It runs on the stack of whoever completes it and does not block.
func (sh *shipment) done(_ int64, err error) {
	s := sh.s
	now := s.r.Now()
	s.mu.Lock()
	p := &s.partitions[sh.partition]
	p.remove(sh)
	s.releaseLocked(sh.owner, sh.load)
	ill, well := false, false
	switch {
	case err == nil && !s.byHeartbeat && now.Sub(sh.sent) > s.cfg.SickAfter:
		// It answers and does not do its work: a broker that is sick and not dead acknowledges everything in the end.
		p.prompt = time.Time{}
		if p.sick && sh.probe {
			p.until = now.Add(s.cfg.SickFor)
		}
	case err == nil:
		if well = p.sick && s.curedLocked(p, now); well {
			p.sick = false
		}
	case s.byHeartbeat && !errors.Is(err, port.ErrRefused):
		// Its leader has not said no.
	case errors.Is(err, port.ErrTooLarge):
		// Says something about the record, nothing about the partition.
	default:
		ill = s.sickenLocked(p, now)
		p.until, p.prompt = now.Add(s.cfg.SickFor), time.Time{}
	}
	settled := s.draining && s.idleLocked()
	s.mu.Unlock()
	if ill {
		s.announceSick(sh.partition, "a produce failed: "+err.Error())
	}
	if well {
		s.events.Announce(port.Event{Kind: port.EventPartitionWell, Node: s.name, Topic: Topic, Part: sh.partition, Detail: "a record was acknowledged"})
	}
	if settled {
		s.settle()
	}
}

// sickenLocked marks a partition as sick and says whether that is news.
func (s *Shepherd) sickenLocked(p *partition, now time.Time) bool {
	if p.sick {
		return false
	}
	p.sick, p.until, p.prompt = true, now.Add(s.cfg.SickFor), time.Time{}
	return true
}

// probesPerCure is how many probes at most a partition gets in the time for which it has to prove itself.
const probesPerCure = 8

// curedLocked says whether a sick partition that has just acknowledged something promptly is well: not while older records
// still hang behind it, and only when it has gone on like that for as long as it would be avoided. A broker that is sick
// and not dead is prompt now and then, and a single answer says nothing about it.
func (s *Shepherd) curedLocked(p *partition, now time.Time) bool {
	switch {
	case s.byHeartbeat:
		return true
	case s.stuckLocked(p, now):
		return false
	case p.prompt.IsZero():
		p.prompt = now
	case now.Sub(p.prompt) >= s.cfg.SickFor:
		return true
	}
	p.until = now.Add(s.cfg.SickFor / probesPerCure)
	return false
}

func (s *Shepherd) announceSick(partition int32, why string) {
	s.events.Announce(port.Event{Kind: port.EventPartitionSick, Node: s.name, Topic: Topic, Part: partition, Detail: why})
}

// stuckLocked says whether the partition's oldest record in flight has waited too long.
func (s *Shepherd) stuckLocked(p *partition, now time.Time) bool {
	return p.oldest != nil && now.Sub(p.oldest.sent) > s.cfg.SickAfter && !s.byHeartbeat
}

// better says which of two sick partitions is the less bad: the one whose oldest record has waited less, then the one
// with less in flight, then the one that was sick for longer.
func (p *partition) better(q *partition) bool {
	switch {
	case p.oldest == nil && q.oldest == nil:
		return p.until.Before(q.until)
	case p.oldest == nil || q.oldest == nil:
		return p.oldest == nil
	case !p.oldest.sent.Equal(q.oldest.sent):
		return p.oldest.sent.After(q.oldest.sent)
	}
	return p.inflight < q.inflight
}

func (p *partition) add(sh *shipment) {
	sh.prev = p.newest
	if p.newest == nil {
		p.oldest = sh
	} else {
		p.newest.next = sh
	}
	p.newest = sh
	p.inflight++
}

func (p *partition) remove(sh *shipment) {
	if sh.prev == nil {
		p.oldest = sh.next
	} else {
		sh.prev.next = sh.next
	}
	if sh.next == nil {
		p.newest = sh.prev
	} else {
		sh.next.prev = sh.prev
	}
	sh.next, sh.prev = nil, nil
	p.inflight--
}
