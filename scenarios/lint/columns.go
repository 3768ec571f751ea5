package lint

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/nearest"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// columns tells what asks for columns that no event of its load has: the load alone writes to its datasets, so they are null for ever.
func (l *linter) columns() {
	loads, err := l.p.Loads()
	if err != nil {
		return // the plan's own checks say so
	}
	for i := range l.p.Objectives {
		o := &l.p.Objectives[i]
		if e, err := expr.Parse(o.SLI); err == nil {
			l.unknown(loads, o.Traffic, e.Columns(), o.Pos, "objective", o.Name)
		}
	}
	for i := range l.p.Alerts { // any moment will do to read a query at
		a := &l.p.Alerts[i]
		if q, err := spec.Parse(a.Query, time.Unix(1e9, 0)); err == nil {
			l.unknown(loads, a.Traffic, q.Reads(), a.Pos, "alert", a.Name)
		}
	}
}

// unknown tells which of the columns that something reads its load's events never have.
func (l *linter) unknown(loads []loadgen.Spec, traffic string, reads []string, pos plan.Pos, what, name string) {
	i := slices.IndexFunc(loads, func(s loadgen.Spec) bool { return s.Name == traffic })
	if i < 0 {
		return
	}
	has := loads[i].Schema()
	for _, column := range reads {
		if !has.Has(column) {
			l.add(pos, nearest.Suggest(column, has.Names), "%s %q: no event of traffic %q has a column %q, so it is always null", what, name, traffic, column)
		}
	}
}
