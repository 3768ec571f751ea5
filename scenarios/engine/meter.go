package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// meter counts what was decided of a guard's events or queries in the time before now. One that was answered within its bound
// is decided by the answer; any other is bad from the moment on at which its bound has passed, answered or not, so that a
// pipeline that answers nothing is noticed too.
type meter struct {
	r       *run
	plan    *plan.Guard
	traffic int // index of the load that counts; -1: all
	since   time.Duration
	long    sliding
	short   sliding

	seen    int    // requests or queries that were looked at
	open    []int  // those of them that were not decided, by number
	decided []fate // by time
	fresh   []fate // since the last look
	known   map[string]bool
}

// fate is what became of one request or query.
type fate struct {
	at        time.Duration
	good, bad int64
	missing   string // the dataset that a 404 said is not there
	dataset   string // that was answered about
}

// sliding sums up the fates of a stretch of time.
type sliding struct {
	span      time.Duration
	from      int // the first of decided that counts
	good, bad int64
}

// newMeter makes a meter over the span before the moment to which it is advanced.
func (r *run) newMeter(g *plan.Guard, span time.Duration) *meter {
	traffic := slices.IndexFunc(r.p.Traffic, func(t plan.Traffic) bool { return t.Name == g.Traffic })
	return &meter{r: r, plan: g, traffic: traffic, long: sliding{span: span}, short: sliding{span: span / plan.ShortWindow}, known: map[string]bool{}}
}

func (m *meter) unit() string {
	if m.plan.Level == plan.GuardQuery {
		return "queries"
	}
	return "events"
}

// advance moves the meter's windows so that they end at now. Its cost is what was sent or decided since the last time.
func (m *meter) advance(now time.Duration) {
	m.fresh = m.fresh[:0]
	var open []int
	if m.plan.Level == plan.GuardQuery {
		m.seen = m.r.readers.Look(m.open, m.seen, func(number int, op *loadgen.QueryOp) {
			if m.traffic >= 0 && m.r.p.Readers[op.Reader].Traffic != m.plan.Traffic || op.Intended < m.since {
				return
			}
			if f, ok := m.ofQuery(op, now); ok {
				m.fresh = append(m.fresh, f)
			} else {
				open = append(open, number)
			}
		})
	} else {
		m.seen = m.r.load.Look(m.open, m.seen, func(number int, op *loadgen.Op) {
			if m.traffic >= 0 && op.Traffic != m.traffic || op.Intended < m.since {
				return
			}
			if f, ok := m.ofRequest(op, now); ok {
				m.fresh = append(m.fresh, f)
			} else {
				open = append(open, number)
			}
		})
	}
	m.open = open
	slices.SortStableFunc(m.fresh, func(a, b fate) int { return cmp.Compare(a.at, b.at) })
	for _, f := range m.fresh {
		m.known[f.dataset] = true
		if f.missing != "" && !m.known[f.missing] {
			continue // nobody can ask for what has not been sent yet
		}
		m.decided = append(m.decided, f)
		for _, s := range []*sliding{&m.long, &m.short} {
			s.good, s.bad = s.good+f.good, s.bad+f.bad
		}
	}
	m.long.drop(m.decided, now)
	m.short.drop(m.decided, now)
	if old := m.long.from; old > 1024 && old > len(m.decided)/2 {
		m.decided = slices.Delete(m.decided, 0, old)
		m.long.from, m.short.from = 0, m.short.from-old
	}
}

// drop takes out what lies before the stretch that ends at now.
func (s *sliding) drop(decided []fate, now time.Duration) {
	for s.from < len(decided) && decided[s.from].at <= now-s.span {
		s.good, s.bad = s.good-decided[s.from].good, s.bad-decided[s.from].bad
		s.from++
	}
}

func (m *meter) ofRequest(op *loadgen.Op, now time.Duration) (f fate, decided bool) {
	due := op.Intended + time.Duration(m.plan.Within)
	n := int64(op.Count)
	switch {
	case op.Done < 0 || op.Done > due:
		return fate{at: due, bad: n}, due <= now
	case op.Code == 200:
		f = fate{at: op.Done}
		for i := range op.Parts {
			if op.Parts[i].Code == shepherd.Accepted {
				f.good += int64(op.Parts[i].Count)
			}
		}
		f.bad = n - f.good
		return f, true
	}
	return fate{at: op.Done, bad: n}, true
}

func (m *meter) ofQuery(op *loadgen.QueryOp, now time.Duration) (f fate, decided bool) {
	due := op.Intended + time.Duration(m.plan.Within)
	switch {
	case op.Done < 0 || op.Done > due:
		return fate{at: due, bad: 1}, due <= now
	case op.Code == 404:
		return fate{at: op.Done, bad: 1, missing: op.Dataset}, true
	case op.Code == 200 && op.Complete:
		return fate{at: op.Done, good: 1, dataset: op.Dataset}, true
	}
	return fate{at: op.Done, bad: 1}, true
}
