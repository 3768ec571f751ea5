package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	defineDeadline   = 30 * time.Second
	progressPeriod   = 2 * time.Second
	settleDeadline   = 60 * time.Second // from the end of the load until everything is counted and delivered
	lastEvaluations  = 3 * time.Second  // how long an evaluation and its delivery may take where all is well
	microsPerUnit    = 1_000_000
	hoursPerDay      = 24
	minuteSeconds    = 60
	countingConsumer = "beagle"
)

// alerting is what a run does for counting and alerting: it defines, watches and reads back.
type alerting struct {
	r        *run
	receiver *loadgen.Receiver

	mu       sync.Mutex
	progress []evidence.Progress
}

func newAlerting(r *run) *alerting {
	return &alerting{r: r, receiver: loadgen.NewReceiver(r.w.Runtime())}
}

// define creates the datasets of loads that have objectives or alerts, and these. Nothing is sent yet.
func (a *alerting) define(ctx context.Context) error {
	p := a.r.p
	if len(p.Objectives) == 0 && len(p.Alerts) == 0 {
		return nil
	}
	ctx, cancel := a.r.w.Runtime().WithTimeout(ctx, defineDeadline)
	defer cancel()
	url := ""
	if len(p.Alerts) > 0 {
		var err error
		if url, err = a.r.w.Receive(ctx, a.receiver); err != nil {
			return fmt.Errorf("%w: receive webhooks: %w", ErrWorld, err)
		}
	}
	for i := range p.Traffic {
		datasets, err := a.datasets(ctx, i)
		if err != nil {
			return fmt.Errorf("%w: create the datasets of traffic %q: %w", ErrWorld, p.Traffic[i].Name, err)
		}
		for _, ds := range datasets {
			if err := a.defineFor(ctx, i, ds, url); err != nil {
				return fmt.Errorf("%w: define for dataset %s: %w", ErrWorld, ds.Name, err)
			}
		}
	}
	return nil
}

// leads notes who led when the recording began: that was announced to nobody.
func (a *alerting) leads(ctx context.Context) error {
	if a.r.p.System.Triggers == 0 {
		return nil
	}
	ctx, cancel := a.r.w.Runtime().WithTimeout(ctx, defineDeadline)
	defer cancel()
	epoch, by, err := a.r.w.Catalog().Epoch(ctx)
	if err != nil {
		return fmt.Errorf("%w: the trigger workers' epoch: %w", ErrWorld, err)
	}
	detail := fmt.Sprintf("epoch %d", epoch)
	if epoch == 0 || slices.ContainsFunc(a.r.rec.entries(), func(e evidence.Entry) bool {
		return e.Event == port.EventLeaderUp && e.Node == by && e.Detail == detail
	}) {
		return nil
	}
	a.r.rec.add(evidence.Entry{Kind: evidence.Announced, Event: port.EventLeaderUp, Node: by, Detail: detail})
	return nil
}

// datasets creates those of a load that something is to be defined for.
func (a *alerting) datasets(ctx context.Context, traffic int) ([]port.Dataset, error) {
	p := a.r.p
	name := p.Traffic[traffic].Name
	if !slices.ContainsFunc(p.Objectives, func(o plan.Objective) bool { return o.Traffic == name }) &&
		!slices.ContainsFunc(p.Alerts, func(al plan.Alert) bool { return al.Traffic == name }) {
		return nil, nil
	}
	catalog := a.r.w.Catalog()
	team, err := catalog.TeamByKey(ctx, system.TeamKey(p.Traffic[traffic].Team))
	if err != nil {
		return nil, err
	}
	var out []port.Dataset
	for _, dataset := range loadgen.DatasetNames(traffic, p.Traffic[traffic].Datasets) {
		ds, _, err := catalog.CreateDataset(ctx, port.NewDataset{
			Team: team.ID, Name: dataset, Spread: min(p.System.Shepherd.Spread, int(p.System.Kafka.Partitions)), Of: p.System.Kafka.Partitions,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, ds)
	}
	return out, nil
}

// definer creates definitions of one dataset and keeps the first error.
type definer struct {
	ctx  context.Context
	defs port.Definitions
	ds   port.Dataset
	err  error
}

func (d *definer) define(kind port.DefinitionKind, name string, body any) int64 {
	if d.err != nil {
		return 0
	}
	data, err := json.Marshal(body)
	if err != nil {
		d.err = err
		return 0
	}
	made, err := d.defs.Define(d.ctx, port.Definition{Team: d.ds.Team, Dataset: d.ds.ID, Kind: kind, Name: name, Body: data})
	d.err = err
	return made.ID
}

func (a *alerting) defineFor(ctx context.Context, traffic int, ds port.Dataset, url string) error {
	p := a.r.p
	d := &definer{ctx: ctx, defs: a.r.w.Catalog(), ds: ds}
	for _, o := range p.Objectives {
		if o.Traffic != p.Traffic[traffic].Name {
			continue
		}
		alias := "sli." + o.Name
		d.define(port.KindDerivedColumn, alias, definition.DerivedColumn{Alias: alias, Expression: o.SLI})
		perMillion := int(math.Round(o.Target * microsPerUnit))
		id := d.define(port.KindSLO, o.Name, definition.SLO{
			Name: o.Name, SLI: definition.SLI{Alias: alias}, TargetPerMillion: perMillion,
			TimePeriodDays: int(time.Duration(o.Period).Hours()) / hoursPerDay,
		})
		a.r.ev.SLOs = append(a.r.ev.SLOs, evidence.SLO{ID: id, Name: o.Name, Traffic: traffic, Dataset: ds.Name, Expression: o.SLI, TargetPerMillion: perMillion})
	}
	for _, al := range p.Alerts {
		if al.Traffic != p.Traffic[traffic].Name {
			continue
		}
		t := al.Trigger(url)
		id := d.define(port.KindTrigger, al.Name, t)
		a.r.ev.Alerts = append(a.r.ev.Alerts, evidence.Alert{ID: id, Name: al.Name, Traffic: traffic, Dataset: ds.Name, Trigger: t, Defined: a.r.rec.now()})
	}
	return d.err
}

// watch looks at the progress of counting every few seconds until ctx ends.
func (a *alerting) watch(ctx context.Context) {
	if a.r.p.System.Beagles == 0 {
		return
	}
	for a.r.w.Runtime().Sleep(ctx, progressPeriod) == nil {
		a.look(ctx, false)
	}
}

// look notes how far counting is in each partition. The end is asked for first, so that progress beyond it is none that was missed.
func (a *alerting) look(ctx context.Context, final bool) {
	limited, cancel := a.r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	ends := make([]int64, a.r.topology().Kafka.Partitions)
	for p := range ends {
		ends[p] = -1
		if _, high, err := a.r.w.Log().Admin().Offsets(limited, system.EventsTopic, int32(p)); err == nil {
			ends[p] = high
		}
	}
	rows, err := a.r.w.Catalog().ProgressOf(limited, countingConsumer, system.EventsTopic)
	if err != nil {
		if final {
			a.r.gap("progress", err.Error())
		}
		return
	}
	at := a.r.rec.now()
	found := make([]evidence.Progress, len(ends))
	for p := range found {
		found[p] = evidence.Progress{At: at, Partition: int32(p), Next: -1, Marked: -1, End: ends[p], Final: final}
	}
	for _, row := range rows {
		if row.Partition >= 0 && int(row.Partition) < len(found) {
			f := &found[row.Partition]
			f.Next, f.Marked, f.By = row.Next, row.At.Sub(a.r.rec.start), row.By
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress = append(a.progress, found...)
}

// settle waits until everything is counted and delivered, or its time is up: then what is missing is for the checks to tell.
func (a *alerting) settle(ctx context.Context) {
	p := a.r.p
	if p.System.Beagles == 0 && len(p.Alerts) == 0 {
		return
	}
	// The last windows of the load are evaluated once their data have settled.
	if len(p.Alerts) > 0 && a.r.w.Runtime().Sleep(ctx, p.System.Trigger.Settle+lastEvaluations) != nil {
		return
	}
	_, _ = a.r.poll(ctx, settleDeadline, func(ctx context.Context) (string, bool) {
		behind := a.behind(ctx)
		return behind, behind == ""
	})
}

// behind says what is not counted or delivered yet; empty if all is.
func (a *alerting) behind(ctx context.Context) string {
	t := a.r.topology()
	ctx, cancel := a.r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	if t.Beagles > 0 {
		rows, err := a.r.w.Catalog().ProgressOf(ctx, countingConsumer, system.EventsTopic)
		if err != nil {
			return fmt.Sprintf("the progress of counting cannot be had: %v", err)
		}
		next := map[int32]int64{}
		for _, row := range rows {
			next[row.Partition] = row.Next
		}
		for part := range t.Kafka.Partitions {
			_, high, err := a.r.w.Log().Admin().Offsets(ctx, system.EventsTopic, part)
			if err != nil {
				return fmt.Sprintf("the high watermark of %s/%d cannot be had: %v", system.EventsTopic, part, err)
			}
			if next[part] < high {
				return fmt.Sprintf("%s/%d is counted up to offset %d of %d", system.EventsTopic, part, next[part], high)
			}
		}
	}
	if len(a.r.p.Alerts) > 0 {
		open, err := a.r.w.Catalog().Undelivered(ctx, port.Place{}, 1)
		if err != nil {
			return fmt.Sprintf("undelivered alerts cannot be had: %v", err)
		}
		if len(open) > 0 {
			return fmt.Sprintf("alert %d of window %d is not delivered", open[0].Alert, open[0].Window)
		}
	}
	return ""
}

// collect reads back what was counted and evaluated.
func (a *alerting) collect(ctx context.Context) {
	if a.r.p.System.Beagles > 0 {
		a.look(ctx, true)
	}
	catalog, start := a.r.w.Catalog(), a.r.rec.start
	from := start.Add(-time.Hour).Unix() / minuteSeconds * minuteSeconds
	to := start.Add(a.r.rec.now() + time.Hour).Unix()
	for _, s := range a.r.ev.SLOs {
		rows, err := catalog.SLOCounts(ctx, s.ID, from, to)
		if err != nil {
			a.r.gap("counts", fmt.Sprintf("of SLO %s of %s: %v", s.Name, s.Dataset, err))
		}
		for _, row := range rows {
			a.r.ev.Counts = append(a.r.ev.Counts, evidence.SLOCount(row))
		}
	}
	for _, al := range a.r.ev.Alerts {
		rows, err := catalog.EvaluationsOf(ctx, al.ID, 0, math.MaxInt64)
		if err != nil {
			a.r.gap("evaluations", fmt.Sprintf("of alert %s of %s: %v", al.Name, al.Dataset, err))
		}
		for _, e := range rows {
			got := evidence.Evaluation{
				Alert: e.Alert, Window: time.Duration(e.Window - start.UnixNano()), Epoch: e.Epoch, By: e.By, At: e.At.Sub(start), Stale: e.Stale,
				Triggered: e.Triggered, Fires: e.Fires, Resolves: e.Resolves, Value: e.Value, Delivered: -1, Notice: e.Notice,
			}
			if !e.Delivered.IsZero() {
				got.Delivered = e.Delivered.Sub(start)
			}
			a.r.ev.Evaluations = append(a.r.ev.Evaluations, got)
		}
	}
}

// seal hands over what was gathered, also when the run was cut short.
func (a *alerting) seal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.r.ev.Progress = a.progress
	for _, d := range a.receiver.Received() {
		a.r.ev.Deliveries = append(a.r.ev.Deliveries, evidence.Delivery{At: d.At.Sub(a.r.rec.start), Key: d.Key, Body: d.Body})
	}
}
