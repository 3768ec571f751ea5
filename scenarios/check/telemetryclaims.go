package check

import (
	"fmt"
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// claims compares what ticks say with what clients, the log and the database say.
func (j *telemetryJudge) claims() {
	acked := j.acknowledged()
	for _, v := range j.voices {
		switch v.role {
		case system.RoleShepherd:
			j.ingested(v)
		case system.RoleRetriever:
			for _, s := range v.ticks {
				j.followed(v, s, acked)
			}
			j.reached(v)
		case system.RoleQuery:
			j.answered(v)
		case system.RoleTrigger:
			j.led(v)
		case system.RoleBeagle:
			j.counted(v)
		case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, system.RoleS3, system.RoleObserver:
		}
	}
}

// outcomeFields are what a shepherd's ticks count, by the answers' status.
func outcomeFields() map[int]string {
	return map[int]string{
		http.StatusAccepted: "events.accepted", http.StatusServiceUnavailable: "events.refused", http.StatusGatewayTimeout: "events.unknown",
		http.StatusTooManyRequests: "events.throttled", http.StatusBadRequest: "events.malformed",
	}
}

// ingested compares a shepherd's counters with the answers that clients got: what was certainly sent to and answered by this
// instance before its last tick is counted, and nothing is that cannot have been answered by then. Where a request was not
// answered event by event, its events may count as anything.
func (j *telemetryJudge) ingested(v *voice) {
	last := v.last()
	if last == nil {
		return
	}
	first := v.ticks[0].time
	least, most := map[int]int64{}, map[int]int64{}
	open := int64(0)
	for i := range j.r.e.Ops {
		o := &j.r.e.Ops[i]
		if o.Target != v.node || o.Sent > last.time+j.slack || o.Done >= 0 && o.Done < first-j.silence || o.NotSent {
			continue
		}
		if o.Code != http.StatusOK || o.Done < 0 {
			open += int64(o.Count)
			continue
		}
		certain := o.Sent >= first+j.slack && o.Done <= last.time-j.slack
		for k := range o.Parts {
			p := &o.Parts[k]
			most[p.Code] += int64(p.Count)
			if certain {
				least[p.Code] += int64(p.Count)
			}
		}
	}
	for _, code := range []int{http.StatusAccepted, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests, http.StatusBadRequest} {
		field := outcomeFields()[code]
		j.compared++
		if got := last.count(field); got < least[code] || got > most[code]+open {
			j.found("ingest "+field, last.at, fmt.Sprintf("%s of %s is not what clients were answered", field, v.node), fmt.Sprintf("%s at %s: %s is %s, and clients were answered %d for %s to %s events", v.node, moment(last.time), field, number(got), code, number(least[code]), number(most[code]+open)))
		}
	}
}

// ack is an offset that was acknowledged by a moment.
type ack struct {
	at     time.Duration
	offset int64 // the highest by then
}

// acknowledged is how far each partition's log reached at least, by when clients had receipts.
func (j *telemetryJudge) acknowledged() [][]ack {
	list := make([][]ack, max(0, j.r.plan.System.Kafka.Partitions))
	for i := range j.r.e.Ops {
		o := &j.r.e.Ops[i]
		for k := range o.Parts {
			p := &o.Parts[k]
			if o.Code == http.StatusOK && p.Code == http.StatusAccepted && p.Offset >= 0 && p.Partition >= 0 && int(p.Partition) < len(list) {
				list[p.Partition] = append(list[p.Partition], ack{o.Done, p.Offset})
			}
		}
	}
	for p := range list {
		slices.SortFunc(list[p], func(a, b ack) int { return int(min(max(a.at-b.at, -1), 1)) })
		for i := 1; i < len(list[p]); i++ {
			list[p][i].offset = max(list[p][i].offset, list[p][i-1].offset)
		}
	}
	return list
}

// by is the highest offset that was acknowledged by a moment; -1 if none was.
func by(list []ack, at time.Duration) int64 {
	n := sort.Search(len(list), func(i int) bool { return list[i].at > at })
	if n == 0 {
		return -1
	}
	return list[n-1].offset
}

// followed judges one tick of a retriever: its offsets lie in the log, its lag is what its offsets say, and it is as fresh as
// it says.
func (j *telemetryJudge) followed(v *voice, s *said, acked [][]ack) {
	n, _ := j.r.plan.System.Node(v.node)
	j.compared++
	next, end, durable := s.count("offset.next"), s.count("log.end"), s.count("offset.durable")
	where := fmt.Sprintf("%s at %s, partition %d", v.node, moment(s.time), n.Partition)
	if s.count("partition") != int64(n.Partition) || s.count("replica") != int64(n.Replica) {
		j.found("place", s.at, v.node+" says that it follows another partition", fmt.Sprintf("%s: it says partition %d, replica %d", where, s.count("partition"), s.count("replica")))
		return
	}
	if lag := s.count("lag.records"); lag != max(0, end-next) {
		j.found("lag", s.at, v.node+" says another lag than its offsets", fmt.Sprintf("%s: lag.records is %d, offset.next %d and log.end %d", where, lag, next, end))
	}
	// What the other of the pair has put into S3 is durable whether this one has read it or not.
	if snapshot := s.count("snapshot.next"); durable > max(next, snapshot) {
		j.found("durable", s.at, v.node+" says that it holds durably what it has not read", fmt.Sprintf("%s: offset.durable is %d, offset.next %d and snapshot.next %d", where, durable, next, snapshot))
	}
	if j.r.logMissing == "" {
		if final := j.r.logIndex.end(n.Partition); next > final || end > final {
			j.found("beyond", s.at, v.node+" says that the log is longer than it is", fmt.Sprintf("%s: offset.next is %d and log.end %d, and the log ends at %d", where, next, end, final))
		}
	}
	age, known := s.num("fresh.age_ms")
	if !known || int(n.Partition) >= len(acked) {
		return
	}
	since := s.time - time.Duration(age*float64(time.Millisecond)) - j.slack - freshSlack
	if have := by(acked[n.Partition], since); have >= next {
		j.found("fresh", s.at, v.node+" is not as fresh as it says", fmt.Sprintf("%s: fresh.age_ms is %.0f and offset.next %d, and offset %d had been acknowledged to a client by %s", where, age, next, have, moment(since)))
	}
}

// freshSlack is how long a fetch may take whose answer says that there is nothing more.
const freshSlack = time.Second

// reached judges a retriever's last tick: all was read when the harness saw that it was.
func (j *telemetryJudge) reached(v *voice) {
	n, _ := j.r.plan.System.Node(v.node)
	voices := j.byNode[v.node]
	last := v.last()
	if last == nil || voices[len(voices)-1] != v || !j.r.drained || j.r.logMissing != "" || j.disturbed(v.node, last.time, j.over()) {
		return
	}
	drained := time.Duration(-1)
	for i := range j.r.e.Timeline {
		if j.r.e.Timeline[i].Kind == evidence.Drained {
			drained = j.r.e.Timeline[i].At
		}
	}
	if drained < 0 || last.time < drained+j.slack+freshSlack {
		return
	}
	j.compared++
	if final, next := j.r.logIndex.end(n.Partition), last.count("offset.next"); next != final {
		j.found("end", last.at, v.node+" does not say that it has reached the end of the log", fmt.Sprintf("%s at %s: offset.next is %d, and the log of partition %d ends at %d, which it had reached by %s", v.node, moment(last.time), next, n.Partition, final, moment(drained)))
	}
}

// answered compares a query node's counters with what readers were answered. Trigger workers ask, too.
func (j *telemetryJudge) answered(v *voice) {
	last := v.last()
	if last == nil {
		return
	}
	first := v.ticks[0].time
	var all, partial int64
	for i := range j.r.e.Queries {
		q := &j.r.e.Queries[i]
		if q.Target != v.node || q.Sent < first+j.slack || q.Done < 0 || q.Done > last.time-j.slack || q.Code != http.StatusOK {
			continue
		}
		if all++; !q.Complete {
			partial++
		}
	}
	j.compared++
	if got := last.count("queries"); got < all {
		j.found("queries", last.at, v.node+" has answered more queries than it says", fmt.Sprintf("%s at %s: queries is %d, and readers had %d results by then", v.node, moment(last.time), got, all))
	}
	if got := last.count("queries.partial"); got < partial {
		j.found("partial", last.at, v.node+" gave more partial answers than it says", fmt.Sprintf("%s at %s: queries.partial is %d, and readers had %d by then", v.node, moment(last.time), got, partial))
	}
}

// led compares what a trigger worker says of leading with what was announced and evaluated.
func (j *telemetryJudge) led(v *voice) {
	owner := map[int64]string{}
	for _, t := range j.r.terms() {
		owner[t.epoch] = t.node
	}
	for i := range j.r.e.Evaluations {
		owner[j.r.e.Evaluations[i].Epoch] = j.r.e.Evaluations[i].By
	}
	for _, s := range v.ticks {
		j.compared++
		if by, known := owner[s.count("epoch")]; known && by != v.node && s.count("epoch") > 0 {
			j.found("epoch", s.at, v.node+" says that it leads under another's epoch", fmt.Sprintf("%s at %s: epoch %d, which is %s's", v.node, moment(s.time), s.count("epoch"), by))
		}
	}
	last := v.last()
	if last == nil || j.r.alerts.missing != "" || slices.ContainsFunc(j.r.faults, func(f FaultSpan) bool { return f.Kind == string(system.FaultRecreate) }) {
		return
	}
	recorded := int64(0)
	for i := range j.r.e.Evaluations {
		if e := &j.r.e.Evaluations[i]; e.By == v.node && e.At <= last.time+j.slack {
			recorded++
		}
	}
	j.compared++
	if got := last.count("evaluations"); got > recorded {
		j.found("evaluations", last.at, v.node+" says that it has evaluated more than is recorded", fmt.Sprintf("%s at %s: evaluations is %d, and %d windows are recorded by it", v.node, moment(last.time), got, recorded))
	}
}

// counted compares how far a beagle worker says that it has counted with the progress in the database and with the log.
func (j *telemetryJudge) counted(v *voice) {
	for _, s := range v.events {
		if s.kind != telemetry.KindLoop {
			continue
		}
		j.compared++
		part, next, committed := int32(s.count("partition")), s.count("offset.next"), s.count("offset.committed")
		where := fmt.Sprintf("%s at %s, partition %d", v.node, moment(s.time), part)
		if end := s.count("log.end"); s.count("lag.records") != max(0, end-next) {
			j.found("lag", s.at, v.node+" says another lag than its offsets", fmt.Sprintf("%s: lag.records is %d, offset.next %d and log.end %d", where, s.count("lag.records"), next, end))
		}
		if j.r.logMissing == "" && next > j.r.logIndex.end(part) {
			j.found("beyond", s.at, v.node+" says that the log is longer than it is", fmt.Sprintf("%s: offset.next is %d, and the log ends at %d", where, next, j.r.logIndex.end(part)))
		}
		for i := range j.r.e.Progress {
			p := &j.r.e.Progress[i]
			if p.Partition == part && p.At > s.time+j.slack {
				if p.Next < committed {
					j.found("committed", s.at, v.node+" says that it has committed what it has not", fmt.Sprintf("%s: offset.committed is %d, and the database had %d at %s", where, committed, p.Next, moment(p.At)))
				}
				break
			}
		}
	}
}
