package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	// stepDeadline bounds one step of a runbook: it may have to start many nodes.
	stepDeadline = 2 * time.Minute
	// operator is who provisions progress.
	operator = "runbook"
)

// topology is the system as it is now: a runbook may have made it larger.
func (r *run) topology() *system.Topology {
	t := r.p.System.Grown(r.partitions.Load())
	return &t
}

// runbook does a plan's steps, one after the other whatever phases they are of.
type runbook struct {
	r    *run
	turn *rt.Mutex
}

// prepare does what a system is set up with before anybody uses it: where counting waits for provisioned progress, that of
// the first partitions.
func (r *run) prepare(ctx context.Context) error {
	t := &r.p.System
	if t.Beagles == 0 || t.Beagle.MissingProgress != beagle.MissingWait {
		return nil
	}
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, stepDeadline)
	defer cancel()
	if _, err := r.provision(ctx, system.EventsTopic, 0, t.Kafka.Partitions); err != nil {
		return fmt.Errorf("%w: provision progress: %w", ErrWorld, err)
	}
	return nil
}

// begin does a phase's steps beside the run. A step that has begun is finished, also beyond its phase; one whose phase is
// over is not begun.
func (b *runbook) begin(ctx context.Context, ph *plan.Phase, faults *faults) {
	if len(ph.Runbook) == 0 {
		return
	}
	rtm := b.r.w.Runtime()
	began := b.r.rec.now()
	faults.observe("runbook of "+ph.Name, func(whole context.Context) {
		if b.turn.Lock(whole) != nil {
			return
		}
		defer b.turn.Unlock()
		failed := ""
		for i := range ph.Runbook {
			s := &ph.Runbook[i]
			id := plan.FaultID(ph.Name, i)
			_ = rtm.Sleep(ctx, began+time.Duration(s.At)-b.r.rec.now())
			note := func(kind evidence.EntryKind, detail string) {
				b.r.rec.add(evidence.Entry{Kind: kind, Phase: ph.Name, Fault: id, Event: string(s.Kind), Detail: detail, Pos: &s.Pos})
			}
			switch {
			case failed != "":
				note(evidence.StepFailed, fmt.Sprintf("%s was not begun: %s had failed", s, failed))
				continue
			case ctx.Err() != nil:
				note(evidence.StepFailed, fmt.Sprintf("%s was not begun: its phase was over before the step above had ended", s))
				failed = id
				continue
			}
			note(evidence.StepBegan, s.String())
			b.r.progress(ph.Name, "runbook: "+s.String())
			stepCtx, cancel := rtm.WithTimeout(whole, stepDeadline)
			how, err := b.do(stepCtx, s)
			cancel()
			if err != nil {
				note(evidence.StepFailed, fmt.Sprintf("%s: %v", s, err))
				failed = id
				continue
			}
			note(evidence.StepDone, fmt.Sprintf("%s: %s", s, how))
		}
	})
}

// do does one step and returns how its effect was seen.
func (b *runbook) do(ctx context.Context, s *plan.Step) (string, error) {
	switch s.Kind {
	case plan.StepAddPartitions:
		return b.addPartitions(ctx, s)
	case plan.StepProvisionProgress:
		return b.r.provision(ctx, s.Topic, s.First, s.To)
	case plan.StepStartRetrievers:
		var names []string
		for p := s.First; p < s.To; p++ {
			names = append(names, b.r.p.System.Retrievers(p)...)
		}
		if err := b.r.w.StartNodes(ctx, names); err != nil {
			return "", err
		}
		b.r.places(ctx)
		return fmt.Sprintf("%d retrievers have claimed their partitions", len(names)), nil
	case plan.StepOpenPartitions:
		return b.open(ctx, s)
	}
	return "", fmt.Errorf("there is no step %q", s.Kind)
}

// addPartitions makes the topic larger, and the system as checks see it if it is the events topic.
func (b *runbook) addPartitions(ctx context.Context, s *plan.Step) (string, error) {
	admin := b.r.w.Log().Admin()
	err := b.again(ctx, func() error { return admin.GrowTopic(ctx, s.Topic, s.To) })
	if err != nil {
		return "", err
	}
	how, full := "", false
	for !full {
		parts, err := admin.Describe(ctx, s.Topic)
		if err == nil {
			synced := 0
			for _, p := range parts {
				if p.Leader >= 0 && len(p.ISR) == len(p.Replicas) {
					synced++
				}
			}
			how, full = fmt.Sprintf("%d of %d partitions have a leader and a full ISR", synced, len(parts)), synced == len(parts) && len(parts) == int(s.To)
		}
		if !full && b.r.w.Runtime().Sleep(ctx, effectPollPeriod) != nil {
			return "", fmt.Errorf("the new partitions were not seen in sync: %s: %w", how, errors.Join(ctx.Err(), err))
		}
	}
	if s.Topic == system.EventsTopic {
		b.r.partitions.Store(s.To)
	}
	return how, nil
}

// again tries until it works, is refused or ctx ends: what a runbook does can be done twice.
func (b *runbook) again(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrNoTopic) || errors.Is(err, port.ErrNotFound) {
			return err
		}
		if b.r.w.Runtime().Sleep(ctx, effectPollPeriod) != nil {
			return err
		}
	}
}

// provision makes the rows of progress of partitions. One that is there stays.
func (r *run) provision(ctx context.Context, topic string, first, to int32) (string, error) {
	b := &runbook{r: r}
	there := 0
	for p := first; p < to; p++ {
		err := b.again(ctx, func() error {
			err := r.w.Catalog().Advance(ctx, port.Advance{Consumer: countingConsumer, Topic: topic, Partition: p, By: operator})
			if errors.Is(err, port.ErrNotThere) {
				there++
				return nil
			}
			return err
		})
		if err != nil {
			return "", fmt.Errorf("the row of %s/%d: %w", topic, p, err)
		}
	}
	var rows []port.Progress
	if err := b.again(ctx, func() (err error) {
		rows, err = r.w.Catalog().ProgressOf(ctx, countingConsumer, topic)
		return err
	}); err != nil {
		return "", err
	}
	for p := first; p < to; p++ {
		if !slices.ContainsFunc(rows, func(row port.Progress) bool { return row.Partition == p }) {
			return "", fmt.Errorf("the row of %s/%d is not there", topic, p)
		}
	}
	return fmt.Sprintf("%d rows are there, %d of which were before", to-first, there), nil
}

// open adds partitions to the set of every dataset.
func (b *runbook) open(ctx context.Context, s *plan.Step) (string, error) {
	catalog := b.r.w.Catalog()
	more := make([]int32, 0, s.To-s.First)
	for p := s.First; p < s.To; p++ {
		more = append(more, p)
	}
	var opened []string
	for _, team := range b.r.p.System.Teams {
		var datasets []port.Dataset
		if err := b.again(ctx, func() error {
			known, err := catalog.TeamByKey(ctx, system.TeamKey(team.Name))
			if err == nil {
				datasets, err = catalog.Datasets(ctx, known.ID)
			}
			return err
		}); err != nil {
			return "", fmt.Errorf("the datasets of team %s: %w", team.Name, err)
		}
		for _, ds := range datasets {
			err := b.again(ctx, func() error { return catalog.WidenDataset(ctx, ds.ID, more) })
			if err != nil && !errors.Is(err, port.ErrNotFound) { // it was deleted meanwhile
				return "", fmt.Errorf("dataset %s: %w", ds.Name, err)
			}
			opened = append(opened, ds.Name)
		}
	}
	if len(opened) == 0 {
		return "", errors.New("there is no dataset yet")
	}
	const most = 5
	list := strings.Join(opened[:min(most, len(opened))], ", ")
	if len(opened) > most {
		list += fmt.Sprintf(" and %d more", len(opened)-most)
	}
	return "datasets on them now: " + list, nil
}
