package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/port"
)

// secondsPerMinute is the length of what SLOs are counted by.
const secondsPerMinute = 60

// span is a range of whole numbers, both ends included.
type span struct{ low, high int64 }

func (s span) has(n int64) bool { return n >= s.low && n <= s.high }

func (s span) String() string {
	if s.low == s.high {
		return number(s.low)
	}
	return number(s.low) + " to " + number(s.high)
}

// stretch adds to the upper end.
func (s span) stretch(n int64) span { return span{s.low, s.high + n} }

// plus adds to both ends, which stay where a minute is more than full.
func (s span) plus(n span) span {
	const full = port.MaxCount + 1
	return span{min(s.low+n.low, full), min(s.high+n.high, full)}
}

// minuteTruth is what an SLO's row of one minute has to be.
type minuteTruth struct {
	total, good, bad span // by weight
	events           span // of total, how many if each is one
}

func (c *minuteTruth) add(x *sliEvent) {
	n := x.counts()
	c.total, c.events = c.total.plus(n), c.events.plus(x.times)
	if x.good || x.either {
		c.good = c.good.plus(n)
	}
	if !x.good || x.either {
		c.bad = c.bad.plus(n)
	}
}

// objective is one SLO, what it had to count, and what was counted.
type objective struct {
	def     *evidence.SLO
	sli     *expr.Expr
	broken  string // why it cannot be judged; "" if it can
	gone    bool   // its dataset was recreated, so it went with its counts
	truth   map[int64]*minuteTruth
	counted map[int64]evidence.SLOCount
	double  []int64 // minutes that have several rows
	last    int64   // the minute that was looked up last
	cell    *minuteTruth
	wrong   []wrongMinute
}

// wrongMinute is a row that is not what it has to be.
type wrongMinute struct {
	minute int64
	kind   string // "too little", "too much", "wrong"
}

func (o *objective) at(minute int64) *minuteTruth {
	if o.cell != nil && o.last == minute {
		return o.cell
	}
	cell := o.truth[minute]
	if cell == nil {
		cell = &minuteTruth{}
		o.truth[minute] = cell
	}
	o.last, o.cell = minute, cell
	return cell
}

// counting is what beagle had to count, and did.
type counting struct {
	objectives []*objective
	byDataset  map[string][]*objective
	load       *loadgen.Truth
	broken     string           // why nothing could be compared; "" if it could
	counts     string           // why the counts are not known; "" if they are
	next       map[int32]int64  // by partition: how far counting came; without an entry nobody knows
	open       []int32          // partitions with records that were not counted by then
	done       ledger.Ledger    // events with a record that was counted by then; only if some partition is open
	copies     map[event]int64  // in how many partitions an event is, where it is in several
	damaged    map[event]bool   // its content in the log is not what was sent
	strange    int64            // what the log's events that the load has not sent may count for: of each, nobody knows its sample rate
	certain    int64            // events that had to be counted by some SLO
	standFor   int64            // as how many these had to be counted
	revived    map[event]bool   // certainly refused, and in the log all the same
	finalAt    map[int32]string // what the last look at a partition's progress said, for people
}

// followObjectives computes what every SLO had to count in each minute, in one pass over the operations. What it keeps is
// bounded by the number of SLOs and minutes, and by how many events are in the log several times.
func (r *run) followObjectives() {
	c := &r.slos
	for _, g := range r.e.Gaps {
		if g.What == "counts" && c.counts == "" {
			c.counts = g.Why
		}
	}
	if len(r.e.SLOs) == 0 {
		return
	}
	c.byDataset = map[string][]*objective{}
	byID := map[int64]*objective{}
	for i := range r.e.SLOs {
		def := &r.e.SLOs[i]
		o := &objective{def: def, truth: map[int64]*minuteTruth{}, counted: map[int64]evidence.SLOCount{}, gone: len(r.recreations(def.Dataset)) > 0}
		sli, err := expr.Parse(def.Expression)
		if err != nil {
			o.broken = fmt.Sprintf("its SLI %q cannot be read: %v", def.Expression, err)
		}
		o.sli = sli
		c.objectives = append(c.objectives, o)
		byID[def.ID] = o
		if o.broken == "" {
			c.byDataset[def.Dataset] = append(c.byDataset[def.Dataset], o)
		}
	}
	for _, row := range r.e.Counts {
		o := byID[row.SLO]
		if o == nil {
			continue
		}
		if _, twice := o.counted[row.Minute]; twice {
			o.double = append(o.double, row.Minute)
		}
		o.counted[row.Minute] = row
	}
	if r.e.Run.Epoch.IsZero() {
		c.broken = "when the run began on the clock of the events is not known"
		return
	}
	load, err := r.load()
	if err != nil {
		c.broken = fmt.Sprintf("the load's events cannot be made again: %v", err)
		return
	}
	c.load = load
	r.readCounted()
	for i := range r.e.Ops {
		r.countOp(&r.e.Ops[i], func(o *objective, x sliEvent) {
			o.at(x.minute).add(&x)
			if !o.gone {
				c.certain += x.times.low
				c.standFor = min(c.standFor+x.counts().low, math.MaxInt64/2)
			}
		})
	}
	for _, o := range c.objectives {
		if o.broken == "" && !o.gone {
			o.compare(c.strange)
		}
	}
}

// readCounted finds which records of the log were counted by the last look at the progress, and events that are no plain case.
func (r *run) readCounted() {
	c := &r.slos
	c.next, c.copies, c.damaged, c.revived, c.finalAt = map[int32]int64{}, map[event]int64{}, map[event]bool{}, map[event]bool{}, map[int32]string{}
	for _, p := range r.e.Progress {
		if p.Final {
			c.next[p.Partition] = max(p.Next, 0)
			c.finalAt[p.Partition] = fmt.Sprintf("at %s it was at offset %d", moment(p.At), p.Next)
		}
	}
	for _, p := range r.logIndex.parts {
		if next, known := c.next[p]; !known || next < r.logIndex.end(p) {
			c.open = append(c.open, p)
		}
	}
	c.strange = min(r.log.phantom.count+r.log.gone.count+r.log.damaged[evidence.Foreign].count, port.MaxCount/field.MaxWeight) * field.MaxWeight
	for e := range r.log.revived.seen {
		c.revived[e] = true
	}
	last := map[event]int32{}
	for i := range r.logIndex.log {
		m := &r.logIndex.log[i]
		p, ok := r.prods.find(m.Producer)
		if !ok || m.State > evidence.Corrupt {
			continue
		}
		id := event{m.Producer, m.Seq}
		if m.State == evidence.Corrupt {
			c.damaged[id] = true
		}
		if r.log.twice.Has(p, m.Seq) {
			if before, there := last[id]; !there || before != m.Partition {
				last[id] = m.Partition
				c.copies[id]++
			}
		}
		if len(c.open) > 0 && m.Offset < c.next[m.Partition] {
			c.done.Mark(p, m.Seq)
		}
	}
}

// countedTimes is how often an event may be counted. What is in the log had to be counted once, copies in one partition
// included; of what is not there any more, nobody knows whether it was.
func (r *run) countedTimes(producer int, id event, out outcome) span {
	c := &r.slos
	switch {
	case r.log.set.Has(producer, id.seq):
		n := span{1, max(1, c.copies[id])}
		if c.damaged[id] || len(c.open) > 0 && !c.done.Has(producer, id.seq) {
			n.low = 0
		}
		return n
	case out == wasAccepted || out == wasUnknown || c.revived[id]:
		return span{0, 1}
	}
	return span{}
}

// sliEvent is an event that an SLO counts.
type sliEvent struct {
	spot
	minute int64
	good   bool
	either bool  // its content was damaged, so it may be good or bad, and have any sample rate
	times  span  // how often it may be counted
	weight int64 // as how many each time
}

// counts is what it may add to its minute.
func (x *sliEvent) counts() span {
	if x.either {
		return span{x.times.low, x.times.high * field.MaxWeight}
	}
	return span{x.times.low * x.weight, x.times.high * x.weight}
}

// countOp calls f for each event of an operation and each SLO that it is relevant to.
func (r *run) countOp(op *evidence.Op, f func(o *objective, x sliEvent)) {
	c := &r.slos
	objectives := c.byDataset[op.Dataset]
	producer, ok := r.prods.find(op.Producer)
	if len(objectives) == 0 || !ok || op.Count <= 0 || op.Count > plan.MaxBatchEvents || op.Sent < 0 {
		return
	}
	view := rowView{load: c.load, op: op}
	eachPart(op, func(first, n uint64, out outcome, part *evidence.Part) {
		for seq := first; seq < first+n; seq++ {
			id := event{op.Producer, seq}
			times := r.countedTimes(producer, id, out)
			if times.high == 0 {
				continue
			}
			view.turn(seq)
			s := spot{event: id, partition: -1, offset: -1}
			if part != nil && part.Offset >= 0 {
				s.partition, s.offset = part.Partition, part.Offset
			}
			minute := view.at.Unix() - mod(view.at.Unix(), secondsPerMinute)
			for _, o := range objectives {
				if o.def.Traffic != op.Traffic {
					continue
				}
				if good, relevant := expr.Good(o.sli.Eval(view.get, view.at)); relevant || c.damaged[id] {
					f(o, sliEvent{spot: s, minute: minute, good: good, either: c.damaged[id], times: times, weight: view.weight()})
				}
			}
		}
	})
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// rowView is one event after another of an operation, made as far as somebody looks at it.
type rowView struct {
	load *loadgen.Truth
	op   *evidence.Op
	seq  uint64
	at   time.Time
	row  loadgen.Row
	has  bool // row is this event's
	all  *field.Event
}

func (v *rowView) turn(seq uint64) {
	v.seq, v.at, v.has, v.all = seq, v.load.Time(v.op.Sent, int(seq-v.op.FirstSeq)), false, nil
}

func (v *rowView) fields() *loadgen.Row {
	if !v.has {
		v.row, v.has = v.load.Fields(v.op.Traffic, v.op.Producer, v.seq), true
	}
	return &v.row
}

// weight is how many events it stands for.
func (v *rowView) weight() int64 { return field.Weight(v.fields().SampleRate) }

// get finds a field by its name.
func (v *rowView) get(name string) (field.Value, bool) {
	row := v.fields()
	var x field.Value
	switch name {
	case loadgen.FieldService:
		x = row.Service
	case loadgen.FieldRoute:
		x = row.Route
	case loadgen.FieldDuration:
		x = row.Duration
	case loadgen.FieldStatus:
		x = row.Status
	case loadgen.FieldProducer:
		x = field.IntValue(int64(v.op.Producer))
	case loadgen.FieldSeq:
		x = field.IntValue(int64(v.seq))
	default:
		if v.all == nil {
			e := v.load.Event(v.op.Traffic, v.op.Producer, v.seq, v.at)
			v.all = &e
		}
		return v.all.Get(name)
	}
	return x, x.Kind() != field.Null
}

// compare finds the minutes whose rows are not what they have to be. strange is what events may count for that the load
// has not sent.
func (o *objective) compare(strange int64) {
	for _, minute := range o.minutes() {
		row := o.counted[minute]
		total, good, bad := o.expected(minute, strange)
		switch {
		case row.Total < total.low:
			o.wrong = append(o.wrong, wrongMinute{minute, "too little"})
		case row.Total > total.high || total.high == 0:
			o.wrong = append(o.wrong, wrongMinute{minute, "too much"})
		case !good.has(row.Good) || !bad.has(row.Total-row.Good):
			o.wrong = append(o.wrong, wrongMinute{minute, "wrong"})
		}
	}
}

// expected is what a minute's row has to lie in; bad is its total without its good.
func (o *objective) expected(minute, strange int64) (total, good, bad span) {
	if c := o.truth[minute]; c != nil {
		total, good, bad = c.total, c.good, c.bad
	}
	if total.high > port.MaxCount { // some may not have fitted, nobody knows which
		whatever := span{0, port.MaxCount}
		return whatever, whatever, whatever
	}
	return total.stretch(strange), good.stretch(strange), bad.stretch(strange)
}

// minutes are those that have, or had to have, a row.
func (o *objective) minutes() []int64 {
	list := make([]int64, 0, len(o.truth)+len(o.counted))
	for minute, c := range o.truth {
		if c.total.high > 0 {
			list = append(list, minute)
		}
	}
	for minute := range o.counted {
		list = append(list, minute)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
