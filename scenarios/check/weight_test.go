package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/port"
)

// heavy is what the log has of a run whose clients sample, and a row of counts in which an event of more than one counts.
type heavy struct {
	watched
	all []stored
	row int    // of the evidence's counts
	x   stored // counted in it as good
}

func newHeavy(t *testing.T) (*heavy, *evidence.Evidence) {
	t.Helper()
	w := defaultWatched()
	w.unknown = 0
	e := w.history()
	h := &heavy{watched: w, all: w.stored(e)}
	sli, err := expr.Parse(e.SLOs[0].Expression)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range h.all {
		if good, relevant := expr.Good(sli.Event(&x.event)); x.op.Dataset == e.SLOs[0].Dataset && x.event.SampleRate > 1 && good && relevant {
			h.x = x
			break
		}
	}
	minute := h.x.at.Unix() / 60 * 60
	h.row = slices.IndexFunc(e.Counts, func(c evidence.SLOCount) bool { return c.SLO == e.SLOs[0].ID && c.Minute == minute })
	if h.row < 0 {
		t.Fatal("no event of more than one")
	}
	return h, e
}

// mark finds the event in the log.
func (h *heavy) mark(e *evidence.Evidence) *evidence.LogMark {
	id := event{h.x.op.Producer, h.x.op.FirstSeq + uint64(h.x.index)}
	i := slices.IndexFunc(e.Log, func(m evidence.LogMark) bool { return m.Producer == id.producer && m.Seq == id.seq })
	return &e.Log[i]
}

// another puts a mark at the end of a partition, which is counted, too.
func another(e *evidence.Evidence, m evidence.LogMark, partition int32) {
	m.Partition, m.Offset = partition, 0
	for _, x := range e.Log {
		if x.Partition == partition {
			m.Offset = max(m.Offset, x.Offset+1)
		}
	}
	e.Log = append(e.Log, m)
	for i := range e.Progress {
		if p := &e.Progress[i]; p.Final && p.Partition == partition {
			p.Next, p.End = m.Offset+1, m.Offset+1
		}
	}
}

// reweighed counts as if events had other sample rates.
func (h *heavy) reweighed(e *evidence.Evidence, rate func(int64) int64) []evidence.SLOCount {
	all := slices.Clone(h.all)
	for i := range all {
		all[i].event.SampleRate = rate(all[i].event.SampleRate)
	}
	var counts []evidence.SLOCount
	for i := range e.SLOs {
		counts = append(counts, countAll(&e.SLOs[i], all)...)
	}
	return counts
}

func TestCountsAreJudgedByWeight(t *testing.T) {
	t.Parallel()
	h, made := newHeavy(t)
	weight := h.x.event.SampleRate
	add := func(good, total int64) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) {
			e.Counts[h.row].Good += good
			e.Counts[h.row].Total += total
		}
	}
	corrupt := func(then func(*evidence.Evidence)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) { h.mark(e).State = evidence.Corrupt; then(e) }
	}
	phantom := func(then func(*evidence.Evidence)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) {
			another(e, evidence.LogMark{Producer: h.x.op.Producer, Seq: 1 << 40}, 0)
			then(e)
		}
	}
	elsewhere := func(then func(*evidence.Evidence)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) { m := *h.mark(e); another(e, m, (m.Partition+1)%h.partitions); then(e) }
	}
	again := func(then func(*evidence.Evidence)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) { m := *h.mark(e); another(e, m, m.Partition); then(e) }
	}
	gone := func(then func(*evidence.Evidence)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) {
			m := *h.mark(e)
			e.Log = slices.DeleteFunc(e.Log, func(x evidence.LogMark) bool { return x.Producer == m.Producer && x.Seq == m.Seq })
			then(e)
		}
	}
	for _, c := range []struct {
		name string
		make func(*evidence.Evidence)
		says string // of the finding; "": there is none
	}{
		{"as it should be", add(0, 0), ""},
		{"no sample rate", func(e *evidence.Evidence) { e.Counts = h.reweighed(e, func(int64) int64 { return 1 }) }, "lack"},
		{"sample rates squared", func(e *evidence.Evidence) { e.Counts = h.reweighed(e, func(r int64) int64 { return r * r }) }, "more events"},
		{"good ones without their rates", func(e *evidence.Evidence) {
			for i, one := range h.reweighed(e, func(int64) int64 { return 1 }) {
				e.Counts[i].Good = one.Good
			}
		}, "not the right number of good"},
		{"one without its rate", add(1-weight, 1-weight), "lack"},
		{"one with one more", add(1, 1), "more events"},
		{"one as bad", add(-weight, 0), "not the right number of good"},
		{"corrupt and not counted", corrupt(add(-weight, -weight)), ""},
		{"corrupt and counted as one", corrupt(add(1-weight, 1-weight)), ""},
		{"corrupt and bad", corrupt(add(-weight, 0)), ""},
		{"corrupt and of another rate", corrupt(add(1<<32-weight, 1<<32-weight)), ""},
		{"corrupt and bad of another rate", corrupt(add(-weight, 1<<32-weight)), ""},
		{"corrupt and more than a rate can be", corrupt(add(1<<32-weight+1, 1<<32-weight+1)), "more events"},
		{"corrupt and less", corrupt(add(-weight-1, -weight-1)), "lack"},
		{"of nobody and not counted", phantom(add(0, 0)), ""},
		{"of nobody and of any rate", phantom(add(0, 1<<32)), ""},
		{"of nobody and more than a rate can be", phantom(add(0, 1<<32+1)), "more events"},
		{"of nobody and less", phantom(add(-1, -1)), "lack"},
		{"in two partitions and counted once", elsewhere(add(0, 0)), ""},
		{"in two partitions and counted in each", elsewhere(add(weight, weight)), ""},
		{"in two partitions and counted three times", elsewhere(add(2*weight, 2*weight)), "more events"},
		{"in two partitions and not counted", elsewhere(add(-weight, -weight)), "lack"},
		{"twice in one partition and counted once", again(add(0, 0)), ""},
		{"twice in one partition and counted twice", again(add(weight, weight)), "more events"},
		{"gone and counted", gone(add(0, 0)), ""},
		{"gone and not counted", gone(add(-weight, -weight)), ""},
		{"gone and others not counted", gone(add(-weight-1, -weight-1)), "lack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := ownCopy(made)
			c.make(e)
			res := result(Judge(e), CheckSLOCounts)
			if c.says == "" && res.Verdict != Pass || c.says != "" && (res.Verdict != Fail || !strings.Contains(res.Findings[0].Title, c.says)) {
				t.Errorf("want %q, got %v: %s %+v", c.says, res.Verdict, res.Summary, res.Findings)
			}
		})
	}
}

// TestSaysThatSampleRatesWereLeftOut: whoever looks at the finding learns what is wrong with all of these minutes.
func TestSaysThatSampleRatesWereLeftOut(t *testing.T) {
	t.Parallel()
	h, e := newHeavy(t)
	says := func() bool {
		return slices.ContainsFunc(result(Judge(e), CheckSLOCounts).Findings, func(f Finding) bool {
			return slices.ContainsFunc(f.Evidence, func(s string) bool { return strings.Contains(s, "their sample rates were left out") })
		})
	}
	sound := result(Judge(e), CheckSLOCounts)
	if !strings.Contains(sound.Summary, "by their sample rates stand for") {
		t.Error(sound.Summary)
	}
	e.Counts[0].Total, e.Counts[0].Good = 0, 0
	if says() {
		t.Error("said of a minute of which nothing was counted")
	}
	if e.Counts = h.reweighed(e, func(int64) int64 { return 1 }); !says() {
		t.Errorf("not said: %+v", result(Judge(e), CheckSLOCounts).Findings)
	}
}

// TestFullMinutesAreNotJudged: where more was sent than a minute takes, what was left out depends on the order in which it was counted.
func TestFullMinutesAreNotJudged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events int64 // of the largest weight
		row    evidence.SLOCount
		wrong  bool
	}{
		"just full":            {port.MaxCount / field.MaxWeight, evidence.SLOCount{Good: port.MaxCount, Total: port.MaxCount}, false},
		"just full, and lacks": {port.MaxCount / field.MaxWeight, evidence.SLOCount{Good: port.MaxCount - 1, Total: port.MaxCount - 1}, true},
		"overfull":             {port.MaxCount/field.MaxWeight + 1, evidence.SLOCount{Good: 5, Total: 9}, false},
		"far overfull":         {1 << 30, evidence.SLOCount{Good: port.MaxCount, Total: port.MaxCount}, false},
		"more than fits":       {1 << 30, evidence.SLOCount{Good: 1, Total: port.MaxCount + 1}, true},
		"more good than all":   {1 << 30, evidence.SLOCount{Good: 2, Total: 1}, true},
	} {
		o := &objective{truth: map[int64]*minuteTruth{}, counted: map[int64]evidence.SLOCount{0: c.row}}
		for _, part := range []int64{c.events / 2, c.events - c.events/2} {
			o.at(0).add(&sliEvent{good: true, times: span{part, part}, weight: field.MaxWeight})
		}
		if o.compare(0); (len(o.wrong) > 0) != c.wrong {
			t.Errorf("%s: %+v of %+v", name, o.wrong, *o.truth[0])
		}
	}
}
