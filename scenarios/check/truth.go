package check

import (
	"fmt"
	"math"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	field "github.com/ratel-sim/ratel/system/event"
)

// truth is what queries can find: every event that may be stored, by dataset, in columns. Events are made again from the
// plan, so it needs nothing of what was stored.
type truth struct {
	epoch time.Time
	load  *loadgen.Truth
	sets  map[string]*truthSet // by dataset
}

// truthSet is one dataset's events, in the order in which they were to be sent.
type truthSet struct {
	runs []truthRun
	at   []int64   // event time, Unix nanoseconds
	rate []float64 // what its sample rate weighs
	cols map[string]*column
	list []*column // of cols, in the order in which they were asked for
	// recreated is when the dataset was deleted and created again under its name.
	recreated []time.Duration
}

// truthRun is consecutive rows of one batch that were answered alike.
type truthRun struct {
	from, to   int32 // rows
	op         int32
	first      uint64 // sequence of the first
	producer   uint32
	partition  int32 // of the receipt; -1: none
	accepted   bool  // else its outcome is not known
	sent, done time.Duration
}

// column is one field of all rows.
type column struct {
	name string
	num  []float64 // NaN where it is not a finite number
	// Values that compare as equal have one code. Without coded, there are none.
	coded  bool
	codes  []uint32
	values []field.Value // by code; the first is null
	index  map[field.Value]uint32
}

func (c *column) add(v field.Value) {
	v = canonical(v)
	n := math.NaN()
	if v.Kind() == field.Float && !math.IsInf(v.Float(), 0) {
		n = v.Float()
	}
	c.num = append(c.num, n)
	if !c.coded {
		return
	}
	if last := len(c.codes) - 1; last >= 0 && c.values[c.codes[last]] == v {
		c.codes = append(c.codes, c.codes[last])
		return
	}
	code, ok := c.index[v]
	if !ok {
		code = uint32(len(c.values))
		c.values, c.index[v] = append(c.values, v), code
	}
	c.codes = append(c.codes, code)
}

// canonical gives all numbers one kind, as queries compare them by value.
func canonical(v field.Value) field.Value {
	if v.Kind() == field.Int || v.Kind() == field.Float {
		return field.FloatValue(v.Float() + 0)
	}
	return v
}

// loadTruth is what makes a plan's events again.
func loadTruth(p *plan.Plan, epoch time.Time) (*loadgen.Truth, error) {
	specs, err := p.Loads()
	if err != nil {
		return nil, err
	}
	return loadgen.NewTruth(epoch, specs)
}

// need notes that a query looks at a column, by its values if coded, else as a number.
func (s *truthSet) need(name string, coded bool) {
	c := s.cols[name]
	if c == nil {
		c = &column{name: name, values: []field.Value{{}}, index: map[field.Value]uint32{{}: 0}}
		s.cols[name], s.list = c, append(s.list, c)
	}
	c.coded = c.coded || coded
}

// buildTruth gathers the events of the datasets that were asked about, with the columns that questions look at.
func (r *run) buildTruth(questions []*asking) (*truth, error) {
	t, err := r.emptyTruth()
	if err != nil {
		return nil, err
	}
	for i := range r.e.Queries {
		if q := questions[i]; q != nil {
			t.want(r, r.e.Queries[i].Dataset, q)
		}
	}
	r.fill(t)
	return t, nil
}

// emptyTruth has no datasets yet.
func (r *run) emptyTruth() (*truth, error) {
	if r.e.Run.Epoch.IsZero() {
		return nil, fmt.Errorf("when the run began on the clock of the events is not known")
	}
	load, err := r.load()
	if err != nil {
		return nil, fmt.Errorf("the load's events cannot be made again: %w", err)
	}
	return &truth{epoch: r.e.Run.Epoch, load: load, sets: map[string]*truthSet{}}, nil
}

// want notes that a question looks at a dataset.
func (t *truth) want(r *run, dataset string, q *asking) {
	set := t.sets[dataset]
	if set == nil {
		set = &truthSet{cols: map[string]*column{}, recreated: r.recreations(dataset)}
		t.sets[dataset] = set
	}
	for _, b := range q.Breakdowns {
		set.need(b, true)
	}
	for _, f := range q.Filters {
		set.need(f.Column, true)
	}
	for _, c := range q.Calculations {
		if c.Column != "" {
			set.need(c.Column, c.Op == "COUNT_DISTINCT")
		}
	}
}

// fill gathers the events of the wanted datasets.
func (r *run) fill(t *truth) {
	epoch := t.epoch.UnixNano()
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		set := t.sets[o.Dataset]
		if set == nil || o.Count <= 0 || o.Count > plan.MaxBatchEvents || o.Sent < 0 {
			continue
		}
		eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
			if out != wasAccepted && out != wasUnknown {
				return
			}
			x := truthRun{from: int32(len(set.at)), op: int32(i), first: first, producer: o.Producer, partition: -1, accepted: out == wasAccepted, sent: o.Sent, done: o.Done}
			if part != nil && part.Offset >= 0 {
				x.partition = part.Partition
			}
			for seq := first; seq < first+n; seq++ {
				at := epoch + int64(o.Sent) + int64(seq-o.FirstSeq)*int64(time.Microsecond)
				set.at = append(set.at, at)
				t.addRow(set, o, seq, at)
			}
			x.to = int32(len(set.at))
			set.runs = append(set.runs, x)
		})
	}
}

// recreations are when a dataset was recreated, by the faults that did it.
func (r *run) recreations(dataset string) []time.Duration {
	var list []time.Duration
	for i := range r.faults {
		f := &r.faults[i]
		if f.Kind != string(system.FaultRecreate) || f.Injected == None {
			continue
		}
		for p := range r.plan.Phases {
			for k := range r.plan.Phases[p].Faults {
				if fmt.Sprintf("%s/%d", r.plan.Phases[p].Name, k) == f.ID && r.plan.Phases[p].Faults[k].Dataset == dataset {
					list = append(list, f.Injected)
				}
			}
		}
	}
	return list
}

// addRow adds one event's fields.
func (t *truth) addRow(set *truthSet, o *evidence.Op, seq uint64, at int64) {
	made := t.load.Fields(o.Traffic, o.Producer, seq)
	set.rate = append(set.rate, float64(field.Weight(made.SampleRate)))
	var whole *field.Event
	for _, c := range set.list {
		switch c.name {
		case loadgen.FieldService:
			c.add(made.Service)
		case loadgen.FieldRoute:
			c.add(made.Route)
		case loadgen.FieldDuration:
			c.add(made.Duration)
		case loadgen.FieldStatus:
			c.add(made.Status)
		case loadgen.FieldProducer:
			c.add(field.IntValue(int64(o.Producer)))
		case loadgen.FieldSeq:
			c.add(field.IntValue(int64(seq)))
		default:
			if whole == nil {
				e := t.load.Event(o.Traffic, o.Producer, seq, time.Unix(0, at))
				whole = &e
			}
			v, _ := whole.Get(c.name)
			c.add(v)
		}
	}
}
